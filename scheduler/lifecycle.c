/* What becomes of versions: see lifecycle.h. */
#include "scheduler/lifecycle.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/base/utf8.h"
#include "scheduler/async/async.h"
#include "scheduler/build.h"
#include "scheduler/commit.h"
#include "scheduler/daemon.h"
#include "scheduler/ids.h"
#include "scheduler/invlog.h"
#include "scheduler/logs.h"
#include "scheduler/pool.h"
#include "scheduler/provisioned.h"
#include "scheduler/rebuild.h"
#include "scheduler/store.h"
#include "scheduler/verify.h"

#define MAKING_MAX (2 * BUILD_PARALLEL) /* so that copies of code wait, but few */

struct job {
	struct daemon *d;
	struct stk_list node; /* d->to_make, until its turn */
	struct fn_version *v; /* counted */
	char revision[FN_REVISION_LEN + 1]; /* of v when it is active, or has failed */
	void (*done)(void *ctx);
	void *ctx;
};

int lifecycle_revise(struct fn_version *v)
{
	return ids_uuid(v->revision);
}

static void give_up_waiting(struct daemon *d);

/* --- roles ------------------------------------------------------------------------------------------ */

void lifecycle_activate(struct daemon *d, struct fn_version *v)
{
	struct function *fn = v->fn;
	struct fn_version *old = fn->active, *replaced = fn->latest;

	fn_version_get(v);
	if (old && old != v)
		pool_close(old->pool, v); /* while the registry still holds the old version */
	if (replaced && replaced != v && replaced != old)
		pool_close(replaced->pool, v);
	registry_set_latest(&d->registry, fn, v);
	registry_set_active(&d->registry, fn, v);
	fn_version_put(&d->registry, v);
}

/* Policy, URL, provisioned VMs, event-invoke configuration: another one of this name must not get them. */
static void forget_qualifier(struct daemon *d, struct function *fn, const char *qualifier)
{
	registry_notes_drop(fn, qualifier);
	if (async_config_forget(d->async, fn->name, qualifier))
		stk_warn("%s:%s: its event-invoke configuration is still there: out of memory", fn->name, qualifier);
}

void lifecycle_unpublish(struct daemon *d, struct fn_version *v)
{
	char qualifier[FN_VERSION_TEXT];

	fn_version_text(v->published, qualifier);
	forget_qualifier(d, v->fn, qualifier);
	pool_close(v->pool, NULL);
	fn_version_get(v);
	registry_unpublish(&d->registry, v);
	build_cancel(d->builder, v->fn->name, v->number);
	fn_version_put(&d->registry, v);
	give_up_waiting(d);
}

void lifecycle_drop_alias(struct daemon *d, struct function *fn, const char *alias)
{
	registry_alias_drop(fn, alias);
	forget_qualifier(d, fn, alias);
	provisioned_apply(d, fn);
}

void lifecycle_drop(struct daemon *d, struct function *fn)
{
	if (fn->active)
		pool_close(fn->active->pool, NULL);
	if (fn->latest && fn->latest != fn->active)
		pool_close(fn->latest->pool, NULL);
	for (unsigned i = 0; i < fn->published_count; i++)
		pool_close(fn->published[i]->pool, NULL);
	registry_drop(&d->registry, fn);
	logs_remove(fn->log);
	if (async_config_forget(d->async, fn->name, "*"))
		stk_warn("%s: its event-invoke configuration is still there: out of memory", fn->name);
	build_cancel(d->builder, fn->name, 0);
	give_up_waiting(d);
}

/* --- builds ----------------------------------------------------------------------------------------- */

static void make_next(struct daemon *d);

static void job_free(struct job *j)
{
	struct daemon *d = j->d;

	d->making--;
	if (j->done)
		j->done(j->ctx);
	fn_version_put(&d->registry, j->v);
	free(j);
	make_next(d);
	daemon_job_done(d);
}

