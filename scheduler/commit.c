/* Changes to the database: see commit.h. */
#include "scheduler/commit.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "common/host/workers.h"
#include "scheduler/daemon.h"
#include "scheduler/store.h"

struct commit {
	uv_work_t work;
	struct daemon *d;
	struct store_tx *tx;
	void (*done)(void *ctx, int rc, const struct stk_err *err);
	void *ctx;
	struct stk_err err;
	int rc;
};

static void work_commit(uv_work_t *w)
{
	struct commit *c = w->data;

	c->rc = store_commit(c->d->store, c->tx, &c->err);
}

static void committed(uv_work_t *w, int status)
{
	struct commit *c = w->data;
	struct daemon *d = c->d;

	if (status)
		c->rc = stk_err_set(&c->err, -ECANCELED, "the host is shutting down");
	c->done(c->ctx, c->rc, &c->err);
	store_tx_free(c->tx);
	free(c);
	daemon_job_done(d);
}

void commit_later(struct daemon *d, struct store_tx *tx, void (*done)(void *ctx, int rc, const struct stk_err *err),
		  void *ctx)
{
	struct commit *c = calloc(1, sizeof(*c));

	if (!c) {
		struct stk_err err = {0};

		store_tx_free(tx);
		done(ctx, stk_err_set(&err, -ENOMEM, "out of memory"), &err);
		return;
	}
	c->work.data = c;
	c->d = d;
	c->tx = tx;
	c->done = done;
	c->ctx = ctx;
	d->jobs++;
	if (workers_queue(&d->loop, &c->work, work_commit, committed))
		committed(&c->work, UV_ENOMEM);
}
