/* HTTP server: answers. A small one is one writev(2) of head and body; what the kernel does not take
 * at once is copied (or, for a body given away, kept) and queued. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/base/text.h"
#include "common/host/http_internal.h"

struct write_req {
	uv_write_t w;
	void *owned; /* freed when done */
	char data[];
};

/* --- sending --------------------------------------------------------------------------------- */

static void on_written(uv_write_t *w, int status)
{
	struct http_conn *c = w->data;
	struct write_req *wr = STK_CONTAINER_OF(w, struct write_req, w);

	free(wr->owned);
	free(wr);
	c->writes--;
	if (c->closing)
		return;
	if (status < 0) {
		http_conn_gone(c);
		return;
	}
	c->write_since = uv_now(c->server->loop);
	if (c->writes == 0) {
		if (c->resp == RESP_STREAM && c->on_drain && c->req_live)
			c->on_drain(c->server->ctx, &c->req);
		else
			http_conn_settle(c);
	}
	http_conn_update(c);
}

/* Queues what is left: bufs[0..n) from byte `skip` on. The last one may be `owned` and is then not
 * copied. */
static int queue_rest(struct http_conn *c, const uv_buf_t *bufs, unsigned n, size_t skip, void *owned)
{
	uv_buf_t out[2];
	unsigned out_count = 0;
	struct write_req *wr;
	size_t total = 0, copy = 0, at = 0;
	int r;

	for (unsigned i = 0; i < n; i++)
		total += bufs[i].len;
	copy = total - skip;
	if (owned) {
		size_t first = total - bufs[n - 1].len;

		copy = skip < first ? first - skip : 0;
	}
	wr = malloc(sizeof(*wr) + copy);
	if (!wr)
		return -ENOMEM;
	wr->owned = NULL;
	wr->w.data = c;
	for (unsigned i = 0; i < n; i++) {
		size_t len = bufs[i].len, from = skip < len ? skip : len;

		skip -= from;
		len -= from;
		if (len == 0)
			continue;
		if (owned && i == n - 1) {
			if (at)
				out[out_count++] = uv_buf_init(wr->data, (unsigned)at);
			out[out_count++] = uv_buf_init(bufs[i].base + from, (unsigned)len);
		} else {
			memcpy(wr->data + at, bufs[i].base + from, len);
			at += len;
		}
	}
	if (out_count == 0)
		out[out_count++] = uv_buf_init(wr->data, (unsigned)at);
	r = uv_write(&wr->w, &c->io.stream, out, out_count, on_written);
	if (r < 0) {
		free(wr);
		return r;
	}
	wr->owned = owned;
	if (c->writes++ == 0) {
		c->write_since = uv_now(c->server->loop);
		c->write_seen = http_conn_outstanding(c);
	} else {
		c->write_seen += out[0].len + (out_count > 1 ? out[1].len : 0);
	}
	return 0;
}

/* owned: the last buffer's memory, freed sooner or later in every case. */
static void conn_send(struct http_conn *c, uv_buf_t *bufs, unsigned n, void *owned)
{
	size_t total = 0;
	int r = UV_EAGAIN;

	for (unsigned i = 0; i < n; i++)
		total += bufs[i].len;
	if (c->broken || c->closing || total == 0) {
		free(owned);
		return;
	}
	if (c->writes == 0)
		r = uv_try_write(&c->io.stream, bufs, n);
	if (r == UV_EAGAIN)
		r = 0;
	if (r >= 0 && (size_t)r < total) {
		r = queue_rest(c, bufs, n, (size_t)r, owned);
		if (r == 0)
			owned = NULL;
	}
	free(owned);
	if (r < 0)
		c->broken = true;
}

/* --- head ------------------------------------------------------------------------------------ */

static const char *server_date(struct http_server *s)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != s->date_time) {
		s->date_time = now;
		gmtime_r(&now, &tm);
		strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	return s->date;
}

static bool out_add(struct http_conn *c, const char *text)
{
	return http_buf_add(&c->out, text, strlen(text), SIZE_MAX) == 0;
}

static bool out_header(struct http_conn *c, const char *name, const char *value)
{
	return out_add(c, name) && out_add(c, ": ") && out_add(c, value) && out_add(c, "\r\n");
}

