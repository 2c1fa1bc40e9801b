/* One function call: see invocation.h. */
#include "scheduler/invocation.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/host/http_server.h"
#include "scheduler/answer.h"
#include "scheduler/daemon.h"
#include "scheduler/fnmetrics.h"
#include "scheduler/logs.h"
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

void invocation_submit(struct daemon *d, struct http_req *req, struct fn_version *ver, bool furl,
		       const char *id, uint8_t *event, size_t event_len, enum inv_start force)
{
	struct invocation *inv = calloc(1, sizeof(*inv));

	if (!inv) {
		free(event);
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
		return;
	}
	inv->owner.gone = invocation_client_gone;
	inv->d = d;
	inv->req = req;
	inv->ver = fn_version_get(ver);
	inv->furl = furl;
	inv->force = force;
	inv->event = event;
	inv->event_len = event_len;
	memcpy(inv->id, id, sizeof(inv->id));
	inv->begin_ns = http_req_start_ns(req);
	inv->parsed_ns = http_req_parsed_ns(req);
	stk_list_init(&inv->node);
	stk_list_init(&inv->deadline_node);
	http_req_set_ptr(req, &inv->owner);
	dispatch_submit(&d->dispatch, inv);
}

static void invocation_free(struct invocation *inv)
{
	dispatch_unqueue(inv);
	if (inv->sb)
		inv->sb->inv = NULL;
	fn_version_put(&inv->d->registry, inv->ver);
	free(inv->event);
	free(inv->resp);
	free(inv);
}

static void invocation_client_gone(struct front_owner *owner)
{
	struct invocation *inv = (struct invocation *)owner;
	struct sandbox *sb = inv->sb;

	inv->req = NULL;
	invocation_finish(inv, INV_GONE, NULL);
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

static double span_ms(uint64_t from, uint64_t to)
{
	return from && to > from ? (double)(to - from) / 1e6 : 0.0;
}

/* NULL when out of memory. */
static struct fnmetrics *metrics_of(const struct invocation *inv)
{
	struct function *fn = inv->ver->fn;

	if (!fn->metrics)
		fn->metrics = fnmetrics_new(inv->d->metrics, fn->name);
	return fn->metrics;
}

/* Stage times: into the answer's headers and the metrics. */
static void report_times(struct invocation *inv, uint64_t now)
{
	struct fnmetrics *m = metrics_of(inv);
	double parse = span_ms(inv->begin_ns, inv->parsed_ns);
	double queue = span_ms(inv->submit_ns, inv->start_ns ? inv->start_ns : now);
	double start = span_ms(inv->start_ns, inv->ready_ns);
	double send = span_ms(inv->ready_ns, inv->sent_ns);
	double call = span_ms(inv->sent_ns, now);
	double total = span_ms(inv->begin_ns, now);
	char text[256];

	if (inv->req) {
		if (stk_snprintf(text, sizeof(text),
				 "parse;dur=%.3f, queue;dur=%.3f, start;dur=%.3f, send;dur=%.3f, "
				 "function;dur=%.3f, total;dur=%.3f",
				 parse, queue, start, send, call, total) == 0)
			http_resp_header(inv->req, "Server-Timing", text);
		if (inv->start != INV_ANY)
			http_resp_header(inv->req, "X-Stoker-Start", invocation_start_name(inv->start));
	}
	if (!m || inv->start == INV_ANY)
		return;
	fnmetrics_stage(m, inv->start, FNSTAGE_QUEUE, queue / 1e3);
	fnmetrics_stage(m, inv->start, FNSTAGE_START, start / 1e3);
	fnmetrics_stage(m, inv->start, FNSTAGE_FUNCTION, call / 1e3);
	fnmetrics_stage(m, inv->start, FNSTAGE_TOTAL, total / 1e3);
}

static void log_end(struct invocation *inv, enum inv_outcome outcome, uint64_t now)
{
	char line[256];
	double ms = span_ms(inv->sent_ns, now);

	if (!inv->sent_ns || !inv->ver->fn->log)
		return;
	if (stk_snprintf(line, sizeof(line),
			 "REPORT RequestId: %s\tDuration: %.2f ms\tMemory Size: %u MB\tStart: %s\tStatus: %s",
			 inv->id, ms, inv->ver->settings.memory_mib, invocation_start_name(inv->start),
			 invocation_outcome_name(outcome)) == 0)
		logs_line(inv->ver->fn->log, inv->id, line, strlen(line));
}

void invocation_finish(struct invocation *inv, enum inv_outcome outcome, const char *text)
{
	uint64_t now = stk_now_ns();
	struct http_req *req = inv->req;

	dispatch_unqueue(inv);
	report_times(inv, now);
	if (metrics_of(inv))
		fnmetrics_count(metrics_of(inv), outcome);
	if (req) {
		inv->req = NULL;
		http_req_set_ptr(req, NULL);
		answer_invocation(req, inv, outcome, text);
	}
	log_end(inv, outcome, now);
	invocation_free(inv);
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
		snprintf(text, sizeof(text), "Runtime exited with error: signal: %s",
			 e->detail > 0 && e->detail < 65 && sigdescr_np(e->detail)
				 ? sigdescr_np(e->detail)
				 : "unknown");
		invocation_finish(inv, INV_EXIT, text);
		return;
	case GW_ERR_OOM:
		snprintf(text, sizeof(text),
			 "Runtime exited with error: signal: killed (out of memory, the limit is %u MB)",
			 inv->ver->settings.memory_mib);
		invocation_finish(inv, INV_OOM, text);
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
