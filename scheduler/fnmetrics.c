/* A function's series: see fnmetrics.h. Each is made when it is first needed. */
#include "scheduler/fnmetrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/str.h"
#include "common/host/metrics.h"

struct fnmetrics {
	struct metrics *m;
	char function[FN_NAME_MAX + 1];
	struct metrics_series *outcome[INV_OUTCOMES];
	struct metrics_series *stage[INV_STARTS][FNSTAGES];
};

static const char *const stage_names[FNSTAGES] = {"queue", "start", "function", "total"};

struct fnmetrics *fnmetrics_new(struct metrics *m, const char *function)
{
	struct fnmetrics *f = calloc(1, sizeof(*f));

	if (!f || stk_strcpy(f->function, sizeof(f->function), function)) {
		free(f);
		return NULL;
	}
	f->m = m;
	return f;
}

void fnmetrics_free(struct fnmetrics *f)
{
	free(f);
}

void fnmetrics_count(struct fnmetrics *f, enum inv_outcome outcome)
{
	struct metrics_series **s = &f->outcome[outcome];

	if (!*s) {
		char labels[192];

		snprintf(labels, sizeof(labels), "function=\"%s\",outcome=\"%s\"", f->function,
			 invocation_outcome_name(outcome));
		*s = metrics_get(f->m, METRICS_COUNTER, "stoker_invocations_total",
				 "Invocations, by function and outcome", labels);
	}
	if (*s)
		metrics_add(*s, 1);
}

void fnmetrics_stage(struct fnmetrics *f, enum inv_start start, enum fnstage stage, double seconds)
{
	struct metrics_series **s = &f->stage[start][stage];

	if (!*s) {
		char labels[192];

		snprintf(labels, sizeof(labels), "function=\"%s\",start=\"%s\",stage=\"%s\"", f->function,
			 invocation_start_name(start), stage_names[stage]);
		*s = metrics_get(f->m, METRICS_HISTOGRAM, "stoker_invocation_seconds",
				 "Time of invocations, by function, kind of start and stage", labels);
	}
	if (*s)
		metrics_observe(*s, seconds);
}
