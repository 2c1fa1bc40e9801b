#include "bench/compare.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bench/random.h"
#include "bench/report.h"
#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/host/json_get.h"

#define ROUNDS 1000
#define MAX_FILE (64U << 20)

/* A compact histogram: only buckets in use, as running totals, to draw from quickly. */
struct sample {
	unsigned used;
	uint64_t total;
	uint64_t *upto; /* running total up to and with bucket i */
	uint64_t *value;
	uint64_t *drawn;
};

static int sample_init(struct sample *s, const struct hist *h)
{
	unsigned used = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		used += h->count[i] != 0;
	s->upto = calloc(used, sizeof(uint64_t));
	s->value = calloc(used, sizeof(uint64_t));
	s->drawn = calloc(used, sizeof(uint64_t));
	if (!s->upto || !s->value || !s->drawn)
		return -ENOMEM;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		if (!h->count[i])
			continue;
		s->total += h->count[i];
		s->upto[s->used] = s->total;
		s->value[s->used++] = hist_value(i);
	}
	return 0;
}

static void sample_fini(struct sample *s)
{
	free(s->upto);
	free(s->value);
	free(s->drawn);
}

/* Percentile p of one resample of the same size (at most 20,000 draws). */
static double resample(struct sample *s, double p, uint64_t *state)
{
	uint64_t n = s->total < 20000 ? s->total : 20000;
	double want = p / 100 * (double)n;
	uint64_t seen = 0;

	memset(s->drawn, 0, s->used * sizeof(uint64_t));
	for (uint64_t i = 0; i < n; i++) {
		uint64_t pick = random_next(state) % s->total;
		unsigned lo = 0, hi = s->used - 1;

		while (lo < hi) {
			unsigned mid = (lo + hi) / 2;

			if (s->upto[mid] > pick)
				hi = mid;
			else
				lo = mid + 1;
		}
		s->drawn[lo]++;
	}
	for (unsigned i = 0; i < s->used; i++) {
		seen += s->drawn[i];
		if (s->drawn[i] && (double)seen + 1e-6 >= want)
			return (double)s->value[i];
	}
	return (double)s->value[s->used - 1];
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct compare_ratio compare_percentile(const struct hist *a, const struct hist *b, double p,
					unsigned rounds)
{
	struct compare_ratio r = {0};
	struct sample sa = {0}, sb = {0};
	stk_autofree double *ratios = calloc(rounds ? rounds : 1, sizeof(double));
	uint64_t state = 1, base = hist_percentile(a, p);

	r.ratio = base ? (double)hist_percentile(b, p) / (double)base : 0;
	r.low = r.high = r.ratio;
	if (ratios && rounds && a->total && b->total && sample_init(&sa, a) == 0 &&
	    sample_init(&sb, b) == 0) {
		for (unsigned i = 0; i < rounds; i++) {
			double below = resample(&sa, p, &state);

			ratios[i] = below > 0 ? resample(&sb, p, &state) / below : 0;
		}
		qsort(ratios, rounds, sizeof(*ratios), by_value);
		r.low = ratios[(unsigned)(0.025 * (rounds - 1))];
		r.high = ratios[(unsigned)(0.975 * (rounds - 1) + 0.5)];
	}
	sample_fini(&sa);
	sample_fini(&sb);
	return r;
}

double compare_mann_whitney(const struct hist *a, const struct hist *b, double *ret_p_value)
{
	double na = (double)a->total, nb = (double)b->total, n = na + nb;
	double below = 0, u = 0, ties = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		double ca = (double)a->count[i], cb = (double)b->count[i], t = ca + cb;

		u += cb * (below + ca / 2);
		below += ca;
		ties += t * t * t - t;
	}
	*ret_p_value = 1;
	if (na < 1 || nb < 1)
		return 0.5;

	double variance = na * nb / 12 * (n + 1 - ties / (n * (n - 1)));

	if (variance > 0)
		*ret_p_value = erfc(fabs(u - na * nb / 2) / sqrt(variance) / sqrt(2));
	return u / (na * nb);
}

static int load_file(const char *path, json_t **ret_obj, struct stk_err *err)
{
	stk_autofree char *text = NULL;
	size_t len = 0;
	int rc = stk_read_file(path, MAX_FILE, &text, &len);

	if (rc < 0)
		return stk_err_sys(err, rc, "%s", path);
	rc = json_get_parse(text, len, ret_obj, err);
	if (rc < 0)
		return stk_err_prefix(err, "%s", path);
	const char *format = json_string_value(json_object_get(*ret_obj, "format"));

	if (!format || strcmp(format, "stoker-bench 1") != 0) {
		json_decref(*ret_obj);
		*ret_obj = NULL;
		return stk_err_set(err, -EINVAL, "%s: not a result of stoker-bench --json", path);
	}
	return 0;
}

