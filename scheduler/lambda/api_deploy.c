/* CreateFunction, UpdateFunctionCode, UpdateFunctionConfiguration.
 *
 *   body ─► PARSE (thread: checks, code to a work folder) ─► loop: settings ─► PLACE (thread: folder into the state)
 *        ─► commit ─► answered: Pending or InProgress ─► lifecycle_build makes the snapshot
 *
 * What was answered with success is in the database, and is built in the host's next life if this one ends before. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/commit.h"
#include "scheduler/daemon.h"
#include "scheduler/deploy.h"
#include "scheduler/front.h"
#include "scheduler/fsx.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/effects.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/tags.h"
#include "scheduler/layers.h"
#include "scheduler/lifecycle.h"
#include "scheduler/pool.h"
#include "scheduler/region.h"
#include "scheduler/store.h"
#include "scheduler/zipread.h"

enum kind { CREATE, CODE, CONFIG };

struct change {
	struct front_owner owner; /* first */
	uv_work_t work;
	struct lambda_call call; /* req is NULL when the client has gone */
	enum kind kind;
	uint8_t *body;
	size_t len;
	struct lambda_create create; /* CREATE */
	struct lambda_update_code code; /* CODE */
	struct lambda_update_config config; /* CONFIG */
	struct lambda_err err;
	int rc;
	char dir[PATH_CAP];  /* work folder: code.zip */
	char from[PATH_CAP]; /* CODE, CONFIG: folder of the version before, whose code or layers stay */
	uint64_t zip_crc;
	struct fn_version *v;         /* the new $LATEST */
	struct fn_version *published; /* and a version of it, or NULL */
	bool is_busy, is_building;    /* the function is marked by us */
	bool same_layers;             /* as the version in `from` */
	uint64_t layer_sizes[FN_LAYERS_MAX];
	struct {
		unsigned timeout_s;
		enum fn_log_level system; /* of settings.logging */
		bool snapstart;
		int64_t created_ms;
		char *extra; /* heap */
		char revision[FN_REVISION_LEN + 1];
	} in_place;                   /* CONFIG that leaves the guest as it is */
};

/* --- end ---------------------------------------------------------------------------------------------- */

static void change_free(struct change *g)
{
	struct daemon *d = g->call.d;

	if (g->is_busy)
		g->call.fn->busy = false;
	if (g->is_building)
		g->call.fn->building--;
	if (g->v)
		fn_version_put(&d->registry, g->v);
	if (g->published)
		fn_version_put(&d->registry, g->published);
	lambda_create_fini(&g->create);
	lambda_update_code_fini(&g->code);
	lambda_update_config_fini(&g->config);
	free(g->in_place.extra);
	free(g->body);
	free(g);
	daemon_job_done(d);
}

static struct http_req *take_req(struct change *g)
{
	struct http_req *req = stk_take_ptr(&g->call.req);

	if (req)
		http_req_set_ptr(req, NULL);
	return req;
}

static void fail(struct change *g)
{
	struct http_req *req = take_req(g);

	if (req)
		lambda_error_err(req, &g->err);
	/* Versions that were never in a role: their folders go with them. */
	if (g->v)
		g->v->retired = true;
	if (g->published)
		g->published->retired = true;
	daemon_remove_later(g->call.d, g->dir);
	change_free(g);
}

static void fail_with(struct change *g, enum lambda_error_type type, const char *text)
{
	lambda_err_set(&g->err, type, "%s", text);
	fail(g);
}

static void gone(struct front_owner *owner)
{
	((struct change *)owner)->call.req = NULL;
}

/* --- committed, and built ------------------------------------------------------------------------------ */

static void published_built(void *ctx)
{
	change_free(ctx);
}

static void latest_built(void *ctx)
{
	struct change *g = ctx;

	if (g->published)
		lifecycle_build(g->call.d, g->published, published_built, g);
	else
		change_free(g);
}

