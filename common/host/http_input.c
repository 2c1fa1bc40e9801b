/* HTTP server: a connection's input.
 *
 * The header block is collected whole and judged by a strict scanner (CRLF only, no folding, no
 * control characters) before llhttp sees it; both must agree where it ends. That closes the gaps
 * between parsers that request smuggling lives on. Bodies go through llhttp as they arrive. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/host/http_internal.h"

/* --- headers --------------------------------------------------------------------------------- */

static int on_url(llhttp_t *p, const char *at, size_t len)
{
	struct http_conn *c = p->data;

	if (c->req.path)
		return -1;
	c->req.path = at;
	c->req.query = at + len; /* the end, for now */
	return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t len)
{
	struct http_conn *c = p->data;

	if (c->head_ok)
		return 0; /* trailers are dropped */
	c->last_field = at;
	c->last_field_len = len;
	return 0;
}

/* Called once per header, also for an empty value; the strings are terminated later, when llhttp has
 * read past them. */
static int on_value_complete(llhttp_t *p)
{
	struct http_conn *c = p->data;
	struct http_header *h;

	if (c->head_ok)
		return 0;
	/* Nothing may stand between a name and its colon (RFC 9112 5.1). */
	if (c->last_field && c->last_field[c->last_field_len] != ':')
		return -1;
	if (!c->last_field || c->req.header_count >= c->server->limits.max_headers) {
		c->body_status = c->last_field ? 431 : 400;
		return -1;
	}
	h = &c->headers[c->req.header_count++];
	h->name = c->last_field;
	h->value = c->last_field + c->last_field_len;
	c->last_field = NULL;
	return 0;
}

static int on_headers_done(llhttp_t *p)
{
	struct http_conn *c = p->data;

	c->head_ok = true;
	c->want_keep = llhttp_should_keep_alive(p) != 0;
	c->chunked = (p->flags & F_CHUNKED) != 0;
	c->has_length = (p->flags & F_CONTENT_LENGTH) != 0;
	c->content_length = c->has_length ? p->content_length : 0;
	c->http10 = p->http_minor == 0;
	if (p->method != HTTP_CONNECT)
		p->upgrade = 0; /* an offer to upgrade is declined by ignoring it */
	return 0;
}

/* The largest buffer this connection may have for its body (with a NUL behind it): what the others leave. */
static size_t body_room(const struct http_conn *c)
{
	const struct http_server *s = c->server;
	size_t others = s->buffered - c->body_charged, most = s->limits.max_buffered_bytes;
	size_t room = most > others && most - others > HTTP_BODY_FREE ? most - others : HTTP_BODY_FREE;

	return c->req.max_body < room ? c->req.max_body + 1 : room;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
	struct http_conn *c = p->data;
	int r;

	c->body_got += len;
	if (c->resp == RESP_ENDED)
		return 0;
	if (c->body_got > c->req.max_body) {
		c->body_status = 413;
		return -1;
	}
	if (c->req.tap)
		c->req.tap(c->req.tap_ctx, (const uint8_t *)at, len);
	if (c->req.sink) {
		r = c->req.sink(c->req.ptr, (const uint8_t *)at, len);
		if (r < 0)
			c->body_status = r == -ENOSPC || r == -EDQUOT ? 507 : 500;
		return r < 0 || c->closing ? -1 : 0;
	}
	/* One byte more, so that the body can be handed on with a NUL behind it. */
	r = http_buf_reserve(&c->body, c->body.len + len + 1, body_room(c));
	http_body_charge(c);
	if (r < 0) {
		c->body_status = 503;
		return -1;
	}
	memcpy(c->body.p + c->body.len, at, len);
	c->body.len += len;
	c->body.p[c->body.len] = '\0';
	return 0;
}

static int on_message_done(llhttp_t *p)
{
	struct http_conn *c = p->data;

	c->msg_done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value_complete = on_value_complete,
	.on_headers_complete = on_headers_done,
	.on_body = on_body,
	.on_message_complete = on_message_done,
};

