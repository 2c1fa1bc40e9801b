/* When the requests of an open loop are due. Pure: no clock, the same seed gives the same schedule. */
#ifndef BENCH_ARRIVALS_H
#define BENCH_ARRIVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define ARRIVALS_MAX_STEPS 64
#define ARRIVALS_MAX_TRACE 10000000u /* lines */
#define ARRIVALS_MAX_RATE  1e6       /* per second */
#define ARRIVALS_MAX_S     2592000.0 /* 30 days: the longest step, pause or offset */

enum arrivals_kind { ARRIVALS_CONSTANT, ARRIVALS_POISSON, ARRIVALS_STEP, ARRIVALS_BURST, ARRIVALS_TRACE };

struct arrivals {
	enum arrivals_kind kind;
	double rate; /* constant, poisson */
	uint64_t seed;
	struct {
		double rate, seconds;
	} step[ARRIVALS_MAX_STEPS];
	unsigned step_count;
	uint64_t burst_size;
	double burst_s;
	uint64_t *trace; /* ns; heap */
	size_t trace_len;

	/* where the schedule is now */
	uint64_t issued;  /* step: of the current step */
	unsigned in_step;
	double base_s;    /* poisson: the last arrival; step: where the current step began */
	uint64_t random;
};

/* text: constant, poisson (both at `rate` per second), step:R1@S1,R2@S2,... (R per second for S seconds),
 * burst:N@S (N at once every S seconds) or trace:FILE (ascending offsets in seconds, one a line). *a is
 * filled on success only. */
int arrivals_parse(struct arrivals *a, const char *text, double rate, uint64_t seed, struct stk_err *err);
/* The same for the text of a trace; name is for messages. */
int arrivals_parse_trace(struct arrivals *a, const char *text, size_t len, const char *name, struct stk_err *err);
void arrivals_fini(struct arrivals *a);

/* Back to the first arrival. */
void arrivals_rewind(struct arrivals *a);
/* The next one, in ns after the start; false when the schedule has ended. */
bool arrivals_next(struct arrivals *a, uint64_t *ret_ns);
/* Whether it ends by itself (step, trace). */
bool arrivals_end(const struct arrivals *a);
/* For people: "poisson arrivals, 100 per second". */
void arrivals_describe(const struct arrivals *a, char *buf, size_t cap);

#endif
