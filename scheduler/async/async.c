/* Asynchronous invocations: see async.h. */
#include "scheduler/async/async.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/metrics.h"
#include "common/host/workers.h"
#include "scheduler/async/async_internal.h"
#include "scheduler/async/deliver.h"
#include "scheduler/async/netaddr.h"
#include "scheduler/daemon.h"
#include "scheduler/pool.h"
#include "scheduler/tenants.h"

#define PENDING_MAX (64u << 20) /* bytes of events that wait for their commit: the disk is slower than the clients */

int64_t async_now_ms(void)
{
	return (int64_t)(stk_wall_ns() / STK_NS_PER_MS);
}

/* --- metrics ---------------------------------------------------------------------------------------- */

#define RETRIES "stoker_async_retries_total", "Asynchronous calls to be made again, by cause"
#define DROPPED "stoker_async_dropped_total", "Asynchronous events given up, by reason"
#define SENDS   "stoker_async_sends_total", "Results sent to addresses, by result"

static const struct {
	const char *name, *help, *labels;
} counters[COUNT_COUNT] = {
	[COUNT_ACCEPTED] = {"stoker_async_accepted_total", "Asynchronous events accepted: they are on disk", ""},
	[COUNT_REFUSED] = {"stoker_async_refused_total", "Asynchronous events refused because a queue was full", ""},
	[COUNT_DONE] = {"stoker_async_done_total", "Asynchronous events that ended with success", ""},
	[COUNT_RETRY_FUNCTION] = {RETRIES, "cause=\"function\""},
	[COUNT_RETRY_HOST] = {RETRIES, "cause=\"host\""},
	[COUNT_DROPPED_EXHAUSTED] = {DROPPED, "reason=\"retries_exhausted\""},
	[COUNT_DROPPED_AGE] = {DROPPED, "reason=\"age_exceeded\""},
	[COUNT_DROPPED_ZERO] = {DROPPED, "reason=\"zero_reserved_concurrency\""},
	[COUNT_DROPPED_GONE] = {DROPPED, "reason=\"no_function\""},
	[COUNT_DROPPED_LOOP] = {DROPPED, "reason=\"loop\""},
	[COUNT_SENT] = {SENDS, "result=\"ok\""},
	[COUNT_SEND_RETRY] = {SENDS, "result=\"retry\""},
	[COUNT_SEND_DROPPED] = {SENDS, "result=\"dropped\""},
	[COUNT_COMMITS] = {"stoker_async_commits_total", "Transactions of the event queue", ""},
	[COUNT_COMMITTED] = {"stoker_async_committed_total", "Operations in all transactions of the event queue", ""},
	[COUNT_COMMIT_FAILED] = {"stoker_async_commit_failures_total", "Transactions of the event queue that failed", ""},
};

static int make_metrics(struct async *a)
{
	for (unsigned i = 0; i < COUNT_COUNT; i++) {
		a->counter[i] = metrics_get(a->d->metrics, METRICS_COUNTER, counters[i].name, counters[i].help,
					    counters[i].labels);
		if (!a->counter[i])
			return -ENOMEM;
	}
	a->commit_times = metrics_get(a->d->metrics, METRICS_HISTOGRAM, "stoker_async_commit_seconds",
				      "Time of the event queue's transactions", "");
	return a->commit_times ? 0 : -ENOMEM;
}

void async_count(struct async *a, enum async_counter c, unsigned n)
{
	if (n)
		metrics_add(a->counter[c], n);
}

static void gauge(struct async *a, const char *name, const char *help, double v)
{
	struct metrics_series *s = metrics_get(a->d->metrics, METRICS_GAUGE, name, help, "");

	if (s)
		metrics_set(s, v);
}

