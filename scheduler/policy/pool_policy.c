/* Pool sizing: see pool_policy.h. */
#include "scheduler/policy/pool_policy.h"

#include <math.h>
#include <stdlib.h>

#define NS_PER_S     1000000000ull
#define RATE_TAU_S   5.0
#define PEAK_HALF_S  10.0
#define SAFETY       1.5
#define TICK_S       0.1               /* how late the daemon may see that a VM was taken */
#define SHORT_NS     (5 * NS_PER_S)    /* not worth to end a VM and start another one for */
#define RARELY       0.01              /* how often a burst may be larger, at the least and at the most */
#define OFTEN        0.5
#define REVIEW_NS    NS_PER_S          /* while demand of the last seconds fades */
#define AHEAD_NS     (60 * NS_PER_S)   /* "the near future" of a VM's value */
#define PRIOR        2.0               /* pauses of a made-up history, beside the recorded ones */

void pool_policy_init(struct pool_policy *p, unsigned floor, unsigned ceiling, uint64_t idle_ns, bool history,
		      bool reused)
{
	*p = (struct pool_policy){.floor = floor, .ceiling = ceiling, .idle_ns = idle_ns,
		.history = history, .reused = reused, .usual = 1, .restore_s = 0.05};
}

void pool_policy_fini(struct pool_policy *p)
{
	free(p->past);
	p->past = NULL;
	p->windowed = false;
}

void pool_policy_inherit(struct pool_policy *p, struct pool_policy *from)
{
	struct pool_policy old = *p;

	free(p->past);
	*p = *from;
	p->floor = old.floor;
	p->ceiling = old.ceiling;
	p->idle_ns = old.idle_ns;
	p->history = old.history;
	p->reused = old.reused;
	from->past = NULL;
	from->windowed = false;
}

