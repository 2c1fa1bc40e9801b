/* Function-URL events: see furl.h. The JSON is written straight into one growing buffer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/base/utf8.h"
#include "scheduler/furl.h"
#include "scheduler/furl_host.h"

struct out {
	uint8_t *p;
	size_t len, cap, max;
	int err;
};

static bool room(struct out *o, size_t n)
{
	uint8_t *grown;
	size_t cap;

	if (o->err)
		return false;
	if (o->len + n > o->max) {
		o->err = -EMSGSIZE;
		return false;
	}
	if (o->len + n <= o->cap)
		return true;
	cap = o->cap * 2 > o->len + n ? o->cap * 2 : o->len + n;
	grown = realloc(o->p, cap);
	if (!grown) {
		o->err = -ENOMEM;
		return false;
	}
	o->p = grown;
	o->cap = cap;
	return true;
}

static void put(struct out *o, const void *data, size_t n)
{
	if (n && room(o, n)) {
		memcpy(o->p + o->len, data, n);
		o->len += n;
	}
}

static void puts_(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

/* Inside of a JSON string; bytes that are no UTF-8 become U+FFFD. */
static void put_escaped(struct out *o, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		size_t run = 0, n;
		char esc[8];

		while (run < len && p[run] >= 0x20 && p[run] < 0x80 && p[run] != '"' && p[run] != '\\')
			run++;
		put(o, p, run);
		p += run;
		len -= run;
		if (!len)
			return;
		n = stk_utf8_len(p, len);
		if (n > 1) {
			put(o, p, n);
		} else if (n == 0) {
			puts_(o, "\xef\xbf\xbd");
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			esc[0] = '\\';
			esc[1] = (char)*p;
			put(o, esc, 2);
		} else if (*p == '\n') {
			puts_(o, "\\n");
		} else if (*p == '\r') {
			puts_(o, "\\r");
		} else if (*p == '\t') {
			puts_(o, "\\t");
		} else {
			snprintf(esc, sizeof(esc), "\\u%04x", *p);
			puts_(o, esc);
		}
		p += n;
		len -= n;
	}
}

static void put_string(struct out *o, const char *text)
{
	puts_(o, "\"");
	put_escaped(o, text, strlen(text));
	puts_(o, "\"");
}

static void put_lower(struct out *o, const char *text)
{
	char c;

	puts_(o, "\"");
	for (; *text; text++) {
		c = *text >= 'A' && *text <= 'Z' ? (char)(*text + 32) : *text;
		put_escaped(o, &c, 1);
	}
	puts_(o, "\"");
}

static bool seen_before(const struct furl_request *r, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (strcasecmp(r->headers[j].name, r->headers[i].name) == 0)
			return true;
	}
	return false;
}

static bool left_out(const struct furl_request *r, const char *name)
{
	return strcasecmp(name, "cookie") == 0 ||
	       (r->drop_authorization && strcasecmp(name, "authorization") == 0);
}

/* Lower-case names; repeated ones joined by a comma; cookies have their own list. */
static void put_headers(struct out *o, const struct furl_request *r)
{
	const char *sep = "";

	puts_(o, ",\"headers\":{");
	for (size_t i = 0; i < r->header_count; i++) {
		if (left_out(r, r->headers[i].name) || seen_before(r, i))
			continue;
		puts_(o, sep);
		put_lower(o, r->headers[i].name);
		puts_(o, ":\"");
		put_escaped(o, r->headers[i].value, strlen(r->headers[i].value));
		for (size_t j = i + 1; j < r->header_count; j++) {
			if (strcasecmp(r->headers[j].name, r->headers[i].name) == 0) {
				puts_(o, ",");
				put_escaped(o, r->headers[j].value, strlen(r->headers[j].value));
			}
		}
		puts_(o, "\"");
		sep = ",";
	}
	puts_(o, "}");
}

static void put_cookies(struct out *o, const struct furl_request *r)
{
	bool any = false;

	for (size_t i = 0; i < r->header_count; i++) {
		const char *p = r->headers[i].value;

		if (strcasecmp(r->headers[i].name, "cookie") != 0)
			continue;
		while (*p) {
			size_t n = strcspn(p, ";");

			if (n) {
				puts_(o, any ? ",\"" : ",\"cookies\":[\"");
				put_escaped(o, p, n);
				puts_(o, "\"");
				any = true;
			}
			p += n;
			p += strspn(p, "; ");
		}
	}
	if (any)
		puts_(o, "]");
}

#define QUERY_KEY_MAX   1024
#define QUERY_VALUE_MAX 16384
#define QUERY_MAX       256

struct query_pair {
	char *key, *value;
};

