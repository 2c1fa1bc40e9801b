/* Aliases: names for versions, with a share of the calls for a second version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/daemon.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/config_json.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/lifecycle.h"
#include "scheduler/provisioned.h"
#include "scheduler/store.h"

static json_t *show(const struct lambda_call *c, const struct fn_alias *a)
{
	char arn[LAMBDA_ARN_MAX], version[FN_VERSION_TEXT], to[FN_VERSION_TEXT];
	struct lambda_alias_view v = {.arn = arn, .name = a->name, .version = version, .description = a->description,
		.revision = a->revision, .to = a->additional ? to : NULL, .weight = a->weight};

	lambda_arn_of(c->d, c->fn, a->name, arn);
	fn_version_text(a->version, version);
	fn_version_text(a->additional, to);
	return lambda_alias_json(&v);
}

static int not_there(struct lambda_err *err, const struct lambda_call *c, const char *qualifier)
{
	char arn[LAMBDA_ARN_MAX];

	lambda_arn_of(c->d, c->fn, qualifier, arn);
	return lambda_err_set(err, LAMBDA_RESOURCE_NOT_FOUND, "Function not found: %s", arn);
}

static int alias_not_there(struct lambda_err *err, const struct lambda_call *c, const char *name)
{
	char arn[LAMBDA_ARN_MAX];

	lambda_arn_of(c->d, c->fn, name, arn);
	return lambda_err_set(err, LAMBDA_RESOURCE_NOT_FOUND, "Cannot find alias arn: %s", arn);
}

static int check_version(const struct lambda_call *c, unsigned number, bool latest, struct lambda_err *err)
{
	char text[FN_VERSION_TEXT];

	if (latest || (number && registry_published(c->fn, number)))
		return 0;
	snprintf(text, sizeof(text), "%u", number);
	return not_there(err, c, text);
}

/* The alias as it will be: of the old one (or NULL) and what was given. */
static int merge(const struct lambda_call *c, const struct fn_alias *old, const struct lambda_alias *body,
		 struct fn_alias **ret, struct lambda_err *err)
{
	struct lambda_alias whole = *body;
	struct fn_alias *a;
	const char *description = body->has & LAMBDA_ALIAS_DESCRIPTION ? body->description : old ? old->description : NULL;

	if (old && !(body->has & LAMBDA_ALIAS_VERSION)) {
		whole.version = old->version;
		whole.latest = !old->version;
	}
	if (old && !(body->has & LAMBDA_ALIAS_ROUTING)) {
		whole.routed = old->additional != 0;
		whole.to = old->additional;
		whole.weight = old->weight;
	}
	if (lambda_alias_check(&whole, err) || check_version(c, whole.version, whole.latest, err) ||
	    (whole.routed && check_version(c, whole.to, false, err)))
		return -1;
	a = calloc(1, sizeof(*a));
	if (!a || ids_uuid(a->revision) || (description && !(a->description = strdup(description)))) {
		free(a);
		return lambda_err_nomem(err);
	}
	stk_strcpy(a->name, sizeof(a->name), old ? old->name : body->name);
	a->version = whole.latest ? 0 : whole.version;
	a->additional = whole.routed ? whole.to : 0;
	a->weight = whole.routed ? whole.weight : 0;
	*ret = a;
	return 0;
}

static void stored(struct lambda_change *ch)
{
	struct http_req *req = ch->call.req;
	char name[sizeof(ch->alias->name)];

	memcpy(name, ch->alias->name, sizeof(name));
	if (registry_alias_set(ch->call.fn, stk_take_ptr(&ch->alias)) == 0)
		provisioned_apply(ch->call.d, ch->call.fn);
	if (!registry_alias(ch->call.fn, name)) {
		if (req)
			lambda_error(req, LAMBDA_SERVICE,
				     "the alias is stored but has no effect before a restart: out of memory");
	} else if (req) {
		lambda_answer(req, ch->number, show(&ch->call, registry_alias(ch->call.fn, name)));
	}
}

/* Takes a over. */
static void put(const struct lambda_call *c, struct fn_alias *a, int status)
{
	struct lambda_change *ch = lambda_change_new(c);
	struct store_tx *tx;

	if (!ch) {
		free(a->description);
		free(a);
		return;
	}
	ch->alias = a;
	ch->number = status;
	tx = store_tx_new();
	store_tx_alias(tx, c->fn->name, a);
	lambda_change_commit(ch, tx, stored);
}

