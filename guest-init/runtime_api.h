/* The Lambda Runtime API (2018-06-01) for the one runtime and the one invocation of this machine.
 *
 *   STARTED --next--> READY --invoke--> RUNNING --response/error begins--> ANSWERING --end--> ANSWERED
 *    |  |               ^                  ^---------- cut off, nothing forwarded -----+
 *    |  +--restore/next--> RESTORING --resumed--> RESTORED --next--^   --restore/error--> RESTORE_FAILED
 *    +--init/error--> INIT_FAILED
 *
 * `next?warm=1` is a runtime client's offer to be warmed up: while it waits in READY, the answer 204
 * asks it to use its own code once (connection, parser, encoder; not the function) and to ask again.
 *
 * restore/next is there for functions that start with initialization type snap-start: a client that
 * knows it waits in it at the snapshot point, and runs its hooks between its answer and `next`.
 *
 * A `next` waits in READY and ANSWERED; in RUNNING it gets the same event again. Answers are
 * forwarded while they are read. The owner's epoll loop drives it; single-threaded, no allocation. */
#ifndef GUEST_INIT_RUNTIME_API_H
#define GUEST_INIT_RUNTIME_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/guestwire.h"
#include "guest-init/api_conn.h"
#include "guest-init/extensions.h"

#define RUNTIME_API_PORT      9001
#define RUNTIME_API_HEAD      24576u /* head of the answer to `next` */
#define RUNTIME_API_MAX_ERROR (GW_MAX_ERROR - 10u)

enum runtime_api_state {
	RUNTIME_API_STARTED,
	RUNTIME_API_RESTORING,
	RUNTIME_API_RESTORED,
	RUNTIME_API_RESTORE_FAILED,
	RUNTIME_API_READY,
	RUNTIME_API_RUNNING,
	RUNTIME_API_ANSWERING,
	RUNTIME_API_ANSWERED,
	RUNTIME_API_INIT_FAILED,
};

/* What happens, for the owner. Called from within runtime_api_event and runtime_api_settle. */
struct runtime_api_ops {
	/* The runtime asked for its first event, and so did all extensions: the init phase is over. */
	void (*ready)(void *ctx);
	/* False while the owner can take no further piece of an answer. */
	bool (*room)(void *ctx);
	/* The answer that begins is streamed; type is its media type, "" when it has none. */
	void (*stream)(void *ctx, const char *type);
	/* A piece of the answer, 0 to API_RX bytes; fin ends it. */
	void (*response)(void *ctx, const uint8_t *data, size_t len, bool fin);
	/* GW_ERR_INIT, GW_ERR_FUNCTION or GW_ERR_TOO_LARGE; ends the init phase or the invocation. */
	void (*error)(void *ctx, enum gw_error_kind kind, const char *body, size_t len);
	/* What runtime_api_resumed has put off is done. */
	void (*resumed)(void *ctx);
	/* An extension has registered, or asks for its next event. */
	void (*extension)(void *ctx);
};

struct runtime_api {
	const struct runtime_api_ops *ops;
	void *ctx;
	enum runtime_api_state state;
	bool snapstart;     /* restore/next is offered */
	bool hooks;         /* between the answer to restore/next and what follows it */
	bool resuming;      /* ops.resumed is owed */
	bool runtime_ready; /* the runtime has asked for its first event */
	bool ready;         /* ops.ready was called */
	bool streamed;      /* the answer under way is */
	struct api_conn *answering; /* whose request is forwarded, in ANSWERING */
	char request_id[129];
	const uint8_t *event; /* the owner's, stays valid */
	size_t event_len;
	size_t next_head_len;
	size_t error_len;
	char next_head[RUNTIME_API_HEAD];
	char error[RUNTIME_API_MAX_ERROR];
	struct extensions ext;
	struct api_server server;
};

/* As api_server_open. */
int runtime_api_open(struct runtime_api *api, int epfd, uint64_t tag, uint16_t port,
		     const struct runtime_api_ops *ops, void *ctx, uint16_t *ret_port);

/* index = epoll data minus tag. */
void runtime_api_event(struct runtime_api *api, uint64_t index, uint32_t events);

/* The function is no client of this API, but is ready all the same: as if it waited in its first `next`. */
void runtime_api_ready(struct runtime_api *api);

/* Hands the invocation to the waiting `next`, or to the next one that comes. Legal once ops.ready was called.
 * inv's strings are copied, the event is not: it must stay where it is. -EPROTO for header lines
 * that cannot be sent, -EALREADY in any other state. */
int runtime_api_invoke(struct runtime_api *api, const struct gw_invoke *inv);

/* The machine is a clone that has resumed: a restore/next is answered, a client that offered it is sent to warm up
 * (warm_up). True: ops.resumed follows when that is done, or has been called already. */
bool runtime_api_resumed(struct runtime_api *api, bool warm_up);

/* There is room again. */
void runtime_api_resume(struct runtime_api *api);

/* For when the runtime is dead: takes in what it still sent. True when nothing more can come. */
bool runtime_api_settle(struct runtime_api *api);

void runtime_api_close(struct runtime_api *api);

#endif
