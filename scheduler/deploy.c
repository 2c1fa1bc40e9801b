/* PUT /v1/functions/NAME: settings in the query, the zip as body. The new version becomes active
 * only when everything worked; until then, and whenever anything fails, the old one serves. */
#include "scheduler/deploy.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/base/utf8.h"
#include "scheduler/answer.h"
#include "scheduler/auth/auth.h"
#include "scheduler/build.h"
#include "scheduler/commit.h"
#include "scheduler/daemon.h"
#include "scheduler/deploy_settings.h"
#include "scheduler/describe.h"
#include "scheduler/front.h"
#include "scheduler/ids.h"
#include "scheduler/invlog.h"
#include "scheduler/lambda/tags.h"
#include "scheduler/lifecycle.h"
#include "scheduler/pool.h"
#include "scheduler/spool.h"
#include "scheduler/store.h"
#include "scheduler/verify.h"

struct deploy {
	struct front_owner owner;
	struct daemon *d;
	struct http_req *req; /* NULL: the client has gone */
	struct function *fn;
	struct fn_settings settings;
	struct build_spec spec;
	struct spool spool;
	struct fn_version *made; /* until it is stored */
	char *tags; /* heap: what the function's tags become; NULL: they stay */
	bool body_done;
	bool aborted; /* the client went away in mid-body */
	char id[IDS_UUID_LEN + 1];
};

static void deploy_free(struct deploy *dp)
{
	struct daemon *d = dp->d;

	dp->fn->deploying = false;
	fn_settings_fini(&dp->settings);
	free(dp->tags);
	free(dp);
	daemon_job_done(d);
}

static void fail(struct deploy *dp, int status, const char *code, const char *text)
{
	if (dp->req) {
		http_req_set_ptr(dp->req, NULL);
		answer_error(dp->req, status, code, text, dp->id);
		dp->req = NULL;
	}
	deploy_free(dp);
}

/* --- settings ---------------------------------------------------------------------------------- */

int deploy_check(const struct daemon *d, struct fn_settings *s, struct stk_err *err)
{
	int rc;

	if (strcmp(runtimes_image(s->runtime), "provided") == 0 && !s->handler[0])
		stk_strcpy(s->handler, sizeof(s->handler), "bootstrap");
	rc = fn_settings_check(s, err);
	if (rc == 0 && plan_idle_mib(s->memory_mib) > d->opt->memory_budget_mib)
		return stk_err_set(err, -EINVAL, "memory: a VM of %u MiB does not fit into this host's memory budget "
				   "of %u MiB", s->memory_mib, (unsigned)d->opt->memory_budget_mib);
	if (rc == 0 && plan_idle_mib(s->memory_mib) + plan_storage_mib(s->storage_mib) > d->opt->memory_budget_mib)
		return stk_err_set(err, -EINVAL, "ephemeral-storage: a /tmp of %u MiB, which is kept in memory, does not fit "
				   "into this host's memory budget of %u MiB", s->storage_mib,
				   (unsigned)d->opt->memory_budget_mib);
	return rc ? rc : runtimes_check(&d->runtimes, s->runtime, err);
}

/* --- publish ------------------------------------------------------------------------------------ */

static void answer_fault(struct deploy *dp, const struct build_result *r)
{
	json_t *init, *body;

	switch (r->fault) {
	case BUILD_BAD_CODE:
		fail(dp, 400, "BadCode", r->err.text);
		return;
	case BUILD_NO_SPACE:
		fail(dp, 507, "InsufficientStorage", r->err.text);
		return;
	case BUILD_INIT_FAILED:
		break;
	default:
		fail(dp, 500, "DeployFailed", r->err.text);
		return;
	}
	/* 422 with the runtime's own error beside ours. */
	init = r->init_json ? json_loads(r->init_json, 0, NULL) : NULL;
	body = json_pack("{s:{s:s, s:s, s:s}, s:O?}", "error", "code", "InitFailed", "message",
			 "the function's init phase failed", "requestId", dp->id, "init", init);
	if (init && json_is_object(init)) {
		const char *type = json_string_value(json_object_get(init, "errorType"));
		const char *message = json_string_value(json_object_get(init, "errorMessage"));

		if (type || message) {
			char text[512];

			snprintf(text, sizeof(text), "the function's init phase failed: %.100s: %.350s",
				 type ? type : "error", message ? message : "");
			stk_utf8_mend(text); /* the cuts may have split characters */
			json_object_set_new(json_object_get(body, "error"), "message", json_string(text));
		}
	}
	json_decref(init);
	if (dp->req) {
		http_req_set_ptr(dp->req, NULL);
		answer_json(dp->req, 422, body);
		dp->req = NULL;
	} else {
		json_decref(body);
	}
	deploy_free(dp);
}

