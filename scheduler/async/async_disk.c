/* What goes to the disk and comes from it, one job at a time on a thread: see async.h. While a job is under way
 * operations gather; the next job has all of them in one transaction. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/host/metrics.h"
#include "common/host/workers.h"
#include "scheduler/async/async_internal.h"
#include "scheduler/daemon.h"

#define BATCH_MAX   1024
#define BATCH_BYTES (32u << 20)
#define CALL_BYTES  (16u << 20) /* taken from one flow at a time */
#define SEND_BYTES  (4u << 20)
#define HELD_MORE   (64 + ASYNC_SENDERS * ASYNC_BATCH) /* than two for each call */
#define WRITE_PAUSE (STK_NS_PER_S)
#define CROWDED_MS  20 /* until the next look when the host has no room for calls */
#define OP_OF(n)    STK_CONTAINER_OF(n, struct async_op, node)
#define EVENT_OF(n) STK_CONTAINER_OF(n, struct event, node)

struct async_op *async_op_new(enum async_op_what what)
{
	struct async_op *op = calloc(1, sizeof(*op));

	if (op) {
		op->what = what;
		stk_list_init(&op->node);
		stk_list_init(&op->followers);
	}
	return op;
}

static void free_events(struct stk_list *events)
{
	STK_LIST_FOREACH_SAFE(it, tmp, events) {
		stk_list_del(it);
		event_free(EVENT_OF(it));
	}
}

void async_op_free(struct async_op *op)
{
	if (!op)
		return;
	event_free(op->event);
	free_events(&op->followers);
	free(op->result.body);
	free(op->function);
	free(op->qualifier);
	free(op->config);
	free(op);
}

void async_op_push(struct async *a, struct async_op *op)
{
	stk_list_add_tail(&a->pending, &op->node);
	async_kick(a);
}

void async_end(struct async *a, struct event *e, struct async_op *op)
{
	if (!op) {
		stk_error("no memory to note the end of event %s", e->id);
		return;
	}
	op->event = e;
	stk_list_add_tail(&a->pending, &op->node);
}

/* --- on the thread ---------------------------------------------------------------------------------- */

static int add_event(struct eventdb *db, const struct event *e, struct stk_err *err)
{
	const struct eventdb_op add = {.what = EVENTDB_ADD, .event = e};

	return eventdb_op(db, &add, err);
}

/* What follows is queued in the same transaction as the event goes. */
static int finish(struct eventdb *db, struct async_op *op, int64_t now_ms, struct stk_err *err)
{
	const struct eventdb_op gone = {.what = EVENTDB_REMOVE, .seq = op->event->seq};
	stk_autofree uint8_t *payload = NULL;
	int64_t seq = op->seq;
	size_t len = 0;
	int rc;

	if (op->config && record_wanted(op->event, &op->result, op->config)) {
		op->loops = 0;
		rc = eventdb_payload(db, op->event->seq, &payload, &len, err);
		if (rc == 0)
			rc = record_followers(op->event, payload, len, &op->result, op->config, now_ms, &op->followers,
					      &op->loops);
		if (rc && rc != -ENOENT)
			return rc;
		STK_LIST_FOREACH(it, &op->followers) {
			EVENT_OF(it)->seq = seq++;
			rc = add_event(db, EVENT_OF(it), err);
			if (rc)
				return rc;
		}
	}
	return eventdb_op(db, &gone, err);
}

static int carry_out(struct eventdb *db, struct async_op *op, int64_t now_ms, struct stk_err *err)
{
	struct eventdb_op o = {.function = op->function, .qualifier = op->qualifier, .config = op->config};

	switch (op->what) {
	case OP_ADD:
		return add_event(db, op->event, err);
	case OP_FINISH:
		return finish(db, op, now_ms, err);
	case OP_RETRY:
		o.what = EVENTDB_RETRY;
		o.seq = op->event->seq;
		o.errors = op->event->errors;
		o.refusals = op->event->refusals;
		o.next_ms = op->event->next_ms;
		break;
	case OP_CONFIG_PUT:
		o.what = EVENTDB_CONFIG_PUT;
		break;
	case OP_CONFIG_DELETE:
		o.what = EVENTDB_CONFIG_DELETE;
		break;
	}
	return eventdb_op(db, &o, err);
}

