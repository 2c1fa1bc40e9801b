/* GET /v1/code/NAME/NUMBER: the package that a version was deployed with, as it came, for who has a link (codelink.h).
 *
 *   READ (worker thread) ─► SEND (until the client has taken it) ─► READ ... until the file's end
 *
 * A client that does not read costs one piece of 64 KiB, and is cut off by the server's time limit for writes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/answer.h"
#include "scheduler/codelink.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/ids.h"

#define READERS_MAX 64 /* at the same time: each has a file open and a piece of memory */
#define TENANT_MAX  (READERS_MAX / 2)
#define PIECE       65536

struct reader {
	struct front_owner owner; /* first */
	uv_work_t work;
	struct daemon *d;
	struct http_req *req; /* NULL: the client has gone */
	struct tenant *tenant;
	int fd;               /* -1: not opened yet */
	bool reading, begun;
	ssize_t len;          /* of buf; 0: the end; negative errno */
	char id[IDS_UUID_LEN + 1], path[PATH_CAP];
	char buf[PIECE];
};

static void reader_free(struct reader *r)
{
	struct daemon *d = r->d;

	if (r->fd >= 0)
		close(r->fd);
	r->tenant->code_readers--;
	d->code_readers--;
	free(r);
	daemon_job_done(d);
}

static void gone(struct front_owner *owner)
{
	struct reader *r = (struct reader *)owner;

	r->req = NULL;
	if (!r->reading)
		reader_free(r);
}

static struct http_req *take_req(struct reader *r)
{
	struct http_req *req = stk_take_ptr(&r->req);

	http_req_set_ptr(req, NULL);
	return req;
}

static void not_there(struct http_req *req, const char *id)
{
	answer_error(req, 404, "CodeNotFound", "this code is not stored any more", id);
}

static void fail(struct reader *r)
{
	static struct stk_log_limit limit = {.burst = 3};
	struct http_req *req = take_req(r);

	if (r->len != -ENOENT && stk_log_allow(&limit))
		stk_warn("%s cannot be read: %s", r->path, strerror((int)-r->len));
	if (r->begun)
		http_stream_abort(req);
	else if (r->len == -ENOENT)
		not_there(req, r->id);
	else
		answer_error(req, 500, "Internal", "the code cannot be read", r->id);
	reader_free(r);
}

static void work_read(uv_work_t *w)
{
	struct reader *r = w->data;

	/* Once it is open, it is read to the end, also when the function goes meanwhile. */
	if (r->fd < 0)
		r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (r->fd < 0) {
		r->len = -errno;
		return;
	}
	do
		r->len = read(r->fd, r->buf, sizeof(r->buf));
	while (r->len < 0 && errno == EINTR);
	if (r->len < 0)
		r->len = -errno;
}

static void was_read(uv_work_t *w, int status);

static void step(struct reader *r)
{
	r->reading = true;
	if (workers_queue(&r->d->loop, &r->work, work_read, was_read))
		was_read(&r->work, UV_ENOMEM);
}

static void on_drain(void *ctx, struct http_req *req)
{
	struct reader *r = (struct reader *)http_req_ptr(req);

	if (r && !r->reading)
		step(r);
}

static void was_read(uv_work_t *w, int status)
{
	struct reader *r = w->data;

	r->reading = false;
	if (status)
		r->len = status;
	if (!r->req) {
		reader_free(r);
		return;
	}
	if (r->len < 0) {
		fail(r);
		return;
	}
	if (!r->begun) {
		r->begun = true;
		http_resp_header(r->req, "Cache-Control", "no-store");
		http_stream_begin(r->req, 200, "application/zip", on_drain);
	}
	if (r->len == 0) {
		http_stream_end(take_req(r));
		reader_free(r);
	} else if (http_stream_write(r->req, r->buf, (size_t)r->len) == 0) {
		step(r);
	}
}

/* By the build's number. NULL: it is not there. */
static const struct fn_version *find(const struct function *fn, unsigned number)
{
	if (!fn || !fn->latest)
		return NULL;
	if (fn->latest->number == number)
		return fn->latest;
	if (fn->active && fn->active->number == number)
		return fn->active;
	for (unsigned i = 0; i < fn->published_count; i++) {
		if (fn->published[i]->number == number)
			return fn->published[i];
	}
	return NULL;
}

/* False: answered. */
static bool may_read(const struct daemon *d, struct http_req *req, const struct tenant *t, const char *id)
{
	if (d->code_readers < READERS_MAX && t->code_readers < TENANT_MAX)
		return true;
	http_resp_header(req, "Retry-After", "5");
	answer_error(req, 429, "TooManyReaders", "too many packages are being read at the same time", id);
	return false;
}

void api_code(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	const char *name = m->value[0];
	const struct fn_version *v;
	char id[IDS_UUID_LEN + 1];
	uint64_t number;
	struct reader *r;

	if (front_request_id(req, id))
		id[0] = '\0';
	/* First of all: who has no link is not told what there is. */
	if (stk_parse_u64(m->value[1], 1, UINT_MAX, &number) ||
	    !codelink_good(&d->codelink, name, (unsigned)number, http_req_query(req), (int64_t)(stk_wall_ns() / STK_NS_PER_S))) {
		answer_error(req, 403, "AccessDenied", "the link has expired, or is not one that this host has given", id);
		return;
	}
	v = find(registry_find(&d->registry, name), (unsigned)number);
	if (!v) {
		not_there(req, id);
		return;
	}
	if (strcmp(http_req_method(req), "HEAD") == 0) {
		http_respond(req, 200, "application/zip", NULL, 0);
		return;
	}
	if (!may_read(d, req, v->fn->tenant, id))
		return;
	r = malloc(sizeof(*r));
	if (!r || daemon_version_path(d, v, "code.zip", r->path, sizeof(r->path))) {
		free(r);
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
		return;
	}
	r->owner.gone = gone;
	r->work.data = r;
	r->d = d;
	r->req = req;
	r->tenant = v->fn->tenant;
	r->fd = -1;
	r->begun = false;
	stk_strcpy(r->id, sizeof(r->id), id);
	d->jobs++;
	d->code_readers++;
	r->tenant->code_readers++;
	http_req_set_ptr(req, &r->owner);
	step(r);
}
