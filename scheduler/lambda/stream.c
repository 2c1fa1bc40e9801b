/* InvokeWithResponseStream: the answer as an event stream, while it is made. See lambda_stream_caller in result.h. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/host/http_server.h"
#include "scheduler/answer.h"
#include "scheduler/eventstream.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/result.h"

/* One frame at a time; a piece of an answer is never larger than a guestwire frame. */
static uint8_t frame[GW_MAX_CHUNK + EVENTSTREAM_OVERHEAD];

static size_t send_event(struct http_req *req, const char *type, const void *payload, size_t len)
{
	long n = eventstream_encode(frame, sizeof(frame), type, payload, len);

	return n < 0 ? 0 : http_stream_write(req, frame, (size_t)n);
}

static void open_stream(struct http_req *req, const char *version)
{
	http_resp_header(req, "X-Amz-Executed-Version", version);
	http_stream_begin(req, 200, EVENTSTREAM_MEDIA, invocation_drained);
}

static void begin(struct invocation *inv, struct http_req *req, const char *type)
{
	char version[FN_VERSION_TEXT];

	fn_version_text(inv->ver->published, version);
	invocation_headers(inv);
	open_stream(req, version);
}

static size_t send_data(struct http_req *req, const uint8_t *p, size_t len)
{
	size_t waiting = 0;

	for (size_t part; len; len -= part, p += part) {
		part = len < GW_MAX_CHUNK ? len : GW_MAX_CHUNK;
		waiting = send_event(req, "PayloadChunk", p, part);
	}
	return waiting;
}

static size_t data(struct invocation *inv, struct http_req *req, const uint8_t *p, size_t len)
{
	return send_data(req, p, len);
}

/* {ErrorCode?, ErrorDetails?, LogResult?}. code: NULL when it has not failed. */
static void complete(struct http_req *req, const char *code, const char *details, size_t len, const char *tail)
{
	json_t *root = json_object();
	stk_autofree char *text = NULL;

	if (code) {
		json_object_set_new(root, "ErrorCode", json_string(code));
		json_object_set_new(root, "ErrorDetails", json_stringn(details, len));
	}
	if (tail)
		json_object_set_new(root, "LogResult", json_string(tail));
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	/* What was too long, or no UTF-8, is left out; that it has failed is not. */
	if (!text || strlen(text) > GW_MAX_CHUNK) {
		free(text);
		text = strdup(code ? "{\"ErrorCode\":\"Unhandled\"}" : "{}");
	}
	if (text)
		send_event(req, "InvokeComplete", text, strlen(text));
	http_stream_end(req);
}

/* What is left to be said on an open stream. */
static void end(struct http_req *req, const struct lambda_result *r)
{
	if (r->kind != RESULT_ANSWER) {
		complete(req, lambda_error_name(r->type), r->message, strlen(r->message), r->tail);
	} else if (r->function_error) {
		complete(req, r->failure, (const char *)r->body, r->len, r->tail);
	} else {
		send_data(req, r->body, r->len);
		complete(req, NULL, NULL, 0, r->tail);
	}
}

void lambda_result_stream(struct http_req *req, struct lambda_result *r)
{
	if (r->kind != RESULT_ANSWER) { /* the call was never made */
		lambda_result_send(req, r, true);
		return;
	}
	open_stream(req, r->version);
	end(req, r);
}

static void done(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text)
{
	struct lambda_result r;

	if (!req)
		return;
	lambda_result_of(inv, outcome, text, &r);
	if (inv->streaming)
		end(req, &r);
	else
		lambda_result_stream(req, &r); /* its other headers are from invocation_finish */
	lambda_result_fini(&r);
}

const struct inv_caller lambda_stream_caller = {.done = done, .begin = begin, .data = data, .waits = true};