static void adopt(struct fn_version *v, const struct build_result *r)
{
	v->zip_crc = r->zip_crc;
	v->img_crc = r->img_crc;
	v->code_size = r->code_size;
	fn_settings_layer_sizes(&v->settings, r->layer_sizes);
	memcpy(v->sha256, r->sha256, sizeof(v->sha256));
}

static void became_active(void *ctx, int rc, const struct stk_err *err)
{
	struct job *j = ctx;
	struct fn_version *v = j->v;

	if (v->retired) {
		job_free(j);
		return;
	}
	if (rc) /* it serves all the same; after a restart it is pending still, and built again */
		stk_error("%s: version %u is ready, but the database was not told: %s", v->fn->name, v->number, err->text);
	v->state = FN_ACTIVE; /* not before: what is shown as active serves */
	memcpy(v->revision, j->revision, sizeof(v->revision));
	if (v == v->fn->latest)
		lifecycle_activate(j->d, v);
	provisioned_apply(j->d, v->fn);
	v->check = FN_UNCHECKED; /* as a snapshot that was found: it is checked, and what is known of it read */
	verify_want(j->d->verifier, v);
	job_free(j);
}

static void succeed(struct job *j, const struct build_result *r)
{
	struct fn_version *v = j->v, *old = v->fn->active;
	struct store_tx *tx = store_tx_new();
	bool latest = v == v->fn->latest;
	struct fn_version row;

	adopt(v, r);
	row = *v;
	row.state = FN_ACTIVE;
	lifecycle_revise(&row);
	memcpy(j->revision, row.revision, sizeof(j->revision));
	store_tx_made(tx, &row);
	if (latest) {
		store_tx_active(tx, v->fn->name, v->number);
		if (old && old != v)
			store_tx_drop_version(tx, v->fn->name, old->number);
	}
	commit_later(j->d, tx, became_active, j);
}

static void became_failed(void *ctx, int rc, const struct stk_err *err)
{
	struct job *j = ctx;
	struct fn_version *v = j->v;

	if (rc)
		stk_error("%s: version %u was not made, and the database was not told: %s", v->fn->name, v->number, err->text);
	v->state = FN_FAILED; /* not before: what is shown as failed stays so, and may be changed */
	memcpy(v->revision, j->revision, sizeof(v->revision));
	v->check = FN_BROKEN;
	v->check_retry_ns = UINT64_MAX; /* another deploy is needed */
	pool_fail_queue(v->pool, INV_START_FAILED, v->check_err.text);
	dispatch_note(v->pool);
	job_free(j);
}

/* The field's code for what the init phase reported. An entry point is the program that is started: a module that is not
 * there is told by a runtime that runs. */
static const char *code_of_init_error(const char *type)
{
	static const char *const codes[][2] = {
		{"Runtime.InvalidEntrypoint", "FunctionError.InvalidEntryPoint"},
		{"Runtime.OutOfMemory", "FunctionError.InitResourceExhausted"},
		{"Extension.TooManyExtensions", "FunctionError.TooManyExtensions"},
	};

	for (size_t i = 0; type && i < STK_ARRAY_LEN(codes); i++) {
		if (strcmp(type, codes[i][0]) == 0)
			return codes[i][1];
	}
	return type && strncmp(type, "Extension.", 10) == 0 ? "FunctionError.ExtensionInitError"
							     : "FunctionError.RuntimeInitError";
}

/* Code, NUL, text; in the field's terms. */
static char *reason_of(const struct build_result *r, const char *text)
{
	json_t *init = r->init_json ? json_loads(r->init_json, 0, NULL) : NULL;
	const char *type = json_string_value(json_object_get(init, "errorType"));
	const char *code = "InternalError";
	size_t code_len, text_len = strlen(text);
	char *both;

	if (r->fault == BUILD_BAD_CODE)
		code = "FunctionError.InvalidEntryPoint";
	else if (r->fault == BUILD_INIT_FAILED && r->init_timed_out)
		code = "FunctionError.InitTimeout";
	else if (r->fault == BUILD_INIT_FAILED)
		code = code_of_init_error(type);
	code_len = strlen(code);
	both = malloc(code_len + text_len + 2);
	if (both) {
		memcpy(both, code, code_len + 1);
		memcpy(both + code_len + 1, text, text_len + 1);
	}
	json_decref(init);
	return both;
}

