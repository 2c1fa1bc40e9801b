/* Does KVM really work here? Some machines show a /dev/kvm on which ordinary guests fail. */
#ifndef VMM_PREFLIGHT_H
#define VMM_PREFLIGHT_H

#include "common/base/err.h"

/* Runs a few instructions of 64-bit kernel-mode code in a throw-away VM, for at most 2 s.
 * 0, or negative errno with err saying why not and what to do. Uses SIGALRM. */
int preflight_run(struct stk_err *err);

#endif