static void committed(void *ctx, int rc, const struct stk_err *err)
{
	struct change *g = ctx;
	struct daemon *d = g->call.d;
	struct function *fn = g->call.fn;
	struct fn_version *old = fn->latest, *shown = g->published ? g->published : g->v;
	struct http_req *req;
	char version[FN_VERSION_TEXT];

	if (rc == 0 && g->published)
		rc = registry_publish(&d->registry, fn, g->published);
	if (rc) {
		fail_with(g, LAMBDA_SERVICE, err->code ? err->text : "out of memory");
		return;
	}
	if (g->kind == CREATE && g->create.tags && *g->create.tags && registry_note_set(fn, "tags", "", g->create.tags))
		stk_warn("%s: its tags are shown after a restart: out of memory", fn->name);
	if (old && old != fn->active)
		pool_close(old->pool, g->v);
	registry_set_latest(&d->registry, fn, g->v);
	g->is_busy = fn->busy = false;
	g->is_building = true;
	fn->building++;
	req = take_req(g);
	if (req) {
		fn_version_text(shown->published, version);
		lambda_answer(req, g->kind == CREATE ? 201 : 200,
			      lambda_configuration(d, shown, g->published ? version : NULL, false));
	}
	lifecycle_build(d, g->v, latest_built, g);
}

/* --- into the state folder ------------------------------------------------------------------------------- */

static int place_one(const struct change *g, const struct fn_version *v, const char *code)
{
	char folder[PATH_CAP], zip[PATH_CAP + 16];
	int rc;

	if (daemon_version_path(g->call.d, v, NULL, folder, sizeof(folder)) ||
	    stk_snprintf(zip, sizeof(zip), "%s/code.zip", folder))
		return -ENAMETOOLONG;
	fsx_remove_tree(folder); /* left by an unfinished deploy of an earlier life */
	rc = fsx_mkdirs(folder, 0750);
	if (rc == 0 && link(code, zip))
		rc = -errno;
	if (rc == 0)
		rc = layers_copy(g->dir, folder, v->settings.layer_count);
	if (rc == 0)
		rc = fsx_sync_tree(folder);
	if (rc == 0)
		rc = stk_fsync_parent(folder);
	*strrchr(folder, '/') = '\0'; /* the function's, which may be new as well */
	return rc ? rc : stk_fsync_parent(folder);
}

/* What the layers of the new version are made from goes to the work folder: what its predecessor has, unless they are
 * others, and the rest from the layers themselves. */
static int take_layers(struct change *g)
{
	const struct fn_settings *s = &g->v->settings;
	struct stk_err why = {0};
	int rc = g->same_layers ? layers_copy(g->from, g->dir, s->layer_count) : 0;

	if (rc)
		return lambda_err_set(&g->err, LAMBDA_SERVICE, "the stored layers are not there: %s", strerror(-rc));
	rc = layers_take(g->call.d->opt->state_dir, s->layers, s->layer_count, g->dir, &why);
	if (rc)
		return lambda_err_set(&g->err, rc == -EINVAL ? LAMBDA_INVALID_PARAMETER : LAMBDA_SERVICE, "%s", why.text);
	layers_sizes(g->dir, s->layer_count, g->layer_sizes);
	return 0;
}

static void work_place(uv_work_t *w)
{
	struct change *g = w->data;
	char code[PATH_CAP + 16];
	int rc = take_layers(g);

	if (rc) {
		g->rc = rc;
		return;
	}
	rc = stk_snprintf(code, sizeof(code), "%s/code.zip", g->dir);
	if (rc == 0)
		rc = place_one(g, g->v, code);
	if (rc == 0 && g->published)
		rc = place_one(g, g->published, code);
	fsx_remove_tree(g->dir);
	g->rc = rc ? lambda_err_set(&g->err, LAMBDA_SERVICE, "the code could not be stored: %s", strerror(-rc)) : 0;
}

