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
		.handler = s->handler, .memory_mib = s->memory_mib, .timeout_s = s->timeout_s, .env = s->env,
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
			view.last_update_status = "Failed", view.last_update_reason = reason, view.last_update_reason_code = v->reason;
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

void lambda_get_function(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct fn_version *v;
	json_t *answer, *tags;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX_NAMESPACED) || !(v = lambda_version(&c)))
		return;
	answer = json_pack("{s:o, s:{s:s}}", "Configuration", lambda_configuration(c.d, v, c.name.qualifier, false), "Code",
			   "RepositoryType", "S3");
	tags = answer ? lambda_json_object(registry_note(c.fn, "tags", "")) : NULL;
	if (tags && json_object_size(tags))
		json_object_set(answer, "Tags", tags);
	json_decref(tags);
	if (answer && c.fn->reserved >= 0)
		json_object_set_new(answer, "Concurrency", json_pack("{s:i}", "ReservedConcurrentExecutions", c.fn->reserved));
	lambda_answer(req, 200, answer);
}

/* --- lists ------------------------------------------------------------------------------------------- */

static void add_versions(const struct daemon *d, json_t *array, const struct function *fn, bool all)
{
	json_array_append_new(array, lambda_configuration(d, fn->latest, all ? "$LATEST" : NULL, true));
	for (unsigned i = 0; all && i < fn->published_count; i++) {
		char version[FN_VERSION_TEXT];

		fn_version_text(fn->published[i]->published, version);
		json_array_append_new(array, lambda_configuration(d, fn->published[i], version, true));
	}
}

void lambda_list_functions(void *ctx, struct http_req *req, const struct router_match *m)
{
	char which[16], marker[LAMBDA_MARKER_MAX];
	struct lambda_page page;
	struct lambda_call c;
	struct lambda_err err;
	const struct registry *r;
	json_t *answer, *array;
	unsigned i, n = 0;
	int all;

	if (lambda_begin(&c, ctx, req))
		return;
	all = lambda_query(http_req_query(req), "FunctionVersion", which, sizeof(which), &err);
	if (all < 0 || lambda_page_parse(http_req_query(req), 'f', 10000, &page, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	if (all && strcmp(which, "ALL") != 0) {
		lambda_error(req, LAMBDA_VALIDATION, "1 validation error detected: Value at 'functionVersion' failed to satisfy "
			     "constraint: Member must satisfy enum value set: [ALL]");
		return;
	}
	array = json_array();
	answer = json_pack("{s:o}", "Functions", array);
	if (!answer) {
		lambda_answer(req, 200, NULL);
		return;
	}
	r = &c.d->registry;
	i = page.has_after ? registry_behind(r, page.after) : 0;
	for (; i < r->count && n < page.max; i++) {
		if (tenants_shows(c.who, r->sorted[i]->name)) {
			add_versions(c.d, array, r->sorted[i], all);
			n++;
		}
	}
	if (i < r->count && lambda_page_marker('f', r->sorted[i - 1]->name, marker) == 0)
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
