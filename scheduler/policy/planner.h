/* Which VM is started next, and which one is given up for it: pure decisions. stokerd carries them out
 * (dispatch.c), and stoker-bench replay does on a simulated clock.
 *
 * Starts are shared fairly between tenants, and each tenant's part between its pools (fair.h), measured in start time:
 * those for requests that wait first, then those that fill pools up. So the pools of a tenant that asks for little are
 * filled again however much another asks for. Never more than max_starts at the same time, never over the memory
 * budget. For a waiting request the waiting VM of the least value is given up, to fill up a pool only one that is worth
 * much less than the new one. Of many pools that have one to give up some hundred are compared, others each time, so
 * that a decision costs the same however many functions there are. */
#ifndef SCHEDULER_POLICY_PLANNER_H
#define SCHEDULER_POLICY_PLANNER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "scheduler/policy/fair.h"
#include "scheduler/policy/pool_policy.h"

#define PLAN_STORAGE_DEFAULT 512 /* MiB */

/* A tenant's part in it: zeroed at first, it joins with its first pool. */
struct plan_tenant {
	struct fair_flow share; /* of plan.tenants: active as long as one of the two has active flows */
	struct fair urgent, refill;
	unsigned flows;
};

/* A pool's part in it; the pool embeds one. */
struct plan_flow {
	struct stk_list node; /* of plan.all */
	struct plan_tenant *tenant;
	struct stk_list spare, starved; /* of plan's lists of these names */
	struct fair_flow urgent, refill;
};

/* A pool as the planner sees it, at one moment. */
struct plan_view {
	unsigned urgent;  /* VMs missing for requests that wait */
	unsigned refill;  /* VMs missing to the target */
	unsigned spare;   /* warm ones that may be given up: none while a request waits that would take them */
	bool may_start;   /* false: plan_changed comes when that ends */
	unsigned mib;     /* of one VM that waits */
	const struct pool_policy *policy;
};

/* The host, at one moment. */
struct plan_host {
	uint64_t charged_mib; /* counted memory of all VMs */
	uint64_t dying_mib;   /* part of it that is about to come back */
	uint64_t spare_mib;   /* part of it that prepared processes of no function take */
	unsigned starting;
	unsigned vms;
};

struct plan {
	struct stk_list all;
	struct stk_list spare;   /* those that had VMs to give up when they last changed; searched in turn */
	struct stk_list starved; /* those to be filled up for which there was no memory, the first passed over first */
	unsigned spare_count;
	struct fair tenants;
	uint64_t budget_mib;
	unsigned max_starts;
	void (*look)(const struct plan_flow *flow, uint64_t now_ns, struct plan_view *ret_view);
};

struct plan_step {
	/* A VM of flow's pool; EVICT: its oldest waiting one. SHED: some of spare_mib, no flow. */
	enum { PLAN_START, PLAN_EVICT, PLAN_SHED } what;
	struct plan_flow *flow;
	bool urgent;
};

void plan_init(struct plan *plan, uint64_t budget_mib, unsigned max_starts,
	       void (*look)(const struct plan_flow *flow, uint64_t now_ns, struct plan_view *ret_view));
/* The tenant outlives its flows. */
void plan_add(struct plan *plan, struct plan_tenant *tenant, struct plan_flow *flow);
void plan_remove(struct plan *plan, struct plan_flow *flow);
/* Something about this pool is different: it may want starts now. */
void plan_changed(struct plan *plan, struct plan_flow *flow, uint64_t now_ns);
/* The next step, to be carried out before this is called again. False: nothing can be done now. A pool to be
 * filled up for which there is no memory is passed over until plan_changed or plan_retry. */
bool plan_next(struct plan *plan, const struct plan_host *host, uint64_t now_ns, struct plan_step *ret_step);

/* Up to `max` of the pools that were passed over want to be filled up again: to be called now and then. */
void plan_retry(struct plan *plan, uint64_t now_ns, unsigned max);

/* Memory that a VM is counted with, from its function's setting, in MiB. Waiting, until one was measured: the
 * monitor, the agent, and a sixteenth of the guest. A working function may use all of it; half is counted,
 * as most stay far below. */
static inline unsigned plan_idle_mib(unsigned memory_mib)
{
	return 8 + memory_mib / 16;
}
static inline unsigned plan_busy_mib(unsigned memory_mib, unsigned idle_mib)
{
	return memory_mib / 2 > idle_mib ? memory_mib / 2 : idle_mib;
}

/* Of /tmp, which is the host's memory as well: what a function has beyond the default, all of it and for each of its VMs
 * from the start. The default's is among what is left to those that stay far below. */
static inline unsigned plan_storage_mib(unsigned storage_mib)
{
	return storage_mib > PLAN_STORAGE_DEFAULT ? storage_mib - PLAN_STORAGE_DEFAULT : 0;
}

/* May one more request wait, when `waiting` of at most `limit` do and `own` of its function? One function
 * alone never takes the last room: it may have 8 times what would be left. */
bool plan_admit(unsigned limit, unsigned waiting, unsigned own);

#endif
