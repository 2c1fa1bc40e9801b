/* Latency over the time of a run, in a fixed number of equal pieces of time: when the run goes on beyond the last
 * one, pairs of pieces are joined. */
#ifndef BENCH_TIMELINE_H
#define BENCH_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#define TIMELINE_PIECES   256
#define TIMELINE_FIRST_NS 1000000u /* width of a piece at first */

struct timeline_piece {
	uint64_t ok, failed;
	uint64_t min, max; /* ns; of the good answers */
	double sum;
};

struct timeline {
	uint64_t width_ns; /* 0: nothing recorded yet */
	struct timeline_piece piece[TIMELINE_PIECES];
};

/* at_ns: when the request was meant to start, counted from the start of the run. A failed one has no latency. */
void timeline_add(struct timeline *t, uint64_t at_ns, bool ok, uint64_t latency_ns);
/* Pieces up to the last one in use. */
unsigned timeline_used(const struct timeline *t);

#endif
