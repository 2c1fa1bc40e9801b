/* Calls, and what becomes of them: see async.h. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "scheduler/answer.h"
#include "scheduler/async/async_internal.h"
#include "scheduler/daemon.h"
#include "scheduler/ids.h"
#include "scheduler/invocation.h"
#include "scheduler/pool.h"
#include "scheduler/resolve.h"
#include "scheduler/tenants.h"

#define QUEUE_PART 8 /* of the host's queue: what asynchronous calls may fill it to */

/* --- ends ------------------------------------------------------------------------------------------- */

/* The slot is free. */
static void end_event(struct async *a, struct event *e, struct async_op *op)
{
	flows_run(&a->flows, e->in, -1);
	async_end(a, e, op);
	async_kick(a);
}

static void try_again(struct async *a, struct event *e, int64_t at_ms)
{
	e->next_ms = at_ms;
	end_event(a, e, async_op_new(OP_RETRY));
}

static void count_end(struct async *a, enum retry_verdict verdict)
{
	static const enum async_counter counters[RETRY_VERDICTS] = {
		[RETRY_DONE] = COUNT_DONE,
		[RETRY_EXHAUSTED] = COUNT_DROPPED_EXHAUSTED,
		[RETRY_TOO_OLD] = COUNT_DROPPED_AGE,
		[RETRY_ZERO_CONCURRENCY] = COUNT_DROPPED_ZERO,
		[RETRY_GONE] = COUNT_DROPPED_GONE,
	};

	async_count(a, counters[verdict], 1);
}

/* Takes r->body over. */
static void end_call(struct async *a, struct event *e, const struct evconfig *c, const struct record_result *r)
{
	struct async_op *op = async_op_new(OP_FINISH);
	struct evconfig *copy = record_wanted(e, r, c) ? malloc(sizeof(*copy)) : NULL;

	if (!op || (!copy && record_wanted(e, r, c))) {
		free(r->body);
		free(op);
		end_event(a, e, NULL);
		return;
	}
	if (copy)
		*copy = *c;
	op->config = copy;
	op->result = *r;
	if (copy) {
		const struct tenant *t = tenants_of(&a->d->tenants, e->function);

		stk_strcpy(op->result.account, sizeof(op->result.account), t->account);
	}
	op->seq = a->next_seq;
	a->next_seq += RECORD_FOLLOWERS;
	count_end(a, r->verdict);
	end_event(a, e, op);
}

/* --- calls ------------------------------------------------------------------------------------------ */

static enum retry_cause cause_of(const struct invocation *inv, enum inv_outcome outcome)
{
	switch (outcome) {
	case INV_OK:
		return RETRY_OK;
	case INV_FUNCTION_ERROR:
	case INV_EXIT:
	case INV_OOM:
	case INV_TIMEOUT:
	case INV_TOO_LARGE:
		return RETRY_FUNCTION_ERROR;
	case INV_VM_DIED:
	case INV_PROTOCOL:
		/* Once it had the event, it is the guest's doing. */
		return inv->sent_ns ? RETRY_FUNCTION_ERROR : RETRY_HOST;
	default:
		return RETRY_HOST;
	}
}

static struct retry_event retry_view(const struct event *e)
{
	return (struct retry_event){.errors = e->errors, .refusals = e->refusals, .accepted_ms = e->accepted_ms};
}

/* What the caller would have got, as JSON. */
static void take_body(struct invocation *inv, enum inv_outcome outcome, const char *text, struct record_result *r)
{
	if (outcome == INV_OK || outcome == INV_FUNCTION_ERROR) {
		r->status = outcome == INV_OK ? 200 : 502;
		r->body = stk_take_ptr(&inv->resp);
		r->body_len = inv->resp_len;
		return;
	}
	r->body = malloc(ANSWER_FAILURE_MAX);
	if (r->body)
		r->body_len = answer_failure(inv, outcome, text, &r->status, (char *)r->body, ANSWER_FAILURE_MAX);
}

/* The version's own DeadLetterConfig, which only functions and addresses count of. */
static void find_dead_letter(const struct fn_version *ver, struct evconfig *c)
{
	json_t *extra = ver && ver->extra && *ver->extra ? json_loads(ver->extra, 0, NULL) : NULL;
	const char *target = json_string_value(json_object_get(json_object_get(extra, "DeadLetterConfig"), "TargetArn"));
	struct evconfig_target t;

	if (target && !c->dead_letter[0] && evconfig_target_parse(target, &t, NULL) == 0)
		stk_strcpy(c->dead_letter, sizeof(c->dead_letter), target);
	json_decref(extra);
}

