/* The Extensions API (2020-01-01): programs beside the runtime that are told of the machine's life.
 *
 *   register ──► REGISTERED ──event/next──► WAITING ──event──► BUSY ──event/next──► WAITING ...
 *
 * External extensions are processes of their own, started before the runtime; they are known by their files' names.
 * Internal ones register from within the runtime's process, under any other name. All must register before the init
 * phase is over, which is when the runtime and every extension wait for their first event.
 * This part keeps their states and answers their requests; starting, signals and time limits are the agent's. */
#ifndef GUEST_INIT_EXTENSIONS_H
#define GUEST_INIT_EXTENSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/guestwire.h"
#include "guest-init/api_conn.h"

#define EXTENSIONS_MAX      10u
#define EXTENSIONS_NAME_MAX 128u
#define EXTENSIONS_ACCOUNT_LEN 12u

enum extension_state { EXT_LAUNCHED, EXT_REGISTERED, EXT_WAITING, EXT_BUSY };

struct extension {
	enum extension_state state;
	char name[EXTENSIONS_NAME_MAX + 1];
	char id[37];
	pid_t pid; /* external: its process; 0: internal, or ended */
	bool external;
	bool invoke, shutdown; /* events it asked for */
	bool ended; /* it has got SHUTDOWN */
};

struct extensions {
	unsigned count; /* launched and registered */
	bool closed;    /* no more registrations */
	bool news;
	const char *function, *version, *handler; /* the caller's, stay valid; NULL: "" */
	char account[EXTENSIONS_ACCOUNT_LEN + 1]; /* of the function's ARN */
	char failure[HTTP1_MAX_SHORT + 1];        /* type that an extension gave with init/error or exit/error */
	struct extension ext[EXTENSIONS_MAX];
};

void extensions_init(struct extensions *e);
/* What register tells as accountId; anything but 12 digits is not taken. */
void extensions_account(struct extensions *e, const char *digits, size_t len);
/* A program was started. -E2BIG: one too many. */
int extensions_launched(struct extensions *e, const char *name, pid_t pid);
/* Every program that was started has registered. */
bool extensions_registered(const struct extensions *e);
/* All wait for their first event. */
bool extensions_ready(const struct extensions *e);
/* None works on an event. */
bool extensions_idle(const struct extensions *e);
/* Is the pid one of theirs? It counts as ended then. */
bool extensions_exited(struct extensions *e, pid_t pid);
/* Programs that asked for SHUTDOWN and run still. */
bool extensions_running(const struct extensions *e);
/* Something has changed since the last call. */
bool extensions_take_news(struct extensions *e);

/* The invocation begins: those that wait and asked for it get it. */
void extensions_invoke(struct extensions *e, struct api_server *s, const struct gw_invoke *inv);
/* The end: the same for SHUTDOWN, once for each of them however often this is called. reason is SPINDOWN, TIMEOUT or
 * FAILURE. */
void extensions_shutdown(struct extensions *e, struct api_server *s, const char *reason, uint64_t deadline_ms);

/* Requests. False: not a path of this API (c->refusal is set then). */
bool extensions_route(struct extensions *e, struct api_conn *c);
void extensions_body(struct extensions *e, struct api_conn *c, const uint8_t *data, size_t len);
void extensions_complete(struct extensions *e, struct api_server *s, struct api_conn *c);

/* Events that the body of a register request asks for. 0, -EPROTO (not such an object), -EINVAL (an event that is
 * none). Absent or null: none. */
int extensions_events(const char *json, size_t len, bool *ret_invoke, bool *ret_shutdown);
/* May this be put into JSON as the type of an error? */
bool extensions_type_ok(const char *type);

#endif