/* Decoded parameters; a repeated one is joined by commas. Badly encoded queries have none. */
static void put_query(struct out *o, const struct furl_request *r)
{
	struct query_pair *pair = calloc(QUERY_MAX, sizeof(*pair));
	char *key = malloc(QUERY_KEY_MAX), *value = malloc(QUERY_VALUE_MAX);
	const char *cursor = r->query, *sep = "";
	unsigned count = 0;
	int rc = 0;

	if (!pair || !key || !value)
		o->err = -ENOMEM;
	while (!o->err && count < QUERY_MAX &&
	       (rc = http_query_next(&cursor, key, QUERY_KEY_MAX, value, QUERY_VALUE_MAX)) == 1) {
		pair[count].key = strdup(key);
		pair[count].value = strdup(value);
		if (!pair[count].key || !pair[count].value)
			o->err = -ENOMEM;
		count++;
	}
	if (count && rc >= 0 && !o->err) {
		puts_(o, ",\"queryStringParameters\":{");
		for (unsigned i = 0; i < count; i++) {
			if (!pair[i].key)
				continue;
			puts_(o, sep);
			put_string(o, pair[i].key);
			puts_(o, ":\"");
			put_escaped(o, pair[i].value, strlen(pair[i].value));
			for (unsigned j = i + 1; j < count; j++) {
				if (!pair[j].key || strcmp(pair[j].key, pair[i].key) != 0)
					continue;
				puts_(o, ",");
				put_escaped(o, pair[j].value, strlen(pair[j].value));
				free(pair[j].key);
				pair[j].key = NULL;
			}
			puts_(o, "\"");
			sep = ",";
		}
		puts_(o, "}");
	}
	for (unsigned i = 0; i < count; i++) {
		free(pair[i].key);
		free(pair[i].value);
	}
	free(pair);
	free(key);
	free(value);
}

static const char *header(const struct furl_request *r, const char *name)
{
	for (size_t i = 0; i < r->header_count; i++) {
		if (strcasecmp(r->headers[i].name, name) == 0)
			return r->headers[i].value;
	}
	return NULL;
}

static void put_context(struct out *o, const struct furl_request *r)
{
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t secs = (time_t)(r->wall_ms / 1000);
	const char *host = header(r, "host"), *agent = header(r, "user-agent");
	const char *colon = strrchr(r->peer, ':'), *api = r->function;
	char text[96], id[FURL_ID_LEN + 1];
	struct tm tm;

	if (host && furl_host_id(host, id))
		api = id;
	puts_(o, ",\"requestContext\":{\"accountId\":\"anonymous\",\"apiId\":");
	put_string(o, api);
	puts_(o, ",\"domainName\":");
	put_string(o, host ? host : "localhost");
	puts_(o, ",\"domainPrefix\":");
	put_string(o, api);
	puts_(o, ",\"http\":{\"method\":");
	put_string(o, r->method);
	puts_(o, ",\"path\":");
	put_string(o, r->path);
	puts_(o, ",\"protocol\":");
	put_string(o, r->protocol);
	puts_(o, ",\"sourceIp\":\"");
	put_escaped(o, r->peer, colon ? (size_t)(colon - r->peer) : strlen(r->peer));
	puts_(o, "\",\"userAgent\":");
	put_string(o, agent ? agent : "");
	puts_(o, "},\"requestId\":");
	put_string(o, r->request_id);
	gmtime_r(&secs, &tm);
	snprintf(text, sizeof(text), "%02d/%s/%04d:%02d:%02d:%02d +0000", tm.tm_mday, months[tm.tm_mon % 12],
		 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	puts_(o, ",\"routeKey\":\"$default\",\"stage\":\"$default\",\"time\":");
	put_string(o, text);
	snprintf(text, sizeof(text), ",\"timeEpoch\":%llu}", (unsigned long long)r->wall_ms);
	puts_(o, text);
}

/* Text stays text: text/..., JSON, XML, JavaScript; everything else is base64. */
static bool text_type(const char *type)
{
	char media[128];
	size_t n = type ? strcspn(type, "; \t") : 0;

	if (n == 0 || n >= sizeof(media))
		return false;
	memcpy(media, type, n);
	media[n] = '\0';
	return strncasecmp(media, "text/", 5) == 0 || strcasecmp(media, "application/json") == 0 ||
	       strcasecmp(media, "application/xml") == 0 || strcasecmp(media, "application/javascript") == 0 ||
	       (n > 5 && strcasecmp(media + n - 5, "+json") == 0) ||
	       (n > 4 && strcasecmp(media + n - 4, "+xml") == 0);
}

static void put_body(struct out *o, const struct furl_request *r)
{
	size_t n = (r->body_len + 2) / 3 * 4;

	if (r->body_len == 0) {
		puts_(o, ",\"isBase64Encoded\":false}");
		return;
	}
	puts_(o, ",\"body\":\"");
	if (text_type(header(r, "content-type")) && stk_utf8_valid(r->body, r->body_len)) {
		put_escaped(o, r->body, r->body_len);
		puts_(o, "\",\"isBase64Encoded\":false}");
	} else if (room(o, n)) {
		o->len += furl_base64_encode(r->body, r->body_len, (char *)o->p + o->len);
		puts_(o, "\",\"isBase64Encoded\":true}");
	}
}

int furl_event(const struct furl_request *r, size_t max, uint8_t **ret_event, size_t *ret_len)
{
	struct out o = {.max = max};

	if (room(&o, 2048 < max ? 2048 : max) == false) {
		free(o.p);
		return o.err;
	}
	puts_(&o, "{\"version\":\"2.0\",\"routeKey\":\"$default\",\"rawPath\":");
	put_string(&o, r->path);
	puts_(&o, ",\"rawQueryString\":");
	put_string(&o, r->query);
	put_cookies(&o, r);
	put_headers(&o, r);
	put_query(&o, r);
	put_context(&o, r);
	put_body(&o, r);
	if (o.err) {
		free(o.p);
		return o.err;
	}
	*ret_event = o.p;
	*ret_len = o.len;
	return 0;
}
