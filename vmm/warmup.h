/* What a shell can do ahead without knowing what it will restore, beside making its VM: all that this does happens anyway
 * the first time, only later, when somebody waits. Main thread, before it is confined. */
#ifndef VMM_WARMUP_H
#define VMM_WARMUP_H

#include "common/base/err.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"
#include "vmm/x86/cpuid.h"

/* Program, heap and stack: pages that a restore touches are there. */
void warmup_process(void);
/* vCPUs: they get this host's CPUID, as booted ones do, and enter the guest once, where the first instruction finds no
 * memory: KVM then has the memory for its page tables. It takes no other CPUID after that. The threads must wait. */
int warmup_vcpus(const struct kvm *kvm, struct vcpu_set *vcpus, struct cpuid_table *ret_cpuid, struct stk_err *err);

#endif
