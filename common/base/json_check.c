/* Well-formed JSON: see json_check.h. */
#include "common/base/json_check.h"

#include <stdint.h>
#include <string.h>

#include "common/base/utf8.h"

struct scan {
	const uint8_t *at, *end;
};

static void blanks(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
		s->at++;
}

static bool is_digit(const struct scan *s)
{
	return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static bool digits(struct scan *s)
{
	if (!is_digit(s))
		return false;
	while (is_digit(s))
		s->at++;
	return true;
}

static bool number(struct scan *s)
{
	if (s->at < s->end && *s->at == '-')
		s->at++;
	if (s->at < s->end && *s->at == '0')
		s->at++;
	else if (!digits(s))
		return false;
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		if (!digits(s))
			return false;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		return digits(s);
	}
	return true;
}

static bool escape(struct scan *s)
{
	if (s->at == s->end)
		return false;
	if (*s->at != 'u')
		return *s->at && strchr("\"\\/bfnrt", *s->at++) != NULL;
	s->at++;
	if (s->end - s->at < 4)
		return false;
	for (const uint8_t *stop = s->at + 4; s->at < stop; s->at++) {
		uint8_t c = *s->at | 0x20;

		if (!((*s->at >= '0' && *s->at <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

static bool string(struct scan *s)
{
	if (s->at == s->end || *s->at != '"')
		return false;
	s->at++;
	while (s->at < s->end) {
		uint8_t c = *s->at;
		size_t n = c < 0x80 ? 1 : stk_utf8_len(s->at, (size_t)(s->end - s->at));

		s->at += n;
		if (c == '"')
			return true;
		if (n == 0 || c < 0x20 || (c == '\\' && !escape(s)))
			return false;
	}
	return false;
}

static bool word(struct scan *s, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, text, n) != 0)
		return false;
	s->at += n;
	return true;
}

/* All values but objects and arrays. */
static bool scalar(struct scan *s)
{
	switch (*s->at) {
	case '"':
		return string(s);
	case 't':
		return word(s, "true");
	case 'f':
		return word(s, "false");
	case 'n':
		return word(s, "null");
	default:
		return number(s);
	}
}

static bool key(struct scan *s)
{
	blanks(s);
	if (!string(s))
		return false;
	blanks(s);
	if (s->at == s->end || *s->at != ':')
		return false;
	s->at++;
	return true;
}

bool stk_json_check(const char *text, size_t len)
{
	struct scan s = {.at = (const uint8_t *)text, .end = (const uint8_t *)text + len};
	uint8_t object[STK_JSON_DEPTH]; /* of each level: is it one, or an array? */
	unsigned depth = 0;

	if (!len)
		return false;
	for (;;) {
		/* A value begins. */
		blanks(&s);
		if (s.at == s.end)
			return false;
		if (*s.at == '{' || *s.at == '[') {
			bool is_object = *s.at++ == '{';

			if (depth == STK_JSON_DEPTH)
				return false;
			object[depth++] = is_object;
			blanks(&s);
			if (s.at < s.end && *s.at == (is_object ? '}' : ']')) {
				s.at++;
				depth--;
			} else {
				if (is_object && !key(&s))
					return false;
				continue;
			}
		} else if (!scalar(&s)) {
			return false;
		}
		/* A value has ended. */
		for (;;) {
			blanks(&s);
			if (!depth)
				return s.at == s.end;
			if (s.at == s.end)
				return false;
			if (*s.at == ',') {
				s.at++;
				if (object[depth - 1] && !key(&s))
					return false;
				break;
			}
			if (*s.at != (object[depth - 1] ? '}' : ']'))
				return false;
			s.at++;
			depth--;
		}
	}
}
