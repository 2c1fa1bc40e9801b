/* Streamed function-URL answers: see furl_stream.h. */
#include "scheduler/furl_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/host/http_server.h"
#include "scheduler/answer.h"
#include "scheduler/furl.h"
#include "scheduler/furl_config.h"

static const char prelude_type[] = "application/vnd.awslambda.http-integration-response";

/* inv->stream */
struct furl_stream {
	struct furl_prelude prelude;
	bool sent; /* status and headers are out */
	char *collected; /* heap, or NULL: the media type, of an answer that is collected */
	/* What is wrong with it, to be answered when the function has ended; the rest of it is dropped. */
	int error_status;
	const char *error_code;
	char error_text[200];
};

/* --- prelude --------------------------------------------------------------------------------- */

int furl_prelude_take(struct furl_prelude *p, const uint8_t *data, size_t len, size_t *ret_used)
{
	size_t n = 0;

	*ret_used = 0;
	if (!p->buf && !(p->buf = malloc(FURL_PRELUDE_MAX)))
		return -ENOMEM;
	for (; n < len && p->zeros < FURL_PRELUDE_ZERO; n++) {
		if (data[n] == '\0') {
			p->zeros++;
		} else if (p->zeros) {
			return -EPROTO;
		} else if (p->len == FURL_PRELUDE_MAX) {
			return -EMSGSIZE;
		} else {
			p->buf[p->len++] = data[n];
		}
	}
	*ret_used = n;
	return p->zeros == FURL_PRELUDE_ZERO;
}

void furl_prelude_fini(struct furl_prelude *p)
{
	free(p->buf);
	p->buf = NULL;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void fail(struct furl_stream *s, int status, const char *code, const char *text)
{
	s->error_status = status;
	s->error_code = code;
	snprintf(s->error_text, sizeof(s->error_text), "%.180s", text);
}

static void begin(struct invocation *inv, struct http_req *req, int status, const char *type)
{
	struct furl_stream *s = inv->stream;

	s->sent = true;
	invocation_headers(inv);
	http_stream_begin(req, status, type, invocation_drained);
}

/* The whole body of an answer that was collected. */
static void send_collected(struct invocation *inv, struct http_req *req, int status, const char *type, size_t from)
{
	struct furl_stream *s = inv->stream;

	s->sent = true;
	if (from)
		memmove(inv->resp, inv->resp + from, inv->resp_len - from);
	http_respond_take(req, status, type, stk_take_ptr(&inv->resp), inv->resp_len - from);
}

/* from: where in what was collected the body begins. */
static bool begin_from_prelude(struct invocation *inv, struct http_req *req, size_t from)
{
	struct furl_stream *s = inv->stream;
	struct stk_err err = {0};
	struct furl_answer a;

	if (furl_prelude_parse(s->prelude.buf, s->prelude.len, &a, &err)) {
		fail(s, 502, "BadFunctionAnswer", err.text);
		return false;
	}
	furl_prelude_fini(&s->prelude);
	if (!answer_furl_headers(req, &a))
		fail(s, 502, "BadFunctionAnswer", ANSWER_BAD_HEADER);
	else if (s->collected)
		send_collected(inv, req, a.status, a.type, from);
	else
		begin(inv, req, a.status, a.type);
	furl_answer_fini(&a);
	return s->sent;
}

/* True: it is complete, and *ret_used is where the body begins. */
static bool take_prelude(struct furl_stream *s, const uint8_t *data, size_t len, size_t *ret_used)
{
	int rc = furl_prelude_take(&s->prelude, data, len, ret_used);

	if (rc == -ENOMEM)
		fail(s, 503, "OutOfMemory", "the host has no memory left for this request");
	else if (rc < 0)
		fail(s, 502, "BadFunctionAnswer", "the function's streamed answer does not begin "
		     "with a JSON object of at most 64 KiB and eight NUL bytes");
	return rc > 0;
}

bool furl_stream_collect(struct invocation *inv, const char *type)
{
	struct furl_stream *s;

	if (!furl_is_buffered(inv->ver->fn, inv->qualifier))
		return false;
	s = calloc(1, sizeof(*s));
	if (s && !(s->collected = strdup(*type ? type : "application/octet-stream"))) {
		free(s);
		return false; /* better streamed than lost */
	}
	inv->stream = s;
	return s;
}

void furl_stream_begin(struct invocation *inv, struct http_req *req, const char *type)
{
	struct furl_stream *s = calloc(1, sizeof(*s));

	inv->stream = s;
	if (!s) /* then all that comes is refused by furl_stream_data */
		return;
	if (strcasecmp(type, prelude_type) != 0)
		begin(inv, req, 200, *type ? type : "application/octet-stream");
}

size_t furl_stream_data(struct invocation *inv, struct http_req *req, const uint8_t *data, size_t len)
{
	struct furl_stream *s = inv->stream;
	size_t used = 0;

	if (!s || s->error_status)
		return 0;
	if (!s->sent && (!take_prelude(s, data, len, &used) || !begin_from_prelude(inv, req, 0)))
		return 0;
	return http_stream_write(req, data + used, len - used);
}

/* All of it is there: what can be sent is. */
static void send_whole(struct invocation *inv, struct http_req *req)
{
	struct furl_stream *s = inv->stream;
	size_t used = 0;

	if (strcasecmp(s->collected, prelude_type) != 0)
		send_collected(inv, req, 200, s->collected, 0);
	else if (take_prelude(s, inv->resp, inv->resp_len, &used))
		begin_from_prelude(inv, req, used);
}

static void end(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text)
{
	struct furl_stream *s = inv->stream;

	if (s && s->collected && outcome == INV_OK) {
		send_whole(inv, req);
		if (s->sent)
			return;
	}
	if (!s)
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", inv->id);
	else if (s->error_status)
		answer_error(req, s->error_status, s->error_code, s->error_text, inv->id);
	else if (s->sent && outcome == INV_OK)
		http_stream_end(req);
	else if (s->sent)
		http_stream_abort(req);
	else if (outcome == INV_OK)
		answer_error(req, 502, "BadFunctionAnswer", "the function's streamed answer ended in its prelude", inv->id);
	else
		answer_furl_failure(req, inv, outcome, text);
}

void furl_stream_done(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text)
{
	struct furl_stream *s = inv->stream;

	if (req)
		end(inv, req, outcome, text);
	if (s) {
		furl_prelude_fini(&s->prelude);
		free(s->collected);
	}
	free(s);
	inv->stream = NULL;
}