static bool out_status(struct http_conn *c, int status)
{
	char line[96];
	struct stk_text t = stk_text_init(line, sizeof(line));

	stk_text_str(&t, "HTTP/1.1 ");
	stk_text_u64(&t, (uint64_t)status, 3);
	stk_text_str(&t, " ");
	stk_text_str(&t, http_status_text(status));
	stk_text_str(&t, "\r\n");
	return !t.cut && out_add(c, line);
}

static bool out_length(struct http_conn *c, uint64_t length)
{
	char text[24];
	struct stk_text t = stk_text_init(text, sizeof(text));

	stk_text_u64(&t, length, 1);
	return out_header(c, "Content-Length", text);
}

static bool text_safe(const char *s)
{
	for (; *s; s++) {
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
			return false;
	}
	return true;
}

/* How many bytes of body may still come that the connection could skip and live on? */
static bool can_skip_rest(const struct http_conn *c)
{
	return c->msg_done || (c->head_ok && !c->expect_continue && c->has_length &&
			       c->content_length - c->body_got <= HTTP_DISCARD_KEEP - 1024);
}

/* Fills c->out. length: of the body, -1 for a stream. */
static bool build_head(struct http_conn *c, int status, const char *type, int64_t length)
{
	bool bare = status < 200 || status == 204 || status == 304; /* these have no body, ever */
	bool ok;

	c->resp_no_body = c->is_head || bare;
	c->resp_chunked = length < 0 && !bare && !c->http10;
	c->keep = c->want_keep && !c->server->closing && !c->eof && can_skip_rest(c) &&
		  !(length < 0 && c->http10 && !bare);
	c->out.len = 0;
	ok = out_status(c, status);
	if (type && !bare && !c->resp_has_type && text_safe(type))
		ok = ok && out_header(c, "Content-Type", type);
	if (!bare && length >= 0)
		ok = ok && out_length(c, (uint64_t)length);
	else if (c->resp_chunked)
		ok = ok && out_header(c, "Transfer-Encoding", "chunked");
	if (!c->resp_has_date)
		ok = ok && out_header(c, "Date", server_date(c->server));
	ok = ok && out_header(c, "Connection", c->keep ? "keep-alive" : "close");
	ok = ok && http_buf_add(&c->out, c->extra.p, c->extra.len, SIZE_MAX) == 0;
	return ok && http_buf_add(&c->out, "\r\n", 2, SIZE_MAX) == 0;
}

int http_resp_header(struct http_req *req, const char *name, const char *value)
{
	static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Connection",
					      "Keep-Alive", "Upgrade", "Trailer"};
	struct http_conn *c = http_conn_of(req);
	size_t nlen = strlen(name), vlen = strlen(value), before = c->extra.len;
	int r;

	if (!nlen || !text_safe(value) || strpbrk(name, " \t:()<>@,;\\\"/[]?={}") || !text_safe(name))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++) {
		if (strcasecmp(name, framing[i]) == 0)
			return -EINVAL; /* the server's own affair */
	}
	if (c->extra_count >= HTTP_EXTRA_HEADERS)
		return -ENOSPC;
	r = http_buf_add(&c->extra, name, nlen, HTTP_EXTRA_MAX);
	if (r == 0)
		r = http_buf_add(&c->extra, ": ", 2, HTTP_EXTRA_MAX);
	if (r == 0)
		r = http_buf_add(&c->extra, value, vlen, HTTP_EXTRA_MAX);
	if (r == 0)
		r = http_buf_add(&c->extra, "\r\n", 2, HTTP_EXTRA_MAX);
	if (r < 0) {
		c->extra.len = before;
		return r == -EMSGSIZE ? -ENOSPC : r;
	}
	c->extra_count++;
	c->resp_has_date |= strcasecmp(name, "date") == 0;
	c->resp_has_type |= strcasecmp(name, "content-type") == 0;
	return 0;
}

/* --- whole answers --------------------------------------------------------------------------- */

/* The handler is done with req from here on. */
static void resp_ended(struct http_conn *c)
{
	c->resp = RESP_ENDED;
	c->req_live = false;
	c->req.sink = NULL;
	http_conn_settle(c);
	http_conn_update(c);
}

