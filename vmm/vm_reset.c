/* Back to the snapshot in the same process (vm.h, vm_reset): what the guest did is undone, and no call to KVM is made
 * that a clone in a new process could do without.
 *
 *   vCPUs park -> devices still -> devices forget -> vCPUs, interrupt controllers, clock -> memory -> devices -> run
 *
 * Where each part of the old life could hide, and what becomes of it:
 *   a port or MMIO access in flight    finished by parking (vcpu.h), its effect undone with the rest
 *   registers, APIC timer, events      set; of the MSRs all that can be set, zeros too: what KVM keeps behind them
 *                                      (asynchronous faults, steal time, pending deadline) goes with them
 *   memory                             put back (putback.h), after all that may still write to it: KVM does so behind
 *                                      kvmclock and the like until the MSRs are set
 *   translations in the TLB            flushed: see flush_tlb
 *   disks                              written parts of the mappings are dropped (blk_file.h); block I/O is done by
 *                                      this very thread, so none is in flight
 *   vsock                              streams, buffers and owed packets are dropped; a lent stream is emptied here,
 *                                      and the other side is told where the old life's bytes end
 *   interrupts                         raised by this thread and the vCPUs' (KVM_IRQ_LINE), so none is on its way; what
 *                                      the controllers hold is set
 *   doorbells                          one too many makes a device look at its queues, no more */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "vmm/faultcount.h"
#include "vmm/putback.h"
#include "vmm/vm_internal.h"
#include "vmm/x86/msr.h"
#include "vmm/x86/regs.h"

#define PAGE       4096u
#define CR0_PAGING 0x80000000ULL
#define CR3_FRAME  0x000ffffffffff000ULL

struct saved_device {
	uint8_t *blob; /* heap */
	size_t len;
	uint32_t version;
};

struct vm_reset {
	struct snap_vm shared;
	struct snap_vcpu *vcpu; /* heap, one for each */
	unsigned vcpu_count;
	struct saved_device dev[DEVICE_MAX];
	struct putback *pages;
	struct faultcount faults;
	struct faultcount_value seen;
	bool seen_valid;
	uint64_t count;
};

/* ---- once ---- */

/* With shadow page tables KVM would have to be told of every page table that is put back. */
static bool has_nested_paging(void)
{
	static const char *const paths[] = {"/sys/module/kvm_intel/parameters/ept",
					    "/sys/module/kvm_amd/parameters/npt"};

	for (unsigned i = 0; i < STK_ARRAY_LEN(paths); i++) {
		stk_autofd fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		char c;

		if (fd >= 0 && read(fd, &c, 1) == 1 && (c == 'Y' || c == '1'))
			return true;
	}
	return false;
}

static int keep_vcpus(struct vm_reset *r, const struct vm *vm, const struct snap_file *f, struct stk_err *err)
{
	int rc = 0;

	r->vcpu_count = vm->vcpus.count;
	r->vcpu = calloc(r->vcpu_count, sizeof(r->vcpu[0]));
	if (!r->vcpu)
		return stk_err_sys(err, -ENOMEM, "vCPUs");
	for (unsigned i = 0; rc == 0 && i < r->vcpu_count; i++) {
		struct stk_rd rd;

		rc = snap_snapfile_section(f, SNAP_SECTION_VCPU, i, &rd, err);
		if (rc == 0)
			rc = snap_vcpu_decode(&rd, &r->vcpu[i], err);
		if (rc == 0)
			rc = msr_complete(vm->kvm.sys_fd, vm->vcpus.vcpu[i].fd, &r->vcpu[i], err);
	}
	return rc;
}

static int keep_devices(struct vm_reset *r, const struct vm *vm, const struct snap_file *f, struct stk_err *err)
{
	for (unsigned i = 0; i < vm->devices.count; i++) {
		struct saved_device *s = &r->dev[i];
		struct snap_device head;
		struct stk_rd rd;
		int rc = snap_snapfile_section(f, SNAP_SECTION_DEVICE, i, &rd, err);

		if (rc == 0)
			rc = snap_device_decode(&rd, &head, err);
		if (rc < 0)
			return rc;
		s->version = head.version;
		s->len = rd.left;
		s->blob = malloc(s->len + 1);
		if (!s->blob)
			return stk_err_sys(err, -ENOMEM, "devices");
		memcpy(s->blob, rd.p, s->len);
	}
	return 0;
}

static int prepare(struct vm_reset *r, struct vm *vm, const struct snap_file *f, struct stk_err *err)
{
	int rc = keep_vcpus(r, vm, f, err);

	if (rc == 0 && !has_nested_paging())
		rc = stk_err_set(err, -ENOTSUP, "KVM has no nested paging here");
	if (rc == 0 && !(r->vcpu[0].cr0 & CR0_PAGING)) /* flush_tlb needs it */
		rc = stk_err_set(err, -ENOTSUP, "the snapshot's guest has no paging yet");
	for (unsigned i = 0; rc == 0 && i < vm->cfg.drive_count; i++) {
		if (!vm->cfg.drive[i].read_only && !vm->cfg.drive[i].copy_on_write)
			rc = stk_err_set(err, -EROFS, "drive %s is written in place", vm->cfg.drive[i].id);
	}
	if (rc == 0)
		rc = keep_devices(r, vm, f, err);
	if (rc == 0)
		rc = putback_new(vm->mem.base, vm->mem.size, vm->mem_fd, &r->pages, err);
	if (rc == 0 && faultcount_open(&r->faults, &vm->vcpus) < 0)
		stk_debug("KVM does not count page faults: each reset looks for written pages");
	return rc;
}

