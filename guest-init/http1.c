/* HTTP/1.1 request parser: see http1.h. One state per syntactic element, fed byte by byte except
 * for bodies, which are handed through in pieces.
 *
 *   METHOD -> TARGET -> VERSION -> LINE -+-> (empty line) -> body? -> DONE
 *                                  ^     |
 *                                  +- NAME -> VALUE
 *   chunked body: SIZE -> (EXT) -> CHUNK -> CHUNK_END -> SIZE ... 0 -> LINE (trailers) -> DONE
 */
#include "guest-init/http1.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum state { METHOD, TARGET, VERSION, LINE, NAME, VALUE, BODY, SIZE, EXT, CHUNK, CHUNK_END, DONE };

enum kept {
	CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, EXPECT, CONTENT_TYPE, RESPONSE_MODE, ERROR_BODY, ERROR_TYPE,
	EXTENSION_NAME, EXTENSION_ID, EXTENSION_ERROR, EXTENSION_FEATURE
};

#define KEPT(text) {text, sizeof(text) - 1}
static const struct {
	const char *name;
	size_t len; /* compared first: most names differ in it */
} kept_names[] = {
	[CONTENT_LENGTH] = KEPT("content-length"),
	[TRANSFER_ENCODING] = KEPT("transfer-encoding"),
	[CONNECTION] = KEPT("connection"),
	[EXPECT] = KEPT("expect"),
	[CONTENT_TYPE] = KEPT("content-type"),
	[RESPONSE_MODE] = KEPT("lambda-runtime-function-response-mode"),
	[ERROR_BODY] = KEPT("lambda-runtime-function-error-body"),
	[ERROR_TYPE] = KEPT("lambda-runtime-function-error-type"),
	[EXTENSION_NAME] = KEPT("lambda-extension-name"),
	[EXTENSION_ID] = KEPT("lambda-extension-identifier"),
	[EXTENSION_ERROR] = KEPT("lambda-extension-function-error-type"),
	[EXTENSION_FEATURE] = KEPT("lambda-extension-accept-feature"),
};

void http1_reset(struct http1 *p)
{
	/* The large buffers are left as they are: they are valid only with their flags. */
	p->method[0] = p->target[0] = p->name[0] = p->value[0] = p->content_type[0] = p->error_type[0] = '\0';
	p->extension_name[0] = p->extension_id[0] = '\0';
	p->keep_alive = true;
	p->expect_continue = p->chunked = p->has_length = p->extension_account = p->failed = false;
	p->report_len = 0;
	p->length = p->body_left = 0;
	p->mode = HTTP1_MODE_BUFFERED;
	p->error_status = 0;
	p->state = METHOD;
	p->header = -1;
	p->trailer = p->cr = false;
	p->used = 0;
	p->head_bytes = 0;
	p->size_digits = 0;
}

static int fail(struct http1 *p, int status)
{
	p->error_status = status;
	return -EPROTO;
}

/* RFC 9110 section 5.6.2 */
static bool is_token(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Whether the comma-separated list has the element, any case. */
static bool list_has(const char *list, const char *element)
{
	size_t n = strlen(element);

	while (*list) {
		size_t len = strcspn(list, ",");
		const char *s = list;

		list += len + (list[len] == ',');
		while (len && (*s == ' ' || *s == '\t'))
			s++, len--;
		while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
			len--;
		if (len == n && strncasecmp(s, element, n) == 0)
			return true;
	}
	return false;
}

static int take_length(struct http1 *p)
{
	uint64_t v = 0;

	if (!p->value[0])
		return fail(p, 400);
	for (const char *s = p->value; *s; s++) {
		if (*s < '0' || *s > '9' || v > (UINT64_MAX - 9) / 10)
			return fail(p, 400);
		v = v * 10 + (uint64_t)(*s - '0');
	}
	if (p->has_length && p->length != v)
		return fail(p, 400);
	p->has_length = true;
	p->length = v;
	return 0;
}

static void keep_short(const struct http1 *p, char *dst)
{
	if (p->used <= HTTP1_MAX_SHORT)
		memcpy(dst, p->value, p->used + 1);
}

/* A complete header line of a kept name. */
static int take_header(struct http1 *p)
{
	switch (p->header) {
	case CONTENT_LENGTH:
		return p->trailer ? 0 : take_length(p);
	case TRANSFER_ENCODING:
		if (p->trailer)
			return 0;
		if (p->chunked || strcasecmp(p->value, "chunked") != 0)
			return fail(p, 501);
		p->chunked = true;
		return 0;
	case CONNECTION:
		if (list_has(p->value, "close"))
			p->keep_alive = false;
		return 0;
	case EXPECT:
		if (strcasecmp(p->value, "100-continue") == 0)
			p->expect_continue = true;
		return 0;
	case RESPONSE_MODE:
		if (strcasecmp(p->value, "streaming") == 0)
			p->mode = HTTP1_MODE_STREAMING;
		else if (p->value[0])
			p->mode = HTTP1_MODE_OTHER;
		return 0;
	case CONTENT_TYPE:
		if (!p->trailer)
			keep_short(p, p->content_type);
		return 0;
	case ERROR_TYPE:
	case EXTENSION_ERROR:
		keep_short(p, p->error_type);
		p->failed |= p->trailer;
		return 0;
	case ERROR_BODY: /* of a trailer it is in its own buffer already */
		p->failed |= p->trailer;
		return 0;
	case EXTENSION_NAME:
		keep_short(p, p->extension_name);
		return 0;
	case EXTENSION_ID:
		keep_short(p, p->extension_id);
		return 0;
	case EXTENSION_FEATURE:
		p->extension_account = list_has(p->value, "accountId");
		return 0;
	default:
		return 0;
	}
}

static int lookup(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(kept_names) / sizeof(kept_names[0]); i++) {
		if (kept_names[i].len == len && strncasecmp(name, kept_names[i].name, len) == 0)
			return (int)i;
	}
	return -1;
}