/* Two objects with a "histogram". Returns 1 when there was something to compare. */
static int compare_latency(const char *name, const json_t *a, const json_t *b, FILE *out, struct stk_err *err)
{
	static const double points[] = {50, 90, 99};
	stk_autofree struct hist *ha = calloc(1, sizeof(*ha));
	stk_autofree struct hist *hb = calloc(1, sizeof(*hb));
	double p_value, effect;
	int rc;

	if (!ha || !hb)
		return stk_err_sys(err, -ENOMEM, "histograms");
	rc = report_read_histogram(json_object_get(a, "histogram"), ha, err);
	if (rc == 0)
		rc = report_read_histogram(json_object_get(b, "histogram"), hb, err);
	if (rc < 0) {
		stk_err_prefix(err, "%s", name);
		return rc;
	}
	if (ha->total == 0 || hb->total == 0)
		return 0;
	for (size_t i = 0; i < STK_ARRAY_LEN(points); i++) {
		struct compare_ratio r = compare_percentile(ha, hb, points[i], ROUNDS);

		fprintf(out, "%-16s p%-4.0f %10.3f %10.3f ms   B/A %.3f  (95 %%: %.3f to %.3f)\n",
			i ? "" : name, points[i], (double)hist_percentile(ha, points[i]) / 1e6,
			(double)hist_percentile(hb, points[i]) / 1e6, r.ratio, r.low, r.high);
	}
	effect = compare_mann_whitney(ha, hb, &p_value);
	fprintf(out, "%-16s Mann-Whitney: B slower in %.1f %% of pairs, p = %.2g: %s\n", "",
		effect * 100, p_value,
		p_value >= 0.01 ? "no difference shown" : effect > 0.5 ? "B is slower" : "B is faster");
	return 1;
}

/* Scenarios that mix classes: the shares of the classes may differ, so each is compared as well. */
static int compare_classes(const json_t *a, const json_t *b, FILE *out, struct stk_err *err)
{
	if (json_object_size(a) < 2 && json_object_size(b) < 2)
		return 0;
	for (int c = 0; c < CLASS_COUNT; c++) {
		const char *name = classes_name((enum start_class)c);
		const json_t *ca = json_object_get(a, name), *cb = json_object_get(b, name);
		char label[40];
		int rc;

		snprintf(label, sizeof(label), "  %s", name);
		rc = ca && cb ? compare_latency(label, ca, cb, out, err) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int compare_scenario(const char *name, const json_t *a, const json_t *b, FILE *out,
			    struct stk_err *err)
{
	int rc = compare_latency(name, json_object_get(a, "latency"), json_object_get(b, "latency"), out, err);

	if (rc == 0)
		fprintf(out, "%-16s no successful request in one of the files\n", name);
	if (rc >= 0)
		rc = compare_classes(json_object_get(a, "classes"), json_object_get(b, "classes"), out, err);
	if (json_is_true(json_object_get(a, "lag_suspect")) || json_is_true(json_object_get(b, "lag_suspect")))
		fprintf(out, "%-16s WARNING: the load generator itself was late\n", "");
	return rc < 0 ? rc : 0;
}

static void compare_capacity(const json_t *a, const json_t *b, FILE *out)
{
	double x = json_number_value(json_object_get(json_object_get(a, "saturation"), "capacity_per_second"));
	double y = json_number_value(json_object_get(json_object_get(b, "saturation"), "capacity_per_second"));

	if (x > 0 && y > 0)
		fprintf(out, "capacity         %.1f and %.1f per second   B/A %.3f\n", x, y, y / x);
}

static void compare_memory(const json_t *a, const json_t *b, FILE *out)
{
	struct memory_machine x, y;
	double kib;

	if (report_read_machine(json_object_get(a, "memory"), &x) && report_read_machine(json_object_get(b, "memory"), &y) &&
	    memory_per_vm(&x, &y, &kib))
		fprintf(out, "MemAvailable     %lu KiB with %u VMs, %lu KiB with %u VMs: %.0f KiB for each further VM\n",
			(unsigned long)x.available_kib, x.vms, (unsigned long)y.available_kib, y.vms, kib);
}

/* Names come from a file: nothing that a terminal would take as a command. */
static bool is_plain(const char *name)
{
	for (const char *p = name; *p; p++)
		if (*p < ' ' || *p > '~')
			return false;
	return strlen(name) < 64;
}

int compare_files(const char *path_a, const char *path_b, FILE *out, struct stk_err *err)
{
	json_t *a = NULL, *b = NULL, *scenario;
	const char *name;
	int rc = load_file(path_a, &a, err);
	unsigned compared = 0;

	if (rc == 0)
		rc = load_file(path_b, &b, err);
	if (rc == 0) {
		fprintf(out, "A = %s, B = %s\n", path_a, path_b);
		json_object_foreach(json_object_get(a, "scenarios"), name, scenario) {
			const json_t *other = json_object_get(json_object_get(b, "scenarios"), name);

			if (!other || !is_plain(name))
				continue;
			rc = compare_scenario(name, scenario, other, out, err);
			if (rc < 0)
				break;
			compared++;
		}
		compare_capacity(a, b, out);
		compare_memory(a, b, out);
		if (rc == 0 && compared == 0)
			rc = stk_err_set(err, -EINVAL, "the two files have no scenario in common");
	}
	json_decref(a);
	json_decref(b);
	return rc;
}
