/* TagResource, UntagResource, ListTags. One tag is a setting: see tags.h. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/daemon.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/notes.h"
#include "scheduler/lambda/tags.h"
#include "scheduler/pool.h"
#include "scheduler/store.h"

#define TAGS_NOTE   "tags"
#define UNTAG_MAX   50
#define TAG_KEY_MAX 512 /* bytes of 128 characters */

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
	lambda_note_stored(ch);
}

static void store_reuse(struct store_tx *tx, const struct fn_version *v, enum fn_reuse reuse)
{
	struct fn_version row = *v;

	row.settings.reuse = reuse;
	store_tx_version(tx, &row);
}

static bool named_by(const char *tags)
{
	enum fn_reuse reuse;

	return lambda_tags_reuse(tags, &reuse);
}

/* tags (heap) are taken over. Those that are a setting do not change while the function does. */
static void store_tags(const struct lambda_call *c, char *tags)
{
	const struct function *fn = c->fn;
	enum fn_reuse reuse = reuse_with(fn, tags);
	bool changes = reuse != fn->latest->settings.reuse || (fn->active && reuse != fn->active->settings.reuse);
	struct lambda_change *ch;
	struct store_tx *tx;

	if ((changes || named_by(tags) || named_by(registry_note(fn, TAGS_NOTE, ""))) && lambda_is_busy(c)) {
		free(tags);
		return;
	}
	ch = lambda_note_change(c, TAGS_NOTE, "", tags, 204, NULL);
	if (!ch)
		return;
	tx = lambda_note_tx(ch);
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
