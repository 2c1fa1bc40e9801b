/* A record of calls to many functions, to be replayed: read from files (trace_azure.h) or made up
 * (trace_gen.h). Times are microseconds since its beginning. */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define TRACE_MAX_FUNCTIONS 1000000u
#define TRACE_MAX_CALLS     200000000u
#define TRACE_POINTS        7 /* percentiles 0, 1, 25, 50, 75, 99, 100 */
#define TRACE_UNKNOWN       UINT32_MAX

struct trace_fn {
	const char *name;      /* "APP/FUNCTION" or "OWNER/APP/FUNCTION" */
	unsigned app;          /* its index among the applications, for the memory */
	unsigned memory_mib;   /* after trace_finish never 0 */
	bool known_duration;
	float duration_ms[TRACE_POINTS];
	size_t calls;          /* after trace_finish */
};

struct trace_call {
	uint64_t at_us;
	uint32_t duration_us;  /* TRACE_UNKNOWN: drawn by trace_finish */
	uint32_t fn;
};

/* Texts and their numbers in the order of first appearance. */
struct trace_names {
	void *root;
	unsigned count;
};

struct trace_limits {
	size_t max_calls;
	uint64_t end_us;          /* calls from then on are left out */
	double keep;              /* the part of the functions to be taken, chosen by seed and name */
	uint64_t seed;
	unsigned memory_mib;      /* of functions of which it is not told */
	uint32_t duration_us;     /* likewise */
};

struct trace {
	struct trace_limits limits;
	uint64_t random;
	struct trace_fn *fn;
	unsigned fn_cap;
	struct trace_names fn_names, app_names;
	unsigned *app_mib;        /* 0: not told */
	unsigned app_cap;
	struct trace_call *call;  /* after trace_finish in the order of time */
	size_t call_count, call_cap;
};

static inline unsigned trace_functions(const struct trace *t)
{
	return t->fn_names.count;
}

void trace_limits_default(struct trace_limits *l);
void trace_init(struct trace *t, const struct trace_limits *limits);
void trace_fini(struct trace *t);
/* Is this function among those that are taken? */
bool trace_keeps(const struct trace *t, const char *name);
/* Finds or adds; the first app_len bytes of the name are the application's. */
int trace_function(struct trace *t, const char *name, size_t app_len, unsigned *ret_fn, struct stk_err *err);
int trace_app_memory(struct trace *t, const char *app, unsigned mib, struct stk_err *err);
/* -E2BIG when there are too many. */
int trace_add_call(struct trace *t, unsigned fn, uint64_t at_us, uint32_t duration_us, struct stk_err *err);
/* Sorts the calls, draws durations that were not told, fills in memory. -ENODATA: no calls. */
int trace_finish(struct trace *t, struct stk_err *err);

#endif