void lambda_create_alias(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_alias body;
	struct lambda_call c;
	struct lambda_err err;
	struct fn_alias *a;
	char arn[LAMBDA_ARN_MAX];
	size_t len = 0;
	const uint8_t *text;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX) || lambda_is_changing(&c))
		return;
	text = http_req_body(req, &len);
	if (lambda_alias_create_parse((const char *)text, len, &body, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	if (registry_alias(c.fn, body.name)) {
		lambda_arn_of(c.d, c.fn, body.name, arn);
		lambda_err_set(&err, LAMBDA_RESOURCE_CONFLICT, "Alias already exists: %s", arn);
		lambda_error_err(req, &err);
	} else if (merge(&c, NULL, &body, &a, &err)) {
		lambda_error_err(req, &err);
	} else {
		put(&c, a, 201);
	}
}

void lambda_update_alias(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_alias body;
	struct lambda_call c;
	struct lambda_err err;
	struct fn_alias *old, *a;
	size_t len = 0;
	const uint8_t *text;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX) || lambda_is_changing(&c))
		return;
	text = http_req_body(req, &len);
	old = registry_alias(c.fn, m->value[1]);
	if (lambda_alias_update_parse((const char *)text, len, &body, &err) ||
	    (!old && alias_not_there(&err, &c, m->value[1])) ||
	    lambda_check_revision(body.revision, old->revision, &err) ||
	    merge(&c, old, &body, &a, &err))
		lambda_error_err(req, &err);
	else
		put(&c, a, 200);
}

void lambda_get_alias(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct lambda_err err;
	struct fn_alias *a;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX))
		return;
	a = registry_alias(c.fn, m->value[1]);
	if (a) {
		lambda_answer(req, 200, show(&c, a));
		return;
	}
	alias_not_there(&err, &c, m->value[1]);
	lambda_error_err(req, &err);
}

static void dropped(struct lambda_change *ch)
{
	lifecycle_drop_alias(ch->call.d, ch->call.fn, ch->text);
	if (ch->call.req)
		http_respond(ch->call.req, 204, NULL, NULL, 0);
}

void lambda_delete_alias(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_change *ch;
	struct lambda_call c;
	struct store_tx *tx;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX) || lambda_is_changing(&c))
		return;
	if (!registry_alias(c.fn, m->value[1])) { /* gone is gone */
		http_respond(req, 204, NULL, NULL, 0);
		return;
	}
	ch = lambda_change_new(&c);
	if (!ch)
		return;
	stk_strcpy(ch->text, sizeof(ch->text), m->value[1]);
	tx = store_tx_new();
	store_tx_drop_alias(tx, c.fn->name, ch->text);
	store_tx_drop_notes(tx, c.fn->name, ch->text);
	lambda_change_commit(ch, tx, dropped);
}

void lambda_list_aliases(void *ctx, struct http_req *req, const struct router_match *m)
{
	char marker[LAMBDA_MARKER_MAX], version[16];
	struct lambda_page page;
	struct lambda_call c;
	struct lambda_err err;
	json_t *answer, *array;
	uint64_t only = 0;
	unsigned n = 0, i;
	int filter;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX))
		return;
	filter = lambda_query(http_req_query(req), "FunctionVersion", version, sizeof(version), &err);
	if (filter < 0 || lambda_page_parse(http_req_query(req), 'a', 10000, &page, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	if (filter && strcmp(version, "$LATEST") != 0 && stk_parse_u64(version, 1, UINT32_MAX, &only))
		only = UINT64_MAX; /* no such version: none */
	array = json_array();
	answer = json_pack("{s:o}", "Aliases", array);
	for (i = 0; answer && i < c.fn->alias_count; i++) {
		const struct fn_alias *a = c.fn->aliases[i];

		if ((filter && a->version != only) || (page.has_after && strcmp(a->name, page.after) <= 0))
			continue;
		if (n++ == page.max) {
			if (lambda_page_marker('a',
					       json_string_value(json_object_get(json_array_get(array, n - 2), "Name")),
					       marker) == 0)
				json_object_set_new(answer, "NextMarker", json_string(marker));
			break;
		}
		json_array_append_new(array, show(&c, a));
	}
	lambda_answer(req, 200, answer);
}
