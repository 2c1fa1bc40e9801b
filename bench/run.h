/* What the options ask for, done: each scenario, or the saturation search, and the memory. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench/fresh.h"
#include "bench/options.h"
#include "bench/report.h"

struct run {
	struct report report;
	struct saturate saturate;
	struct fresh fresh;
	char mode[160];
};

/* Fills a zeroed *r (large: not for the stack); run_fini in any case. */
int run_all(struct options *o, struct run *r, struct stk_err *err);
/* Whether some request failed, some scenario had no success or some VM served twice. */
bool run_failures(const struct run *r);
void run_fini(struct run *r);

#endif
