/* Event-invoke configuration: /2019-09-25/functions/NAME/event-invoke-config. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/async/async.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/eventinvoke.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/paging.h"

/* An answer that waits for the disk. */
struct change {
	struct front_owner owner; /* first */
	struct lambda_call call;  /* call.req NULL: the client has gone */
	bool removal;
};

static void change_gone(struct front_owner *owner)
{
	((struct change *)owner)->call.req = NULL;
}

static const char *qualifier_of(const struct lambda_call *c)
{
	return c->name.kind == LAMBDA_Q_NONE || c->name.kind == LAMBDA_Q_LATEST ? "$LATEST" : c->name.qualifier;
}

static json_t *show(const struct lambda_call *c, const char *qualifier, const struct evconfig *config)
{
	char arn[LAMBDA_ARN_MAX];

	lambda_arn_of(c->d, c->fn, qualifier, arn);
	return lambda_eventinvoke_json(config, arn);
}

static void not_configured(const struct lambda_call *c)
{
	char arn[LAMBDA_ARN_MAX], text[LAMBDA_ARN_MAX + 64];

	lambda_arn_of(c->d, c->fn, qualifier_of(c), arn);
	stk_snprintf(text, sizeof(text), "The function %s doesn't have an EventInvokeConfig", arn);
	lambda_error(c->req, LAMBDA_RESOURCE_NOT_FOUND, text);
}

/* The function and what its qualifier names are there. -1: answered. */
static int begin(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *name)
{
	if (lambda_begin_function(c, d, req, name, LAMBDA_TEXT_MAX))
		return -1;
	return lambda_version(c) ? 0 : -1;
}

static void changed(void *ctx, int rc)
{
	struct change *ch = ctx;
	struct lambda_call *c = &ch->call;
	struct evconfig config;

	if (c->req) {
		http_req_set_ptr(c->req, NULL);
		async_config_get(c->d->async, c->key, qualifier_of(c), &config);
		if (rc)
			lambda_error(c->req, LAMBDA_SERVICE, rc == -ENOSPC ? "the host's disk is full"
									    : "the configuration could not be stored");
		else if (ch->removal)
			http_respond(c->req, 204, NULL, NULL, 0);
		else
			lambda_answer(c->req, 200, show(c, qualifier_of(c), &config));
	}
	free(ch);
}

/* config NULL: it is removed. */
static void change(const struct lambda_call *c, const struct evconfig *config)
{
	struct change *ch = calloc(1, sizeof(*ch));
	struct stk_err err = {0};
	int rc = -ENOMEM;

	if (ch) {
		ch->owner.gone = change_gone;
		ch->call = *c;
		ch->removal = !config;
		http_req_set_ptr(c->req, &ch->owner);
		rc = config ? async_config_put(c->d->async, c->key, qualifier_of(c), config, changed, ch, &err)
			    : async_config_delete(c->d->async, c->key, qualifier_of(c), changed, ch);
	}
	if (rc == 0)
		return;
	http_req_set_ptr(c->req, NULL);
	free(ch);
	if (rc == -EINVAL)
		lambda_error(c->req, LAMBDA_INVALID_PARAMETER, err.text);
	else
		lambda_error(c->req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
}

/* A target has to exist, as far as it is a function. */
static int check_exists(const struct lambda_call *c, const char *text, const char *what, struct lambda_err *err)
{
	struct evconfig_target t;
	char key[FN_NAME_MAX + 1];
	const struct function *fn;

	if (evconfig_target_parse(text, &t, NULL) || t.kind != EVCONFIG_FUNCTION)
		return 0;
	if (stk_snprintf(key, sizeof(key), "%s%s", t.function, strchrnul(c->key, '.')))
		return 0;
	fn = registry_find(&c->d->registry, key);
	if (fn && (fn->latest || fn == c->fn)) /* its own may be about to be made */
		return 0;
	return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "The %s %s is invalid: there is no such function.", what, text);
}