void async_set_gauges(struct async *a)
{
	int64_t now = async_now_ms();

	gauge(a, "stoker_async_queued", "Asynchronous events and results in the queue", (double)a->flows.count);
	gauge(a, "stoker_async_queued_bytes", "Bytes in the event queue", (double)a->flows.bytes);
	gauge(a, "stoker_async_in_flight", "Asynchronous calls under way",
	      (double)a->flows.running[FLOW_CALLS]);
	gauge(a, "stoker_async_sends_in_flight", "Results being sent", (double)a->sends);
	gauge(a, "stoker_async_oldest_seconds", "Age of the oldest event in the queue",
	      a->oldest_ms && a->flows.count && now > a->oldest_ms ? (double)(now - a->oldest_ms) / 1e3 : 0);
	gauge(a, "stoker_async_commit_largest", "Operations in the largest transaction since the last scrape",
	      a->batch_max);
	a->batch_max = 0;
}

uint64_t async_queued(const struct async *a)
{
	return a->flows.count;
}

/* --- life ------------------------------------------------------------------------------------------- */

static int load_flow(void *ctx, const struct eventdb_flow *row)
{
	struct async *a = ctx;
	struct flow *f = flows_get(&a->flows, row->flow, row->send ? FLOW_SENDS : FLOW_CALLS);

	if (!f)
		return -ENOMEM;
	flows_count(&a->flows, f, (int)row->count, (int64_t)row->bytes);
	flows_due(&a->flows, f, row->next_ms);
	return 0;
}

/* Is what the configuration is for still there? */
static bool has_subject(const struct registry *r, const char *function, const char *qualifier)
{
	const struct function *fn = registry_find(r, function);
	uint64_t n;

	if (!fn || !fn->latest)
		return false;
	if (!*qualifier)
		return true;
	return stk_parse_u64(qualifier, 1, UINT32_MAX, &n) == 0 ? registry_published(fn, (unsigned)n) != NULL
								: registry_alias(fn, qualifier) != NULL;
}

static struct async_op *config_op(enum async_op_what what, const char *function, const char *qualifier,
				  const struct evconfig *c);

/* The host may have been killed when a function, version or alias had gone and its configuration had not: that would be
 * the next one's of this name. */
static int load_config(void *ctx, const char *function, const char *qualifier, const struct evconfig *c)
{
	struct async *a = ctx;
	struct async_op *op;

	if (has_subject(&a->d->registry, function, qualifier))
		return confs_put(&a->confs, function, qualifier, c);
	op = config_op(OP_CONFIG_DELETE, function, qualifier, NULL);
	if (!op)
		return -ENOMEM;
	stk_list_add_tail(&a->pending, &op->node); /* the database is being read: written when async_start looks */
	return 0;
}

static unsigned within(unsigned room, int limit, unsigned used)
{
	unsigned left = limit < 0 ? UINT_MAX : used < (unsigned)limit ? (unsigned)limit - used : 0;

	return room < left ? room : left;
}

/* No more than its VMs can run at once, and none while clients wait for one: they come first. */
static unsigned room_of(void *ctx, const struct flow *f)
{
	struct async *a = ctx;
	struct function *fn = f->class == FLOW_CALLS ? registry_find(&a->d->registry, f->name) : NULL;
	const struct pool *p;
	unsigned room, used;

	if (!fn || !fn->latest || fn->reserved == 0)
		return UINT_MAX; /* which says so */
	/* Published versions have pools of their own; most calls are for this one. */
	p = fn->active ? fn->active->pool : fn->latest->pool;
	if (p->queued > f->running)
		return 0;
	used = p->busy + p->queued + p->forced_count;
	room = used < p->policy.ceiling ? p->policy.ceiling - used : 0;
	room = within(room, fn->reserved, fn->in_flight);
	return fn->tenant ? within(room, fn->tenant->limit, fn->tenant->in_flight) : room;
}

