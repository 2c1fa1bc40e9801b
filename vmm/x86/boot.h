/* A kernel ready to run in guest memory: loading, tables, and the boot processor's first state. */
#ifndef VMM_X86_BOOT_H
#define VMM_X86_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "vmm/gmem.h"
#include "vmm/vmconfig.h"

/* How the boot processor starts. */
struct boot_entry {
	bool pvh;
	uint64_t rip;
	uint64_t info; /* PVH start info (RBX) or boot_params (RSI) */
};

/* Loads kernel and initrd of cfg and writes everything the kernel reads before it has devices.
 * cmdline: the whole command line, devices included. Memory must be fresh. */
int boot_load(const struct gmem *mem, const struct vmconfig *cfg, const char *cmdline,
	      struct boot_entry *ret_entry, struct stk_err *err);

struct kvm_sregs;
struct kvm_regs;
/* Changes a fresh boot processor's registers for the entry. */
void boot_regs(const struct boot_entry *entry, struct kvm_sregs *sregs, struct kvm_regs *regs);

#endif
