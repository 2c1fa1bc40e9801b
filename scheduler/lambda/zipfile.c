/* Code in a body: see zipfile.h. */
#include "scheduler/lambda/zipfile.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"

/* --- finding it ----------------------------------------------------------------------------------- */

struct scan {
	const char *p, *end;
};

static void blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

/* The inside of the string that begins here. */
static bool string(struct scan *s, struct zipfile_span *ret)
{
	const char *p, *start;

	if (s->p == s->end || *s->p != '"')
		return false;
	start = p = s->p + 1;
	for (;;) {
		size_t left = (size_t)(s->end - p), slashes = 0;
		const char *quote = left ? memchr(p, '"', left) : NULL;

		if (!quote)
			return false;
		while (quote - slashes > start && quote[-1 - (ptrdiff_t)slashes] == '\\')
			slashes++;
		p = quote + 1;
		if (slashes % 2 == 0) {
			*ret = (struct zipfile_span){start, (size_t)(quote - start)};
			s->p = p;
			return true;
		}
	}
}

/* Steps over a value: brackets are only counted. */
static bool value(struct scan *s)
{
	struct zipfile_span unused;
	unsigned depth = 0;

	do {
		blanks(s);
		if (s->p == s->end)
			return false;
		switch (*s->p) {
		case '{':
		case '[':
			depth++;
			s->p++;
			break;
		case '}':
		case ']':
			if (depth == 0)
				return false;
			depth--;
			s->p++;
			break;
		case '"':
			if (!string(s, &unused))
				return false;
			break;
		case ',':
		case ':':
			if (depth == 0)
				return false;
			s->p++;
			break;
		default: /* a number or a word */
			while (s->p < s->end && !strchr("{}[]\",: \t\r\n", *s->p))
				s->p++;
			if (s->p < s->end && *s->p == '\0')
				return false;
		}
	} while (depth);
	return true;
}

static bool next_is(struct scan *s, char c)
{
	blanks(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

bool zipfile_find(const char *json, size_t len, const char *const *path, struct zipfile_span *ret_span)
{
	struct scan s = {json, json + len};
	struct zipfile_span key;

	if (len == 0 || !next_is(&s, '{'))
		return false;
	for (;;) {
		blanks(&s);
		if (!string(&s, &key) || !next_is(&s, ':'))
			return false;
		blanks(&s);
		if (key.len == strlen(*path) && memcmp(key.text, *path, key.len) == 0) {
			if (!*++path)
				return string(&s, ret_span);
			if (!next_is(&s, '{'))
				return false;
		} else if (!value(&s) || !next_is(&s, ',')) {
			return false;
		}
	}
}

/* --- decoding it ---------------------------------------------------------------------------------- */

/* 0 to 63, or BAD. */
enum { BAD = 0x80 };

static void make_table(uint8_t table[256])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	memset(table, BAD, 256);
	for (uint8_t i = 0; i < 64; i++)
		table[(uint8_t)alphabet[i]] = i;
}

/* len is a multiple of 4, none of it padding. */
static bool decode_block(const uint8_t table[256], const uint8_t *src, size_t len, uint8_t *dst)
{
	uint8_t bad = 0;

	for (size_t i = 0; i < len; i += 4, dst += 3) {
		uint8_t a = table[src[i]], b = table[src[i + 1]], c = table[src[i + 2]], d = table[src[i + 3]];

		bad |= a | b | c | d;
		dst[0] = (uint8_t)(a << 2 | b >> 4);
		dst[1] = (uint8_t)(b << 4 | c >> 2);
		dst[2] = (uint8_t)(c << 6 | d);
	}
	return !(bad & BAD);
}

/* The next characters with their escapes undone, as many as fit. false: an escape that no base64 can have. Only the end
 * of the text can leave fewer than cap. */
static bool unescape(const char **p, const char *end, uint8_t *dst, size_t cap, size_t *ret_len)
{
	size_t n = 0;

	while (n < cap && *p < end) {
		size_t run = (size_t)(end - *p);
		const char *slash;

		if (run > cap - n)
			run = cap - n;
		slash = memchr(*p, '\\', run);
		if (slash)
			run = (size_t)(slash - *p);
		memcpy(dst + n, *p, run);
		n += run;
		*p += run;
		if (!slash || n == cap)
			continue;
		if (end - *p >= 2 && (*p)[1] == '/') {
			dst[n++] = '/';
			*p += 2;
		} else if (end - *p >= 6 && (*p)[1] == 'u' && (*p)[2] == '0' && (*p)[3] == '0') {
			unsigned c = 0;

			for (unsigned i = 4; i < 6; i++) {
				char h = (*p)[i];

				if (h >= '0' && h <= '9')
					c = c * 16 + (unsigned)(h - '0');
				else if ((h | 0x20) >= 'a' && (h | 0x20) <= 'f')
					c = c * 16 + (unsigned)((h | 0x20) - 'a' + 10);
				else
					return false;
			}
			dst[n++] = (uint8_t)c;
			*p += 6;
		} else {
			return false;
		}
	}
	*ret_len = n;
	return true;
}

/* The last four characters, which may be padded. Returns the bytes they are, or -1. */
static int decode_last(const uint8_t table[256], const uint8_t src[4], uint8_t dst[3])
{
	uint8_t whole[4];
	int pad = src[3] != '=' ? 0 : src[2] != '=' ? 1 : 2;

	memcpy(whole, src, 4);
	memset(whole + 4 - pad, 'A', (size_t)pad);
	if (!decode_block(table, whole, 4, dst))
		return -1;
	for (int i = 3 - pad; i < 3; i++) {
		if (dst[i]) /* bits that no encoder leaves */
			return -1;
	}
	return 3 - pad;
}

#define CHUNK 65536u

struct sink {
	EVP_MD_CTX *md;
	int fd;
	uint64_t size, max;
};

static int put(struct sink *s, const uint8_t *data, size_t len, struct lambda_err *err)
{
	int rc;

	s->size += len;
	if (s->size > s->max)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "Zipped size must be smaller than %llu bytes",
				      (unsigned long long)s->max);
	if (EVP_DigestUpdate(s->md, data, len) != 1)
		return lambda_err_nomem(err);
	if (s->fd < 0)
		return 0;
	rc = stk_write_full(s->fd, data, len);
	if (rc)
		return lambda_err_set(err, rc == -ENOSPC ? LAMBDA_CODE_STORAGE_EXCEEDED : LAMBDA_SERVICE,
				      "The code cannot be stored: %s", strerror(-rc));
	return 0;
}