/* What callers are answered. Heap, or NULL. */
static char *init_error_of(const struct build_result *r, const char *text)
{
	json_t *o;
	char *json;

	if (r->init_json && r->init_json[0])
		return strdup(r->init_json);
	if (r->fault != BUILD_BAD_CODE)
		return NULL;
	o = json_pack("{s:s, s:s}", "errorType", "Runtime.InvalidEntrypoint", "errorMessage", text);
	json = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return json;
}

static void give_up(struct job *j, const struct build_result *r)
{
	struct fn_version *v = j->v;
	struct store_tx *tx = store_tx_new();
	struct fn_version row;

	v->check_err = r->err;
	stk_utf8_mend(v->check_err.text); /* parts of it come from the guest, and may have been cut */
	free(v->reason);
	v->reason = reason_of(r, v->check_err.text);
	free(v->init_error);
	v->init_error = init_error_of(r, v->check_err.text);
	row = *v;
	row.state = FN_FAILED;
	lifecycle_revise(&row);
	memcpy(j->revision, row.revision, sizeof(j->revision));
	store_tx_made(tx, &row);
	commit_later(j->d, tx, became_failed, j);
}

static void built(void *ctx, const struct build_result *r)
{
	struct job *j = ctx;

	invlog_deploy(j->v->fn, &j->v->settings, j->v->published, &j->d->runtimes, r);
	if (j->v->retired || (r->fault != BUILD_OK && r->err.code == -ECANCELED))
		job_free(j);
	else if (r->fault == BUILD_OK)
		succeed(j, r);
	else
		give_up(j, r);
}

/* What waits when the host shuts down ends here: pending still; and what was deleted. */
static void make_next(struct daemon *d)
{
	if (d->making_next) /* by what ends at once below */
		return;
	d->making_next = true;
	while (d->making < MAKING_MAX && !stk_list_empty(&d->to_make)) {
		struct job *j = STK_CONTAINER_OF(d->to_make.next, struct job, node);

		stk_list_del(&j->node);
		d->making++;
		if (d->draining || j->v->retired)
			job_free(j);
		else
			rebuild_start(d, j->v, true, built, j);
	}
	d->making_next = false;
}

void lifecycle_build(struct daemon *d, struct fn_version *v, void (*done)(void *ctx), void *ctx)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j) { /* as if the host had ended here */
		stk_error("%s: version %u is not built before a restart: out of memory", v->fn->name, v->number);
		if (done)
			done(ctx);
		return;
	}
	j->d = d;
	j->v = fn_version_get(v);
	j->done = done;
	j->ctx = ctx;
	d->jobs++;
	v->check = FN_REBUILDING;
	stk_list_add_tail(&d->to_make, &j->node);
	make_next(d);
}

/* Of versions that were deleted: those that wait. */
static void give_up_waiting(struct daemon *d)
{
	struct stk_list *it = d->to_make.next;

	while (it != &d->to_make) {
		struct job *j = STK_CONTAINER_OF(it, struct job, node);

		it = it->next;
		if (!j->v->retired)
			continue;
		stk_list_del(&j->node);
		d->making++;
		job_free(j);
		it = d->to_make.next; /* others may have had their turn */
	}
}

static void told(void *ctx, int rc, const struct stk_err *err)
{
	if (rc) /* found to be damaged at the next start again */
		stk_error("checksums of a snapshot that was made again were not stored: %s", err->text);
}

void lifecycle_made_again(struct daemon *d, struct fn_version *v, const struct build_result *r)
{
	struct store_tx *tx = store_tx_new();

	adopt(v, r);
	store_tx_files(tx, v); /* no other version of it: it may have been dropped meanwhile */
	commit_later(d, tx, told, NULL);
}
