/* Functions and their versions in memory: a hash table by name. Loop thread only.
 *
 * Lifetime: a struct function lives as long as the daemon once its name was used (its last version
 * number must not be given twice). A version is counted: one reference while it is the active one,
 * one for each VM, request and job that uses it; with the last one `on_unused` is called, where a
 * retired version's files are removed. */
#ifndef SCHEDULER_REGISTRY_H
#define SCHEDULER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/list.h"

#define FN_NAME_MAX    64
#define FN_RUNTIME_MAX 32
#define FN_HANDLER_MAX 128
#define FN_ENV_MAX     4096 /* bytes of all K=V with their NULs */
#define FN_MEMORY_MIN  128
#define FN_MEMORY_MAX  10240
#define FN_TIMEOUT_MAX 900

struct pool;
struct logsink;
struct fnmetrics;

/* What becomes of a VM that has answered: it ends, or goes back to the snapshot for the function's next call. */
enum fn_reuse { FN_DESTROY, FN_RESET };

struct fn_settings {
	char runtime[FN_RUNTIME_MAX + 1];
	char handler[FN_HANDLER_MAX + 1];
	unsigned memory_mib;
	unsigned timeout_s;
	enum fn_reuse reuse;
	char *env; /* NUL-separated K=V, heap; may be NULL */
	size_t env_len;
};

/* Is the snapshot of this version fit for use in this life of stokerd? */
enum fn_check {
	FN_UNCHECKED,
	FN_CHECKING,
	FN_REBUILDING, /* found damaged, being made again */
	FN_GOOD,
	FN_BROKEN, /* damaged, and making it again failed; tried again later */
};

struct function;

struct fn_version {
	struct function *fn;
	unsigned number;
	struct fn_settings settings;
	int64_t created_ms;
	uint64_t code_size; /* of the zip */
	uint64_t zip_crc, img_crc;
	enum fn_check check;
	uint64_t check_retry_ns; /* FN_BROKEN: not before */
	struct stk_list check_node; /* FN_CHECKING: verifier's, until its turn */
	struct stk_err check_err;
	unsigned refs;
	bool retired;
	struct pool *pool;
};

struct function {
	char name[FN_NAME_MAX + 1];
	struct function *next;
	struct fn_version *active; /* NULL: deleted, or never deployed with success */
	unsigned last_version;
	bool busy; /* a deploy or delete is under way */
	struct logsink *log;
	struct fnmetrics *metrics; /* NULL: never called so far */
};

#define REGISTRY_BUCKETS 16384

struct registry {
	struct function *bucket[REGISTRY_BUCKETS];
	unsigned active_count;
	void (*on_unused)(void *ctx, struct fn_version *v); /* owns v from then on */
	void *ctx;
};

void fn_settings_init(struct fn_settings *s); /* 128 MiB, 3 s, nothing else */
void fn_settings_fini(struct fn_settings *s);
int fn_settings_copy(const struct fn_settings *src, struct fn_settings *ret_copy);
/* "destroy" or "reset". -EINVAL. */
int fn_reuse_parse(const char *text, enum fn_reuse *ret_reuse);
const char *fn_reuse_name(enum fn_reuse reuse);
/* Adds KEY=VALUE text after checking it: name rule, reserved names, size, duplicates. */
int fn_settings_add_env(struct fn_settings *s, const char *pair, struct stk_err *err);
/* Ranges and texts; whether the runtime exists is the caller's to check. */
int fn_settings_check(const struct fn_settings *s, struct stk_err *err);

/* Takes the settings over. NULL when out of memory (settings untouched). refs = 1, the caller's. */
struct fn_version *fn_version_new(struct function *fn, unsigned number, struct fn_settings *settings);
void fn_version_free(struct fn_version *v);
struct fn_version *fn_version_get(struct fn_version *v);
void fn_version_put(struct registry *r, struct fn_version *v);

void registry_init(struct registry *r, void (*on_unused)(void *ctx, struct fn_version *v), void *ctx);
/* Frees all functions and active versions, without on_unused. */
void registry_fini(struct registry *r);
struct function *registry_find(const struct registry *r, const char *name);
/* Finds or adds. NULL when out of memory. */
struct function *registry_add(struct registry *r, const char *name);
/* Makes v (a new reference is taken) the active version, or none when NULL; the former one is
 * retired. */
void registry_activate(struct registry *r, struct function *fn, struct fn_version *v);
/* Active functions in name order; *ret is heap memory of *ret_count entries. */
int registry_list(const struct registry *r, struct function ***ret, unsigned *ret_count);

#define REGISTRY_FOREACH(r, fn)                                                  \
	for (unsigned fn##_b = 0; fn##_b < REGISTRY_BUCKETS; fn##_b++)           \
		for (struct function *fn = (r)->bucket[fn##_b]; fn; fn = fn->next)

#endif
