/* MSRs: see msr.h. */
#include "vmm/x86/msr.h"

#include <asm/kvm_para.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "vmm/kvm.h"

/* A struct kvm_msr_list and a struct kvm_msrs with room. */
struct msr_list {
	uint32_t nmsrs;
	uint32_t index[512];
};

struct msr_set {
	struct {
		uint32_t nmsrs, pad;
	} head;
	struct kvm_msr_entry entry[SNAP_MAX_MSRS];
};
_Static_assert(offsetof(struct msr_list, index) == sizeof(struct kvm_msr_list), "layout");
_Static_assert(offsetof(struct msr_set, entry) == sizeof(struct kvm_msrs), "layout");

/* Set by other means, or made anew by every write of the guest. */
static bool not_saved(uint32_t index)
{
	if (index >= 0x40000000 && index <= 0x400001ff) /* Hyper-V's: not offered to the guest */
		return true;
	switch (index) {
	case 0x10:                   /* TSC: set through its offset */
	case 0x1b:                   /* APIC base: in the special registers */
	case MSR_KVM_SYSTEM_TIME:    /* the same as the _NEW one */
	case MSR_KVM_WALL_CLOCK:     /* writing it writes guest memory; asked for anew each time */
	case MSR_KVM_WALL_CLOCK_NEW:
		return true;
	default:
		return false;
	}
}

/* A fresh vCPU has something other than 0 here, so a 0 counts too. */
static bool zero_matters(uint32_t index)
{
	switch (index) {
	case 0x3a:  /* feature control */
	case 0x8b:  /* microcode revision */
	case 0xce:  /* platform info */
	case 0x10a: /* architecture capabilities */
	case 0x17b: /* machine check control */
	case 0x1a0: /* misc enable */
	case 0x277: /* PAT */
	case MSR_KVM_POLL_CONTROL: /* host-side polling is on */
		return true;
	default:
		return false;
	}
}

/* The MSRs KVM names, and in set those of them that belong into a saved state; values not yet read. */
static int list_msrs(int kvm_fd, struct msr_set *set, unsigned *ret_n, struct stk_err *err)
{
	stk_autofree struct msr_list *list = calloc(1, sizeof(*list));
	unsigned n = 0;
	int r;

	if (!list)
		return stk_err_sys(err, -ENOMEM, "reading MSRs");
	list->nmsrs = STK_ARRAY_LEN(list->index);
	r = KVM_CALL(kvm_fd, KVM_GET_MSR_INDEX_LIST, list, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < list->nmsrs; i++) {
		if (not_saved(list->index[i]))
			continue;
		if (n == SNAP_MAX_MSRS)
			return stk_err_set(err, -EFBIG, "KVM names more than %u MSRs", SNAP_MAX_MSRS);
		set->entry[n++].index = list->index[i];
	}
	*ret_n = n;
	return 0;
}

/* all: also those that are 0 as in a fresh vCPU. */
static int read_msrs(int kvm_fd, int vcpu_fd, bool all, struct snap_vcpu *vcpu, struct stk_err *err)
{
	stk_autofree struct msr_set *set = calloc(1, sizeof(*set));
	unsigned n = 0;
	int r;

	if (!set)
		return stk_err_sys(err, -ENOMEM, "reading MSRs");
	r = list_msrs(kvm_fd, set, &n, err);
	if (r < 0)
		return r;
	vcpu->msr_count = 0;
	/* KVM stops at the first one that the guest's CPUID does not have: leave it out, go on. */
	for (unsigned at = 0; at < n;) {
		struct msr_set *part = set;
		unsigned got;

		if (at > 0)
			memmove(part->entry, part->entry + at, (n - at) * sizeof(part->entry[0]));
		n -= at;
		part->head.nmsrs = n;
		r = KVM_CALL(vcpu_fd, KVM_GET_MSRS, part, err);
		if (r < 0)
			return r;
		got = (unsigned)r < n ? (unsigned)r : n;
		for (unsigned i = 0; i < got; i++) {
			const struct kvm_msr_entry *e = &part->entry[i];

			if (all || e->data != 0 || zero_matters(e->index))
				vcpu->msr[vcpu->msr_count++] = (struct snap_msr){e->index, e->data};
		}
		at = got + (got < n);
		if (at >= n)
			break;
	}
	return 0;
}

int msr_save(int kvm_fd, int vcpu_fd, struct snap_vcpu *vcpu, struct stk_err *err)
{
	return read_msrs(kvm_fd, vcpu_fd, false, vcpu, err);
}

static int set_msrs(int vcpu_fd, struct msr_set *set, struct stk_err *err)
{
	int r = KVM_CALL(vcpu_fd, KVM_SET_MSRS, set, err);

	if (r < 0)
		return r;
	if ((unsigned)r != set->head.nmsrs)
		return stk_err_set(err, -EINVAL, "KVM refuses MSR 0x%x = 0x%llx",
				   set->entry[(unsigned)r < SNAP_MAX_MSRS ? (unsigned)r : 0].index,
				   (unsigned long long)set->entry[(unsigned)r < SNAP_MAX_MSRS ? (unsigned)r : 0].data);
	return 0;
}

int msr_restore(int vcpu_fd, const struct snap_vcpu *vcpu, struct stk_err *err)
{
	struct msr_set set;
	const struct snap_msr *deadline = NULL;

	set.head.nmsrs = 0;
	set.head.pad = 0;
	for (unsigned i = 0; i < vcpu->msr_count && i < SNAP_MAX_MSRS; i++) {
		const struct snap_msr *m = &vcpu->msr[i];

		if (not_saved(m->index))
			return stk_err_set(err, -EINVAL, "snapshot state: MSR 0x%x has no place there", m->index);
		if (m->index == MSR_TSC_DEADLINE) {
			deadline = m;
			continue;
		}
		set.entry[set.head.nmsrs++] = (struct kvm_msr_entry){.index = m->index, .data = m->value};
	}
	if (deadline)
		set.entry[set.head.nmsrs++] =
			(struct kvm_msr_entry){.index = deadline->index, .data = deadline->value};
	return set.head.nmsrs ? set_msrs(vcpu_fd, &set, err) : 0;
}

int msr_complete(int kvm_fd, int vcpu_fd, struct snap_vcpu *vcpu, struct stk_err *err)
{
	struct msr_set one = {.head = {.nmsrs = 1}};
	unsigned kept = 0;
	int r = read_msrs(kvm_fd, vcpu_fd, true, vcpu, err);

	/* Some can be read but not written; the guest cannot have written them either. */
	for (unsigned i = 0; r == 0 && i < vcpu->msr_count; i++) {
		one.entry[0] = (struct kvm_msr_entry){.index = vcpu->msr[i].index, .data = vcpu->msr[i].value};
		if (KVM_CALL(vcpu_fd, KVM_SET_MSRS, &one, err) == 1)
			vcpu->msr[kept++] = vcpu->msr[i];
	}
	vcpu->msr_count = kept;
	return r;
}

int msr_boot(int vcpu_fd, struct stk_err *err)
{
	struct msr_set set;

	set.head.nmsrs = 2;
	set.head.pad = 0;
	set.entry[0] = (struct kvm_msr_entry){.index = 0x1a0, .data = 1};          /* fast strings */
	set.entry[1] = (struct kvm_msr_entry){.index = 0x2ff, .data = 1 << 11 | 6}; /* MTRRs: write-back */
	return set_msrs(vcpu_fd, &set, err);
}
