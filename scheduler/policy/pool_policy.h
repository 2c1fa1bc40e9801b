/* How many VMs a function should have: pure arithmetic on a given clock, no loop, no I/O.
 *
 *   request        from_ns                  to_ns
 *      ├── nothing ───┼── VMs wait, kept warm ──┼── nothing until the next request ──
 *
 * When: the pauses between requests are recorded (idle_hist.h), and VMs wait in that part of a pause in which
 * it pays, when idle_ns of waiting are worth a cold start. Without a representative history, and after a
 * request that came before its window, from_ns is 0 and to_ns is idle_ns. Outside of it: the floor.
 *
 * How many: what arrives while one restore takes, by the rate of arrivals (decaying, 5 s); at least what came at
 * once lately (halved every 10 s; without history: the highest concurrency, which is more for long calls); at least
 * as many as come at once so often that a VM more pays (burst_hist.h). All VMs of the function together never above
 * the ceiling. VMs that serve again after a reset are needed for what runs at once, not for what arrives. */
#ifndef SCHEDULER_POLICY_POOL_POLICY_H
#define SCHEDULER_POLICY_POOL_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/policy/burst_hist.h"
#include "scheduler/policy/idle_hist.h"

struct pool_past {
	struct idle_hist pauses;
	struct burst_hist bursts;
};

struct pool_policy {
	unsigned floor, ceiling;
	uint64_t idle_ns;
	bool history;      /* use pauses and bursts of the past */
	bool reused;       /* a VM serves one request after the other */
	bool windowed;     /* window is valid */
	bool early;        /* the last request came before its window */
	uint8_t learned;   /* past->bursts.total when window and usual were computed */
	struct pool_past *past; /* heap, from the second burst on; NULL: none yet, or no memory */
	struct idle_window window;
	unsigned usual;    /* requests that come at once, often enough to be ready for them */
	double rate;       /* arrivals per second, decayed to last_ns */
	double peak;       /* requests at once, decayed to peak_ns */
	double restore_s;  /* moving average of start times */
	uint64_t last_ns;  /* last arrival, 0 never */
	uint64_t peak_ns;
	uint64_t group_ns; /* first of the arrivals that are taken as one burst */
	unsigned group;    /* how many so far; of reused VMs: how many were in use at once */
};

#define POOL_POLICY_NEVER UINT64_MAX

void pool_policy_init(struct pool_policy *p, unsigned floor, unsigned ceiling, uint64_t idle_ns, bool history,
		      bool reused);
void pool_policy_fini(struct pool_policy *p);
/* Moves what `from` has learned over to p, which replaces it. */
void pool_policy_inherit(struct pool_policy *p, struct pool_policy *from);
/* A request arrived; `concurrency` counts it, all that run or wait, and VMs that are being reset. */
void pool_policy_arrival(struct pool_policy *p, uint64_t now_ns, unsigned concurrency);
/* A VM took start_ns to become ready. */
void pool_policy_started(struct pool_policy *p, uint64_t start_ns);
/* VMs that should be warm or starting now, beside `busy` ones. Learns first, when there is news. */
unsigned pool_policy_target(struct pool_policy *p, uint64_t now_ns, unsigned busy);
/* When the target may be another one, if no request arrives before; POOL_POLICY_NEVER. */
uint64_t pool_policy_next(const struct pool_policy *p, uint64_t now_ns);
/* What one VM of `warm` waiting ones is worth: seconds of cold start that it saves in the near future, on
 * average, for each MiB that it holds. The lowest is given up first. */
double pool_policy_value(const struct pool_policy *p, uint64_t now_ns, unsigned warm, unsigned mib);

#endif
