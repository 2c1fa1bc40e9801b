/* How many VMs a function should have: pure arithmetic on a given clock, no loop, no I/O.
 *
 * Demand is measured in two ways: the rate of arrivals (exponentially decaying, 5 s), and the
 * highest concurrency seen lately (halved every 10 s). Wanted ready VMs = what arrives while one
 * restore takes, at least what the recent concurrency would take at once; never below the floor;
 * all VMs of the function together never above the ceiling; after idle_ns without an arrival only
 * the floor. */
#ifndef SCHEDULER_POOL_POLICY_H
#define SCHEDULER_POOL_POLICY_H

#include <stdint.h>

struct pool_policy {
	unsigned floor, ceiling;
	uint64_t idle_ns;
	double rate;       /* arrivals per second, decayed to last_ns */
	double peak;       /* concurrency, decayed to peak_ns */
	double restore_s;  /* moving average of start times */
	uint64_t last_ns;  /* last arrival, 0 never */
	uint64_t peak_ns;
};

void pool_policy_init(struct pool_policy *p, unsigned floor, unsigned ceiling, uint64_t idle_ns);
/* A request arrived; `concurrency` counts it and all that run or wait. */
void pool_policy_arrival(struct pool_policy *p, uint64_t now_ns, unsigned concurrency);
/* A VM took start_ns to become ready. */
void pool_policy_started(struct pool_policy *p, uint64_t start_ns);
/* VMs that should be warm or starting now, beside `busy` ones. */
unsigned pool_policy_target(const struct pool_policy *p, uint64_t now_ns, unsigned busy);

#endif
