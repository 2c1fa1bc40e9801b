/* HTTP server: status texts, percent-decoding, query strings. See http_server.h. */
#include <errno.h>
#include <string.h>

#include "common/host/http_server.h"

const char *http_status_text(int status)
{
	static const struct { int status; const char *text; } table[] = {
		{100, "Continue"}, {200, "OK"}, {201, "Created"}, {202, "Accepted"},
		{203, "Non-Authoritative Information"}, {204, "No Content"}, {205, "Reset Content"},
		{206, "Partial Content"}, {300, "Multiple Choices"}, {301, "Moved Permanently"},
		{302, "Found"}, {303, "See Other"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
		{308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
		{402, "Payment Required"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"},
		{409, "Conflict"}, {410, "Gone"}, {411, "Length Required"},
		{412, "Precondition Failed"}, {413, "Content Too Large"}, {414, "URI Too Long"},
		{415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"},
		{417, "Expectation Failed"}, {418, "I'm a teapot"}, {421, "Misdirected Request"},
		{422, "Unprocessable Content"}, {423, "Locked"}, {424, "Failed Dependency"},
		{425, "Too Early"}, {426, "Upgrade Required"}, {428, "Precondition Required"},
		{429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
		{451, "Unavailable For Legal Reasons"}, {500, "Internal Server Error"},
		{501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
		{504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"},
		{507, "Insufficient Storage"}, {508, "Loop Detected"},
		{511, "Network Authentication Required"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].status == status)
			return table[i].text;
	}
	return "Unknown";
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int http_url_decode(const char *src, size_t len, bool plus_is_space, char *dst, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = src[i];

		if (c == '%') {
			int hi, lo;

			if (len - i < 3)
				return -EINVAL;
			hi = hex_digit(src[i + 1]);
			lo = hex_digit(src[i + 2]);
			if (hi < 0 || lo < 0)
				return -EINVAL;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == '\0')
			return -EINVAL;
		if (n + 1 >= cap)
			return -ENAMETOOLONG;
		dst[n++] = c;
	}
	if (cap == 0)
		return -ENAMETOOLONG;
	dst[n] = '\0';
	return 0;
}

int http_query_next(const char **cursor, char *key, size_t key_cap, char *value, size_t value_cap)
{
	const char *p = *cursor, *end, *eq;
	int r;

	while (*p == '&')
		p++;
	if (!*p) {
		*cursor = p;
		return 0;
	}
	end = strchrnul(p, '&');
	eq = memchr(p, '=', (size_t)(end - p));
	*cursor = *end ? end + 1 : end;
	r = http_url_decode(p, (size_t)((eq ? eq : end) - p), true, key, key_cap);
	if (r < 0)
		return r;
	r = eq ? http_url_decode(eq + 1, (size_t)(end - eq - 1), true, value, value_cap)
	       : http_url_decode("", 0, true, value, value_cap);
	return r < 0 ? r : 1;
}
