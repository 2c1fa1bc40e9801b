/* One microVM: see vm.h. Restoring and saving: vm_snapshot.c. */
#include "vmm/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/str.h"
#include "jail/seccomp.h"
#include "vmm/stages.h"
#include "vmm/vm_internal.h"
#include "vmm/warmup.h"
#include "vmm/x86/boot.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/layout.h"
#include "vmm/x86/msr.h"

/* ---- ends by itself ---- */

static void on_ended_async(uv_async_t *handle)
{
	struct vm *vm = handle->data;

	if (vm->state == VM_STOPPED || !atomic_load(&vm->vcpus.ended))
		return;
	vm->state = VM_STOPPED;
	vm->on_stop(vm->ctx, atomic_load(&vm->end_code));
}

/* vCPU thread. */
static void on_vcpus_end(void *ctx, int code)
{
	struct vm *vm = ctx;

	atomic_store(&vm->end_code, code);
	uv_async_send(&vm->ended);
}

/* vCPU thread, device lock held. */
static void on_guest_reset(void *ctx)
{
	struct vm *vm = ctx;

	vcpu_set_end(&vm->vcpus, 0);
}

/* ---- life ---- */

int vm_new(uv_loop_t *loop, const struct vm_host_opts *opts, void (*on_stop)(void *ctx, int code), void *ctx,
	   struct vm **ret_vm, struct stk_err *err)
{
	/* Not from the heap, which would write all of it: the half is never used. */
	struct vm *vm = mmap(NULL, sizeof(*vm), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (vm == MAP_FAILED)
		return stk_err_sys(err, -errno, "microVM");
	vm->loop = loop;
	vm->opts = *opts;
	vm->on_stop = on_stop;
	vm->ctx = ctx;
	vm->kvm.sys_fd = vm->kvm.vm_fd = -1;
	vm->mem_fd = -1;
	pthread_mutex_init(&vm->dev_lock, NULL);
	vcpu_set_init(&vm->vcpus);
	r = uv_async_init(loop, &vm->ended, on_ended_async);
	if (r < 0) {
		vm_free(vm);
		return stk_err_sys(err, r, "microVM");
	}
	vm->ended.data = vm;
	vm->ended_open = true;

	vm->vcpus.pio = &vm->pio;
	vm->vcpus.mmio = &vm->mmio;
	vm->vcpus.dev_lock = &vm->dev_lock;
	vm->vcpus.seccomp = opts->seccomp;
	vm->vcpus.on_end = on_vcpus_end;
	vm->vcpus.ctx = vm;

	vm->host = (struct device_host){
		.mem = &vm->mem,
		.loop = loop,
		.lock = &vm->dev_lock,
		.iov = vm->device_iov,
		.pio = &vm->pio,
		.mmio = &vm->mmio,
		.kvm_vm_fd = -1,
		.serial_out_fd = opts->serial_out_fd,
		.port_fd_count = opts->port_fd_count,
		.restore_mem_fd = -1,
		.on_reset = on_guest_reset,
		.on_reset_ctx = vm,
	};
	for (unsigned i = 0; i < opts->port_fd_count && i < DEVICE_MAX_PORT_FDS; i++) {
		vm->host.port_fd[i].port = opts->port_fd[i].port;
		vm->host.port_fd[i].fd = opts->port_fd[i].fd;
	}
	*ret_vm = vm;
	return 0;
}

static void on_async_closed(uv_handle_t *handle)
{
	munmap(handle->data, sizeof(struct vm));
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vcpu_set_fini(&vm->vcpus);
	recorder_finish(vm->recorder);
	vm_reset_free(vm->reset);
	free(vm->cpuid);
	devtable_destroy(&vm->devices);
	kvm_fini(&vm->kvm);
	gmem_fini(&vm->mem);
	if (vm->mem_fd >= 0)
		close(vm->mem_fd);
	pthread_mutex_destroy(&vm->dev_lock);
	if (vm->ended_open)
		uv_close((uv_handle_t *)&vm->ended, on_async_closed);
	else
		munmap(vm, sizeof(*vm));
}

enum vm_state vm_get_state(const struct vm *vm)
{
	return vm->state;
}

const struct vmconfig *vm_get_config(const struct vm *vm)
{
	return &vm->cfg;
}

/* ---- building ---- */

int vm_create_machine(struct vm *vm, struct stk_err *err)
{
	int r = vcpu_set_start(&vm->vcpus, vm->cfg.vcpu_count, err);

	stages_mark("vcpu threads");
	if (r == 0)
		r = kvm_open(&vm->kvm, err);
	stages_mark("open kvm");
	if (r == 0)
		r = kvm_create_vm(&vm->kvm, err);
	stages_mark("create vm");
	if (r == 0)
		r = kvm_set_memory(&vm->kvm, &vm->mem, err);
	stages_mark("memory slots");
	if (r == 0)
		r = kvm_create_irqchip(&vm->kvm, err);
	stages_mark("irqchip");
	if (r == 0)
		r = vcpu_set_create(&vm->vcpus, &vm->kvm, err);
	stages_mark("create vcpus");
	vm->host.kvm_vm_fd = vm->kvm.vm_fd;
	vm->made = r == 0;
	return r;
}

int vm_prepare(struct vm *vm, unsigned mem_size_mib, unsigned vcpu_count, struct stk_err *err)
{
	int r = gmem_reserve(&vm->mem, (uint64_t)mem_size_mib << 20, err);

	vm->cfg.mem_size_mib = mem_size_mib;
	vm->cfg.vcpu_count = vcpu_count;
	return r == 0 ? vm_create_machine(vm, err) : r;
}

int vm_make_shell(struct vm *vm, unsigned mem_size_mib, unsigned vcpu_count, struct stk_err *err)
{
	int r;

	if (vm->used || vm->made || vm->cpuid)
		return stk_err_set(err, -EBUSY, "the microVM has been started already");
	vm->cpuid = malloc(sizeof(*vm->cpuid));
	if (!vm->cpuid)
		return stk_err_sys(err, -ENOMEM, "microVM");
	r = vm_prepare(vm, mem_size_mib, vcpu_count, err);
	if (r == 0)
		r = vcpu_set_wait_started(&vm->vcpus, err);
	if (r == 0)
		r = warmup_vcpus(&vm->kvm, &vm->vcpus, vm->cpuid, err);
	if (r == 0)
		warmup_process();
	if (r == 0 && vm->opts.seccomp)
		r = jail_seccomp_install(JAIL_VMM_SHELL, err);
	vm->shell = r == 0;
	return r;
}

int vm_lend_stream(struct vm *vm, uint32_t port, int fd)
{
	if (vm->host.port_fd_count == DEVICE_MAX_PORT_FDS)
		return -ENOSPC;
	vm->host.port_fd[vm->host.port_fd_count].port = port;
	vm->host.port_fd[vm->host.port_fd_count].fd = fd;
	vm->host.port_fd_count++;
	return 0;
}

int vm_create_devices(struct vm *vm, struct stk_err *err)
{
	int r = devtable_create(&vm->devices, &vm->cfg, &vm->host, err);

	stages_mark("devices");
	return r;
}

static void devices_resume(struct vm *vm)
{
	pthread_mutex_lock(&vm->dev_lock);
	for (unsigned i = 0; i < vm->devices.count; i++) {
		struct device *d = vm->devices.dev[i];

		if (d->ops->resume)
			d->ops->resume(d);
	}
	pthread_mutex_unlock(&vm->dev_lock);
}

void vm_quiesce_devices(struct vm *vm)
{
	pthread_mutex_lock(&vm->dev_lock);
	for (unsigned i = 0; i < vm->devices.count; i++) {
		struct device *d = vm->devices.dev[i];

		if (d->ops->quiesce)
			d->ops->quiesce(d);
	}
	pthread_mutex_unlock(&vm->dev_lock);
}

int vm_start(struct vm *vm, bool run, struct stk_err *err)
{
	int r = vcpu_set_wait_started(&vm->vcpus, err);

	stages_mark("vcpus confined");
	if (r < 0)
		return r;
	vm->state = VM_PAUSED;
	if (vm->opts.seccomp && !vm->shell) {
		r = jail_seccomp_install(vm->reset ? JAIL_VMM_REUSABLE : JAIL_VMM_MAIN, err);
		stages_mark("confined");
	}
	if (r == 0 && run)
		r = vm_resume(vm, err);
	stages_mark_running();
	stages_mark("resume");
	return r;
}

/* ---- boot ---- */

/* XCR0 starts out as what the kernel is going to write to it. On hosts that are themselves emulated
 * (QEMU's TCG with nested SVM) that write does not leave the guest: KVM would go on with the reset
 * value and load it at every entry, and the guest's XSAVE would silently leave out the XMM and YMM
 * registers. */
static int boot_xcr0(int fd, const struct cpuid_table *cpuid, struct stk_err *err)
{
	struct kvm_xcrs xcrs;

	memset(&xcrs, 0, sizeof(xcrs));
	xcrs.nr_xcrs = 1;
	xcrs.xcrs[0].value = cpuid_xcr0(cpuid);
	return xcrs.xcrs[0].value ? KVM_CALL(fd, KVM_SET_XCRS, &xcrs, err) : 0;
}

static int boot_vcpu(struct vm *vm, unsigned i, struct cpuid_table *cpuid, const struct boot_entry *entry,
		     struct stk_err *err)
{
	int fd = vm->vcpus.vcpu[i].fd;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	int r;

