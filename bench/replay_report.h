/* Results of replays as a table and as JSON. */
#ifndef BENCH_REPLAY_REPORT_H
#define BENCH_REPLAY_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "bench/replay_sim.h"

#define REPLAY_MAX_POLICIES 8

struct replay_report {
	const struct trace *trace;
	struct replay_row {
		char name[32]; /* as given with --policy */
		struct sim_spec spec;
		struct sim_result result;
	} row[REPLAY_MAX_POLICIES];
	unsigned count;
};

void replay_report_print(FILE *out, const struct replay_report *r);

/* {"format":"stoker-bench replay 1","functions","calls","seconds","policies":{NAME:{"cold_share",
 * "cold_share_p75_of_functions","waiting_mib_s","busy_mib_s","starts","evictions","refused",
 * "refused_functions","peak_mib","delay":{"p50_ms",...}}}}; the caller decrefs. NULL when out of memory. */
json_t *replay_report_json(const struct replay_report *r);

#endif
