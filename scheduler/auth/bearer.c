/* Tokens in headers: see bearer.h. */
#include "scheduler/auth/bearer.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "common/base/str.h"

#define CREDENTIALS_MAX 1024 /* "user:password", decoded */

/* What follows "SCHEME "; NULL: another scheme. */
static const char *after_scheme(const char *value, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(value, name, n) != 0 || (value[n] != ' ' && value[n] != '\t'))
		return NULL;
	return value + n + strspn(value + n, " \t");
}

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *d = c ? strchr(digits, c) : NULL;

	return d ? (int)(d - digits) : -1;
}

/* Returns the length, -EINVAL or -ENAMETOOLONG. */
static int base64_decode(const char *text, char *ret, size_t cap)
{
	size_t len = strcspn(text, "="), pad = strspn(text + len, "="), n = 0;
	unsigned bits = 0, have = 0;

	if (pad > 2 || text[len + pad])
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int d = base64_digit(text[i]);

		if (d < 0)
			return -EINVAL;
		bits = (bits << 6 | (unsigned)d) & 0xffff;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n + 1 >= cap)
			return -ENAMETOOLONG;
		ret[n++] = (char)(bits >> have);
	}
	ret[n] = '\0';
	return (int)n;
}

int bearer_read(const char *authorization, char *ret_token, size_t cap)
{
	const char *rest = after_scheme(authorization, "Bearer");
	char decoded[CREDENTIALS_MAX + 1];
	const char *colon;
	int rc;

	if (rest)
		return stk_strcpy(ret_token, cap, rest);
	rest = after_scheme(authorization, "Basic");
	if (!rest)
		return -EINVAL;
	rc = base64_decode(rest, decoded, sizeof(decoded));
	if (rc >= 0) {
		colon = strlen(decoded) == (size_t)rc ? strchr(decoded, ':') : NULL;
		rc = colon ? stk_strcpy(ret_token, cap, colon + 1) : -EINVAL;
	}
	OPENSSL_cleanse(decoded, sizeof(decoded));
	return rc;
}
