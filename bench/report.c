#include "bench/report.h"

#include <errno.h>

static const struct percentile {
	const char *key;
	double p;
} percentiles[] = {
	{"p50_ms", 50}, {"p90_ms", 90}, {"p99_ms", 99}, {"p99_9_ms", 99.9}, {"max_ms", 100},
};
#define PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void print_stages(FILE *out, const struct timing *t)
{
	fprintf(out, "  %-12s", "stages p50");
	for (unsigned i = 0; i < t->count; i++)
		fprintf(out, "%s%s %.3f", i ? " · " : " ", t->stage[i]->name,
			ms(hist_percentile(&t->stage[i]->ns, 50)));
	fprintf(out, " ms\n");
}

void report_print(FILE *out, const struct report *r)
{
	fprintf(out, "%s · %s\n\n", r->function, r->mode);
	fprintf(out, "%-13s %7s %6s %8s %10s %10s %10s %10s %10s  (ms)\n", "scenario", "ok", "failed",
		"per s", "p50", "p90", "p99", "p99.9", "max");
	for (unsigned i = 0; i < r->count; i++) {
		const struct load_result *res = &r->scenarios[i].result;

		fprintf(out, "%-13s %7lu %6lu %8.1f", r->scenarios[i].name, (unsigned long)res->ok,
			(unsigned long)res->failed,
			res->seconds > 0 ? (double)res->ok / res->seconds : 0);
		for (size_t k = 0; k < PERCENTILES; k++)
			fprintf(out, " %10.3f", ms(hist_percentile(&res->latency, percentiles[k].p)));
		fputc('\n', out);
		for (unsigned k = 0; k < res->class_count; k++)
			fprintf(out, "  failed: %s × %lu\n", res->classes[k].name,
				(unsigned long)res->classes[k].count);
		if (res->first_error[0])
			fprintf(out, "  first error: %s\n", res->first_error);
		if (res->stages.count)
			print_stages(out, &res->stages);
		if (r->scenarios[i].cpu_ms > 0)
			fprintf(out, "  CPU of the whole machine: %.2f ms per request\n", r->scenarios[i].cpu_ms);
	}
	for (unsigned i = 0; i + 1 < r->count; i++) {
		uint64_t slow = hist_percentile(&r->scenarios[i].result.latency, 50);
		uint64_t fast = hist_percentile(&r->scenarios[i + 1].result.latency, 50);

		if (slow && fast)
			fprintf(out, "\n%s / %s: %.1f at p50", r->scenarios[i].name,
				r->scenarios[i + 1].name, (double)slow / (double)fast);
	}
	if (r->count > 1)
		fputc('\n', out);
	if (r->have_memory)
		fprintf(out, "\nmemory per VM (%u alive): PSS %.0f KiB · private %.0f KiB = monitor %.0f"
			     " + guest %.0f · guest memory shared %.0f KiB\n",
			r->memory.vms, r->memory.pss, r->memory.private_all, r->memory.private_vmm,
			r->memory.private_guest, r->memory.shared_guest);
}

static json_t *hist_json(const struct hist *h, bool with_buckets)
{
	json_t *o = json_object();

	json_object_set_new(o, "count", json_integer((json_int_t)h->total));
	json_object_set_new(o, "mean_ms", json_real(hist_mean(h) / 1e6));
	json_object_set_new(o, "min_ms", json_real(ms(h->min)));
	for (size_t k = 0; k < PERCENTILES; k++)
		json_object_set_new(o, percentiles[k].key,
				    json_real(ms(hist_percentile(h, percentiles[k].p))));
	if (with_buckets) {
		json_t *buckets = json_array();

		for (unsigned i = 0; i < HIST_BUCKETS; i++)
			if (h->count[i])
				json_array_append_new(buckets,
						      json_pack("[II]", (json_int_t)hist_value(i),
								(json_int_t)h->count[i]));
		json_object_set_new(o, "histogram", buckets);
	}
	return o;
}

static json_t *scenario_json(const struct report_scenario *s)
{
	const struct load_result *res = &s->result;
	json_t *o = json_object(), *errors = json_object(), *stages = json_object();

	json_object_set_new(o, "ok", json_integer((json_int_t)res->ok));
	json_object_set_new(o, "failed", json_integer((json_int_t)res->failed));
	for (unsigned k = 0; k < res->class_count; k++)
		json_object_set_new(errors, res->classes[k].name,
				    json_integer((json_int_t)res->classes[k].count));
	json_object_set_new(o, "errors", errors);
	json_object_set_new(o, "seconds", json_real(res->seconds));
	json_object_set_new(o, "per_second",
			    json_real(res->seconds > 0 ? (double)res->ok / res->seconds : 0));
	if (s->cpu_ms > 0)
		json_object_set_new(o, "cpu_ms_per_request", json_real(s->cpu_ms));
	json_object_set_new(o, "latency", hist_json(&res->latency, true));
	for (unsigned k = 0; k < res->stages.count; k++)
		json_object_set_new(stages, res->stages.stage[k]->name,
				    hist_json(&res->stages.stage[k]->ns, false));
	json_object_set_new(o, "stages", stages);
	return o;
}

json_t *report_json(const struct report *r)
{
	json_t *o = json_pack("{ss ss ss}", "format", "stoker-bench 1", "function", r->function, "mode",
			      r->mode);
	json_t *scenarios = json_object();

	if (!o || !scenarios) {
		json_decref(o);
		json_decref(scenarios);
		return NULL;
	}
	for (unsigned i = 0; i < r->count; i++)
		json_object_set_new(scenarios, r->scenarios[i].name, scenario_json(&r->scenarios[i]));
	json_object_set_new(o, "scenarios", scenarios);
	if (r->have_memory)
		json_object_set_new(o, "memory",
				    json_pack("{sI sf sf sf sf sf}", "vms", (json_int_t)r->memory.vms,
					      "pss_kib", r->memory.pss, "private_kib",
					      r->memory.private_all, "private_monitor_kib",
					      r->memory.private_vmm, "private_guest_kib",
					      r->memory.private_guest, "shared_guest_kib",
					      r->memory.shared_guest));
	return o;
}

int report_read_histogram(const json_t *array, struct hist *h, struct stk_err *err)
{
	size_t i;
	json_t *pair;

	if (!json_is_array(array))
		return stk_err_set(err, -EINVAL, "no histogram in this file");
	json_array_foreach(array, i, pair) {
		json_int_t value = json_integer_value(json_array_get(pair, 0));
		json_int_t count = json_integer_value(json_array_get(pair, 1));

		if (json_array_size(pair) != 2 || value < 0 || count < 1)
			return stk_err_set(err, -EINVAL, "histogram entry %zu is not [value, count]", i);
		hist_record_n(h, (uint64_t)value, (uint64_t)count);
	}
	return 0;
}
