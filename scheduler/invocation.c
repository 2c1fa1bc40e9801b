/* One function call: see invocation.h. */
#include "scheduler/invocation.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/host/http_server.h"
#include "scheduler/answer.h"
#include "scheduler/daemon.h"
#include "scheduler/fnmetrics.h"
#include "scheduler/invlog.h"
#include "scheduler/sandbox.h"

static const char *const start_names[] = {"any", "warm", "shell", "cold-restore", "cold-boot", "reset"};

static const char *const outcome_names[INV_OUTCOMES] = {
	[INV_OK] = "ok",
	[INV_FUNCTION_ERROR] = "function_error",
	[INV_EXIT] = "runtime_exit",
	[INV_OOM] = "out_of_memory",
	[INV_TIMEOUT] = "timeout",
	[INV_TOO_LARGE] = "response_too_large",
	[INV_VM_DIED] = "vm_died",
	[INV_PROTOCOL] = "protocol_error",
	[INV_START_FAILED] = "start_failed",
	[INV_QUEUE_FULL] = "queue_full",
	[INV_TENANT_FULL] = "tenant_full",
	[INV_RESERVED_FULL] = "reserved_full",
	[INV_QUEUE_TIMEOUT] = "queue_timeout",
	[INV_GONE] = "client_gone",
	[INV_SHUTDOWN] = "shutdown",
	[INV_DELETED] = "function_replaced",
	[INV_INTERNAL] = "internal",
};

const char *invocation_start_name(enum inv_start start)
{
	return start_names[start];
}

const char *invocation_outcome_name(enum inv_outcome outcome)
{
	return outcome_names[outcome];
}

static void invocation_client_gone(struct front_owner *owner);

void invocation_uncount(struct invocation *inv)
{
	if (!inv->counted)
		return;
	inv->counted = false;
	inv->ver->fn->in_flight--;
	inv->ver->fn->tenant->in_flight--;
}

static void invocation_free(struct invocation *inv)
{
	dispatch_unqueue(inv);
	if (inv->sb)
		inv->sb->inv = NULL;
	invocation_uncount(inv);
	fn_version_put(&inv->d->registry, inv->ver);
	free(inv->qualifier);
	free(inv->client_context);
	free(inv->tenant_id);
	free(inv->tail);
	free(inv->event);
	free(inv->resp);
	free(inv);
}

/* What few calls have. */
static int take_extras(struct invocation *inv, const struct inv_request *rq)
{
	if (rq->qualifier && !(inv->qualifier = strndup(rq->qualifier, INV_QUALIFIER_MAX)))
		return -ENOMEM;
	if (rq->client_context && !(inv->client_context = strdup(rq->client_context)))
		return -ENOMEM;
	if (rq->tenant_id && !(inv->tenant_id = strdup(rq->tenant_id)))
		return -ENOMEM;
	if (rq->tail && !(inv->tail = calloc(1, sizeof(*inv->tail))))
		return -ENOMEM;
	return 0;
}

int invocation_submit(struct daemon *d, const struct inv_request *rq)
{
	struct invocation *inv = calloc(1, sizeof(*inv));

	if (!inv) {
		free(rq->event);
		return -ENOMEM;
	}
	inv->owner.gone = invocation_client_gone;
	inv->caller = rq->caller;
	inv->ctx = rq->ctx;
	inv->d = d;
	inv->ver = fn_version_get(rq->ver);
	inv->force = rq->force;
	inv->event = rq->event;
	inv->event_len = rq->event_len;
	memcpy(inv->id, rq->id, sizeof(inv->id));
	stk_list_init(&inv->node);
	stk_list_init(&inv->deadline_node);
	if (take_extras(inv, rq)) {
		invocation_free(inv);
		return -ENOMEM;
	}
	inv->req = rq->req;
	if (inv->req) {
		inv->begin_ns = http_req_start_ns(inv->req);
		inv->parsed_ns = http_req_parsed_ns(inv->req);
		http_req_set_ptr(inv->req, &inv->owner);
	} else {
		inv->begin_ns = inv->parsed_ns = stk_now_ns();
	}
	dispatch_submit(&d->dispatch, inv);
	return 0;
}

static void invocation_client_gone(struct front_owner *owner)
{
	struct invocation *inv = (struct invocation *)owner;
	struct sandbox *sb = inv->sb;

	inv->req = NULL;
	invocation_finish(inv, inv->refused ? inv->refusal : INV_GONE, NULL);
	if (sb)
		sandbox_kill(sb, NULL);
}

