/* System call filters, one per thread role, compiled at build time from policy/ROLE.policy:
 * anything not listed there kills the process with SIGSYS.
 *
 * Order in stoker-vmm, so that neither filter has to allow what only set-up needs:
 *   1. main thread: makes the vCPU threads, opens everything, builds the VM;
 *   2. each vCPU thread, meanwhile: jail_seccomp_install(JAIL_VMM_VCPU), then reports and waits;
 *   3. main thread: when all have reported, lets the vCPUs go;
 *   4. main thread: jail_seccomp_install(JAIL_VMM_MAIN), before it looks at anything that comes from
 *      the guest (queues, doorbells): that begins with the event loop.
 * A thread made after step 3 would be killed (clone is not allowed), and one that inherited the
 * main filter would die at KVM_RUN: start them before.
 */
#ifndef JAIL_SECCOMP_H
#define JAIL_SECCOMP_H

#include "common/base/err.h"

/* REUSABLE: the main thread of a VM that will be reset, in place of MAIN. SHELL: that of a VM which is filled in by a
 * restore later, from step 2 on. */
enum jail_role { JAIL_VMM_MAIN, JAIL_VMM_REUSABLE, JAIL_VMM_SHELL, JAIL_VMM_VCPU };

/* Sets no-new-privs and installs the role's filter on the calling thread; cannot be undone.
 * 0 or negative errno with text. No heap; a few microseconds. */
int jail_seccomp_install(enum jail_role role, struct stk_err *err);

#endif
