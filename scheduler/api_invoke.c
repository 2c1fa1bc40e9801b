/* POST /v1/functions/NAME/invoke and ANY /function/NAME[/path]. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/guestwire.h"
#include "scheduler/answer.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/furl_config.h"
#include "scheduler/httpevent.h"
#include "scheduler/invocation.h"

/* X-Stoker-Start: which way of starting the client insists on. -1 when it is none. */
static int wanted_start(const struct http_req *req)
{
	const char *value = http_req_header(req, "x-stoker-start");

	if (!value)
		return INV_ANY;
	for (int s = INV_ANY; s <= INV_COLD_BOOT; s++) {
		if (strcasecmp(value, invocation_start_name((enum inv_start)s)) == 0)
			return s;
	}
	return -1;
}

static struct fn_version *prepare(struct daemon *d, struct http_req *req, const struct router_match *m,
				  char *ret_id, enum inv_start *ret_start, const char **ret_qualifier)
{
	struct fn_version *ver;
	int start = wanted_start(req);

	if (front_request_id(req, ret_id)) {
		answer_error(req, 500, "Internal", "no random bytes", NULL);
		return NULL;
	}
	ver = front_function(d, req, m->value[0], ret_id, ret_qualifier);
	if (!ver)
		return NULL;
	if (start < 0) {
		answer_error(req, 400, "BadRequest", "X-Stoker-Start is warm, shell, cold-restore or cold-boot", ret_id);
		return NULL;
	}
	if (start == INV_SHELL && !d->opt->shells) {
		answer_error(req, 400, "BadRequest", "this host keeps no shells", ret_id);
		return NULL;
	}
	*ret_start = (enum inv_start)start;
	return ver;
}

static void submit(struct daemon *d, struct http_req *req, struct fn_version *ver, const char *qualifier,
		   const struct inv_caller *caller, const char *id, uint8_t *event, size_t len, enum inv_start start)
{
	struct inv_request rq = {.ver = ver, .caller = caller, .req = req, .id = id, .qualifier = qualifier, .event = event,
		.event_len = len, .force = start};

	if (invocation_submit(d, &rq))
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
}

void api_invoke_event(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	char id[IDS_UUID_LEN + 1];
	enum inv_start start;
	const char *qualifier;
	struct fn_version *ver = prepare(d, req, m, id, &start, &qualifier);
	uint8_t *event;
	size_t len = 0;

	if (!ver)
		return;
	event = http_req_take_body(req, &len);
	if (len == 0) { /* no event is the empty object, as Lambda's console sends it */
		free(event);
		event = (uint8_t *)strdup("{}");
		len = 2;
		if (!event) {
			answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
			return;
		}
	}
	submit(d, req, ver, qualifier, &answer_plain, id, event, len, start);
}

/* A call by URL whose event is being made. */
struct furl_call {
	struct daemon *d;
	enum inv_start start;
	char id[IDS_UUID_LEN + 1];
	char name[]; /* as in the path */
};

static void furl_made(void *ctx, struct http_req *req, const struct httpevent *made)
{
	struct furl_call *call = ctx;
	const char *qualifier;
	struct fn_version *ver = made ? front_function(call->d, req, call->name, call->id, &qualifier) : NULL;

	if (ver)
		submit(call->d, req, ver, qualifier, made->cloud ? &answer_cloud : &answer_furl, call->id, made->event, made->len,
		       call->start);
	else if (made)
		free(made->event);
	free(call);
}

void api_invoke_furl(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	char id[IDS_UUID_LEN + 1];
	enum inv_start start;
	const char *qualifier;
	struct furl_call *call;

	if (!prepare(d, req, m, id, &start, &qualifier) || furl_cors(&d->registry, m->value[0], req))
		return;
	call = calloc(1, sizeof(*call) + strlen(m->value[0]) + 1);
	if (!call) {
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
		return;
	}
	call->d = d;
	call->start = start;
	strcpy(call->id, id);
	strcpy(call->name, m->value[0]);
	httpevent_make(d, req, m, call->id, GW_MAX_EVENT, furl_made, call);
}
