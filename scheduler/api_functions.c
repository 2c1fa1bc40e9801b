/* /v1/functions: list, show, delete. (PUT is in deploy.c, logs are in api_logs.c.) */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "scheduler/answer.h"
#include "scheduler/auth/auth.h"
#include "scheduler/commit.h"
#include "scheduler/daemon.h"
#include "scheduler/describe.h"
#include "scheduler/front.h"
#include "scheduler/lifecycle.h"
#include "scheduler/pool.h"
#include "scheduler/store.h"

#define LIST_MAX 500 /* functions in one answer */

static const char *const check_names[] = {
	[FN_UNCHECKED] = "pending",
	[FN_CHECKING] = "checking",
	[FN_REBUILDING] = "rebuilding",
	[FN_GOOD] = "ready",
	[FN_BROKEN] = "broken",
};

/* Of NAME=VALUE pairs the names: values may be secrets. */
static json_t *describe_names(const char *pairs, size_t len)
{
	json_t *names = json_array();

	for (size_t at = 0; names && at < len; at += strlen(pairs + at) + 1)
		json_array_append_new(names, json_stringn(pairs + at, strcspn(pairs + at, "=")));
	return names;
}

/* As the function's owner names them; with the tenant's name those of another one. */
static json_t *describe_layers(const struct function *fn, const struct fn_settings *s)
{
	json_t *layers = json_array();

	for (unsigned i = 0; layers && i < s->layer_count; i++) {
		const char *name = s->layers[i].name, *dot = strchr(name, '.');
		bool own = strcmp(dot ? dot + 1 : TENANTS_DEFAULT, fn->tenant->name) == 0;

		json_array_append_new(layers, json_sprintf("%.*s:%u", (int)(own ? strcspn(name, ".") : strlen(name)), name,
							   s->layers[i].version));
	}
	return layers;
}

json_t *describe_function(const struct function *fn)
{
	const struct fn_version *v = fn->active ? fn->active : fn->latest;
	const struct pool *p = v->pool;
	time_t secs = (time_t)(v->created_ms / 1000);
	struct tm tm;
	char when[40], name[FN_BARE_MAX + 1];
	json_t *o;

	fn_bare_name(fn->name, name);
	gmtime_r(&secs, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	o = json_pack("{s:s, s:i, s:s, s:s, s:i, s:i, s:i, s:s, s:s, s:I, s:s}", "name", name, "version",
		      (int)v->number, "runtime", v->settings.runtime, "handler", v->settings.handler, "memory",
		      (int)v->settings.memory_mib, "timeout", (int)v->settings.timeout_s,
		      "ephemeralStorage", (int)v->settings.storage_mib, "reuse",
		      fn_reuse_name(v->settings.reuse), "state",
		      check_names[v->check], "codeSize", (json_int_t)v->code_size, "lastModified", when);
	if (!o)
		return NULL;
	if (strcmp(fn->tenant->name, TENANTS_DEFAULT) != 0)
		json_object_set_new(o, "tenant", json_string(fn->tenant->name));
	if (v->check == FN_BROKEN)
		json_object_set_new(o, "stateReason", json_string(v->check_err.text));
	json_object_set_new(o, "environment", describe_names(v->settings.env, v->settings.env_len));
	if (v->settings.secrets_len)
		json_object_set_new(o, "secrets", describe_names(v->settings.secrets, v->settings.secrets_len));
	if (v->settings.layer_count)
		json_object_set_new(o, "layers", describe_layers(fn, &v->settings));
	if (p)
		json_object_set_new(o, "pool",
				    json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "warm", (int)p->warm_count, "starting",
					      (int)(p->starting + p->reserved), "busy", (int)p->busy, "resetting",
					      (int)p->resetting, "waiting",
					      (int)(p->queued + p->forced_count), "target", (int)p->target));
	return o;
}

/* The function named in the path, or NULL (answered). */
static struct function *wanted(struct daemon *d, struct http_req *req, const struct router_match *m, char *ret_id)
{
	struct function *fn = registry_find(&d->registry, m->value[0]);

