/* Function-URL answers, and base64: see furl.h. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "scheduler/furl.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t furl_base64_encode(const uint8_t *src, size_t len, char *dst)
{
	char *p = dst;

	for (; len >= 3; len -= 3, src += 3) {
		*p++ = alphabet[src[0] >> 2];
		*p++ = alphabet[(src[0] & 3) << 4 | src[1] >> 4];
		*p++ = alphabet[(src[1] & 15) << 2 | src[2] >> 6];
		*p++ = alphabet[src[2] & 63];
	}
	if (len) {
		*p++ = alphabet[src[0] >> 2];
		*p++ = alphabet[(src[0] & 3) << 4 | (len > 1 ? src[1] >> 4 : 0)];
		*p++ = len > 1 ? alphabet[(src[1] & 15) << 2] : '=';
		*p++ = '=';
	}
	return (size_t)(p - dst);
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long furl_base64_decode(const char *src, size_t len, uint8_t *dst)
{
	uint8_t *p = dst;

	if (len % 4)
		return -EINVAL;
	for (; len; len -= 4, src += 4) {
		int a = digit(src[0]), b = digit(src[1]), c = digit(src[2]), d = digit(src[3]);
		bool last = len == 4;

		if (a < 0 || b < 0)
			return -EINVAL;
		*p++ = (uint8_t)(a << 2 | b >> 4);
		if (c < 0) {
			if (!last || src[2] != '=' || src[3] != '=')
				return -EINVAL;
			break;
		}
		*p++ = (uint8_t)((b & 15) << 4 | c >> 2);
		if (d < 0) {
			if (!last || src[3] != '=')
				return -EINVAL;
			break;
		}
		*p++ = (uint8_t)((c & 3) << 6 | d);
	}
	return p - dst;
}

/* Names the server sets itself, or that belong to one hop. */
static bool hop_header(const char *name)
{
	static const char *const names[] = {"content-length", "transfer-encoding", "connection", "keep-alive",
					    "upgrade", "te", "trailer", "proxy-connection"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static int add_header(struct furl_answer *a, const char *name, const char *value, struct stk_err *err)
{
	if (a->header_count == FURL_MAX_HEADERS)
		return stk_err_set(err, -EPROTO, "the function's answer has more than %d headers and cookies",
				   FURL_MAX_HEADERS);
	a->header[a->header_count].name = strdup(name);
	a->header[a->header_count].value = strdup(value);
	a->header_count++;
	if (!a->header[a->header_count - 1].name || !a->header[a->header_count - 1].value)
		return stk_err_set(err, -ENOMEM, "out of memory");
	return 0;
}

/* Scalars as text; *ret_tmp must be freed. NULL for anything else. */
static const char *scalar(const json_t *v, char **ret_tmp)
{
	*ret_tmp = NULL;
	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	if (json_is_number(v)) {
		*ret_tmp = json_dumps(v, JSON_ENCODE_ANY);
		return *ret_tmp;
	}
	return NULL;
}

static int take_headers(struct furl_answer *a, json_t *headers, struct stk_err *err)
{
	const char *name;
	json_t *value;

	if (!headers || json_is_null(headers))
		return 0;
	if (!json_is_object(headers))
		return stk_err_set(err, -EPROTO, "headers in the function's answer is not an object");
	json_object_foreach(headers, name, value) {
		char *tmp = NULL;
		const char *text = scalar(value, &tmp);
		int rc = 0;

		if (!text) {
			rc = stk_err_set(err, -EPROTO, "header \"%.60s\" in the function's answer is not text", name);
		} else if (strcasecmp(name, "content-type") == 0) {
			free(a->type_text);
			a->type_text = strdup(text);
			a->type = a->type_text;
			if (!a->type_text)
				rc = stk_err_set(err, -ENOMEM, "out of memory");
			else if (strlen(text) > FURL_MAX_TYPE)
				rc = stk_err_set(err, -EPROTO,
						 "content-type in the function's answer has more than %u characters",
						 FURL_MAX_TYPE);
			else if (strpbrk(text, "\r\n"))
				rc = stk_err_set(err, -EPROTO, "content-type in the function's answer has a line break");
		} else if (!hop_header(name)) {
			rc = add_header(a, name, text, err);
		}
		free(tmp);
		if (rc)
			return rc;
	}
	return 0;
}

static int take_cookies(struct furl_answer *a, const json_t *cookies, struct stk_err *err)
{
	size_t i;
	json_t *value;

	if (!cookies || json_is_null(cookies))
		return 0;
	if (!json_is_array(cookies))
		return stk_err_set(err, -EPROTO, "cookies in the function's answer is not a list");
	json_array_foreach(cookies, i, value) {
		int rc;

		if (!json_is_string(value))
			return stk_err_set(err, -EPROTO, "a cookie in the function's answer is not a string");
		rc = add_header(a, "Set-Cookie", json_string_value(value), err);
		if (rc)
			return rc;
	}
	return 0;
}

static int take_body(struct furl_answer *a, const json_t *body, bool base64, struct stk_err *err)
{
	const char *text;
	size_t len;
	long n;

	if (!body || json_is_null(body))
		return 0;
	if (!json_is_string(body)) {
		a->body = (uint8_t *)json_dumps(body, JSON_ENCODE_ANY | JSON_COMPACT);
		if (!a->body)
			return stk_err_set(err, -ENOMEM, "out of memory");
		a->body_len = strlen((char *)a->body);
		return 0;
	}
	text = json_string_value(body);
	len = json_string_length(body);
	a->body = malloc(len + 1);
	if (!a->body)
		return stk_err_set(err, -ENOMEM, "out of memory");
	if (!base64) {
		memcpy(a->body, text, len);
		a->body_len = len;
		return 0;
	}
	n = furl_base64_decode(text, len, a->body);
	if (n < 0)
		return stk_err_set(err, -EPROTO, "the function's answer says isBase64Encoded, but its body is not base64");
	a->body_len = (size_t)n;
	return 0;
}

static int take_status(struct furl_answer *a, const json_t *status, struct stk_err *err)
{
	long v = 0;

	if (json_is_integer(status))
		v = json_integer_value(status) > 1000 ? 0 : (long)json_integer_value(status);
	else if (json_is_string(status) && strlen(json_string_value(status)) == 3)
		v = strtol(json_string_value(status), NULL, 10);
	if (v < 200 || v > 599)
		return stk_err_set(err, -EPROTO, "statusCode in the function's answer is not a number from 200 to 599");
	a->status = (int)v;
	return 0;
}

int furl_answer_parse(const uint8_t *data, size_t len, struct furl_answer *ret_answer, struct stk_err *err)
{
	struct furl_answer a = {.status = 200, .type = "application/json", .passthrough = true};
	size_t at = 0;
	json_t *root = NULL;
	const json_t *base64;
	int rc = 0;

	while (at < len && strchr(" \t\r\n", data[at]) && data[at])
		at++;
	/* Only objects and strings are not sent as they are: no need to parse the rest. */
	if (at < len && (data[at] == '{' || data[at] == '"'))
		root = json_loadb((const char *)data, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (json_is_string(root)) {
		a.passthrough = false;
		rc = take_body(&a, root, false, err);
	} else if (json_is_object(root) && json_object_get(root, "statusCode")) {
		a.passthrough = false;
		base64 = json_object_get(root, "isBase64Encoded");
		rc = take_status(&a, json_object_get(root, "statusCode"), err);
		if (rc == 0)
			rc = take_headers(&a, json_object_get(root, "headers"), err);
		if (rc == 0)
			rc = take_cookies(&a, json_object_get(root, "cookies"), err);
		if (rc == 0)
			rc = take_body(&a, json_object_get(root, "body"), json_is_true(base64), err);
	}
	json_decref(root);
	if (rc) {
		furl_answer_fini(&a);
		return rc;
	}
	*ret_answer = a;
	return 0;
}

int furl_prelude_parse(const uint8_t *data, size_t len, struct furl_answer *ret_answer, struct stk_err *err)
{
	struct furl_answer a = {.status = 200, .type = "application/octet-stream"};
	json_t *root = json_loadb((const char *)data, len, JSON_ALLOW_NUL, NULL);
	const json_t *status = json_object_get(root, "statusCode");
	int rc = 0;

	if (!json_is_object(root))
		rc = stk_err_set(err, -EPROTO, "the prelude of the function's streamed answer is not a JSON object");
	if (rc == 0 && status)
		rc = take_status(&a, status, err);
	if (rc == 0)
		rc = take_headers(&a, json_object_get(root, "headers"), err);
	if (rc == 0)
		rc = take_cookies(&a, json_object_get(root, "cookies"), err);
	json_decref(root);
	if (rc) {
		furl_answer_fini(&a);
		return rc;
	}
	*ret_answer = a;
	return 0;
}

void furl_answer_fini(struct furl_answer *a)
{
	for (unsigned i = 0; i < a->header_count; i++) {
		free(a->header[i].name);
		free(a->header[i].value);
	}
	a->header_count = 0;
	free(a->body);
	a->body = NULL;
	free(a->type_text);
	a->type_text = NULL;
}
