/* Functions and versions: see registry.h. */
#include "scheduler/registry.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "snapshots/funcenv.h"

void fn_settings_init(struct fn_settings *s)
{
	*s = (struct fn_settings){.memory_mib = 128, .timeout_s = 3};
}

void fn_settings_fini(struct fn_settings *s)
{
	free(s->env);
	s->env = NULL;
	s->env_len = 0;
}

int fn_settings_copy(const struct fn_settings *src, struct fn_settings *ret_copy)
{
	struct fn_settings copy = *src;

	copy.env = NULL;
	if (src->env_len) {
		copy.env = malloc(src->env_len);
		if (!copy.env)
			return -ENOMEM;
		memcpy(copy.env, src->env, src->env_len);
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
	if (snap_funcenv_reserved(pair, key_len))
		return stk_err_set(err, -EINVAL, "environment: %.*s is set by the host", (int)key_len, pair);
	for (size_t at = 0; at < s->env_len; at += strlen(s->env + at) + 1) {
		if (strncmp(s->env + at, pair, key_len + 1) == 0)
			return stk_err_set(err, -EINVAL, "environment: %.*s is given twice",
					   (int)(key_len > 80 ? 80 : key_len), pair);
	}
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

int fn_settings_check(const struct fn_settings *s, struct stk_err *err)
{
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
	if (s->memory_mib < FN_MEMORY_MIN || s->memory_mib > FN_MEMORY_MAX)
		return stk_err_set(err, -EINVAL, "memory: %u MiB is outside %d to %d", s->memory_mib,
				   FN_MEMORY_MIN, FN_MEMORY_MAX);
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
	v->refs = 1;
	stk_list_init(&v->check_node);
	return v;
}

void fn_version_free(struct fn_version *v)
{
	if (!v)
		return;
	fn_settings_fini(&v->settings);
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

void registry_fini(struct registry *r)
{
	for (unsigned b = 0; b < REGISTRY_BUCKETS; b++) {
		struct function *fn = r->bucket[b];

		while (fn) {
			struct function *next = fn->next;

			fn_version_free(fn->active);
			free(fn);
			fn = next;
		}
		r->bucket[b] = NULL;
	}
}

static unsigned hash(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a; names come from deployers, not from invokers */

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h % REGISTRY_BUCKETS;
}

struct function *registry_find(const struct registry *r, const char *name)
{
	for (struct function *fn = r->bucket[hash(name)]; fn; fn = fn->next) {
		if (strcmp(fn->name, name) == 0)
			return fn;
	}
	return NULL;
}

struct function *registry_add(struct registry *r, const char *name)
{
	struct function *fn = registry_find(r, name);
	unsigned b = hash(name);

	if (fn)
		return fn;
	fn = calloc(1, sizeof(*fn));
	if (!fn || stk_strcpy(fn->name, sizeof(fn->name), name)) {
		free(fn);
		return NULL;
	}
	fn->next = r->bucket[b];
	r->bucket[b] = fn;
	return fn;
}

void registry_activate(struct registry *r, struct function *fn, struct fn_version *v)
{
	struct fn_version *old = fn->active;

	assert(v != old || !v);
	fn->active = v ? fn_version_get(v) : NULL;
	if (v && v->number > fn->last_version)
		fn->last_version = v->number;
	if (v && !old)
		r->active_count++;
	if (!v && old)
		r->active_count--;
	if (old) {
		old->retired = true;
		fn_version_put(r, old);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct function *const *)a)->name, (*(struct function *const *)b)->name);
}

int registry_list(const struct registry *r, struct function ***ret, unsigned *ret_count)
{
	struct function **list = calloc(r->active_count ? r->active_count : 1, sizeof(struct function *));
	unsigned n = 0;

	if (!list)
		return -ENOMEM;
	REGISTRY_FOREACH(r, fn) {
		if (fn->active && n < r->active_count)
			list[n++] = fn;
	}
	qsort(list, n, sizeof(struct function *), by_name);
	*ret = list;
	*ret_count = n;
	return 0;
}