	if (front_request_id(req, ret_id))
		ret_id[0] = '\0';
	if (fn && fn->latest)
		return fn;
	answer_error(req, 404, "FunctionNotFound", "no function of this name is deployed", ret_id);
	return NULL;
}

/* ?after=NAME&limit=N. -1: answered. */
static int read_page(struct http_req *req, const char *id, char *ret_after, unsigned *ret_limit)
{
	char key[16], value[FN_NAME_MAX + 1];
	const char *query = http_req_query(req);
	uint64_t n;
	int rc;

	*ret_after = '\0';
	*ret_limit = LIST_MAX;
	while ((rc = http_query_next(&query, key, sizeof(key), value, sizeof(value))) == 1) {
		if (strcmp(key, "after") == 0)
			strcpy(ret_after, value);
		else if (strcmp(key, "limit") == 0 && stk_parse_u64(value, 1, LIST_MAX, &n) == 0)
			*ret_limit = (unsigned)n;
		else
			rc = -EINVAL;
		if (rc < 0)
			break;
	}
	if (rc == 0)
		return 0;
	answer_error(req, 400, "BadRequest", "the query may have after=NAME and limit=N, 1 to 500", id);
	return -1;
}

void api_functions_list(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	const struct registry *r = &d->registry;
	char id[64], after[FN_NAME_MAX + 1];
	unsigned limit, i, n = 0;
	const char *last = NULL;
	json_t *array, *answer;

	front_request_id(req, id);
	if (read_page(req, id, after, &limit))
		return;
	array = json_array();
	answer = json_pack("{s:o}", "functions", array);
	i = registry_behind(r, after);
	for (; answer && i < r->count; i++) {
		const struct function *fn = r->sorted[i];

		if (!tenants_shows(auth_of(req), fn->name)) /* others' functions do not follow, either */
			continue;
		if (n++ == limit) {
			json_object_set_new(answer, "next", json_string(last));
			break;
		}
		json_array_append_new(array, describe_function(fn));
		last = fn->name;
	}
	answer_json(req, 200, answer);
}

void api_functions_show(void *ctx, struct http_req *req, const struct router_match *m)
{
	char id[64];
	struct function *fn = wanted(ctx, req, m, id);

	if (fn)
		answer_json(req, 200, describe_function(fn));
}

/* --- delete ----------------------------------------------------------------------------------- */

struct removal {
	struct front_owner owner;
	struct daemon *d;
	struct http_req *req;
	struct function *fn;
	char id[64];
};

static void removal_gone(struct front_owner *owner)
{
	((struct removal *)owner)->req = NULL;
}

static void deleted(void *ctx, int rc, const struct stk_err *err)
{
	struct removal *r = ctx;

	r->fn->busy = false;
	if (rc == 0) {
		stk_info("%s: deleted", r->fn->name);
		lifecycle_drop(r->d, r->fn);
	}
	if (r->req) {
		http_req_set_ptr(r->req, NULL);
		if (rc)
			answer_error(r->req, 500, "Internal", err->text, r->id);
		else
			http_respond(r->req, 204, NULL, NULL, 0);
	}
	free(r);
}

void api_functions_delete(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	char id[64];
	struct function *fn = wanted(d, req, m, id);
	struct store_tx *tx;
	struct removal *r;

	if (!fn)
		return;
	if (fn->busy || fn->deploying) {
		answer_error(req, 409, "Conflict", "a deploy or delete of this function is under way", id);
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
		return;
	}
	r->owner.gone = removal_gone;
	r->d = d;
	r->req = req;
	r->fn = fn;
	stk_strcpy(r->id, sizeof(r->id), id);
	fn->busy = true;
	http_req_set_ptr(req, &r->owner);
	tx = store_tx_new();
	store_tx_drop_function(tx, fn->name);
	commit_later(d, tx, deleted, r);
}
