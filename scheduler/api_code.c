/* GET /v1/code/NAME/NUMBER, /v1/layers/NAME/VERSION/code: the package that a version of a function or a layer was made from, as
 * it came, for who has a link (codelink.h).
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
#include "scheduler/layers.h"
#include "scheduler/tenants.h"

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
	bool reading, begun, head; /* head: HEAD, only whether it is there */
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
		answer_error(req, 500, "Internal", "the package cannot be read", r->id);
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
	if (r->head) {
		http_respond(take_req(r), 200, "application/zip", NULL, 0);
		reader_free(r);
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

/* Of which package of this kind is it, and by a link? 0: answered. First of all: who has no link is not told what there is. */
static unsigned linked(const struct daemon *d, struct http_req *req, const struct router_match *m, unsigned max,
		       int (*path_of)(const char *name, unsigned number, char ret[CODELINK_MAX]), char id[IDS_UUID_LEN + 1])
{
	char path[CODELINK_MAX];
	uint64_t number;

	if (front_request_id(req, id))
		id[0] = '\0';
	if (stk_parse_u64(m->value[1], 1, max, &number) == 0 && path_of(m->value[0], (unsigned)number, path) == 0 &&
	    codelink_good(&d->codelink, path, http_req_query(req), (int64_t)(stk_wall_ns() / STK_NS_PER_S)))
		return (unsigned)number;
	answer_error(req, 403, "AccessDenied", "the link has expired, or is not one that this host has given", id);
	return 0;
}

/* NULL: answered. What it reads is to be set, then it starts with step. */
static struct reader *begin(struct daemon *d, struct http_req *req, struct tenant *tenant, const char *id)
{
	struct reader *r;

	if (!may_read(d, req, tenant, id))
		return NULL;
	r = malloc(sizeof(*r));
	if (!r) {
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
		return NULL;
	}
	r->owner.gone = gone;
	r->work.data = r;
	r->d = d;
	r->req = req;
	r->tenant = tenant;
	r->fd = -1;
	r->begun = false;
	r->head = strcmp(http_req_method(req), "HEAD") == 0;
	stk_strcpy(r->id, sizeof(r->id), id);
	d->jobs++;
	d->code_readers++;
	r->tenant->code_readers++;
	http_req_set_ptr(req, &r->owner);
	return r;
}

/* rc: of the making of r->path. */
static void start(struct reader *r, int rc)
{
	if (rc) {
		r->len = rc;
		fail(r);
	} else {
		step(r);
	}
}

void api_code(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	const struct fn_version *v;
	char id[IDS_UUID_LEN + 1];
	unsigned number = linked(d, req, m, UINT_MAX, codelink_of_function, id);
	struct reader *r;

	if (!number)
		return;
	v = find(registry_find(&d->registry, m->value[0]), number);
	if (!v)
		not_there(req, id);
	else if ((r = begin(d, req, v->fn->tenant, id)))
		start(r, daemon_version_path(d, v, "code.zip", r->path, sizeof(r->path)));
}

void api_layer_code(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	char id[IDS_UUID_LEN + 1];
	struct fn_layer layer = {.version = linked(d, req, m, LAYERS_VERSION_MAX, codelink_of_layer, id)};
	struct reader *r;

	if (!layer.version)
		return;
	if (stk_strcpy(layer.name, sizeof(layer.name), m->value[0])) /* the link says that it is the name of one */
		not_there(req, id);
	else if ((r = begin(d, req, tenants_of(&d->tenants, layer.name), id)))
		start(r, layers_path(d->opt->state_dir, &layer, r->path, sizeof(r->path)));
}
