/* Functions, their versions and aliases in memory: a hash table by name. Loop thread only.
 *
 *   latest    what $LATEST is configured to be; its snapshot may still be made, or making it may have failed
 *   active    what $LATEST answers with: the last one of them whose snapshot was made
 *   published immutable, each with its number, in the order of these
 *
 * Lifetime: a struct function lives as long as the daemon once its name was used (its last build number must not be
 * given twice). A version is counted: one reference for each of the roles above, one for each VM, request and job that
 * uses it. When it loses its last role it is retired; with the last reference `on_unused` is called, where a retired
 * version's files are removed. */
#ifndef SCHEDULER_REGISTRY_H
#define SCHEDULER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/list.h"

#define FN_BARE_MAX    64 /* as its owner names it */
#define FN_TENANT_MAX  64
#define FN_NAME_MAX    (FN_BARE_MAX + 1 + FN_TENANT_MAX) /* NAME, or NAME.TENANT for all but the default tenant */
#define FN_SHA256_LEN  32
#define FN_REVISION_LEN 36
#define FN_RUNTIME_MAX 32
#define FN_HANDLER_MAX 128
#define FN_ENV_MAX     4096 /* bytes of all K=V with their NULs */
#define FN_SECRETS_MAX 16384 /* likewise */
#define FN_MEMORY_MIN  128
#define FN_MEMORY_MAX  10240
#define FN_TIMEOUT_MAX 900
#define FN_STORAGE_MIN 512 /* MiB of /tmp; what the scratch image has */
#define FN_STORAGE_MAX 10240

struct pool;
struct logsink;
struct fnmetrics;
struct tenant;

/* What becomes of a VM that has answered: it ends, or goes back to the snapshot for the function's next call. */
enum fn_reuse { FN_DESTROY, FN_RESET };

#define FN_LAYERS_MAX 5

/* How the log of a version is written: LoggingConfig of Lambda's API. What is below a level is left out. */
enum fn_log_level { FN_LOG_TRACE, FN_LOG_DEBUG, FN_LOG_INFO, FN_LOG_WARN, FN_LOG_ERROR, FN_LOG_FATAL, FN_LOG_LEVELS };

struct fn_logging {
	bool json; /* else text, of all levels */
	enum fn_log_level app, system; /* of what the function's logger writes, and of the host's own lines */
	char *group; /* heap: a name for the function's environment; NULL: /aws/lambda/NAME */
};

/* What functions share: see layers.h. */
struct fn_layer {
	char name[FN_NAME_MAX + 1]; /* with the tenant, as a function's */
	unsigned version;
	uint64_t size; /* bytes of its zip; 0: not known yet */
};

struct fn_settings {
	char runtime[FN_RUNTIME_MAX + 1];
	char handler[FN_HANDLER_MAX + 1];
	unsigned memory_mib;
	unsigned timeout_s;
	unsigned storage_mib; /* size of /tmp */
	enum fn_reuse reuse;
	char *env; /* NUL-separated K=V, heap; may be NULL */
	size_t env_len;
	char *secrets; /* as env; see secrets.h */
	size_t secrets_len;
	struct fn_layer *layers; /* in order, heap; NULL when there are none */
	unsigned layer_count;
	/* In the database as parts of the version's `extra`: see lambda/effects.h. */
	struct fn_logging logging;
	bool snapstart; /* published versions have initialization type snap-start */
};

/* Is the snapshot of this version fit for use in this life of stokerd? */
enum fn_check {
	FN_UNCHECKED,
	FN_CHECKING,
	FN_REBUILDING, /* being made: for the first time, or again as it was found damaged */
	FN_GOOD,
	FN_BROKEN, /* damaged, or never made, and making it failed; tried again later */
};

/* Kept in the database; the check above is of this life only. */
enum fn_state { FN_PENDING, FN_ACTIVE, FN_FAILED };

struct function;

struct fn_version {
	struct function *fn;
	unsigned number;    /* of the build, in the order of deploys: the folder's name */
	unsigned published; /* its public number; 0: of $LATEST */
	enum fn_state state;
	struct fn_settings settings;
	char *extra;  /* heap: further configuration, a JSON object; or NULL */
	char *reason; /* heap, FN_FAILED: code, NUL, text; or NULL */
	char *init_error; /* heap, FN_FAILED: what the init phase reported, JSON; or NULL */
	int64_t created_ms;
	uint64_t code_size; /* of the zip */
	uint64_t zip_crc, img_crc;
	uint8_t sha256[FN_SHA256_LEN]; /* of the zip; zeros: not known */
	char revision[FN_REVISION_LEN + 1]; /* another one after each change */
	enum fn_check check;
	uint64_t check_retry_ns; /* FN_BROKEN: not before */
	struct stk_list check_node; /* FN_CHECKING: verifier's, until its turn */
	struct stk_err check_err;
	unsigned refs;
	unsigned roles; /* how many */
	bool retired;
	struct pool *pool;
};

/* Traffic for a name goes to one version, and a share of it to another one. */
struct fn_alias {
	char name[129];
	unsigned version;    /* published */
	unsigned additional; /* published; 0: none */
	double weight;       /* of the additional one, 0 to 1 */
	char revision[FN_REVISION_LEN + 1];
	char *description; /* heap, or NULL */
};

/* What else is configured for a function or one of its qualifiers: a JSON text by kind. */
struct fn_note {
	char kind[24];
	char qualifier[129]; /* "" for the function */
	char *json; /* heap */
};

