/* POST /async-function/NAME[/path]: as /function/NAME, but answered when the event is on disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "scheduler/answer.h"
#include "scheduler/async/async.h"
#include "scheduler/auth/auth.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/httpevent.h"

struct accept {
	struct front_owner owner;
	struct daemon *d;
	struct http_req *req; /* NULL: the client has gone; the event stays */
	char id[IDS_UUID_LEN + 1];
	char name[]; /* as in the path */
};

static void client_gone(struct front_owner *owner)
{
	struct accept *w = (struct accept *)owner;

	w->req = NULL;
}

static void answer_refusal(struct http_req *req, int rc, const char *text, const char *id)
{
	switch (rc) {
	case -EDQUOT:
		answer_error(req, 429, "TooManyRequests", text, id);
		break;
	case -EMSGSIZE:
		answer_error(req, 413, "PayloadTooLarge", text, id);
		break;
	case -EINVAL:
		answer_error(req, 400, "BadRequest", text, id);
		break;
	case -ESHUTDOWN:
		answer_error(req, 503, "ShuttingDown", text, id);
		break;
	case -ENOSPC:
		answer_error(req, 507, "InsufficientStorage", "the host's disk is full", id);
		break;
	case -ENOMEM:
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
		break;
	default:
		answer_error(req, 503, "QueueFailed", "the event could not be written to disk", id);
		break;
	}
}

static void accepted(void *ctx, int rc)
{
	struct accept *w = ctx;
	struct http_req *req = w->req;

	if (req) {
		http_req_set_ptr(req, NULL);
		if (rc)
			answer_refusal(req, rc, NULL, w->id);
		else
			http_respond(req, 202, NULL, NULL, 0);
	}
	free(w);
}

/* The client's X-Call-Id when it is a UUID, which then is the request id; else one is made. */
static int call_id(struct http_req *req, char ret_id[IDS_UUID_LEN + 1])
{
	const char *given = http_req_header(req, "x-call-id");
	int rc = 0;

	if (!given || strlen(given) != IDS_UUID_LEN || strspn(given, "0123456789abcdefABCDEF-") != IDS_UUID_LEN)
		rc = ids_uuid(ret_id);
	else
		memcpy(ret_id, given, IDS_UUID_LEN + 1);
	if (rc == 0) {
		http_resp_header(req, "X-Request-Id", ret_id);
		http_resp_header(req, "X-Call-Id", ret_id);
	}
	return rc;
}

static void event_made(void *ctx, struct http_req *req, const struct httpevent *made)
{
	struct accept *w = ctx;
	struct async_call call = {.id = w->id};
	const struct fn_version *ver = made ? front_function(w->d, req, w->name, w->id, &call.qualifier) : NULL;
	struct stk_err err = {0};
	int rc;

	if (!ver) {
		if (made)
			free(made->event);
		free(w);
		return;
	}
	call.callback = http_req_header(req, "x-callback-url");
	call.function = ver->fn->name;
	call.kind = made->cloud ? EVENT_CLOUD : EVENT_HTTP;
	call.payload = made->event;
	call.payload_len = made->len;
	w->owner.gone = client_gone;
	w->req = req;
	http_req_set_ptr(req, &w->owner);
	rc = async_submit(w->d->async, &call, accepted, w, &err);
	if (rc) {
		http_req_set_ptr(req, NULL);
		answer_refusal(req, rc, err.text, w->id);
		free(w);
	}
}

void api_async_function(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	const struct auth_principal *who = auth_of(req);
	struct accept *w = calloc(1, sizeof(*w) + strlen(m->value[0]) + 1);
	const char *qualifier;

	if (!w || call_id(req, w->id)) {
		free(w);
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", NULL);
		return;
	}
	w->d = d;
	strcpy(w->name, m->value[0]);
	if (!front_function(w->d, req, w->name, w->id, &qualifier)) {
		free(w);
		return;
	}
	if (http_req_header(req, "x-callback-url") && who->anonymous && !who->unbound) {
		answer_error(req, 403, "AccessDenied",
			     "X-Callback-Url: this host sends results to addresses that somebody with a token names",
			     w->id);
		free(w);
		return;
	}
	httpevent_make(d, req, m, w->id, EVENT_MAX_PAYLOAD, event_made, w);
}
