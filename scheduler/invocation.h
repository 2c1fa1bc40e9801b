/* One function call, from the event to its end. Loop thread only. */
#ifndef SCHEDULER_INVOCATION_H
#define SCHEDULER_INVOCATION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/guestwire.h"
#include "common/base/list.h"
#include "scheduler/front.h"
#include "scheduler/ids.h"
#include "scheduler/registry.h"

struct daemon;
struct http_req;
struct sandbox;

/* How the VM that served the call was started; the first five are also what a client may ask for. SHELL: the snapshot
 * was restored into a process that waited for that. RESET: it had served before and was put back to its snapshot. */
enum inv_start { INV_ANY, INV_WARM, INV_SHELL, INV_COLD_RESTORE, INV_COLD_BOOT, INV_RESET, INV_STARTS };

enum inv_outcome {
	INV_OK,
	INV_FUNCTION_ERROR, /* the runtime reported an error; its own JSON */
	INV_EXIT,           /* the runtime ended by itself */
	INV_OOM,
	INV_TIMEOUT,
	INV_TOO_LARGE,      /* the answer */
	INV_VM_DIED,
	INV_PROTOCOL,       /* the guest broke guestwire */
	INV_START_FAILED,   /* no VM of this function can be started */
	INV_QUEUE_FULL,
	INV_TENANT_FULL,    /* as many calls of the tenant as it may have run */
	INV_RESERVED_FULL,  /* as many of the function's calls as its reserved concurrency allows run */
	INV_QUEUE_TIMEOUT,
	INV_GONE,           /* the client closed the connection */
	INV_SHUTDOWN,
	INV_DELETED,        /* the function went away while the request waited */
	INV_INTERNAL,
	INV_OUTCOMES
};

struct invocation;

/* Who asked for a call: one constant object for each surface. */
struct inv_caller {
	/* The end, exactly once. req is the client, or NULL when there is none (any more). inv->resp (with resp_len) is
	 * the answer for INV_OK and INV_FUNCTION_ERROR and may be taken; text explains the other outcomes, or NULL. inv is
	 * freed behind it. */
	void (*done)(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text);
	/* Both or none; without them, or without a client, a streamed answer is collected like any other. begin: the
	 * answer is streamed, type is its media type or "". data: a piece of it; returns how many bytes wait for the
	 * client, and when they have become too many no more is read from the VM until invocation_drained. inv->resp
	 * stays empty then, and inv->streaming says so. inv->stream is the caller's, and done has to free it. */
	void (*begin)(struct invocation *inv, struct http_req *req, const char *type);
	size_t (*data)(struct invocation *inv, struct http_req *req, const uint8_t *data, size_t len);
	/* May be missing. Asked before begin: true when the answer is to be collected like any other all the same. inv->stream is
	 * the caller's then, too. */
	bool (*collect)(struct invocation *inv, const char *type);
	/* May be missing. The client for a streamed answer of a call that was submitted without one, asked before begin; it is
	 * the call's from then on. NULL: nobody. */
	struct http_req *(*reader)(struct invocation *inv);
	bool waits; /* somebody who waits for the answer asks: refusals.h */
};

#define INV_STREAM_HIGH (256u * 1024) /* bytes that may wait for a client of a streamed answer */

#define INV_QUALIFIER_MAX 128
#define INV_TAIL_MAX      4096

/* What goes into a call. Strings are copied. */
struct inv_request {
	struct fn_version *ver;
	const struct inv_caller *caller;
	void *ctx;            /* caller's: inv->ctx */
	struct http_req *req; /* who waits for it over HTTP; NULL: nobody. When it goes away, the call ends. */
	const char *id;       /* IDS_UUID_LEN characters */
	const char *qualifier;      /* as the caller named it, at most INV_QUALIFIER_MAX; NULL: none */
	const char *client_context; /* JSON text for the runtime; NULL: none */
	const char *tenant_id;      /* the caller's name for whom the call is made, for the runtime; NULL: none */
	uint8_t *event;       /* heap; taken over, whatever happens */
	size_t event_len;
	enum inv_start force;
	bool tail;            /* keep the end of its log: inv->tail */
};