int invocation_append(struct invocation *inv, const uint8_t *data, size_t len)
{
	size_t need = inv->resp_len + len;

	if (need > GW_MAX_RESPONSE)
		return -EMSGSIZE;
	if (need > inv->resp_cap) {
		size_t cap = inv->resp_cap ? inv->resp_cap * 2 : need;
		uint8_t *grown;

		if (cap < need)
			cap = need;
		grown = realloc(inv->resp, cap);
		if (!grown)
			return -ENOMEM;
		inv->resp = grown;
		inv->resp_cap = cap;
	}
	memcpy(inv->resp + inv->resp_len, data, len);
	inv->resp_len = need;
	return 0;
}

void invocation_stream(struct invocation *inv, const char *type)
{
	if (!inv->req && inv->caller->reader) {
		inv->req = inv->caller->reader(inv);
		if (inv->req)
			http_req_set_ptr(inv->req, &inv->owner);
	}
	if (!inv->req || !inv->caller->begin || (inv->caller->collect && inv->caller->collect(inv, type)))
		return;
	inv->streaming = true;
	inv->caller->begin(inv, inv->req, type);
}

int invocation_data(struct invocation *inv, const uint8_t *data, size_t len)
{
	if (!inv->streaming)
		return invocation_append(inv, data, len);
	return inv->caller->data(inv, inv->req, data, len) > INV_STREAM_HIGH ? -EAGAIN : 0;
}

void invocation_drained(void *ctx, struct http_req *req)
{
	struct invocation *inv = http_req_ptr(req); /* owner is its first member */

	if (inv && inv->sb)
		sandbox_read_on(inv->sb);
}

void invocation_logged(struct invocation *inv, const void *text, size_t len)
{
	const char *from = text;

	if (!inv->tail)
		return;
	if (len > INV_TAIL_MAX) {
		inv->tail->len += len - INV_TAIL_MAX;
		from += len - INV_TAIL_MAX;
		len = INV_TAIL_MAX;
	}
	for (size_t part; len; len -= part, from += part) {
		size_t at = inv->tail->len % INV_TAIL_MAX;

		part = len < INV_TAIL_MAX - at ? len : INV_TAIL_MAX - at;
		memcpy(inv->tail->text + at, from, part);
		inv->tail->len += part;
	}
}

size_t invocation_tail(const struct invocation *inv, char *buf)
{
	size_t at;

	if (!inv->tail)
		return 0;
	if (inv->tail->len <= INV_TAIL_MAX) {
		memcpy(buf, inv->tail->text, inv->tail->len);
		return inv->tail->len;
	}
	at = inv->tail->len % INV_TAIL_MAX;
	memcpy(buf, inv->tail->text + at, INV_TAIL_MAX - at);
	memcpy(buf + INV_TAIL_MAX - at, inv->tail->text, at);
	return INV_TAIL_MAX;
}

/* NULL when out of memory. */
static struct fnmetrics *metrics_of(const struct invocation *inv)
{
	struct function *fn = inv->ver->fn;

	if (!fn->metrics)
		fn->metrics = fnmetrics_new(inv->d->metrics, fn->name);
	return fn->metrics;
}

/* Stage times as far as they are known, in ns. */
struct times {
	uint64_t parse, queue, start, send, call, total;
};

static struct times times_of(const struct invocation *inv, uint64_t now)
{
	return (struct times){
		.parse = invocation_span(inv->begin_ns, inv->parsed_ns),
		.queue = invocation_span(inv->submit_ns, inv->start_ns ? inv->start_ns : now),
		.start = invocation_span(inv->start_ns, inv->ready_ns),
		.send = invocation_span(inv->ready_ns, inv->sent_ns),
		.call = invocation_span(inv->sent_ns, now),
		.total = invocation_span(inv->begin_ns, now),
	};
}

/* In ms, as Server Timing wants it. */
static void add_time(struct stk_text *t, const char *name, uint64_t ns)
{
	stk_text_str(t, name);
	stk_text_fixed(t, (ns + 500) / 1000, 3);
}

static void time_headers(struct invocation *inv, const struct times *times)
{
	char buf[256];
	struct stk_text t = stk_text_init(buf, sizeof(buf));

	add_time(&t, "parse;dur=", times->parse);
	add_time(&t, ", queue;dur=", times->queue);
	add_time(&t, ", start;dur=", times->start);
	add_time(&t, ", send;dur=", times->send);
	add_time(&t, ", function;dur=", times->call);
	add_time(&t, ", total;dur=", times->total);
	if (!t.cut)
		http_resp_header(inv->req, "Server-Timing", buf);
	if (inv->start != INV_ANY)
		http_resp_header(inv->req, "X-Stoker-Start", invocation_start_name(inv->start));
}