static int transaction(struct async_job *j)
{
	int rc = eventdb_begin(j->a->db, &j->err);

	STK_LIST_FOREACH(it, &j->ops) {
		if (rc == 0)
			rc = carry_out(j->a->db, OP_OF(it), j->now_ms, &j->err);
	}
	if (rc == 0)
		rc = eventdb_commit(j->a->db, &j->err);
	if (rc == 0)
		return 0;
	eventdb_rollback(j->a->db);
	STK_LIST_FOREACH(it, &j->ops) { /* made again with the next attempt */
		free_events(&OP_OF(it)->followers);
	}
	return rc;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void work(uv_work_t *w)
{
	struct async_job *j = w->data;
	struct eventdb *db = j->a->db;
	uint64_t begin = stk_now_ns();

	j->rc = stk_list_empty(&j->ops) ? 0 : transaction(j);
	j->commit_s = (double)(stk_now_ns() - begin) / 1e9;
	for (unsigned i = 0; i < j->take_count; i++) {
		struct async_take *t = &j->take[i];

		qsort(t->held, t->held_count, sizeof(*t->held), compare);
		t->rc = eventdb_take(db, t->flow->name, j->now_ms, t->max, t->max_bytes, t->held, t->held_count,
				     &t->events, &t->next_ms, &t->err);
	}
	eventdb_oldest(db, &j->oldest_ms, NULL);
	if (j->tidy)
		eventdb_tidy(db, NULL);
}

/* --- back on the loop ------------------------------------------------------------------------------- */

void async_let_go(struct async *a, struct event *e)
{
	struct flow *f = e->in;

	stk_list_del(&e->node);
	f->held--;
	a->flows.held--;
	event_free(e);
}

static void add_done(struct async *a, struct async_op *op, int rc)
{
	struct event *e = op->event;
	struct flow *f = e->in;

	a->pending_bytes -= event_cost(e);
	if (rc == 0) {
		flows_due(&a->flows, f, e->next_ms);
		async_count(a, COUNT_ACCEPTED, 1);
	} else {
		flows_count(&a->flows, f, -1, -(int64_t)event_cost(e));
		flows_drop_empty(&a->flows, f);
	}
	op->done(op->ctx, rc);
}

static void follower_queued(struct async *a, const struct event *e)
{
	struct flow *f = flows_get(&a->flows, e->flow, e->kind == EVENT_SEND ? FLOW_SENDS : FLOW_CALLS);

	if (!f) {
		stk_error("no memory for what follows event %s: it is sent after the next start", e->id);
		return;
	}
	flows_count(&a->flows, f, 1, (int64_t)event_cost(e));
	flows_due(&a->flows, f, e->next_ms);
}

static void finish_done(struct async *a, struct async_op *op)
{
	struct event *e = op->event;
	struct flow *f = e->in;

	STK_LIST_FOREACH(it, &op->followers) {
		follower_queued(a, EVENT_OF(it));
	}
	async_count(a, COUNT_DROPPED_LOOP, op->loops);
	flows_count(&a->flows, f, -1, -(int64_t)e->cost);
	op->event = NULL;
	async_let_go(a, e);
	flows_drop_empty(&a->flows, f);
}

static void retry_done(struct async *a, struct async_op *op)
{
	struct event *e = op->event;
	struct flow *f = e->in;

	flows_due(&a->flows, f, e->next_ms);
	op->event = NULL;
	async_let_go(a, e);
}

static void config_done(struct async *a, struct async_op *op, int rc)
{
	if (rc == 0 && op->what == OP_CONFIG_PUT)
		rc = confs_put(&a->confs, op->function, op->qualifier, op->config);
	else if (rc == 0)
		confs_delete(&a->confs, op->function, op->qualifier);
	if (op->done)
		op->done(op->ctx, rc);
}

static void op_done(struct async *a, struct async_op *op)
{
	switch (op->what) {
	case OP_ADD:
		add_done(a, op, 0);
		break;
	case OP_FINISH:
		finish_done(a, op);
		break;
	case OP_RETRY:
		retry_done(a, op);
		break;
	case OP_CONFIG_PUT:
	case OP_CONFIG_DELETE:
		config_done(a, op, 0);
		break;
	}
	async_op_free(op);
}

/* Who waits is told; ends of calls are written later, unless there is no later. */
static void op_failed(struct async *a, struct async_op *op, int rc, struct stk_list *again)
{
	if (op->what == OP_ADD) {
		add_done(a, op, rc);
	} else if (op->what == OP_CONFIG_PUT || op->what == OP_CONFIG_DELETE) {
		config_done(a, op, rc);
	} else if (!a->stopping) {
		stk_list_add_tail(again, &op->node);
		return;
	} else {
		struct event *e = op->event;

		op->event = NULL;
		async_let_go(a, e);
	}
	async_op_free(op);
}

static void end_transaction(struct async *a, struct async_job *j)
{
	static struct stk_log_limit limit = {.burst = 5};
	struct stk_list again;

	if (!j->op_count)
		return;
	stk_list_init(&again);
	if (j->rc == 0) {
		async_count(a, COUNT_COMMITS, 1);
		async_count(a, COUNT_COMMITTED, j->op_count);
		metrics_observe(a->commit_times, j->commit_s);
		if (j->op_count > a->batch_max)
			a->batch_max = j->op_count;
		a->batch = a->batch * 2 < BATCH_MAX ? a->batch * 2 : BATCH_MAX;
	} else {
		async_count(a, COUNT_COMMIT_FAILED, 1);
		if (stk_log_allow(&limit))
			stk_error("%s", j->err.text);
		a->batch = 1; /* so that one that cannot be written does not take others along */
		a->write_after_ns = stk_now_ns() + WRITE_PAUSE;
	}
	STK_LIST_FOREACH_SAFE(it, tmp, &j->ops) {
		stk_list_del(it);
		if (j->rc == 0)
			op_done(a, OP_OF(it));
		else
			op_failed(a, OP_OF(it), j->rc, &again);
	}
	while (!stk_list_empty(&again)) { /* in front of what came meanwhile, in order */
		struct stk_list *last = again.prev;

		stk_list_del(last);
		stk_list_add_head(&a->pending, last);
	}
}

/* The events that were taken are in memory now: held. */
static void hold(struct async *a, struct flow *f, struct event *e)
{
	e->in = f;
	e->cost = event_cost(e); /* the payload goes to the call */
	stk_list_add_tail(&f->events, &e->node);
	f->held++;
	a->flows.held++;
}

/* In as many batches as there are slots, of one size. */
static void send_taken(struct async *a, struct async_take *t)
{
	struct event *e[ASYNC_BATCH];
	unsigned count = 0, each;

	STK_LIST_FOREACH(it, &t->events) {
		count++;
	}
	each = (count + t->slots - 1) / t->slots;
	while (!stk_list_empty(&t->events)) {
		unsigned n = 0;

		while (n < each && !stk_list_empty(&t->events)) {
			e[n] = EVENT_OF(t->events.next);
			stk_list_del(&e[n]->node);
			hold(a, t->flow, e[n++]);
		}
		async_send(a, t->flow, e, n);
	}
}

static void end_take(struct async *a, struct async_take *t)
{
	static struct stk_log_limit limit = {.burst = 5};
	struct flow *f = t->flow;

	if ((t->rc || t->err.code) && stk_log_allow(&limit))
		stk_error("%s", t->err.text);
	free(t->held);
	flows_took(&a->flows, f, t->slots, t->rc ? async_now_ms() + 1000 : t->next_ms);
	if (a->draining)
		free_events(&t->events); /* they stay where they are, for the next life */
	else if (f->class == FLOW_SENDS)
		send_taken(a, t);
	while (!stk_list_empty(&t->events)) {
		struct event *e = EVENT_OF(t->events.next);

		stk_list_del(&e->node);
		hold(a, f, e);
		flows_run(&a->flows, f, 1);
		async_call(a, e);
	}
	flows_drop_empty(&a->flows, f);
}

static void after(uv_work_t *w, int status)
{
	struct async_job *j = w->data;
	struct async *a = j->a;

	a->oldest_ms = j->oldest_ms;
	end_transaction(a, j);
	for (unsigned i = 0; i < j->take_count; i++)
		end_take(a, &j->take[i]);
	a->job_running = false;
	async_kick(a);
	if (a->draining && !async_busy(a))
		daemon_drained(a->d);
	daemon_job_done(a->d);
}

/* --- the next job ------------------------------------------------------------------------------------ */

static void choose_ops(struct async *a, struct async_job *j)
{
	size_t bytes = 0;

	if (stk_now_ns() < a->write_after_ns && !a->stopping)
		return;
	while (!stk_list_empty(&a->pending) && j->op_count < a->batch && bytes < BATCH_BYTES) {
		struct async_op *op = OP_OF(a->pending.next);

		bytes += (op->event ? op->event->payload_len : 0) + op->result.body_len;
		stk_list_del(&op->node);
		stk_list_add_tail(&j->ops, &op->node);
		j->op_count++;
	}
}

static void choose_takes(struct async *a, struct async_job *j, enum flow_class class, unsigned takes, unsigned room)
{
	struct flows *fs = &a->flows;

	while (j->take_count < takes) {
		struct async_take *t = &j->take[j->take_count];
		unsigned slots = fs->slots[class] - fs->running[class], n = 0;
		struct flow *f = flows_pick(fs, class, slots < room ? slots : room, &n);

		if (!f)
			return;
		room -= n;
		*t = (struct async_take){.flow = f, .slots = n, .max = n, .max_bytes = CALL_BYTES, .next_ms = INT64_MAX};
		if (class == FLOW_SENDS) {
			t->max = n * ASYNC_BATCH;
			t->max_bytes = SEND_BYTES;
		}
		stk_list_init(&t->events);
		t->held = malloc((f->held + 1) * sizeof(*t->held));
		if (!t->held) {
			flows_took(fs, f, n, j->now_ms + 1000);
			return;
		}
		STK_LIST_FOREACH(it, &f->events) {
			t->held[t->held_count++] = EVENT_OF(it)->seq;
		}
		j->take_count++;
	}
}

static void on_timer(uv_timer_t *timer)
{
	async_kick(timer->data);
}

/* Sleeps until something is due. */
static void set_timer(struct async *a, bool crowded)
{
	int64_t now = async_now_ms(), next = flows_next_ms(&a->flows);
	uint64_t wait = UINT64_MAX, now_ns = stk_now_ns();

	if (a->started && !a->draining && next != INT64_MAX)
		wait = next > now ? (uint64_t)(next - now) : 1;
	if (crowded && wait > CROWDED_MS)
		wait = CROWDED_MS;
	if (!stk_list_empty(&a->pending)) {
		uint64_t write = a->write_after_ns > now_ns ? (a->write_after_ns - now_ns) / STK_NS_PER_MS + 1 : 1;

		if (wait > write)
			wait = write;
	}
	if (wait == UINT64_MAX)
		uv_timer_stop(&a->timer);
	else
		uv_timer_start(&a->timer, on_timer, wait < 60000 ? wait : 60000, 0); /* the wall clock may be set */
}

void async_kick(struct async *a)
{
	struct async_job *j = &a->job;
	bool crowded = false;

	if (a->job_running || a->closed)
		return;
	memset(j, 0, sizeof(*j));
	stk_list_init(&j->ops);
	j->a = a;
	j->work.data = j;
	j->now_ms = async_now_ms();
	choose_ops(a, j);
	/* Memory: ends that are not on disk yet are held as well. */
	if (a->started && !a->draining && a->flows.held < 2 * a->flows.slots[FLOW_CALLS] + HELD_MORE) {
		unsigned room = async_room(a);

		flows_wake(&a->flows, j->now_ms);
		choose_takes(a, j, FLOW_SENDS, ASYNC_TAKES / 4, UINT32_MAX);
		choose_takes(a, j, FLOW_CALLS, ASYNC_TAKES, room);
		crowded = !stk_list_empty(&a->flows.ready[FLOW_CALLS]) &&
			  a->flows.running[FLOW_CALLS] < a->flows.slots[FLOW_CALLS];
	}
	if (!j->op_count && !j->take_count) {
		set_timer(a, crowded);
		return;
	}
	j->tidy = a->flows.count <= j->op_count;
	a->job_running = true;
	a->d->jobs++;
	workers_push(a->disk, &j->work, work, after);
}
