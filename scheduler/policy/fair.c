/* Fair queueing: see fair.h. */
#include "scheduler/policy/fair.h"

void fair_init(struct fair *f)
{
	stk_list_init(&f->active);
	f->now = 0;
}

void fair_flow_init(struct fair_flow *flow, unsigned weight)
{
	stk_list_init(&flow->node);
	flow->mark = 0;
	flow->weight = weight ? weight : 1;
}

/* From the end: a flow that was just served belongs there. */
static void insert(struct fair *f, struct fair_flow *flow)
{
	struct stk_list *at = f->active.prev;

	while (at != &f->active && STK_CONTAINER_OF(at, struct fair_flow, node)->mark > flow->mark)
		at = at->prev;
	stk_list_add_head(at, &flow->node);
}

void fair_enter(struct fair *f, struct fair_flow *flow)
{
	if (fair_is_active(flow))
		return;
	if (flow->mark < f->now)
		flow->mark = f->now;
	insert(f, flow);
}

void fair_leave(struct fair_flow *flow)
{
	stk_list_del(&flow->node);
}

void fair_served(struct fair *f, struct fair_flow *flow, uint64_t cost)
{
	uint64_t step = cost / flow->weight;

	if (flow->mark > f->now)
		f->now = flow->mark;
	flow->mark += step ? step : 1;
	stk_list_del(&flow->node);
	insert(f, flow);
}
