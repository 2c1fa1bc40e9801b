/* One guestwire session seen from the host: pure parser and state machine, no descriptors.
 * Bytes from the guest go in by agent_feed; what they mean comes out as calls to ops. The guest is
 * hostile: frames out of order, too long or malformed end the session with an error, after which
 * nothing more is accepted.
 *
 *   HELLO ──► READY ──►┐                 (cold boot)
 *             RESUMED ─►├─► IDLE ── agent_call ──► CALL ── [STREAM] RESPONSE+FIN | ERROR ──► OVER
 *                                                    └─ agent_expire ──► EXPIRED ── BYE ──► OVER
 *                                  LOG frames are welcome in READY, RESUMED, IDLE, CALL, EXPIRED
 */
#ifndef SCHEDULER_AGENT_CLIENT_H
#define SCHEDULER_AGENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/guestwire.h"

enum agent_phase {
	AGENT_WANT_HELLO,   /* booting: next is HELLO(booted) */
	AGENT_WANT_READY,   /* START sent: LOG*, READY or ERROR(init) */
	AGENT_WANT_RESUMED, /* RESUME sent */
	AGENT_IDLE,
	AGENT_CALL,         /* INVOKE sent */
	AGENT_LINGERS,      /* the call is over, its extensions are not: LOG*, BYE */
	AGENT_EXPIRED,      /* its time was up: the same, and what is still on its way of an answer is passed over */
	AGENT_OVER,
};

/* Called from inside agent_feed; any of them may call agent_close or agent_call. A negative return
 * ends the session with that error. */
struct agent_ops {
	int (*on_state)(void *ctx, enum gw_type type); /* HELLO, READY, RESUMED, BYE accepted */
	void (*on_log)(void *ctx, unsigned fd, const uint8_t *data, size_t len);
	/* The answer is streamed; type is its media type, or "". Before its first piece. */
	int (*on_stream)(void *ctx, const char *type);
	int (*on_response)(void *ctx, const uint8_t *data, size_t len, bool fin);
	void (*on_error)(void *ctx, const struct gw_error *error);
};

struct agent {
	enum agent_phase phase;
	const struct agent_ops *ops;
	void *ctx;
	uint8_t head[GW_HEADER_LEN];
	uint32_t have; /* bytes of head, then of the payload */
	bool in_payload;
	struct gw_header hdr;
	uint64_t response_len;
	bool extended; /* it has extensions that want to know how a call ends */
	bool streamed, answered; /* STREAM came, a RESPONSE came */
	uint32_t end_flags; /* of the frame that has ended the call */
	uint8_t log_fd;
	uint8_t small[520]; /* payload of HELLO, READY, RESUMED, STREAM */
	uint8_t *error_buf; /* payload of ERROR, heap */
};

void agent_init(struct agent *a, enum agent_phase first, const struct agent_ops *ops, void *ctx);
/* Ends the session: later bytes are ignored. Safe inside callbacks. */
void agent_close(struct agent *a);
void agent_fini(struct agent *a);
/* The INVOKE frame was sent: answers are expected from now on. Only in AGENT_IDLE. */
void agent_call(struct agent *a);
/* EXPIRED was sent: the call is over, its extensions have some time. Only in AGENT_CALL, of an agent that is extended. */
void agent_expire(struct agent *a);
/* START was sent; only in AGENT_WANT_HELLO's on_state. */
void agent_started(struct agent *a);
/* Of a call that has ended: the guest goes on until its extensions are done, and says BYE then. */
static inline bool agent_lingers(const struct agent *a)
{
	return a->end_flags & GW_F_LINGER;
}
/* And memory that the function has used at most, in MiB; 0: not known. */
static inline unsigned agent_peak_mib(const struct agent *a)
{
	return a->end_flags >> GW_F_PEAK_SHIFT;
}
/* 0, -EPROTO (violation), -EMSGSIZE (answer over GW_MAX_RESPONSE, or GW_MAX_STREAM), -ENOMEM, or a callback's error.
 * After an error the session is closed. */
int agent_feed(struct agent *a, const uint8_t *data, size_t len);

#endif
