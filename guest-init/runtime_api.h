/* The Lambda Runtime API (2018-06-01) for the one runtime and the one invocation of this machine.
 *
 *   STARTED --next--> READY --invoke--> RUNNING --response/error begins--> ANSWERING --end--> ANSWERED
 *      +--init/error--> INIT_FAILED         ^---------- cut off, nothing forwarded -----+
 *
 * `next?warm=1` is a runtime client's offer to be warmed up: while it waits in READY, the answer 204
 * asks it to use its own code once (connection, parser, encoder; not the function) and to ask again.
 *
 * A `next` waits in READY and ANSWERED; in RUNNING it gets the same event again. Answers are
 * forwarded while they are read. Several connections, keep-alive, no time limits of its own.
 * Single-threaded, driven by the owner's epoll loop, no allocation. */
#ifndef GUEST_INIT_RUNTIME_API_H
#define GUEST_INIT_RUNTIME_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/guestwire.h"
#include "guest-init/http1.h"

#define RUNTIME_API_PORT      9001
#define RUNTIME_API_CONNS     8u
#define RUNTIME_API_RX        65536u /* = GW_MAX_CHUNK: one read is at most one RESPONSE frame */
#define RUNTIME_API_HEAD      24576u /* head of the answer to `next` */
#define RUNTIME_API_MAX_ERROR (GW_MAX_ERROR - 10u)

enum runtime_api_state {
	RUNTIME_API_STARTED,
	RUNTIME_API_READY,
	RUNTIME_API_RUNNING,
	RUNTIME_API_ANSWERING,
	RUNTIME_API_ANSWERED,
	RUNTIME_API_INIT_FAILED,
};

/* What happens, for the owner. Called from within runtime_api_event and runtime_api_settle. */
struct runtime_api_ops {
	/* The runtime asked for its first event: the init phase is over. */
	void (*ready)(void *ctx);
	/* False while the owner can take no further piece of an answer. */
	bool (*room)(void *ctx);
	/* A piece of the answer, 0 to RUNTIME_API_RX bytes; fin ends it. */
	void (*response)(void *ctx, const uint8_t *data, size_t len, bool fin);
	/* GW_ERR_INIT, GW_ERR_FUNCTION or GW_ERR_TOO_LARGE; ends the init phase or the invocation. */
	void (*error)(void *ctx, enum gw_error_kind kind, const char *body, size_t len);
	/* The client that was sent to warm up asks again. */
	void (*warmed)(void *ctx);
};

enum runtime_api_action {
	RUNTIME_API_ACT_NONE,
	RUNTIME_API_ACT_REFUSE, /* body is skipped, then `refusal` is sent */
	RUNTIME_API_ACT_NEXT,
	RUNTIME_API_ACT_RESPONSE,
	RUNTIME_API_ACT_ERROR,
	RUNTIME_API_ACT_INIT_ERROR,
};

struct runtime_api_conn {
	int fd; /* -1: free slot */
	enum { RUNTIME_API_READING, RUNTIME_API_PARKED, RUNTIME_API_WRITING } state;
	enum runtime_api_action action;
	const struct runtime_api_refusal *refusal;
	bool close_after;
	bool warmable; /* its `next` may be answered by "warm up and ask again" */
	uint32_t events;
	uint64_t total; /* body bytes of the answer so far */
	/* being sent: head, then body (the event, in the owner's buffer) */
	const uint8_t *head, *body;
	size_t head_left, body_left;
	size_t rx_off, rx_len;
	char out[512];
	struct http1 http;
	uint8_t rx[RUNTIME_API_RX];
};

struct runtime_api {
	const struct runtime_api_ops *ops;
	void *ctx;
	int epfd;
	int listen_fd;
	uint64_t tag;
	bool accepting;
	enum runtime_api_state state;
	bool warming; /* sent to warm up, not back yet */
	struct runtime_api_conn *answering; /* whose request is forwarded, in ANSWERING */
	char request_id[129];
	const uint8_t *event; /* the owner's, stays valid */
	size_t event_len;
	size_t next_head_len;
	size_t error_len;
	char next_head[RUNTIME_API_HEAD];
	char error[RUNTIME_API_MAX_ERROR];
	struct runtime_api_conn conn[RUNTIME_API_CONNS];
};

/* Listens on 127.0.0.1:port (0: any; *ret_port tells which). epoll data: tag for the listener,
 * tag + 1 + i for connection i. 0 or negative errno. */
int runtime_api_open(struct runtime_api *api, int epfd, uint64_t tag, uint16_t port,
		     const struct runtime_api_ops *ops, void *ctx, uint16_t *ret_port);

/* index = epoll data minus tag. */
void runtime_api_event(struct runtime_api *api, uint64_t index, uint32_t events);

/* Hands the invocation to the waiting `next`, or to the next one that comes. Legal in READY.
 * inv's strings are copied, the event is not: it must stay where it is. -EPROTO for header lines
 * that cannot be sent, -EALREADY in any other state. */
int runtime_api_invoke(struct runtime_api *api, const struct gw_invoke *inv);

/* Sends a waiting client that offered it to warm up; ops.warmed follows. False: nobody offered. */
bool runtime_api_warm_up(struct runtime_api *api);

/* There is room again. */
void runtime_api_resume(struct runtime_api *api);

/* For when the runtime is dead: takes in what it still sent. True when nothing more can come. */
bool runtime_api_settle(struct runtime_api *api);

void runtime_api_close(struct runtime_api *api);

#endif
