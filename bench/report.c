#include "bench/report.h"

#include "bench/lag.h"

const struct report_percentile report_percentiles[REPORT_PERCENTILES] = {
	{"p50_ms", "p50", 50}, {"p90_ms", "p90", 90}, {"p99_ms", "p99", 99}, {"p99_9_ms", "p99.9", 99.9}, {"max_ms", "max", 100},
};

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void print_percentiles(FILE *out, const struct hist *h)
{
	for (size_t k = 0; k < REPORT_PERCENTILES; k++)
		fprintf(out, " %10.3f", ms(hist_percentile(h, report_percentiles[k].p)));
	fputc('\n', out);
}

static void print_classes(FILE *out, const struct classes *s)
{
	for (int c = 0; c < CLASS_COUNT; c++)
		if (s->latency[c]) {
			fprintf(out, "  %-14s %7lu %16s", classes_name((enum start_class)c),
				(unsigned long)s->latency[c]->total, "");
			print_percentiles(out, s->latency[c]);
		}
}

static void print_stages(FILE *out, const struct timing *t)
{
	fprintf(out, "  %-12s", "stages p50");
	for (unsigned i = 0; i < t->count; i++)
		fprintf(out, "%s%s %.3f", i ? " · " : " ", t->stage[i]->name,
			ms(hist_percentile(&t->stage[i]->ns, 50)));
	fprintf(out, " ms\n");
}

static void print_lag(FILE *out, const struct result *res)
{
	fprintf(out, "  sent later than meant: p50 %.3f · p99.9 %.3f · max %.3f ms\n", ms(hist_percentile(&res->lag, 50)),
		ms(hist_percentile(&res->lag, 99.9)), ms(res->lag.max));
	if (lag_suspect(&res->lag, &res->latency))
		fprintf(out, "  WARNING: p99.9 of that is %.1f %% of the latency's p99.9 (limit %g %%): this shows the load "
			     "generator as well as the host\n",
			lag_share(&res->lag, &res->latency) * 100, LAG_MAX_SHARE * 100);
	if (res->waited)
		fprintf(out, "  %lu requests waited for a free connection (--connections)\n", (unsigned long)res->waited);
}

static void print_scenario(FILE *out, const struct report_scenario *s)
{
	const struct result *res = &s->result;

	fprintf(out, "%-16s %7lu %6lu %8.1f", s->name, (unsigned long)res->ok, (unsigned long)res->failed,
		res->seconds > 0 ? (double)res->ok / res->seconds : 0);
	print_percentiles(out, &res->latency);
	if (classes_used(&res->classes) > 1 || classes_count(&res->classes, CLASS_REJECTED))
		print_classes(out, &res->classes);
	for (unsigned k = 0; k < res->failure_count; k++)
		fprintf(out, "  failed: %s × %lu\n", res->failures[k].name, (unsigned long)res->failures[k].count);
	if (res->first_error[0])
		fprintf(out, "  first error: %s\n", res->first_error);
	if (res->stages.count)
		print_stages(out, &res->stages);
	if (s->open_loop)
		print_lag(out, res);
	if (s->cpu_ms > 0)
		fprintf(out, "  CPU of the whole machine: %.2f ms per request\n", s->cpu_ms);
}

static void print_ratios(FILE *out, const struct report *r)
{
	for (unsigned i = 0; i + 1 < r->count; i++) {
		uint64_t slow = hist_percentile(&r->scenarios[i].result.latency, 50);
		uint64_t fast = hist_percentile(&r->scenarios[i + 1].result.latency, 50);

		if (slow && fast)
			fprintf(out, "\n%s / %s: %.1f at p50", r->scenarios[i].name, r->scenarios[i + 1].name,
				(double)slow / (double)fast);
	}
	if (r->count > 1)
		fputc('\n', out);
}

static void print_saturation(FILE *out, const struct saturate *s)
{
	fprintf(out, "%7s %10s %10s %8s\n", "clients", "per s", "p99 ms", "failed");
	for (unsigned i = 0; i < s->count; i++)
		fprintf(out, "%7u %10.1f %10.3f %8lu%s\n", s->step[i].clients, s->step[i].per_s, ms(s->step[i].p99_ns),
			(unsigned long)s->step[i].failed, s->step[i].sound ? "" : "  not sound");
	fprintf(out, "capacity: %.1f per second with %u client%s (%s)\n\n", s->capacity, s->clients,
		s->clients == 1 ? "" : "s", saturate_end_text(s->end));
}

static void print_memory(FILE *out, const struct report *r)
{
	double lost;

	fprintf(out, "\nmemory per VM (%u alive): PSS %.0f KiB · private %.0f KiB = monitor %.0f + guest %.0f · guest "
		     "memory shared %.0f KiB\n",
		r->memory.vms, r->memory.pss, r->memory.private_all, r->memory.private_vmm, r->memory.private_guest,
		r->memory.shared_guest);
	fprintf(out, "MemAvailable: %lu KiB with %u VMs before, %lu KiB with %u VMs after",
		(unsigned long)r->before.available_kib, r->before.vms, (unsigned long)r->after.available_kib,
		r->after.vms);
	if (memory_per_vm(&r->before, &r->after, &lost))
		fprintf(out, ": %.0f KiB for each further VM\n", lost);
	else
		fprintf(out, " (too few to tell what one costs: --compare a run with another pool size)\n");
}

void report_print(FILE *out, const struct report *r)
{
	fprintf(out, "%s · %s\n\n", r->function, r->mode);
	if (r->saturate)
		print_saturation(out, r->saturate);
	fprintf(out, "%-16s %7s %6s %8s", "scenario", "ok", "failed", "per s");
	for (size_t k = 0; k < REPORT_PERCENTILES; k++)
		fprintf(out, " %10s", report_percentiles[k].label);
	fprintf(out, "  (ms)\n");
	for (unsigned i = 0; i < r->count; i++)
		print_scenario(out, &r->scenarios[i]);
	if (!r->saturate)
		print_ratios(out, r);
	if (r->fresh)
		fprintf(out, "\nboot ids of the guests: %zu different ones, %lu repeated\n", r->fresh->used,
			(unsigned long)r->fresh->repeated);
	if (r->have_memory)
		print_memory(out, r);
}
