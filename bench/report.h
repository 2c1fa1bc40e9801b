/* Results as a table for people and as JSON for --compare and scripts. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "bench/load.h"
#include "bench/memory.h"

#define REPORT_MAX_SCENARIOS 8

struct report_scenario {
	const char *name; /* cold-boot, cold-restore, warm, any */
	double cpu_ms;    /* of the whole machine, per request; 0: not measured */
	struct load_result result;
};

struct report {
	const char *function;
	const char *mode; /* "closed loop, 4 connections", ... */
	struct report_scenario scenarios[REPORT_MAX_SCENARIOS];
	unsigned count;
	bool have_memory;
	struct memory_figures memory;
};

void report_print(FILE *out, const struct report *r);

/* {"format":"stoker-bench 1","function","mode","scenarios":{NAME:{"ok","failed","errors":{},
 * "seconds","latency":{"p50_ms",...,"histogram":[[ns,count],...]},"stages":{NAME:{...}}}},
 * "memory":{...}}; the caller decrefs. NULL when out of memory. */
json_t *report_json(const struct report *r);

/* The other way, for --compare: fills *h from a "histogram" array. */
int report_read_histogram(const json_t *array, struct hist *h, struct stk_err *err);

#endif
