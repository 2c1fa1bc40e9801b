/* The canonical request, hashed piece by piece as it is made: see sigv4.h. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "scheduler/auth/sigv4.h"

/* --- bytes into the hash ---------------------------------------------------------------------------- */

struct out {
	EVP_MD_CTX *md;
	bool failed;
	size_t len;
	char buf[1024];
};

static void flush(struct out *o)
{
	if (!EVP_DigestUpdate(o->md, o->buf, o->len))
		o->failed = true;
	o->len = 0;
}

static void put_char(struct out *o, char c)
{
	if (o->len == sizeof(o->buf))
		flush(o);
	o->buf[o->len++] = c;
}

static void put(struct out *o, const char *text)
{
	while (*text)
		put_char(o, *text++);
}

static bool unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       c == '.' || c == '~';
}

static const char digits[] = "0123456789ABCDEF";

static void put_encoded(struct out *o, unsigned char c)
{
	if (unreserved(c)) {
		put_char(o, (char)c);
	} else {
		put_char(o, '%');
		put_char(o, digits[c >> 4]);
		put_char(o, digits[c & 15]);
	}
}

/* --- path ------------------------------------------------------------------------------------------- */

/* Dot segments and empty ones taken away, the rest encoded once more. */
static bool put_path(struct out *o, const char *path)
{
	struct { const char *p; size_t len; } segment[SIGV4_SEGMENTS_MAX];
	size_t n = 0, path_len = strlen(path);

	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && memcmp(p, "..", 2) == 0) {
			n -= n > 0;
		} else if (len && !(len == 1 && *p == '.')) {
			if (n == SIGV4_SEGMENTS_MAX)
				return false;
			segment[n].p = p;
			segment[n++].len = len;
		}
		p += len;
		p += *p == '/';
	}
	for (size_t i = 0; i < n; i++) {
		put_char(o, '/');
		for (size_t k = 0; k < segment[i].len; k++)
			put_encoded(o, (unsigned char)segment[i].p[k]);
	}
	if (n == 0 || path[path_len - 1] == '/')
		put_char(o, '/');
	return true;
}

/* --- query ------------------------------------------------------------------------------------------ */

struct field {
	const char *p, *end; /* still encoded, in whatever way */
};