static void placed(uv_work_t *w, int status)
{
	struct change *g = w->data;
	struct function *fn = g->call.fn;
	struct store_tx *tx;

	if (g->rc || status) {
		if (status)
			lambda_err_set(&g->err, LAMBDA_SERVICE_UNAVAILABLE, "the host is shutting down");
		fail(g);
		return;
	}
	fn_settings_layer_sizes(&g->v->settings, g->layer_sizes);
	if (g->published)
		fn_settings_layer_sizes(&g->published->settings, g->layer_sizes);
	tx = store_tx_new();
	store_tx_version(tx, g->v);
	if (g->published)
		store_tx_version(tx, g->published);
	store_tx_function(tx, fn, g->v->number, fn->active ? fn->active->number : 0,
			  g->published ? g->published->published : fn->last_published);
	if (fn->latest && fn->latest != fn->active)
		store_tx_drop_version(tx, fn->name, fn->latest->number);
	if (g->kind == CREATE && g->create.tags && *g->create.tags)
		store_tx_note(tx, fn->name, "tags", "", g->create.tags);
	commit_later(g->call.d, tx, committed, g);
}

/* --- the new version ------------------------------------------------------------------------------------- */

/* Takes settings over, and extra. */
static struct fn_version *new_version(struct change *g, struct fn_settings *settings, char *extra,
				      const struct fn_version *code_of)
{
	struct fn_version *v = fn_version_new(g->call.fn, ++g->call.fn->last_version, settings);
	const struct zipfile *zip = g->kind == CREATE ? &g->create.code : &g->code.code;

	if (!v) {
		fn_settings_fini(settings);
		free(extra);
		return NULL;
	}
	v->state = FN_PENDING;
	v->check = FN_REBUILDING;
	v->extra = extra;
	v->created_ms = (int64_t)(stk_wall_ns() / STK_NS_PER_MS);
	v->zip_crc = g->zip_crc;
	if (code_of) {
		v->code_size = code_of->code_size;
		memcpy(v->sha256, code_of->sha256, sizeof(v->sha256));
	} else {
		uint8_t hash[FN_SHA256_LEN + 2]; /* the decoder writes its padding as well */

		v->code_size = zip->size;
		if (EVP_DecodeBlock(hash, (const unsigned char *)zip->sha256, ZIPFILE_SHA256_TEXT) > 0)
			memcpy(v->sha256, hash, FN_SHA256_LEN);
	}
	if (lifecycle_revise(v) || daemon_attach_version(g->call.d, v)) {
		pool_free(v->pool);
		fn_version_free(v);
		return NULL;
	}
	return v;
}

