/* Made-up traces: see trace_gen.h. */
#include "bench/trace_gen.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/random.h"
#include "common/base/cleanup.h"

#define DAY_S     86400.0
#define PI        3.14159265358979
#define MAX_A_DAY 300000.0

/* One function being made up. */
struct maker {
	struct trace *t;
	unsigned fn;
	double end_s;
	double median_s;   /* of its duration */
	double phase;      /* of the day's rhythm, in days */
	double rhythm;     /* 0: none, to 1: nothing at the quietest time */
	struct stk_err *err;
};

static double unit(struct maker *m)
{
	return random_unit(&m->t->random);
}

static double exponential(struct maker *m)
{
	return -log(unit(m));
}

static double normal(struct maker *m)
{
	double r = sqrt(2 * exponential(m));

	return r * cos(2 * PI * unit(m));
}

static double clamp(double v, double min, double max)
{
	return v < min ? min : v > max ? max : v;
}

static int call(struct maker *m, double at_s)
{
	double duration = clamp(m->median_s * exp(0.5 * normal(m)), 0.001, 600);

	if (at_s < 0 || at_s >= m->end_s)
		return 0;
	return trace_add_call(m->t, m->fn, (uint64_t)(at_s * 1e6), (uint32_t)(duration * 1e6), m->err);
}

/* The day's rhythm thins out what comes at the highest rate. */
static bool awake(struct maker *m, double at_s)
{
	double level = (1 + sin(2 * PI * (at_s / DAY_S + m->phase))) / 2;

	return unit(m) >= m->rhythm * (1 - level);
}

/* --- patterns: calls at about `rate` per second -------------------------------------------------- */

static int smooth(struct maker *m, double rate)
{
	int rc = 0;

	for (double at = exponential(m) / rate; rc == 0 && at < m->end_s; at += exponential(m) / rate) {
		if (awake(m, at))
			rc = call(m, at);
	}
	return rc;
}

static int bursts(struct maker *m, double rate)
{
	double size = 2 + floor(exponential(m) * 8), spacing = 0.02 + 0.3 * unit(m);
	int rc = 0;

	rate /= size;
	for (double at = exponential(m) / rate; rc == 0 && at < m->end_s; at += exponential(m) / rate) {
		double n = awake(m, at) ? 1 + floor(size * 2 * unit(m)) : 0, when = at;

		for (; rc == 0 && n > 0; n--, when += spacing * exponential(m))
			rc = call(m, when);
	}
	return rc;
}

/* Pauses from seconds to hours: log-normal, with the mean that the rate asks for. */
static int uneven(struct maker *m, double rate)
{
	double sigma = 1 + unit(m), median = 1 / rate / exp(sigma * sigma / 2);
	int rc = 0;

	for (double at = unit(m) / rate; rc == 0 && at < m->end_s; at += median * exp(sigma * normal(m))) {
		if (awake(m, at))
			rc = call(m, at);
	}
	return rc;
}

static int timer(struct maker *m, double rate)
{
	static const double minutes[] = {1, 1, 5, 5, 5, 10, 15, 15, 30, 60, 60, 360, 1440};
	double period = 60 * minutes[(unsigned)(unit(m) * STK_ARRAY_LEN(minutes)) % STK_ARRAY_LEN(minutes)];
	double jitter = 0.2 + 2 * unit(m);
	int rc = 0;

	for (double at = unit(m) * period; rc == 0 && at < m->end_s; at += period)
		rc = call(m, at + fabs(jitter * normal(m)));
	return rc;
}

/* --- kinds --------------------------------------------------------------------------------------- */

static double azure_rate(struct maker *m)
{
	return clamp(pow(10, 1.6 + 1.77 * normal(m)), 1, MAX_A_DAY) / DAY_S;
}

static int azure(struct maker *m)
{
	double kind = unit(m), rate = azure_rate(m);

	m->rhythm = 0.7 * unit(m);
	if (kind < 0.16)
		return timer(m, rate);
	if (kind < 0.55)
		return smooth(m, rate);
	return kind < 0.8 ? bursts(m, rate) : uneven(m, rate);
}

static int only_timers(struct maker *m)
{
	return timer(m, 0);
}

static int only_bursts(struct maker *m)
{
	return bursts(m, (0.5 + unit(m)) / 60);
}

static int only_steady(struct maker *m)
{
	return smooth(m, 0.02 + 0.5 * unit(m) * unit(m));
}

static int only_rare(struct maker *m)
{
	return uneven(m, (1 + 20 * unit(m)) / DAY_S);
}

static const struct kind {
	const char *name;
	int (*make)(struct maker *m);
} kinds[] = {
	{"azure", azure}, {"timers", only_timers}, {"bursts", only_bursts}, {"steady", only_steady},
	{"rare", only_rare},
};

static int make_function(struct trace *t, const struct kind *kind, unsigned number, struct stk_err *err)
{
	struct maker m = {.t = t, .end_s = (double)t->limits.end_us / 1e6, .err = err};
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "%s/%u", kind->name, number);
	rc = trace_function(t, name, strlen(name), &m.fn, err);
	if (rc)
		return rc;
	m.phase = unit(&m);
	m.median_s = clamp(exp(-0.38 + 2.36 * normal(&m)), 0.001, 300);
	t->fn[m.fn].memory_mib = (unsigned)clamp(107.083 * pow(pow(unit(&m), -1 / 0.221) - 1, 1 / 11.652), 16, 4096);
	return kind->make(&m);
}

int trace_generate(struct trace *t, const char *name, unsigned functions, struct stk_err *err)
{
	for (size_t i = 0; i < STK_ARRAY_LEN(kinds); i++) {
		int rc = 0;

		if (strcmp(kinds[i].name, name) != 0)
			continue;
		for (unsigned n = 0; rc == 0 && n < functions; n++)
			rc = make_function(t, &kinds[i], n, err);
		return rc;
	}
	return stk_err_set(err, -EINVAL, "nothing called \"%.40s\" can be made up (azure, timers, bursts, steady, rare)",
			   name);
}
