/* Admission, queue and choice of VMs: see dispatch.h. */
#include "scheduler/dispatch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "scheduler/daemon.h"
#include "scheduler/invocation.h"
#include "scheduler/pool.h"
#include "scheduler/sample.h"
#include "scheduler/sandbox.h"
#include "scheduler/shells.h"
#include "scheduler/verify.h"

#define TICK_MS     100
#define NO_SHELL_NS (10 * STK_NS_PER_S)
#define REVIEWS_NS  (500 * 1000ull) /* for pools that are due, in one round of the loop */
#define NEXT_MS     1   /* to the next round, when there are more */
#define RETRIES     32  /* pools per tick that wait for memory to fill up */

#define POOL_OF(it) STK_CONTAINER_OF(it, struct pool, plan.node)

/* --- when a pool is looked at -------------------------------------------------------------------- */

void dispatch_note(struct pool *p)
{
	bool cold = !p->closed && p->target && !p->warm_count && !p->busy && !p->fail_count &&
		    p->ver->check != FN_BROKEN;

	p->d->dispatch.cold += (unsigned)cold - (unsigned)p->cold;
	p->cold = cold;
}

int dispatch_add(struct pool *p)
{
	struct dispatch *ds = &p->d->dispatch;
	int rc = stk_heap_join(&ds->due, &p->due, POOL_POLICY_NEVER);

	if (rc)
		return rc;
	plan_add(&ds->plan, &p->ver->fn->tenant->plan, &p->plan);
	dispatch_note(p);
	return 0;
}

void dispatch_remove(struct pool *p)
{
	struct dispatch *ds = &p->d->dispatch;

	ds->cold -= p->cold;
	plan_remove(&ds->plan, &p->plan);
	stk_heap_leave(&ds->due, &p->due);
}

void dispatch_touch(struct pool *p, uint64_t now_ns)
{
	if (p->due.key > now_ns)
		stk_heap_set(&p->d->dispatch.due, &p->due, now_ns);
}

/* What is busy and what arrived bounds the target. */
static void touch_target(struct pool *p, uint64_t now)
{
	p->review_ns = 0;
	dispatch_touch(p, now);
}

/* When the pool is to be looked at if nothing happens to it before: for its target, the end of a back-off, a
 * measurement. */
static uint64_t next_look(const struct pool *p, uint64_t now)
{
	uint64_t at = p->review_ns, sample = sample_next(p);

	if (p->closed)
		return POOL_POLICY_NEVER;
	if (p->retry_ns > now && p->retry_ns < at)
		at = p->retry_ns;
	if (sample < at)
		at = sample;
	/* Requests that wait may wait for anything. */
	return at > now && !p->queued && !p->forced_count ? at : now + TICK_MS * STK_NS_PER_MS;
}

/* --- queue --------------------------------------------------------------------------------------- */

/* In its pool's counts. */
static void count_waiting(struct pool *p, const struct invocation *inv, int by)
{
	if (invocation_alone(inv))
		p->forced_count += (unsigned)by;
	else
		p->queued += (unsigned)by;
	if (inv->force == INV_SHELL)
		p->forced_shell += (unsigned)by;
}

static void enqueue(struct dispatch *ds, struct pool *p, struct invocation *inv)
{
	bool alone = invocation_alone(inv);

	stk_list_add_tail(alone ? &p->forced : &p->queue, &inv->node);
	count_waiting(p, inv, 1);
	inv->queue_deadline_ns = inv->submit_ns + ds->d->opt->queue_timeout_ms * STK_NS_PER_MS;
	stk_list_add_tail(&ds->deadlines, &inv->deadline_node);
	inv->waiting = true;
	ds->waiting++;
	ds->shell_forced += inv->force == INV_SHELL;
	if (!alone || inv->force == INV_SHELL)
		shells_want(ds->d->shells, p->ver->settings.memory_mib);
}

void dispatch_unqueue(struct invocation *inv)
{
	struct pool *p = inv->ver->pool;

	if (inv->refused)
		refusals_forget(inv);
	if (!inv->waiting)
		return;
	stk_list_del(&inv->node);
	stk_list_del(&inv->deadline_node);
	count_waiting(p, inv, -1);
	inv->d->dispatch.waiting--;
	inv->d->dispatch.shell_forced -= inv->force == INV_SHELL;
	inv->waiting = false;
}

