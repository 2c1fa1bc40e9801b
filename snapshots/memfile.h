/* The memory file of a snapshot: RAM at 0, then each copy-on-write drive, page aligned, sparse.
 * It can be mapped as it is. Pages of zeros are holes; the rest is described by runs, each with a
 * checksum (section RUNS of the state file). */
#ifndef SNAPSHOTS_MEMFILE_H
#define SNAPSHOTS_MEMFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cursor.h"
#include "common/base/err.h"

#define SNAP_PAGE     4096u
#define SNAP_MAX_RUNS 65536u

/* Data in the memory file. Offset and length are multiples of SNAP_PAGE. */
struct snap_run {
	uint64_t offset;
	uint64_t length;
	uint64_t crc; /* crc64 of the bytes */
};

/* Where bytes of the memory file come from. */
struct snap_source {
	const uint8_t *base; /* page-aligned mapping, still while it is written */
	uint64_t length;     /* multiple of SNAP_PAGE */
	/* Pages that were never touched and have nothing behind them are left out without being
	 * read (reading them would give them memory). For that: */
	int backing_fd;          /* file the mapping is private to, or -1: anonymous */
	uint64_t backing_offset; /* where in that file */
};

struct snap_runs {
	struct snap_run *run; /* heap */
	unsigned count;
	unsigned cap;
	uint64_t total_size; /* of the file */
	uint64_t data_size;  /* sum of the runs */
};

/* Writes the sources one behind the other: temporary name, fsync, rename. */
int snap_memfile_write(const char *path, const struct snap_source *src, unsigned src_count,
		       struct snap_runs *ret_runs, struct stk_err *err);
void snap_runs_fini(struct snap_runs *runs);

/* Section RUNS. Decoding checks order, alignment, overlap and bounds; runs are heap memory. */
void snap_runs_encode(const struct snap_runs *runs, struct stk_wr *w);
int snap_runs_decode(struct stk_rd *r, uint64_t total_size, struct snap_runs *ret_runs, struct stk_err *err);

/* Compares a memory file with its runs: its size, each run's checksum, and that all else is zero
 * (holes are skipped, not read). -EBADMSG with the offset of the damage. */
int snap_memfile_verify(int mem_fd, const struct snap_run *runs, unsigned n, uint64_t total_size,
			struct stk_err *err);

#endif