struct function {
	char name[FN_NAME_MAX + 1];
	struct function *next;
	struct tenant *tenant; /* NULL until it has a version */
	struct fn_version *latest; /* NULL: deleted, or never deployed with success */
	struct fn_version *active; /* NULL: as before, or the first snapshot was not made yet */
	struct fn_version **published;
	struct fn_alias **aliases; /* in the order of names */
	struct fn_note **notes;
	unsigned published_count, alias_count, note_count;
	unsigned last_published; /* not given again, not even when the function was deleted meanwhile */
	unsigned last_version; /* build number */
	int reserved;          /* concurrency; -1: not set */
	unsigned in_flight;    /* calls that run or wait, of all its versions */
	bool busy;         /* a change of it is being stored: no other one until then */
	bool deploying;    /* over /v1: as while building, and it is not deleted either */
	unsigned building; /* snapshots being made for its latest version and one to be published: no other code or settings */
	struct logsink *log;
	struct fnmetrics *metrics; /* NULL: never called so far */
};

#define REGISTRY_BUCKETS 16384

struct registry {
	struct function *bucket[REGISTRY_BUCKETS];
	struct function **sorted; /* those that exist, by name */
	unsigned count, cap;      /* of these; cap also counts names that were used before */
	unsigned names;
	void (*on_unused)(void *ctx, struct fn_version *v); /* owns v from then on */
	void *ctx;
};

void fn_settings_init(struct fn_settings *s); /* 128 MiB, 3 s, the smallest /tmp, nothing else */
void fn_settings_fini(struct fn_settings *s);
int fn_settings_copy(const struct fn_settings *src, struct fn_settings *ret_copy);
/* "destroy" or "reset". -EINVAL. */
int fn_reuse_parse(const char *text, enum fn_reuse *ret_reuse);
const char *fn_reuse_name(enum fn_reuse reuse);
/* Adds KEY=VALUE text after checking it: name rule, reserved names, size, duplicates. */
int fn_settings_add_env(struct fn_settings *s, const char *pair, struct stk_err *err);
/* Behind those that are there. -EINVAL when there are FN_LAYERS_MAX, or another version of the same one. */
int fn_settings_add_layer(struct fn_settings *s, const struct fn_layer *layer, struct stk_err *err);
/* Of each layer in their order; 0 leaves what is known. */
void fn_settings_layer_sizes(struct fn_settings *s, const uint64_t *sizes);
bool fn_same_layers(const struct fn_settings *a, const struct fn_settings *b);
bool fn_same_secrets(const struct fn_settings *a, const struct fn_settings *b);
const char *fn_log_level_name(enum fn_log_level level); /* "TRACE" to "FATAL" */
/* The level of the function's own lines; NULL: its log is text, which has none. */
const char *fn_app_log_level(const struct fn_settings *s);
/* Has this version ($LATEST: 0) initialization type snap-start? */
bool fn_is_snapstart(const struct fn_settings *s, unsigned published);
/* Would a snapshot of $LATEST made with the one be right with the other? All that the guest sees is the same. */
bool fn_same_guest(const struct fn_settings *a, const struct fn_settings *b);
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
/* Ids of function URLs are made of it (furl_host.c): it must stay as it is. */
uint32_t registry_hash(const char *name);
/* The first of those, linked by `next`, among which functions with names of this hash are. */
const struct function *registry_bucket(const struct registry *r, uint32_t hash);
/* Finds or adds. NULL when out of memory. */
struct function *registry_add(struct registry *r, const char *name);
/* Each takes a reference to v, and drops that of the version that had the role before. v NULL: nobody has it. */
void registry_set_latest(struct registry *r, struct function *fn, struct fn_version *v);
void registry_set_active(struct registry *r, struct function *fn, struct fn_version *v);
/* v->published is set. -ENOMEM. */
int registry_publish(struct registry *r, struct function *fn, struct fn_version *v);
void registry_unpublish(struct registry *r, struct fn_version *v);
/* The function as such goes: versions, aliases and notes. */
void registry_drop(struct registry *r, struct function *fn);
struct fn_version *registry_published(const struct function *fn, unsigned number); /* or NULL */
/* Adds, or replaces the one of the same name. Heap; taken over, also when it fails. -ENOMEM. */
int registry_alias_set(struct function *fn, struct fn_alias *alias);
struct fn_alias *registry_alias(const struct function *fn, const char *name); /* or NULL */
void registry_alias_drop(struct function *fn, const char *name);
/* json NULL: removes it. -ENOMEM. */
int registry_note_set(struct function *fn, const char *kind, const char *qualifier, const char *json);
/* All that is noted of a qualifier, which is not "". */
void registry_notes_drop(struct function *fn, const char *qualifier);
const char *registry_note(const struct function *fn, const char *kind, const char *qualifier); /* or NULL */
/* Functions that exist are r->sorted[0..count). Position of the first one whose name is behind `after`. */
unsigned registry_behind(const struct registry *r, const char *after);

#define FN_VERSION_TEXT 12
/* "$LATEST" for 0. */
void fn_version_text(unsigned published, char ret[FN_VERSION_TEXT]);
/* As the function's owner names it: without the tenant. */
void fn_bare_name(const char *name, char ret[FN_BARE_MAX + 1]);
#define FN_ARN_MAX 320
/* Amazon resource name of a function; qualifier NULL or "": none. account NULL: the default tenant's. */
void fn_arn(const char *account, const char *name, const char *qualifier, char ret[FN_ARN_MAX]);
/* NAME and, behind a '.', perhaps TENANT: each of letters, digits, - and _. */
bool fn_name_valid(const char *name);

#define REGISTRY_FOREACH(r, fn)                                                  \
	for (unsigned fn##_b = 0; fn##_b < REGISTRY_BUCKETS; fn##_b++)           \
		for (struct function *fn = (r)->bucket[fn##_b]; fn; fn = fn->next)

#endif
