/* Functions as they are shown, and their end: GetFunction, GetFunctionConfiguration, ListFunctions, DeleteFunction,
 * GetAccountSettings. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/str.h"
#include "scheduler/daemon.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/config_json.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/lifecycle.h"
#include "scheduler/region.h"
#include "scheduler/store.h"

json_t *lambda_configuration(const struct daemon *d, const struct fn_version *v, const char *qualifier, bool listed)
{
	static const char *const states[] = {[FN_PENDING] = "Pending", [FN_ACTIVE] = "Active", [FN_FAILED] = "Failed"};
	char arn[LAMBDA_ARN_MAX], name[FN_BARE_MAX + 1], version[FN_VERSION_TEXT];
	const char *reason = v->reason ? v->reason + strlen(v->reason) + 1 : NULL;
	char sha256[64];
	const struct fn_settings *s = &v->settings;
	struct lambda_layer_view layers[FN_LAYERS_MAX];
	struct lambda_config_view view = {.arn = arn, .name = name, .version = version, .runtime = s->runtime,
		.handler = s->handler, .memory_mib = s->memory_mib, .timeout_s = s->timeout_s,
		.storage_mib = s->storage_mib, .env = s->env,
		.env_len = s->env_len, .has_env = s->env_len != 0, .extra = v->extra, .code_size = v->code_size,
		.sha256 = sha256, .last_modified_ms = v->created_ms, .revision = v->revision, .layers = layers,
		.layer_count = s->layer_count};

	for (unsigned i = 0; i < s->layer_count; i++) {
		fn_bare_name(s->layers[i].name, name);
		lambda_layer_arn(layers[i].arn, sizeof(layers[i].arn), region_name(),
				 tenants_account(&d->tenants, s->layers[i].name), name, s->layers[i].version);
		layers[i].size = s->layers[i].size;
	}
	EVP_EncodeBlock((unsigned char *)sha256, v->sha256, FN_SHA256_LEN);
	fn_bare_name(v->fn->name, name);
	fn_version_text(v->published, version);
	lambda_arn_of(d, v->fn, qualifier, arn);
	/* An update that is under way, or has failed, leaves the function active; a first deploy does not. */
	if (v->published || v == v->fn->active || !v->fn->active) {
		view.state = states[v->state];
		if (v->state == FN_PENDING) {
			view.state_reason = "The function is being created.";
			view.state_reason_code = "Creating";
		} else if (v->state == FN_FAILED) {
			view.state_reason = reason;
			view.state_reason_code = v->reason;
		}
		if (v->state == FN_ACTIVE)
			view.last_update_status = "Successful";
		else if (v->state == FN_FAILED)
			view.last_update_status = "Failed", view.last_update_reason = reason,
				view.last_update_reason_code = v->reason;
	} else {
		view.state = "Active";
		view.last_update_status = v->state == FN_PENDING ? "InProgress" : "Failed";
		view.last_update_reason = v->state == FN_PENDING ? "The function is being created." : reason;
		view.last_update_reason_code = v->state == FN_PENDING ? "Creating" : v->reason;
	}
	return lambda_config_json(&view, listed);
}

void lambda_get_configuration(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct fn_version *v;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX_NAMESPACED) || !(v = lambda_version(&c)))
		return;
	lambda_answer(req, 200, lambda_configuration(c.d, v, c.name.qualifier, false));
}

/* Its package, for this client. */
static json_t *code_of(const struct lambda_call *c, const struct fn_version *v)
{
	char path[CODELINK_MAX];

	if (codelink_of_function(v->fn->name, v->number, path))
		return NULL;
	return json_pack("{s:s, s:o}", "RepositoryType", "S3", "Location", lambda_location(c->d, lambda_host(c->req), path));
}