static int not_base64(struct lambda_err *err)
{
	return lambda_err_set(err, LAMBDA_SERIALIZATION, "The value of 'ZipFile' must be base64.");
}

static int decode_all(const struct zipfile_span *span, struct sink *sink, uint8_t *in, uint8_t *out,
		      struct lambda_err *err)
{
	const char *p = span->text, *end = span->text + span->len;
	uint8_t table[256], last[3];
	size_t have;
	int n, rc;

	make_table(table);
	while (p < end) {
		if (!unescape(&p, end, in, CHUNK, &have) || have % 4)
			return not_base64(err);
		if (p == end && have) /* the last four are for decode_last */
			have -= 4;
		if (!decode_block(table, in, have, out))
			return not_base64(err);
		rc = put(sink, out, have / 4 * 3, err);
		if (rc)
			return rc;
		if (p < end)
			continue;
		n = decode_last(table, in + have, last);
		if (n < 0)
			return not_base64(err);
		return put(sink, last, (size_t)n, err);
	}
	return 0;
}

int zipfile_decode(const struct zipfile_span *span, uint64_t max, int fd, struct zipfile *ret, struct lambda_err *err)
{
	struct sink sink = {.fd = fd, .max = max, .md = EVP_MD_CTX_new()};
	stk_autofree uint8_t *in = malloc(CHUNK), *out = malloc(CHUNK / 4 * 3);
	int rc;

	if (!sink.md || !in || !out || EVP_DigestInit_ex(sink.md, EVP_sha256(), NULL) != 1)
		rc = lambda_err_nomem(err);
	else
		rc = decode_all(span, &sink, in, out, err);
	if (rc == 0 && EVP_DigestFinal_ex(sink.md, ret->hash, NULL) != 1)
		rc = lambda_err_nomem(err);
	EVP_MD_CTX_free(sink.md);
	if (rc)
		return rc;
	ret->size = sink.size;
	zipfile_sha256_text(ret->hash, ret->sha256);
	return 0;
}

void zipfile_sha256_text(const uint8_t hash[ZIPFILE_HASH], char ret_text[ZIPFILE_SHA256_TEXT + 1])
{
	EVP_EncodeBlock((unsigned char *)ret_text, hash, ZIPFILE_HASH);
}