int async_new(struct daemon *d, const char *path, struct async **ret_async, struct stk_err *err)
{
	struct async *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return stk_err_set(err, -ENOMEM, "out of memory");
	a->d = d;
	a->batch = 1;
	stk_list_init(&a->pending);
	flows_init(&a->flows, d->opt->async_concurrency, ASYNC_SENDERS);
	a->flows.room = room_of;
	a->flows.ctx = a;
	deliver_restrict(d->opt->async_private ? NULL : netaddr_public);
	rc = make_metrics(a);
	if (rc == 0)
		rc = workers_new(&d->loop, 1, &a->disk);
	if (rc == 0)
		rc = workers_new(&d->loop, ASYNC_SENDERS, &a->senders);
	if (rc) {
		stk_err_sys(err, rc, "event queue");
		goto fail;
	}
	rc = eventdb_open(path, &a->db, err);
	if (rc == 0)
		rc = eventdb_flows(a->db, load_flow, a, err);
	if (rc == 0)
		rc = eventdb_configs(a->db, load_config, a, err);
	if (rc == 0)
		rc = eventdb_last_seq(a->db, &a->next_seq, err);
	if (rc == 0)
		rc = eventdb_oldest(a->db, &a->oldest_ms, err);
	if (rc)
		goto fail;
	a->next_seq++;
	uv_timer_init(&d->loop, &a->timer);
	a->timer.data = a;
	*ret_async = a;
	return 0;
fail: /* the process ends: handles are not closed one by one */
	return rc;
}

void async_start(struct async *a)
{
	if (a->flows.count)
		stk_info("%llu asynchronous events are queued", (unsigned long long)a->flows.count);
	a->started = true;
	async_kick(a);
}

void async_drain(struct async *a)
{
	a->draining = true;
}

bool async_busy(const struct async *a)
{
	/* What does not go to the disk now is not waited for. */
	return a->flows.running[FLOW_CALLS] || a->sends || a->job_running ||
	       (!stk_list_empty(&a->pending) && stk_now_ns() >= a->write_after_ns);
}

void async_stop(struct async *a)
{
	a->draining = a->stopping = true;
	async_kick(a);
}

void async_close(struct async *a)
{
	if (!a)
		return;
	a->closed = true;
	uv_close((uv_handle_t *)&a->timer, NULL);
	workers_close_more(a->disk);
	workers_close_more(a->senders);
}

void async_free(struct async *a)
{
	if (!a)
		return;
	workers_free(a->disk);
	workers_free(a->senders);
	while (!stk_list_empty(&a->pending)) {
		struct async_op *op = STK_CONTAINER_OF(a->pending.next, struct async_op, node);

		stk_list_del(&op->node);
		if (op->event)
			stk_list_del(&op->event->node);
		async_op_free(op);
	}
	for (unsigned i = 0; i < FLOWS_BUCKETS; i++) {
		for (struct flow *f = a->flows.bucket[i]; f; f = f->next) {
			while (!stk_list_empty(&f->events))
				async_let_go(a, STK_CONTAINER_OF(f->events.next, struct event, node));
		}
	}
	flows_fini(&a->flows);
	confs_fini(&a->confs);
	eventdb_close(a->db);
	free(a);
}

/* --- acceptance ------------------------------------------------------------------------------------- */

static struct event *make_event(struct async *a, const struct async_call *c)
{
	struct event *e = event_new(c->kind);

	if (!e)
		return NULL;
	if (stk_strcpy(e->id, sizeof(e->id), c->id) || stk_strcpy(e->function, sizeof(e->function), c->function) ||
	    stk_strcpy(e->qualifier, sizeof(e->qualifier), c->qualifier ? c->qualifier : ""))
		goto fail;
	event_flow_of_function(e);
	e->accepted_ms = e->next_ms = async_now_ms();
	if (c->callback && !(e->target = strdup(c->callback)))
		goto fail;
	if (c->client_context && !(e->context = strdup(c->client_context)))
		goto fail;
	if (c->tenant_id && !(e->tenant_id = strdup(c->tenant_id)))
		goto fail;
	e->seq = a->next_seq++;
	return e;
fail:
	event_free(e);
	return NULL;
}

static int refuse(struct async *a, const struct async_call *c, const struct flow *f, struct stk_err *err)
{
	const struct options *o = a->d->opt;

	if (f && f->count >= o->async_events)
		return stk_err_set(err, -EDQUOT, "%llu events of this function are queued already",
				   (unsigned long long)f->count);
	if (a->flows.bytes + c->payload_len > o->async_mib << 20)
		return stk_err_set(err, -EDQUOT, "the host's queue of events is full");
	if (a->pending_bytes + c->payload_len > PENDING_MAX)
		return stk_err_set(err, -EDQUOT, "more events come than the disk takes");
	return 0;
}

