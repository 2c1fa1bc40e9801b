/* Refused calls of a tenant that floods the host are answered a little later, and a few at a time: a client that is told to come
 * back in a second and comes back at once would otherwise keep the loop busy with refusals, and other tenants' calls waiting. The
 * first REFUSALS_AT_ONCE in a second are answered at once. Loop thread only. */
#ifndef SCHEDULER_REFUSALS_H
#define SCHEDULER_REFUSALS_H

#include <stdint.h>
#include <uv.h>

#include "common/base/list.h"
#include "scheduler/invocation.h"

struct metrics;
struct metrics_series;

#define REFUSALS_AT_ONCE 50u
#define REFUSALS_LATER_S 1u /* a refusal is not held longer, or a little */

/* Part of a tenant. */
struct tenant_refusals {
	struct stk_list node; /* of tenants with something held */
	struct stk_list held; /* invocations, the oldest first */
	unsigned count;       /* of them */
	double allowance;     /* that may be answered at once */
	uint64_t seen_ns;
};

struct refusals {
	struct stk_list tenants;
	uv_timer_t timer;
	unsigned most; /* that one tenant may have held: its clients' connections */
	struct metrics_series *delayed;
};

void refusals_init(struct refusals *r, uv_loop_t *loop, struct metrics *m, unsigned most);
/* Answers what is held. */
void refusals_stop(struct refusals *r);
void refusals_close(struct refusals *r); /* the timer */

void tenant_refusals_init(struct tenant_refusals *t);
/* Ends the call with this outcome, now or later; text stays where it is. */
void refusals_add(struct refusals *r, struct tenant_refusals *t, struct invocation *inv, enum inv_outcome outcome,
		  const char *text);
/* It ends otherwise: its client has gone. */
void refusals_forget(struct invocation *inv);

#endif