static void make_version(struct change *g, struct fn_settings *settings, char *extra, bool publish)
{
	struct function *fn = g->call.fn;
	const struct fn_version *code_of = g->kind == CONFIG ? fn->latest : NULL;
	struct fn_settings again;
	struct stk_err why = {0};

	if (deploy_check(g->call.d, settings, &why)) {
		if (strncmp(why.text, "runtime: ", 9) == 0)
			lambda_runtime_unknown(settings->runtime, why.text + 9, &g->err);
		else
			lambda_err_set(&g->err, LAMBDA_INVALID_PARAMETER, "%s", why.text);
		fn_settings_fini(settings);
		free(extra);
		fail(g);
		return;
	}
	if (publish && fn_settings_copy(settings, &again)) {
		fn_settings_fini(settings);
		free(extra);
		fail_with(g, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this function");
		return;
	}
	g->same_layers = g->kind != CREATE && fn_same_layers(settings, &fn->latest->settings);
	g->v = new_version(g, settings, extra, code_of);
	if (publish && g->v) {
		g->published = new_version(g, &again, g->v->extra ? strdup(g->v->extra) : NULL, code_of);
		if (g->published)
			g->published->published = fn->last_published + 1;
	} else if (publish) {
		fn_settings_fini(&again);
	}
	if (!g->v || (publish && !g->published)) {
		fail_with(g, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this function");
		return;
	}
	if (workers_queue(&g->call.d->loop, &g->work, work_place, placed))
		placed(&g->work, UV_ENOMEM);
}

/* What is there, as a copy to be changed. */
static int copy_old(struct change *g, struct fn_settings *settings, char **extra)
{
	const struct fn_version *old = g->call.fn->latest;

	*extra = NULL;
	if (fn_settings_copy(&old->settings, settings))
		return lambda_err_nomem(&g->err);
	if (old->extra && !(*extra = strdup(old->extra))) {
		fn_settings_fini(settings);
		return lambda_err_nomem(&g->err);
	}
	lambda_tags_reuse(registry_note(g->call.fn, "tags", ""), &settings->reuse);
	return 0;
}

static int apply_effects(struct change *g, const char *extra, struct fn_settings *settings)
{
	return lambda_effects(extra, settings) ? lambda_err_nomem(&g->err) : 0;
}

static void create(struct change *g)
{
	struct lambda_call *c = &g->call;
	struct fn_settings settings;
	char text[160];

	c->name = g->create.name;
	if (lambda_name_here(&c->name, region_name(), c->account, &g->err)) {
		fail(g);
		return;
	}
	if (tenants_scope(c->who, c->name.name, c->key, sizeof(c->key))) {
		fail_with(g, LAMBDA_ACCESS_DENIED, "functions of another tenant cannot be made");
		return;
	}
	c->fn = registry_add(&c->d->registry, c->key);
	if (!c->fn) {
		fail_with(g, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this function");
		return;
	}
	if (c->fn->latest || c->fn->busy || c->fn->deploying) {
		snprintf(text, sizeof(text), "Function already exist: %s", c->name.name);
		fail_with(g, LAMBDA_RESOURCE_CONFLICT, text);
		return;
	}
	g->is_busy = c->fn->busy = true;
	settings = g->create.config.settings;
	g->create.config.settings.env = NULL;
	g->create.config.settings.env_len = 0;
	if (lambda_layers_apply(c, g->create.config.extra, g->create.config.extra, &settings, &g->err) ||
	    apply_effects(g, g->create.config.extra, &settings) ||
	    lambda_dead_letter_check(c, g->create.config.extra, &g->err)) {
		fn_settings_fini(&settings);
		fail(g);
		return;
	}
	make_version(g, &settings, stk_take_ptr(&g->create.config.extra), g->create.publish);
}

/* The configuration as it is, with the size and hash that the new code would have. */
static json_t *dry_answer(const struct change *g)
{
	json_t *o = lambda_configuration(g->call.d, g->call.fn->latest, NULL, false);

	if (o && (json_object_set_new(o, "CodeSize", json_integer((json_int_t)g->code.code.size)) ||
		  json_object_set_new(o, "CodeSha256", json_string(g->code.code.sha256)))) {
		json_decref(o);
		o = NULL;
	}
	return o;
}

static void update_code(struct change *g)
{
	struct fn_settings settings;
	struct http_req *req;
	char *extra;

	if (lambda_check_revision(g->code.revision, g->call.fn->latest->revision, &g->err) || copy_old(g, &settings, &extra)) {
		fail(g);
		return;
	}
	if (lambda_extra_apply(g->code.extra, &extra, &g->err)) {
		fn_settings_fini(&settings);
		free(extra);
		fail(g);
		return;
	}
	if (!g->code.dry_run) {
		make_version(g, &settings, extra, g->code.publish);
		return;
	}
	fn_settings_fini(&settings);
	free(extra);
	req = take_req(g);
	if (req)
		lambda_answer(req, 200, dry_answer(g));
	fail(g); /* nothing is kept */
}

static void told(void *ctx, int rc, const struct stk_err *err)
{
	struct change *g = ctx;
	struct fn_version *v = g->call.fn->latest;
	struct http_req *req;

	if (rc) {
		fail_with(g, LAMBDA_SERVICE, err->text);
		return;
	}
	v->settings.timeout_s = g->in_place.timeout_s;
	v->settings.logging.system = g->in_place.system;
	v->settings.snapstart = g->in_place.snapstart;
	free(v->extra);
	v->extra = stk_take_ptr(&g->in_place.extra);
	v->created_ms = g->in_place.created_ms;
	memcpy(v->revision, g->in_place.revision, sizeof(v->revision));
	req = take_req(g);
	if (req)
		lambda_answer(req, 200, lambda_configuration(g->call.d, v, NULL, false));
	fail(g); /* the work folder is not needed */
}

/* Nothing of what the guest sees has changed: no other snapshot is needed. */
static void change_in_place(struct change *g, struct fn_settings *settings, char *extra)
{
	struct fn_version row = *g->call.fn->latest;
	struct store_tx *tx = store_tx_new();

	g->in_place.extra = extra;
	g->in_place.timeout_s = settings->timeout_s;
	g->in_place.system = settings->logging.system;
	g->in_place.snapstart = settings->snapstart;
	fn_settings_fini(settings);
	if (lifecycle_revise(&row)) {
		store_tx_free(tx);
		fail_with(g, LAMBDA_SERVICE, "no random bytes");
		return;
	}
	memcpy(g->in_place.revision, row.revision, sizeof(row.revision));
	row.settings.timeout_s = g->in_place.timeout_s;
	row.created_ms = g->in_place.created_ms = (int64_t)(stk_wall_ns() / STK_NS_PER_MS);
	row.extra = extra;
	store_tx_version(tx, &row);
	commit_later(g->call.d, tx, told, g);
}

static void update_configuration(struct change *g)
{
	const struct fn_version *old = g->call.fn->latest;
	struct fn_settings settings;
	char *extra;

	if (lambda_check_revision(g->config.revision, g->call.fn->latest->revision, &g->err) || copy_old(g, &settings, &extra)) {
		fail(g);
		return;
	}
	if (lambda_config_apply(&g->config.config, &settings, &extra, &g->err) ||
	    lambda_layers_apply(&g->call, g->config.config.extra, extra, &settings, &g->err) ||
	    apply_effects(g, extra, &settings) ||
	    lambda_dead_letter_check(&g->call, g->config.config.extra, &g->err)) {
		fn_settings_fini(&settings);
		free(extra);
		fail(g);
	} else if (old->state == FN_ACTIVE && fn_same_guest(&settings, &old->settings)) {
		change_in_place(g, &settings, extra);
	} else {
		make_version(g, &settings, extra, false);
	}
}

/* --- parsing ------------------------------------------------------------------------------------------------ */

static int parse(struct change *g, int fd)
{
	const char *body = (const char *)g->body;

	switch (g->kind) {
	case CREATE:
		return lambda_create_parse(body, g->len, fd, &g->create, &g->err);
	case CODE:
		return lambda_update_code_parse(body, g->len, fd, &g->code, &g->err);
	case CONFIG:
		return lambda_update_config_parse(body, g->len, &g->config, &g->err);
	}
	return -EINVAL;
}

/* A zip that cannot be unpacked is refused at once, not when it is built. */
static int check_zip(struct change *g, const char *zip)
{
	char code[PATH_CAP + 16];
	struct zipread_limits limits = ZIPREAD_LIMITS;
	struct stk_err why = {0};
	int rc;

	if (stk_snprintf(code, sizeof(code), "%s/code", g->dir) || mkdir(code, 0750))
		return lambda_err_set(&g->err, LAMBDA_SERVICE, "the work folder could not be made");
	rc = zipread_unpack(zip, code, &limits, &why);
	fsx_remove_tree(code);
	if (rc == 0)
		return 0;
	if (rc == -EINVAL)
		return lambda_err_set(&g->err, LAMBDA_INVALID_PARAMETER,
				      "Could not unzip uploaded file. Please check your file, then try to upload again. (%s)", why.text);
	return lambda_err_set(&g->err, LAMBDA_SERVICE, "the code could not be unpacked: %s", why.text);
}

static int prepare(struct change *g)
{
	char zip[PATH_CAP + 16], old[PATH_CAP + 16];
	stk_autofd fd = -1;
	int rc;

	if (stk_snprintf(zip, sizeof(zip), "%s/code.zip", g->dir) || mkdir(g->dir, 0750))
		return lambda_err_set(&g->err, LAMBDA_SERVICE, "the work folder could not be made: %s", strerror(errno));
	if (g->kind != CONFIG) {
		fd = open(zip, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
		if (fd < 0)
			return lambda_err_set(&g->err, LAMBDA_SERVICE, "the code could not be stored: %s", strerror(errno));
	}
	rc = parse(g, fd);
	if (rc)
		return rc;
	if (g->kind == CONFIG) {
		if (stk_snprintf(old, sizeof(old), "%s/code.zip", g->from) || link(old, zip))
			return lambda_err_set(&g->err, LAMBDA_SERVICE, "the stored code is not there: %s", strerror(errno));
	} else {
		rc = check_zip(g, zip);
	}
	if (rc == 0 && fsx_crc64(zip, &g->zip_crc))
		rc = lambda_err_set(&g->err, LAMBDA_SERVICE, "the code could not be read back");
	return rc;
}

static void work_prepare(uv_work_t *w)
{
	struct change *g = w->data;

	g->rc = prepare(g);
	free(g->body); /* up to 70 MB */
	g->body = NULL;
}

static void prepared(uv_work_t *w, int status)
{
	struct change *g = w->data;

	if (status)
		fail_with(g, LAMBDA_SERVICE_UNAVAILABLE, "the host is shutting down");
	else if (g->rc)
		fail(g);
	else if (g->kind == CREATE)
		create(g);
	else if (g->kind == CODE)
		update_code(g);
	else
		update_configuration(g);
}

static void begin(const struct lambda_call *c, enum kind kind)
{
	struct daemon *d = c->d;
	struct change *g = calloc(1, sizeof(*g));

	if (!g || stk_snprintf(g->dir, sizeof(g->dir), "%s/tmp/lambda-%s", d->opt->state_dir, c->id) ||
	    (kind != CREATE && daemon_version_path(d, c->fn->latest, NULL, g->from, sizeof(g->from)))) {
		free(g);
		lambda_error(c->req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
		return;
	}
	g->owner.gone = gone;
	g->work.data = g;
	g->call = *c;
	g->kind = kind;
	g->body = http_req_take_body(c->req, &g->len);
	if (kind != CREATE)
		g->is_busy = c->fn->busy = true;
	http_req_set_ptr(c->req, &g->owner);
	d->jobs++;
	if (workers_queue(&d->loop, &g->work, work_prepare, prepared))
		prepared(&g->work, UV_ENOMEM);
}

void lambda_create_function(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;

	if (lambda_begin(&c, ctx, req) == 0)
		begin(&c, CREATE);
}

static void update(struct daemon *d, struct http_req *req, const char *name, enum kind kind)
{
	struct lambda_call c;

	if (lambda_begin_function(&c, d, req, name, LAMBDA_TEXT_MAX) || lambda_is_busy(&c))
		return;
	if (c.name.kind != LAMBDA_Q_NONE && c.name.kind != LAMBDA_Q_LATEST)
		lambda_error(req, LAMBDA_INVALID_PARAMETER,
			     "a published version cannot be changed: the function itself must be named");
	else
		begin(&c, kind);
}

void lambda_update_code(void *ctx, struct http_req *req, const struct router_match *m)
{
	update(ctx, req, m->value[0], CODE);
}

void lambda_update_configuration(void *ctx, struct http_req *req, const struct router_match *m)
{
	update(ctx, req, m->value[0], CONFIG);
}
