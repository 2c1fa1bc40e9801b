/* Makes up traces that look like real ones; the same seed gives the same trace.
 *
 * azure: what was published of Azure's functions (Shahrad et al., "Serverless in the Wild", 2020): call rates
 * over many orders of magnitude (45 % of functions at most hourly, 81 % at most once a minute), a sixth of them
 * timers, others smooth, in bursts, or with pauses of very different length, with a daily rhythm; durations
 * log-normal, memory as its Burr distribution. timers, bursts, steady, rare: one kind of function only. */
#ifndef BENCH_TRACE_GEN_H
#define BENCH_TRACE_GEN_H

#include "bench/trace.h"

/* Adds `functions` functions called from 0 to limits.end_us, which must be set. -EINVAL: unknown kind. */
int trace_generate(struct trace *t, const char *kind, unsigned functions, struct stk_err *err);

#endif
