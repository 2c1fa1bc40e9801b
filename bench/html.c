#include "bench/html.h"

#include "bench/lag.h"
#include "bench/svg.h"

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\n"
	"<style>\n"
	"body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }\n"
	"table { border-collapse: collapse; font-variant-numeric: tabular-nums }\n"
	"th, td { text-align: right; padding: .15em .8em; border-bottom: 1px solid #8884 }\n"
	"th:first-child, td:first-child { text-align: left }\n"
	"svg { width: 100%; height: auto; margin: .5em 0 } svg text { font-size: 12px; fill: currentColor }\n"
	"svg .key { font-weight: 600; fill: unset } .grid { stroke: #8884 }\n"
	"polyline { fill: none; stroke-width: 1.5 } .most { stroke: #d1495b } .mean { stroke: #2e86ab }\n"
	".least { stroke: #8886 } .failed { fill: #d1495b } .p50 { fill: #2e86ab } .p99 { fill: #2e86ab55 }\n"
	".warning { color: #d1495b; font-weight: 600 }\n"
	"</style>\n";

static const char *const colours[CLASS_COUNT] = {
	[CLASS_WARM] = "#2a9d4a",
	[CLASS_SHELL] = "#1b9aaa",
	[CLASS_RESET] = "#3d6fd9",
	[CLASS_COLD_RESTORE] = "#e08e0b",
	[CLASS_COLD_BOOT] = "#d1495b",
	[CLASS_UNKNOWN] = "#888888",
	[CLASS_REJECTED] = "#9b5de5",
};

static void print_row(FILE *out, const char *name, const struct hist *h)
{
	fputs("<tr><td>", out);
	svg_text(out, name);
	fprintf(out, "</td><td>%lu</td>", (unsigned long)h->total);
	for (size_t k = 0; k < REPORT_PERCENTILES; k++)
		fprintf(out, "<td>%.3f</td>", (double)hist_percentile(h, report_percentiles[k].p) / 1e6);
	fputs("</tr>\n", out);
}

static void print_percentiles(FILE *out, const struct report_scenario *s)
{
	fputs("<table><tr><th>ms</th><th>answers</th>", out);
	for (size_t k = 0; k < REPORT_PERCENTILES; k++)
		fprintf(out, "<th>%s</th>", report_percentiles[k].label);
	fputs("</tr>\n", out);
	print_row(out, "all good ones", &s->result.latency);
	for (int c = 0; c < CLASS_COUNT; c++)
		if (s->result.classes.latency[c])
			print_row(out, classes_name((enum start_class)c), s->result.classes.latency[c]);
	if (s->open_loop)
		print_row(out, "sent later than meant", &s->result.lag);
	fputs("</table>\n", out);
}

static void print_failures(FILE *out, const struct result *res)
{
	if (res->failure_count == 0)
		return;
	fputs("<p>Failed:</p><ul>\n", out);
	for (unsigned i = 0; i < res->failure_count; i++) {
		fprintf(out, "<li>%lu × ", (unsigned long)res->failures[i].count);
		svg_text(out, res->failures[i].name);
		fputs("</li>\n", out);
	}
	fputs("</ul>\n", out);
	if (res->first_error[0]) {
		fputs("<p>First error: <code>", out);
		svg_text(out, res->first_error);
		fputs("</code></p>\n", out);
	}
}

static void print_scenario(FILE *out, const struct report_scenario *s)
{
	const struct result *res = &s->result;
	struct svg_curve curves[CLASS_COUNT];
	unsigned count = 0;

	fputs("<h2>", out);
	svg_text(out, s->name);
	fprintf(out, "</h2>\n<p>%lu good, %lu failed, %.1f good ones per second", (unsigned long)res->ok,
		(unsigned long)res->failed, res->seconds > 0 ? (double)res->ok / res->seconds : 0);
	if (s->rate > 0)
		fprintf(out, " of %.1f intended", s->rate);
	if (s->cpu_ms > 0)
		fprintf(out, ", %.2f ms of the machine's CPU time each", s->cpu_ms);
	fputs("</p>\n", out);
	if (s->open_loop && lag_suspect(&res->lag, &res->latency))
		fprintf(out, "<p class=\"warning\">The load generator's own lag is %.1f %% of the latency (p99.9): these "
			     "figures show it as well as the host.</p>\n",
			lag_share(&res->lag, &res->latency) * 100);
	print_percentiles(out, s);
	print_failures(out, res);
	for (int c = 0; c < CLASS_COUNT; c++)
		if (res->classes.latency[c])
			curves[count++] = (struct svg_curve){classes_name((enum start_class)c), colours[c],
							     res->classes.latency[c]};
	if (count) {
		fputs("<h3>Share of answers by latency</h3>\n", out);
		svg_cdf(out, curves, count);
	}
	fputs("<h3>Latency over time: most, mean, least; failures as dots</h3>\n", out);
	svg_timeline(out, &res->timeline);
	if (res->stages.count) {
		fputs("<h3>Stages as the host reports them: p50 / p99</h3>\n", out);
		svg_stages(out, &res->stages);
	}
}

static void print_saturation(FILE *out, const struct saturate *s)
{
	fprintf(out, "<h2>Capacity: %.1f per second with %u clients</h2>\n<p>", s->capacity, s->clients);
	svg_text(out, saturate_end_text(s->end));
	fputs("</p>\n<table><tr><th>clients</th><th>per second</th><th>p99 ms</th><th>failed</th><th></th></tr>\n", out);
	for (unsigned i = 0; i < s->count; i++)
		fprintf(out, "<tr><td>%u</td><td>%.1f</td><td>%.3f</td><td>%lu</td><td>%s</td></tr>\n", s->step[i].clients,
			s->step[i].per_s, (double)s->step[i].p99_ns / 1e6, (unsigned long)s->step[i].failed,
			s->step[i].sound ? "" : "not sound");
	fputs("</table>\n", out);
}

static void print_memory(FILE *out, const struct report *r)
{
	double lost;

	fprintf(out, "<h2>Memory per VM</h2>\n<p>%u alive: PSS %.0f KiB, private %.0f KiB (monitor %.0f, guest %.0f), guest "
		     "memory shared %.0f KiB. MemAvailable %lu KiB with %u VMs before, %lu KiB with %u VMs after",
		r->memory.vms, r->memory.pss, r->memory.private_all, r->memory.private_vmm, r->memory.private_guest,
		r->memory.shared_guest, (unsigned long)r->before.available_kib, r->before.vms,
		(unsigned long)r->after.available_kib, r->after.vms);
	if (memory_per_vm(&r->before, &r->after, &lost))
		fprintf(out, ": %.0f KiB for each further VM", lost);
	fputs(".</p>\n", out);
}

void html_print(FILE *out, const struct report *r)
{
	fprintf(out, "%s<title>stoker-bench: ", head);
	svg_text(out, r->function);
	fputs("</title></head><body>\n<h1>", out);
	svg_text(out, r->function);
	fputs("</h1>\n<p>", out);
	svg_text(out, r->mode);
	fputs("</p>\n", out);
	if (r->fresh)
		fprintf(out, "<p>Boot ids of the guests: %zu different ones, %lu repeated.</p>\n", r->fresh->used,
			(unsigned long)r->fresh->repeated);
	if (r->saturate)
		print_saturation(out, r->saturate);
	for (unsigned i = 0; i < r->count; i++)
		print_scenario(out, &r->scenarios[i]);
	if (r->have_memory)
		print_memory(out, r);
	fputs("</body></html>\n", out);
}
