/* Azure's traces: see trace_azure.h. Formats: AzureFunctionsDataset2019.md and
 * AzureFunctionsInvocationTrace2021.md in Azure's AzurePublicDataset. */
#include "bench/trace_azure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/random.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

#define LINE_MAX_LEN 65536
#define DAY_MINUTES  1440
#define MAX_FIELDS   (4 + DAY_MINUTES)
#define MAX_PER_MIN  10000000u
#define MINUTE_US    60000000ull
#define NAME_CAP     512
#define MAX_S        1e8 /* of a time stamp: three years */

struct reader {
	struct trace_azure *a;
	struct trace *t;
	unsigned columns; /* of each line */
	char *field[MAX_FIELDS];
	char line[LINE_MAX_LEN];
};

/* A non-negative decimal number, no blanks, no hexadecimal, no "nan". */
static int number(const char *text, double max, double *ret)
{
	char *end;
	double v;

	if (!*text || strspn(text, "0123456789.eE+-") != strlen(text))
		return -EINVAL;
	v = strtod(text, &end);
	if (*end || !(v >= 0) || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

/* OWNER/APP/FUNCTION from the first fields, *ret_app_len for what stands before the last slash. */
static int join_name(const struct reader *r, unsigned fields, char *name, size_t *ret_app_len, struct stk_err *err)
{
	size_t len = 0;

	for (unsigned i = 0; i < fields; i++) {
		size_t n = strlen(r->field[i]);

		if (n == 0 || strchr(r->field[i], '/') || len + n + 2 > NAME_CAP)
			return stk_err_set(err, -EINVAL, "field %u is not the name of something", i + 1);
		*ret_app_len = len;
		if (len)
			name[len++] = '/';
		memcpy(name + len, r->field[i], n);
		len += n;
	}
	name[len] = '\0';
	return 0;
}

static int calls_per_minute(struct reader *r, struct stk_err *err)
{
	char name[NAME_CAP];
	bool timer = strcmp(r->field[3], "timer") == 0;
	uint64_t begin = (uint64_t)(r->a->days - 1) * DAY_MINUTES * MINUTE_US, own;
	unsigned fn = 0;
	size_t app_len = 0;
	double phase;
	int rc = join_name(r, 3, name, &app_len, err);

	if (rc || !trace_keeps(r->t, name))
		return rc;
	rc = trace_function(r->t, name, app_len, &fn, err);
	own = r->t->limits.seed + fn;
	phase = random_unit(&own);
	for (unsigned m = 0; rc == 0 && m < r->columns - 4; m++) {
		const char *text = r->field[4 + m];
		uint64_t n = 0, minute = begin + m * MINUTE_US;

		if (strcmp(text, "0") == 0)
			continue;
		if (stk_parse_u64(text, 0, MAX_PER_MIN, &n))
			return stk_err_set(err, -EINVAL, "minute %u: expected a number of calls, got \"%.20s\"",
					   m + 1, text);
		for (uint64_t i = 0; rc == 0 && i < n && minute < r->t->limits.end_us; i++) {
			double at = timer ? ((double)i + phase) / (double)n : random_unit(&r->t->random);

			rc = trace_add_call(r->t, fn, minute + (uint64_t)(at * (MINUTE_US - 1)), TRACE_UNKNOWN, err);
		}
	}
	return rc;
}

static int durations(struct reader *r, struct stk_err *err)
{
	char name[NAME_CAP];
	float ms[TRACE_POINTS];
	double v = 0, last = 0;
	unsigned fn = 0;
	size_t app_len = 0;
	int rc = join_name(r, 3, name, &app_len, err);

	if (rc || !trace_keeps(r->t, name))
		return rc;
	for (unsigned i = 0; i < TRACE_POINTS; i++) {
		if (number(r->field[7 + i], 1e9, &v) || v < last)
			return stk_err_set(err, -EINVAL, "field %u: expected milliseconds, rising, got \"%.20s\"", 8 + i,
					   r->field[7 + i]);
		ms[i] = (float)(last = v);
	}
	rc = trace_function(r->t, name, app_len, &fn, err);
	if (rc)
		return rc;
	memcpy(r->t->fn[fn].duration_ms, ms, sizeof(ms));
	r->t->fn[fn].known_duration = true;
	return 0;
}

static int memory(struct reader *r, struct stk_err *err)
{
	char name[NAME_CAP];
	size_t ignored = 0;
	double mib = 0;
	int rc = join_name(r, 2, name, &ignored, err);

	if (rc)
		return rc;
	if (number(r->field[3], 1e7, &mib))
		return stk_err_set(err, -EINVAL, "field 4: expected MiB, got \"%.20s\"", r->field[3]);
	return trace_app_memory(r->t, name, mib < 1 ? 1 : (unsigned)mib, err);
}

static int one_call(struct reader *r, struct stk_err *err)
{
	char name[NAME_CAP];
	double end = 0, duration = 0;
	unsigned fn = 0;
	size_t app_len = 0;
	int rc = join_name(r, 2, name, &app_len, err);

	if (rc || !trace_keeps(r->t, name))
		return rc;
	if (number(r->field[2], MAX_S, &end) || number(r->field[3], MAX_S, &duration))
		return stk_err_set(err, -EINVAL, "expected seconds, got \"%.20s\" and \"%.20s\"", r->field[2],
				   r->field[3]);
	rc = trace_function(r->t, name, app_len, &fn, err);
	if (rc)
		return rc;
	return trace_add_call(r->t, fn, end > duration ? (uint64_t)((end - duration) * 1e6) : 0,
			      duration > 4000 ? 4000000000u : (uint32_t)(duration * 1e6), err);
}

/* How a file begins, and how its lines are read. Fields 0: as many as the first line has. */
static const struct format {
	const char *begins;
	unsigned fields;
	int (*line)(struct reader *r, struct stk_err *err);
} formats[] = {
	{"HashOwner,HashApp,HashFunction,Trigger,1", 0, calls_per_minute},
	{"HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,"
	 "percentile_Average_1,percentile_Average_25,percentile_Average_50,percentile_Average_75,"
	 "percentile_Average_99,percentile_Average_100", 14, durations},
	{"HashOwner,HashApp,SampleCount,AverageAllocatedMb", 0, memory},
	{"app,func,end_timestamp,duration", 4, one_call},
};

static unsigned split(struct reader *r)
{
	unsigned n = 0;

	for (char *p = r->line, *comma; p; p = comma) {
		comma = strchr(p, ',');
		if (comma)
			*comma++ = '\0';
		if (n == MAX_FIELDS)
			return MAX_FIELDS + 1;
		r->field[n++] = p;
	}
	return n;
}

/* 1: a line; 0: the end. */
static int next_line(struct reader *r, FILE *f, struct stk_err *err)
{
	size_t len;

	if (!fgets(r->line, sizeof(r->line), f))
		return ferror(f) ? stk_err_sys(err, -EIO, "reading") : 0;
	len = strlen(r->line);
	if (len == 0 || (r->line[len - 1] != '\n' && !feof(f)))
		return stk_err_set(err, -EINVAL, "longer than %d bytes, or not text", LINE_MAX_LEN - 2);
	r->line[strcspn(r->line, "\r\n")] = '\0';
	return 1;
}

static int read_lines(struct reader *r, FILE *f, unsigned *line, struct stk_err *err)
{
	const struct format *format = NULL;
	int rc;

	for (*line = 1; (rc = next_line(r, f, err)) > 0; ++*line) {
		for (unsigned i = 0; *line == 1 && i < STK_ARRAY_LEN(formats); i++) {
			if (strncmp(r->line, formats[i].begins, strlen(formats[i].begins)) == 0)
				format = &formats[i];
		}
		if (!format)
			return stk_err_set(err, -EINVAL, "not a trace of Azure's functions that is known here");
		if (*line == 1) {
			r->columns = split(r);
			if (r->columns > MAX_FIELDS || (format->fields && r->columns != format->fields))
				return stk_err_set(err, -EINVAL, "%u columns are not what this format has",
						   r->columns);
			r->a->days += format->line == calls_per_minute;
			continue;
		}
		if (split(r) != r->columns)
			return stk_err_set(err, -EINVAL, "expected %u fields", r->columns);
		rc = format->line(r, err);
		if (rc)
			return rc;
	}
	if (rc == 0 && !format)
		return stk_err_set(err, -EINVAL, "empty");
	return rc;
}

int trace_azure_read(struct trace_azure *a, FILE *f, const char *name, struct stk_err *err)
{
	stk_autofree struct reader *r = calloc(1, sizeof(*r));
	unsigned line = 1;
	int rc;

	if (!r)
		return stk_err_sys(err, -ENOMEM, "%s", name);
	r->a = a;
	r->t = a->trace;
	rc = read_lines(r, f, &line, err);
	if (rc)
		stk_err_prefix(err, "%s line %u", name, line);
	return rc;
}