/* Takes bytes up to and including the blank line. Returns their number; *ret_status is the refusal. */
static size_t scan_head(struct http_conn *c, const char *data, size_t n, bool *ret_done, int *ret_status)
{
	size_t i = 0, start = 0, max = c->server->limits.max_header_bytes;

	*ret_done = false;
	*ret_status = 0;
	while (i < n && !*ret_done && !*ret_status) {
		unsigned char ch = (unsigned char)data[i++];

		switch (c->scan) {
		case SCAN_BLANK: /* empty lines before a request are ignored (RFC 9112 2.2) */
			if (ch == '\r') {
				c->scan = SCAN_BLANK_LF;
				break;
			}
			start = i - 1;
			c->scan = SCAN_LINE;
			if (ch <= ' ' || ch == 0x7f)
				*ret_status = 400;
			break;
		case SCAN_BLANK_LF:
			c->scan = SCAN_BLANK;
			start = i;
			if (ch != '\n')
				*ret_status = 400;
			break;
		case SCAN_BOL:
			if (ch == '\r') {
				c->scan = SCAN_END_LF;
				break;
			}
			c->scan = SCAN_LINE;
			if (ch <= ' ' || ch == 0x7f) /* also the folding of old */
				*ret_status = 400;
			break;
		case SCAN_LINE:
			if (ch == '\r')
				c->scan = SCAN_LF;
			else if ((ch < ' ' && ch != '\t') || ch == 0x7f)
				*ret_status = 400;
			break;
		case SCAN_LF:
		case SCAN_END_LF:
			if (ch != '\n')
				*ret_status = 400;
			*ret_done = c->scan == SCAN_END_LF;
			if (c->line_len == 0)
				c->line_len = c->head.len + i - start;
			c->scan = SCAN_BOL;
			break;
		}
	}
	if (*ret_status)
		return i;
	if (c->scan != SCAN_BLANK && c->scan != SCAN_BLANK_LF &&
	    http_buf_add(&c->head, data + start, i - start, max) < 0)
		*ret_status = c->line_len > 0 && c->line_len <= max ? 431 : 414;
	return i;
}