void lambda_get_function(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct fn_version *v;
	json_t *answer, *tags;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX_NAMESPACED) || !(v = lambda_version(&c)))
		return;
	answer = json_pack("{s:o, s:o}", "Configuration", lambda_configuration(c.d, v, c.name.qualifier, false), "Code",
			   code_of(&c, v));
	tags = answer ? lambda_json_object(registry_note(c.fn, "tags", "")) : NULL;
	if (tags && json_object_size(tags))
		json_object_set(answer, "Tags", tags);
	json_decref(tags);
	if (answer && c.fn->reserved >= 0)
		json_object_set_new(answer, "Concurrency", json_pack("{s:i}", "ReservedConcurrentExecutions", c.fn->reserved));
	lambda_answer(req, 200, answer);
}

/* --- lists ------------------------------------------------------------------------------------------- */

/* A page in the making. */
struct listing {
	const struct lambda_call *c;
	json_t *array;
	bool all;      /* each version is an item; else each function */
	unsigned room;
	bool more;     /* than there is room for */
	char last[LAMBDA_KEY_MAX + 1]; /* the key of the last item: NAME, or NAME:NUMBER with 0 for $LATEST */
};

/* False: the page is full. */
static bool add_version(struct listing *l, const struct fn_version *v)
{
	char version[FN_VERSION_TEXT];

	if (!l->room) {
		l->more = true;
		return false;
	}
	l->room--;
	fn_version_text(v->published, version);
	json_array_append_new(l->array, lambda_configuration(l->c->d, v, l->all ? version : NULL, true));
	if (l->all)
		snprintf(l->last, sizeof(l->last), "%s:%u", v->fn->name, v->published);
	else
		stk_strcpy(l->last, sizeof(l->last), v->fn->name);
	return true;
}

/* after: published versions behind this number only; -1: all, and $LATEST. */
static bool add_function(struct listing *l, const struct function *fn, int64_t after)
{
	if (after < 0 && !add_version(l, fn->latest))
		return false;
	for (unsigned i = 0; l->all && i < fn->published_count; i++) {
		if (fn->published[i]->published > after && !add_version(l, fn->published[i]))
			return false;
	}
	return true;
}

/* What a caller does not see counts for nothing, also not as something that follows. */
static void add_page(struct listing *l, const struct lambda_page *page)
{
	const struct registry *r = &l->c->d->registry;
	char name[LAMBDA_KEY_MAX + 1], *colon;
	uint64_t number = 0;
	unsigned i = 0;
	bool going = true;

	if (page->has_after) {
		stk_strcpy(name, sizeof(name), page->after);
		colon = l->all ? strrchr(name, ':') : NULL;
		if (colon)
			*colon = '\0';
		i = registry_behind(r, name);
		/* The rest of the function that the page before ended in. */
		if (colon && stk_parse_u64(colon + 1, 0, UINT32_MAX, &number) == 0 && i > 0 &&
		    strcmp(r->sorted[i - 1]->name, name) == 0 && tenants_shows(l->c->who, name))
			going = add_function(l, r->sorted[i - 1], (int64_t)number);
	}
	for (; going && i < r->count; i++) {
		if (tenants_shows(l->c->who, r->sorted[i]->name))
			going = add_function(l, r->sorted[i], -1);
	}
}

