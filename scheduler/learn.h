/* Which pages of a function's memory its invocations use, learned from the first ones: once it was called, the next
 * calls run in clones that record (stoker-vmm --record-fd); pages that two of them have used make up the snapshot's
 * learned-set. From then on clones start with the written ones, and those that wait in the pool touch all of them
 * ahead. Loop thread; files on the pool of threads. */
#ifndef SCHEDULER_LEARN_H
#define SCHEDULER_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/guestwire.h"
#include "scheduler/blocks.h"
#include "snapshots/workingset.h"

struct fn_version;
struct pool;

struct learn {
	/* NOT_YET: never invoked. BUSY: a clone records, or its record is being read. */
	enum { LEARN_NOT_YET, LEARN_WANTED, LEARN_BUSY, LEARN_DONE } state;
	unsigned tries;
	uint8_t *first; /* record of the first invocation: a byte per page; heap */
	bool have_set;  /* learned-set is there */
	uint8_t *prefault; /* frame for waiting clones, heap; NULL: none */
	size_t prefault_len;
	struct block_use block[BLOCKS_EACH]; /* what of the memory lies in shared blocks */
	unsigned block_count;
};

void learn_fini(struct learn *l);

/* A clone is being invoked. */
void learn_invoked(struct learn *l);
/* A clone is about to start: where it records, or -1 when nothing more is to be learned. The descriptor is the
 * caller's, to be handed back by learn_end. */
int learn_begin(struct pool *p);
enum learn_use { LEARN_UNUSED, LEARN_FAILED, LEARN_ANSWERED };
/* That clone has ended; what became of its invocation. Takes fd over. */
void learn_end(struct pool *p, int fd, enum learn_use use);

/* Any thread, blocking: the learned-set of the version in folder `dir`, and what of its memory `blocks` (or NULL) can
 * share. 0, or negative errno (-ENOENT: none yet). */
int learn_read(const char *dir, unsigned memory_mib, struct blocks *blocks, struct learn *ret);
/* Takes what learn_read gave. */
void learn_adopt(struct pool *p, struct learn *from);

/* The rule, pure: pages touched in both records (per page 0: untouched, 1: read, 2: written); written means written in
 * both. Both kinds are bounded, the first pages win. 0, -ENOMEM. */
int learn_merge(const uint8_t *a, const uint8_t *b, size_t pages, struct snap_workingset *ret_ws);
/* Blocks of memory of which pages are read, and none is written: those with the most pages, ascending by their place. How
 * many, at most cap. */
unsigned learn_blocks(const struct snap_workingset *ws, struct block_want *ret_want, unsigned cap);
/* The PREFAULT frame for a set of which these blocks are shared: one page of such a block is enough. Heap. 0, -ENOMEM. */
int learn_frame(const struct snap_workingset *ws, const struct block_use *shared, unsigned shared_count,
		uint8_t **ret_frame, size_t *ret_len);

#endif
