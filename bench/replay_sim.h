/* A host on a simulated clock: the calls of a trace, VMs that take time to start, one budget of memory. What
 * is started and given up is decided by stokerd's own code (scheduler/policy/), or by fixed keep-alive as a
 * baseline: there a VM serves one call after the other and is kept for a fixed time after each. */
#ifndef BENCH_REPLAY_SIM_H
#define BENCH_REPLAY_SIM_H

#include <stdint.h>

#include "bench/hist.h"
#include "bench/trace.h"

enum sim_kind { SIM_HISTOGRAM, SIM_IDLE, SIM_FIXED };

struct sim_spec {
	enum sim_kind kind;
	uint64_t idle_us;       /* stokerd's --pool-idle, or the fixed time */
	unsigned floor, ceiling;
	uint64_t budget_mib;
	unsigned max_starts;
	unsigned queue_limit;
	uint64_t queue_timeout_us;
	uint64_t warm_us;       /* from a request to its function, with a VM that waits */
	uint64_t cold_us;       /* start of a VM for a request */
	uint64_t refill_us;     /* start of a VM ahead of requests */
	unsigned idle_mib;      /* of a VM that waits; 0: as stokerd estimates */
};

struct sim_result {
	uint64_t calls, cold, refused, starts, evictions;
	unsigned refused_functions; /* that had at least one call refused */
	double waiting_mib_s;   /* VMs that were ready or starting and served nobody */
	double busy_mib_s;
	double seconds;         /* that were simulated */
	uint64_t peak_mib;
	double cold_p50, cold_p75; /* quantiles over the functions of their share of cold starts */
	struct hist delay;      /* ns from the request to its function, of those not refused */
};

/* ret_result must be zeroed. 0 or -ENOMEM. */
int sim_run(const struct trace *t, const struct sim_spec *spec, struct sim_result *ret_result);

#endif
