/* CloudEvents: see cloudevents.h. */
#include "scheduler/cloudevents.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/utf8.h"
#include "scheduler/furl.h"

/* Numbers are only looked at: as reals they may be of any size. */
#define LOOK (JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES)

#define ATTRIBUTES_MAX 64

static void put_json(json_t **p)
{
	json_decref(*p);
}
#define AUTO_JSON __attribute__((cleanup(put_json))) json_t *

static const char *header(const struct http_header *headers, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(headers[i].name, name) == 0)
			return headers[i].value;
	}
	return NULL;
}

/* "type/subtype" without its parameters, in lower case; "" when there is none or it is too long. */
static void media_of(const char *value, char *dst, size_t cap)
{
	size_t n = value ? strcspn(value, "; \t") : 0;

	if (n >= cap)
		n = 0;
	for (size_t i = 0; i < n; i++)
		dst[i] = (char)tolower((unsigned char)value[i]);
	dst[n] = '\0';
}

enum cloudevents_mode cloudevents_mode(const struct http_header *headers, size_t count)
{
	const char *type = header(headers, count, "content-type");
	char media[64];

	if (type && strncasecmp(type, "application/cloudevents", 23) == 0) {
		media_of(type, media, sizeof(media));
		return strcmp(media, "application/cloudevents+json") == 0 ? CLOUDEVENTS_STRUCTURED : CLOUDEVENTS_UNKNOWN;
	}
	return header(headers, count, "ce-specversion") ? CLOUDEVENTS_BINARY : CLOUDEVENTS_NONE;
}

/* --- what every event has ----------------------------------------------------------------------------- */

static int check(const json_t *event, struct stk_err *err)
{
	static const char *const required[] = {"id", "source", "type"};
	const char *version = json_string_value(json_object_get(event, "specversion"));
	const json_t *base64 = json_object_get(event, "data_base64");

	if (!json_is_object(event))
		return stk_err_set(err, -EINVAL, "a CloudEvent is a JSON object");
	if (!version || strcmp(version, "1.0") != 0)
		return stk_err_set(err, -EINVAL, "a CloudEvent has specversion 1.0");
	for (size_t i = 0; i < STK_ARRAY_LEN(required); i++) {
		const json_t *v = json_object_get(event, required[i]);

		if (!json_is_string(v) || json_string_length(v) == 0)
			return stk_err_set(err, -EINVAL, "the CloudEvent has no %s, or an empty one", required[i]);
	}
	if (base64 && (!json_is_string(base64) || json_object_get(event, "data")))
		return stk_err_set(err, -EINVAL, "the CloudEvent's data_base64 is no text, or there is data as well");
	return 0;
}

bool cloudevents_is_event(const uint8_t *data, size_t len)
{
	AUTO_JSON root = NULL;

	if (!len || !memmem(data, len, "\"specversion\"", 13))
		return false;
	root = json_loadb((const char *)data, len, LOOK, NULL);
	return root && check(root, NULL) == 0;
}

static int structured(const uint8_t *body, size_t len, uint8_t **ret_event, size_t *ret_len, struct stk_err *err)
{
	json_error_t problem;
	AUTO_JSON root = json_loadb((const char *)body, len, LOOK, &problem);
	uint8_t *copy;
	int rc;

	if (!root)
		return stk_err_set(err, -EINVAL, "the CloudEvent is no JSON: %s", problem.text);
	rc = check(root, err);
	if (rc)
		return rc;
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, body, len);
	copy[len] = '\0';
	*ret_event = copy;
	*ret_len = len;
	return 0;
}

/* --- binary mode -------------------------------------------------------------------------------------- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A header's value: a quoted string is unquoted, then percent escapes are decoded; those that are none stay. */
static char *decode(const char *value, size_t *ret_len)
{
	size_t len = strlen(value), n = 0;
	char *text = malloc(len + 1), *p;

	if (!text)
		return NULL;
	if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
		for (size_t i = 1; i < len - 1; i++) {
			if (value[i] == '\\' && i + 1 < len - 1)
				i++;
			text[n++] = value[i];
		}
	} else {
		memcpy(text, value, len);
		n = len;
	}
	p = text;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '%' && i + 2 < n && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
			*p++ = (char)(hex(text[i + 1]) << 4 | hex(text[i + 2]));
			i += 2;
		} else {
			*p++ = text[i];
		}
	}
	*ret_len = (size_t)(p - text);
	*p = '\0';
	return text;
}

