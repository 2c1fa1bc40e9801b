/* vCPU state: see regs.h. */
#include "vmm/x86/regs.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "vmm/kvm.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/msr.h"

#define GPRS(X) \
	X(rax) X(rbx) X(rcx) X(rdx) X(rsi) X(rdi) X(rsp) X(rbp) X(r8) X(r9) X(r10) X(r11) X(r12) X(r13) \
	X(r14) X(r15) X(rip) X(rflags)
#define SEGS(X) X(cs) X(ds) X(es) X(fs) X(gs) X(ss) X(tr) X(ldt)

_Static_assert(sizeof(((struct snap_vcpu *)0)->lapic) == sizeof(struct kvm_lapic_state), "LAPIC page");
_Static_assert(sizeof(((struct snap_vcpu *)0)->xsave) == sizeof(struct kvm_xsave), "XSAVE area");

static struct snap_seg seg_save(const struct kvm_segment *s)
{
	return (struct snap_seg){s->base, s->limit, s->selector, s->type, s->present, s->dpl,
				 s->db, s->s, s->l, s->g, s->avl, s->unusable};
}

static struct kvm_segment seg_restore(const struct snap_seg *s)
{
	return (struct kvm_segment){
		.base = s->base, .limit = s->limit, .selector = s->selector, .type = s->type,
		.present = s->present, .dpl = s->dpl, .db = s->db, .s = s->s, .l = s->l, .g = s->g,
		.avl = s->avl, .unusable = s->unusable,
	};
}

static int save_regs(int fd, struct snap_vcpu *v, struct stk_err *err)
{
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	struct kvm_sregs s;
	int r = KVM_CALL(fd, KVM_GET_MP_STATE, &mp, err);

	if (r >= 0)
		r = KVM_CALL(fd, KVM_GET_REGS, &regs, err);
	if (r >= 0)
		r = KVM_CALL(fd, KVM_GET_SREGS, &s, err);
	if (r < 0)
		return r;
	v->mp_state = mp.mp_state;
#define X(name) v->name = regs.name;
	GPRS(X)
#undef X
#define X(name) v->name = seg_save(&s.name);
	SEGS(X)
#undef X
	v->gdt_base = s.gdt.base;
	v->gdt_limit = s.gdt.limit;
	v->idt_base = s.idt.base;
	v->idt_limit = s.idt.limit;
	v->cr0 = s.cr0;
	v->cr2 = s.cr2;
	v->cr3 = s.cr3;
	v->cr4 = s.cr4;
	v->cr8 = s.cr8;
	v->efer = s.efer;
	v->apic_base = s.apic_base;
	memcpy(v->interrupt_bitmap, s.interrupt_bitmap, sizeof(v->interrupt_bitmap));
	return 0;
}

static int restore_regs(int fd, const struct snap_vcpu *v, struct stk_err *err)
{
	struct kvm_regs regs;
	struct kvm_sregs s;
	int r;

	memset(&s, 0, sizeof(s));
#define X(name) regs.name = v->name;
	GPRS(X)
#undef X
#define X(name) s.name = seg_restore(&v->name);
	SEGS(X)
#undef X
	s.gdt.base = v->gdt_base;
	s.gdt.limit = v->gdt_limit;
	s.idt.base = v->idt_base;
	s.idt.limit = v->idt_limit;
	s.cr0 = v->cr0;
	s.cr2 = v->cr2;
	s.cr3 = v->cr3;
	s.cr4 = v->cr4;
	s.cr8 = v->cr8;
	s.efer = v->efer;
	s.apic_base = v->apic_base;
	memcpy(s.interrupt_bitmap, v->interrupt_bitmap, sizeof(s.interrupt_bitmap));
	r = KVM_CALL(fd, KVM_SET_REGS, &regs, err);
	if (r >= 0)
		r = KVM_CALL(fd, KVM_SET_SREGS, &s, err);
	return r;
}

static int save_events(int fd, struct snap_vcpu *v, struct stk_err *err)
{
	struct kvm_vcpu_events e;
	int r;

	memset(&e, 0, sizeof(e));
	r = KVM_CALL(fd, KVM_GET_VCPU_EVENTS, &e, err);
	if (r < 0)
		return r;
	v->exception_injected = e.exception.injected;
	v->exception_nr = e.exception.nr;
	v->exception_has_error_code = e.exception.has_error_code;
	v->exception_pending = e.exception.pending;
	v->exception_error_code = e.exception.error_code;
	v->exception_has_payload = e.exception_has_payload;
	v->exception_payload = e.exception_payload;
	v->interrupt_injected = e.interrupt.injected;
	v->interrupt_nr = e.interrupt.nr;
	v->interrupt_soft = e.interrupt.soft;
	v->interrupt_shadow = e.interrupt.shadow;
	v->nmi_injected = e.nmi.injected;
	v->nmi_pending = e.nmi.pending;
	v->nmi_masked = e.nmi.masked;
	v->sipi_vector = e.sipi_vector;
	v->event_flags = e.flags;
	v->smi_smm = e.smi.smm;
	v->smi_pending = e.smi.pending;
	v->smi_inside_nmi = e.smi.smm_inside_nmi;
	v->smi_latched_init = e.smi.latched_init;
	return 0;
}

