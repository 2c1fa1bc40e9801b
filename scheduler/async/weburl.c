/* Addresses: see weburl.h. */
#include "scheduler/async/weburl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/base/str.h"

static int bad(struct stk_err *err, const char *why)
{
	return stk_err_set(err, -EINVAL, "not a usable http or https address: %s", why);
}

static int parse_port(const char *text, size_t len, unsigned *ret_port)
{
	char digits[6];
	uint64_t port;

	if (len < 1 || len > 5)
		return -EINVAL;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (stk_parse_u64(digits, 1, 65535, &port))
		return -EINVAL;
	*ret_port = (unsigned)port;
	return 0;
}

/* "host", "host:port", "[v6]" or "[v6]:port". */
static int parse_authority(const char *text, size_t len, struct weburl *u, struct stk_err *err)
{
	const char *host = text, *port = NULL;
	size_t host_len = len;
	bool v6 = len && text[0] == '[';
	unsigned char addr[16];

	if (v6) {
		const char *end = memchr(text, ']', len);

		if (!end)
			return bad(err, "a bracket is missing");
		host = text + 1;
		host_len = (size_t)(end - host);
		if (end + 1 < text + len)
			port = end + 1;
	} else {
		port = memchr(text, ':', len);
		if (port)
			host_len = (size_t)(port - text);
	}
	if (port && (*port != ':' || parse_port(port + 1, (size_t)(text + len - port - 1), &u->port)))
		return bad(err, "the port is none");
	if (host_len < 1 || host_len > WEBURL_HOST_MAX)
		return bad(err, "the host is empty or too long");
	for (size_t i = 0; i < host_len; i++) {
		char c = host[i];
		bool name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    (i > 0 && (c == '.' || c == '-')) || c == '_';

		if (!name && !(v6 && c == ':'))
			return bad(err, "the host has a character that no name has");
	}
	memcpy(u->host, host, host_len);
	u->host[host_len] = '\0';
	if (v6 && inet_pton(AF_INET6, u->host, addr) != 1)
		return bad(err, "what is in brackets is no IPv6 address");
	return stk_snprintf(u->authority, sizeof(u->authority), v6 ? "[%s]:%u" : "%s:%u", u->host, u->port);
}

int weburl_parse(const char *text, struct weburl *ret_url, struct stk_err *err)
{
	struct weburl u = {0};
	size_t len;
	int rc;

	if (strlen(text) > WEBURL_MAX)
		return bad(err, "too long");
	for (const char *p = text; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f)
			return bad(err, "it has a blank or a character that is not ASCII");
	}
	if (strncasecmp(text, "https://", 8) == 0) {
		u.tls = true;
		u.port = 443;
		text += 8;
	} else if (strncasecmp(text, "http://", 7) == 0) {
		u.port = 80;
		text += 7;
	} else {
		return bad(err, "it begins with neither http:// nor https://");
	}
	len = strcspn(text, "/?#");
	if (memchr(text, '@', len))
		return bad(err, "a user name does not belong into it");
	if (strchr(text, '#'))
		return bad(err, "a fragment does not belong into it");
	rc = parse_authority(text, len, &u, err);
	if (rc)
		return rc;
	rc = stk_snprintf(u.path, sizeof(u.path), "%s%s", text[len] == '/' ? "" : "/", text + len);
	if (rc)
		return bad(err, "too long");
	*ret_url = u;
	return 0;
}
