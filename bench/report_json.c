#include <errno.h>

#include "bench/lag.h"
#include "bench/report.h"
#include "common/host/json_get.h"

#define MAX_TOTAL (1ULL << 53) /* exact in a double */

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static json_t *hist_json(const struct hist *h, bool with_buckets)
{
	json_t *o = json_object();

	json_object_set_new(o, "count", json_integer((json_int_t)h->total));
	json_object_set_new(o, "mean_ms", json_real(hist_mean(h) / 1e6));
	json_object_set_new(o, "min_ms", json_real(ms(h->min)));
	for (size_t k = 0; k < REPORT_PERCENTILES; k++)
		json_object_set_new(o, report_percentiles[k].key,
				    json_real(ms(hist_percentile(h, report_percentiles[k].p))));
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

static void add_lag(json_t *o, const struct report_scenario *s)
{
	const struct result *res = &s->result;

	if (s->rate > 0)
		json_object_set_new(o, "intended_per_second", json_real(s->rate));
	json_object_set_new(o, "lag", hist_json(&res->lag, true));
	json_object_set_new(o, "lag_share", json_real(lag_share(&res->lag, &res->latency)));
	json_object_set_new(o, "lag_suspect", json_boolean(lag_suspect(&res->lag, &res->latency)));
	json_object_set_new(o, "waited_for_connection", json_integer((json_int_t)res->waited));
}

static json_t *scenario_json(const struct report_scenario *s)
{
	const struct result *res = &s->result;
	json_t *o = json_object(), *errors = json_object(), *stages = json_object();
	json_t *classes = json_object();

	json_object_set_new(o, "ok", json_integer((json_int_t)res->ok));
	json_object_set_new(o, "failed", json_integer((json_int_t)res->failed));
	for (unsigned k = 0; k < res->failure_count; k++)
		json_object_set_new(errors, res->failures[k].name,
				    json_integer((json_int_t)res->failures[k].count));
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
	for (int c = 0; c < CLASS_COUNT; c++)
		if (res->classes.latency[c])
			json_object_set_new(classes, classes_name((enum start_class)c),
					    hist_json(res->classes.latency[c], true));
	json_object_set_new(o, "classes", classes);
	if (s->open_loop)
		add_lag(o, s);
	return o;
}

static json_t *saturation_json(const struct saturate *s)
{
	json_t *steps = json_array();

	for (unsigned i = 0; i < s->count; i++)
		json_array_append_new(steps, json_pack("{sI sf sf sI sI sb}", "clients", (json_int_t)s->step[i].clients,
						       "per_second", s->step[i].per_s, "p99_ms", ms(s->step[i].p99_ns), "ok",
						       (json_int_t)s->step[i].ok, "failed", (json_int_t)s->step[i].failed,
						       "sound", (int)s->step[i].sound));
	return json_pack("{sf sI ss so}", "capacity_per_second", s->capacity, "clients", (json_int_t)s->clients, "end",
			 saturate_end_text(s->end), "steps", steps);
}

static json_t *machine_json(const struct memory_machine *m)
{
	return json_pack("{sI sI}", "vms", (json_int_t)m->vms, "available_kib", (json_int_t)m->available_kib);
}

static json_t *memory_json(const struct report *r)
{
	const struct memory_figures *m = &r->memory;
	json_t *o = json_pack("{sI sf sf sf sf sf so so}", "vms", (json_int_t)m->vms, "pss_kib", m->pss, "private_kib",
			      m->private_all, "private_monitor_kib", m->private_vmm, "private_guest_kib", m->private_guest,
			      "shared_guest_kib", m->shared_guest, "machine_before", machine_json(&r->before),
			      "machine_after", machine_json(&r->after));
	double lost;

	if (memory_per_vm(&r->before, &r->after, &lost))
		json_object_set_new(o, "available_kib_per_vm", json_real(lost));
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
	if (r->saturate)
		json_object_set_new(o, "saturation", saturation_json(r->saturate));
	if (r->fresh)
		json_object_set_new(o, "boot_ids", json_pack("{sI sI}", "different", (json_int_t)r->fresh->used, "repeated",
							     (json_int_t)r->fresh->repeated));
	if (r->have_memory)
		json_object_set_new(o, "memory", memory_json(r));
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
		if ((uint64_t)count > MAX_TOTAL - h->total)
			return stk_err_set(err, -EINVAL, "histogram entry %zu: more values than there can be", i);
		hist_record_n(h, (uint64_t)value, (uint64_t)count);
	}
	return 0;
}

bool report_read_machine(const json_t *memory, struct memory_machine *m)
{
	const json_t *o = json_object_get(memory, "machine_after");
	uint64_t vms, available;

	if (json_get_u64(o, "vms", true, 0, UINT32_MAX, &vms, NULL) < 0 ||
	    json_get_u64(o, "available_kib", true, 1, 1ULL << 50, &available, NULL) < 0)
		return false;
	*m = (struct memory_machine){.vms = (unsigned)vms, .available_kib = available};
	return true;
}
