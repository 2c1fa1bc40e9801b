/* struct vm, for vm.c, vm_snapshot.c and vm_reset.c alone. */
#ifndef VMM_VM_INTERNAL_H
#define VMM_VM_INTERNAL_H

#include "snapshots/snapfile.h"
#include "snapshots/state.h"
#include "vmm/devices/virtq.h"
#include "vmm/gmem.h"
#include "vmm/kvm.h"
#include "vmm/recorder.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmm/x86/cpuid.h"

struct vm_reset; /* vm_reset.c */

struct vm {
	uv_loop_t *loop;
	struct vm_host_opts opts;
	void (*on_stop)(void *ctx, int code);
	void *ctx;
	enum vm_state state;
	bool used; /* boot or restore was tried */
	bool made; /* vm_create_machine has been here */
	bool shell; /* by vm_make_shell: confined already */
	struct cpuid_table *cpuid; /* of a shell, until it is filled: what its vCPUs were given; else NULL */

	struct vmconfig cfg;
	struct kvm kvm;
	struct gmem mem;
	int mem_fd; /* the memory file that mem is private to, or -1 */
	struct recorder *recorder; /* or NULL */
	struct vm_reset *reset;    /* or NULL: cannot be reset */
	uint32_t tsc_khz, host_tsc_khz; /* both 0: the guest's TSC is not scaled */
	struct vcpu_set vcpus;
	struct bus pio, mmio;

	pthread_mutex_t dev_lock;
	struct device_host host;
	struct device_set devices;
	struct device_region region[DEVICE_MAX]; /* copy-on-write drives in the memory file */

	uv_async_t ended; /* from a vCPU thread */
	bool ended_open;
	_Atomic int end_code;

	struct iovec device_iov[VIRTQ_SIZE_MAX]; /* last, as few of them are used */
};

/* vCPU threads, KVM, memory slots, irqchip, vCPUs: in the order that is quickest. vm->mem is mapped or
 * reserved already. */
int vm_create_machine(struct vm *vm, struct stk_err *err);
/* The same with memory that is reserved only: the part of a restore that every snapshot has in common. Once. */
int vm_prepare(struct vm *vm, unsigned mem_size_mib, unsigned vcpu_count, struct stk_err *err);
/* Devices from vm->cfg, and whatever vm->host says about restoring. */
int vm_create_devices(struct vm *vm, struct stk_err *err);
/* Once the vCPU threads are confined: confines the calling (main) thread, then lets the guest go when `run` says so.
 * Devices look at what the guest left in its queues from then on, and not before. */
int vm_start(struct vm *vm, bool run, struct stk_err *err);
void vm_quiesce_devices(struct vm *vm);
/* What all vCPUs share: interrupt controllers and clock. */
int vm_restore_shared(struct vm *vm, struct snap_vm *v, struct stk_err *err);
/* The host's TSC as the guest would see it without an offset. */
uint64_t vm_host_tsc(const struct vm *vm);

/* With the VM restored from f, before it runs and before the thread is confined: keeps in memory what a reset needs.
 * Without success vm_reset says why it is not possible. */
void vm_reset_prepare(struct vm *vm, const struct snap_file *f, const struct snap_vm *v);
void vm_reset_free(struct vm_reset *r); /* accepts NULL */

#endif