struct inv_tail {
	size_t len; /* ever; the last INV_TAIL_MAX of it are in text, a ring */
	char text[INV_TAIL_MAX];
};

struct invocation {
	struct front_owner owner; /* first: what http_req_ptr points to */
	const struct inv_caller *caller;
	void *ctx;
	struct daemon *d;
	struct http_req *req; /* NULL once answered or gone, or never there */
	struct fn_version *ver; /* counted */
	struct sandbox *sb;   /* while a VM works on it, or starts for it alone */
	bool waiting;         /* in a pool's queue */
	bool counted;         /* in its function's in_flight */
	bool refused;         /* and to be answered later: refusals.c */
	bool streaming;       /* caller->begin was called */
	bool start_logged;
	void *stream;
	unsigned peak_mib;    /* memory that the function has used at most; 0: not known */
	enum inv_start force, start;
	char *qualifier, *client_context, *tenant_id; /* heap, or NULL */
	struct inv_tail *tail;            /* heap, or NULL */
	uint8_t *event;
	size_t event_len;
	uint8_t *resp;
	size_t resp_len, resp_cap;
	char id[IDS_UUID_LEN + 1];
	uint64_t begin_ns, parsed_ns, submit_ns, start_ns, ready_ns, sent_ns; /* monotonic */
	uint64_t queue_deadline_ns;
	enum inv_outcome refusal;
	const char *refusal_text;
	struct stk_list node;          /* pool's queue or its list of forced ones; or held as refused */
	struct stk_list deadline_node; /* dispatch's */
};

/* It wants a VM that is started for it alone. */
static inline bool invocation_alone(const struct invocation *inv)
{
	return inv->force == INV_SHELL || inv->force == INV_COLD_RESTORE || inv->force == INV_COLD_BOOT;
}

/* Between two of its times, in ns; 0 when one of them has not come. */
static inline uint64_t invocation_span(uint64_t from, uint64_t to)
{
	return from && to > from ? to - from : 0;
}

/* caller->done is called for it in the end, perhaps before this returns. -ENOMEM: nothing was begun, done is not called. */
int invocation_submit(struct daemon *d, const struct inv_request *rq);
/* No longer among the calls that its function and tenant have in flight. */
void invocation_uncount(struct invocation *inv);
/* More bytes of the answer. 0, -EMSGSIZE or -ENOMEM. */
int invocation_append(struct invocation *inv, const uint8_t *data, size_t len);
/* The answer that comes is streamed. */
void invocation_stream(struct invocation *inv, const char *type);
/* A piece of the answer, streamed or not. 0, -EMSGSIZE, -ENOMEM, or -EAGAIN: taken, but no more until
 * invocation_drained. */
int invocation_data(struct invocation *inv, const uint8_t *data, size_t len);
/* The client of a streamed answer has taken what there was: for http_stream_begin's on_drain. */
void invocation_drained(void *ctx, struct http_req *req);
/* Headers that tell how the call was started, for an answer that begins now: in caller->begin. */
void invocation_headers(struct invocation *inv);

/* Log output of the call, for its tail: all that is logged for it goes through here. */
void invocation_logged(struct invocation *inv, const void *text, size_t len);
/* The tail in order into buf (INV_TAIL_MAX bytes); returns its length. */
size_t invocation_tail(const struct invocation *inv, char *buf);
/* The end: counts, logs, tells the caller, frees. Whoever calls deals with the VM. */
void invocation_finish(struct invocation *inv, enum inv_outcome outcome, const char *text);
/* As the agent reported. */
void invocation_finish_error(struct invocation *inv, const struct gw_error *e);
const char *invocation_start_name(enum inv_start start);
const char *invocation_outcome_name(enum inv_outcome outcome);

#endif
