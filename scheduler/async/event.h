/* One asynchronous event: a function call that will be made, or a result that will be sent to an address. It is a row of
 * events.db from its acceptance to its end; in memory only shortly before and while it is worked on. */
#ifndef SCHEDULER_ASYNC_EVENT_H
#define SCHEDULER_ASYNC_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/list.h"
#include "scheduler/async/evconfig.h"
#include "scheduler/ids.h"
#include "scheduler/registry.h"

#define EVENT_MAX_PAYLOAD (1u << 20) /* of a client's event: Lambda's limit */
#define EVENT_MAX_CONTEXT 3583       /* of a client context: Lambda's limit */
#define EVENT_MAX_SENT    (7u << 20) /* of what is sent to an address: a record with event and answer in it */
#define EVENT_COST        256        /* bytes counted for a row beside what is in it */

enum event_kind { /* numbers are on disk */
	EVENT_CALL,  /* the payload is the event; the answer is the result as it is */
	EVENT_HTTP,  /* a function URL's event; the answer is mapped to status, headers and body */
	EVENT_CLOUD, /* as EVENT_CALL; a CloudEvent */
	EVENT_SEND,  /* payload to be POSTed to target; headers in context */
	EVENT_KINDS
};

/* Events of one flow share its turn and its limits: a function, or, for EVENT_SEND, the address's host and port. */
#define EVENT_FLOW_MAX 272

struct flow;

struct event {
	struct stk_list node; /* its owner's */
	int64_t seq;          /* the row; never used twice in a life of stokerd */
	char id[IDS_UUID_LEN + 1]; /* the request id, the same at each try */
	enum event_kind kind;
	char flow[EVENT_FLOW_MAX];
	char function[FN_NAME_MAX + 1]; /* called, or whose result it is */
	char qualifier[EVCONFIG_QUALIFIER_MAX + 1]; /* as addressed; "" for none */
	unsigned errors;   /* tries at which the function failed; EVENT_SEND: tries that failed */
	unsigned refusals; /* tries in a row that the host could not make */
	unsigned hops;     /* events it came of, by destinations */
	int64_t next_ms, accepted_ms; /* wall clock */
	char *target;      /* EVENT_SEND: where to; else the caller's callback address, or NULL */
	char *context;     /* EVENT_SEND: "Name: value\r\n"...; else the client context (JSON), or NULL */
	char *tenant_id;   /* as in struct inv_request, or NULL */
	uint8_t *payload;
	size_t payload_len;
	/* While it is worked on: */
	size_t cost; /* event_cost, as its row was counted */
	struct flow *in;
};

/* A zeroed one with its node initialised, or NULL. */
struct event *event_new(enum event_kind kind);
void event_free(struct event *e);
/* Flow of a function's events, or of a parsed address. */
void event_flow_of_function(struct event *e);
void event_flow_of_url(struct event *e, const struct weburl *url);
/* Bytes it is counted with. */
size_t event_cost(const struct event *e);

#endif