static bool is_token(const char *s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	if (!*s)
		return false;
	for (; *s; s++) {
		if (!((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') ||
		      strchr(others, *s)))
			return false;
	}
	return true;
}

/* Cuts the block into strings in place: every piece is followed by a byte that may be overwritten
 * (' ' behind the target, ':' behind a name, '\r' behind a value). */
static void cut_strings(struct http_conn *c)
{
	char *target = (char *)c->req.path, *end = (char *)c->req.query, *q;

	*end = '\0';
	q = memchr(target, '?', (size_t)(end - target));
	if (q)
		*q++ = '\0';
	c->req.query = q ? q : end;
	for (unsigned i = 0; i < c->req.header_count; i++) {
		struct http_header *h = &c->headers[i];
		char *v = (char *)h->value, *stop;

		*v++ = '\0'; /* the colon */
		while (*v == ' ' || *v == '\t')
			v++;
		stop = strchr(v, '\r'); /* the scanner left none but the line's own */
		while (stop > v && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		*stop = '\0';
		h->value = v;
	}
}

/* What llhttp leaves open. Returns 0 or the status to refuse with. */
static int check_head(struct http_conn *c, const char **ret_text)
{
	unsigned hosts = 0;

	*ret_text = "malformed request";
	/* llhttp also knows RTSP and ICE. Behind the target there is a blank and the version. */
	if (c->parser.http_major != 1 || memcmp(c->version, "HTTP/1.", 7) != 0) {
		*ret_text = "only HTTP/1.0 and HTTP/1.1 are spoken here";
		return 505;
	}
	if (c->parser.method == HTTP_CONNECT) {
		*ret_text = "CONNECT is not supported";
		return 501;
	}
	if (c->req.path[0] != '/' &&
	    !(c->parser.method == HTTP_OPTIONS && strcmp(c->req.path, "*") == 0)) {
		*ret_text = "the request target must be a path";
		return 400;
	}
	if (strchr(c->req.path, '#') || strchr(c->req.query, '#')) {
		*ret_text = "a request target has no fragment";
		return 400;
	}
	for (unsigned i = 0; i < c->req.header_count; i++) {
		const struct http_header *h = &c->headers[i];

		if (!is_token(h->name)) {
			*ret_text = "malformed header name";
			return 400;
		}
		if (strcasecmp(h->name, "host") == 0) {
			hosts++;
		} else if (strcasecmp(h->name, "transfer-encoding") == 0) {
			if (c->http10) {
				*ret_text = "Transfer-Encoding needs HTTP/1.1";
				return 400;
			}
			if (strcasecmp(h->value, "chunked") != 0) {
				*ret_text = "only the transfer coding chunked is supported";
				return 501;
			}
		} else if (strcasecmp(h->name, "expect") == 0) {
			if (strcasecmp(h->value, "100-continue") != 0) {
				*ret_text = "unknown expectation";
				return 417;
			}
			c->expect_continue = !c->http10;
		}
	}
	if (hosts > 1 || (hosts == 0 && c->is_tcp && !c->http10)) {
		*ret_text = "a request needs exactly one Host header";
		return 400;
	}
	return 0;
}

static int parse_error_status(const struct http_conn *c, enum llhttp_errno e, const char **ret_text)
{
	const char *p = c->head.p, *end = p + c->head.len;

	*ret_text = "malformed request";
	if (c->body_status == 431) {
		*ret_text = "too many headers";
		return 431;
	}
	if (e == HPE_INVALID_VERSION || e == HPE_PAUSED_H2_UPGRADE) {
		*ret_text = "only HTTP/1.0 and HTTP/1.1 are spoken here";
		return 505;
	}
	if (e == HPE_INVALID_METHOD) { /* a well-formed but unknown one, or rubbish? */
		while (p < end && *p >= 'A' && *p <= 'Z')
			p++;
		if (p > c->head.p && p < end && *p == ' ') {
			*ret_text = "unknown method";
			return 501;
		}
	}
	return 400;
}

/* The block is complete: parse, check, tell the handler, decide about the body. */
static void head_done(struct http_conn *c)
{
	struct http_server *s = c->server;
	enum llhttp_errno e;
	const char *text;
	int status;

	if (!c->headers) {
		c->headers = calloc(s->limits.max_headers, sizeof(*c->headers));
		if (!c->headers) {
			http_resp_error(c, 503, "out of memory");
			return;
		}
	}
	llhttp_init(&c->parser, HTTP_REQUEST, &parser_settings);
	c->parser.data = c;
	e = llhttp_execute(&c->parser, c->head.p, c->head.len);
	c->is_head = c->parser.method == HTTP_HEAD;
	/* CONNECT ends in an upgrade; it is refused below. */
	if (e == HPE_PAUSED_UPGRADE && c->head_ok)
		e = HPE_OK;
	if ((e != HPE_OK && e != HPE_PAUSED) || !c->head_ok || !c->req.path ||
	    (e == HPE_PAUSED && llhttp_get_error_pos(&c->parser) != c->head.p + c->head.len)) {
		status = parse_error_status(c, e, &text);
		http_resp_error(c, status, text);
		return;
	}
	c->version = c->req.query + 1; /* the scanner and llhttp saw " HTTP/x.y\r\n" there, or HTTP/0.9 */
	cut_strings(c);
	c->req.method = llhttp_method_name((llhttp_method_t)c->parser.method);
	status = check_head(c, &text);
	if (status) {
		http_resp_error(c, status, text);
		return;
	}
	c->phase = CONN_BODY;
	c->body_since = uv_now(s->loop);
	if (c->msg_done)
		c->req.parsed_ns = stk_now_ns();
	if (s->cb.on_headers) {
		c->req_live = true;
		s->cb.on_headers(s->ctx, &c->req);
		if (c->closing)
			return;
	}
	if (c->resp != RESP_ENDED && c->content_length > c->req.max_body) {
		c->body_status = 413;
		http_resp_error(c, 413, "the request's body is too large");
	} else if (c->resp == RESP_NONE && !c->req.sink && c->has_length && c->content_length >= body_room(c)) {
		http_resp_error(c, 503, "other requests' bodies use the memory there is");
	} else if (c->expect_continue && !c->msg_done && c->resp == RESP_NONE) {
		http_resp_continue(c);
		c->expect_continue = false;
	}
}

static void request_begin(struct http_conn *c)
{
	c->phase = CONN_HEAD;
	c->scan = SCAN_BLANK;
	c->line_len = 0;
	c->head_since = uv_now(c->server->loop);
	c->req = (struct http_req){.start_ns = stk_now_ns(), .max_body = c->server->limits.max_body_bytes};
	c->head_ok = c->msg_done = c->is_head = c->http10 = c->want_keep = false;
	c->expect_continue = c->chunked = c->has_length = false;
	c->content_length = c->body_got = c->body_raw = 0;
	c->body_status = 0;
	c->last_field = NULL;
	c->head.len = c->body.len = c->extra.len = 0;
	c->extra_count = 0;
	c->resp_has_date = c->resp_has_type = false;
}

static size_t head_feed(struct http_conn *c, const char *data, size_t n)
{
	bool done;
	int status;
	size_t used = scan_head(c, data, n, &done, &status);

	if (status == 400)
		http_resp_error(c, 400, "malformed request");
	else if (status == 414)
		http_resp_error(c, 414, "the request's target is too long");
	else if (status)
		http_resp_error(c, 431, "the request's headers are too large");
	else if (done)
		head_done(c);
	return used;
}

/* --- body ------------------------------------------------------------------------------------ */

static size_t body_feed(struct http_conn *c, const char *data, size_t n)
{
	enum llhttp_errno e;
	size_t used = n;

	c->body_since = uv_now(c->server->loop);
	c->expect_continue = false;
	e = llhttp_execute(&c->parser, data, n);
	if (c->closing)
		return n;
	if (e == HPE_PAUSED)
		used = (size_t)(llhttp_get_error_pos(&c->parser) - data);
	c->body_raw += used;
	if (e == HPE_OK || e == HPE_PAUSED) {
		/* Chunk sizes, extensions and trailers are bounded by what they carry. */
		if (c->body_raw - c->body_got <= 65536 + 8 * c->body_got) {
			if (c->resp == RESP_ENDED && c->keep && c->body_raw > HTTP_DISCARD_KEEP)
				c->keep = false; /* more than it said */
			if (c->msg_done)
				c->req.parsed_ns = stk_now_ns();
			return used;
		}
		http_resp_error(c, 400, "too much chunk framing");
	} else if (c->body_status == 413) {
		http_resp_error(c, 413, "the request's body is too large");
	} else if (c->body_status) {
		http_resp_error(c, c->body_status,
				c->body_status == 507   ? "no space left for the body"
				: c->body_status == 503 ? "other requests' bodies use the memory there is"
							: "the body could not be taken");
	} else {
		http_resp_error(c, 400, "malformed body");
	}
	return n;
}

static void message_done(struct http_conn *c)
{
	c->phase = CONN_HANDLER;
	if (c->resp != RESP_ENDED) {
		c->req_live = true;
		c->server->cb.on_request(c->server->ctx, &c->req);
	}
}

/* Keeps input for later. data may lie inside the pending buffer itself. */
static void save_pending(struct http_conn *c, const char *data, size_t n)
{
	if (c->pending.p && data >= c->pending.p && data <= c->pending.p + c->pending.len) {
		c->pending_off = c->pending.len - n;
	} else {
		if (c->pending_off == c->pending.len) {
			c->pending.len = c->pending_off = 0;
		} else if (c->pending_off) {
			memmove(c->pending.p, c->pending.p + c->pending_off, http_conn_pending(c));
			c->pending.len -= c->pending_off;
			c->pending_off = 0;
		}
		if (http_buf_add(&c->pending, data, n, HTTP_PENDING_MAX + HTTP_READ_CHUNK) < 0)
			http_conn_gone(c);
	}
	if (http_conn_pending(c) == 0 && c->pending.p) {
		free(c->pending.p);
		c->pending = (struct http_buf){0};
		c->pending_off = 0;
	}
}

void http_conn_consume(struct http_conn *c, const char *data, size_t n)
{
	bool from_pending = c->pending.p && data == c->pending.p + c->pending_off;

	assert(!c->in_input);
	if (http_conn_pending(c) > 0 && !from_pending) { /* behind what waits already */
		save_pending(c, data, n);
		return;
	}
	c->in_input = true;
	while (n > 0 && !c->closing) {
		size_t used = n;

		if (c->phase == CONN_LINGER) {
			c->linger_bytes += n;
			if (c->linger_bytes > HTTP_LINGER_BYTES)
				http_conn_close(c);
			break;
		}
		if (c->phase == CONN_HANDLER || (c->resp == RESP_ENDED && !c->keep))
			break;
		if (c->phase == CONN_IDLE)
			request_begin(c);
		used = c->phase == CONN_HEAD ? head_feed(c, data, n) : body_feed(c, data, n);
		data += used;
		n -= used;
		if (c->closing)
			break;
		if (c->msg_done && c->phase == CONN_BODY)
			message_done(c);
		if (c->closing)
			break;
		if (c->phase == CONN_HANDLER && c->resp == RESP_ENDED && c->keep && !c->writes &&
		    !c->broken) {
			/* Answered on the spot: the next one right here, without another turn of the loop. */
			http_conn_reset(c);
			if (c->server->closing)
				http_conn_close(c);
		}
	}
	c->in_input = false;
	if (c->closing)
		return;
	if (c->phase != CONN_LINGER && (n > 0 || from_pending))
		save_pending(c, data, n);
	http_conn_settle(c);
}
