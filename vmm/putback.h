/* Makes a private mapping of a file look like the file again, over and over, at the price of copying what was written.
 *
 * Pages that the process has made its own are copied over from a second, shared mapping and stay: who has them mapped
 * (KVM) keeps them mapped, and the next writer finds them there. Which pages these are is known from
 * /proc/self/pagemap, which takes long to read: putback_find, only when there may be new ones (faultcount.h).
 *
 *   unknown --found changed at the first search, or for the second time--> known: copied each time
 *           --found for the first time, or no room--> dropped: the kernel gives the file's page at the next use
 *
 * So what only one round wrote costs the next ones nothing, and memory stays below PUTBACK_MIN_PAGES or four times
 * what the first search found. Main thread; nobody may use the mapping meanwhile. */
#ifndef VMM_PUTBACK_H
#define VMM_PUTBACK_H

#include <stdint.h>

#include "common/base/err.h"

#define PUTBACK_MIN_PAGES 4096u /* 16 MiB */

struct putback; /* putback.c */

/* base: a private mapping of the first `size` bytes (whole pages) of fd, whose content never changes. fd stays the
 * caller's and open. Before the thread is confined. */
int putback_new(uint8_t *base, uint64_t size, int fd, struct putback **ret, struct stk_err *err);
/* Accepts NULL. The mapping itself is the caller's. */
void putback_free(struct putback *pb);
/* Looks for pages that have become the process's own. After an error the mapping is not to be trusted. */
int putback_find(struct putback *pb, struct stk_err *err);
/* Copies all known pages; returns their number. */
uint64_t putback_run(struct putback *pb);

#endif
