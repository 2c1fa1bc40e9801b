/* Function URLs' configuration: see furl_config.h. */
#include "scheduler/furl_config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/str.h"
#include "common/host/http_server.h"
#include "scheduler/registry.h"

#define LIST_CAP 2048

/* The note, or NULL. */
static const char *note_of(const struct registry *r, const char *text)
{
	const char *colon = strchr(text, ':');
	char name[FN_NAME_MAX + 1];
	const struct function *fn;

	if (stk_snprintf(name, sizeof(name), "%.*s", (int)(colon ? colon - text : (long)strlen(text)), text))
		return NULL;
	fn = registry_find(r, name);
	return fn && fn->note_count ? registry_note(fn, FURL_NOTE, colon ? colon + 1 : "") : NULL;
}

bool furl_is_url(const struct function *fn, const char *qualifier)
{
	return fn->note_count && registry_note(fn, FURL_NOTE, qualifier ? qualifier : "");
}

bool furl_is_open(const struct registry *r, const char *text)
{
	const char *note = note_of(r, text);
	json_t *o = note ? json_loads(note, 0, NULL) : NULL;
	bool open = o && !json_is_true(json_object_get(o, "Iam"));

	json_decref(o);
	return open;
}

bool furl_is_buffered(const struct function *fn, const char *qualifier)
{
	const char *note = fn->note_count ? registry_note(fn, FURL_NOTE, qualifier ? qualifier : "") : NULL;
	json_t *o = note ? json_loads(note, 0, NULL) : NULL;
	bool buffered = o && !json_is_true(json_object_get(o, "Streaming"));

	json_decref(o);
	return buffered;
}

/* "*" in a list of origins stands for all, in one of them ("https://" "*" ".example.com") for any text. */
static bool origin_fits(const char *pattern, const char *origin)
{
	const char *star = strchr(pattern, '*');
	size_t before = star ? (size_t)(star - pattern) : 0, after = star ? strlen(star + 1) : 0, len = strlen(origin);

	if (!star)
		return strcasecmp(pattern, origin) == 0;
	return len >= before + after && strncasecmp(pattern, origin, before) == 0 &&
	       strcasecmp(star + 1, origin + len - after) == 0;
}

static bool origin_allowed(const json_t *cors, const char *origin)
{
	const json_t *list = json_object_get(cors, "AllowOrigins"), *one;
	size_t i;

	json_array_foreach(list, i, one) {
		if (json_is_string(one) && origin_fits(json_string_value(one), origin))
			return true;
	}
	return false;
}

static void add_list(struct http_req *req, const char *header, const json_t *list)
{
	char text[LIST_CAP];
	const json_t *one;
	size_t i, len = 0;

	json_array_foreach(list, i, one) {
		const char *s = json_string_value(one);
		size_t n = s ? strlen(s) : 0;

		if (!n || len + n + 2 >= sizeof(text))
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? "," : "", s);
	}
	if (len)
		http_resp_header(req, header, text);
}

bool furl_cors_apply(const json_t *cors, struct http_req *req)
{
	const char *origin = http_req_header(req, "origin");
	bool preflight = strcmp(http_req_method(req), "OPTIONS") == 0 && http_req_header(req, "access-control-request-method");
	const json_t *age = json_object_get(cors, "MaxAge");
	char text[24];

	if (!origin)
		return false;
	http_resp_header(req, "Vary", "Origin");
	if (origin_allowed(cors, origin)) {
		http_resp_header(req, "Access-Control-Allow-Origin", origin);
		if (json_is_true(json_object_get(cors, "AllowCredentials")))
			http_resp_header(req, "Access-Control-Allow-Credentials", "true");
		if (preflight) {
			add_list(req, "Access-Control-Allow-Methods", json_object_get(cors, "AllowMethods"));
			add_list(req, "Access-Control-Allow-Headers", json_object_get(cors, "AllowHeaders"));
			if (json_is_integer(age)) {
				snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(age));
				http_resp_header(req, "Access-Control-Max-Age", text);
			}
		} else {
			add_list(req, "Access-Control-Expose-Headers", json_object_get(cors, "ExposeHeaders"));
		}
	}
	if (preflight)
		http_respond(req, 200, NULL, NULL, 0);
	return preflight;
}

bool furl_cors(const struct registry *r, const char *text, struct http_req *req)
{
	const char *note = note_of(r, text);
	json_t *o = note ? json_loads(note, 0, NULL) : NULL;
	const json_t *cors = json_object_get(o, "Cors");
	bool answered = cors && furl_cors_apply(cors, req);

	json_decref(o);
	return answered;
}
