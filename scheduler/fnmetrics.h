/* A function's series in the metrics registry. Names: stoker_invocations_total{function,outcome},
 * stoker_invocation_seconds{function,start,stage}. */
#ifndef SCHEDULER_FNMETRICS_H
#define SCHEDULER_FNMETRICS_H

#include "scheduler/invocation.h"

enum fnstage { FNSTAGE_QUEUE, FNSTAGE_START, FNSTAGE_FUNCTION, FNSTAGE_TOTAL, FNSTAGES };

struct fnmetrics;
struct metrics;

struct fnmetrics *fnmetrics_new(struct metrics *m, const char *function);
void fnmetrics_free(struct fnmetrics *f); /* the series stay in the registry */
void fnmetrics_count(struct fnmetrics *f, enum inv_outcome outcome);
void fnmetrics_stage(struct fnmetrics *f, enum inv_start start, enum fnstage stage, double seconds);

#endif
