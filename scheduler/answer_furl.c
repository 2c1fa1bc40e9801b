/* What a function's JSON becomes as the answer to a request by URL, and to a CloudEvent: see answer.h. Large JSON is parsed
 * beside the loop. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/host/http_server.h"
#include "scheduler/answer.h"
#include "scheduler/cloudevents.h"
#include "scheduler/furl.h"
#include "scheduler/furl_config.h"
#include "scheduler/furl_stream.h"
#include "scheduler/invlog.h"
#include "scheduler/offload.h"

enum what { FURL, FURL_ERROR, CLOUD };

/* What a function has said, with what is found in it. */
struct said {
	struct offload o; /* first */
	enum what what;
	uint8_t *text; /* heap */
	size_t len;
	char id[IDS_UUID_LEN + 1];
	struct furl_answer answer; /* FURL, when rc is 0 */
	struct stk_err err;
	int rc;
	json_t *error;             /* FURL_ERROR: or NULL */
	bool is_event;             /* CLOUD */
};

static void look(struct offload *o)
{
	struct said *s = (struct said *)o;

	if (s->what == FURL)
		s->rc = furl_answer_parse(s->text, s->len, &s->answer, &s->err);
	else if (s->what == FURL_ERROR)
		s->error = json_loadb((const char *)s->text, s->len, JSON_REJECT_DUPLICATES, NULL);
	else
		s->is_event = cloudevents_is_event(s->text, s->len);
}

bool answer_furl_headers(struct http_req *req, const struct furl_answer *a)
{
	for (unsigned i = 0; i < a->header_count; i++) {
		if (http_resp_header(req, a->header[i].name, a->header[i].value))
			return false;
	}
	return true;
}

static void send_furl(struct http_req *req, struct said *s)
{
	struct furl_answer *a = &s->answer;

	if (s->rc)
		answer_error(req, 502, "BadFunctionAnswer", s->err.text, s->id);
	else if (!answer_furl_headers(req, a))
		answer_error(req, 502, "BadFunctionAnswer", ANSWER_BAD_HEADER, s->id);
	else if (a->passthrough)
		http_respond_take(req, a->status, a->type, stk_take_ptr(&s->text), s->len);
	else
		http_respond_take(req, a->status, a->type, stk_take_ptr(&a->body), a->body_len);
}

/* The failed function's own message out of its error JSON. */
static void send_function_error(struct http_req *req, const struct said *s)
{
	const char *type = NULL, *message = NULL;
	char code[160];

	if (json_is_object(s->error)) {
		type = json_string_value(json_object_get(s->error, "errorType"));
		message = json_string_value(json_object_get(s->error, "errorMessage"));
	}
	snprintf(code, sizeof(code), "%s", type && *type ? type : "FunctionError");
	answer_error(req, 502, code, message ? message : "the function reported an error without a message", s->id);
}

/* req may be NULL. Frees what s has. */
static void finish(struct said *s, struct http_req *req)
{
	if (req && s->what == FURL)
		send_furl(req, s);
	else if (req && s->what == FURL_ERROR)
		send_function_error(req, s);
	else if (req)
		http_respond_take(req, 200, s->is_event ? CLOUDEVENTS_MEDIA : "application/json", stk_take_ptr(&s->text), s->len);
	if (s->what == FURL && s->rc == 0)
		furl_answer_fini(&s->answer);
	json_decref(s->error);
	free(s->text);
}

static void looked(struct offload *o, struct http_req *req)
{
	finish((struct said *)o, req);
	free(o);
}

static void tell(struct http_req *req, struct invocation *inv, enum what what)
{
	struct said here, *s = &here;

	if (offload_worth(inv->resp_len)) {
		s = malloc(sizeof(*s));
		if (!s) {
			answer_error(req, 503, "OutOfMemory", "the host has no memory left for this answer", inv->id);
			return;
		}
	}
	s->what = what;
	s->text = stk_take_ptr(&inv->resp);
	s->len = inv->resp_len;
	memcpy(s->id, inv->id, sizeof(s->id));
	s->err.text[0] = '\0';
	s->rc = 0;
	s->error = NULL;
	if (s == &here) {
		look(&s->o);
		finish(s, req);
	} else {
		offload_start(&s->o, inv->d, req, look, looked);
	}
}

/* A function URL may be open to all: what has failed inside is for the log. */
static void hide_failure(struct http_req *req, struct invocation *inv, enum inv_outcome outcome, const char *text)
{
	static const char body[] = "Internal Server Error";
	char failure[ANSWER_FAILURE_MAX];
	int status;

	if (outcome == INV_FUNCTION_ERROR)
		invlog_error(inv, (const char *)inv->resp, inv->resp_len);
	else
		invlog_error(inv, failure, answer_failure(inv, outcome, text, &status, failure, sizeof(failure)));
	http_respond(req, 502, "text/plain", body, sizeof(body) - 1);
}

void answer_furl_failure(struct http_req *req, struct invocation *inv, enum inv_outcome outcome, const char *text)
{
	bool host = false;

	if (outcome != INV_FUNCTION_ERROR)
		answer_failure_type(outcome, &host);
	if (!host && furl_is_url(inv->ver->fn, inv->qualifier))
		hide_failure(req, inv, outcome, text);
	else if (outcome == INV_FUNCTION_ERROR)
		tell(req, inv, FURL_ERROR);
	else
		answer_send_failure(req, inv, outcome, true, text);
}

static void furl_done(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text)
{
	if (inv->streaming || inv->stream)
		furl_stream_done(inv, req, outcome, text);
	else if (!req)
		return;
	else if (outcome == INV_OK)
		tell(req, inv, FURL);
	else
		answer_furl_failure(req, inv, outcome, text);
}

static void cloud_done(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text)
{
	if (!req)
		return;
	if (outcome == INV_OK)
		tell(req, inv, CLOUD);
	else
		furl_done(inv, req, outcome, text);
}

const struct inv_caller answer_furl = {.done = furl_done, .collect = furl_stream_collect, .begin = furl_stream_begin,
	.data = furl_stream_data, .waits = true};
const struct inv_caller answer_cloud = {.done = cloud_done, .waits = true};