void dispatch_move_queue(struct dispatch *ds, struct pool *from, struct fn_version *heir)
{
	/* In the order of their deadlines, which is the order in which they came. */
	STK_LIST_FOREACH_SAFE(it, tmp, &ds->deadlines) {
		struct invocation *inv = STK_CONTAINER_OF(it, struct invocation, deadline_node);
		struct fn_version *old = inv->ver;
		struct pool *to = heir->pool;

		if (old != from->ver)
			continue;
		stk_list_del(&inv->node);
		stk_list_add_tail(invocation_alone(inv) ? &to->forced : &to->queue, &inv->node);
		count_waiting(from, inv, -1);
		count_waiting(to, inv, 1);
		inv->ver = fn_version_get(heir);
		fn_version_put(&ds->d->registry, old); /* never the last: its pool is being closed */
	}
	dispatch_changed(heir->pool);
}

static void run_on(struct sandbox *sb, struct invocation *inv, enum inv_start start)
{
	uint64_t now = stk_now_ns();

	if (sb->resets)
		start = INV_RESET;
	inv->start = start;
	inv->ready_ns = now;
	/* Waiting before the VM's start began is queueing, the rest is the start. */
	if (start == INV_WARM || start == INV_RESET)
		inv->start_ns = now;
	else
		inv->start_ns = sb->started_ns > inv->submit_ns ? sb->started_ns : inv->submit_ns;
	sandbox_invoke(sb, inv);
}

/* With one more request. Of VMs under reset no more count than requests: when the processor is short of time, resets
 * wait, and more VMs would only make more of them wait. */
static unsigned concurrency(const struct pool *p)
{
	unsigned requests = p->busy + p->reserved + p->queued + p->forced_count + 1;

	return requests + (p->resetting < requests ? p->resetting : requests);
}

static void refuse(struct dispatch *ds, struct invocation *inv, enum inv_outcome outcome, const char *text)
{
	invocation_uncount(inv);
	refusals_add(&ds->refusals, &inv->ver->fn->tenant->refusals, inv, outcome, text);
}

void dispatch_submit(struct dispatch *ds, struct invocation *inv)
{
	struct pool *p = inv->ver->pool;
	uint64_t now = stk_now_ns();
	struct function *fn = inv->ver->fn;
	struct sandbox *sb;

	inv->submit_ns = now;
	if (fn->reserved >= 0 && fn->in_flight >= (unsigned)fn->reserved) {
		refuse(ds, inv, INV_RESERVED_FULL, "as many calls of this function run as its reserved concurrency allows");
		return;
	}
	if (fn->tenant->limit >= 0 && fn->tenant->in_flight >= (unsigned)fn->tenant->limit) {
		refuse(ds, inv, INV_TENANT_FULL, "as many calls run as this tenant may have at the same time");
		return;
	}
	fn->in_flight++;
	fn->tenant->in_flight++;
	inv->counted = true;
	touch_target(p, now);
	pool_policy_arrival(&p->policy, now, concurrency(p));
	if (!invocation_alone(inv) && stk_list_empty(&p->queue)) {
		sb = pool_take(p);
		if (sb) {
			run_on(sb, inv, INV_WARM);
			return;
		}
	}
	if (ds->stopped || p->closed) {
		invocation_finish(inv, INV_SHUTDOWN, "the host is shutting down");
		return;
	}
	if (p->ver->check == FN_BROKEN && now < p->ver->check_retry_ns) {
		invocation_finish(inv, INV_START_FAILED, p->ver->check_err.text);
		return;
	}
	if (pool_failing(p, now)) {
		invocation_finish(inv, INV_START_FAILED, p->fail_text);
		return;
	}
	if (!plan_admit(ds->d->opt->queue_limit, ds->waiting, p->queued + p->forced_count)) {
		refuse(ds, inv, INV_QUEUE_FULL, "too many requests are waiting for a VM");
		return;
	}
	enqueue(ds, p, inv);
	if (p->ver->check != FN_GOOD)
		verify_want(ds->d->verifier, p->ver);
	dispatch_changed(p);
}

void dispatch_ready(struct sandbox *sb)
{
	struct pool *p = sb->pool;
	struct invocation *inv = sb->inv;

	if (sb->resets) {
		metrics_add(p->d->dispatch.resets, 1);
		metrics_observe(p->d->dispatch.reset_times, (double)(sb->ready_ns - sb->reset_ns) / 1e9);
	} else {
		metrics_add(p->d->dispatch.starts_ok, 1);
		metrics_observe(p->d->dispatch.start_times[sb->kind], (double)(sb->ready_ns - sb->started_ns) / 1e9);
		if (sb->kind == INV_COLD_RESTORE)
			pool_start_ok(p, stk_now_ns() - sb->started_ns);
	}
	if (inv) {
		run_on(sb, inv, sb->kind);
	} else if (!stk_list_empty(&p->queue)) {
		inv = STK_CONTAINER_OF(p->queue.next, struct invocation, node);
		dispatch_unqueue(inv);
		run_on(sb, inv, inv->force == INV_WARM ? INV_WARM : sb->kind);
	}
	dispatch_changed(p);
}

