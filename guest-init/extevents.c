/* The body of a register request: {"events": ["INVOKE", "SHUTDOWN"]}. A strict reader of JSON that builds nothing; what
 * it does not look for is skipped. */
#include <errno.h>
#include <string.h>

#include "guest-init/extensions.h"

#define DEPTH_MAX 16

struct in {
	const char *p, *end;
};

static char peek(struct in *in)
{
	while (in->p < in->end && (*in->p == ' ' || *in->p == '\t' || *in->p == '\n' || *in->p == '\r'))
		in->p++;
	return in->p < in->end ? *in->p : '\0';
}

static bool take(struct in *in, char c)
{
	if (peek(in) != c)
		return false;
	in->p++;
	return true;
}

static bool take_word(struct in *in, const char *word)
{
	size_t n = strlen(word);

	peek(in);
	if ((size_t)(in->end - in->p) < n || memcmp(in->p, word, n) != 0)
		return false;
	in->p += n;
	return true;
}

/* Between its quotes, escapes as they are. */
static bool take_string(struct in *in, const char **ret, size_t *ret_len)
{
	const char *from;

	if (!take(in, '"'))
		return false;
	for (from = in->p; in->p < in->end && *in->p != '"'; in->p++) {
		if ((unsigned char)*in->p < 0x20)
			return false;
		if (*in->p == '\\' && ++in->p == in->end)
			return false;
	}
	if (in->p >= in->end)
		return false;
	*ret = from;
	*ret_len = (size_t)(in->p++ - from);
	return true;
}

static bool skip_number(struct in *in)
{
	const char *from = in->p;

	while (in->p < in->end && *in->p && strchr("+-.0123456789eE", *in->p))
		in->p++;
	return in->p > from;
}

/* Any value. */
static bool skip(struct in *in, unsigned depth)
{
	const char *text;
	size_t len;
	char c = peek(in), close = c == '{' ? '}' : ']';

	if (c == '"')
		return take_string(in, &text, &len);
	if (c != '{' && c != '[')
		return take_word(in, "null") || take_word(in, "true") || take_word(in, "false") || skip_number(in);
	if (depth >= DEPTH_MAX)
		return false;
	in->p++;
	if (take(in, close))
		return true;
	do {
		if (c == '{' && (!take_string(in, &text, &len) || !take(in, ':')))
			return false;
		if (!skip(in, depth + 1))
			return false;
	} while (take(in, ','));
	return take(in, close);
}

static int take_events(struct in *in, bool *invoke, bool *shutdown)
{
	const char *text;
	size_t len;

	if (take_word(in, "null"))
		return 0;
	if (!take(in, '['))
		return -EPROTO;
	if (take(in, ']'))
		return 0;
	do {
		if (!take_string(in, &text, &len))
			return -EPROTO;
		if (len == 6 && memcmp(text, "INVOKE", 6) == 0)
			*invoke = true;
		else if (len == 8 && memcmp(text, "SHUTDOWN", 8) == 0)
			*shutdown = true;
		else
			return -EINVAL;
	} while (take(in, ','));
	return take(in, ']') ? 0 : -EPROTO;
}

int extensions_events(const char *json, size_t len, bool *ret_invoke, bool *ret_shutdown)
{
	struct in in = {json, json + len};
	bool invoke = false, shutdown = false;
	const char *key;
	size_t key_len;
	int rc = 0;

	if (!take(&in, '{'))
		return -EPROTO;
	if (!take(&in, '}')) {
		do {
			if (!take_string(&in, &key, &key_len) || !take(&in, ':'))
				return -EPROTO;
			if (key_len == 6 && memcmp(key, "events", 6) == 0)
				rc = take_events(&in, &invoke, &shutdown);
			else
				rc = skip(&in, 0) ? 0 : -EPROTO;
			if (rc)
				return rc;
		} while (take(&in, ','));
		if (!take(&in, '}'))
			return -EPROTO;
	}
	peek(&in);
	if (in.p != in.end)
		return -EPROTO;
	*ret_invoke = invoke;
	*ret_shutdown = shutdown;
	return 0;
}
