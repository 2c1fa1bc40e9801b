/* PublishVersion, ListVersionsByFunction. A published version has a snapshot of its own, as its number is part of what the
 * function's init phase sees; the answer is given when it is there. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/commit.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/fsx.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/layers.h"
#include "scheduler/lifecycle.h"
#include "scheduler/pool.h"
#include "scheduler/store.h"

struct publish {
	struct front_owner owner; /* first */
	uv_work_t work;
	struct lambda_call call;
	struct fn_version *v;
	char from[PATH_CAP], to[PATH_CAP];
	int rc;
	bool is_building; /* else the function is busy */
};

static void gone(struct front_owner *owner)
{
	((struct publish *)owner)->call.req = NULL;
}

static void answer_version(struct daemon *d, struct http_req *req, const struct fn_version *v)
{
	char version[FN_VERSION_TEXT];

	fn_version_text(v->published, version);
	lambda_answer(req, 201, lambda_configuration(d, v, version, false));
}

static void finish(struct publish *p, const char *error)
{
	struct daemon *d = p->call.d;
	struct http_req *req = p->call.req;

	if (req) {
		http_req_set_ptr(req, NULL);
		if (error)
			lambda_error(req, LAMBDA_SERVICE, error);
		else if (p->v->retired)
			lambda_error(req, LAMBDA_RESOURCE_CONFLICT, "The version was deleted while it was made.");
		else
			answer_version(d, req, p->v);
	}
	if (error)
		p->v->retired = true;
	if (p->is_building)
		p->call.fn->building--;
	else
		p->call.fn->busy = false;
	fn_version_put(&d->registry, p->v);
	free(p);
	daemon_job_done(d);
}

static void built(void *ctx)
{
	finish(ctx, NULL);
}

static void committed(void *ctx, int rc, const struct stk_err *err)
{
	struct publish *p = ctx;
	struct function *fn = p->call.fn;

	if (rc == 0)
		rc = registry_publish(&p->call.d->registry, fn, p->v);
	if (rc) {
		finish(p, err->code ? err->text : "out of memory");
		return;
	}
	fn->busy = false;
	fn->building++;
	p->is_building = true;
	lifecycle_build(p->call.d, p->v, built, p);
}

static void work_link(uv_work_t *w)
{
	struct publish *p = w->data;
	char from[PATH_CAP + 16], to[PATH_CAP + 16];

	p->rc = -ENAMETOOLONG;
	if (stk_snprintf(from, sizeof(from), "%s/code.zip", p->from) || stk_snprintf(to, sizeof(to), "%s/code.zip", p->to))
		return;
	fsx_remove_tree(p->to);
	p->rc = fsx_mkdirs(p->to, 0750);
	if (p->rc == 0 && link(from, to))
		p->rc = -errno;
	if (p->rc == 0)
		p->rc = layers_copy(p->from, p->to, p->v->settings.layer_count);
	if (p->rc == 0)
		p->rc = fsx_sync_tree(p->to);
	if (p->rc == 0)
		p->rc = stk_fsync_parent(p->to);
}

static void linked(uv_work_t *w, int status)
{
	struct publish *p = w->data;
	struct function *fn = p->call.fn;
	struct store_tx *tx;

	if (status || p->rc) {
		finish(p, status ? "the host is shutting down" : "the code could not be stored");
		return;
	}
	tx = store_tx_new();
	store_tx_version(tx, p->v);
	store_tx_function(tx, fn, fn->latest->number, fn->active ? fn->active->number : 0, p->v->published);
	commit_later(p->call.d, tx, committed, p);
}

/* A copy of $LATEST with the next number. NULL: out of memory. */
static struct fn_version *copy_of(struct daemon *d, const struct fn_version *old, const struct lambda_publish *body)
{
	struct function *fn = old->fn;
	struct fn_settings settings;
	struct lambda_err err;
	struct fn_version *v;

	if (fn_settings_copy(&old->settings, &settings))
		return NULL;
	v = fn_version_new(fn, ++fn->last_version, &settings);
	if (!v) {
		fn_settings_fini(&settings);
		return NULL;
	}
	v->state = FN_PENDING;
	v->check = FN_REBUILDING;
	v->published = fn->last_published + 1;
	v->created_ms = (int64_t)(stk_wall_ns() / STK_NS_PER_MS);
	v->code_size = old->code_size;
	v->zip_crc = old->zip_crc;
	memcpy(v->sha256, old->sha256, sizeof(v->sha256));
	if ((body->has_description ? lambda_extra_set(old->extra, "Description", body->description, &v->extra, &err)
				   : old->extra && !(v->extra = strdup(old->extra))) ||
	    lifecycle_revise(v) || daemon_attach_version(d, v)) {
		pool_free(v->pool);
		fn_version_free(v);
		return NULL;
	}
	return v;
}

