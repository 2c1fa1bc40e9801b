/* Events and HTTP messages: see webmsg.h. */
#include "guest-init/webmsg.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "guest-init/base64.h"
#include "guest-init/jsonin.h"

struct out {
	char *p;
	size_t len, cap;
	bool full;
};

static void put(struct out *o, const char *text, size_t len)
{
	if (len > o->cap - o->len) {
		o->full = true;
		return;
	}
	memcpy(o->p + o->len, text, len);
	o->len += len;
}

static void puts_(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

static void putf(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void putf(struct out *o, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(o, text, n > 0 && n < (int)sizeof(text) ? (size_t)n : 0);
}

static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
			return false;
	}
	return len > 0;
}

/* Names that belong to one hop. */
static bool is_hop(const char *name, size_t len)
{
	static const char *const names[] = {"connection", "content-length", "transfer-encoding", "keep-alive", "te",
					    "upgrade", "trailer", "expect", "proxy-connection"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
			return true;
	}
	return false;
}

/* --- request ---------------------------------------------------------------------------------- */

/* What is used of an event. */
struct event {
	struct jsonin_str method, path, query, headers, cookies, body;
	bool base64;
};

/* A value that is a string is remembered, any other skipped. */
static bool take_text(struct jsonin *in, struct jsonin_str *ret)
{
	return jsonin_peek(in) == '"' ? jsonin_string(in, ret) : jsonin_skip(in);
}

/* The value's whole text, to be walked through later. */
static bool take_span(struct jsonin *in, struct jsonin_str *ret)
{
	jsonin_peek(in);
	ret->p = in->p;
	if (!jsonin_skip(in))
		return false;
	ret->len = (size_t)(in->p - ret->p);
	return true;
}

/* requestContext.http.method */
static bool take_context(struct jsonin *in, struct event *e)
{
	struct jsonin_str key;
	bool begun = false;

	if (jsonin_peek(in) != '{')
		return jsonin_skip(in);
	while (jsonin_next(in, &begun, true, &key)) {
		bool inner = false;

		if (!jsonin_is(key, "http") || jsonin_peek(in) != '{') {
			if (!jsonin_skip(in))
				return false;
			continue;
		}
		while (jsonin_next(in, &inner, true, &key)) {
			if (!(jsonin_is(key, "method") ? take_text(in, &e->method) : jsonin_skip(in)))
				return false;
		}
	}
	return in->p;
}

static int read_event(const char *text, size_t len, struct event *e)
{
	struct jsonin in = {text, text + len};
	struct jsonin_str key;
	bool begun = false, ok = true;

	*e = (struct event){{"", 0}, {"", 0}, {"", 0}, {"", 0}, {"", 0}, {"", 0}, false};
	if (jsonin_peek(&in) != '{')
		return jsonin_skip(&in) && jsonin_at_end(&in) ? 0 : -EPROTO;
	while (ok && jsonin_next(&in, &begun, true, &key)) {
		if (jsonin_is(key, "requestContext"))
			ok = take_context(&in, e);
		else if (jsonin_is(key, "rawPath"))
			ok = take_text(&in, &e->path);
		else if (jsonin_is(key, "rawQueryString"))
			ok = take_text(&in, &e->query);
		else if (jsonin_is(key, "headers"))
			ok = take_span(&in, &e->headers);
		else if (jsonin_is(key, "cookies"))
			ok = take_span(&in, &e->cookies);
		else if (jsonin_is(key, "body"))
			ok = take_text(&in, &e->body);
		else if (jsonin_is(key, "isBase64Encoded"))
			ok = (e->base64 = jsonin_word(&in, "true")) || jsonin_skip(&in);
		else
			ok = jsonin_skip(&in);
	}
	return ok && jsonin_at_end(&in) ? 0 : -EPROTO;
}

/* A part of the request line: what cannot stand there is percent-encoded. */
static void put_target(struct out *o, struct jsonin_str s)
{
	size_t at = o->len;
	long n;
	char tmp[4];

	if (s.len > (o->cap - o->len) / 4) { /* decoded at the end of the room, then moved to its place */
		o->full = true;
		return;
	}
	n = jsonin_text(s, o->p + o->cap - s.len);
	if (n < 0) {
		o->full = true;
		return;
	}
	for (const char *p = o->p + o->cap - s.len, *end = p + n; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= ' ' || c >= 0x7f || c == '#') {
			snprintf(tmp, sizeof(tmp), "%%%02X", c);
			memcpy(o->p + at, tmp, 3);
			at += 3;
		} else {
			o->p[at++] = (char)c;
		}
	}
	o->len = at;
}

