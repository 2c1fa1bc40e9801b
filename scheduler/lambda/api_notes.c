/* What is kept beside a function's configuration: tags, function URLs, resource policies. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/str.h"
#include "scheduler/daemon.h"
#include "scheduler/furl_config.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/config_json.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/lambda/policy.h"
#include "scheduler/lambda/tags.h"
#include "scheduler/pool.h"
#include "scheduler/store.h"

#define TAGS_NOTE   "tags"
#define URL_NOTE    FURL_NOTE
#define POLICY_NOTE "policy"
#define UNTAG_MAX   50
#define TAG_KEY_MAX 512 /* bytes of 128 characters */

static void note_stored(struct lambda_change *ch)
{
	struct http_req *req = ch->call.req;

	if (registry_note_set(ch->call.fn, ch->kind, ch->text, ch->json)) {
		if (req)
			lambda_error(req, LAMBDA_SERVICE, "stored, but without effect before a restart: out of memory");
		return;
	}
	if (!req)
		return;
	if (ch->answer)
		lambda_answer(req, ch->number, stk_take_ptr(&ch->answer));
	else
		http_respond(req, ch->number, NULL, NULL, 0);
}

/* json (heap) and answer are taken over; json NULL or "": the note goes. answer NULL: a status without a body. NULL: answered. */
static struct lambda_change *note_change(const struct lambda_call *c, const char *kind, const char *qualifier, char *json,
					 int status, json_t *answer)
{
	struct lambda_change *ch = lambda_change_new(c);

	if (json && !*json)
		free(stk_take_ptr(&json));
	if (!ch) {
		free(json);
		json_decref(answer);
		return NULL;
	}
	ch->json = json;
	ch->answer = answer;
	ch->number = status;
	stk_strcpy(ch->kind, sizeof(ch->kind), kind);
	stk_strcpy(ch->text, sizeof(ch->text), qualifier);
	return ch;
}

static struct store_tx *note_tx(const struct lambda_change *ch)
{
	struct store_tx *tx = store_tx_new();

	store_tx_note(tx, ch->call.fn->name, ch->kind, ch->text, ch->json);
	return tx;
}

/* As note_change, and commits it. */
static void store_note(const struct lambda_call *c, const char *kind, const char *qualifier, char *json, int status,
		       json_t *answer)
{
	struct lambda_change *ch = note_change(c, kind, qualifier, json, status, answer);

	if (ch)
		lambda_change_commit(ch, note_tx(ch), note_stored);
}

/* --- tags ---------------------------------------------------------------------------------------------- */

/* The function whose ARN is in the path. -1: answered. */
static int begin_tags(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *arn)
{
	struct lambda_name name;
	struct lambda_err err;

	if (lambda_tag_resource_parse(arn, &name, &err)) {
		if (lambda_begin(c, d, req) == 0)
			lambda_error_err(req, &err);
		return -1;
	}
	return lambda_begin_function(c, d, req, arn, LAMBDA_TEXT_MAX_NAMESPACED);
}

/* What these tags (or NULL) make of the function's VMs. */
static enum fn_reuse reuse_with(const struct function *fn, const char *tags)
{
	enum fn_reuse reuse = fn->latest->settings.reuse;

	if (!lambda_tags_reuse(tags, &reuse) && lambda_tags_reuse(registry_note(fn, TAGS_NOTE, ""), &reuse))
		reuse = FN_DESTROY; /* as it was by the tag that goes now */
	return reuse;
}

static void tags_stored(struct lambda_change *ch)
{
	struct function *fn = ch->call.fn;
	enum fn_reuse reuse = reuse_with(fn, ch->json);

	pool_set_reuse(fn->latest->pool, reuse);
	if (fn->active)
		pool_set_reuse(fn->active->pool, reuse);
	note_stored(ch);
}

static void store_reuse(struct store_tx *tx, const struct fn_version *v, enum fn_reuse reuse)
{
	struct fn_version row = *v;

	row.settings.reuse = reuse;
	store_tx_version(tx, &row);
}

