/* Shared by async.c (life, acceptance, configuration), async_disk.c (transactions), async_call.c and
 * async_send.c. */
#ifndef SCHEDULER_ASYNC_ASYNC_INTERNAL_H
#define SCHEDULER_ASYNC_ASYNC_INTERNAL_H

#include <uv.h>

#include "scheduler/async/async.h"
#include "scheduler/async/confs.h"
#include "scheduler/async/eventdb.h"
#include "scheduler/async/flows.h"
#include "scheduler/async/record.h"
#include "scheduler/async/retry.h"

struct metrics_series;
struct workers;

#define ASYNC_SENDERS 8  /* threads that send results */
#define ASYNC_BATCH   16 /* results for one address that a thread takes at a time */
#define ASYNC_TAKES   8  /* flows in one job */

/* Something for the disk; pending, then in a job, then told. */
enum async_op_what { OP_ADD, OP_FINISH, OP_RETRY, OP_CONFIG_PUT, OP_CONFIG_DELETE };

struct async_op {
	struct stk_list node;
	enum async_op_what what;
	struct event *event;         /* ADD, FINISH, RETRY: owned */
	struct record_result result; /* FINISH: body owned */
	int64_t seq;                 /* FINISH: the first of RECORD_FOLLOWERS for followers */
	struct stk_list followers;   /* FINISH: made by the thread */
	unsigned loops;
	char *function, *qualifier;  /* CONFIG_*: owned */
	struct evconfig *config;     /* CONFIG_PUT, FINISH: owned, or NULL */
	async_done done;             /* ADD, CONFIG_* */
	void *ctx;
};

struct async_take {
	struct flow *flow;
	unsigned slots, max; /* a call has a slot, or a batch of results */
	size_t max_bytes;
	int64_t *held; /* sorted */
	unsigned held_count;
	struct stk_list events;
	int64_t next_ms;
	int rc;
	struct stk_err err;
};

/* At most one at a time. */
struct async_job {
	uv_work_t work;
	struct async *a;
	struct stk_list ops;
	unsigned op_count;
	struct async_take take[ASYNC_TAKES];
	unsigned take_count;
	int64_t now_ms, oldest_ms;
	int rc; /* of the transaction */
	double commit_s;
	struct stk_err err;
	bool tidy;
};

enum async_counter {
	COUNT_ACCEPTED,
	COUNT_REFUSED, /* queue full */
	COUNT_DONE,
	COUNT_RETRY_FUNCTION,
	COUNT_RETRY_HOST,
	COUNT_DROPPED_EXHAUSTED,
	COUNT_DROPPED_AGE,
	COUNT_DROPPED_ZERO,
	COUNT_DROPPED_GONE,
	COUNT_DROPPED_LOOP,
	COUNT_SENT,
	COUNT_SEND_RETRY,
	COUNT_SEND_DROPPED,
	COUNT_COMMITS,
	COUNT_COMMITTED,
	COUNT_COMMIT_FAILED,
	COUNT_COUNT
};

struct async {
	struct daemon *d;
	struct eventdb *db;
	struct workers *disk, *senders;
	struct flows flows;
	struct confs confs;
	struct stk_list pending; /* async_op, in order */
	size_t pending_bytes;    /* of events that wait for their first commit */
	struct async_job job;
	bool job_running;
	unsigned batch;          /* operations in the next transaction at most */
	uint64_t write_after_ns; /* the disk did not take the last one */
	int64_t next_seq;
	int64_t oldest_ms;
	unsigned batch_max;      /* the largest since the last look */
	bool started, draining, stopping, closed;
	uv_timer_t timer;
	unsigned sends;          /* results in batches on threads */
	struct metrics_series *counter[COUNT_COUNT];
	struct metrics_series *commit_times;
};

int64_t async_now_ms(void);
void async_count(struct async *a, enum async_counter c, unsigned n);
/* Looks for work: takes, operations, the time of the next look. */
void async_kick(struct async *a);
/* Operations. op_free frees what is owned. */
struct async_op *async_op_new(enum async_op_what what);
void async_op_free(struct async_op *op);
void async_op_push(struct async *a, struct async_op *op);
/* What has become of an event, which goes to the disk as op with the next job. Without memory for op (NULL) the event stays
 * in memory, to be run again in the next life: at least once. */
void async_end(struct async *a, struct event *e, struct async_op *op);
/* The event is in memory and has a slot: makes the call. Takes e over. */
void async_call(struct async *a, struct event *e);
/* Sends results, 1 to ASYNC_BATCH of one flow; counts the slot itself. Takes the events over, not the array. */
void async_send(struct async *a, struct flow *f, struct event *const *e, unsigned count);
/* Room for so many calls more, as far as the host is concerned. */
unsigned async_room(const struct async *a);
/* An event is in memory no longer. */
void async_let_go(struct async *a, struct event *e);

#endif