static uint64_t since_ns(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

static double since_s(uint64_t then_ns, uint64_t now_ns)
{
	return (double)since_ns(then_ns, now_ns) / 1e9;
}

static double rate_at(const struct pool_policy *p, uint64_t now_ns)
{
	return p->last_ns ? p->rate * exp(-since_s(p->last_ns, now_ns) / RATE_TAU_S) : 0.0;
}

static double peak_at(const struct pool_policy *p, uint64_t now_ns)
{
	return p->peak * exp2(-since_s(p->peak_ns, now_ns) / PEAK_HALF_S);
}

/* Arrivals so close that a VM started for the first one would come too late for the last. */
static uint64_t at_once_ns(const struct pool_policy *p)
{
	double s = TICK_S + p->restore_s;

	return (uint64_t)((s > 2 ? 2 : s) * 1e9);
}

/* A burst is over, and perhaps a pause. */
static void record(struct pool_policy *p, uint64_t gap_ns)
{
	bool pause = gap_ns >= at_once_ns(p);

	if (!p->past)
		p->past = calloc(1, sizeof(*p->past));
	if (p->past)
		burst_hist_add(&p->past->bursts, p->group);
	if (p->past && pause)
		idle_hist_add(&p->past->pauses, gap_ns);
	if (pause)
		p->early = p->windowed && gap_ns < p->window.from_ns;
}

static void record_arrival(struct pool_policy *p, uint64_t now_ns, unsigned concurrency)
{
	if (p->last_ns && since_ns(p->group_ns, now_ns) < at_once_ns(p)) {
		if (!p->reused)
			p->group++;
		else if (concurrency > p->group)
			p->group = concurrency;
		return;
	}
	if (p->last_ns)
		record(p, since_ns(p->last_ns, now_ns));
	p->group = p->reused ? concurrency : 1;
	p->group_ns = now_ns;
}

void pool_policy_arrival(struct pool_policy *p, uint64_t now_ns, unsigned concurrency)
{
	if (p->history) {
		/* How many run matters only for VMs that are reused: others are replaced while their call runs. */
		record_arrival(p, now_ns, concurrency);
		concurrency = p->group;
	}
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

/* One VM more waits through the window for the bursts that are larger: it pays when these are at least as
 * frequent as what the waiting costs in cold starts. */
static unsigned usual_burst(const struct pool_policy *p)
{
	struct idle_window fallback = {0, p->idle_ns};
	double wait = idle_hist_wait(&p->past->pauses, p->windowed ? p->window : fallback);
	double exceeded = p->idle_ns ? wait * 1e9 / (double)p->idle_ns : OFTEN;

	exceeded = exceeded < RARELY ? RARELY : exceeded > OFTEN ? OFTEN : exceeded;
	return burst_hist_size(&p->past->bursts, exceeded);
}

/* Cheap but not free: at first with each burst, later with every sixteenth part of them. */
static void learn(struct pool_policy *p)
{
	unsigned total = p->past ? p->past->bursts.total : 0;

	if (!p->past || (total >= p->learned && total - p->learned <= p->learned / 16))
		return;
	p->learned = (uint8_t)total;
	p->windowed = idle_hist_window(&p->past->pauses, p->idle_ns, &p->window);
	if (p->window.from_ns < SHORT_NS)
		p->window.from_ns = 0;
	p->usual = usual_burst(p);
}

static struct idle_window window_of(const struct pool_policy *p)
{
	struct idle_window w = {0, p->idle_ns};
	uint64_t lead = 2 * at_once_ns(p); /* ready in time also when others' starts come first */

	if (p->windowed && !p->early) {
		w = p->window;
		w.from_ns = w.from_ns > lead ? w.from_ns - lead : 0;
	}
	return w;
}

/* What a moment with requests needs. */
static double demand_at(const struct pool_policy *p, uint64_t now_ns)
{
	double by_rate = p->reused ? 0 : ceil(rate_at(p, now_ns) * p->restore_s * SAFETY);
	double by_peak = floor(peak_at(p, now_ns) + 0.5);
	double need = by_rate > by_peak ? by_rate : by_peak;

	need = need > p->usual ? need : p->usual;
	return need < p->ceiling ? need : p->ceiling;
}

unsigned pool_policy_target(struct pool_policy *p, uint64_t now_ns, unsigned busy)
{
	unsigned room = p->ceiling > busy ? p->ceiling - busy : 0;
	uint64_t since = since_ns(p->last_ns, now_ns);
	unsigned want = p->floor;
	struct idle_window w;

	learn(p);
	w = window_of(p);
	if (p->last_ns && since >= w.from_ns && since < w.to_ns) {
		unsigned need = (unsigned)demand_at(p, now_ns);

		if (need > want)
			want = need;
	}
	return want < room ? want : room;
}

uint64_t pool_policy_next(const struct pool_policy *p, uint64_t now_ns)
{
	struct idle_window w = window_of(p);
	uint64_t since = since_ns(p->last_ns, now_ns);

	if (!p->last_ns || since >= w.to_ns)
		return POOL_POLICY_NEVER;
	if (since < w.from_ns)
		return p->last_ns + w.from_ns;
	if (demand_at(p, now_ns) > p->usual && now_ns + REVIEW_NS < p->last_ns + w.to_ns)
		return now_ns + REVIEW_NS;
	return p->last_ns + w.to_ns;
}

double pool_policy_value(const struct pool_policy *p, uint64_t now_ns, unsigned warm, unsigned mib)
{
	uint64_t since = since_ns(p->last_ns, now_ns);
	double ahead = (double)AHEAD_NS / 1e9;
	double soon, due = 0, left = 0, needed;

	if (!p->last_ns || warm == 0)
		return 0.0;
	/* Without a history: a pause that has lasted t lasts another t with even odds. */
	if (p->past)
		due = idle_hist_due(&p->past->pauses, since, AHEAD_NS, &left);
	soon = (due + PRIOR * ahead / (ahead + (double)since / 1e9)) / (left + PRIOR);
	needed = demand_at(p, now_ns);
	if (needed < warm)
		soon *= needed / warm;
	return soon * p->restore_s / (mib ? mib : 1);
}
