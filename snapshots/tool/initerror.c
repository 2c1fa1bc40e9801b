/* Errors of the init phase: see initerror.h. The texts are Lambda's: tools look for them. */
#include "snapshots/tool/initerror.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/utf8.h"

static char *dump(json_t *obj)
{
	char *text = obj ? json_dumps(obj, JSON_COMPACT) : NULL;

	json_decref(obj);
	return text;
}

static char *make(const char *type, const char *message)
{
	return dump(json_pack("{s:s, s:s}", "errorType", type, "errorMessage", message));
}

/* Guest text as a JSON string: what is no text is replaced. Readers take no NUL, not even as an escape. */
static char *make_n(const char *type, const char *text, size_t len)
{
	char *copy = malloc(len + 1), *out;

	if (!copy)
		return NULL;
	for (size_t i = 0; i < len; i++)
		copy[i] = text[i] ? text[i] : '?';
	copy[len] = '\0';
	stk_utf8_mend(copy);
	out = make(type, copy);
	free(copy);
	return out;
}

/* The runtime's own object, with the two fields every reader counts on. */
static char *from_runtime(const char *body, size_t len)
{
	json_t *obj = json_loadb(body, len, 0, NULL);

	if (!json_is_object(obj)) {
		json_decref(obj);
		return make_n("Runtime.InitError", body, len);
	}
	if (!json_is_string(json_object_get(obj, "errorType")) &&
	    json_object_set_new(obj, "errorType", json_string("Runtime.InitError")) < 0)
		goto drop;
	if (!json_is_string(json_object_get(obj, "errorMessage")) &&
	    json_object_set_new(obj, "errorMessage", json_string("")) < 0)
		goto drop;
	return dump(obj);
drop:
	json_decref(obj);
	return NULL;
}

char *initerror_json(const struct gw_error *e, unsigned init_timeout_ms, unsigned memory_mib)
{
	const char *body = e->body_len ? e->body : "";
	const char *name;
	char text[200];

	switch (e->kind) {
	case GW_ERR_INIT:
	case GW_ERR_FUNCTION:
		return from_runtime(body, e->body_len);
	case GW_ERR_EXIT:
		if (e->detail == 0)
			return make("Runtime.ExitError", "Error: Runtime exited without providing a reason");
		snprintf(text, sizeof(text), "Error: Runtime exited with error: exit status %d", e->detail);
		return make("Runtime.ExitError", text);
	case GW_ERR_SIGNAL:
		name = e->detail > 0 && e->detail < 65 ? sigdescr_np(e->detail) : NULL;
		snprintf(text, sizeof(text), "Error: Runtime exited with error: signal: %s", name ? name : "unknown");
		if (name)
			text[strlen(text) - strlen(name)] = (char)tolower((unsigned char)name[0]);
		return make("Runtime.ExitError", text);
	case GW_ERR_OOM:
		snprintf(text, sizeof(text),
			 "Error: Runtime exited with error: signal: killed (out of memory, the limit is %u MB)",
			 memory_mib);
		return make("Runtime.OutOfMemory", text);
	case GW_ERR_ENTRYPOINT:
		return make_n("Runtime.InvalidEntrypoint", body, e->body_len);
	case GW_ERR_INIT_TIMEOUT:
		snprintf(text, sizeof(text), "Error: Init phase: Task timed out after %u.%02u seconds",
			 init_timeout_ms / 1000, init_timeout_ms % 1000 / 10);
		return make("Sandbox.Timedout", text);
	case GW_ERR_TOO_LARGE:
		return make("Function.ResponseSizeTooLarge", "Error: the init phase's report is too large");
	default:
		return NULL;
	}
}
