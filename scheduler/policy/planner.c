/* Starts and evictions: see planner.h. */
#include "scheduler/policy/planner.h"

#define WORTH_IT     2.0 /* to fill up: how much more the new VM must be worth */
#define QUEUE_SHARE  8u
#define COMPARED     128u /* pools whose values are compared, of many */

#define FLOW_OF(it, member)   STK_CONTAINER_OF(it, struct plan_flow, member)

void plan_init(struct plan *plan, uint64_t budget_mib, unsigned max_starts,
	       void (*look)(const struct plan_flow *flow, uint64_t now_ns, struct plan_view *ret_view))
{
	stk_list_init(&plan->all);
	stk_list_init(&plan->spare);
	stk_list_init(&plan->starved);
	plan->spare_count = 0;
	fair_init(&plan->tenants);
	plan->budget_mib = budget_mib;
	plan->max_starts = max_starts;
	plan->look = look;
}

void plan_add(struct plan *plan, struct plan_tenant *tenant, struct plan_flow *flow)
{
	if (tenant->flows++ == 0) {
		fair_flow_init(&tenant->share, 1);
		fair_init(&tenant->urgent);
		fair_init(&tenant->refill);
	}
	flow->tenant = tenant;
	fair_flow_init(&flow->urgent, 1);
	fair_flow_init(&flow->refill, 1);
	stk_list_init(&flow->spare);
	stk_list_init(&flow->starved);
	stk_list_add_tail(&plan->all, &flow->node);
}

static void set_spare(struct plan *plan, struct plan_flow *flow, bool spare)
{
	if (spare == !stk_list_empty(&flow->spare))
		return;
	if (spare)
		stk_list_add_tail(&plan->spare, &flow->spare);
	else
		stk_list_del(&flow->spare);
	plan->spare_count += spare ? 1u : -1u;
}

void plan_remove(struct plan *plan, struct plan_flow *flow)
{
	set_spare(plan, flow, false);
	stk_list_del(&flow->starved);
	fair_leave(&flow->urgent);
	fair_leave(&flow->refill);
	if (--flow->tenant->flows == 0)
		fair_leave(&flow->tenant->share);
	stk_list_del(&flow->node);
}

void plan_changed(struct plan *plan, struct plan_flow *flow, uint64_t now_ns)
{
	struct plan_view v;

	plan->look(flow, now_ns, &v);
	set_spare(plan, flow, v.spare > 0);
	stk_list_del(&flow->starved);
	if (v.urgent && v.may_start)
		fair_enter(&flow->tenant->urgent, &flow->urgent);
	if (v.refill && v.may_start)
		fair_enter(&flow->tenant->refill, &flow->refill);
	if ((v.urgent || v.refill) && v.may_start)
		fair_enter(&plan->tenants, &flow->tenant->share);
}

void plan_retry(struct plan *plan, uint64_t now_ns, unsigned max)
{
	while (max-- && !stk_list_empty(&plan->starved))
		plan_changed(plan, FLOW_OF(plan->starved.next, starved), now_ns);
}

/* The pool whose waiting VM is worth least. NULL: nobody has one to spare. */
static struct plan_flow *cheapest(struct plan *plan, uint64_t now_ns, double *ret_value)
{
	struct plan_flow *best = NULL;

	for (unsigned n = plan->spare_count < COMPARED ? plan->spare_count : COMPARED; n; n--) {
		struct plan_flow *flow = FLOW_OF(plan->spare.next, spare);
		struct plan_view v;
		double value;

		stk_list_del(&flow->spare);
		stk_list_add_tail(&plan->spare, &flow->spare);
		plan->look(flow, now_ns, &v);
		if (!v.spare)
			continue;
		value = pool_policy_value(v.policy, now_ns, v.spare, v.mib);
		if (!best || value < *ret_value) {
			best = flow;
			*ret_value = value;
		}
	}
	return best;
}

static bool step(struct plan_step *ret_step, int what, struct plan_flow *flow, bool urgent)
{
	ret_step->what = what;
	ret_step->flow = flow;
	ret_step->urgent = urgent;
	return true;
}

static bool start(struct plan *plan, struct plan_flow *flow, bool urgent, const struct plan_view *v,
		  struct plan_step *ret_step)
{
	struct plan_tenant *tenant = flow->tenant;
	double us = v->policy->restore_s * 1e6;
	uint64_t cost = us < 1 ? 1 : us > 1e9 ? 1000000000u : (uint64_t)us;

