/* Results of replays: see replay_report.h. */
#include "bench/replay_report.h"

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static double ms(const struct hist *h, double percentile)
{
	return (double)hist_percentile(h, percentile) / 1e6;
}

void replay_report_print(FILE *out, const struct replay_report *r)
{
	const struct sim_result *first = &r->row[0].result;

	fprintf(out, "%u functions, %zu calls, %.1f hours\n", trace_functions(r->trace), r->trace->call_count,
		first->seconds / 3600);
	fprintf(out, "%-18s %7s %9s %12s %9s %8s %8s %9s %8s %8s %8s\n", "policy", "cold", "cold, p75", "idle memory",
		"VM starts", "evicted", "refused", "peak MiB", "p50 ms", "p99 ms", "p99.9 ms");
	fprintf(out, "%-18s %7s %9s %12s\n", "", "%", "of fns %", "MiB s/call");
	for (unsigned i = 0; i < r->count; i++) {
		const struct sim_result *s = &r->row[i].result;

		fprintf(out, "%-18s %7.3f %9.2f %12.1f %9llu %8llu %8llu %9llu %8.2f %8.2f %8.2f\n", r->row[i].name,
			100 * share(s->cold, s->calls), 100 * s->cold_p75,
			s->calls ? s->waiting_mib_s / (double)s->calls : 0, (unsigned long long)s->starts,
			(unsigned long long)s->evictions, (unsigned long long)s->refused,
			(unsigned long long)s->peak_mib, ms(&s->delay, 50), ms(&s->delay, 99), ms(&s->delay, 99.9));
	}
	for (unsigned i = 1; i < r->count; i++) {
		const struct sim_result *s = &r->row[i].result;

		fprintf(out, "%s against %s: %.2f times the cold starts, %.2f times the idle memory\n", r->row[0].name,
			r->row[i].name, share(first->cold, s->cold),
			s->waiting_mib_s > 0 ? first->waiting_mib_s / s->waiting_mib_s : 0);
	}
}

json_t *replay_report_json(const struct replay_report *r)
{
	json_t *policies = json_object();

	for (unsigned i = 0; i < r->count; i++) {
		const struct sim_result *s = &r->row[i].result;

		json_object_set_new(
			policies, r->row[i].name,
			json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:{s:f, s:f, s:f, s:f, s:f}}",
				  "cold", (json_int_t)s->cold, "cold_share", share(s->cold, s->calls),
				  "cold_share_p50_of_functions", s->cold_p50, "cold_share_p75_of_functions", s->cold_p75,
				  "waiting_mib_s", s->waiting_mib_s, "busy_mib_s", s->busy_mib_s, "starts",
				  (json_int_t)s->starts, "evictions", (json_int_t)s->evictions, "refused",
				  (json_int_t)s->refused, "refused_functions", (json_int_t)s->refused_functions,
				  "peak_mib", (json_int_t)s->peak_mib, "delay", "p50_ms",
				  ms(&s->delay, 50), "p90_ms", ms(&s->delay, 90), "p99_ms", ms(&s->delay, 99), "p99.9_ms",
				  ms(&s->delay, 99.9), "max_ms", ms(&s->delay, 100)));
	}
	return json_pack("{s:s, s:I, s:I, s:f, s:o}", "format", "stoker-bench replay 1", "functions",
			 (json_int_t)trace_functions(r->trace), "calls", (json_int_t)r->trace->call_count, "seconds",
			 r->row[0].result.seconds, "policies", policies);
}
