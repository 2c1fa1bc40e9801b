/* Configurations of function URLs. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "scheduler/daemon.h"
#include "scheduler/furl_config.h"
#include "scheduler/furl_host.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/config_json.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/notes.h"

#define URL_NOTE FURL_NOTE

/* As a path, or by the name of a host where the operator has said which names lead here. */
static int url_of(const struct lambda_call *c, const char *qualifier, char *buf, size_t cap)
{
	const char *domain = c->d->opt->url_domain;
	char id[FURL_ID_LEN + 1];

	if (!*domain)
		return stk_snprintf(buf, cap, "http://%s/function/%s%s%s/", c->req ? lambda_host(c->req) : "localhost",
				    c->fn->name,
				    *qualifier ? ":" : "", qualifier);
	return furl_id(c->fn->name, qualifier, id) ? -ENOMEM : stk_snprintf(buf, cap, "http://%s.lambda-url.%s/", id, domain);
}

/* Kept as {"Iam":b,"Streaming":b,"Cors":{..},"CreatedMs":n,"ModifiedMs":n}. */
static json_t *show_url(const struct lambda_call *c, const char *qualifier, const char *json, bool created)
{
	json_t *o = lambda_json_object(json), *cors = json_object_get(o, "Cors"), *answer = NULL;
	char arn[LAMBDA_ARN_MAX], url[512], *cors_text = cors ? lambda_json_text(cors) : NULL;
	struct lambda_url_view v = {.url = url, .arn = arn, .iam = json_is_true(json_object_get(o, "Iam")),
		.streaming = json_is_true(json_object_get(o, "Streaming")), .cors = cors_text,
		.created_ms = json_integer_value(json_object_get(o, "CreatedMs")),
		.modified_ms = json_integer_value(json_object_get(o, "ModifiedMs"))};

	lambda_arn_of(c->d, c->fn, qualifier, arn);
	if (o && url_of(c, qualifier, url, sizeof(url)) == 0)
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
		lambda_error(req, LAMBDA_VALIDATION,
			     "1 validation error detected: Value at 'qualifier' failed to satisfy constraint: "
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
		lambda_note_store(c, URL_NOTE, c->name.qualifier, json, create ? 201 : 200,
				  show_url(c, c->name.qualifier, json, create));
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
		lambda_note_store(&c, URL_NOTE, c.name.qualifier, NULL, 204, NULL);
}

static json_t *show_note(const struct lambda_call *c, const struct fn_note *n)
{
	return show_url(c, n->qualifier, n->json, false);
}

void lambda_list_urls(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX) == 0)
		lambda_note_list(&c, URL_NOTE, 'u', "FunctionUrlConfigs", show_note);
}