static int set_attribute(json_t *event, const char *name, const char *value, struct stk_err *err)
{
	stk_autofree char *text = NULL;
	char key[64];
	size_t n = strlen(name), len;

	if (n == 0 || n >= sizeof(key))
		return stk_err_set(err, -EINVAL, "a CloudEvent attribute's name has 1 to %zu characters", sizeof(key) - 1);
	for (size_t i = 0; i <= n; i++)
		key[i] = (char)tolower((unsigned char)name[i]);
	if (strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789") != n)
		return stk_err_set(err, -EINVAL, "CloudEvent attribute \"%s\": names are letters and digits", key);
	if (strcmp(key, "data") == 0 || strcmp(key, "datacontenttype") == 0)
		return stk_err_set(err, -EINVAL, "ce-%s: the body is the data, Content-Type its type", key);
	if (json_object_get(event, key))
		return stk_err_set(err, -EINVAL, "ce-%s is there twice", key);
	if (json_object_size(event) >= ATTRIBUTES_MAX)
		return stk_err_set(err, -EINVAL, "a CloudEvent has at most %d attributes here", ATTRIBUTES_MAX);
	text = decode(value, &len);
	if (!text)
		return -ENOMEM;
	if (!stk_utf8_valid(text, len))
		return stk_err_set(err, -EINVAL, "ce-%s is not UTF-8 in percent encoding", key);
	return json_object_set_new(event, key, json_stringn(text, len)) ? -ENOMEM : 0;
}

/* Ends with: by whole words behind '+'. */
static bool has_suffix(const char *media, const char *suffix)
{
	size_t n = strlen(media), m = strlen(suffix);

	return n > m && strcmp(media + n - m, suffix) == 0;
}

enum data_kind { DATA_JSON, DATA_TEXT, DATA_BYTES };

static int kind_of(const char *type, const uint8_t *body, size_t len, enum data_kind *ret_kind, struct stk_err *err)
{
	char media[128];
	AUTO_JSON any = NULL;
	bool json, text;

	media_of(type, media, sizeof(media));
	json = strcmp(media, "application/json") == 0 || strcmp(media, "text/json") == 0 || has_suffix(media, "+json");
	text = strncmp(media, "text/", 5) == 0 || strcmp(media, "application/xml") == 0 || has_suffix(media, "+xml");
	if (json || !type) {
		any = json_loadb((const char *)body, len, LOOK & ~JSON_REJECT_DUPLICATES, NULL);
		if (!any && json)
			return stk_err_set(err, -EINVAL,
					   "the CloudEvent's data is not the JSON that its Content-Type says");
	}
	*ret_kind = any ? DATA_JSON : text && stk_utf8_valid(body, len) ? DATA_TEXT : DATA_BYTES;
	return 0;
}

/* {"...":...} and the data behind the attributes. */
static int assemble(const json_t *event, enum data_kind kind, const uint8_t *body, size_t len, size_t max,
		    uint8_t **ret_event, size_t *ret_len)
{
	stk_autofree char *head = json_dumps(event, JSON_COMPACT), *value = NULL;
	const char *key = kind == DATA_BYTES ? ",\"data_base64\":" : ",\"data\":";
	const char *data = (const char *)body;
	uint8_t *out;
	size_t n;

	if (!head)
		return -ENOMEM;
	if (kind == DATA_TEXT) {
		AUTO_JSON text = json_stringn(data, len);

		value = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
		len = value ? strlen(value) : 0;
	} else if (kind == DATA_BYTES) {
		value = malloc((len + 2) / 3 * 4 + 2);
		if (value) {
			value[0] = '"';
			len = furl_base64_encode(body, len, value + 1) + 1;
			value[len++] = '"';
		}
	}
	if (kind != DATA_JSON) {
		if (!value)
			return -ENOMEM;
		data = value;
	}
	n = strlen(head) - 1; /* without the brace */
	if (n + strlen(key) + len + 1 > max)
		return -EMSGSIZE;
	out = malloc(n + strlen(key) + len + 2);
	if (!out)
		return -ENOMEM;
	memcpy(out, head, n);
	if (len) {
		memcpy(out + n, key, strlen(key));
		n += strlen(key);
		memcpy(out + n, data, len);
		n += len;
	}
	out[n++] = '}';
	out[n] = '\0';
	*ret_event = out;
	*ret_len = n;
	return 0;
}

static int binary(const struct http_header *headers, size_t count, const uint8_t *body, size_t body_len, size_t max,
		  uint8_t **ret_event, size_t *ret_len, struct stk_err *err)
{
	AUTO_JSON event = json_object();
	const char *type = header(headers, count, "content-type");
	enum data_kind kind = DATA_JSON;
	int rc = event ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (strncasecmp(headers[i].name, "ce-", 3) == 0)
			rc = set_attribute(event, headers[i].name + 3, headers[i].value, err);
	}
	if (rc == 0)
		rc = check(event, err);
	if (rc == 0 && body_len)
		rc = kind_of(type, body, body_len, &kind, err);
	if (rc)
		return rc;
	if (type) {
		if (!stk_utf8_valid(type, strlen(type)))
			return stk_err_set(err, -EINVAL, "the Content-Type is not UTF-8");
		if (json_object_set_new(event, "datacontenttype", json_string(type)))
			return -ENOMEM;
	}
	return assemble(event, kind, body, body_len, max, ret_event, ret_len);
}

int cloudevents_event(enum cloudevents_mode mode, const struct http_header *headers, size_t count, const uint8_t *body,
		      size_t body_len, size_t max, uint8_t **ret_event, size_t *ret_len, struct stk_err *err)
{
	if (body_len > max)
		return -EMSGSIZE;
	if (mode == CLOUDEVENTS_STRUCTURED)
		return structured(body, body_len, ret_event, ret_len, err);
	return binary(headers, count, body, body_len, max, ret_event, ret_len, err);
}
