/* GET /v1/functions/NAME[:QUALIFIER]/logs: what is kept of a function's output, and with ?follow=yes what is written from
 * then on, until the client goes, its key is taken away, the function is deleted or the host shuts down.
 *
 *   WAIT (for what is not in the file yet) ─► READ (worker thread) ─► SEND (until the client has taken it) ─► READ ...
 *                        ▲                        │ nothing more
 *                        └──── written ──────── IDLE (follow), or the end
 *
 * A client that does not read costs one piece of 64 KiB, and is cut off by the server's time limit for writes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/answer.h"
#include "scheduler/auth/auth.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/ids.h"
#include "scheduler/logquery.h"
#include "scheduler/logread.h"
#include "scheduler/logs.h"

#define READERS_MAX 128 /* at the same time: each has a file open and a piece of memory */
#define TENANT_MAX  (READERS_MAX / 2)
#define SILENT_S    60 /* a follower that vanished is found out after so long without output */

struct reader {
	struct front_owner owner; /* first */
	struct logs_watch watch;
	uv_work_t work;
	struct daemon *d;
	struct http_req *req; /* NULL: the client has gone */
	struct tenant *tenant;
	struct logsink *sink;
	struct logread_filter filter;
	struct logread *log; /* NULL: not opened yet */
	enum { WAIT, READ, SEND, IDLE } state;
	uint64_t mark;       /* WAIT: for this to be in the file */
	bool begun;
	bool again;          /* READ: more was written meanwhile */
	bool ended;          /* what is there is sent, and no more */
	bool revoked;        /* not even that: its key has gone */
	ssize_t len;         /* of buf; negative errno */
	char id[IDS_UUID_LEN + 1];
	char buf[LOGREAD_PIECE];
};

static void reader_free(struct reader *r)
{
	struct daemon *d = r->d;

	logs_unwatch(&r->watch);
	logread_close(r->log);
	r->tenant->log_readers--;
	d->log_readers--;
	free(r);
	daemon_job_done(d);
}

static struct http_req *take_req(struct reader *r)
{
	struct http_req *req = r->req;

	r->req = NULL;
	http_req_set_ptr(req, NULL);
	return req;
}

static void gone(struct front_owner *owner)
{
	struct reader *r = (struct reader *)owner;

	r->req = NULL;
	if (r->state != READ)
		reader_free(r);
}

static void step(struct reader *r);

static void on_drain(void *ctx, struct http_req *req)
{
	struct reader *r = (struct reader *)http_req_ptr(req);

	if (r && r->state == SEND)
		step(r);
}

static void begin(struct reader *r)
{
	if (r->begun)
		return;
	r->begun = true;
	http_resp_header(r->req, "Cache-Control", "no-store");
	http_stream_begin(r->req, 200, "text/plain; charset=utf-8", on_drain);
}

static void end(struct reader *r)
{
	begin(r);
	http_stream_end(take_req(r));
	reader_free(r);
}

static void fail(struct reader *r)
{
	static struct stk_log_limit limit = {.burst = 3};
	struct http_req *req = take_req(r);

	if (stk_log_allow(&limit))
		stk_warn("a log could not be read: %s", strerror((int)-r->len));
	if (r->begun)
		http_stream_abort(req);
	else
		answer_error(req, 500, "Internal", "the log cannot be read", r->id);
	reader_free(r);
}

/* --- reading ------------------------------------------------------------------------------------------ */

static void work_read(uv_work_t *w)
{
	struct reader *r = w->data;
	const struct logsink *s = r->sink;
	int rc = r->log ? 0 : logread_open(logs_dir(s), logs_name(s), logs_rotations(s), &r->filter, &r->log);

	r->len = rc ? rc : logread_next(r->log, r->buf, sizeof(r->buf));
}

static void was_read(uv_work_t *w, int status)
{
	struct reader *r = w->data;

	if (status)
		r->len = status;
	if (!r->req) {
		reader_free(r);
	} else if (r->revoked) {
		end(r);
	} else if (r->len < 0) {
		fail(r);
	} else if (r->len > 0) {
		begin(r);
		r->state = SEND;
		if (http_stream_write(r->req, r->buf, (size_t)r->len) == 0)
			step(r);
	} else if (r->again) {
		step(r);
	} else if (!r->filter.follow || r->ended) {
		end(r);
	} else {
		begin(r);
		r->state = IDLE;
	}
}

