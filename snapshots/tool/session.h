/* The guestwire session with the agent in the guest, host side, blocking, each wait with its limit.
 * The guest is hostile: frames are checked and bounded, anything out of turn is an error. */
#ifndef SNAPSHOTS_TOOL_SESSION_H
#define SNAPSHOTS_TOOL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/guestwire.h"
#include "snapshots/tool/monitor.h"

struct session {
	struct monitor *m;
	uint8_t head[GW_HEADER_LEN];
	struct gw_header hdr; /* of the frame received last */
	uint8_t *payload;     /* its payload, heap of GW_MAX_CHUNK + 1 bytes, a NUL behind it */
	uint64_t log_bytes;
};

int session_init(struct session *s, struct monitor *m, struct stk_err *err);
void session_fini(struct session *s);

/* Waits for the agent's HELLO; copies its version text (printable, cut to cap). */
int session_hello(struct session *s, unsigned timeout_ms, char *ret_agent, size_t cap, struct stk_err *err);
/* Sends a whole frame. */
int session_send(struct session *s, const uint8_t *frame, size_t len, unsigned timeout_ms, struct stk_err *err);
/* Waits for a frame of type `want`, whose payload is one u64, or nothing when ret_value is NULL; LOG frames
 * go to stderr meanwhile.
 * 1: an ERROR came instead and is in *ret_error (points into s). -ETIMEDOUT when timeout_ms is over. */
int session_wait(struct session *s, enum gw_type want, unsigned timeout_ms, uint64_t *ret_value,
		 struct gw_error *ret_error, struct stk_err *err);

#endif
