/* What the guest is told about its processor. */
#ifndef VMM_X86_CPUID_H
#define VMM_X86_CPUID_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define CPUID_MAX 128

/* A struct kvm_cpuid2 with room. */
struct cpuid_table {
	struct {
		uint32_t nent, padding;
	} head;
	struct kvm_cpuid_entry2 entry[CPUID_MAX];
};
_Static_assert(offsetof(struct cpuid_table, entry) == sizeof(struct kvm_cpuid2), "layout");

/* The host's table from /dev/kvm with everything taken out that a microVM does not have or that a
 * snapshot could not carry (nested virtualization, performance counters, AMX, asynchronous page
 * faults, x2APIC). */
int cpuid_host(int kvm_fd, struct cpuid_table *ret_table, struct stk_err *err);
/* The entries that differ between processors: APIC id and topology. Pure. */
void cpuid_for_vcpu(struct cpuid_table *table, unsigned index, unsigned vcpus);
/* What this virtual processor was given. */
int cpuid_of_vcpu(int vcpu_fd, struct cpuid_table *ret_table, struct stk_err *err);
/* Cuts off what is empty at the end: KVM_GET_CPUID2 does not say how many entries it wrote. Pure. */
void cpuid_trim(struct cpuid_table *table);
/* The filter of cpuid_host. Pure. */
void cpuid_filter(struct cpuid_table *table);

/* All state components the table offers for XCR0; 0 without XSAVE. Pure. */
uint64_t cpuid_xcr0(const struct cpuid_table *table);

/* Vendor and signature of the processor this program runs on. */
void cpuid_host_model(uint8_t ret_vendor[12], uint32_t *ret_signature);

#endif
