/* Events of HTTP requests: see httpevent.h. */
#include "scheduler/httpevent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/host/router.h"
#include "scheduler/answer.h"
#include "scheduler/auth/auth.h"
#include "scheduler/cloudevents.h"
#include "scheduler/furl.h"
#include "scheduler/offload.h"

typedef void done_fn(void *ctx, struct http_req *req, const struct httpevent *made);

struct conversion {
	struct furl_request f;
	enum cloudevents_mode mode;
	size_t max;
	struct httpevent made;
	int rc;
	struct stk_err err;
};

/* A conversion beside the loop, with copies of all that belongs to the request. */
struct later {
	struct offload o; /* first */
	struct conversion c;
	done_fn *done;
	void *ctx;
	struct http_header *headers;
	uint8_t *body;
	char text[];
};

static void convert(struct conversion *c)
{
	const struct furl_request *f = &c->f;

	c->made.cloud = c->mode != CLOUDEVENTS_NONE;
	if (c->mode == CLOUDEVENTS_NONE)
		c->rc = furl_event(f, c->max, &c->made.event, &c->made.len);
	else
		c->rc = cloudevents_event(c->mode, f->headers, f->header_count, f->body, f->body_len, c->max, &c->made.event,
					  &c->made.len, &c->err);
}

static void finish(const struct conversion *c, struct http_req *req, done_fn *done, void *ctx)
{
	const char *id = c->f.request_id;
	char text[160];

	if (c->rc == 0 && req) {
		done(ctx, req, &c->made);
		return;
	}
	if (c->rc == 0) {
		free(c->made.event);
	} else if (!req) {
	} else if (c->rc == -EMSGSIZE) {
		snprintf(text, sizeof(text),
			 "the event made from this request is larger than %zu MB (bodies that are not text grow by a third)",
			 c->max >> 20);
		answer_error(req, 413, "PayloadTooLarge", text, id);
	} else if (c->rc == -EINVAL) {
		answer_error(req, 400, "BadCloudEvent", c->err.text, id);
	} else {
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
	}
	done(ctx, req, NULL);
}

static void run(struct offload *o)
{
	convert(&((struct later *)o)->c);
}

static void after(struct offload *o, struct http_req *req)
{
	struct later *l = (struct later *)o;

	finish(&l->c, req, l->done, l->ctx);
	free(l->headers);
	free(l->body);
	free(l);
}

static const char *keep(char **at, const char *text)
{
	char *kept = *at;

	*at = stpcpy(kept, text) + 1;
	return kept;
}

static size_t text_size(const struct furl_request *f)
{
	size_t n = strlen(f->method) + strlen(f->path) + strlen(f->query) + strlen(f->peer) + strlen(f->request_id) +
		   strlen(f->function) + 6;

	for (size_t i = 0; i < f->header_count; i++)
		n += strlen(f->headers[i].name) + strlen(f->headers[i].value) + 2;
	return n;
}

/* Takes the request's body. -ENOMEM. */
static int begin_later(struct daemon *d, struct http_req *req, const struct conversion *c, done_fn *done, void *ctx)
{
	struct later *l = calloc(1, sizeof(*l) + text_size(&c->f));
	struct furl_request *f;
	char *at;

	if (!l)
		return -ENOMEM;
	l->headers = calloc(c->f.header_count + 1, sizeof(*l->headers));
	if (!l->headers) {
		free(l);
		return -ENOMEM;
	}
	l->c = *c;
	l->done = done;
	l->ctx = ctx;
	f = &l->c.f;
	at = l->text;
	f->method = keep(&at, f->method);
	f->path = keep(&at, f->path);
	f->query = keep(&at, f->query);
	f->peer = keep(&at, f->peer);
	f->request_id = keep(&at, f->request_id);
	f->function = keep(&at, f->function);
	for (size_t i = 0; i < f->header_count; i++) {
		l->headers[i].name = keep(&at, f->headers[i].name);
		l->headers[i].value = keep(&at, f->headers[i].value);
	}
	f->headers = l->headers;
	f->body = l->body = http_req_take_body(req, &f->body_len);
	offload_start(&l->o, d, req, run, after);
	return 0;
}

void httpevent_make(struct daemon *d, struct http_req *req, const struct router_match *m, const char *id, size_t max,
		    done_fn *done, void *ctx)
{
	struct conversion c = {
		.f = {
			.method = http_req_method(req),
			.path = m->rest && *m->rest ? m->rest : "/",
			.query = http_req_query(req),
			.protocol = "HTTP/1.1",
			.peer = http_req_peer(req),
			.request_id = id,
			.function = m->value[0],
			.drop_authorization = auth_of(req) && !auth_of(req)->anonymous,
			.wall_ms = stk_wall_ns() / STK_NS_PER_MS,
		},
		.max = max,
	};

	c.f.header_count = http_req_headers(req, &c.f.headers);
	c.f.body = http_req_body(req, &c.f.body_len);
	c.mode = cloudevents_mode(c.f.headers, c.f.header_count);
	if (c.mode == CLOUDEVENTS_UNKNOWN) {
		answer_error(req, 415, "UnsupportedMediaType",
			     "CloudEvents are taken one by one, in binary mode or as JSON", id);
		done(ctx, req, NULL);
		return;
	}
	if (offload_worth(c.f.body_len)) {
		c.rc = begin_later(d, req, &c, done, ctx);
		if (c.rc == 0)
			return;
	} else {
		convert(&c);
	}
	finish(&c, req, done, ctx);
}
