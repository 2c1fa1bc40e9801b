/* Reserved concurrency of functions, and provisioned concurrency of versions and aliases: VMs that are always warm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "scheduler/daemon.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/config_json.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/notes.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/pool.h"
#include "scheduler/provisioned.h"
#include "scheduler/store.h"

/* --- reserved ----------------------------------------------------------------------------------------- */

static void reserved_set(struct lambda_change *ch)
{
	ch->call.fn->reserved = ch->number;
	if (!ch->call.req)
		return;
	if (ch->number < 0)
		http_respond(ch->call.req, 204, NULL, NULL, 0);
	else
		lambda_answer(ch->call.req, 200, json_pack("{s:i}", "ReservedConcurrentExecutions", ch->number));
}

static void set_reserved(const struct lambda_call *c, int reserved)
{
	struct lambda_change *ch = lambda_change_new(c);
	struct store_tx *tx;

	if (!ch)
		return;
	ch->number = reserved;
	tx = store_tx_new();
	store_tx_reserved(tx, c->fn->name, reserved);
	lambda_change_commit(ch, tx, reserved_set);
}

void lambda_put_concurrency(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct lambda_err err;
	unsigned reserved = 0;
	size_t len = 0;
	const uint8_t *text;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX) || lambda_is_changing(&c))
		return;
	text = http_req_body(req, &len);
	if (lambda_concurrency_parse((const char *)text, len, &reserved, &err))
		lambda_error_err(req, &err);
	else
		set_reserved(&c, reserved > INT32_MAX ? INT32_MAX : (int)reserved);
}

void lambda_get_concurrency(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	json_t *answer;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX))
		return;
	answer = json_object();
	if (answer && c.fn->reserved >= 0)
		json_object_set_new(answer, "ReservedConcurrentExecutions", json_integer(c.fn->reserved));
	lambda_answer(req, 200, answer);
}

void lambda_delete_concurrency(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX) || lambda_is_changing(&c))
		return;
	set_reserved(&c, -1);
}

/* --- provisioned --------------------------------------------------------------------------------------- */

static json_t *show(const struct lambda_call *c, const char *qualifier, bool listed)
{
	char arn[LAMBDA_ARN_MAX];
	struct provisioned p;
	struct lambda_provisioned_view v = {.arn = listed ? arn : NULL};

	if (!provisioned_read(c->fn, qualifier, &p))
		return NULL;
	lambda_arn_of(c->d, c->fn, qualifier, arn);
	v.requested = p.requested;
	v.available = v.allocated = p.ready < p.requested ? p.ready : p.requested;
	v.status = p.failed ? "FAILED" : p.ready >= p.requested ? "READY" : "IN_PROGRESS";
	v.reason = p.failed;
	v.modified_ms = p.modified_ms;
	return lambda_provisioned_json(&v);
}

/* -1: answered. */
static int begin(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *name)
{
	if (lambda_begin_function(c, d, req, name, LAMBDA_TEXT_MAX))
		return -1;
	if (c->name.kind == LAMBDA_Q_NUMBER || c->name.kind == LAMBDA_Q_ALIAS)
		return lambda_version(c) ? 0 : -1;
	lambda_error(req, LAMBDA_INVALID_PARAMETER, c->name.kind == LAMBDA_Q_LATEST
		     ? "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
		     : "A version or an alias must be named in Qualifier.");
	return -1;
}

static void no_config(struct http_req *req)
{
	lambda_error(req, LAMBDA_NO_PROVISIONED_CONFIG, "No Provisioned Concurrency Config found for this function");
}

static void config_stored(struct lambda_change *ch)
{
	struct http_req *req = ch->call.req;

	if (registry_note_set(ch->call.fn, PROVISIONED_NOTE, ch->text, ch->json)) {
		if (req)
			lambda_error(req, LAMBDA_SERVICE, "stored, but without effect before a restart: out of memory");
		return;
	}
	provisioned_apply(ch->call.d, ch->call.fn);
	if (req && ch->json)
		lambda_answer(req, 202, show(&ch->call, ch->text, false));
	else if (req)
		http_respond(req, 204, NULL, NULL, 0);
}

/* json (heap, taken over) NULL: removed. */
static void store_config(const struct lambda_call *c, char *json)
{
	struct lambda_change *ch = lambda_change_new(c);
	struct store_tx *tx;

	if (!ch) {
		free(json);
		return;
	}
	ch->json = json;
	stk_strcpy(ch->text, sizeof(ch->text), c->name.qualifier);
	tx = store_tx_new();
	store_tx_note(tx, c->fn->name, PROVISIONED_NOTE, ch->text, json);
	lambda_change_commit(ch, tx, config_stored);
}

void lambda_put_provisioned(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct lambda_err err;
	unsigned wanted = 0;
	size_t len = 0;
	const uint8_t *text;
	char *json;

	if (begin(&c, ctx, req, m->value[0]) || lambda_is_changing(&c))
		return;
	text = http_req_body(req, &len);
	if (lambda_provisioned_parse((const char *)text, len, &wanted, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	if (wanted > c.d->opt->pool_ceiling) {
		lambda_err_set(&err, LAMBDA_INVALID_PARAMETER, "at most %u VMs of a version can be kept warm on this host",
			       c.d->opt->pool_ceiling);
		lambda_error_err(req, &err);
		return;
	}
	if (asprintf(&json, "{\"Requested\":%u,\"ModifiedMs\":%lld}", wanted,
		     (long long)(stk_wall_ns() / STK_NS_PER_MS)) < 0) {
		lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
		return;
	}
	store_config(&c, json);
}

static json_t *show_note(const struct lambda_call *c, const struct fn_note *n)
{
	return show(c, n->qualifier, true);
}

void lambda_get_provisioned(void *ctx, struct http_req *req, const struct router_match *m)
{
	char all[8];
	struct lambda_call c;
	struct lambda_err err;
	json_t *answer;

	if (lambda_query(http_req_query(req), "List", all, sizeof(all), &err) == 1 && strcmp(all, "ALL") == 0) {
		if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX) == 0)
			lambda_note_list(&c, PROVISIONED_NOTE, 'p', "ProvisionedConcurrencyConfigs", show_note);
		return;
	}
	if (begin(&c, ctx, req, m->value[0]))
		return;
	answer = show(&c, c.name.qualifier, false);
	if (answer)
		lambda_answer(req, 200, answer);
	else
		no_config(req);
}

void lambda_delete_provisioned(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;

	if (begin(&c, ctx, req, m->value[0]) || lambda_is_changing(&c))
		return;
	if (registry_note(c.fn, PROVISIONED_NOTE, c.name.qualifier))
		store_config(&c, NULL);
	else
		no_config(req);
}
