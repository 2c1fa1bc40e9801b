/* The queue of asynchronous events on disk: SQLite, WAL, synchronous FULL. What eventdb_apply acknowledged survives a
 * kill or a power cut. All operations of one call are one transaction: its cost is that of one commit, however many there
 * are.
 *
 * Every call may wait for the disk. One thread at a time; stokerd has a thread for it. A row's small columns are apart
 * from its payload, so that a retry does not write the payload again. */
#ifndef SCHEDULER_ASYNC_EVENTDB_H
#define SCHEDULER_ASYNC_EVENTDB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/list.h"
#include "scheduler/async/event.h"
#include "scheduler/async/evconfig.h"

#define EVENTDB_SCHEMA 2 /* 2: events.tenant_id */

struct eventdb;

enum eventdb_what {
	EVENTDB_ADD,           /* event */
	EVENTDB_REMOVE,        /* seq */
	EVENTDB_RETRY,         /* seq, errors, refusals, next_ms */
	EVENTDB_CONFIG_PUT,    /* function, qualifier, config */
	EVENTDB_CONFIG_DELETE, /* function, qualifier; "*": of all qualifiers */
};

/* Borrowed for the time of the call. */
struct eventdb_op {
	enum eventdb_what what;
	int64_t seq;
	const struct event *event;
	unsigned errors, refusals;
	int64_t next_ms;
	const char *function, *qualifier;
	const struct evconfig *config;
};

/* Creates the file when it is missing. -EPROTO when its schema is of a newer Stoker; -EUCLEAN: no such database. */
int eventdb_open(const char *path, struct eventdb **ret_db, struct stk_err *err);
void eventdb_close(struct eventdb *db);

/* A transaction, in steps: begin, any number of ops, commit. After any error: rollback, and nothing was done. */
int eventdb_begin(struct eventdb *db, struct stk_err *err);
int eventdb_op(struct eventdb *db, const struct eventdb_op *op, struct stk_err *err);
int eventdb_commit(struct eventdb *db, struct stk_err *err);
void eventdb_rollback(struct eventdb *db);

/* What one flow has queued. */
struct eventdb_flow {
	const char *flow;
	bool send; /* of an address */
	uint64_t count, bytes;
	int64_t next_ms; /* the earliest */
};

/* At start. Any callback's non-zero result ends the call and is returned. */
int eventdb_flows(struct eventdb *db, int (*each)(void *ctx, const struct eventdb_flow *f), void *ctx,
		  struct stk_err *err);
int eventdb_configs(struct eventdb *db,
		    int (*each)(void *ctx, const char *function, const char *qualifier, const struct evconfig *c),
		    void *ctx, struct stk_err *err);
/* The largest seq there is; 0 for none. */
int eventdb_last_seq(struct eventdb *db, int64_t *ret_seq, struct stk_err *err);
/* When the oldest call was accepted; 0 when none is queued. */
int eventdb_oldest(struct eventdb *db, int64_t *ret_ms, struct stk_err *err);

/* Events of a flow that are due, the earliest first, without those of held[] (sorted): at most `max`, and no more once
 * they have max_bytes. Appended to `events`, also when an error follows. *ret_next: when the next one is due that is
 * neither held nor taken, INT64_MAX for none. A row that cannot be read is passed over, and err then set although the
 * result is 0. */
int eventdb_take(struct eventdb *db, const char *flow, int64_t now_ms, unsigned max, size_t max_bytes,
		 const int64_t *held, unsigned held_count, struct stk_list *events, int64_t *ret_next,
		 struct stk_err *err);
/* A payload (heap, a NUL behind it). -ENOENT. */
int eventdb_payload(struct eventdb *db, int64_t seq, uint8_t **ret_data, size_t *ret_len, struct stk_err *err);
/* Gives room back to the file system, some at a time, after much was queued and done. */
int eventdb_tidy(struct eventdb *db, struct stk_err *err);

#endif
