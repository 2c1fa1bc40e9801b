/* struct vm, for vm.c and vm_snapshot.c alone. */
#ifndef VMM_VM_INTERNAL_H
#define VMM_VM_INTERNAL_H

#include "snapshots/state.h"
#include "vmm/gmem.h"
#include "vmm/kvm.h"
#include "vmm/recorder.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

struct vm {
	uv_loop_t *loop;
	struct vm_host_opts opts;
	void (*on_stop)(void *ctx, int code);
	void *ctx;
	enum vm_state state;
	bool used; /* boot or restore was tried */

	struct vmconfig cfg;
	struct kvm kvm;
	struct gmem mem;
	int mem_fd; /* the memory file that mem is private to, or -1 */
	struct recorder *recorder; /* or NULL */
	struct vcpu_set vcpus;
	struct bus pio, mmio;

	pthread_mutex_t dev_lock;
	struct device_host host;
	struct device_set devices;
	struct device_region region[DEVICE_MAX]; /* copy-on-write drives in the memory file */

	uv_async_t ended; /* from a vCPU thread */
	bool ended_open;
	_Atomic int end_code;
};

/* vCPU threads, KVM, memory slots, irqchip, vCPUs: in the order that is quickest. vm->mem is mapped
 * already. */
int vm_create_machine(struct vm *vm, struct stk_err *err);
/* Devices from vm->cfg, and whatever vm->host says about restoring. */
int vm_create_devices(struct vm *vm, struct stk_err *err);
/* Lets the guest go when `run` says so, once the vCPU threads are confined; then confines the calling
 * (main) thread, which has not looked at anything of the guest's by then: that begins with the
 * event loop. */
int vm_start(struct vm *vm, bool run, struct stk_err *err);

#endif
