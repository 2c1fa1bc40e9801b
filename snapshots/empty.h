/* Stretches of RAM that are all zeros in a snapshot: memory that the guest has free. A clone gets them as fresh memory
 * instead of a mapping of the memory file. Section EMPTY of the state file; pure. */
#ifndef SNAPSHOTS_EMPTY_H
#define SNAPSHOTS_EMPTY_H

#include "snapshots/memfile.h"
#include "snapshots/snapfile.h"

#define SNAP_EMPTY_BLOCK (2u << 20) /* a huge page: offsets and lengths are multiples of it */
#define SNAP_EMPTY_MAX   4u         /* each is a mapping of its own, which takes time in a restore */

struct snap_empty {
	unsigned count;
	struct snap_stretch {
		uint64_t offset, length; /* bytes, from the start of RAM */
	} stretch[SNAP_EMPTY_MAX]; /* ascending, apart from each other */
};

/* The longest ones between the runs, in the first ram_size bytes of the memory file. */
void snap_empty_find(const struct snap_runs *runs, uint64_t ram_size, struct snap_empty *ret);

void snap_empty_encode(const struct snap_empty *e, struct stk_wr *w);
/* -EINVAL: malformed, or not within RAM. */
int snap_empty_decode(struct stk_rd *r, uint64_t ram_size, struct snap_empty *ret, struct stk_err *err);
/* The section, checked; none of them when there is no section. Errors also as those of snap_snapfile_section. */
int snap_empty_read(const struct snap_file *f, uint64_t ram_size, struct snap_empty *ret, struct stk_err *err);
/* -EBADMSG: there is data in one of them. */
int snap_empty_check(const struct snap_empty *e, const struct snap_runs *runs, struct stk_err *err);

#endif