static void respond(struct http_conn *c, int status, const char *type, const void *body, size_t len,
		    void *owned)
{
	uv_buf_t bufs[2];
	unsigned n = 1;

	assert(c->resp == RESP_NONE);
	if (!build_head(c, status, type, (int64_t)len)) {
		c->broken = true; /* out of memory */
	} else {
		bufs[0] = uv_buf_init(c->out.p, (unsigned)c->out.len);
		if (!c->resp_no_body && len > 0) {
			bufs[1] = uv_buf_init((char *)body, (unsigned)len);
			n = 2;
		} else {
			free(owned);
			owned = NULL;
		}
		conn_send(c, bufs, n, owned);
		owned = NULL;
	}
	free(owned);
	resp_ended(c);
}

void http_respond(struct http_req *req, int status, const char *type, const void *body, size_t len)
{
	respond(http_conn_of(req), status, type, body, len, NULL);
}

void http_respond_take(struct http_req *req, int status, const char *type, void *body, size_t len)
{
	respond(http_conn_of(req), status, type, body, len, body);
}

void http_resp_error(struct http_conn *c, int status, const char *text)
{
	struct http_server *s = c->server;
	const char *type = "text/plain";
	struct http_req *req;
	char body[512];
	size_t len = 0;

	if (c->closing)
		return;
	if (c->resp != RESP_NONE) { /* too late to say anything */
		http_conn_gone(c);
		return;
	}
	req = c->req_live ? &c->req : NULL;
	if (c->req_live) {
		c->req_live = false;
		if (s->cb.on_close)
			s->cb.on_close(s->ctx, &c->req);
	}
	c->want_keep = false;
	c->extra.len = 0;
	c->resp_has_date = c->resp_has_type = false;
	if (s->cb.error_body)
		len = s->cb.error_body(s->ctx, req, status, text, body, sizeof(body), &type);
	else
		len = (size_t)snprintf(body, sizeof(body), "%s\n", text);
	respond(c, status, type, body, len < sizeof(body) ? len : sizeof(body), NULL);
}

void http_resp_continue(struct http_conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uv_buf_t buf = uv_buf_init((char *)text, sizeof(text) - 1);

	conn_send(c, &buf, 1, NULL);
}

/* --- streams --------------------------------------------------------------------------------- */

void http_stream_begin(struct http_req *req, int status, const char *type,
		       void (*on_drain)(void *ctx, struct http_req *req))
{
	struct http_conn *c = http_conn_of(req);
	uv_buf_t buf;

	assert(c->resp == RESP_NONE);
	c->resp = RESP_STREAM;
	c->on_drain = on_drain;
	if (!build_head(c, status, type, -1)) {
		c->broken = true;
	} else {
		buf = uv_buf_init(c->out.p, (unsigned)c->out.len);
		conn_send(c, &buf, 1, NULL);
	}
	http_conn_update(c);
}

size_t http_stream_write(struct http_req *req, const void *data, size_t len)
{
	struct http_conn *c = http_conn_of(req);
	char size[24];
	uv_buf_t bufs[3];

	assert(c->resp == RESP_STREAM);
	if (len > 0 && !c->resp_no_body) {
		int n = snprintf(size, sizeof(size), "%zx\r\n", len);

		bufs[0] = uv_buf_init(size, (unsigned)n);
		bufs[1] = uv_buf_init((char *)data, (unsigned)len);
		bufs[2] = uv_buf_init((char *)"\r\n", 2);
		if (c->resp_chunked)
			conn_send(c, bufs, 3, NULL);
		else
			conn_send(c, bufs + 1, 1, NULL);
		http_conn_update(c);
	}
	if (c->broken)
		return len + 1; /* wait: on_close is on its way */
	return c->writes ? uv_stream_get_write_queue_size(&c->io.stream) : 0;
}

void http_stream_end(struct http_req *req)
{
	struct http_conn *c = http_conn_of(req);
	uv_buf_t buf = uv_buf_init((char *)"0\r\n\r\n", 5);

	assert(c->resp == RESP_STREAM);
	if (c->resp_chunked && !c->resp_no_body)
		conn_send(c, &buf, 1, NULL);
	resp_ended(c);
}

void http_stream_abort(struct http_req *req)
{
	struct http_conn *c = http_conn_of(req);

	assert(c->resp == RESP_STREAM);
	c->keep = false;
	resp_ended(c);
}
