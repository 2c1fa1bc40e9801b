/* One vCPU's state between KVM and the snapshot's plain struct. The vCPU must not be running. */
#ifndef VMM_X86_REGS_H
#define VMM_X86_REGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "snapshots/state.h"
#include "vmm/x86/cpuid.h"

/* host_tsc: the host's TSC at one instant, the same for all vCPUs of the snapshot. */
int regs_save(int kvm_fd, int vcpu_fd, uint64_t host_tsc, struct snap_vcpu *ret_vcpu, struct stk_err *err);
/* host_tsc: again one instant for all vCPUs, so that they stay in step with each other. The order
 * of the calls matters; it is described inside. */
int regs_restore(int vcpu_fd, const struct snap_vcpu *vcpu, uint64_t host_tsc, struct stk_err *err);
/* The same for a vCPU that has lived: its CPUID stays, all else goes back. vcpu->msr must be complete (msr.h). */
int regs_rewind(int vcpu_fd, const struct snap_vcpu *vcpu, uint64_t host_tsc, struct stk_err *err);

/* Whether the vCPU was saved with this CPUID, except for what depends on its other registers. Pure. */
bool regs_same_cpuid(const struct cpuid_table *table, const struct snap_vcpu *vcpu);

#endif
