/* Records which pages of RAM a clone touches, from its restore on: memory starts out empty, each first access comes
 * here (userfaultfd) and is answered with the page of the snapshot's memory file. A clone that is recorded is slower;
 * what it tells lets others have these pages ahead.
 *
 * The record is memory shared with whoever asked for it, one byte per page, so that it is there however the process
 * ends; it is exact about what was written when the process ends in order (SIGTERM). Needs CAP_SYS_PTRACE or vm.unprivileged_userfaultfd. */
#ifndef VMM_RECORDER_H
#define VMM_RECORDER_H

#include <stdbool.h>

#include "common/base/err.h"
#include "vmm/gmem.h"

enum recorder_touch { RECORDER_UNTOUCHED, RECORDER_READ, RECORDER_WRITTEN };

struct recorder; /* recorder.c */

/* Makes `mem` an anonymous mapping of `size` bytes whose pages come from mem_fd, and starts the thread that serves
 * them, confined when `seccomp`. record_fd: a file of at least a byte per page; stays the caller's. Before other
 * threads are confined. -EPERM: not allowed here; any failure leaves mem without memory. */
int recorder_start(struct gmem *mem, uint64_t size, int mem_fd, int record_fd, bool seccomp, struct recorder **ret,
		   struct stk_err *err);
/* At the end, with the vCPUs stopped: pages that have another content now count as written. */
void recorder_settle(struct recorder *r);
/* Ends the thread: only when nothing touches the memory any more. Accepts NULL. */
void recorder_stop(struct recorder *r);

#endif
