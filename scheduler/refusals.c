/* Refused calls: see refusals.h. */
#include "scheduler/refusals.h"

#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/host/metrics.h"
#include "scheduler/registry.h"
#include "scheduler/tenants.h"

#define TICK_MS 10u
#define TICKS   (REFUSALS_LATER_S * 1000 / TICK_MS)

static void answer_first(struct tenant_refusals *t)
{
	struct invocation *inv = STK_CONTAINER_OF(t->held.next, struct invocation, node);

	invocation_finish(inv, inv->refusal, inv->refusal_text); /* forgets it first */
}

/* So many of each tenant's that the last of them waits a second. */
static void on_tick(uv_timer_t *timer)
{
	struct refusals *r = timer->data;

	STK_LIST_FOREACH_SAFE(it, tmp, &r->tenants) {
		struct tenant_refusals *t = STK_CONTAINER_OF(it, struct tenant_refusals, node);

		for (unsigned n = (t->count + TICKS - 1) / TICKS; n && t->count; n--)
			answer_first(t);
	}
	if (stk_list_empty(&r->tenants))
		uv_timer_stop(timer);
}

void refusals_init(struct refusals *r, uv_loop_t *loop, struct metrics *m, unsigned most)
{
	stk_list_init(&r->tenants);
	r->most = most;
	r->delayed = metrics_get(m, METRICS_COUNTER, "stoker_refusals_delayed_total",
				 "Calls refused a little later, because the tenant had many refused", "");
	uv_timer_init(loop, &r->timer);
	r->timer.data = r;
}

void refusals_stop(struct refusals *r)
{
	STK_LIST_FOREACH_SAFE(it, tmp, &r->tenants) {
		struct tenant_refusals *t = STK_CONTAINER_OF(it, struct tenant_refusals, node);

		while (t->count)
			answer_first(t);
	}
	r->most = 0;
}

void refusals_close(struct refusals *r)
{
	uv_close((uv_handle_t *)&r->timer, NULL);
}

void tenant_refusals_init(struct tenant_refusals *t)
{
	stk_list_init(&t->node);
	stk_list_init(&t->held);
	t->count = 0;
	t->allowance = REFUSALS_AT_ONCE;
	t->seen_ns = 0;
}

static bool at_once(struct tenant_refusals *t, uint64_t now)
{
	t->allowance += (double)(now - t->seen_ns) / 1e9 * REFUSALS_AT_ONCE;
	if (t->allowance > REFUSALS_AT_ONCE)
		t->allowance = REFUSALS_AT_ONCE;
	t->seen_ns = now;
	if (t->allowance < 1)
		return false;
	t->allowance -= 1;
	return true;
}

void refusals_add(struct refusals *r, struct tenant_refusals *t, struct invocation *inv, enum inv_outcome outcome,
		  const char *text)
{
	/* Nobody is kept from flooding by an answer that comes later when nobody waits for it. */
	if (!inv->caller->waits || at_once(t, stk_now_ns()) || t->count >= r->most) {
		invocation_finish(inv, outcome, text);
		return;
	}
	free(stk_take_ptr(&inv->event));
	inv->event_len = 0;
	inv->refusal = outcome;
	inv->refusal_text = text;
	inv->refused = true;
	stk_list_add_tail(&t->held, &inv->node);
	if (t->count++ == 0)
		stk_list_add_tail(&r->tenants, &t->node);
	metrics_add(r->delayed, 1);
	if (!uv_is_active((uv_handle_t *)&r->timer)) {
		uv_update_time(r->timer.loop);
		uv_timer_start(&r->timer, on_tick, TICK_MS, TICK_MS);
	}
}

void refusals_forget(struct invocation *inv)
{
	struct tenant_refusals *t = &inv->ver->fn->tenant->refusals;

	inv->refused = false;
	stk_list_del(&inv->node);
	if (--t->count == 0)
		stk_list_del(&t->node);
}