static int check_call(struct async *a, const struct async_call *c, struct stk_err *err)
{
	struct weburl url;
	int rc = 0;

	if (a->draining)
		return stk_err_set(err, -ESHUTDOWN, "the host is shutting down");
	if (c->payload_len > EVENT_MAX_PAYLOAD)
		return stk_err_set(err, -EMSGSIZE, "an asynchronous event has at most %u bytes", EVENT_MAX_PAYLOAD);
	if (c->client_context && strlen(c->client_context) > EVENT_MAX_CONTEXT)
		return stk_err_set(err, -EINVAL, "a client context has at most %d bytes", EVENT_MAX_CONTEXT);
	if (c->callback)
		rc = weburl_parse(c->callback, &url, err);
	if (rc)
		return rc;
	rc = refuse(a, c, flows_find(&a->flows, c->function), err);
	if (rc)
		async_count(a, COUNT_REFUSED, 1);
	return rc;
}

int async_submit(struct async *a, const struct async_call *call, async_done done, void *ctx, struct stk_err *err)
{
	struct async_op *op = NULL;
	struct event *e = NULL;
	struct flow *f = NULL;
	int rc = check_call(a, call, err);

	if (rc == 0) {
		f = flows_get(&a->flows, call->function, FLOW_CALLS);
		e = make_event(a, call);
		op = async_op_new(OP_ADD);
		if (!f || !e || !op)
			rc = stk_err_set(err, -ENOMEM, "the host has no memory left for this event");
	}
	if (rc) {
		if (f)
			flows_drop_empty(&a->flows, f);
		event_free(e);
		async_op_free(op);
		free(call->payload);
		return rc;
	}
	e->payload = call->payload;
	e->payload_len = call->payload_len;
	e->in = f;
	flows_count(&a->flows, f, 1, (int64_t)event_cost(e));
	a->pending_bytes += event_cost(e);
	op->event = e;
	op->done = done;
	op->ctx = ctx;
	async_op_push(a, op);
	return 0;
}

/* --- configuration ---------------------------------------------------------------------------------- */

bool async_config_get(const struct async *a, const char *function, const char *qualifier, struct evconfig *ret_config)
{
	return confs_get(&a->confs, function, qualifier, ret_config);
}

void async_config_each(const struct async *a, const char *function,
		       void (*each)(void *ctx, const char *qualifier, const struct evconfig *c), void *ctx)
{
	confs_each(&a->confs, function, each, ctx);
}

/* NULL: out of memory. */
static struct async_op *config_op(enum async_op_what what, const char *function, const char *qualifier,
				  const struct evconfig *c)
{
	struct async_op *op = async_op_new(what);

	if (!op)
		return NULL;
	op->function = strdup(function);
	op->qualifier = strdup(strcmp(qualifier, "$LATEST") == 0 ? "" : qualifier);
	op->config = c ? malloc(sizeof(*c)) : NULL;
	if (!op->function || !op->qualifier || (c && !op->config)) {
		async_op_free(op);
		return NULL;
	}
	if (c) {
		*op->config = *c;
		op->config->modified_ms = async_now_ms();
	}
	return op;
}

static int push_config(struct async *a, struct async_op *op, async_done done, void *ctx)
{
	if (!op)
		return -ENOMEM;
	op->done = done;
	op->ctx = ctx;
	async_op_push(a, op);
	return 0;
}

int async_config_put(struct async *a, const char *function, const char *qualifier, const struct evconfig *c,
		     async_done done, void *ctx, struct stk_err *err)
{
	int rc = evconfig_check(c, err);

	if (rc)
		return rc;
	rc = push_config(a, config_op(OP_CONFIG_PUT, function, qualifier, c), done, ctx);
	return rc ? stk_err_set(err, rc, "out of memory") : 0;
}

int async_config_delete(struct async *a, const char *function, const char *qualifier, async_done done, void *ctx)
{
	return push_config(a, config_op(OP_CONFIG_DELETE, function, qualifier, NULL), done, ctx);
}

int async_config_forget(struct async *a, const char *function, const char *qualifier)
{
	int rc = async_config_delete(a, function, qualifier, NULL, NULL);

	confs_delete(&a->confs, function, qualifier);
	return rc;
}
