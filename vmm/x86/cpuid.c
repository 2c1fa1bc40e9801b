/* Guest CPUID: see cpuid.h. Leaf numbers: Intel SDM vol. 2A CPUID, AMD APM vol. 3 appendix E,
 * Linux Documentation/virt/kvm/x86/cpuid.rst. */
#include "vmm/x86/cpuid.h"

#include <asm/kvm_para.h>
#include <cpuid.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/kvm.h"

#define BIT(n) (1u << (n))

/* Leaf 1 */
#define F1_ECX_VMX          BIT(5)
#define F1_ECX_X2APIC       BIT(21)
#define F1_ECX_TSC_DEADLINE BIT(24)
#define F1_ECX_HYPERVISOR   BIT(31)
#define F1_ECX_PDCM         BIT(15)
#define F1_EDX_HTT          BIT(28)
/* Leaf 7 */
#define F7_EBX_SGX       BIT(2)
#define F7_EDX_AMX       (BIT(22) | BIT(24) | BIT(25))
/* 0x80000001 */
#define FX1_ECX_SVM      BIT(2)
#define FX1_ECX_PERFCTR  (BIT(23) | BIT(24) | BIT(28))

#define KVM_FEATURES_OFF                                                                            \
	(BIT(KVM_FEATURE_ASYNC_PF) | BIT(KVM_FEATURE_STEAL_TIME) | BIT(KVM_FEATURE_ASYNC_PF_VMEXIT) | \
	 BIT(KVM_FEATURE_ASYNC_PF_INT) | BIT(KVM_FEATURE_MIGRATION_CONTROL))

static bool leaf_dropped(const struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 0x0a:       /* performance counters */
	case 0x12:       /* SGX */
	case 0x14:       /* processor trace */
	case 0x1d:       /* AMX */
	case 0x1e:
	case 0x8000000a: /* SVM */
	case 0x8000001f: /* SEV */
	case 0x80000022: /* performance counters */
		return true;
	case 0x0d: /* XSAVE components 17 and 18: AMX */
		return e->index == 17 || e->index == 18;
	default:
		return false;
	}
}

void cpuid_trim(struct cpuid_table *t)
{
	static const struct kvm_cpuid_entry2 empty;

	while (t->head.nent > 0 && memcmp(&t->entry[t->head.nent - 1], &empty, sizeof(empty)) == 0)
		t->head.nent--;
}

int cpuid_of_vcpu(int vcpu_fd, struct cpuid_table *ret, struct stk_err *err)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->head.nent = CPUID_MAX;
	r = KVM_CALL(vcpu_fd, KVM_GET_CPUID2, ret, err);
	if (r < 0)
		return r;
	cpuid_trim(ret);
	return 0;
}

void cpuid_filter(struct cpuid_table *t)
{
	unsigned out = 0;

	for (unsigned i = 0; i < t->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entry[i];

		if (leaf_dropped(e))
			continue;
		switch (e->function) {
		case 1:
			e->ecx &= ~(F1_ECX_VMX | F1_ECX_X2APIC | F1_ECX_PDCM);
			e->ecx |= F1_ECX_TSC_DEADLINE | F1_ECX_HYPERVISOR;
			break;
		case 7:
			if (e->index == 0) {
				e->ebx &= ~F7_EBX_SGX;
				e->edx &= ~F7_EDX_AMX;
			} else if (e->index == 1) {
				e->eax &= ~BIT(21); /* AMX-FP16 */
				e->edx &= ~BIT(8);  /* AMX-COMPLEX */
			}
			break;
		case 0x0d:
			if (e->index == 0)
				e->eax &= ~(BIT(17) | BIT(18));
			break;
		case 0x80000001:
			e->ecx &= ~(FX1_ECX_SVM | FX1_ECX_PERFCTR);
			break;
		case KVM_CPUID_FEATURES:
			e->eax &= ~KVM_FEATURES_OFF;
			break;
		default:
			break;
		}
		t->entry[out++] = *e;
	}
	t->head.nent = out;
}

int cpuid_host(int kvm_fd, struct cpuid_table *t, struct stk_err *err)
{
	int r;

	memset(t, 0, sizeof(*t));
	t->head.nent = CPUID_MAX;
	r = KVM_CALL(kvm_fd, KVM_GET_SUPPORTED_CPUID, t, err);
	if (r < 0)
		return r;
	cpuid_filter(t);
	return 0;
}

uint64_t cpuid_xcr0(const struct cpuid_table *t)
{
	for (unsigned i = 0; i < t->head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &t->entry[i];

		if (e->function == 0x0d && e->index == 0)
			return e->eax | (uint64_t)e->edx << 32;
	}
	return 0;
}

static unsigned bits_for(unsigned n)
{
	unsigned b = 0;

	while ((1u << b) < n)
		b++;
	return b;
}

void cpuid_for_vcpu(struct cpuid_table *t, unsigned index, unsigned vcpus)
{
	unsigned bits = bits_for(vcpus);

	for (unsigned i = 0; i < t->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entry[i];

		switch (e->function) {
		case 1: /* APIC id, logical processors, and whether the latter counts */
			e->ebx = (e->ebx & 0xffff) | index << 24 | (1u << bits) << 16;
			e->edx = vcpus > 1 ? e->edx | F1_EDX_HTT : e->edx & ~F1_EDX_HTT;
			break;
		case 4:
		case 0x8000001d: /* caches: private ones per processor, the last level shared by all */
			e->eax &= 0x3fff;
			if (((e->eax >> 5) & 7) >= 3)
				e->eax |= ((1u << bits) - 1) << 14;
			if (e->function == 4)
				e->eax |= ((1u << bits) - 1) << 26;
			break;
		case 0x0b:
		case 0x1f: /* one thread per core, all cores in one package */
			e->edx = index;
			e->eax = e->ebx = 0;
			e->ecx = e->index & 0xff;
			if (e->index == 0) {
				e->ebx = 1;
				e->ecx |= 1u << 8;
			} else if (e->index == 1) {
				e->eax = bits;
				e->ebx = vcpus;
				e->ecx |= 2u << 8;
			}
			break;
		case 0x80000008:
			e->ecx = (e->ecx & ~0xf0ffu) | bits << 12 | (vcpus - 1);
			break;
		case 0x8000001e: /* AMD: APIC id, core id */
			e->eax = index;
			e->ebx = index;
			e->ecx = 0;
			break;
		default:
			break;
		}
	}
}

void cpuid_host_model(uint8_t ret_vendor[12], uint32_t *ret_signature)
{
	uint32_t a, b, c, d;

	__cpuid(0, a, b, c, d);
	memcpy(ret_vendor, &b, 4);
	memcpy(ret_vendor + 4, &d, 4);
	memcpy(ret_vendor + 8, &c, 4);
	__cpuid(1, a, b, c, d);
	*ret_signature = a;
}
