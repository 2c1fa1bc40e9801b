/* Asynchronous invocations. "Accepted" means that it will run, whatever happens to this process: an event is answered
 * only when it is on disk, and its row goes only in the transaction that queues what follows from its end.
 *
 *   async_submit ─► pending ─► one transaction for all that came meanwhile (thread) ─► done: 202
 *                                  │
 *   a flow's turn ─► take from disk (same thread) ─► invocation, without a client ─► outcome
 *                                                                                      │
 *                         retry: new time ◄── pending ◄── end: followers queued, row removed
 *
 * Each event runs at least once; twice only when the process ended after the call and before its end was on disk.
 * Asynchronous calls come after the others: so many at once (--async-concurrency), of the host's queue an eighth, and
 * none of a function for which clients wait. Loop thread only. */
#ifndef SCHEDULER_ASYNC_ASYNC_H
#define SCHEDULER_ASYNC_ASYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "scheduler/async/event.h"
#include "scheduler/async/evconfig.h"

struct async;
struct daemon;

/* A call to be made. Strings are copied. */
struct async_call {
	enum event_kind kind;       /* EVENT_CALL, EVENT_HTTP or EVENT_CLOUD */
	const char *id;             /* request id: IDS_UUID_LEN characters */
	const char *function;       /* deployed */
	const char *qualifier;      /* as the caller named it; NULL or "": none */
	const char *client_context; /* JSON text, at most EVENT_MAX_CONTEXT bytes; NULL: none */
	const char *tenant_id;      /* as in struct inv_request */
	const char *callback;       /* address the result is POSTed to; NULL: none */
	uint8_t *payload;           /* heap; taken over, whatever happens */
	size_t payload_len;         /* at most EVENT_MAX_PAYLOAD, or -EMSGSIZE */
};

/* The end of async_submit or of a change of configuration: on disk, or a negative errno (-ENOSPC: the disk is full). */
typedef void (*async_done)(void *ctx, int rc);

/* Opens STATE/events.db. The registry is loaded: configurations of what it does not know are removed. */
int async_new(struct daemon *d, const char *path, struct async **ret_async, struct stk_err *err);
/* Begins to run what is queued. */
void async_start(struct async *a);
/* At the drain's begin: nothing new is run or taken. */
void async_drain(struct async *a);
/* Calls that run, or work for the disk: daemon_drained is called when there is none any more. */
bool async_busy(const struct async *a);
/* When VMs are about to be killed: calls that end from now on stay in the queue. */
void async_stop(struct async *a);
void async_close(struct async *a); /* the loop's handles */
void async_free(struct async *a);  /* after the loop */

/* 0: done will be called. -EDQUOT: the function's queue, or all of it, is full (429); -EMSGSIZE, -ENOMEM; -EINVAL: the
 * callback is no address (err says why); -ESHUTDOWN. done is not called then. */
int async_submit(struct async *a, const struct async_call *call, async_done done, void *ctx, struct stk_err *err);

/* Event-invoke configuration. qualifier "" is $LATEST. False: none was set, and *ret_config is the default. */
bool async_config_get(const struct async *a, const char *function, const char *qualifier, struct evconfig *ret_config);
/* modified_ms is set here. 0, and done is called when it is on disk and in force; -EINVAL with err, -ENOMEM. */
int async_config_put(struct async *a, const char *function, const char *qualifier, const struct evconfig *c,
		     async_done done, void *ctx, struct stk_err *err);
/* "*": all of the function's. done may be NULL. 0, -ENOMEM. */
int async_config_delete(struct async *a, const char *function, const char *qualifier, async_done done, void *ctx);
/* Of what is gone already: no call, and no successor of the same name, sees it from now on; the disk follows. -ENOMEM: it is
 * still on disk. */
int async_config_forget(struct async *a, const char *function, const char *qualifier);
void async_config_each(const struct async *a, const char *function,
		       void (*each)(void *ctx, const char *qualifier, const struct evconfig *c), void *ctx);

/* For /metrics and /healthz. */
void async_set_gauges(struct async *a);
uint64_t async_queued(const struct async *a);

#endif
