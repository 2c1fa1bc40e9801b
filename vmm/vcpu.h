/* Virtual CPUs: one thread each, a run loop, and a way to park them all.
 *
 * Parking: `want` says what all vCPUs shall do. Main sets it and kicks every thread (immediate_exit
 * plus a real-time signal, so that neither a thread in the guest nor one on its way there is
 * missed). A vCPU finishes a pending port or memory access, counts itself out of `active` and
 * sleeps on `go`. */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/base/err.h"
#include "vmm/bus.h"
#include "vmm/kvm.h"
#include "vmm/vmconfig.h"

enum vcpu_want { VCPU_PARK, VCPU_RUN, VCPU_END, VCPU_REHEARSE };

struct vcpu_set;

struct vcpu {
	struct vcpu_set *set;
	unsigned index;
	int fd; /* -1 until created */
	struct kvm_run *run;
	pthread_t thread;
	bool has_thread, rehearsed;
};

struct vcpu_set {
	/* Set before the threads start, constant afterwards. */
	const struct bus *pio, *mmio;
	pthread_mutex_t *dev_lock;
	bool seccomp;
	/* The machine ends by itself: code 0 = guest reset, else negative errno (reason is logged).
	 * Called once, on a vCPU thread. */
	void (*on_end)(void *ctx, int code);
	void *ctx;
	int run_size;

	struct vcpu vcpu[VMCONFIG_MAX_VCPUS];
	unsigned count;

	_Atomic int want; /* enum vcpu_want */
	atomic_bool ended;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t go;    /* want changed */
	pthread_cond_t idle;  /* active or starting changed */
	unsigned active;      /* threads that may enter the guest */
	unsigned starting;
	int start_error;
};

void vcpu_set_init(struct vcpu_set *set);
/* Starts `count` threads, parked. They need nothing of KVM yet: on a machine with several
 * processors they confine themselves while this thread builds the VM. */
int vcpu_set_start(struct vcpu_set *set, unsigned count, struct stk_err *err);
/* Creates the KVM side of each. */
int vcpu_set_create(struct vcpu_set *set, const struct kvm *kvm, struct stk_err *err);
/* Returns when all are confined and wait; before vcpu_set_resume. */
int vcpu_set_wait_started(struct vcpu_set *set, struct stk_err *err);
/* After vcpu_set_wait_started: each enters the guest once, whatever becomes of it, and waits again. */
void vcpu_set_rehearse(struct vcpu_set *set);
/* Returns with all vCPUs parked; -ETIMEDOUT when one hangs in a device for 10 s. */
int vcpu_set_park(struct vcpu_set *set, struct stk_err *err);
void vcpu_set_resume(struct vcpu_set *set);
/* Ends the machine from a vCPU thread (a device's reset line). Any lock may be held. */
void vcpu_set_end(struct vcpu_set *set, int code);
/* Ends and joins the threads, closes the vCPUs. Accepts half-built. */
void vcpu_set_fini(struct vcpu_set *set);

#endif