/* tags (heap) are taken over. */
static void store_tags(const struct lambda_call *c, char *tags)
{
	const struct function *fn = c->fn;
	enum fn_reuse reuse = reuse_with(fn, tags);
	bool changes = reuse != fn->latest->settings.reuse || (fn->active && reuse != fn->active->settings.reuse);
	struct lambda_change *ch;
	struct store_tx *tx;

	if (changes && lambda_is_busy(c)) { /* whoever builds the version writes it */
		free(tags);
		return;
	}
	ch = note_change(c, TAGS_NOTE, "", tags, 204, NULL);
	if (!ch)
		return;
	tx = note_tx(ch);
	if (changes) {
		store_reuse(tx, fn->latest, reuse);
		if (fn->active && fn->active != fn->latest)
			store_reuse(tx, fn->active, reuse);
	}
	lambda_change_commit(ch, tx, tags_stored);
}

void lambda_list_tags(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;

	if (begin_tags(&c, ctx, req, m->value[0]) == 0)
		lambda_answer(req, 200, json_pack("{s:o}", "Tags", lambda_json_object(registry_note(c.fn, TAGS_NOTE, ""))));
}

void lambda_tag(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct lambda_err err;
	size_t len = 0;
	const uint8_t *text;
	char *tags;

	if (begin_tags(&c, ctx, req, m->value[0]) || lambda_is_changing(&c))
		return;
	text = http_req_body(req, &len);
	if (lambda_tags_add(registry_note(c.fn, TAGS_NOTE, ""), (const char *)text, len, &tags, &err))
		lambda_error_err(req, &err);
	else
		store_tags(&c, tags);
}

void lambda_untag(void *ctx, struct http_req *req, const struct router_match *m)
{
	char name[32], value[TAG_KEY_MAX + 1], *keys[UNTAG_MAX], *tags;
	const char *cursor = http_req_query(req);
	struct lambda_call c;
	struct lambda_err err;
	size_t count = 0;
	int rc;

	if (begin_tags(&c, ctx, req, m->value[0]) || lambda_is_changing(&c))
		return;
	while ((rc = http_query_next(&cursor, name, sizeof(name), value, sizeof(value))) == 1 && count < UNTAG_MAX) {
		if (strcmp(name, "tagKeys") == 0 && !(keys[count++] = strdup(value)))
			break;
	}
	if (rc || count == 0 || /* 1: there are more */ !keys[count - 1]) {
		lambda_err_set(&err, LAMBDA_INVALID_PARAMETER, "tagKeys: 1 to %d keys must be given", UNTAG_MAX);
		rc = -1;
	} else {
		rc = lambda_tags_remove(registry_note(c.fn, TAGS_NOTE, ""), (const char *const *)keys, count, &tags, &err);
	}
	while (count)
		free(keys[--count]);
	if (rc)
		lambda_error_err(req, &err);
	else
		store_tags(&c, tags);
}

/* --- function URLs ---------------------------------------------------------------------------------------- */

/* Kept as {"Iam":b,"Streaming":b,"Cors":{..},"CreatedMs":n,"ModifiedMs":n}. */
static json_t *show_url(const struct lambda_call *c, const char *qualifier, const char *json, bool created)
{
	json_t *o = lambda_json_object(json), *cors = json_object_get(o, "Cors"), *answer = NULL;
	const char *host = c->req ? http_req_header(c->req, "host") : NULL;
	char arn[LAMBDA_ARN_MAX], url[512], *cors_text = cors ? lambda_json_text(cors) : NULL;
	struct lambda_url_view v = {.url = url, .arn = arn, .iam = json_is_true(json_object_get(o, "Iam")),
		.streaming = json_is_true(json_object_get(o, "Streaming")), .cors = cors_text,
		.created_ms = json_integer_value(json_object_get(o, "CreatedMs")),
		.modified_ms = json_integer_value(json_object_get(o, "ModifiedMs"))};

	lambda_arn_of(c->d, c->fn, qualifier, arn);
	if (o && stk_snprintf(url, sizeof(url), "http://%.300s/function/%s%s%s/", host ? host : "localhost", c->fn->name,
			      *qualifier ? ":" : "", qualifier) == 0)
		answer = lambda_url_json(&v, created);
	free(cors_text);
	json_decref(o);
	return answer;
}