void vm_reset_prepare(struct vm *vm, const struct snap_file *f, const struct snap_vm *v)
{
	struct vm_reset *r = calloc(1, sizeof(*r));
	struct stk_err err = {0};

	if (r) {
		r->shared = *v;
		if (prepare(r, vm, f, &err) == 0) {
			vm->reset = r;
			return;
		}
	}
	stk_warn("this VM cannot be reset: %s", r ? err.text : "out of memory");
	vm_reset_free(r);
}

void vm_reset_free(struct vm_reset *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < DEVICE_MAX; i++)
		free(r->dev[i].blob);
	putback_free(r->pages);
	faultcount_close(&r->faults);
	free(r->vcpu);
	free(r);
}

/* ---- each time ---- */

static int rewind_devices(struct vm *vm, struct stk_err *err)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < vm->devices.count; i++) {
		struct device *d = vm->devices.dev[i];

		if (d->ops->rewind)
			rc = d->ops->rewind(d, err);
	}
	return rc;
}

static int restore_devices(struct vm *vm, struct stk_err *err)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < vm->devices.count; i++) {
		const struct saved_device *s = &vm->reset->dev[i];
		struct device *d = vm->devices.dev[i];
		struct stk_rd rd = stk_rd_init(s->blob, s->len);

		rc = d->ops->restore(d, &rd, s->version, err);
		if (rc < 0)
			stk_err_prefix(err, "device %s", d->id);
	}
	return rc;
}

static int rewind_vcpus(struct vm *vm, struct stk_err *err)
{
	struct vm_reset *r = vm->reset;
	uint64_t host_tsc = vm_host_tsc(vm);
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < r->vcpu_count; i++)
		rc = regs_rewind(vm->vcpus.vcpu[i].fd, &r->vcpu[i], host_tsc, err);
	return rc;
}

/* The page tables are about to change under the guest's feet. Taking a page away from it makes KVM flush all of its
 * translations (Linux promises that nobody reaches an unmapped page any more), provided the guest had it mapped. The
 * root of the page tables at the snapshot it had: no instruction of a life can be executed before the processor has
 * walked through it. The page is given its memory here, so that the guest's first fault is no fault of ours as well. */
static int flush_tlb(struct vm *vm, struct stk_err *err)
{
	for (unsigned i = 0; i < vm->reset->vcpu_count; i++) {
		uint64_t root = vm->reset->vcpu[i].cr3 & CR3_FRAME;
		volatile uint8_t *p = gmem_ptr(&vm->mem, gpa(root), PAGE);

		if (!p)
			continue;
		if (madvise((void *)(uintptr_t)p, PAGE, MADV_DONTNEED) < 0)
			return stk_err_sys(err, -errno, "flush of the guest's TLB");
		*p = *p;
	}
	return 0;
}

/* A life's first guest fault is the one that flush_tlb has prepared. */
static bool may_have_new_pages(const struct vm_reset *r)
{
	uint64_t expected = r->vcpu_count == 1 ? 1 : 0;
	struct faultcount_value now;

	return !r->seen_valid || faultcount_read(&r->faults, &now) < 0 || now.own != r->seen.own ||
	       now.guest - r->seen.guest > expected;
}

static int put_memory_back(struct vm *vm, uint64_t *ret_pages, struct stk_err *err)
{
	struct vm_reset *r = vm->reset;
	int rc = may_have_new_pages(r) ? putback_find(r->pages, err) : 0;

	if (rc == 0)
		rc = flush_tlb(vm, err);
	if (rc < 0)
		return rc;
	*ret_pages = putback_run(r->pages);
	/* Faults up to here were of pages that are known. */
	r->seen_valid = faultcount_read(&r->faults, &r->seen) == 0;
	return 0;
}

static int reset(struct vm *vm, struct vm_reset_done *ret_done, uint64_t *ret_pages, struct stk_err *err)
{
	int rc;

	pthread_mutex_lock(&vm->dev_lock);
	rc = rewind_devices(vm, err);
	ret_done->lent_bytes = devtable_vsock_lent_bytes(&vm->devices);
	if (rc == 0)
		rc = rewind_vcpus(vm, err);
	if (rc == 0)
		rc = vm_restore_shared(vm, &vm->reset->shared, err);
	if (rc == 0)
		rc = put_memory_back(vm, ret_pages, err);
	if (rc == 0)
		rc = restore_devices(vm, err);
	pthread_mutex_unlock(&vm->dev_lock);
	return rc;
}

int vm_reset(struct vm *vm, struct vm_reset_done *ret_done, struct stk_err *err)
{
	uint64_t begin = stk_now_ns(), pages = 0;
	int rc;

	*ret_done = (struct vm_reset_done){0};
	if (!vm->reset || vm->state != VM_RUNNING)
		return stk_err_set(err, -EINVAL, "this VM cannot be reset");
	rc = vcpu_set_park(&vm->vcpus, err);
	if (rc < 0)
		return rc;
	vm_quiesce_devices(vm);
	vm->state = VM_PAUSED;
	rc = reset(vm, ret_done, &pages, err);
	if (rc == 0)
		rc = vm_resume(vm, err);
	if (rc < 0) {
		stk_err_prefix(err, "reset");
		return rc;
	}
	vm->reset->count++;
	ret_done->ns = stk_now_ns() - begin;
	stk_debug("reset %llu: %llu pages, %llu us", (unsigned long long)vm->reset->count, (unsigned long long)pages,
		  (unsigned long long)ret_done->ns / 1000);
	return 0;
}
