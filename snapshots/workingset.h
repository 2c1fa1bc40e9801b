/* Which pages of RAM a clone uses: file working-set of a snapshot (on its way to its first invocation) and file
 * learned-set (in real invocations). The monitor makes the written ones private in bulk before the guest runs, which
 * costs less than a fault for each. It is a hint: with none of it a clone behaves the same, later. */
#ifndef SNAPSHOTS_WORKINGSET_H
#define SNAPSHOTS_WORKINGSET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define SNAP_WORKINGSET_MAX_RANGES 16384u /* in both lists together */
#define SNAP_WORKINGSET_MAX_SIZE   (32u + SNAP_WORKINGSET_MAX_RANGES * 8u) /* bytes of the file */

/* Pages of SNAP_PAGE bytes, counted from the start of the memory file. */
struct snap_page_range {
	uint32_t first;
	uint32_t count; /* at least 1 */
};

struct snap_page_list {
	struct snap_page_range *range; /* heap; ascending, apart from each other */
	unsigned count;
	unsigned cap;
};

struct snap_workingset {
	struct snap_page_list written;
	struct snap_page_list read; /* and not written */
};

void snap_workingset_fini(struct snap_workingset *ws);
/* Adds a page behind all others of the list. -ENOMEM; -ENOSPC: no further range. */
int snap_page_list_add(struct snap_page_list *list, uint32_t page);

/* The file's bytes, heap. */
int snap_workingset_encode(const struct snap_workingset *ws, uint8_t **ret_data, size_t *ret_len);
/* Checks the checksum, order, and that all is within `pages` pages. -EBADMSG, -ENOMEM. */
int snap_workingset_decode(const void *data, size_t len, uint64_t pages, struct snap_workingset *ret_ws,
			   struct stk_err *err);
/* The content of an open file, which stays the caller's. */
int snap_workingset_load(int fd, uint64_t pages, struct snap_workingset *ret_ws, struct stk_err *err);
int snap_workingset_read(const char *path, uint64_t pages, struct snap_workingset *ret_ws, struct stk_err *err);
int snap_workingset_write(const char *path, const struct snap_workingset *ws, struct stk_err *err);

#endif
