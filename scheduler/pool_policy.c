/* Pool sizing: see pool_policy.h. */
#include "scheduler/pool_policy.h"

#include <math.h>

#define RATE_TAU_S   5.0
#define PEAK_HALF_S  10.0
#define SAFETY       1.5

void pool_policy_init(struct pool_policy *p, unsigned floor, unsigned ceiling, uint64_t idle_ns)
{
	*p = (struct pool_policy){
		.floor = floor, .ceiling = ceiling, .idle_ns = idle_ns, .restore_s = 0.05};
}

static double since_s(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0.0;
}

static double rate_at(const struct pool_policy *p, uint64_t now_ns)
{
	return p->last_ns ? p->rate * exp(-since_s(p->last_ns, now_ns) / RATE_TAU_S) : 0.0;
}

static double peak_at(const struct pool_policy *p, uint64_t now_ns)
{
	return p->peak * exp2(-since_s(p->peak_ns, now_ns) / PEAK_HALF_S);
}

void pool_policy_arrival(struct pool_policy *p, uint64_t now_ns, unsigned concurrency)
{
	/* An impulse of 1/tau decaying with tau: a steady rate r reads as about r. */
	p->rate = rate_at(p, now_ns) + 1.0 / RATE_TAU_S;
	p->last_ns = now_ns;
	if ((double)concurrency >= peak_at(p, now_ns)) {
		p->peak = concurrency;
		p->peak_ns = now_ns;
	}
}

void pool_policy_started(struct pool_policy *p, uint64_t start_ns)
{
	p->restore_s = 0.7 * p->restore_s + 0.3 * ((double)start_ns / 1e9);
}

unsigned pool_policy_target(const struct pool_policy *p, uint64_t now_ns, unsigned busy)
{
	unsigned room = p->ceiling > busy ? p->ceiling - busy : 0;
	unsigned want = p->floor;

	if (p->last_ns && now_ns < p->last_ns + p->idle_ns) {
		double by_rate = ceil(rate_at(p, now_ns) * p->restore_s * SAFETY);
		double by_peak = floor(peak_at(p, now_ns) + 0.5);
		double need = by_rate > by_peak ? by_rate : by_peak;

		if (need > (double)p->ceiling)
			need = p->ceiling;
		if (need > (double)want)
			want = (unsigned)need;
	}
	return want < room ? want : room;
}