struct param {
	struct field name, value;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next byte meant; -1 at the end. Escapes were checked. As for http_query_next, + is a blank. */
static int next_byte(struct field *f)
{
	if (f->p == f->end)
		return -1;
	if (*f->p == '%') {
		f->p += 3;
		return hex_digit(f->p[-2]) << 4 | hex_digit(f->p[-1]);
	}
	return *f->p++ == '+' ? ' ' : (unsigned char)f->p[-1];
}

static bool escapes_ok(const struct field *f)
{
	for (const char *p = f->p; p < f->end; p++) {
		if (*p == '%' && (f->end - p < 3 || hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0))
			return false;
	}
	return true;
}

/* Where a byte comes in the order of encoded texts: '%' stands before all that is not encoded. */
static int compare_fields(struct field a, struct field b)
{
	for (;;) {
		int x = next_byte(&a), y = next_byte(&b);
		bool x_plain, y_plain;

		if (x < 0 || y < 0)
			return (y < 0) - (x < 0);
		if (x == y)
			continue;
		x_plain = unreserved((unsigned char)x);
		y_plain = unreserved((unsigned char)y);
		return x_plain == y_plain ? x - y : x_plain - y_plain;
	}
}

static int compare_params(const void *a, const void *b)
{
	const struct param *x = a, *y = b;
	int order = compare_fields(x->name, y->name);

	return order ? order : compare_fields(x->value, y->value);
}

static void put_field(struct out *o, struct field f)
{
	for (int c; (c = next_byte(&f)) >= 0;)
		put_encoded(o, (unsigned char)c);
}

static bool is_name(const struct field *f, const char *name)
{
	return (size_t)(f->end - f->p) == strlen(name) && memcmp(f->p, name, strlen(name)) == 0;
}

static bool put_query(struct out *o, const char *query, bool presigned)
{
	struct param param[SIGV4_PARAMS_MAX];
	size_t n = 0;

	for (const char *p = query; *p;) {
		const char *end = p + strcspn(p, "&"), *eq = memchr(p, '=', (size_t)(end - p));
		struct param one = {{p, eq ? eq : end}, {eq ? eq + 1 : end, end}};

		p = *end ? end + 1 : end;
		if (one.name.p == end || (presigned && is_name(&one.name, "X-Amz-Signature")))
			continue;
		if (n == SIGV4_PARAMS_MAX || !escapes_ok(&one.name) || !escapes_ok(&one.value))
			return false;
		param[n++] = one;
	}
	qsort(param, n, sizeof(param[0]), compare_params);
	for (size_t i = 0; i < n; i++) {
		if (i)
			put_char(o, '&');
		put_field(o, param[i].name);
		put_char(o, '=');
		put_field(o, param[i].value);
	}
	return true;
}

/* --- headers ---------------------------------------------------------------------------------------- */

/* Ends trimmed, runs of blanks inside made one. */
static void put_value(struct out *o, const char *value)
{
	bool begun = false, blank = false;

	for (; *value; value++) {
		if (*value == ' ' || *value == '\t') {
			blank = true;
			continue;
		}
		if (blank && begun)
			put_char(o, ' ');
		put_char(o, *value);
		begun = true;
		blank = false;
	}
}

/* Each signed header's line. False: one is not in the request. */
static bool put_headers(struct out *o, const struct sigv4_request *r, const char *list)
{
	for (;;) {
		size_t len = strcspn(list, ";");
		bool found = false;

		for (size_t i = 0; i < len; i++)
			put_char(o, list[i]);
		put_char(o, ':');
		for (size_t i = 0; i < r->header_count; i++) {
			const struct http_header *h = &r->headers[i];

			if (strncasecmp(h->name, list, len) != 0 || h->name[len])
				continue;
			if (found)
				put_char(o, ',');
			put_value(o, h->value);
			found = true;
		}
		put_char(o, '\n');
		if (!found || !list[len])
			return found;
		list += len + 1;
	}
}

static enum sigv4_reason put_request(struct out *o, const struct sigv4_request *r, const struct sigv4 *sig,
				     const uint8_t *body_hash)
{
	static const char lower[] = "0123456789abcdef";

	put(o, r->method);
	put_char(o, '\n');
	if (!put_path(o, r->path))
		return SIGV4_MALFORMED;
	put_char(o, '\n');
	if (!put_query(o, r->query, sig->presigned))
		return SIGV4_MALFORMED;
	put_char(o, '\n');
	if (!put_headers(o, r, sig->signed_headers))
		return SIGV4_MISMATCH;
	put_char(o, '\n');
	put(o, sig->signed_headers);
	put_char(o, '\n');
	for (unsigned i = 0; i < SIGV4_HASH; i++) {
		put_char(o, lower[body_hash[i] >> 4]);
		put_char(o, lower[body_hash[i] & 15]);
	}
	return SIGV4_OK;
}

enum sigv4_reason sigv4_canonical(const struct sigv4_request *r, const struct sigv4 *sig,
				  const uint8_t body_hash[SIGV4_HASH], uint8_t ret_hash[SIGV4_HASH])
{
	struct out o = {.md = EVP_MD_CTX_new()};
	enum sigv4_reason reason = SIGV4_INTERNAL;

	if (o.md && EVP_DigestInit_ex(o.md, EVP_sha256(), NULL)) {
		reason = put_request(&o, r, sig, body_hash);
		flush(&o);
		if (reason == SIGV4_OK && (o.failed || !EVP_DigestFinal_ex(o.md, ret_hash, NULL)))
			reason = SIGV4_INTERNAL;
	}
	EVP_MD_CTX_free(o.md);
	return reason;
}
