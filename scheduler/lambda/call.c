/* What the operations have in common: see api.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "scheduler/auth/auth.h"
#include "scheduler/commit.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/region.h"
#include "scheduler/store.h"

static void out_of_memory(struct http_req *req)
{
	lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
}

int lambda_begin(struct lambda_call *c, struct daemon *d, struct http_req *req)
{
	memset(c, 0, sizeof(*c));
	c->d = d;
	c->req = req;
	c->who = auth_of(req);
	c->account = c->who ? c->who->account : "000000000000";
	if (lambda_request_id(req, c->id) == 0)
		return 0;
	lambda_error(req, LAMBDA_SERVICE, "no random bytes");
	return -1;
}

int lambda_begin_named(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *text, size_t max)
{
	char qualifier[LAMBDA_QUALIFIER_MAX + 2];
	struct lambda_err err;
	int rc = lambda_begin(c, d, req);

	if (rc)
		return rc;
	rc = lambda_name_parse(text, max, &c->name, &err);
	if (rc == 0)
		rc = lambda_query(http_req_query(req), "Qualifier", qualifier, sizeof(qualifier), &err);
	if (rc > 0)
		rc = lambda_name_qualify(&c->name, qualifier, &err);
	if (rc == 0)
		rc = lambda_name_here(&c->name, region_name(), c->account, &err);
	if (rc) {
		lambda_error_err(req, &err);
		return -1;
	}
	if (tenants_scope(c->who, c->name.name, c->key, sizeof(c->key))) {
		lambda_not_found(c);
		return -1;
	}
	c->fn = registry_find(&d->registry, c->key);
	if (c->fn && !c->fn->latest)
		c->fn = NULL;
	return 0;
}

const char *lambda_host(const struct http_req *req)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
	const char *host = http_req_header(req, "host");
	size_t n = host ? strlen(host) : 0;

	return n && n <= LAMBDA_HOST_MAX && strspn(host, allowed) == n ? host : "localhost";
}

json_t *lambda_location(const struct daemon *d, const char *host, const char *path)
{
	char link[CODELINK_MAX];

	if (codelink_make(&d->codelink, path, (int64_t)(stk_wall_ns() / STK_NS_PER_S), link))
		return NULL;
	return json_sprintf("http://%s%s", host, link);
}

void lambda_arn_of(const struct daemon *d, const struct function *fn, const char *qualifier, char ret[LAMBDA_ARN_MAX])
{
	char name[FN_BARE_MAX + 1];

	fn_bare_name(fn->name, name);
	lambda_arn(ret, LAMBDA_ARN_MAX, region_name(), fn->tenant ? fn->tenant->account : "000000000000", name, qualifier);
}

void lambda_not_found(const struct lambda_call *c)
{
	char arn[LAMBDA_ARN_MAX], text[LAMBDA_ARN_MAX + 32];

	lambda_arn(arn, sizeof(arn), region_name(), c->account, c->name.name, c->name.qualifier);
	stk_snprintf(text, sizeof(text), "Function not found: %s", arn);
	lambda_error(c->req, LAMBDA_RESOURCE_NOT_FOUND, text);
}

int lambda_begin_function(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *text, size_t max)
{
	int rc = lambda_begin_named(c, d, req, text, max);

	if (rc == 0 && !c->fn) {
		lambda_not_found(c);
		return -1;
	}
	return rc;
}

struct fn_version *lambda_version(const struct lambda_call *c)
{
	struct fn_version *v = NULL;
	const struct fn_alias *a;

	switch (c->name.kind) {
	case LAMBDA_Q_NONE:
	case LAMBDA_Q_LATEST:
		return c->fn->latest;
	case LAMBDA_Q_NUMBER:
		v = registry_published(c->fn, c->name.version);
		break;
	case LAMBDA_Q_ALIAS:
		a = registry_alias(c->fn, c->name.qualifier);
		if (a)
			v = a->version ? registry_published(c->fn, a->version) : c->fn->latest;
		break;
	}
	if (!v)
		lambda_not_found(c);
	return v;
}

/* Always true. */
static bool refuse_busy(const struct lambda_call *c)
{
	char arn[LAMBDA_ARN_MAX], text[LAMBDA_ARN_MAX + 128];

	lambda_arn_of(c->d, c->fn, NULL, arn);
	stk_snprintf(text, sizeof(text),
		     "The operation cannot be performed at this time. An update is in progress for resource: %s", arn);
	lambda_error(c->req, LAMBDA_RESOURCE_CONFLICT, text);
	return true;
}

int lambda_check_revision(const char *given, const char *now, struct lambda_err *err)
{
	if (!*given || strcmp(given, now) == 0)
		return 0;
	return lambda_err_set(err, LAMBDA_PRECONDITION_FAILED,
			      "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to "
			      "retrieve the latest RevisionId");
}

bool lambda_is_busy(const struct lambda_call *c)
{
	return lambda_is_changing(c) || (c->fn && (c->fn->building || c->fn->deploying) && refuse_busy(c));
}

bool lambda_is_changing(const struct lambda_call *c)
{
	return c->fn && c->fn->busy && refuse_busy(c);
}

void lambda_answer(struct http_req *req, int status, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;

	json_decref(value);
	if (text)
		http_respond_take(req, status, "application/json", text, strlen(text));
	else
		out_of_memory(req);
}

/* --- changes ---------------------------------------------------------------------------------------- */

struct change {
	struct front_owner owner; /* first */
	struct lambda_change ch;
	void (*then)(struct lambda_change *ch);
};

static void change_gone(struct front_owner *owner)
{
	((struct change *)owner)->ch.call.req = NULL;
}

struct lambda_change *lambda_change_new(const struct lambda_call *c)
{
	struct change *g = calloc(1, sizeof(*g));

	if (!g) {
		out_of_memory(c->req);
		return NULL;
	}
	g->owner.gone = change_gone;
	g->ch.call = *c;
	http_req_set_ptr(c->req, &g->owner);
	return &g->ch;
}

static void change_free(struct change *g)
{
	json_decref(g->ch.answer);
	if (g->ch.alias) {
		free(g->ch.alias->description);
		free(g->ch.alias);
	}
	free(g->ch.json);
	free(g);
}

static void committed(void *ctx, int rc, const struct stk_err *err)
{
	struct change *g = ctx;
	struct http_req *req = g->ch.call.req;

	g->ch.call.fn->busy = false;
	if (req)
		http_req_set_ptr(req, NULL);
	if (rc == 0)
		g->then(&g->ch);
	else if (req)
		lambda_error(req, LAMBDA_SERVICE, err->text);
	change_free(g);
}

void lambda_change_drop(struct lambda_change *ch, enum lambda_error_type type, const char *text)
{
	http_req_set_ptr(ch->call.req, NULL);
	lambda_error(ch->call.req, type, text);
	change_free(STK_CONTAINER_OF(ch, struct change, ch));
}

void lambda_change_commit(struct lambda_change *ch, struct store_tx *tx, void (*then)(struct lambda_change *ch))
{
	struct change *g = STK_CONTAINER_OF(ch, struct change, ch);

	g->then = then;
	ch->call.fn->busy = true;
	commit_later(ch->call.d, tx, committed, g);
}
