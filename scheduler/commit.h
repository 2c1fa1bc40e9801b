/* Changes to the database, off the loop. */
#ifndef SCHEDULER_COMMIT_H
#define SCHEDULER_COMMIT_H

#include "common/base/err.h"

struct daemon;
struct store_tx;

/* Commits tx (taken over) on a worker thread, then calls done on the loop: rc 0 or negative errno with its text. When no
 * work can be queued, done is called before this returns. Holds the host's end until then. */
void commit_later(struct daemon *d, struct store_tx *tx, void (*done)(void *ctx, int rc, const struct stk_err *err),
		  void *ctx);

#endif
