/* Model-specific registers in snapshots. */
#ifndef VMM_X86_MSR_H
#define VMM_X86_MSR_H

#include "common/base/err.h"
#include "snapshots/state.h"

#define MSR_TSC_DEADLINE 0x6e0u

/* Reads every register KVM names that can differ from a fresh vCPU's. */
int msr_save(int kvm_fd, int vcpu_fd, struct snap_vcpu *vcpu, struct stk_err *err);
/* Writes them back, the TSC deadline last. */
int msr_restore(int vcpu_fd, const struct snap_vcpu *vcpu, struct stk_err *err);
/* First values of a boot processor. */
int msr_boot(int vcpu_fd, struct stk_err *err);

/* For a vCPU that was just restored and has not run: adds to vcpu->msr all other MSRs that can be set, with the values
 * they have now. Restoring that again takes back whatever the guest does to any of them. */
int msr_complete(int kvm_fd, int vcpu_fd, struct snap_vcpu *vcpu, struct stk_err *err);

#endif
