/* Shares something scarce between flows: start-time fair queueing. Each flow has a mark on a common
 * scale; the active flow with the lowest one is served next, and moves on by what that cost, over its
 * weight. Who was not active begins at the mark of the flow served last: nothing can be saved up, and a
 * flood of one flow delays another by one service, not by its length.
 *
 * Pure. A flow may stand for a function or for a group of them: for tenants, a scheduler of tenants above
 * one scheduler of functions for each. */
#ifndef SCHEDULER_POLICY_FAIR_H
#define SCHEDULER_POLICY_FAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"

struct fair_flow {
	struct stk_list node;
	uint64_t mark;
	unsigned weight;
};

struct fair {
	struct stk_list active; /* by mark, the lowest first; equal ones in the order in which they came */
	uint64_t now;           /* mark of the flow served last */
};

void fair_init(struct fair *f);
void fair_flow_init(struct fair_flow *flow, unsigned weight);
static inline bool fair_is_active(const struct fair_flow *flow)
{
	return !stk_list_empty(&flow->node);
}
/* It wants to be served; no effect when it did already. */
void fair_enter(struct fair *f, struct fair_flow *flow);
/* It does not any more; also before it is freed. */
void fair_leave(struct fair_flow *flow);
/* An active flow was served. */
void fair_served(struct fair *f, struct fair_flow *flow, uint64_t cost);

#endif
