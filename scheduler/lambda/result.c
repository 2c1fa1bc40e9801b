/* What became of an invocation: see result.h. */
#include "scheduler/lambda/result.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/host/http_server.h"
#include "scheduler/answer.h"

static void set_error(struct lambda_result *r, enum lambda_error_type type, const char *text)
{
	r->kind = RESULT_ERROR;
	r->type = type;
	snprintf(r->message, sizeof(r->message), "%s", text);
}

static void set_throttled(struct lambda_result *r, enum lambda_reason reason)
{
	r->kind = RESULT_THROTTLED;
	r->reason = reason;
}

static void set_failed(struct lambda_result *r, const struct invocation *inv, enum inv_outcome outcome, const char *text)
{
	int status; /* Lambda's is 200 */

	r->function_error = true;
	r->body = malloc(ANSWER_FAILURE_MAX);
	if (r->body)
		r->len = answer_failure(inv, outcome, text, &status, (char *)r->body, ANSWER_FAILURE_MAX);
	else
		set_error(r, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this answer");
}

/* No VM of the version can be started: for a version whose init phase failed that is the function's fault. */
static void set_not_started(struct lambda_result *r, const struct invocation *inv, const char *text)
{
	const struct fn_version *v = inv->ver;

	if (v->state != FN_FAILED) {
		set_error(r, LAMBDA_SERVICE, text ? text : "the function's VM could not be started");
	} else if (v->init_error && (r->body = (uint8_t *)strdup(v->init_error))) {
		r->function_error = true;
		r->len = strlen(v->init_error);
	} else {
		set_failed(r, inv, INV_START_FAILED, text);
	}
}

static char *encode_tail(const struct invocation *inv)
{
	char tail[INV_TAIL_MAX];
	size_t n = invocation_tail(inv, tail);
	char *text = inv->tail ? malloc(INV_TAIL_MAX / 3 * 4 + 8) : NULL;

	if (text)
		EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)tail, (int)n);
	return text;
}

void lambda_result_of(struct invocation *inv, enum inv_outcome outcome, const char *text, struct lambda_result *ret)
{
	bool host;

	memset(ret, 0, sizeof(*ret));
	fn_version_text(inv->ver->published, ret->version);
	ret->tail = encode_tail(inv);
	ret->failure = outcome == INV_FUNCTION_ERROR ? "Unhandled" : answer_failure_type(outcome, &host);
	switch (outcome) {
	case INV_OK:
	case INV_FUNCTION_ERROR:
		ret->function_error = outcome == INV_FUNCTION_ERROR;
		ret->len = inv->resp_len;
		ret->body = stk_take_ptr(&inv->resp);
		break;
	case INV_START_FAILED:
		set_not_started(ret, inv, text);
		break;
	case INV_TENANT_FULL:
	case INV_QUEUE_FULL:
	case INV_QUEUE_TIMEOUT:
		set_throttled(ret, LAMBDA_REASON_CONCURRENCY);
		break;
	case INV_RESERVED_FULL:
		set_throttled(ret, LAMBDA_REASON_RESERVED_CONCURRENCY);
		break;
	case INV_SHUTDOWN:
	case INV_DELETED:
		set_error(ret, LAMBDA_SERVICE_UNAVAILABLE, text ? text : "the host is shutting down");
		break;
	case INV_INTERNAL:
		set_error(ret, LAMBDA_SERVICE, text ? text : "internal error");
		break;
	default:
		set_failed(ret, inv, outcome, text);
	}
}

void lambda_result_send(struct http_req *req, struct lambda_result *r, bool last)
{
	if (r->kind == RESULT_ERROR) {
		lambda_error(req, r->type, r->message);
		return;
	}
	if (r->kind == RESULT_THROTTLED) {
		lambda_error_throttled(req, r->reason, 1);
		return;
	}
	http_resp_header(req, "X-Amz-Executed-Version", r->version);
	if (r->function_error)
		http_resp_header(req, "X-Amz-Function-Error", "Unhandled");
	if (r->tail)
		http_resp_header(req, "X-Amz-Log-Result", r->tail);
	if (last)
		http_respond_take(req, 200, "application/json", stk_take_ptr(&r->body), r->len);
	else
		http_respond(req, 200, "application/json", r->body, r->len);
}

void lambda_result_accepted(struct http_req *req, int rc, bool old)
{
	if (rc == -ENOSPC)
		lambda_error(req, LAMBDA_SERVICE, "no space left for the event");
	else if (rc)
		lambda_error(req, LAMBDA_SERVICE, "the event could not be stored");
	else
		http_respond(req, 202, old ? "application/json" : NULL, "{}", old ? 2 : 0);
}

void lambda_result_fini(struct lambda_result *r)
{
	free(stk_take_ptr(&r->tail));
	free(stk_take_ptr(&r->body));
}