	fair_served(&plan->tenants, &tenant->share, cost);
	fair_served(urgent ? &tenant->urgent : &tenant->refill, urgent ? &flow->urgent : &flow->refill, cost);
	return step(ret_step, PLAN_START, flow, urgent);
}

/* There would be room for this VM without what is to spare; part of it may do. */
static bool shedding_helps(const struct plan *plan, const struct plan_host *host, const struct plan_view *v)
{
	return host->spare_mib &&
	       host->charged_mib - host->dying_mib - host->spare_mib + v->mib <= plan->budget_mib;
}

/* Sets *ret_blocked when a request waits for memory. */
static bool next_urgent(struct plan *plan, struct plan_tenant *tenant, const struct plan_host *host, uint64_t now_ns,
			struct plan_step *ret_step, bool *ret_blocked)
{
	STK_LIST_FOREACH_SAFE(it, tmp, &tenant->urgent.active) {
		struct plan_flow *flow = FLOW_OF(it, urgent.node), *victim;
		struct plan_view v;
		double value;

		plan->look(flow, now_ns, &v);
		if (!v.urgent || !v.may_start) {
			fair_leave(&flow->urgent);
			continue;
		}
		/* One function may be larger than the budget: it runs alone. */
		if (host->charged_mib + v.mib <= plan->budget_mib || host->vms == 0)
			return start(plan, flow, true, &v, ret_step);
		*ret_blocked = true;
		if (host->charged_mib - host->dying_mib + v.mib <= plan->budget_mib)
			continue; /* when those have ended */
		if (shedding_helps(plan, host, &v))
			return step(ret_step, PLAN_SHED, NULL, true);
		/* Also one of its own pool: the request insists on another. */
		victim = cheapest(plan, now_ns, &value);
		if (victim)
			return step(ret_step, PLAN_EVICT, victim, true);
	}
	return false;
}

static bool next_refill(struct plan *plan, struct plan_tenant *tenant, const struct plan_host *host, uint64_t now_ns,
			struct plan_step *ret_step)
{
	struct plan_flow *victim = NULL;
	double least = 0;
	bool searched = false;

	STK_LIST_FOREACH_SAFE(it, tmp, &tenant->refill.active) {
		struct plan_flow *flow = FLOW_OF(it, refill.node);
		struct plan_view v;

		plan->look(flow, now_ns, &v);
		if (v.refill && v.may_start && host->charged_mib + v.mib <= plan->budget_mib)
			return start(plan, flow, false, &v, ret_step);
		if (v.refill && v.may_start && host->charged_mib - host->dying_mib + v.mib > plan->budget_mib) {
			if (shedding_helps(plan, host, &v))
				return step(ret_step, PLAN_SHED, NULL, false);
			if (!searched)
				victim = cheapest(plan, now_ns, &least);
			searched = true;
			if (victim && victim != flow &&
			    pool_policy_value(v.policy, now_ns, v.spare + 1, v.mib) > WORTH_IT * least)
				return step(ret_step, PLAN_EVICT, victim, false);
		}
		fair_leave(&flow->refill);
		if (v.refill && v.may_start)
			stk_list_add_tail(&plan->starved, &flow->starved);
	}
	return false;
}

bool plan_next(struct plan *plan, const struct plan_host *host, uint64_t now_ns, struct plan_step *ret_step)
{
	bool blocked = false;

	if (host->starting >= plan->max_starts)
		return false;
	STK_LIST_FOREACH_SAFE(it, tmp, &plan->tenants.active) {
		struct plan_tenant *tenant = STK_CONTAINER_OF(it, struct plan_tenant, share.node);

		if (next_urgent(plan, tenant, host, now_ns, ret_step, &blocked))
			return true;
		/* What comes free is for the requests that wait for it. */
		if (!blocked && next_refill(plan, tenant, host, now_ns, ret_step))
			return true;
		if (stk_list_empty(&tenant->urgent.active) && stk_list_empty(&tenant->refill.active))
			fair_leave(&tenant->share);
	}
	return false;
}

bool plan_admit(unsigned limit, unsigned waiting, unsigned own)
{
	return waiting < limit && own / QUEUE_SHARE < limit - waiting;
}
