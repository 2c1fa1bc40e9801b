/* Results as a table for people and as JSON for --compare and scripts. html.h makes a page of them. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "bench/memory.h"
#include "bench/result.h"
#include "bench/saturate.h"

#define REPORT_MAX_SCENARIOS 8

struct report_scenario {
	char name[40];    /* cold-boot, cold-restore, warm, any; "any at 70 %" after a saturation search */
	bool open_loop;
	double rate;      /* open loop: intended requests per second; 0: not constant */
	double cpu_ms;    /* of the whole machine, per request; 0: not measured */
	struct result result;
};

struct report {
	const char *function;
	const char *mode; /* "closed loop, 4 connections", ... */
	struct report_scenario scenarios[REPORT_MAX_SCENARIOS];
	unsigned count;
	bool have_memory;
	struct memory_figures memory;
	struct memory_machine before, after;
	const struct saturate *saturate; /* NULL: no search */
	const struct fresh *fresh;       /* NULL: not checked */
};

struct report_percentile {
	const char *key, *label;
	double p;
};
#define REPORT_PERCENTILES 5
extern const struct report_percentile report_percentiles[REPORT_PERCENTILES];

void report_print(FILE *out, const struct report *r);

/* {"format":"stoker-bench 1","function","mode","scenarios":{NAME:{"ok","failed","errors":{},
 * "seconds","latency":{"p50_ms",...,"histogram":[[ns,count],...]},"classes":{NAME:{like latency}},
 * "lag":{like latency},"lag_share","lag_suspect","waited_for_connection","stages":{NAME:{...}}}},
 * "saturation":{...},"memory":{...},"boot_ids":{...}}; the caller decrefs. NULL when out of memory. */
json_t *report_json(const struct report *r);

/* The other way, for --compare: fills *h from a "histogram" array. */
int report_read_histogram(const json_t *array, struct hist *h, struct stk_err *err);
/* Fills *m from a "memory" object; false when it is not there or not sound. */
bool report_read_machine(const json_t *memory, struct memory_machine *m);

#endif