/* A decoded string as part of a header line; control characters end the line's right to exist: false. */
static bool put_value(struct out *o, struct jsonin_str s)
{
	size_t at = o->len;
	long n;

	if (s.len > o->cap - o->len) {
		o->full = true;
		return false;
	}
	n = jsonin_text(s, o->p + at);
	if (n < 0)
		return false;
	for (long i = 0; i < n; i++) {
		unsigned char c = (unsigned char)o->p[at + (size_t)i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	o->len += (size_t)n;
	return true;
}

static void put_headers(struct out *o, struct jsonin_str span, bool *ret_host)
{
	struct jsonin in = {span.p, span.p + span.len};
	struct jsonin_str key, value;
	bool begun = false;

	if (jsonin_peek(&in) != '{')
		return;
	while (!o->full && jsonin_next(&in, &begun, true, &key)) {
		size_t before = o->len;

		if (jsonin_peek(&in) != '"') {
			if (!jsonin_skip(&in))
				return;
			continue;
		}
		if (!jsonin_string(&in, &value))
			return;
		if (!is_token(key.p, key.len) || is_hop(key.p, key.len))
			continue;
		put(o, key.p, key.len);
		puts_(o, ": ");
		if (!put_value(o, value)) {
			o->len = before; /* one that cannot be sent is left out */
			continue;
		}
		puts_(o, "\r\n");
		*ret_host |= key.len == 4 && strncasecmp(key.p, "host", 4) == 0;
	}
}

static void put_cookies(struct out *o, struct jsonin_str span)
{
	struct jsonin in = {span.p, span.p + span.len};
	struct jsonin_str value;
	bool begun = false, any = false;
	size_t before = o->len;

	if (jsonin_peek(&in) != '[')
		return;
	while (!o->full && jsonin_next(&in, &begun, false, NULL)) {
		size_t at = o->len;

		if (!jsonin_string(&in, &value))
			break;
		puts_(o, any ? "; " : "Cookie: ");
		if (put_value(o, value))
			any = true;
		else
			o->len = at;
	}
	if (any)
		puts_(o, "\r\n");
	else
		o->len = before;
}

/* In place: decoding makes nothing longer. */
static int decode_body(struct event *e, struct webmsg_request *ret)
{
	char *p = (char *)(uintptr_t)e->body.p;
	long n = jsonin_text(e->body, p);

	if (n > 0 && e->base64) {
		p[n] = '\0'; /* the closing quote at the latest */
		n = base64_decode(p);
	}
	if (n < 0)
		return -EPROTO;
	ret->body = (const uint8_t *)p;
	ret->body_len = (size_t)n;
	return 0;
}

int webmsg_request(uint8_t *event, size_t len, const char *request_id, unsigned port, char *buf, size_t cap,
		   struct webmsg_request *ret)
{
	struct out o = {.p = buf, .cap = cap};
	struct event e;
	bool host = false;
	int rc = read_event((const char *)event, len, &e);

	if (rc)
		return rc;
	memset(ret, 0, sizeof(*ret));
	ret->http = is_token(e.method.p, e.method.len);
	if (ret->http) {
		put(&o, e.method.p, e.method.len);
		ret->is_head = jsonin_is(e.method, "HEAD");
		puts_(&o, e.path.len && e.path.p[0] == '/' ? " " : " /");
		put_target(&o, e.path);
		if (e.query.len)
			puts_(&o, "?");
		put_target(&o, e.query);
		puts_(&o, " HTTP/1.1\r\n");
		put_headers(&o, e.headers, &host);
		put_cookies(&o, e.cookies);
		rc = decode_body(&e, ret);
		if (rc)
			return rc;
	} else {
		puts_(&o, "POST /events HTTP/1.1\r\nContent-Type: application/json\r\n");
		ret->body = event;
		ret->body_len = len;
	}
	if (!host)
		putf(&o, "Host: 127.0.0.1:%u\r\n", port);
	putf(&o, "X-Amzn-RequestId: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", request_id, ret->body_len);
	ret->head_len = o.len;
	return o.full ? -EMSGSIZE : 0;
}

/* --- response --------------------------------------------------------------------------------- */

size_t webmsg_head_len(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n')
			continue;
		if (i + 1 < len && text[i + 1] == '\n')
			return i + 2;
		if (i + 2 < len && text[i + 1] == '\r' && text[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

static void put_json(struct out *o, const char *text, size_t len)
{
	puts_(o, "\"");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			putf(o, "\\%c", c);
		else if (c < ' ' || c >= 0x7f) /* header bytes beyond ASCII are ISO 8859-1 */
			putf(o, "\\u%04x", c);
		else
			put(o, text + i, 1);
	}
	puts_(o, "\"");
}

struct line {
	const char *name, *value;
	size_t name_len, value_len;
};

/* The next header line. 1, 0 at the empty one, -EPROTO. */
static int next_line(const char **at, const char *end, struct line *ret)
{
	const char *nl = memchr(*at, '\n', (size_t)(end - *at)), *stop, *colon;

	if (!nl)
		return -EPROTO;
	stop = nl > *at && nl[-1] == '\r' ? nl - 1 : nl;
	if (stop == *at) {
		*at = nl + 1;
		return 0;
	}
	colon = memchr(*at, ':', (size_t)(stop - *at));
	if (!colon || !is_token(*at, (size_t)(colon - *at)))
		return -EPROTO;
	ret->name = *at;
	ret->name_len = (size_t)(colon - *at);
	for (colon++; colon < stop && (*colon == ' ' || *colon == '\t'); colon++)
		;
	while (stop > colon && (stop[-1] == ' ' || stop[-1] == '\t'))
		stop--;
	ret->value = colon;
	ret->value_len = (size_t)(stop - colon);
	*at = nl + 1;
	return 1;
}

static bool named(const struct line *l, const char *name)
{
	return strlen(name) == l->name_len && strncasecmp(name, l->name, l->name_len) == 0;
}

static int take_framing(const struct line *l, struct webmsg_response *r)
{
	if (named(l, "transfer-encoding")) {
		if (l->value_len != 7 || strncasecmp(l->value, "chunked", 7) != 0)
			return -EPROTO;
		r->chunked = true;
	} else if (named(l, "content-length")) {
		r->has_length = true;
		r->length = 0;
		for (size_t i = 0; i < l->value_len; i++) {
			if (l->value[i] < '0' || l->value[i] > '9' || r->length > UINT64_MAX / 16)
				return -EPROTO;
			r->length = r->length * 10 + (uint64_t)(l->value[i] - '0');
		}
	}
	return 0;
}

static int status_line(const char *text, size_t len, const char **ret_at)
{
	const char *nl = memchr(text, '\n', len);
	int status = 0;

	if (!nl || nl - text < 12 || memcmp(text, "HTTP/1.", 7) != 0 || text[8] != ' ')
		return -EPROTO;
	for (int i = 9; i < 12; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EPROTO;
		status = status * 10 + text[i] - '0';
	}
	*ret_at = nl + 1;
	return status >= 100 && status <= 599 ? status : -EPROTO;
}

long webmsg_response(const char *text, size_t len, char *buf, size_t cap, struct webmsg_response *ret)
{
	struct out o = {.p = buf, .cap = cap};
	const char *at, *headers, *end = text + len;
	bool any = false;
	struct line l;
	int rc;

	memset(ret, 0, sizeof(*ret));
	ret->status = status_line(text, len, &headers);
	if (ret->status < 0)
		return ret->status;
	putf(&o, "{\"statusCode\":%d,\"headers\":{", ret->status);
	for (at = headers; (rc = next_line(&at, end, &l)) > 0;) {
		if (take_framing(&l, ret))
			return -EPROTO;
		if (is_hop(l.name, l.name_len) || named(&l, "set-cookie"))
			continue;
		puts_(&o, any ? "," : "");
		put_json(&o, l.name, l.name_len);
		puts_(&o, ":");
		put_json(&o, l.value, l.value_len);
		any = true;
	}
	if (rc < 0 || (ret->chunked && ret->has_length))
		return -EPROTO;
	puts_(&o, "},\"cookies\":[");
	any = false;
	for (at = headers; next_line(&at, end, &l) > 0;) {
		if (!named(&l, "set-cookie"))
			continue;
		puts_(&o, any ? "," : "");
		put_json(&o, l.value, l.value_len);
		any = true;
	}
	puts_(&o, "]}");
	put(&o, "\0\0\0\0\0\0\0\0", 8);
	return o.full ? -EMSGSIZE : (long)o.len;
}

/* --- chunks ----------------------------------------------------------------------------------- */

static int chunk_byte(struct webmsg_chunks *c, uint8_t b)
{
	int digit = b >= '0' && b <= '9' ? b - '0' : (b | 0x20) >= 'a' && (b | 0x20) <= 'f' ? (b | 0x20) - 'a' + 10 : -1;

	switch (c->state) {
	case WEBMSG_SIZE:
		if (digit >= 0 && c->digits < 15) {
			c->left = c->left * 16 + (uint64_t)digit;
			c->digits++;
			return 0;
		}
		if (!c->digits || digit >= 0)
			return -EPROTO;
		c->state = WEBMSG_LINE;
		/* fall through */
	case WEBMSG_LINE: /* extensions, and the line's end */
		if (b == '\n') {
			c->state = c->left ? WEBMSG_DATA : WEBMSG_TRAILER;
			c->digits = c->line = 0;
		}
		return 0;
	case WEBMSG_DATA_END:
		if (b == '\n')
			c->state = WEBMSG_SIZE;
		return b == '\r' || b == '\n' ? 0 : -EPROTO;
	default: /* WEBMSG_TRAILER: lines up to an empty one */
		if (b == '\n' && !c->line)
			c->state = WEBMSG_END;
		else if (b == '\n')
			c->line = 0;
		else if (b != '\r')
			c->line = 1;
		return 0;
	}
}

long webmsg_chunk(struct webmsg_chunks *c, const uint8_t *data, size_t len, const uint8_t **ret_piece, size_t *ret_len)
{
	size_t n = 0;

	*ret_len = 0;
	while (n < len && c->state != WEBMSG_END && c->state != WEBMSG_DATA) {
		if (chunk_byte(c, data[n++]))
			return -EPROTO;
	}
	if (c->state == WEBMSG_DATA && n < len) {
		size_t part = len - n < c->left ? len - n : (size_t)c->left;

		*ret_piece = data + n;
		*ret_len = part;
		c->left -= part;
		n += part;
		if (!c->left)
			c->state = WEBMSG_DATA_END;
	}
	return (long)n;
}