/* Line ends are CR LF; a lone LF is taken too. Returns 1 at the end of a line, 0 when c belongs
 * to the line or is its CR, negative for a stray CR. */
static int line_end(struct http1 *p, uint8_t c)
{
	if (c == '\n') {
		p->cr = false;
		return 1;
	}
	if (p->cr)
		return fail(p, 400);
	p->cr = c == '\r';
	return 0;
}

/* The empty line: what comes next. Returns the event, or HTTP1_MORE to go on. */
static int head_complete(struct http1 *p)
{
	if (p->trailer) {
		p->state = DONE;
		return HTTP1_DONE;
	}
	if (p->chunked && p->has_length)
		return fail(p, 400);
	p->used = 0;
	if (p->chunked) {
		p->state = SIZE;
		p->size_digits = 0;
		p->body_left = 0;
	} else {
		p->body_left = p->length;
		p->state = BODY;
	}
	return HTTP1_HEAD;
}

static int version_complete(struct http1 *p)
{
	p->value[p->used] = '\0';
	if (strcmp(p->value, "HTTP/1.0") == 0)
		p->keep_alive = false;
	else if (strcmp(p->value, "HTTP/1.1") != 0)
		return fail(p, strncmp(p->value, "HTTP/", 5) == 0 ? 505 : 400);
	p->state = LINE;
	p->used = 0;
	return 0;
}

/* Where the value of the present line goes: a report that comes as a trailer may be long. */
static bool long_value(const struct http1 *p)
{
	return p->header == ERROR_BODY && p->trailer;
}

static int value_complete(struct http1 *p)
{
	char *value = long_value(p) ? p->report : p->value;
	int rc;

	p->state = LINE;
	if (p->header < 0)
		return 0;
	if (long_value(p) && p->used > HTTP1_MAX_REPORT)
		p->used = 0;
	while (p->used && (value[p->used - 1] == ' ' || value[p->used - 1] == '\t'))
		p->used--;
	value[p->used] = '\0';
	if (long_value(p))
		p->report_len = p->used;
	rc = take_header(p);
	p->used = 0;
	return rc;
}

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int request_line_byte(struct http1 *p, uint8_t c)
{
	int end;

	switch (p->state) {
	case METHOD:
		if (p->used == 0 && (c == '\r' || c == '\n'))
			return 0; /* RFC 9112 section 2.2: empty lines before a request */
		if (c == ' ' && p->used) {
			p->method[p->used] = '\0';
			p->state = TARGET;
			p->used = 0;
			return 0;
		}
		if (!is_token(c) || p->used >= HTTP1_MAX_METHOD)
			return fail(p, 400);
		p->method[p->used++] = (char)c;
		return 0;
	case TARGET:
		if (c == ' ' && p->used) {
			p->target[p->used] = '\0';
			p->state = VERSION;
			p->used = 0;
			return 0;
		}
		if (c <= ' ' || c >= 0x7f)
			return fail(p, 400);
		if (p->used >= HTTP1_MAX_TARGET)
			return fail(p, 414);
		p->target[p->used++] = (char)c;
		return 0;
	default: /* VERSION */
		end = line_end(p, c);
		if (end < 0)
			return end;
		if (end)
			return version_complete(p);
		if (p->cr)
			return 0;
		if (p->used >= 8)
			return fail(p, 400);
		p->value[p->used++] = (char)c;
		return 0;
	}
}