static void stored(void *ctx, int rc, const struct stk_err *err)
{
	struct deploy *dp = ctx;
	struct daemon *d = dp->d;
	struct fn_version *v = dp->made;
	bool is_new = !dp->fn->latest;

	if (rc) {
		v->retired = true; /* its files go with it */
		fn_version_put(&d->registry, v);
		fail(dp, rc == -ENOSPC ? 507 : 500, rc == -ENOSPC ? "InsufficientStorage" : "DeployFailed", err->text);
		return;
	}
	lifecycle_activate(d, v);
	if (dp->tags && registry_note_set(dp->fn, "tags", "", *dp->tags ? dp->tags : NULL))
		stk_warn("%s: its tags are as they were until a restart: out of memory", dp->fn->name);
	fn_version_put(&d->registry, v);
	verify_want(d->verifier, v);
	if (dp->req) {
		http_req_set_ptr(dp->req, NULL);
		answer_json(dp->req, is_new ? 201 : 200, describe_function(dp->fn));
		dp->req = NULL;
	}
	deploy_free(dp);
}

/* A tag that names another reuse than this deploy does no longer holds. 0 or -ENOMEM. */
static int correct_tags(struct deploy *dp)
{
	static const char *const key = LAMBDA_TAG_REUSE;
	const char *tags = registry_note(dp->fn, "tags", "");
	struct lambda_err err;
	enum fn_reuse said;

	if (!lambda_tags_reuse(tags, &said) || said == dp->made->settings.reuse)
		return 0;
	return lambda_tags_remove(tags, &key, 1, &dp->tags, &err) ? -ENOMEM : 0;
}

static void store(struct deploy *dp, const struct fn_version *v)
{
	struct store_tx *tx = store_tx_new();
	const struct function *fn = dp->fn;

	if (correct_tags(dp)) {
		store_tx_free(tx);
		tx = NULL; /* out of memory, as others are */
	}
	if (dp->tags)
		store_tx_note(tx, fn->name, "tags", "", *dp->tags ? dp->tags : NULL);
	store_tx_version(tx, v);
	store_tx_function(tx, fn, v->number, v->number, fn->last_published);
	if (fn->active)
		store_tx_drop_version(tx, fn->name, fn->active->number);
	if (fn->latest && fn->latest != fn->active)
		store_tx_drop_version(tx, fn->name, fn->latest->number);
	commit_later(dp->d, tx, stored, dp);
}

static void built(void *ctx, const struct build_result *r)
{
	struct deploy *dp = ctx;
	struct daemon *d = dp->d;
	struct function *fn = dp->fn;
	struct fn_version *v;

	if (daemon_open_log(d, fn) == 0)
		invlog_deploy(fn, &dp->settings, 0, &d->runtimes, r);
	if (r->fault != BUILD_OK) {
		answer_fault(dp, r);
		return;
	}
	v = fn_version_new(fn, dp->spec.number, &dp->settings);
	if (v) {
		v->created_ms = r->created_ms;
		v->code_size = r->code_size;
		fn_settings_layer_sizes(&v->settings, r->layer_sizes);
		v->zip_crc = r->zip_crc;
		v->img_crc = r->img_crc;
		memcpy(v->sha256, r->sha256, sizeof(v->sha256));
	}
	if (!v || lifecycle_revise(v) || daemon_attach_version(d, v)) {
		if (v)
			pool_free(v->pool);
		fn_version_free(v);
		fail(dp, 503, "OutOfMemory", "the host has no memory left for this function");
		return;
	}
	dp->made = v;
	store(dp, v);
}

/* --- the request ---------------------------------------------------------------------------------- */