void dispatch_start_failed(struct sandbox *sb, const char *text)
{
	struct pool *p = sb->pool;
	static struct stk_log_limit limit = {.burst = 20};

	metrics_add(p->d->dispatch.starts_failed, 1);
	if (stk_log_allow(&limit))
		stk_warn("%s: a VM did not start: %s", p->ver->fn->name, text);
	if (sb->inv) {
		struct invocation *inv = sb->inv;

		sb->inv = NULL;
		invocation_finish(inv, INV_START_FAILED, text);
	}
	if (sb->kind == INV_COLD_RESTORE)
		pool_start_failed(p, text, stk_now_ns());
	else if (sb->kind == INV_SHELL) /* the next start tells whether it was the shell's fault or the function's */
		p->no_shell_ns = stk_now_ns() + NO_SHELL_NS;
}

static void start_one(struct dispatch *ds, struct pool *p, bool urgent)
{
	struct invocation *inv = pool_next_forced(p);
	enum inv_start kind = INV_COLD_RESTORE;
	int rc;

	if (inv) {
		dispatch_unqueue(inv);
		kind = inv->force;
	} else if (urgent && pool_prefers_shell(p, stk_now_ns())) {
		kind = INV_SHELL;
	}
	rc = sandbox_start(p, kind, inv);
	if (rc && kind == INV_SHELL && !inv)
		rc = sandbox_start(p, INV_COLD_RESTORE, NULL);
	if (rc) {
		static struct stk_log_limit limit = {.burst = 5};

		metrics_add(ds->starts_failed, 1);
		if (stk_log_allow(&limit))
			stk_error("%s: cannot start a VM: %s", p->ver->fn->name, strerror(-rc));
		if (inv)
			invocation_finish(inv, INV_START_FAILED, strerror(-rc));
		pool_start_failed(p, strerror(-rc), stk_now_ns());
	}
}

static void look(const struct plan_flow *flow, uint64_t now, struct plan_view *ret_view)
{
	const struct pool *p = STK_CONTAINER_OF(flow, struct pool, plan);

	ret_view->urgent = pool_missing_urgent(p);
	ret_view->refill = pool_missing_refill(p);
	ret_view->spare = p->queued ? 0 : p->warm_count;
	ret_view->may_start = pool_may_start(p, now);
	ret_view->mib = pool_idle_mib(p);
	ret_view->policy = &p->policy;
}

static bool next_step(struct dispatch *ds, struct plan_step *ret_step)
{
	struct plan_host host = {.charged_mib = ds->charged_mib, .dying_mib = ds->dying_mib,
		.spare_mib = shells_mib(ds->d->shells), .starting = ds->starting, .vms = ds->vms};

	return plan_next(&ds->plan, &host, stk_now_ns(), ret_step);
}

static void pump(struct dispatch *ds)
{
	struct plan_step step;

	if (ds->stopped)
		return;
	if (ds->pumping) {
		ds->pump_again = true;
		return;
	}
	ds->pumping = true;
	do {
		ds->pump_again = false;
		while (next_step(ds, &step)) {
			if (step.what == PLAN_SHED) { /* nobody's: step.flow is NULL */
				shells_shed(ds->d->shells);
			} else if (step.what == PLAN_START) {
				start_one(ds, STK_CONTAINER_OF(step.flow, struct pool, plan), step.urgent);
			} else {
				struct pool *p = STK_CONTAINER_OF(step.flow, struct pool, plan);

				metrics_add(ds->evictions, 1);
				sandbox_kill(STK_CONTAINER_OF(p->warm.next, struct sandbox, node), NULL);
			}
		}
	} while (ds->pump_again);
	ds->pumping = false;
}

void dispatch_changed(struct pool *p)
{
	struct dispatch *ds = &p->d->dispatch;
	uint64_t now = stk_now_ns();

	dispatch_note(p);
	touch_target(p, now);
	plan_changed(&ds->plan, &p->plan, now);
	pump(ds);
}

void dispatch_shell_ready(struct dispatch *ds, unsigned memory_mib)
{
	if (!ds->shell_forced)
		return;
	STK_LIST_FOREACH(it, &ds->deadlines) {
		const struct invocation *inv = STK_CONTAINER_OF(it, struct invocation, deadline_node);

		if (inv->force == INV_SHELL && inv->ver->settings.memory_mib == memory_mib) {
			/* pumping changes the list; the next one comes with the next shell */
			dispatch_changed(inv->ver->pool);
			return;
		}
	}
}