static void call_done(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text)
{
	struct event *e = inv->ctx;
	struct async *a = inv->d->async;
	enum retry_cause cause = cause_of(inv, outcome);
	struct record_result r = {0};
	struct retry_event view = retry_view(e);
	struct retry_step step;
	struct evconfig c;

	if (outcome == INV_SHUTDOWN && a->draining) {
		flows_run(&a->flows, e->in, -1);
		async_let_go(a, e);
		return;
	}
	confs_get(&a->confs, e->function, e->qualifier, &c);
	step = retry_next(&view, cause, c.max_retries, c.max_age_s, async_now_ms());
	if (cause != RETRY_HOST)
		e->refusals = 0;
	if (step.verdict == RETRY_AGAIN) {
		if (cause == RETRY_HOST)
			e->refusals++;
		else
			e->errors++;
		async_count(a, cause == RETRY_HOST ? COUNT_RETRY_HOST : COUNT_RETRY_FUNCTION, 1);
		try_again(a, e, step.at_ms);
		return;
	}
	if (step.verdict != RETRY_DONE)
		find_dead_letter(inv->ver, &c);
	r.verdict = step.verdict;
	r.ran = cause != RETRY_HOST;
	r.failed = outcome != INV_OK;
	r.tries = e->errors + r.ran;
	r.version = inv->ver->published;
	r.took_ms = inv->sent_ns ? (int64_t)((stk_now_ns() - inv->sent_ns) / STK_NS_PER_MS) : 0;
	take_body(inv, outcome, text, &r);
	end_call(a, e, &c, &r);
}

static const struct inv_caller async_caller = {.done = call_done};

/* Ends without a call. */
static void give_up(struct async *a, struct event *e, const struct evconfig *c, enum retry_verdict verdict, int status,
		    const char *type, const char *text)
{
	struct record_result r = {.verdict = verdict, .failed = true, .status = status, .tries = e->errors};
	char *body = NULL;
	int n = asprintf(&body, "{\"errorType\":\"%s\",\"errorMessage\":\"%s\"}", type, text);

	if (n > 0) {
		r.body = (uint8_t *)body;
		r.body_len = (size_t)n;
	}
	end_call(a, e, c, &r);
}

void async_call(struct async *a, struct event *e)
{
	struct function *fn = registry_find(&a->d->registry, e->function);
	struct fn_version *ver = fn ? resolve_version(fn, e->qualifier) : NULL;
	struct retry_event view = retry_view(e);
	struct inv_request rq;
	struct evconfig c;

	confs_get(&a->confs, e->function, e->qualifier, &c);
	if (!ver) {
		give_up(a, e, &c, RETRY_GONE, 404, "ResourceNotFoundException",
			"the function, or what was called of it, is not deployed any more");
		return;
	}
	if (fn->reserved == 0) {
		find_dead_letter(ver, &c);
		give_up(a, e, &c, RETRY_ZERO_CONCURRENCY, 429, "ReservedFunctionConcurrentInvocationLimitExceeded",
			"the function's reserved concurrency is 0");
		return;
	}
	if (retry_expired(&view, c.max_age_s, async_now_ms())) {
		find_dead_letter(ver, &c);
		give_up(a, e, &c, RETRY_TOO_OLD, 500, "EventAgeExceeded",
			"the event became too old before it could be run");
		return;
	}
	rq = (struct inv_request){
		.ver = ver,
		.caller = &async_caller,
		.ctx = e,
		.id = e->id,
		.qualifier = e->qualifier[0] ? e->qualifier : NULL,
		.client_context = e->context,
		.tenant_id = e->tenant_id,
		.event = stk_take_ptr(&e->payload),
		.event_len = e->payload_len,
	};
	if (invocation_submit(a->d, &rq)) {
		e->refusals++;
		async_count(a, COUNT_RETRY_HOST, 1);
		try_again(a, e, async_now_ms() + retry_backoff_ms(e->refusals - 1));
	}
}

unsigned async_room(const struct async *a)
{
	unsigned part = a->d->opt->queue_limit / QUEUE_PART;

	if (part < 1)
		part = 1;
	return a->d->dispatch.waiting < part ? part - a->d->dispatch.waiting : 0;
}