	cpuid_for_vcpu(cpuid, i, vm->cfg.vcpu_count);
	r = KVM_CALL(fd, KVM_SET_CPUID2, cpuid, err);
	if (r >= 0)
		r = boot_xcr0(fd, cpuid, err);
	if (r >= 0)
		r = msr_boot(fd, err);
	if (r < 0 || i > 0) /* the others wait for the boot processor's start-up message */
		return r;
	r = KVM_CALL(fd, KVM_GET_SREGS, &sregs, err);
	if (r < 0)
		return r;
	boot_regs(entry, &sregs, &regs);
	r = KVM_CALL(fd, KVM_SET_SREGS, &sregs, err);
	if (r >= 0)
		r = KVM_CALL(fd, KVM_SET_REGS, &regs, err);
	return r;
}

/* root= that the caller gave stands for itself. */
static bool names_root(const char *args)
{
	const char *at = args;

	while ((at = strstr(at, "root=")) != NULL) {
		if (at == args || at[-1] == ' ')
			return true;
		at++;
	}
	return false;
}

/* What the caller wants, the root drive (the first, so vda) and the devices' windows. */
static int make_cmdline(const struct vm *vm, char *cmdline, size_t size, struct stk_err *err)
{
	const struct vmconfig_drive *root = &vm->cfg.drive[0];
	size_t len = strlen(vm->cfg.boot_args);
	int r = stk_strcpy(cmdline, size, vm->cfg.boot_args);

	if (r == 0 && vm->cfg.drive_count && root->is_root && !names_root(cmdline))
		r = stk_strcpy(cmdline + len, size - len, root->read_only ? " root=/dev/vda ro" : " root=/dev/vda rw");
	if (r == 0)
		r = devtable_cmdline(&vm->devices, cmdline, size);
	return r < 0 ? stk_err_set(err, r, "boot_args and devices exceed %u bytes of kernel command line",
				   LAYOUT_CMDLINE_MAX - 1) : 0;
}

static int boot_machine(struct vm *vm, struct stk_err *err)
{
	char cmdline[LAYOUT_CMDLINE_MAX];
	struct cpuid_table cpuid;
	struct boot_entry entry;
	int r = gmem_init_anon(&vm->mem, (uint64_t)vm->cfg.mem_size_mib << 20, err);

	if (r == 0)
		r = vm_create_machine(vm, err);
	if (r == 0)
		r = vm_create_devices(vm, err);
	if (r == 0)
		r = make_cmdline(vm, cmdline, sizeof(cmdline), err);
	if (r == 0)
		r = boot_load(&vm->mem, &vm->cfg, cmdline, &entry, err);
	stages_mark("load kernel");
	if (r == 0)
		r = cpuid_host(vm->kvm.sys_fd, &cpuid, err);
	for (unsigned i = 0; r >= 0 && i < vm->cfg.vcpu_count; i++)
		r = boot_vcpu(vm, i, &cpuid, &entry, err);
	stages_mark("vcpu state");
	return r < 0 ? r : 0;
}

int vm_boot(struct vm *vm, const struct vmconfig *cfg, struct stk_err *err)
{
	int r;

	if (vm->used)
		return stk_err_set(err, -EBUSY, "the microVM has been started already");
	r = vmconfig_check(cfg, err);
	if (r < 0)
		return r;
	vm->used = true;
	vm->cfg = *cfg;
	r = boot_machine(vm, err);
	if (r == 0)
		r = vm_start(vm, true, err);
	if (r < 0)
		vm->state = VM_STOPPED;
	return r;
}

/* ---- pause and resume ---- */

static int check_alive(const struct vm *vm, struct stk_err *err)
{
	if (vm->state == VM_NEW)
		return stk_err_set(err, -EINVAL, "the microVM has not been started");
	if (vm->state == VM_STOPPED)
		return stk_err_set(err, -ESHUTDOWN, "the microVM has ended");
	return 0;
}

int vm_pause(struct vm *vm, struct stk_err *err)
{
	int r = check_alive(vm, err);

	if (r < 0 || vm->state == VM_PAUSED)
		return r;
	r = vcpu_set_park(&vm->vcpus, err);
	if (r < 0)
		return r;
	/* Tells the guest's watchdogs about the gap. Not every guest has asked for it. */
	for (unsigned i = 0; i < vm->vcpus.count; i++)
		(void)ioctl(vm->vcpus.vcpu[i].fd, KVM_KVMCLOCK_CTRL, NULL);
	vm_quiesce_devices(vm);
	vm->state = VM_PAUSED;
	return 0;
}

int vm_resume(struct vm *vm, struct stk_err *err)
{
	int r = check_alive(vm, err);

	if (r < 0 || vm->state == VM_RUNNING)
		return r;
	devices_resume(vm);
	vcpu_set_resume(&vm->vcpus);
	vm->state = VM_RUNNING;
	return 0;
}
