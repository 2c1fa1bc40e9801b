/* Errors of Lambda's API: see error.h. */
#include "scheduler/lambda/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/utf8.h"
#include "common/host/http_server.h"
#include "scheduler/front.h"

static const struct {
	const char *name;
	int status;
	const char *member;
} types[LAMBDA_ERROR_TYPES] = {
#define X(id, name, status, member) [LAMBDA_##id] = {name, status, member},
	LAMBDA_ERRORS(X)
#undef X
};

static const char *const reasons[LAMBDA_REASONS] = {
	[LAMBDA_REASON_CONCURRENCY] = "ConcurrentInvocationLimitExceeded",
	[LAMBDA_REASON_RESERVED_CONCURRENCY] = "ReservedFunctionConcurrentInvocationLimitExceeded",
	[LAMBDA_REASON_RATE] = "FunctionInvocationRateLimitExceeded",
	[LAMBDA_REASON_RESERVED_RATE] = "ReservedFunctionInvocationRateLimitExceeded",
	[LAMBDA_REASON_CALLER_RATE] = "CallerRateLimitExceeded",
	[LAMBDA_REASON_SNAPSHOTS] = "ConcurrentSnapshotCreateLimitExceeded",
};

const char *lambda_error_name(enum lambda_error_type type)
{
	return types[type].name;
}

int lambda_error_status(enum lambda_error_type type)
{
	return types[type].status;
}

const char *lambda_reason_name(enum lambda_reason reason)
{
	return reasons[reason];
}

enum lambda_error_type lambda_error_of_status(int status)
{
	switch (status) {
	case 403:
		return LAMBDA_ACCESS_DENIED;
	case 404:
		return LAMBDA_UNKNOWN_OPERATION;
	case 405:
		return LAMBDA_METHOD_NOT_ALLOWED;
	case 413:
		return LAMBDA_ENTITY_TOO_LARGE;
	case 415:
		return LAMBDA_UNSUPPORTED_MEDIA;
	case 429:
		return LAMBDA_TOO_MANY_REQUESTS;
	case 503:
		return LAMBDA_SERVICE_UNAVAILABLE;
	default:
		return status >= 500 ? LAMBDA_SERVICE : LAMBDA_INVALID_REQUEST_CONTENT;
	}
}

int lambda_err_set(struct lambda_err *err, enum lambda_error_type type, const char *fmt, ...)
{
	va_list ap;

	err->type = type;
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	stk_utf8_trim(err->message);
	return types[type].status >= 500 ? -EIO : -EINVAL;
}

int lambda_err_nomem(struct lambda_err *err)
{
	lambda_err_set(err, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
	return -ENOMEM;
}

size_t lambda_error_body(char *buf, size_t cap, enum lambda_error_type type, enum lambda_reason reason,
			 const char *message)
{
	char text[LAMBDA_MESSAGE_MAX * 6];
	const char *who = types[type].status >= 500 ? "Service" : "User";
	int n;

	stk_utf8_json(message, text, sizeof(text));
	if (reasons[reason])
		n = snprintf(buf, cap, "{\"Reason\":\"%s\",\"Type\":\"%s\",\"%s\":\"%s\"}", reasons[reason], who,
			     types[type].member, text);
	else
		n = snprintf(buf, cap, "{\"Type\":\"%s\",\"%s\":\"%s\"}", who, types[type].member, text);
	return n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1;
}

int lambda_request_id(struct http_req *req, char ret_id[IDS_UUID_LEN + 1])
{
	int rc = front_request_id(req, ret_id);

	if (rc) {
		ret_id[0] = '\0';
		return rc;
	}
	http_resp_header(req, "x-amzn-RequestId", ret_id);
	return 0;
}

static void answer(struct http_req *req, enum lambda_error_type type, enum lambda_reason reason, const char *message)
{
	char body[LAMBDA_BODY_MAX];
	size_t n = lambda_error_body(body, sizeof(body), type, reason, message);

	http_resp_header(req, "x-amzn-ErrorType", types[type].name);
	http_respond(req, types[type].status, "application/json", body, n);
}

void lambda_error(struct http_req *req, enum lambda_error_type type, const char *message)
{
	if (type == LAMBDA_SERVICE_UNAVAILABLE || type == LAMBDA_TOO_MANY_REQUESTS)
		http_resp_header(req, "Retry-After", "1");
	answer(req, type, LAMBDA_REASON_NONE, message);
}

void lambda_error_err(struct http_req *req, const struct lambda_err *err)
{
	lambda_error(req, err->type, err->message);
}

void lambda_error_throttled(struct http_req *req, enum lambda_reason reason, unsigned retry_after_s)
{
	char after[16];

	snprintf(after, sizeof(after), "%u", retry_after_s);
	http_resp_header(req, "Retry-After", after);
	answer(req, LAMBDA_TOO_MANY_REQUESTS, reason, "Rate Exceeded.");
}