static int restore_events(int fd, const struct snap_vcpu *v, struct stk_err *err)
{
	struct kvm_vcpu_events e;

	memset(&e, 0, sizeof(e));
	e.exception.injected = v->exception_injected;
	e.exception.nr = v->exception_nr;
	e.exception.has_error_code = v->exception_has_error_code;
	e.exception.pending = v->exception_pending;
	e.exception.error_code = v->exception_error_code;
	e.exception_has_payload = v->exception_has_payload;
	e.exception_payload = v->exception_payload;
	e.interrupt.injected = v->interrupt_injected;
	e.interrupt.nr = v->interrupt_nr;
	e.interrupt.soft = v->interrupt_soft;
	e.interrupt.shadow = v->interrupt_shadow;
	e.nmi.injected = v->nmi_injected;
	e.nmi.pending = v->nmi_pending;
	e.nmi.masked = v->nmi_masked;
	e.sipi_vector = v->sipi_vector;
	e.flags = v->event_flags | KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	e.smi.smm = v->smi_smm;
	e.smi.pending = v->smi_pending;
	e.smi.smm_inside_nmi = v->smi_inside_nmi;
	e.smi.latched_init = v->smi_latched_init;
	return KVM_CALL(fd, KVM_SET_VCPU_EVENTS, &e, err);
}

static int save_fpu(int fd, struct snap_vcpu *v, struct stk_err *err)
{
	struct kvm_xcrs xcrs;
	struct kvm_xsave xsave;
	int r;

	memset(&xcrs, 0, sizeof(xcrs));
	memset(&xsave, 0, sizeof(xsave));
	r = KVM_CALL(fd, KVM_GET_XSAVE, &xsave, err);
	if (r >= 0)
		r = KVM_CALL(fd, KVM_GET_XCRS, &xcrs, err);
	if (r < 0)
		return r;
	memcpy(v->xsave, &xsave, sizeof(v->xsave));
	v->has_xcr0 = xcrs.nr_xcrs > 0;
	v->xcr0 = xcrs.nr_xcrs > 0 ? xcrs.xcrs[0].value : 0;
	return 0;
}

static int restore_fpu(int fd, const struct snap_vcpu *v, struct stk_err *err)
{
	struct kvm_xcrs xcrs;
	int r = KVM_CALL(fd, KVM_SET_XSAVE, (void *)(uintptr_t)v->xsave, err);

	if (r < 0 || !v->has_xcr0)
		return r;
	memset(&xcrs, 0, sizeof(xcrs));
	xcrs.nr_xcrs = 1;
	xcrs.xcrs[0].value = v->xcr0;
	return KVM_CALL(fd, KVM_SET_XCRS, &xcrs, err);
}

static int save_debug(int fd, struct snap_vcpu *v, struct stk_err *err)
{
	struct kvm_debugregs d;
	int r = KVM_CALL(fd, KVM_GET_DEBUGREGS, &d, err);

	if (r < 0)
		return r;
	v->db0 = d.db[0];
	v->db1 = d.db[1];
	v->db2 = d.db[2];
	v->db3 = d.db[3];
	v->dr6 = d.dr6;
	v->dr7 = d.dr7;
	v->debug_flags = d.flags;
	return 0;
}

static int restore_debug(int fd, const struct snap_vcpu *v, struct stk_err *err)
{
	struct kvm_debugregs d = {
		.db = {v->db0, v->db1, v->db2, v->db3},
		.dr6 = v->dr6,
		.dr7 = v->dr7,
		.flags = v->debug_flags,
	};

	return KVM_CALL(fd, KVM_SET_DEBUGREGS, &d, err);
}

static int tsc_offset(int fd, unsigned long req, const char *name, uint64_t *value, struct stk_err *err)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)value,
	};

	return kvm_ioctl(fd, req, &attr, name, err);
}

static int save_cpuid(int fd, struct snap_vcpu *v, struct stk_err *err)
{
	struct cpuid_table t;
	int r = cpuid_of_vcpu(fd, &t, err);

	if (r < 0)
		return r;
	if (t.head.nent > SNAP_MAX_CPUID)
		return stk_err_set(err, -EFBIG, "more than %u CPUID entries", SNAP_MAX_CPUID);
	v->cpuid_count = t.head.nent;
	for (unsigned i = 0; i < t.head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &t.entry[i];

		v->cpuid[i] = (struct snap_cpuid){e->function, e->index, e->flags, e->eax, e->ebx, e->ecx, e->edx};
	}
	return 0;
}