static char *url_text(const char *old, const struct lambda_url *u)
{
	json_int_t now = (json_int_t)(stk_wall_ns() / STK_NS_PER_MS);
	json_t *o = lambda_json_object(old);
	char *text;

	if (!o)
		return NULL;
	if (!old)
		json_object_set_new(o, "CreatedMs", json_integer(now));
	json_object_set_new(o, "ModifiedMs", json_integer(now));
	if (u->has & LAMBDA_URL_AUTH)
		json_object_set_new(o, "Iam", json_boolean(u->iam));
	if (u->has & LAMBDA_URL_MODE)
		json_object_set_new(o, "Streaming", json_boolean(u->streaming));
	if (u->has & LAMBDA_URL_CORS) {
		if (u->cors && *u->cors)
			json_object_set_new(o, "Cors", lambda_json_object(u->cors));
		else
			json_object_del(o, "Cors");
	}
	text = lambda_json_text(o);
	json_decref(o);
	return text;
}

/* An URL is of the function or of an alias. -1: answered. */
static int begin_url(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *name, bool must_exist)
{
	if (lambda_begin_function(c, d, req, name, LAMBDA_TEXT_MAX))
		return -1;
	if (c->name.kind == LAMBDA_Q_NUMBER || c->name.kind == LAMBDA_Q_LATEST) {
		lambda_error(req, LAMBDA_VALIDATION, "1 validation error detected: Value at 'qualifier' failed to satisfy constraint: "
			     "Member must be the name of an alias");
		return -1;
	}
	if (c->name.kind == LAMBDA_Q_ALIAS && !lambda_version(c))
		return -1;
	if (must_exist && !registry_note(c->fn, URL_NOTE, c->name.qualifier)) {
		lambda_error(req, LAMBDA_RESOURCE_NOT_FOUND, "The resource you requested does not exist.");
		return -1;
	}
	return 0;
}

static void change_url(struct lambda_call *c, bool create)
{
	const char *old = registry_note(c->fn, URL_NOTE, c->name.qualifier);
	struct lambda_err err;
	struct lambda_url u;
	size_t len = 0;
	const uint8_t *text = http_req_body(c->req, &len);
	char *json;

	if (lambda_url_parse((const char *)text, len, create, &u, &err)) {
		lambda_error_err(c->req, &err);
		return;
	}
	json = url_text(old, &u);
	lambda_url_fini(&u);
	if (json)
		store_note(c, URL_NOTE, c->name.qualifier, json, create ? 201 : 200, show_url(c, c->name.qualifier, json, create));
	else
		lambda_error(c->req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
}

void lambda_create_url(void *ctx, struct http_req *req, const struct router_match *m)
{
	char text[256];
	struct lambda_call c;

	if (begin_url(&c, ctx, req, m->value[0], false) || lambda_is_changing(&c))
		return;
	if (!registry_note(c.fn, URL_NOTE, c.name.qualifier)) {
		change_url(&c, true);
		return;
	}
	snprintf(text, sizeof(text), "FunctionUrlConfig exists for this Lambda function: %s", c.fn->name);
	lambda_error(req, LAMBDA_RESOURCE_CONFLICT, text);
}

void lambda_update_url(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;

	if (begin_url(&c, ctx, req, m->value[0], true) == 0 && !lambda_is_changing(&c))
		change_url(&c, false);
}

void lambda_get_url(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;

	if (begin_url(&c, ctx, req, m->value[0], true) == 0)
		lambda_answer(req, 200, show_url(&c, c.name.qualifier, registry_note(c.fn, URL_NOTE, c.name.qualifier), false));
}

void lambda_delete_url(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;

	if (begin_url(&c, ctx, req, m->value[0], true) == 0 && !lambda_is_changing(&c))
		store_note(&c, URL_NOTE, c.name.qualifier, NULL, 204, NULL);
}

void lambda_list_urls(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	json_t *array, *answer;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX))
		return;
	array = json_array();
	answer = json_pack("{s:o}", "FunctionUrlConfigs", array);
	for (unsigned i = 0; answer && i < c.fn->note_count; i++) {
		const struct fn_note *n = c.fn->notes[i];

		if (strcmp(n->kind, URL_NOTE) == 0)
			json_array_append_new(array, show_url(&c, n->qualifier, n->json, false));
	}
	lambda_answer(req, 200, answer);
}