static void spooled(void *ctx, int err)
{
	struct deploy *dp = ctx;
	int rc;

	if (err || dp->aborted) {
		daemon_remove_later(dp->d, dp->spec.dir);
		if (err == -ENOSPC || err == -EDQUOT)
			fail(dp, 507, "InsufficientStorage", "no space left for the package");
		else
			fail(dp, 500, "Internal", "the package could not be written");
		return;
	}
	dp->spec.settings = dp->settings;
	rc = build_submit(dp->d->builder, &dp->spec, built, dp);
	if (rc) {
		daemon_remove_later(dp->d, dp->spec.dir);
		if (rc == -EBUSY)
			fail(dp, 429, "TooManyDeploys", "too many deploys are waiting");
		else if (rc == -ECANCELED)
			fail(dp, 503, "ShuttingDown", "the host is shutting down");
		else
			fail(dp, 503, "OutOfMemory", "the host has no memory left");
	}
}

static void gone(struct front_owner *owner)
{
	struct deploy *dp = (struct deploy *)owner;

	dp->req = NULL;
	if (dp->body_done)
		return; /* a complete deploy goes on without its client */
	dp->aborted = true;
	spool_abort(&dp->spool);
	spool_end(&dp->spool, spooled, dp);
}

static int sink(void *ptr, const uint8_t *data, size_t len)
{
	struct deploy *dp = ptr;

	return spool_add(&dp->spool, dp->req, data, len);
}

static struct deploy *prepare(struct daemon *d, struct http_req *req, const char *name, const char *id)
{
	struct fn_settings settings;
	struct stk_err err = {0};
	struct function *fn;
	struct deploy *dp;
	int rc;

	if (!fn_name_valid(name)) {
		answer_error(req, 400, "BadRequest", "name: expected 1 to 64 letters, digits, - or _", id);
		return NULL;
	}
	fn_settings_init(&settings);
	rc = deploy_settings_read(http_req_query(req), auth_of(req), &settings, &err);
	if (rc == 0)
		rc = deploy_check(d, &settings, &err);
	if (rc) {
		fn_settings_fini(&settings);
		answer_error(req, rc == -EACCES ? 403 : 400, rc == -EACCES ? "AccessDenied" : "BadRequest", err.text, id);
		return NULL;
	}
	fn = registry_add(&d->registry, name);
	dp = fn ? calloc(1, sizeof(*dp)) : NULL;
	if (!dp) {
		fn_settings_fini(&settings);
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", id);
		return NULL;
	}
	if (fn->busy || fn->deploying || fn->building) {
		fn_settings_fini(&settings);
		free(dp);
		answer_error(req, 409, "Conflict", "a deploy or delete of this function is under way", id);
		return NULL;
	}
	dp->d = d;
	dp->fn = fn;
	dp->settings = settings;
	stk_strcpy(dp->id, sizeof(dp->id), id);
	return dp;
}

void deploy_begin(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	char id[IDS_UUID_LEN + 1], zip[sizeof(((struct build_spec *)0)->dir) + 16];
	struct deploy *dp;
	int rc;

	if (front_request_id(req, id)) {
		answer_error(req, 500, "Internal", "no random bytes", NULL);
		return;
	}
	dp = prepare(d, req, m->value[0], id);
	if (!dp)
		return;
	dp->owner.gone = gone;
	dp->req = req;
	dp->fn->deploying = true;
	d->jobs++;
	dp->spec.number = ++dp->fn->last_version;
	stk_strcpy(dp->spec.name, sizeof(dp->spec.name), dp->fn->name);
	rc = stk_snprintf(dp->spec.dir, sizeof(dp->spec.dir), "%s/tmp/deploy-%s", d->opt->state_dir, id);
	if (rc == 0)
		rc = stk_snprintf(zip, sizeof(zip), "%s/code.zip", dp->spec.dir);
	if (rc == 0 && mkdir(dp->spec.dir, 0750))
		rc = -errno;
	if (rc == 0)
		rc = spool_open(&dp->spool, &d->loop, zip);
	if (rc) {
		daemon_remove_later(d, dp->spec.dir);
		fail(dp, rc == -ENOSPC ? 507 : 500, rc == -ENOSPC ? "InsufficientStorage" : "Internal",
		     strerror(-rc));
		return;
	}
	http_req_set_ptr(req, &dp->owner);
	http_req_stream_body(req, sink);
}

void deploy_body(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct deploy *dp = http_req_ptr(req);

	dp->body_done = true;
	spool_end(&dp->spool, spooled, dp);
}
