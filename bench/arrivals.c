#include "bench/arrivals.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/random.h"
#include "common/base/cleanup.h"
#include "common/base/fd.h"

#define MAX_TRACE_FILE (256U << 20)
#define MAX_BURST      1000000.0

/* A decimal number of 0..max at *p, which is moved behind it. No sign, no blanks, no "nan" or hexadecimal. */
static bool take_number(const char **p, double max, double *ret_value)
{
	size_t len = strspn(*p, "0123456789.eE+-");
	char *end;
	double v;

	if (**p < '0' || **p > '9')
		return false;
	v = strtod(*p, &end);
	if (end != *p + len || !(v <= max))
		return false;
	*p = end;
	*ret_value = v;
	return true;
}

static int parse_steps(struct arrivals *a, const char *p, struct stk_err *err)
{
	double most = 0;

	do {
		double rate, seconds;

		if (a->step_count == ARRIVALS_MAX_STEPS)
			return stk_err_set(err, -E2BIG, "step: at most %d steps", ARRIVALS_MAX_STEPS);
		if (!take_number(&p, ARRIVALS_MAX_RATE, &rate) || *p++ != '@' ||
		    !take_number(&p, ARRIVALS_MAX_S, &seconds) || (*p && *p != ',') || seconds <= 0)
			return stk_err_set(err, -EINVAL, "step %u is not RATE@SECONDS (rate up to %g, time up to %g)",
					   a->step_count + 1, ARRIVALS_MAX_RATE, ARRIVALS_MAX_S);
		a->step[a->step_count].rate = rate;
		a->step[a->step_count++].seconds = seconds;
		most = rate > most ? rate : most;
	} while (*p++);
	return most > 0 ? 0 : stk_err_set(err, -EINVAL, "step: no step has a rate above 0");
}

static int parse_burst(struct arrivals *a, const char *p, struct stk_err *err)
{
	double size;

	if (!take_number(&p, MAX_BURST, &size) || *p++ != '@' || !take_number(&p, ARRIVALS_MAX_S, &a->burst_s) || *p ||
	    size < 1 || size != floor(size) || a->burst_s <= 0)
		return stk_err_set(err, -EINVAL, "burst is not COUNT@SECONDS (count up to %g, time up to %g)", MAX_BURST,
				   ARRIVALS_MAX_S);
	a->burst_size = (uint64_t)size;
	return 0;
}

static int add_offset(struct arrivals *a, const char *line, size_t len, struct stk_err *err)
{
	char copy[64];
	const char *p = copy;
	double seconds;
	uint64_t ns;

	if (len >= sizeof(copy))
		return stk_err_set(err, -EINVAL, "this line is too long for an offset");
	memcpy(copy, line, len);
	copy[len] = '\0';
	if (!take_number(&p, ARRIVALS_MAX_S, &seconds) || p != copy + len)
		return stk_err_set(err, -EINVAL, "not an offset in seconds (0 to %g)", ARRIVALS_MAX_S);
	ns = (uint64_t)(seconds * 1e9 + 0.5);
	if (a->trace_len && ns < a->trace[a->trace_len - 1])
		return stk_err_set(err, -EINVAL, "this offset is before the one above it");
	a->trace[a->trace_len++] = ns;
	return 0;
}