static void expire(struct dispatch *ds, uint64_t now)
{
	while (!stk_list_empty(&ds->deadlines)) {
		struct invocation *inv =
			STK_CONTAINER_OF(ds->deadlines.next, struct invocation, deadline_node);

		if (inv->queue_deadline_ns > now)
			break;
		invocation_finish(inv, INV_QUEUE_TIMEOUT, "no VM became free in time");
	}
}

static void review(struct dispatch *ds, struct pool *p, uint64_t now)
{
	if (!p->closed) {
		if (now >= p->review_ns) {
			p->target = pool_policy_target(&p->policy, now, p->busy + p->reserved);
			pool_shrink(p);
			p->review_ns = pool_policy_next(&p->policy, now);
		}
		if (p->queued || p->forced_count)
			verify_want(ds->d->verifier, p->ver); /* no effect unless that is due */
		sample_maybe(p, now);
		dispatch_note(p);
		plan_changed(&ds->plan, &p->plan, now);
	}
	stk_heap_set(&ds->due, &p->due, next_look(p, now));
}

/* Pools to which nothing happens cost nothing here: only those are touched whose time has come. */
static void on_tick(uv_timer_t *t)
{
	struct dispatch *ds = t->data;
	struct stk_heap_node *first;
	uint64_t now = stk_now_ns();
	bool in_time = true;

	expire(ds, now);
	if (ds->stopped)
		return;
	while (in_time && (first = stk_heap_first(&ds->due)) && first->key <= now) {
		review(ds, STK_CONTAINER_OF(first, struct pool, due), now);
		in_time = stk_now_ns() < now + REVIEWS_NS;
	}
	plan_retry(&ds->plan, now, RETRIES);
	pump(ds);
	uv_timer_start(t, on_tick, in_time ? TICK_MS : NEXT_MS, 0);
}

int dispatch_init(struct dispatch *ds, struct daemon *d)
{
	memset(ds, 0, sizeof(*ds));
	ds->d = d;
	plan_init(&ds->plan, d->opt->memory_budget_mib, d->opt->max_restores, look);
	stk_list_init(&ds->deadlines);
	stk_list_init(&ds->doomed);
	stk_list_init(&ds->to_reset);
	refusals_init(&ds->refusals, &d->loop, d->metrics, d->opt->max_connections / 4);
	ds->evictions = metrics_get(d->metrics, METRICS_COUNTER, "stoker_evictions_total",
				    "Warm VMs given up for other functions", "");
	ds->starts_ok = metrics_get(d->metrics, METRICS_COUNTER, "stoker_vm_starts_total",
				    "VMs started, by result", "result=\"ok\"");
	ds->starts_failed = metrics_get(d->metrics, METRICS_COUNTER, "stoker_vm_starts_total",
					"VMs started, by result", "result=\"failed\"");
	ds->resets = metrics_get(d->metrics, METRICS_COUNTER, "stoker_vm_resets_total",
				 "VMs put back to their snapshot after an invocation", "");
	ds->reset_times = metrics_get(d->metrics, METRICS_HISTOGRAM, "stoker_vm_reset_seconds",
				      "Time from the answer of an invocation until its VM, reset, is ready again", "");
	for (enum inv_start k = INV_SHELL; k <= INV_COLD_BOOT; k++) {
		char label[40];

		snprintf(label, sizeof(label), "start=\"%s\"", invocation_start_name(k));
		ds->start_times[k] = metrics_get(d->metrics, METRICS_HISTOGRAM, "stoker_vm_start_seconds",
						 "Time until a new VM was ready, by kind of start", label);
		if (!ds->start_times[k])
			return -ENOMEM;
	}
	if (!ds->resets || !ds->reset_times || !ds->evictions || !ds->starts_ok || !ds->starts_failed)
		return -ENOMEM;
	uv_timer_init(&d->loop, &ds->tick);
	ds->tick.data = ds;
	return uv_timer_start(&ds->tick, on_tick, TICK_MS, 0);
}

void dispatch_stop(struct dispatch *ds)
{
	ds->stopped = true;
	refusals_stop(&ds->refusals);
	STK_LIST_FOREACH_SAFE(it, tmp, &ds->plan.all) {
		struct pool *p = POOL_OF(it);

		pool_fail_queue(p, INV_SHUTDOWN, "the host is shutting down");
	}
}

void dispatch_close(struct dispatch *ds)
{
	uv_close((uv_handle_t *)&ds->tick, NULL);
	refusals_close(&ds->refusals);
}

void dispatch_fini(struct dispatch *ds)
{
	stk_heap_fini(&ds->due);
}
