/* Answers: see answer.h. */
#include "scheduler/answer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/utf8.h"
#include "common/host/http_server.h"

static const char json_media[] = "application/json";

size_t answer_error_text(char *buf, size_t cap, const char *code, const char *message, const char *id)
{
	char text[1024], esc_code[192];
	int n;

	stk_utf8_json(message, text, sizeof(text));
	stk_utf8_json(code, esc_code, sizeof(esc_code));
	if (id)
		n = snprintf(buf, cap, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"requestId\":\"%s\"}}\n",
			     esc_code, text, id);
	else
		n = snprintf(buf, cap, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}\n", esc_code, text);
	return n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1;
}

void answer_error(struct http_req *req, int status, const char *code, const char *message, const char *id)
{
	char buf[1536];
	size_t n = answer_error_text(buf, sizeof(buf), code, message, id);

	if (status == 429 || status == 503)
		http_resp_header(req, "Retry-After", "1");
	http_respond(req, status, json_media, buf, n);
}

void answer_json(struct http_req *req, int status, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
	size_t n;

	json_decref(value);
	if (!text) {
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this answer", NULL);
		return;
	}
	n = strlen(text);
	text[n++] = '\n'; /* in place of the NUL; the length is given */
	http_respond_take(req, status, json_media, text, n);
}

int answer_function_error(char *buf, size_t cap, const char *type, const char *id, const char *text)
{
	char message[640], escaped[768];
	int n;

	snprintf(message, sizeof(message), "RequestId: %s Error: %.500s", id, text);
	stk_utf8_trim(message);
	stk_utf8_json(message, escaped, sizeof(escaped));
	n = snprintf(buf, cap, "{\"errorType\":\"%s\",\"errorMessage\":\"%s\"}", type, escaped);
	return n < 0 ? 0 : n < (int)cap ? n : (int)cap - 1;
}

/* Outcomes other than INV_OK and INV_FUNCTION_ERROR. */
struct failure {
	int status;
	const char *type;    /* errorType, or the host's error code */
	bool host;           /* the host's fault or decision: host error shape on every path */
};

static const struct failure failures[INV_OUTCOMES] = {
	[INV_FUNCTION_ERROR] = {502, "FunctionError", false},
	[INV_EXIT] = {502, "Runtime.ExitError", false},
	[INV_OOM] = {502, "Runtime.OutOfMemory", false},
	[INV_TIMEOUT] = {504, "Sandbox.Timedout", false},
	[INV_TOO_LARGE] = {502, "Function.ResponseSizeTooLarge", false},
	[INV_VM_DIED] = {502, "Sandbox.Died", false},
	[INV_PROTOCOL] = {502, "Sandbox.ProtocolError", false},
	[INV_START_FAILED] = {503, "StartFailed", true},
	[INV_QUEUE_FULL] = {429, "TooManyRequests", true},
	[INV_TENANT_FULL] = {429, "TooManyRequests", true},
	[INV_RESERVED_FULL] = {429, "TooManyRequests", true},
	[INV_QUEUE_TIMEOUT] = {429, "QueueTimeout", true},
	[INV_GONE] = {499, "ClientGone", true},
	[INV_SHUTDOWN] = {503, "ShuttingDown", true},
	[INV_DELETED] = {503, "FunctionReplaced", true},
	[INV_INTERNAL] = {500, "Internal", true},
};

static void failure_message(const struct invocation *inv, enum inv_outcome outcome, const char *text, char *message,
			    size_t cap)
{
	const struct failure *f = &failures[outcome];

	if (outcome == INV_TIMEOUT)
		snprintf(message, cap, "RequestId: %s Error: Task timed out after %u.00 seconds",
			 inv->id, inv->ver->settings.timeout_s);
	else if (outcome == INV_TOO_LARGE)
		snprintf(message, cap, "Response payload size exceeded maximum allowed payload size (%u bytes).",
			 inv->streaming ? GW_MAX_STREAM : GW_MAX_RESPONSE);
	else if (f->host)
		snprintf(message, cap, "%.500s", text ? text : f->type);
	else
		snprintf(message, cap, "RequestId: %s Error: %.500s", inv->id, text ? text : f->type);
	stk_utf8_trim(message); /* it may be what the guest said, and cut */
}

size_t answer_failure(const struct invocation *inv, enum inv_outcome outcome, const char *text, int *ret_status,
		      char *buf, size_t cap)
{
	const struct failure *f = &failures[outcome];
	char message[640], escaped[768];
	int n;

	failure_message(inv, outcome, text, message, sizeof(message));
	stk_utf8_json(message, escaped, sizeof(escaped));
	n = snprintf(buf, cap, "{\"errorType\":\"%s\",\"errorMessage\":\"%s\"}", f->type, escaped);
	*ret_status = f->status;
	return n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1;
}

const char *answer_failure_type(enum inv_outcome outcome, bool *ret_host)
{
	*ret_host = failures[outcome].host;
	return failures[outcome].type;
}

void answer_send_failure(struct http_req *req, const struct invocation *inv, enum inv_outcome outcome, bool furl,
			 const char *text)
{
	const struct failure *f = &failures[outcome];
	char message[640], body[ANSWER_FAILURE_MAX];
	int status;
	size_t n;

	if (f->host || furl) {
		failure_message(inv, outcome, text, message, sizeof(message));
		answer_error(req, f->status, f->type, message, inv->id);
		return;
	}
	n = answer_failure(inv, outcome, text, &status, body, sizeof(body));
	http_resp_header(req, "X-Stoker-Error", "Unhandled");
	http_respond(req, status, json_media, body, n);
}

static void plain_done(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text)
{
	if (!req)
		return;
	if (outcome == INV_OK) {
		http_respond_take(req, 200, json_media, stk_take_ptr(&inv->resp), inv->resp_len);
	} else if (outcome == INV_FUNCTION_ERROR) {
		http_resp_header(req, "X-Stoker-Error", "Unhandled");
		http_respond_take(req, 502, json_media, stk_take_ptr(&inv->resp), inv->resp_len);
	} else {
		answer_send_failure(req, inv, outcome, false, text);
	}
}

const struct inv_caller answer_plain = {.done = plain_done, .waits = true};
