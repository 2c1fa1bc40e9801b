/* What becomes of versions: pending ones get their snapshot and then serve, or have failed. */
#ifndef SCHEDULER_LIFECYCLE_H
#define SCHEDULER_LIFECYCLE_H

#include "common/base/err.h"

struct build_result;
struct daemon;
struct fn_version;
struct function;

/* A version of this state, its pool and its folder with code.zip are there; its snapshot is made when it is its turn: a
 * few are at a time. When that is done it is FN_ACTIVE, and serves if it is its function's latest; or FN_FAILED with
 * the reason, and what served before goes on serving. Both are in the database then. done (may be NULL) is called
 * behind that, or when the host shuts down: the version is pending still, and is built in the host's next life; or when
 * it was deleted meanwhile: v is retired. Loop thread. */
void lifecycle_build(struct daemon *d, struct fn_version *v, void (*done)(void *ctx), void *ctx);
/* The files of an active version were made again: other checksums. */
void lifecycle_made_again(struct daemon *d, struct fn_version *v, const struct build_result *r);
/* v, active in the database already, takes over from what $LATEST answered with before. */
void lifecycle_activate(struct daemon *d, struct fn_version *v);
/* The function and all its versions go from the registry; the database has forgotten them already. */
void lifecycle_drop(struct daemon *d, struct function *fn);
/* A published version goes, likewise, and an alias. Both with all that is noted of them. */
void lifecycle_unpublish(struct daemon *d, struct fn_version *v);
void lifecycle_drop_alias(struct daemon *d, struct function *fn, const char *alias);
/* Another revision id. 0 or negative errno. */
int lifecycle_revise(struct fn_version *v);
/* All versions of the database into the registry; pending ones are built when the loop runs. Blocks, at start. */
int lifecycle_load(struct daemon *d, struct stk_err *err);
void lifecycle_resume(struct daemon *d);

#endif
