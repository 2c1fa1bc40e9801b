/* Reads the Server-Timing header (W3C Server Timing): "parse;dur=0.02, queue;dur=0.1". */
#ifndef BENCH_TIMING_H
#define BENCH_TIMING_H

#include "bench/hist.h"

#define TIMING_MAX_STAGES 16

struct timing_stage {
	char name[24];
	struct hist ns; /* nanoseconds */
};

struct timing {
	struct timing_stage *stage[TIMING_MAX_STAGES]; /* in order of first appearance; heap */
	unsigned count;
};

/* Adds every "name;...dur=MS" of the header to its stage. Entries without a duration, and stages
 * beyond the limit, are passed over. Never fails on bad text: a benchmark reports what it got. */
void timing_add(struct timing *t, const char *header);
void timing_fini(struct timing *t);

#endif
