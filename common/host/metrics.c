/* Prometheus metrics: see metrics.h. */
#include "common/host/metrics.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/list.h"

/* Upper bounds in seconds; the last, +Inf, is implied. */
static const double bounds[] = {50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3,
				0.1,   0.2,    0.5,    1,      2,    5,    10,   20,    30,    60};
#define BOUNDS STK_ARRAY_LEN(bounds)
#define BUCKETS 8192

struct family {
	struct stk_list link; /* in metrics->families, in order of creation */
	struct stk_list series;
	enum metrics_kind kind;
	char *name, *help;
};

struct metrics_series {
	struct stk_list link; /* in family->series */
	struct family *family;
	struct metrics_series *same_hash;
	double value; /* histogram: sum */
	uint64_t *bucket; /* histogram: BOUNDS + 1 counts, not cumulative */
	char labels[];
};

struct metrics {
	struct stk_list families;
	struct metrics_series *by_labels[BUCKETS]; /* hash of family and labels */
};

struct metrics *metrics_new(void)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (m)
		stk_list_init(&m->families);
	return m;
}

static void series_free(struct metrics_series *s)
{
	stk_list_del(&s->link);
	free(s->bucket);
	free(s);
}

static void family_free(struct family *f)
{
	STK_LIST_FOREACH_SAFE(it, tmp, &f->series)
		series_free(STK_CONTAINER_OF(it, struct metrics_series, link));
	stk_list_del(&f->link);
	free(f->name);
	free(f->help);
	free(f);
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	STK_LIST_FOREACH_SAFE(it, tmp, &m->families)
		family_free(STK_CONTAINER_OF(it, struct family, link));
	free(m);
}

static struct family *family_get(struct metrics *m, enum metrics_kind kind, const char *name,
				 const char *help)
{
	struct family *f;

	STK_LIST_FOREACH(it, &m->families) {
		f = STK_CONTAINER_OF(it, struct family, link);
		if (strcmp(f->name, name) == 0) {
			assert(f->kind == kind);
			return f;
		}
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	stk_list_init(&f->series);
	stk_list_init(&f->link);
	f->kind = kind;
	f->name = strdup(name);
	f->help = strdup(help);
	if (!f->name || !f->help) {
		family_free(f);
		return NULL;
	}
	stk_list_add_tail(&m->families, &f->link);
	return f;
}

static unsigned hash(const char *name, const char *labels)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	for (; *labels; labels++)
		h = (h ^ (uint8_t)*labels) * 16777619u;
	return h % BUCKETS;
}

struct metrics_series *metrics_get(struct metrics *m, enum metrics_kind kind, const char *name,
				   const char *help, const char *labels)
{
	struct family *f = family_get(m, kind, name, help);
	struct metrics_series *s, **bucket;

	if (!f)
		return NULL;
	bucket = &m->by_labels[hash(name, labels)];
	for (s = *bucket; s; s = s->same_hash) {
		if (s->family == f && strcmp(s->labels, labels) == 0)
			return s;
	}
	s = calloc(1, sizeof(*s) + strlen(labels) + 1);
	if (!s)
		return NULL;
	stk_list_init(&s->link);
	strcpy(s->labels, labels);
	if (kind == METRICS_HISTOGRAM) {
		s->bucket = calloc(BOUNDS + 1, sizeof(*s->bucket));
		if (!s->bucket) {
			series_free(s);
			return NULL;
		}
	}
	s->family = f;
	s->same_hash = *bucket;
	*bucket = s;
	stk_list_add_tail(&f->series, &s->link);
	return s;
}

void metrics_add(struct metrics_series *s, double v)
{
	assert(s->family->kind != METRICS_HISTOGRAM && (v >= 0 || s->family->kind == METRICS_GAUGE));
	s->value += v;
}

void metrics_set(struct metrics_series *s, double v)
{
	assert(s->family->kind == METRICS_GAUGE);
	s->value = v;
}