int arrivals_parse_trace(struct arrivals *a, const char *text, size_t len, const char *name, struct stk_err *err)
{
	const char *end = text + len;
	size_t lines = 1, number = 0;

	for (const char *p = text; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	if (lines > ARRIVALS_MAX_TRACE + 1)
		return stk_err_set(err, -E2BIG, "%s: more than %u lines", name, ARRIVALS_MAX_TRACE);
	*a = (struct arrivals){.kind = ARRIVALS_TRACE, .trace = calloc(lines, sizeof(uint64_t))};
	if (!a->trace)
		return stk_err_sys(err, -ENOMEM, "%s", name);
	for (const char *line = text; line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t n = (size_t)((stop ? stop : end) - line);
		int rc = 0;

		number++;
		if (n && line[n - 1] == '\r')
			n--;
		if (n && line[0] != '#')
			rc = add_offset(a, line, n, err);
		if (rc < 0) {
			arrivals_fini(a);
			stk_err_prefix(err, "%s:%zu", name, number);
			return rc;
		}
		line = stop ? stop + 1 : end;
	}
	if (a->trace_len == 0) {
		arrivals_fini(a);
		return stk_err_set(err, -EINVAL, "%s: no offset in this file", name);
	}
	return 0;
}

static int load_trace(struct arrivals *a, const char *path, struct stk_err *err)
{
	stk_autofree char *text = NULL;
	size_t len = 0;
	int rc = stk_read_file(path, MAX_TRACE_FILE, &text, &len);

	return rc < 0 ? stk_err_sys(err, rc, "%s", path) : arrivals_parse_trace(a, text, len, path, err);
}

int arrivals_parse(struct arrivals *a, const char *text, double rate, uint64_t seed, struct stk_err *err)
{
	struct arrivals new = {.rate = rate, .seed = seed};
	bool at_rate = false;
	int rc = 0;

	if (strcmp(text, "constant") == 0 || strcmp(text, "poisson") == 0) {
		at_rate = true;
		new.kind = *text == 'c' ? ARRIVALS_CONSTANT : ARRIVALS_POISSON;
	} else if (strncmp(text, "step:", 5) == 0) {
		new.kind = ARRIVALS_STEP;
		rc = parse_steps(&new, text + 5, err);
	} else if (strncmp(text, "burst:", 6) == 0) {
		new.kind = ARRIVALS_BURST;
		rc = parse_burst(&new, text + 6, err);
	} else if (strncmp(text, "trace:", 6) == 0) {
		rc = load_trace(&new, text + 6, err);
	} else {
		return stk_err_set(err, -EINVAL, "unknown arrivals %.80s (constant, poisson, step:, burst:, trace:)", text);
	}
	if (rc < 0)
		return rc;
	if (at_rate && !(rate > 0 && rate <= ARRIVALS_MAX_RATE))
		return stk_err_set(err, -EINVAL, "%s arrivals need a rate above 0, up to %g", text, ARRIVALS_MAX_RATE);
	arrivals_rewind(&new);
	*a = new;
	return 0;
}

void arrivals_fini(struct arrivals *a)
{
	free(a->trace);
	a->trace = NULL;
	a->trace_len = 0;
}

void arrivals_rewind(struct arrivals *a)
{
	a->issued = 0;
	a->in_step = 0;
	a->base_s = 0;
	a->random = a->seed;
}

static bool next_of_steps(struct arrivals *a, double *ret_s)
{
	while (a->in_step < a->step_count) {
		double rate = a->step[a->in_step].rate;
		double at = rate > 0 ? (double)a->issued / rate : HUGE_VAL;

		/* the slack: 3 * (1 / 3.0) must not fall into a step of one second */
		if (at < a->step[a->in_step].seconds - 1e-9) {
			a->issued++;
			*ret_s = a->base_s + at;
			return true;
		}
		a->base_s += a->step[a->in_step].seconds;
		a->in_step++;
		a->issued = 0;
	}
	return false;
}

bool arrivals_next(struct arrivals *a, uint64_t *ret_ns)
{
	double s = 0;

	switch (a->kind) {
	case ARRIVALS_CONSTANT:
		s = (double)a->issued++ / a->rate;
		break;
	case ARRIVALS_POISSON:
		s = a->base_s += -log(random_unit(&a->random)) / a->rate;
		break;
	case ARRIVALS_STEP:
		if (!next_of_steps(a, &s))
			return false;
		break;
	case ARRIVALS_BURST:
		s = (double)(a->issued++ / a->burst_size) * a->burst_s;
		break;
	case ARRIVALS_TRACE:
		if (a->issued >= a->trace_len)
			return false;
		*ret_ns = a->trace[a->issued++];
		return true;
	}
	*ret_ns = (uint64_t)(s * 1e9 + 0.5);
	return true;
}

bool arrivals_end(const struct arrivals *a)
{
	return a->kind == ARRIVALS_STEP || a->kind == ARRIVALS_TRACE;
}

void arrivals_describe(const struct arrivals *a, char *buf, size_t cap)
{
	double seconds = 0;

	switch (a->kind) {
	case ARRIVALS_CONSTANT:
		snprintf(buf, cap, "%g requests per second", a->rate);
		break;
	case ARRIVALS_POISSON:
		snprintf(buf, cap, "poisson arrivals, %g per second, seed %lu", a->rate, (unsigned long)a->seed);
		break;
	case ARRIVALS_STEP:
		for (unsigned i = 0; i < a->step_count; i++)
			seconds += a->step[i].seconds;
		snprintf(buf, cap, "%u steps, %g s", a->step_count, seconds);
		break;
	case ARRIVALS_BURST:
		snprintf(buf, cap, "%lu at once every %g s", (unsigned long)a->burst_size, a->burst_s);
		break;
	case ARRIVALS_TRACE:
		snprintf(buf, cap, "trace of %zu arrivals", a->trace_len);
		break;
	}
}