void invocation_headers(struct invocation *inv)
{
	struct times t = times_of(inv, stk_now_ns());

	time_headers(inv, &t);
}

/* Stage times: into the answer's headers (unless they are out already) and the metrics. */
static void report_times(struct invocation *inv, uint64_t now)
{
	struct fnmetrics *m = metrics_of(inv);
	struct times t = times_of(inv, now);

	if (inv->req && !inv->streaming)
		time_headers(inv, &t);
	if (!m || inv->start == INV_ANY)
		return;
	fnmetrics_stage(m, inv->start, FNSTAGE_QUEUE, (double)t.queue / STK_NS_PER_S);
	fnmetrics_stage(m, inv->start, FNSTAGE_START, (double)t.start / STK_NS_PER_S);
	fnmetrics_stage(m, inv->start, FNSTAGE_FUNCTION, (double)t.call / STK_NS_PER_S);
	fnmetrics_stage(m, inv->start, FNSTAGE_TOTAL, (double)t.total / STK_NS_PER_S);
}

void invocation_finish(struct invocation *inv, enum inv_outcome outcome, const char *text)
{
	uint64_t now = stk_now_ns();
	struct http_req *req = inv->req;

	dispatch_unqueue(inv);
	report_times(inv, now);
	if (metrics_of(inv))
		fnmetrics_count(metrics_of(inv), outcome);
	if (inv->tail) /* goes with the answer */
		invlog_end(inv, outcome, now);
	inv->req = NULL;
	if (req)
		http_req_set_ptr(req, NULL);
	inv->caller->done(inv, req, outcome, text);
	if (!inv->tail)
		invlog_end(inv, outcome, now);
	invocation_free(inv);
}

/* An error object of the host's own for what the function's code is to blame for. */
static void finish_init(struct invocation *inv, const char *type, const char *text)
{
	char body[1024];
	int n = answer_function_error(body, sizeof(body), type, inv->id, text);

	inv->resp_len = 0;
	if (!inv->streaming && invocation_append(inv, (const uint8_t *)body, (size_t)n))
		invocation_finish(inv, INV_INTERNAL, "the host ran out of memory");
	else
		invocation_finish(inv, INV_FUNCTION_ERROR, NULL);
}

/* As Lambda's own runtime supervisor names signals. */
static void signal_text(char *buf, size_t cap, int sig)
{
	const char *name = sig > 0 && sig < 65 ? sigdescr_np(sig) : NULL;
	int n = snprintf(buf, cap, "Runtime exited with error: signal: ");

	snprintf(buf + n, cap - (size_t)n, "%s", name ? name : "unknown");
	buf[n] = (char)tolower((unsigned char)buf[n]);
}

void invocation_finish_error(struct invocation *inv, const struct gw_error *e)
{
	char text[512];
	int n = (int)(e->body_len < 300 ? e->body_len : 300);

	switch (e->kind) {
	case GW_ERR_FUNCTION:
	case GW_ERR_INIT:
		inv->resp_len = 0;
		if (invocation_append(inv, (const uint8_t *)e->body, e->body_len)) {
			invocation_finish(inv, INV_INTERNAL, "the host ran out of memory");
			return;
		}
		invocation_finish(inv, INV_FUNCTION_ERROR, NULL);
		return;
	case GW_ERR_EXIT:
		if (e->detail == 0)
			snprintf(text, sizeof(text), "Runtime exited without providing a reason");
		else
			snprintf(text, sizeof(text), "Runtime exited with error: exit status %d", e->detail);
		invocation_finish(inv, INV_EXIT, text);
		return;
	case GW_ERR_SIGNAL:
		signal_text(text, sizeof(text), e->detail);
		invocation_finish(inv, INV_EXIT, text);
		return;
	case GW_ERR_OOM:
		invocation_finish(inv, INV_OOM, "Runtime exited with error: signal: killed");
		return;
	case GW_ERR_ENTRYPOINT:
		snprintf(text, sizeof(text), "%.*s", n, e->body ? e->body : "");
		finish_init(inv, "Runtime.InvalidEntrypoint", text);
		return;
	case GW_ERR_INIT_TIMEOUT:
		finish_init(inv, "Sandbox.Timedout", "the init phase timed out");
		return;
	case GW_ERR_TOO_LARGE:
		invocation_finish(inv, INV_TOO_LARGE, NULL);
		return;
	default:
		snprintf(text, sizeof(text), "the guest agent failed: %.*s", n, e->body ? e->body : "");
		invocation_finish(inv, INV_VM_DIED, text);
		return;
	}
}