/* The last version that was published, if nothing has changed since. */
static struct fn_version *unchanged(const struct function *fn, const struct lambda_publish *body)
{
	struct fn_version *last = fn->published_count ? fn->published[fn->published_count - 1] : NULL;
	const struct fn_version *v = fn->latest;
	const struct fn_settings *a = &v->settings, *b = last ? &last->settings : NULL;
	char *extra = NULL;
	struct lambda_err err;
	bool same;

	if (!last || last->published != fn->last_published || last->state == FN_FAILED)
		return NULL;
	same = v->zip_crc == last->zip_crc && memcmp(v->sha256, last->sha256, sizeof(v->sha256)) == 0 &&
	       a->timeout_s == b->timeout_s && fn_same_guest(a, b);
	/* The description given now is the version's own. */
	if (same && lambda_extra_set(v->extra, "Description", NULL, &extra, &err) == 0) {
		char *others = NULL;

		same = lambda_extra_set(last->extra, "Description", NULL, &others, &err) == 0 && strcmp(extra, others) == 0;
		free(others);
	}
	free(extra);
	return same ? last : NULL;
}

static int check(const struct lambda_call *c, const struct lambda_publish *body, struct lambda_err *err)
{
	const struct fn_version *v = c->fn->latest;
	unsigned char sha[64];

	if (lambda_check_revision(body->revision, v->revision, err))
		return -1;
	EVP_EncodeBlock(sha, v->sha256, FN_SHA256_LEN);
	if (*body->code_sha256 && strcmp(body->code_sha256, (char *)sha) != 0)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the "
				      "CodeSHA256 in $LATEST.", body->code_sha256, sha);
	if (v->state != FN_ACTIVE)
		return lambda_err_set(err, LAMBDA_RESOURCE_CONFLICT,
				      "The operation cannot be performed at this time. The function is currently in the following state: %s",
				      v->state == FN_PENDING ? "Pending" : "Failed");
	return 0;
}

void lambda_publish_version(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_publish body;
	struct lambda_call c;
	struct lambda_err err;
	struct fn_version *last;
	struct publish *p;
	size_t len = 0;
	const uint8_t *text;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX) || lambda_is_busy(&c))
		return;
	text = http_req_body(req, &len);
	if (lambda_publish_parse((const char *)text, len, &body, &err) || check(&c, &body, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	last = unchanged(c.fn, &body);
	if (last) {
		answer_version(c.d, req, last);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p) {
		p->owner.gone = gone;
		p->work.data = p;
		p->call = c;
		p->v = copy_of(c.d, c.fn->latest, &body);
	}
	if (!p || !p->v || daemon_version_path(c.d, c.fn->latest, NULL, p->from, sizeof(p->from)) ||
	    daemon_version_path(c.d, p->v, NULL, p->to, sizeof(p->to))) {
		if (p && p->v)
			fn_version_put(&c.d->registry, p->v);
		free(p);
		lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
		return;
	}
	c.fn->busy = true;
	http_req_set_ptr(req, &p->owner);
	c.d->jobs++;
	if (workers_queue(&c.d->loop, &p->work, work_link, linked))
		linked(&p->work, UV_ENOMEM);
}

void lambda_list_versions(void *ctx, struct http_req *req, const struct router_match *m)
{
	char marker[LAMBDA_MARKER_MAX], version[FN_VERSION_TEXT];
	struct lambda_page page;
	struct lambda_call c;
	struct lambda_err err;
	json_t *answer, *array;
	uint64_t after = 0;
	unsigned i = 0, room;

	if (lambda_begin_function(&c, ctx, req, m->value[0], LAMBDA_TEXT_MAX_NAMESPACED))
		return;
	if (lambda_page_parse(http_req_query(req), 'v', 10000, &page, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	array = json_array();
	answer = json_pack("{s:o}", "Versions", array);
	if (!answer) {
		lambda_answer(req, 200, NULL);
		return;
	}
	room = page.max;
	if (page.has_after)
		stk_parse_u64(page.after, 0, UINT32_MAX, &after); /* "0": behind $LATEST */
	else if (room--)
		json_array_append_new(array, lambda_configuration(c.d, c.fn->latest, "$LATEST", true));
	while (i < c.fn->published_count && c.fn->published[i]->published <= after)
		i++;
	for (; i < c.fn->published_count && room; i++, room--) {
		fn_version_text(c.fn->published[i]->published, version);
		json_array_append_new(array, lambda_configuration(c.d, c.fn->published[i], version, true));
		after = c.fn->published[i]->published;
	}
	if (i < c.fn->published_count) {
		snprintf(version, sizeof(version), "%u", (unsigned)after);
		if (lambda_page_marker('v', version, marker) == 0)
			json_object_set_new(answer, "NextMarker", json_string(marker));
	}
	lambda_answer(req, 200, answer);
}
