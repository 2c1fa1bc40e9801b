/* From the database to the registry, at start: part of lifecycle.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/str.h"
#include "scheduler/daemon.h"
#include "scheduler/lambda/effects.h"
#include "scheduler/layers.h"
#include "scheduler/lifecycle.h"
#include "scheduler/pool.h"
#include "scheduler/provisioned.h"
#include "scheduler/store.h"

/* Versions come before the rows that say which roles they have. */
struct loading {
	struct daemon *d;
	struct fn_version **version;
	size_t count, cap, next; /* next: the first one of the function whose row comes next, or of one before it */
};

static int load_name(void *ctx, const char *name, unsigned last_version)
{
	struct loading *l = ctx;
	struct function *fn = registry_add(&l->d->registry, name);

	if (!fn)
		return -ENOMEM;
	if (fn->last_version < last_version)
		fn->last_version = last_version;
	return 0;
}

static char *join_reason(const struct store_version *row)
{
	const char *text = row->reason ? row->reason : "";
	size_t a = strlen(row->reason_code), b = strlen(text);
	char *both = malloc(a + b + 2);

	if (both) {
		memcpy(both, row->reason_code, a + 1);
		memcpy(both + a + 1, text, b + 1);
	}
	return both;
}

static int fill(struct fn_version *v, const struct store_version *row)
{
	v->published = row->published;
	v->state = row->state;
	v->created_ms = row->created_ms;
	v->code_size = row->code_size;
	v->zip_crc = row->zip_crc;
	v->img_crc = row->img_crc;
	memcpy(v->sha256, row->sha256, sizeof(v->sha256));
	memcpy(v->revision, row->revision, sizeof(v->revision));
	if ((row->extra && !(v->extra = strdup(row->extra))) ||
	    (row->reason_code && !(v->reason = join_reason(row))) ||
	    (row->init_error && !(v->init_error = strdup(row->init_error))) || lambda_effects(v->extra, &v->settings))
		return -ENOMEM;
	if (v->state == FN_FAILED) {
		v->check = FN_BROKEN;
		v->check_retry_ns = UINT64_MAX;
		stk_err_set(&v->check_err, -EIO, "%s", row->reason ? row->reason : "making its snapshot failed");
	}
	return 0;
}

static int load_version(void *ctx, const struct store_version *row)
{
	struct loading *l = ctx;
	struct function *fn = registry_add(&l->d->registry, row->name);
	struct fn_settings settings;
	struct fn_version *v;
	char own[PATH_CAP];

	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct fn_version **grown = realloc(l->version, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->version = grown;
		l->cap = cap;
	}
	if (!fn || fn_settings_copy(&row->settings, &settings))
		return -ENOMEM;
	v = fn_version_new(fn, row->number, &settings);
	if (!v) {
		fn_settings_fini(&settings);
		return -ENOMEM;
	}
	if (fill(v, row) || daemon_attach_version(l->d, v)) {
		pool_free(v->pool);
		fn_version_free(v);
		return -ENOMEM;
	}
	if (v->settings.layer_count && daemon_version_path(l->d, v, NULL, own, sizeof(own)) == 0) {
		uint64_t sizes[FN_LAYERS_MAX];

		layers_sizes(own, v->settings.layer_count, sizes);
		fn_settings_layer_sizes(&v->settings, sizes);
	}
	l->version[l->count++] = v;
	return 0;
}

static int give_roles(struct registry *r, struct fn_version *v, const struct store_function *row)
{
	if (v->number == row->latest)
		registry_set_latest(r, v->fn, v);
	if (v->number == row->active)
		registry_set_active(r, v->fn, v);
	return v->published ? registry_publish(r, v->fn, v) : 0;
}

/* Versions and functions are read in the order of names. */
static int load_function(void *ctx, const struct store_function *row)
{
	struct loading *l = ctx;
	struct registry *r = &l->d->registry;
	struct function *fn = registry_add(r, row->name);
	int order;

	if (!fn)
		return -ENOMEM;
	for (; l->next < l->count && (order = strcmp(l->version[l->next]->fn->name, fn->name)) <= 0; l->next++) {
		if (order == 0 && give_roles(r, l->version[l->next], row))
			return -ENOMEM;
	}
	if (fn->last_published < row->last_published)
		fn->last_published = row->last_published;
	fn->reserved = row->reserved;
	return 0;
}

static int load_alias(void *ctx, const char *name, const struct fn_alias *row)
{
	struct loading *l = ctx;
	struct function *fn = registry_find(&l->d->registry, name);
	struct fn_alias *a;

	if (!fn || !fn->latest)
		return 0;
	a = malloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = *row;
	a->description = row->description ? strdup(row->description) : NULL;
	if (row->description && !a->description) {
		free(a);
		return -ENOMEM;
	}
	return registry_alias_set(fn, a);
}

static int load_note(void *ctx, const char *name, const struct fn_note *n)
{
	struct loading *l = ctx;
	struct function *fn = registry_find(&l->d->registry, name);

	return fn && fn->latest ? registry_note_set(fn, n->kind, n->qualifier, n->json) : 0;
}

int lifecycle_load(struct daemon *d, struct stk_err *err)
{
	static const struct store_sink sink = {.name = load_name, .version = load_version, .function = load_function,
		.alias = load_alias, .note = load_note};
	struct loading l = {.d = d};
	int rc = store_load(d->store, &sink, &l, err);

	if (rc == -ENOMEM && !err->code)
		stk_err_set(err, rc, "out of memory");
	/* The references of those that were just made; a version without a role goes with it. */
	for (size_t i = 0; i < l.count; i++)
		fn_version_put(&d->registry, l.version[i]);
	free(l.version);
	return rc;
}

static void resumed(void *ctx)
{
	struct function *fn = ctx;

	fn->building--;
}

/* As in the life that was asked for it, nobody changes the function meanwhile. */
static void resume(struct daemon *d, struct fn_version *v)
{
	if (!v || v->state != FN_PENDING || v->check == FN_REBUILDING)
		return;
	v->fn->building++;
	lifecycle_build(d, v, resumed, v->fn);
}

void lifecycle_resume(struct daemon *d)
{
	REGISTRY_FOREACH(&d->registry, fn) {
		resume(d, fn->latest);
		for (unsigned i = 0; i < fn->published_count; i++)
			resume(d, fn->published[i]);
		provisioned_apply(d, fn);
	}
}
