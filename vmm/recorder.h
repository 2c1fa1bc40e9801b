/* Records which pages of RAM a clone touches, from its restore to its end, at next to no cost while it runs.
 *
 * Of a file mapping the kernel brings in up to 16 pages for one that is touched (fault-around), so that what is
 * present tells little. It does not for a mapping that userfaultfd watches for writes. Such a mapping has to be of
 * shared memory: the clone's RAM is then a private mapping of a copy of the memory file, watched, with nothing in it
 * ever protected, so that no event occurs; at the end /proc/self/pagemap tells what was touched, and what of that
 * became the process's own. The price is the copy, before the guest runs. Main thread. */
#ifndef VMM_RECORDER_H
#define VMM_RECORDER_H

#include "common/base/err.h"
#include "vmm/gmem.h"

enum recorder_touch { RECORDER_UNTOUCHED, RECORDER_READ, RECORDER_WRITTEN };

struct recorder; /* recorder.c */

/* Gives `mem`, which is reserved, the content of the start of mem_fd. Both descriptors stay the caller's, record_fd until
 * recorder_finish. -ENOSYS, -EPERM, -EINVAL: the kernel does not do this (Linux 5.19 and
 * CONFIG_PTE_MARKER_UFFD_WP are needed); after any failure mem is as if reserved. Before the thread is confined. */
int recorder_start(struct gmem *mem, int mem_fd, int record_fd, struct recorder **ret, struct stk_err *err);
/* At the end, with the vCPUs stopped and the memory still mapped: writes the record, one byte (enum recorder_touch) per
 * page, to record_fd and frees r. Accepts NULL. Also under the main thread's filter. */
void recorder_finish(struct recorder *r);

#endif