/* Bits that KVM itself keeps up to date with other registers. */
static void drop_changing_bits(uint32_t function, uint32_t index, uint32_t out[4])
{
	enum { EAX, EBX, ECX, EDX };

	if (function == 1) {
		out[ECX] &= ~(1u << 27 | 1u << 3); /* OSXSAVE, MONITOR */
		out[EDX] &= ~(1u << 9);            /* APIC is on */
	} else if (function == 7 && index == 0) {
		out[ECX] &= ~(1u << 4); /* OSPKE */
	} else if (function == 0xd && index <= 1) {
		out[EBX] = 0; /* size of what XCR0 and XSS have switched on */
	} else if (function == 0x40000001) {
		out[EAX] &= ~(1u << 7); /* PV_UNHALT */
	}
}

bool regs_same_cpuid(const struct cpuid_table *t, const struct snap_vcpu *v)
{
	if (t->head.nent != v->cpuid_count)
		return false;
	for (unsigned i = 0; i < v->cpuid_count && i < SNAP_MAX_CPUID && i < CPUID_MAX; i++) {
		const struct kvm_cpuid_entry2 *a = &t->entry[i];
		const struct snap_cpuid *b = &v->cpuid[i];
		uint32_t x[4] = {a->eax, a->ebx, a->ecx, a->edx}, y[4] = {b->eax, b->ebx, b->ecx, b->edx};

		drop_changing_bits(a->function, a->index, x);
		drop_changing_bits(b->function, b->index, y);
		if (a->function != b->function || a->index != b->index || a->flags != b->flags ||
		    memcmp(x, y, sizeof(x)) != 0)
			return false;
	}
	return true;
}

static int restore_cpuid(int fd, const struct snap_vcpu *v, struct stk_err *err)
{
	struct cpuid_table t;

	t.head.nent = v->cpuid_count;
	t.head.padding = 0;
	for (unsigned i = 0; i < v->cpuid_count && i < SNAP_MAX_CPUID && i < CPUID_MAX; i++) {
		const struct snap_cpuid *c = &v->cpuid[i];

		t.entry[i] = (struct kvm_cpuid_entry2){
			.function = c->function, .index = c->index, .flags = c->flags,
			.eax = c->eax, .ebx = c->ebx, .ecx = c->ecx, .edx = c->edx,
		};
	}
	return KVM_CALL(fd, KVM_SET_CPUID2, &t, err);
}

int regs_save(int kvm_fd, int fd, uint64_t host_tsc, struct snap_vcpu *v, struct stk_err *err)
{
	uint64_t offset = 0;
	int r;

	memset(v, 0, sizeof(*v));
	r = save_regs(fd, v, err);
	if (r >= 0)
		r = tsc_offset(fd, KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR (TSC offset)", &offset, err);
	if (r >= 0)
		r = KVM_CALL(fd, KVM_GET_LAPIC, v->lapic, err);
	if (r >= 0)
		r = save_fpu(fd, v, err);
	if (r >= 0)
		r = save_debug(fd, v, err);
	if (r >= 0)
		r = save_cpuid(fd, v, err);
	if (r >= 0)
		r = msr_save(kvm_fd, fd, v, err);
	if (r >= 0)
		r = save_events(fd, v, err);
	v->tsc = host_tsc + offset;
	return r < 0 ? r : 0;
}

/* CPUID first: it decides which bits the rest may have. The APIC's base and mode are in the
 * special registers, so these come before the LAPIC page. The TSC is set by its offset: a write to
 * the MSR soon after the start would be taken for an attempt to synchronise processors, and be
 * dropped. The TSC deadline (last MSR) needs LAPIC and TSC. Events come last, because setting
 * registers drops pending exceptions. */
int regs_restore(int fd, const struct snap_vcpu *v, uint64_t host_tsc, struct stk_err *err)
{
	int r = restore_cpuid(fd, v, err);

	return r < 0 ? r : regs_rewind(fd, v, host_tsc, err);
}

int regs_rewind(int fd, const struct snap_vcpu *v, uint64_t host_tsc, struct stk_err *err)
{
	struct kvm_mp_state mp = {.mp_state = v->mp_state};
	uint64_t offset = v->tsc - host_tsc;
	int r = KVM_CALL(fd, KVM_SET_MP_STATE, &mp, err);

	if (r >= 0)
		r = restore_regs(fd, v, err);
	if (r >= 0)
		r = restore_fpu(fd, v, err);
	if (r >= 0)
		r = restore_debug(fd, v, err);
	if (r >= 0)
		r = KVM_CALL(fd, KVM_SET_LAPIC, (void *)(uintptr_t)v->lapic, err);
	if (r >= 0)
		r = tsc_offset(fd, KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR (TSC offset)", &offset, err);
	if (r >= 0)
		r = msr_restore(fd, v, err);
	if (r >= 0)
		r = restore_events(fd, v, err);
	return r < 0 ? r : 0;
}
