/* What must be there before stokerd can do anything: images, helper programs, working KVM. */
#ifndef SCHEDULER_PREFLIGHT_H
#define SCHEDULER_PREFLIGHT_H

#include "common/base/err.h"

struct options;

/* Files by name, each with what to do when it is missing. */
int preflight_files(const struct options *o, struct stk_err *err);
/* Runs stoker-vmm --preflight (a few instructions in a real VM, bounded in time). Blocks: before the
 * loop runs. */
int preflight_kvm(const struct options *o, struct stk_err *err);

#endif
