/* Functions and versions: see registry.h. */
#include "scheduler/registry.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/base/utf8.h"
#include "scheduler/region.h"
#include "scheduler/secrets.h"
#include "snapshots/funcenv.h"

void fn_settings_init(struct fn_settings *s)
{
	*s = (struct fn_settings){.memory_mib = 128, .timeout_s = 3, .storage_mib = FN_STORAGE_MIN};
}

void fn_settings_fini(struct fn_settings *s)
{
	free(s->env);
	s->env = NULL;
	s->env_len = 0;
	secrets_free(s->secrets, s->secrets_len);
	s->secrets = NULL;
	s->secrets_len = 0;
	free(s->layers);
	s->layers = NULL;
	s->layer_count = 0;
	free(s->logging.group);
	s->logging = (struct fn_logging){0};
}

/* *ret_copy is a pointer of any kind. */
static int copy_bytes(const void *src, size_t len, void *ret_copy)
{
	void *copy = len ? malloc(len) : NULL;

	if (len && !copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, src, len);
	memcpy(ret_copy, &copy, sizeof(copy));
	return 0;
}

int fn_settings_copy(const struct fn_settings *src, struct fn_settings *ret_copy)
{
	struct fn_settings copy = *src;

	copy.env = copy.secrets = NULL;
	copy.layers = NULL;
	copy.logging.group = NULL;
	if (copy_bytes(src->env, src->env_len, &copy.env) ||
	    copy_bytes(src->secrets, src->secrets_len, &copy.secrets) ||
	    copy_bytes(src->layers, src->layer_count * sizeof(*src->layers), &copy.layers) ||
	    (src->logging.group && !(copy.logging.group = strdup(src->logging.group)))) {
		fn_settings_fini(&copy);
		return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

static const char *const reuse_names[] = {[FN_DESTROY] = "destroy", [FN_RESET] = "reset"};

int fn_reuse_parse(const char *text, enum fn_reuse *ret_reuse)
{
	for (size_t i = 0; i < STK_ARRAY_LEN(reuse_names); i++) {
		if (strcmp(text, reuse_names[i]) == 0) {
			*ret_reuse = (enum fn_reuse)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *fn_reuse_name(enum fn_reuse reuse)
{
	return reuse_names[reuse];
}

int fn_settings_add_env(struct fn_settings *s, const char *pair, struct stk_err *err)
{
	const char *eq = strchr(pair, '=');
	size_t key_len = eq ? (size_t)(eq - pair) : 0, len = strlen(pair) + 1;
	char *grown;

	if (!eq || key_len < 2 || !isalpha((unsigned char)pair[0]))
		return stk_err_set(err, -EINVAL,
				   "environment: expected NAME=VALUE, the name a letter and then letters, digits or _");
	for (size_t i = 0; i < key_len; i++) {
		if (!isalnum((unsigned char)pair[i]) && pair[i] != '_')
			return stk_err_set(err, -EINVAL, "environment: bad name \"%.*s\"",
					   (int)(key_len > 80 ? 80 : key_len), pair);
	}
	if (snap_funcenv_reserved(pair, key_len) && !snap_funcenv_choice(pair))
		return stk_err_set(err, -EINVAL, "environment: %.*s is set by the host", (int)key_len, pair);
	for (size_t at = 0; at < s->env_len; at += strlen(s->env + at) + 1) {
		if (strncmp(s->env + at, pair, key_len + 1) == 0)
			return stk_err_set(err, -EINVAL, "environment: %.*s is given twice",
					   (int)(key_len > 80 ? 80 : key_len), pair);
	}
	/* Answers that show the settings are JSON. */
	if (!stk_utf8_valid(pair, len - 1))
		return stk_err_set(err, -EINVAL, "environment: the value of %.*s is not UTF-8",
				   (int)(key_len > 80 ? 80 : key_len), pair);
	if (s->env_len + len > FN_ENV_MAX)
		return stk_err_set(err, -E2BIG, "environment: larger than %d bytes", FN_ENV_MAX);
	grown = realloc(s->env, s->env_len + len);
	if (!grown)
		return stk_err_set(err, -ENOMEM, "out of memory");
	s->env = grown;
	memcpy(s->env + s->env_len, pair, len);
	s->env_len += len;
	return 0;
}

int fn_settings_add_layer(struct fn_settings *s, const struct fn_layer *layer, struct stk_err *err)
{
	struct fn_layer *grown;

	if (s->layer_count == FN_LAYERS_MAX)
		return stk_err_set(err, -EINVAL, "layer: a function has up to %d", FN_LAYERS_MAX);
	for (unsigned i = 0; i < s->layer_count; i++) {
		if (strcmp(s->layers[i].name, layer->name) == 0)
			return stk_err_set(err, -EINVAL, "layer: \"%s\" is given twice", layer->name);
	}
	grown = realloc(s->layers, (s->layer_count + 1) * sizeof(*grown));
	if (!grown)
		return stk_err_set(err, -ENOMEM, "out of memory");
	s->layers = grown;
	s->layers[s->layer_count++] = *layer;
	return 0;
}

void fn_settings_layer_sizes(struct fn_settings *s, const uint64_t *sizes)
{
	for (unsigned i = 0; i < s->layer_count; i++) {
		if (sizes[i])
			s->layers[i].size = sizes[i];
	}
}

bool fn_same_layers(const struct fn_settings *a, const struct fn_settings *b)
{
	if (a->layer_count != b->layer_count)
		return false;
	for (unsigned i = 0; i < a->layer_count; i++) {
		if (strcmp(a->layers[i].name, b->layers[i].name) != 0 || a->layers[i].version != b->layers[i].version)
			return false;
	}
	return true;
}

bool fn_same_secrets(const struct fn_settings *a, const struct fn_settings *b)
{
	return a->secrets_len == b->secrets_len &&
	       (!a->secrets_len || memcmp(a->secrets, b->secrets, a->secrets_len) == 0);
}

const char *fn_log_level_name(enum fn_log_level level)
{
	static const char *const names[FN_LOG_LEVELS] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

	return names[level];
}

const char *fn_app_log_level(const struct fn_settings *s)
{
	return s->logging.json ? fn_log_level_name(s->logging.app) : NULL;
}

bool fn_is_snapstart(const struct fn_settings *s, unsigned published)
{
	return s->snapstart && published;
}

/* As far as it is in the environment: the host's own lines are no matter of the guest's. */
static bool same_logging(const struct fn_logging *a, const struct fn_logging *b)
{
	if (a->json != b->json || (a->json && a->app != b->app) || !a->group != !b->group)
		return false;
	return !a->group || strcmp(a->group, b->group) == 0;
}

bool fn_same_guest(const struct fn_settings *a, const struct fn_settings *b)
{
	return strcmp(a->runtime, b->runtime) == 0 && strcmp(a->handler, b->handler) == 0 &&
	       a->memory_mib == b->memory_mib && a->storage_mib == b->storage_mib && a->reuse == b->reuse &&
	       a->env_len == b->env_len &&
	       (!a->env_len || memcmp(a->env, b->env, a->env_len) == 0) && fn_same_layers(a, b) && fn_same_secrets(a, b) &&
	       same_logging(&a->logging, &b->logging);
}

int fn_settings_check(const struct fn_settings *s, struct stk_err *err)
{
	const char *ready;

	if (!s->runtime[0])
		return stk_err_set(err, -EINVAL, "runtime: missing");
	for (const char *p = s->runtime; *p; p++) {
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '.' && *p != '-')
			return stk_err_set(err, -EINVAL, "runtime: bad name");
	}
	if (s->runtime[0] == '.')
		return stk_err_set(err, -EINVAL, "runtime: bad name");
	if (!s->handler[0])
		return stk_err_set(err, -EINVAL, "handler: missing");
	for (const char *p = s->handler; *p; p++) {
		if ((unsigned char)*p <= ' ' || (unsigned char)*p == 0x7f)
			return stk_err_set(err, -EINVAL, "handler: blanks and control characters are not allowed");
	}
	if (!stk_utf8_valid(s->handler, strlen(s->handler)))
		return stk_err_set(err, -EINVAL, "handler: not UTF-8");
	if (snap_funcenv_http(s->handler, &ready, err) < 0)
		return -EINVAL;
	if (s->memory_mib < FN_MEMORY_MIN || s->memory_mib > FN_MEMORY_MAX)
		return stk_err_set(err, -EINVAL, "memory: %u MiB is outside %d to %d", s->memory_mib,
				   FN_MEMORY_MIN, FN_MEMORY_MAX);
	if (s->storage_mib < FN_STORAGE_MIN || s->storage_mib > FN_STORAGE_MAX)
		return stk_err_set(err, -EINVAL, "ephemeral-storage: %u MiB is outside %d to %d", s->storage_mib,
				   FN_STORAGE_MIN, FN_STORAGE_MAX);
	if (s->timeout_s < 1 || s->timeout_s > FN_TIMEOUT_MAX)
		return stk_err_set(err, -EINVAL, "timeout: %u s is outside 1 to %d", s->timeout_s,
				   FN_TIMEOUT_MAX);
	return 0;
}

struct fn_version *fn_version_new(struct function *fn, unsigned number, struct fn_settings *settings)
{
	struct fn_version *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->fn = fn;
	v->number = number;
	v->settings = *settings;
	settings->env = NULL;
	settings->env_len = 0;
	settings->secrets = NULL;
	settings->secrets_len = 0;
	settings->layers = NULL;
	settings->layer_count = 0;
	settings->logging.group = NULL;
	v->refs = 1;
	v->state = FN_ACTIVE;
	stk_list_init(&v->check_node);
	return v;
}

void fn_version_free(struct fn_version *v)
{
	if (!v)
		return;
	fn_settings_fini(&v->settings);
	free(v->extra);
	free(v->reason);
	free(v->init_error);
	free(v);
}

struct fn_version *fn_version_get(struct fn_version *v)
{
	assert(v->refs > 0);
	v->refs++;
	return v;
}

void fn_version_put(struct registry *r, struct fn_version *v)
{
	assert(v->refs > 0);
	if (--v->refs == 0)
		r->on_unused(r->ctx, v);
}

void registry_init(struct registry *r, void (*on_unused)(void *ctx, struct fn_version *v), void *ctx)
{
	memset(r, 0, sizeof(*r));
	r->on_unused = on_unused;
	r->ctx = ctx;
}

static void alias_free(struct fn_alias *a)
{
	free(a->description);
	free(a);
}

static void note_free(struct fn_note *n)
{
	free(n->json);
	free(n);
}

static void forget_names(struct function *fn)
{
	for (unsigned i = 0; i < fn->alias_count; i++)
		alias_free(fn->aliases[i]);
	for (unsigned i = 0; i < fn->note_count; i++)
		note_free(fn->notes[i]);
	free(stk_take_ptr(&fn->aliases));
	free(stk_take_ptr(&fn->notes));
	fn->alias_count = fn->note_count = 0;
}

void registry_fini(struct registry *r)
{
	for (unsigned b = 0; b < REGISTRY_BUCKETS; b++) {
		struct function *fn = r->bucket[b];

		while (fn) {
			struct function *next = fn->next;

			if (fn->active != fn->latest)
				fn_version_free(fn->active);
			fn_version_free(fn->latest);
			for (unsigned i = 0; i < fn->published_count; i++)
				fn_version_free(fn->published[i]);
			free(fn->published);
			forget_names(fn);
			free(fn);
			fn = next;
		}
		r->bucket[b] = NULL;
	}
	free(stk_take_ptr(&r->sorted));
	r->count = r->cap = r->names = 0;
}

uint32_t registry_hash(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a; names come from deployers, not from invokers */

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}

const struct function *registry_bucket(const struct registry *r, uint32_t hash)
{
	return r->bucket[hash % REGISTRY_BUCKETS];
}

struct function *registry_find(const struct registry *r, const char *name)
{
	for (struct function *fn = r->bucket[registry_hash(name) % REGISTRY_BUCKETS]; fn; fn = fn->next) {
		if (strcmp(fn->name, name) == 0)
			return fn;
	}
	return NULL;
}

struct function *registry_add(struct registry *r, const char *name)
{
	struct function *fn = registry_find(r, name);
	unsigned b = registry_hash(name) % REGISTRY_BUCKETS;

	if (fn)
		return fn;
	if (r->names == r->cap) {
		unsigned cap = r->cap ? r->cap * 2 : 64;
		struct function **grown = realloc(r->sorted, cap * sizeof(*grown));

		if (!grown)
			return NULL;
		r->sorted = grown;
		r->cap = cap;
	}
	fn = calloc(1, sizeof(*fn));
	if (!fn || stk_strcpy(fn->name, sizeof(fn->name), name)) {
		free(fn);
		return NULL;
	}
	fn->reserved = -1;
	fn->next = r->bucket[b];
	r->bucket[b] = fn;
	r->names++;
	return fn;
}

static struct fn_version *take_role(struct function *fn, struct fn_version *v)
{
	if (!v)
		return NULL;
	v->roles++;
	if (v->number > fn->last_version)
		fn->last_version = v->number;
	return fn_version_get(v);
}

static void drop_role(struct registry *r, struct fn_version *v)
{
	if (!v)
		return;
	if (--v->roles == 0)
		v->retired = true;
	fn_version_put(r, v);
}

unsigned registry_behind(const struct registry *r, const char *after)
{
	unsigned lo = 0, hi = r->count;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (strcmp(r->sorted[mid]->name, after) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* There is room for all names: registry_add sees to that. */
static void list_function(struct registry *r, struct function *fn)
{
	unsigned at = registry_behind(r, fn->name);

	memmove(r->sorted + at + 1, r->sorted + at, (r->count - at) * sizeof(*r->sorted));
	r->sorted[at] = fn;
	r->count++;
}

static void unlist_function(struct registry *r, const struct function *fn)
{
	unsigned at = registry_behind(r, fn->name) - 1;

	r->count--;
	memmove(r->sorted + at, r->sorted + at + 1, (r->count - at) * sizeof(*r->sorted));
}

void registry_set_latest(struct registry *r, struct function *fn, struct fn_version *v)
{
	struct fn_version *old = fn->latest;

	fn->latest = take_role(fn, v);
	if (v && !old)
		list_function(r, fn);
	if (old && !v)
		unlist_function(r, fn);
	drop_role(r, old);
}

void registry_set_active(struct registry *r, struct function *fn, struct fn_version *v)
{
	struct fn_version *old = fn->active;

	fn->active = take_role(fn, v);
	drop_role(r, old);
}

int registry_publish(struct registry *r, struct function *fn, struct fn_version *v)
{
	unsigned n = fn->published_count;
	struct fn_version **grown = realloc(fn->published, (n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	fn->published = grown;
	for (; n && grown[n - 1]->published > v->published; n--)
		grown[n] = grown[n - 1];
	grown[n] = take_role(fn, v);
	fn->published_count++;
	if (v->published > fn->last_published)
		fn->last_published = v->published;
	return 0;
}

void registry_unpublish(struct registry *r, struct fn_version *v)
{
	struct function *fn = v->fn;
	unsigned i = 0;

	while (i < fn->published_count && fn->published[i] != v)
		i++;
	if (i == fn->published_count)
		return;
	fn->published_count--;
	memmove(fn->published + i, fn->published + i + 1, (fn->published_count - i) * sizeof(*fn->published));
	drop_role(r, v);
}

void registry_drop(struct registry *r, struct function *fn)
{
	registry_set_active(r, fn, NULL);
	registry_set_latest(r, fn, NULL);
	while (fn->published_count)
		registry_unpublish(r, fn->published[fn->published_count - 1]);
	free(stk_take_ptr(&fn->published));
	forget_names(fn);
	fn->reserved = -1;
}

struct fn_version *registry_published(const struct function *fn, unsigned number)
{
	unsigned lo = 0, hi = fn->published_count;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (fn->published[mid]->published < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < fn->published_count && fn->published[lo]->published == number ? fn->published[lo] : NULL;
}

/* --- aliases and notes ----------------------------------------------------------------------------- */

/* Where the name is, or belongs. */
static unsigned alias_place(const struct function *fn, const char *name, bool *ret_there)
{
	unsigned i = 0;

	while (i < fn->alias_count && strcmp(fn->aliases[i]->name, name) < 0)
		i++;
	*ret_there = i < fn->alias_count && strcmp(fn->aliases[i]->name, name) == 0;
	return i;
}

int registry_alias_set(struct function *fn, struct fn_alias *alias)
{
	struct fn_alias **grown;
	bool there;
	unsigned i = alias_place(fn, alias->name, &there);

	if (there) {
		alias_free(fn->aliases[i]);
		fn->aliases[i] = alias;
		return 0;
	}
	grown = realloc(fn->aliases, (fn->alias_count + 1) * sizeof(*grown));
	if (!grown) {
		alias_free(alias);
		return -ENOMEM;
	}
	fn->aliases = grown;
	memmove(grown + i + 1, grown + i, (fn->alias_count - i) * sizeof(*grown));
	grown[i] = alias;
	fn->alias_count++;
	return 0;
}

struct fn_alias *registry_alias(const struct function *fn, const char *name)
{
	bool there;
	unsigned i = alias_place(fn, name, &there);

	return there ? fn->aliases[i] : NULL;
}

void registry_alias_drop(struct function *fn, const char *name)
{
	bool there;
	unsigned i = alias_place(fn, name, &there);

	if (!there)
		return;
	alias_free(fn->aliases[i]);
	fn->alias_count--;
	memmove(fn->aliases + i, fn->aliases + i + 1, (fn->alias_count - i) * sizeof(*fn->aliases));
}

static struct fn_note **note_place(const struct function *fn, const char *kind, const char *qualifier)
{
	for (unsigned i = 0; i < fn->note_count; i++) {
		if (strcmp(fn->notes[i]->kind, kind) == 0 && strcmp(fn->notes[i]->qualifier, qualifier) == 0)
			return &fn->notes[i];
	}
	return NULL;
}

const char *registry_note(const struct function *fn, const char *kind, const char *qualifier)
{
	struct fn_note **place = note_place(fn, kind, qualifier);

	return place ? (*place)->json : NULL;
}

int registry_note_set(struct function *fn, const char *kind, const char *qualifier, const char *json)
{
	struct fn_note **place = note_place(fn, kind, qualifier), *note, **grown;

	if (!json) {
		if (place) {
			note_free(*place);
			*place = fn->notes[--fn->note_count];
		}
		return 0;
	}
	note = calloc(1, sizeof(*note));
	if (!note || !(note->json = strdup(json)) || stk_strcpy(note->kind, sizeof(note->kind), kind) ||
	    stk_strcpy(note->qualifier, sizeof(note->qualifier), qualifier))
		goto fail;
	if (place) {
		note_free(*place);
		*place = note;
		return 0;
	}
	grown = realloc(fn->notes, (fn->note_count + 1) * sizeof(*grown));
	if (!grown)
		goto fail;
	fn->notes = grown;
	grown[fn->note_count++] = note;
	return 0;
fail:
	if (note)
		note_free(note);
	return -ENOMEM;
}

void registry_notes_drop(struct function *fn, const char *qualifier)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < fn->note_count; i++) {
		if (strcmp(fn->notes[i]->qualifier, qualifier) == 0)
			note_free(fn->notes[i]);
		else
			fn->notes[kept++] = fn->notes[i];
	}
	fn->note_count = kept;
}

void fn_version_text(unsigned published, char ret[FN_VERSION_TEXT])
{
	if (published)
		snprintf(ret, FN_VERSION_TEXT, "%u", published);
	else
		strcpy(ret, "$LATEST");
}

void fn_bare_name(const char *name, char ret[FN_BARE_MAX + 1])
{
	snprintf(ret, FN_BARE_MAX + 1, "%.*s", (int)strcspn(name, "."), name);
}

void fn_arn(const char *account, const char *name, const char *qualifier, char ret[FN_ARN_MAX])
{
	bool qualified = qualifier && *qualifier;

	snprintf(ret, FN_ARN_MAX, "arn:aws:lambda:%.32s:%.12s:function:%.*s%s%.128s", region_name(),
		 account ? account : "000000000000", (int)strcspn(name, "."), name, qualified ? ":" : "",
		 qualified ? qualifier : "");
}

bool fn_name_valid(const char *name)
{
	char part[FN_NAME_MAX + 1];
	const char *dot = strchr(name, '.');

	if (!dot)
		return stk_name_valid(name);
	if (stk_snprintf(part, sizeof(part), "%.*s", (int)(dot - name), name))
		return false;
	return stk_name_valid(part) && stk_name_valid(dot + 1) && strlen(dot + 1) <= FN_TENANT_MAX;
}