static int header_byte(struct http1 *p, uint8_t c)
{
	int end;

	switch (p->state) {
	case LINE: /* first byte of a line */
		end = line_end(p, c);
		if (end < 0)
			return end;
		if (end)
			return head_complete(p);
		if (p->cr)
			return 0;
		if (!is_token(c)) /* a folded line too: obsolete, refused */
			return fail(p, 400);
		p->state = NAME;
		p->used = 0;
		p->name[p->used++] = (char)c;
		return 0;
	case NAME:
		if (c == ':') {
			p->header = p->used < sizeof(p->name) ? lookup(p->name, p->used) : -1;
			p->state = VALUE;
			p->used = 0;
			return 0;
		}
		if (!is_token(c))
			return fail(p, 400);
		if (p->used < sizeof(p->name))
			p->name[p->used++] = (char)c;
		return 0;
	default: /* VALUE */
		end = line_end(p, c);
		if (end < 0)
			return end;
		if (end)
			return value_complete(p);
		if (p->cr || (p->used == 0 && (c == ' ' || c == '\t')))
			return 0;
		if (c == '\0')
			return fail(p, 400);
		if (p->header < 0)
			return 0;
		if (long_value(p)) {
			if (p->used < HTTP1_MAX_REPORT)
				p->report[p->used] = (char)c;
			p->used += p->used <= HTTP1_MAX_REPORT;
			return 0;
		}
		if (p->used >= HTTP1_MAX_VALUE)
			return p->header > EXPECT ? 0 : fail(p, 431); /* what is only told may be cut */
		p->value[p->used++] = (char)c;
		return 0;
	}
}

static int chunk_byte(struct http1 *p, uint8_t c)
{
	int end, digit;

	switch (p->state) {
	case SIZE:
		digit = p->cr ? -1 : hex(c);
		if (digit >= 0) {
			if (p->size_digits++ >= 15)
				return fail(p, 400);
			p->body_left = p->body_left * 16 + (uint64_t)digit;
			return 0;
		}
		if (p->size_digits == 0 || (c != ';' && c != ' ' && c != '\t' && c != '\r' && c != '\n'))
			return fail(p, 400);
		p->state = EXT;
		/* fall through */
	case EXT: /* rest of the size's line: extensions are skipped */
		end = line_end(p, c);
		if (end <= 0)
			return end;
		p->size_digits = 0;
		if (p->body_left) {
			p->state = CHUNK;
		} else {
			p->trailer = true;
			p->state = LINE;
			p->used = 0;
		}
		return 0;
	default: /* CHUNK_END: the line end behind a chunk's data */
		end = line_end(p, c);
		if (end < 0)
			return end;
		if (!end && !p->cr)
			return fail(p, 400);
		if (end) {
			p->state = SIZE;
			p->body_left = 0;
		}
		return 0;
	}
}

int http1_next(struct http1 *p, const uint8_t **data, size_t *len, const uint8_t **ret_body,
	       size_t *ret_len)
{
	for (;;) {
		int rc;
		uint8_t c;

		if (p->error_status)
			return -EPROTO;
		if (p->state == BODY && p->body_left == 0)
			p->state = DONE;
		if (p->state == DONE)
			return HTTP1_DONE;
		if (*len == 0)
			return HTTP1_MORE;
		if (p->state == BODY || p->state == CHUNK) {
			size_t n = *len < p->body_left ? *len : (size_t)p->body_left;

			*ret_body = *data;
			*ret_len = n;
			*data += n;
			*len -= n;
			p->body_left -= n;
			if (p->body_left == 0)
				p->state = p->state == BODY ? DONE : CHUNK_END;
			return HTTP1_BODY;
		}
		if (p->head_bytes++ >= HTTP1_MAX_HEAD)
			return fail(p, 431);
		c = *(*data)++;
		(*len)--;
		if (p->state <= VERSION)
			rc = request_line_byte(p, c);
		else if (p->state <= VALUE)
			rc = header_byte(p, c);
		else
			rc = chunk_byte(p, c);
		if (rc != 0)
			return rc; /* an error, HTTP1_HEAD or HTTP1_DONE */
	}
}

bool http1_begun(const struct http1 *p)
{
	return p->state != DONE && (p->state != METHOD || p->used);
}

bool http1_body_complete(const struct http1 *p)
{
	return !p->chunked && p->body_left == 0 && (p->state == BODY || p->state == DONE);
}