void metrics_observe(struct metrics_series *s, double seconds)
{
	size_t i = 0;

	assert(s->family->kind == METRICS_HISTOGRAM);
	while (i < BOUNDS && seconds > bounds[i])
		i++;
	s->bucket[i]++;
	s->value += seconds;
}

void metrics_escape(const char *src, char *dst, size_t cap)
{
	size_t n = 0;

	if (!cap)
		return;
	for (; *src; src++) {
		char c = *src == '\n' ? 'n' : *src;
		bool quoted = *src == '\\' || *src == '"' || *src == '\n';

		if (n + 1 + quoted >= cap)
			break;
		if (quoted)
			dst[n++] = '\\';
		dst[n++] = c;
	}
	dst[n] = '\0';
}

/* Integers as such, so that counters do not lose digits. */
static void print_value(FILE *f, double v)
{
	if (isinf(v))
		fputs(v > 0 ? "+Inf" : "-Inf", f);
	else if (isnan(v))
		fputs("NaN", f);
	else if (v == floor(v) && fabs(v) < 9007199254740992.0)
		fprintf(f, "%.0f", v);
	else
		fprintf(f, "%.9g", v);
}

static void print_series(FILE *out, const char *name, const struct metrics_series *s)
{
	const char *open = *s->labels ? "{" : "", *close = *s->labels ? "}" : "";

	if (s->family->kind == METRICS_HISTOGRAM) {
		const char *comma = *s->labels ? "," : "";
		uint64_t sum = 0;

		for (size_t i = 0; i < BOUNDS; i++) {
			sum += s->bucket[i];
			fprintf(out, "%s_bucket{%s%sle=\"%.9g\"} %llu\n", name, s->labels, comma, bounds[i],
				(unsigned long long)sum);
		}
		sum += s->bucket[BOUNDS];
		fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, s->labels, comma,
			(unsigned long long)sum);
		fprintf(out, "%s_sum%s%s%s %.9g\n", name, open, s->labels, close, s->value);
		fprintf(out, "%s_count%s%s%s %llu\n", name, open, s->labels, close,
			(unsigned long long)sum);
		return;
	}
	fprintf(out, "%s%s%s%s ", name, open, s->labels, close);
	print_value(out, s->value);
	fputc('\n', out);
}

static void print_help(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\\\", out);
		else if (*text == '\n')
			fputs("\\n", out);
		else
			fputc(*text, out);
	}
}

void metrics_head(FILE *out, enum metrics_kind kind, const char *name, const char *help)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};

	fprintf(out, "# HELP %s ", name);
	print_help(out, help);
	fprintf(out, "\n# TYPE %s %s\n", name, kinds[kind]);
}

bool metrics_walk(const struct metrics *m, struct metrics_walk *walk, unsigned lines, FILE *out)
{
	const struct stk_list *family = walk->family ? walk->family : m->families.next; /* none is ever removed */
	const struct stk_list *series = walk->series;
	unsigned done = 0;

	for (; family != &m->families; family = family->next, series = NULL) {
		const struct family *f = STK_CONTAINER_OF(family, const struct family, link);

		if (!series) {
			series = f->series.next;
			if (series != &f->series)
				metrics_head(out, f->kind, f->name, f->help);
		}
		for (; series != &f->series; series = series->next) {
			if (done >= lines) {
				walk->family = family;
				walk->series = series;
				return true;
			}
			print_series(out, f->name, STK_CONTAINER_OF(series, const struct metrics_series, link));
			done += f->kind == METRICS_HISTOGRAM ? BOUNDS + 3 : 1;
		}
	}
	return false;
}

char *metrics_text(const struct metrics *m, size_t *ret_len)
{
	struct metrics_walk walk = {0};
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool bad;

	if (!out)
		return NULL;
	metrics_walk(m, &walk, UINT_MAX, out);
	bad = ferror(out) != 0;
	if (fclose(out) != 0 || bad) {
		free(text);
		return NULL;
	}
	*ret_len = len;
	return text;
}