static void step(struct reader *r)
{
	r->state = READ;
	r->again = false;
	if (workers_queue(&r->d->loop, &r->work, work_read, was_read))
		was_read(&r->work, UV_ENOMEM);
}

static void written(struct logs_watch *w)
{
	struct reader *r = STK_CONTAINER_OF(w, struct reader, watch);

	if (r->state == READ)
		r->again = r->filter.follow && !r->ended;
	else if (r->state == IDLE || (r->state == WAIT && logs_done(r->sink, r->mark)))
		step(r);
}

static void ended(struct logs_watch *w)
{
	struct reader *r = STK_CONTAINER_OF(w, struct reader, watch);

	r->ended = true;
	if (r->state == IDLE)
		end(r);
}

static void check(struct logs_watch *w)
{
	struct reader *r = STK_CONTAINER_OF(w, struct reader, watch);

	if (!r->req || auth_again(r->d->auth, r->req))
		return;
	r->revoked = true;
	if (r->state != READ)
		end(r);
}

void api_logs_check(struct daemon *d)
{
	logs_each_watch(d->logs, check);
}

/* --- the request ---------------------------------------------------------------------------------------- */

/* The function of the path; its qualifier becomes part of the filter. NULL: answered. */
static struct function *find(struct daemon *d, struct http_req *req, const char *text, struct logread_filter *f, const char *id)
{
	const char *qualifier;
	const struct fn_version *v = front_function(d, req, text, id, &qualifier);
	const struct fn_alias *a;

	if (!v)
		return NULL;
	if (!qualifier || !*qualifier)
		return v->fn;
	a = registry_alias(v->fn, qualifier);
	fn_version_text(a ? a->version : v->published, f->version[0]);
	if (a && a->additional)
		fn_version_text(a->additional, f->version[1]);
	return v->fn;
}

/* False: answered. */
static bool may_read(const struct daemon *d, struct http_req *req, const struct tenant *t, bool follow, const char *id)
{
	if (logs_ended(d->logs) && follow) {
		answer_error(req, 503, "ShuttingDown", "the host is shutting down", id);
		return false;
	}
	if (d->log_readers < READERS_MAX && t->log_readers < TENANT_MAX)
		return true;
	http_resp_header(req, "Retry-After", "5");
	answer_error(req, 429, "TooManyReaders", "too many logs are being read at the same time", id);
	return false;
}

void api_logs(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct logread_filter filter = {.lines = 0};
	struct daemon *d = ctx;
	struct stk_err err = {0};
	char id[IDS_UUID_LEN + 1];
	struct function *fn;
	struct reader *r;

	if (front_request_id(req, id))
		id[0] = '\0';
	fn = find(d, req, m->value[0], &filter, id);
	if (!fn)
		return;
	if (logquery_read(http_req_query(req), (int64_t)(stk_wall_ns() / STK_NS_PER_MS), &filter, &err)) {
		answer_error(req, 400, "BadRequest", err.text, id);
		return;
	}
	if (strcmp(http_req_method(req), "HEAD") == 0) {
		http_respond(req, 200, "text/plain; charset=utf-8", NULL, 0);
		return;
	}
	if (!may_read(d, req, fn->tenant, filter.follow, id))
		return;
	r = calloc(1, sizeof(*r));
	if (!r) {
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
		return;
	}
	r->owner.gone = gone;
	r->watch = (struct logs_watch){.written = written, .ended = ended};
	r->work.data = r;
	r->d = d;
	r->req = req;
	r->tenant = fn->tenant;
	r->sink = fn->log;
	r->filter = filter;
	stk_strcpy(r->id, sizeof(r->id), id);
	d->jobs++;
	d->log_readers++;
	r->tenant->log_readers++;
	logs_watch(r->sink, &r->watch);
	http_req_set_ptr(req, &r->owner);
	if (filter.follow)
		http_req_expect_silence(req, SILENT_S);
	r->mark = logs_mark(r->sink);
	if (logs_done(r->sink, r->mark))
		step(r);
}