void lambda_list_functions(void *ctx, struct http_req *req, const struct router_match *m)
{
	char which[16], marker[LAMBDA_MARKER_MAX], list;
	struct lambda_page page;
	struct lambda_call c;
	struct lambda_err err;
	struct listing l = {.c = &c};
	json_t *answer;
	int all;

	if (lambda_begin(&c, ctx, req))
		return;
	all = lambda_query(http_req_query(req), "FunctionVersion", which, sizeof(which), &err);
	list = all > 0 ? 'F' : 'f'; /* a marker names a version, or a function */
	if (all < 0 || lambda_page_parse(http_req_query(req), list, 10000, &page, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	if (all && strcmp(which, "ALL") != 0) {
		lambda_error(req, LAMBDA_VALIDATION, "1 validation error detected: Value at 'functionVersion' failed to satisfy "
			     "constraint: Member must satisfy enum value set: [ALL]");
		return;
	}
	l.array = json_array();
	l.all = all;
	l.room = page.max;
	answer = json_pack("{s:o}", "Functions", l.array);
	if (!answer) {
		lambda_answer(req, 200, NULL);
		return;
	}
	add_page(&l, &page);
	if (l.more && lambda_page_marker(list, l.last, marker) == 0)
		json_object_set_new(answer, "NextMarker", json_string(marker));
	lambda_answer(req, 200, answer);
}

void lambda_account_settings(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	json_int_t code = 0, reserved = 0, limit;
	unsigned count = 0;

	if (lambda_begin(&c, ctx, req))
		return;
	limit = (json_int_t)(c.d->opt->memory_budget_mib / FN_MEMORY_MIN);
	REGISTRY_FOREACH(&c.d->registry, fn) {
		if (!fn->latest || !tenants_shows(c.who, fn->name))
			continue;
		count++;
		code += (json_int_t)fn->latest->code_size;
		for (unsigned i = 0; i < fn->published_count; i++)
			code += (json_int_t)fn->published[i]->code_size;
		reserved += fn->reserved > 0 ? fn->reserved : 0;
	}
	lambda_answer(req, 200, json_pack("{s:{s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I}}", "AccountLimit", "TotalCodeSize",
		      (json_int_t)80530636800, "CodeSizeUnzipped", (json_int_t)262144000, "CodeSizeZipped",
		      (json_int_t)52428800, "ConcurrentExecutions", limit, "UnreservedConcurrentExecutions",
		      limit > reserved ? limit - reserved : 0, "AccountUsage", "TotalCodeSize", code, "FunctionCount",
		      (json_int_t)count));
}

/* --- delete ------------------------------------------------------------------------------------------ */

static void answer_deleted(struct lambda_change *ch)
{
	if (ch->call.req)
		http_respond(ch->call.req, 204, NULL, NULL, 0);
}

static void function_deleted(struct lambda_change *ch)
{
	lifecycle_drop(ch->call.d, ch->call.fn);
	answer_deleted(ch);
}

static void version_deleted(struct lambda_change *ch)
{
	struct fn_version *v = registry_published(ch->call.fn, ch->call.name.version);

	if (v)
		lifecycle_unpublish(ch->call.d, v);
	answer_deleted(ch);
}

static bool has_alias(const struct function *fn, unsigned version)
{
	for (unsigned i = 0; i < fn->alias_count; i++) {
		if (fn->aliases[i]->version == version || fn->aliases[i]->additional == version)
			return true;
	}
	return false;
}

/* A version that no alias points to. */
static void delete_version(const struct lambda_call *c)
{
	struct fn_version *v = c->name.kind == LAMBDA_Q_NUMBER ? registry_published(c->fn, c->name.version) : NULL;
	struct lambda_change *ch;
	struct store_tx *tx;

	if (c->name.kind != LAMBDA_Q_NUMBER) {
		lambda_error(c->req, LAMBDA_INVALID_PARAMETER,
			     c->name.kind == LAMBDA_Q_LATEST ? "$LATEST version cannot be deleted without deleting the function."
							     : "Deletion of aliases is not currently supported.");
		return;
	}
	if (!v) {
		http_respond(c->req, 204, NULL, NULL, 0);
		return;
	}
	if (has_alias(c->fn, c->name.version)) {
		lambda_error(c->req, LAMBDA_RESOURCE_CONFLICT, "Version cannot be deleted: an alias points to it.");
		return;
	}
	ch = lambda_change_new(c);
	if (!ch)
		return;
	tx = store_tx_new();
	store_tx_drop_version(tx, c->fn->name, v->number);
	store_tx_drop_notes(tx, c->fn->name, c->name.qualifier);
	lambda_change_commit(ch, tx, version_deleted);
}

void lambda_delete_function(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_change *ch;
	struct lambda_call c;
	struct store_tx *tx;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX_NAMESPACED))
		return;
	/* What is being built is given up. */
	if (c.fn->deploying ? lambda_is_busy(&c) : lambda_is_changing(&c))
		return;
	if (c.name.kind != LAMBDA_Q_NONE) {
		delete_version(&c);
		return;
	}
	ch = lambda_change_new(&c);
	if (!ch)
		return;
	tx = store_tx_new();
	store_tx_drop_function(tx, c.fn->name);
	lambda_change_commit(ch, tx, function_deleted);
}
