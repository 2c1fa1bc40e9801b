/* JSON without a tree: see jsonin.h. */
#include "guest-init/jsonin.h"

#include <stdint.h>
#include <string.h>

char jsonin_peek(struct jsonin *in)
{
	if (!in->p)
		return '\0';
	while (in->p < in->end && (*in->p == ' ' || *in->p == '\t' || *in->p == '\n' || *in->p == '\r'))
		in->p++;
	return in->p < in->end ? *in->p : '\0';
}

bool jsonin_take(struct jsonin *in, char c)
{
	if (!c || jsonin_peek(in) != c)
		return false;
	in->p++;
	return true;
}

bool jsonin_word(struct jsonin *in, const char *word)
{
	size_t n = strlen(word);

	if (!jsonin_peek(in) || (size_t)(in->end - in->p) < n || memcmp(in->p, word, n) != 0)
		return false;
	in->p += n;
	return true;
}

bool jsonin_string(struct jsonin *in, struct jsonin_str *ret)
{
	const char *p;

	if (!jsonin_take(in, '"'))
		return false;
	for (p = in->p; p < in->end && *p != '"'; p++) {
		if ((unsigned char)*p < 0x20)
			return false;
		if (*p == '\\' && ++p == in->end)
			return false;
	}
	if (p >= in->end)
		return false;
	ret->p = in->p;
	ret->len = (size_t)(p - in->p);
	in->p = p + 1;
	return true;
}

static bool skip_number(struct jsonin *in)
{
	const char *from = in->p;

	while (in->p < in->end && *in->p && strchr("+-.0123456789eE", *in->p))
		in->p++;
	return in->p > from;
}

static bool skip(struct jsonin *in, unsigned depth)
{
	struct jsonin_str text;
	char c = jsonin_peek(in), close = c == '{' ? '}' : ']';

	if (!c)
		return false;
	if (c == '"')
		return jsonin_string(in, &text);
	if (c != '{' && c != '[')
		return jsonin_word(in, "null") || jsonin_word(in, "true") || jsonin_word(in, "false") || skip_number(in);
	if (depth >= JSONIN_DEPTH)
		return false;
	in->p++;
	if (jsonin_take(in, close))
		return true;
	do {
		if (c == '{' && (!jsonin_string(in, &text) || !jsonin_take(in, ':')))
			return false;
		if (!skip(in, depth + 1))
			return false;
	} while (jsonin_take(in, ','));
	return jsonin_take(in, close);
}

bool jsonin_skip(struct jsonin *in)
{
	return skip(in, 0);
}

bool jsonin_at_end(struct jsonin *in)
{
	return in->p && !jsonin_peek(in) && in->p == in->end;
}

bool jsonin_next(struct jsonin *in, bool *begun, bool object, struct jsonin_str *ret_key)
{
	char open = object ? '{' : '[', close = object ? '}' : ']';
	bool more;

	if (!*begun) {
		*begun = true;
		if (!jsonin_take(in, open)) {
			in->p = NULL;
			return false;
		}
		if (jsonin_take(in, close))
			return false;
		more = true;
	} else {
		more = jsonin_take(in, ',');
		if (!more && jsonin_take(in, close))
			return false;
	}
	if (!more || (object && (!jsonin_string(in, ret_key) || !jsonin_take(in, ':')))) {
		in->p = NULL;
		return false;
	}
	return true;
}

static int hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			v = v * 16 + c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + (c | 0x20) - 'a' + 10;
		else
			return -1;
	}
	return v;
}

static char *put_utf8(char *d, uint32_t c)
{
	if (c < 0x80) {
		*d++ = (char)c;
	} else if (c < 0x800) {
		*d++ = (char)(0xc0 | c >> 6);
		*d++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*d++ = (char)(0xe0 | c >> 12);
		*d++ = (char)(0x80 | (c >> 6 & 0x3f));
		*d++ = (char)(0x80 | (c & 0x3f));
	} else {
		*d++ = (char)(0xf0 | c >> 18);
		*d++ = (char)(0x80 | (c >> 12 & 0x3f));
		*d++ = (char)(0x80 | (c >> 6 & 0x3f));
		*d++ = (char)(0x80 | (c & 0x3f));
	}
	return d;
}

/* Behind "\u": takes four digits, or two such escapes for one character. -1: bad. */
static long take_unicode(const char **p, const char *end)
{
	int v = hex4(*p, end), low;

	if (v < 0)
		return -1;
	*p += 4;
	if (v < 0xd800 || v > 0xdfff)
		return v;
	if (v >= 0xdc00 || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return 0xfffd; /* half a character */
	low = hex4(*p + 2, end);
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*p += 6;
	return 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
}

long jsonin_text(struct jsonin_str s, char *dst)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *p = s.p, *end = s.p + s.len;
	char *d = dst;

	while (p < end) {
		const char *at;
		long c;

		if (*p != '\\') {
			*d++ = *p++;
			continue;
		}
		if (++p == end)
			return -1;
		if (*p == 'u') {
			p++;
			c = take_unicode(&p, end);
			if (c < 0)
				return -1;
			d = put_utf8(d, (uint32_t)c);
			continue;
		}
		at = *p ? strchr(names, *p) : NULL;
		if (!at)
			return -1;
		*d++ = values[at - names];
		p++;
	}
	return d - dst;
}

bool jsonin_is(struct jsonin_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}