/* --- policies --------------------------------------------------------------------------------------------- */

static int begin_policy(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *name)
{
	if (lambda_begin_function(c, d, req, name, LAMBDA_TEXT_MAX))
		return -1;
	return c->name.kind == LAMBDA_Q_NONE || lambda_version(c) ? 0 : -1;
}

/* revision: what the client thinks that it is, or "". */
static int policy_revision_differs(const struct lambda_call *c, const char *revision, struct lambda_err *err)
{
	if (!*revision || strcmp(revision, c->fn->latest->revision) == 0)
		return 0;
	return lambda_err_set(err, LAMBDA_PRECONDITION_FAILED,
			      "The RevisionId provided does not match the latest RevisionId. Call the GetPolicy API to "
			      "retrieve the latest RevisionId");
}

void lambda_add_permission(void *ctx, struct http_req *req, const struct router_match *m)
{
	char arn[LAMBDA_ARN_MAX], *statements;
	struct lambda_permission p;
	struct lambda_call c;
	struct lambda_err err;
	json_t *answer;
	size_t len = 0;
	const uint8_t *text;

	if (begin_policy(&c, ctx, req, m->value[0]) || lambda_is_changing(&c))
		return;
	text = http_req_body(req, &len);
	lambda_arn_of(c.d, c.fn, c.name.qualifier, arn);
	if (lambda_permission_parse((const char *)text, len, arn, &p, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	if (policy_revision_differs(&c, p.revision, &err) ||
	    lambda_policy_add(registry_note(c.fn, POLICY_NOTE, c.name.qualifier), &p, &statements, &err)) {
		lambda_error_err(req, &err);
	} else {
		answer = json_pack("{s:s}", "Statement", p.statement);
		store_note(&c, POLICY_NOTE, c.name.qualifier, statements, 201, answer);
	}
	lambda_permission_fini(&p);
}

static void no_policy(struct http_req *req)
{
	lambda_error(req, LAMBDA_RESOURCE_NOT_FOUND, "The resource you requested does not exist.");
}

void lambda_get_policy(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	const char *statements;
	char *document;

	if (begin_policy(&c, ctx, req, m->value[0]))
		return;
	statements = registry_note(c.fn, POLICY_NOTE, c.name.qualifier);
	if (!statements) {
		no_policy(req);
		return;
	}
	document = lambda_policy_document(statements);
	lambda_answer(req, 200, document ? json_pack("{s:s, s:s}", "Policy", document, "RevisionId", c.fn->latest->revision) : NULL);
	free(document);
}

void lambda_remove_permission(void *ctx, struct http_req *req, const struct router_match *m)
{
	char *rest, revision[LAMBDA_REVISION_MAX + 1] = "";
	struct lambda_call c;
	struct lambda_err err;
	const char *statements;

	if (begin_policy(&c, ctx, req, m->value[0]) || lambda_is_changing(&c))
		return;
	statements = registry_note(c.fn, POLICY_NOTE, c.name.qualifier);
	if (!statements)
		no_policy(req);
	else if (lambda_query(http_req_query(req), "RevisionId", revision, sizeof(revision), &err) < 0 ||
		 policy_revision_differs(&c, revision, &err) || lambda_policy_remove(statements, m->value[1], &rest, &err))
		lambda_error_err(req, &err);
	else
		store_note(&c, POLICY_NOTE, c.name.qualifier, rest, 204, NULL);
}
