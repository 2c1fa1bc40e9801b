/* HTTP server: one connection's life, its deadlines, its end. See http_internal.h for the states. */
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "common/host/http_internal.h"

/* --- life ------------------------------------------------------------------------------------ */

static void conn_free(struct http_conn *c)
{
	http_req_over(&c->req);
	free(c->head.p);
	free(c->headers);
	free(c->body.p);
	free(c->pending.p);
	free(c->extra.p);
	free(c->out.p);
	free(c);
}

static void on_handle_closed(uv_handle_t *h)
{
	struct http_conn *c = h->data;
	struct http_server *s = c->server;

	if (--c->handles_open > 0)
		return;
	s->buffered -= c->body_charged;
	http_server_conn_closed(s, c); /* may free s */
	conn_free(c);
}

void http_conn_close(struct http_conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	uv_close(&c->io.handle, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

void http_conn_gone(struct http_conn *c)
{
	if (c->closing)
		return;
	if (c->req_live) {
		c->req_live = false;
		c->resp = RESP_ENDED;
		if (c->server->cb.on_close)
			c->server->cb.on_close(c->server->ctx, &c->req);
	}
	http_conn_close(c);
}

bool http_conn_is_waiting(const struct http_conn *c)
{
	return c->phase == CONN_IDLE || c->phase == CONN_HEAD;
}

int http_conn_new(struct http_server *s, bool is_tcp, bool overflow, struct http_conn **ret_conn)
{
	struct http_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->server = s;
	c->is_tcp = is_tcp;
	c->overflow = overflow;
	/* Neither can fail: no descriptor is made here. */
	if (is_tcp)
		uv_tcp_init(s->loop, &c->io.tcp);
	else
		uv_pipe_init(s->loop, &c->io.pipe, 0);
	uv_timer_init(s->loop, &c->timer);
	c->handles_open = 2;
	c->io.handle.data = c;
	c->timer.data = c;
	stk_list_add_tail(&s->conns, &c->link);
	if (overflow)
		s->overflow_count++;
	else
		s->conn_count++;
	*ret_conn = c;
	return 0;
}

/* --- reading and deadlines, derived from the state ------------------------------------------- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct http_conn *c = h->data;

	/* One buffer for all: what a read brings is consumed or copied before the next. */
	*buf = uv_buf_init(c->server->read_buf, HTTP_READ_CHUNK);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct http_conn *c = stream->data;

	if (nread == 0)
		return;
	if (nread > 0) {
		http_conn_consume(c, buf->base, (size_t)nread);
	} else {
		c->eof = true;
		/* An answer already given still goes out, and what was sent before it counts. */
		if (nread != UV_EOF || c->phase == CONN_LINGER || c->resp != RESP_ENDED || !c->writes)
			http_conn_gone(c);
		else
			c->keep = false;
	}
	http_conn_update(c);
}

static bool wants_input(const struct http_conn *c)
{
	if (c->eof || c->broken)
		return false;
	switch (c->phase) {
	case CONN_IDLE:
	case CONN_HEAD:
		return http_conn_pending(c) == 0;
	case CONN_BODY:
		return !c->req.body_paused || c->resp == RESP_ENDED;
	case CONN_HANDLER:
		/* Read on for the end of file that says the client has gone. */
		return http_conn_pending(c) < HTTP_PENDING_MAX;
	case CONN_LINGER:
		return true;
	}
	return false;
}

/* When the connection times out as things stand; 0 = never. */
static uint64_t deadline(const struct http_conn *c)
{
	const struct http_limits *l = &c->server->limits;

	if (c->phase == CONN_LINGER)
		return c->linger_until;
	if (c->writes)
		return c->write_since + l->write_timeout_ms;
	switch (c->phase) {
	case CONN_IDLE:
		return c->idle_since + l->idle_timeout_ms;
	case CONN_HEAD:
		return c->head_since + l->header_timeout_ms;
	case CONN_BODY:
		return c->req.body_paused && c->resp != RESP_ENDED ? 0
								   : c->body_since + l->body_timeout_ms;
	default:
		return 0;
	}
}

static void on_timer(uv_timer_t *t);

/* The timer may fire too early (then it is set again), never too late: most requests move their
 * deadlines without touching it. */
static void arm(struct http_conn *c)
{
	uint64_t at = c->deferred || c->broken ? uv_now(c->server->loop) : deadline(c);

	if (at && (c->armed_at == 0 || at < c->armed_at)) {
		uint64_t now = uv_now(c->server->loop);

		c->armed_at = at;
		uv_timer_start(&c->timer, on_timer, at > now ? at - now : 0, 0);
	}
}

void http_conn_update(struct http_conn *c)
{
	bool want;

	if (c->closing || c->in_input)
		return;
	want = wants_input(c);
	if (want != c->reading) {
		if (want && uv_read_start(&c->io.stream, on_alloc, on_read) < 0) {
			http_conn_gone(c);
			return;
		}
		if (!want)
			uv_read_stop(&c->io.stream);
		c->reading = want;
	}
	arm(c);
}

void http_conn_start(struct http_conn *c)
{
	c->idle_since = uv_now(c->server->loop);
	if (c->overflow)
		http_resp_error(c, 503, "too many connections");
	http_conn_update(c);
}

size_t http_conn_outstanding(const struct http_conn *c)
{
	uv_os_fd_t fd;
	int unread = 0;

	if (uv_fileno(&c->io.handle, &fd) < 0 || ioctl(fd, SIOCOUTQ, &unread) < 0)
		unread = 0;
	return uv_stream_get_write_queue_size(&c->io.stream) + (size_t)unread;
}

static void expire(struct http_conn *c)
{
	size_t left;

	if (c->phase == CONN_LINGER) {
		http_conn_close(c);
	} else if (c->writes) {
		left = http_conn_outstanding(c);
		if (left >= c->write_seen)
			http_conn_gone(c);
		c->write_seen = left;
		c->write_since = uv_now(c->server->loop);
	} else if (c->phase == CONN_IDLE) {
		http_conn_close(c);
	} else if (c->phase == CONN_HEAD) {
		http_resp_error(c, 408, "the request's headers took too long");
	} else if (c->resp != RESP_NONE) {
		http_conn_gone(c); /* a body that nobody waits for any more */
	} else {
		http_resp_error(c, 408, "the request's body took too long");
	}
}

static void on_timer(uv_timer_t *t)
{
	struct http_conn *c = t->data;
	uint64_t at;

	c->armed_at = 0;
	if (c->broken) {
		http_conn_gone(c);
		return;
	}
	if (c->deferred) {
		c->deferred = false;
		http_conn_consume(c, c->pending.p + c->pending_off, http_conn_pending(c));
	}
	at = c->closing ? 0 : deadline(c);
	if (at && uv_now(c->server->loop) >= at)
		expire(c);
	http_conn_update(c);
}

/* --- after the answer ------------------------------------------------------------------------ */

static void on_shutdown(uv_shutdown_t *req, int status)
{
	free(req);
}

/* Ends our side and swallows some input: a plain close with unread input would reset the connection
 * and could take the answer from the client's hands. */
static void linger(struct http_conn *c)
{
	uv_shutdown_t *req = malloc(sizeof(*req));

	if (!req || c->eof || uv_shutdown(req, &c->io.stream, on_shutdown) < 0) {
		free(req);
		http_conn_close(c);
		return;
	}
	c->phase = CONN_LINGER;
	c->linger_until = uv_now(c->server->loop) + HTTP_LINGER_MS;
	c->pending.len = c->pending_off = 0;
}

static void buf_shrink(struct http_buf *b, size_t keep)
{
	b->len = 0;
	if (b->cap > keep) {
		free(b->p);
		*b = (struct http_buf){0};
	}
}

void http_conn_reset(struct http_conn *c)
{
	http_req_over(&c->req);
	c->phase = CONN_IDLE;
	c->idle_since = uv_now(c->server->loop);
	c->resp = RESP_NONE;
	c->msg_done = false;
	c->on_drain = NULL;
	c->extra_count = 0;
	buf_shrink(&c->head, 8192);
	buf_shrink(&c->body, HTTP_BODY_FREE);
	http_body_charge(c);
	buf_shrink(&c->extra, 8192);
	buf_shrink(&c->out, 8192);
}

void http_conn_settle(struct http_conn *c)
{
	if (c->closing || c->in_input || c->resp != RESP_ENDED || c->writes || c->phase == CONN_LINGER)
		return;
	if (c->broken) {
		http_conn_close(c);
		return;
	}
	if (!c->keep) {
		if (c->msg_done && http_conn_pending(c) == 0)
			http_conn_close(c);
		else
			linger(c);
		return;
	}
	if (!c->msg_done)
		return; /* a small rest of the body is being skipped */
	http_conn_reset(c);
	if (c->server->closing)
		http_conn_close(c);
	else if (http_conn_pending(c) > 0)
		c->deferred = true;
	http_conn_update(c);
}