int lambda_dead_letter_check(const struct lambda_call *c, const char *extra, struct lambda_err *err)
{
	json_t *o = lambda_json_object(extra);
	const char *text = json_string_value(json_object_get(json_object_get(o, "DeadLetterConfig"), "TargetArn"));
	int rc = o ? 0 : lambda_err_nomem(err);

	if (text)
		rc = check_exists(c, text, "dead letter target", err);
	json_decref(o);
	return rc;
}

static void put(const struct lambda_call *c, struct evconfig *config)
{
	struct lambda_err err;
	size_t len = 0;
	const uint8_t *body = http_req_body(c->req, &len);

	if (lambda_eventinvoke_parse((const char *)body, len, config, &err) ||
	    check_exists(c, config->on_success, "destination ARN", &err) ||
	    check_exists(c, config->on_failure, "destination ARN", &err))
		lambda_error_err(c->req, &err);
	else
		change(c, config);
}

void lambda_put_event_invoke(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct evconfig config;

	if (begin(&c, ctx, req, m->value[0]))
		return;
	evconfig_default(&config);
	put(&c, &config);
}

void lambda_update_event_invoke(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct evconfig config;

	if (begin(&c, ctx, req, m->value[0]))
		return;
	if (async_config_get(c.d->async, c.key, qualifier_of(&c), &config))
		put(&c, &config);
	else
		not_configured(&c);
}

void lambda_get_event_invoke(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct evconfig config;

	if (begin(&c, ctx, req, m->value[0]))
		return;
	if (async_config_get(c.d->async, c.key, qualifier_of(&c), &config))
		lambda_answer(req, 200, show(&c, qualifier_of(&c), &config));
	else
		not_configured(&c);
}

void lambda_delete_event_invoke(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	struct evconfig config;

	/* It may be that of an alias that is no more. */
	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX))
		return;
	if (async_config_get(c.d->async, c.key, qualifier_of(&c), &config))
		change(&c, NULL);
	else
		not_configured(&c);
}

/* --- list -------------------------------------------------------------------------------------------- */

struct names {
	char (*name)[EVCONFIG_QUALIFIER_MAX + 1];
	unsigned count, cap;
	bool failed;
};

static void add_name(void *ctx, const char *qualifier, const struct evconfig *c)
{
	struct names *n = ctx;

	if (n->count == n->cap) {
		unsigned cap = n->cap ? n->cap * 2 : 16;
		void *grown = realloc(n->name, cap * sizeof(*n->name));

		n->failed |= !grown;
		if (!grown)
			return;
		n->name = grown;
		n->cap = cap;
	}
	stk_strcpy(n->name[n->count++], sizeof(*n->name), qualifier);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static json_t *list(const struct lambda_call *c, const struct names *n, const struct lambda_page *page)
{
	json_t *array = json_array(), *answer = json_pack("{s:o}", "FunctionEventInvokeConfigs", array);
	char marker[LAMBDA_MARKER_MAX];
	unsigned shown = 0;

	for (unsigned i = 0; answer && i < n->count; i++) {
		struct evconfig config;

		if (page->has_after && strcmp(n->name[i], page->after) <= 0)
			continue;
		if (shown++ == page->max) {
			if (lambda_page_marker('e', n->name[i - 1], marker) == 0)
				json_object_set_new(answer, "NextMarker", json_string(marker));
			break;
		}
		async_config_get(c->d->async, c->key, n->name[i], &config);
		json_array_append_new(array, show(c, n->name[i], &config));
	}
	return answer;
}

void lambda_list_event_invoke(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct names n = {0};
	struct lambda_page page;
	struct lambda_call c;
	struct lambda_err err;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX))
		return;
	if (lambda_page_parse(http_req_query(req), 'e', 50, &page, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	async_config_each(c.d->async, c.key, add_name, &n);
	if (n.count)
		qsort(n.name, n.count, sizeof(*n.name), by_name);
	lambda_answer(req, 200, n.failed ? NULL : list(&c, &n, &page));
	free(n.name);
}
