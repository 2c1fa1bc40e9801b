/* guestwire session, host side: see agent_client.h. */
#include "scheduler/agent_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void agent_init(struct agent *a, enum agent_phase first, const struct agent_ops *ops, void *ctx)
{
	memset(a, 0, sizeof(*a));
	a->phase = first;
	a->ops = ops;
	a->ctx = ctx;
}

void agent_close(struct agent *a)
{
	a->phase = AGENT_OVER;
}

void agent_fini(struct agent *a)
{
	a->phase = AGENT_OVER;
	free(a->error_buf);
	a->error_buf = NULL;
}

void agent_call(struct agent *a)
{
	assert(a->phase == AGENT_IDLE);
	a->phase = AGENT_CALL;
}

void agent_expire(struct agent *a)
{
	assert(a->phase == AGENT_CALL && a->extended);
	a->phase = AGENT_EXPIRED;
}

void agent_started(struct agent *a)
{
	assert(a->phase == AGENT_WANT_HELLO);
	a->phase = AGENT_WANT_READY;
}

/* Which frames may come in which phase. */
static bool allowed(const struct agent *a, const struct gw_header *h)
{
	bool called = a->phase == AGENT_CALL || a->phase == AGENT_EXPIRED;

	switch (h->type) {
	case GW_HELLO:
		return a->phase == AGENT_WANT_HELLO && h->stream == 0;
	case GW_READY:
		return a->phase == AGENT_WANT_READY && h->stream == 0;
	case GW_RESUMED:
		return a->phase == AGENT_WANT_RESUMED && h->stream == 0;
	case GW_LOG:
		return a->phase != AGENT_WANT_HELLO && h->length >= 1;
	case GW_RESPONSE:
		return called && h->stream == 1;
	case GW_STREAM:
		return called && h->stream == 1 && !a->streamed && !a->answered;
	case GW_ERROR:
		return a->phase != AGENT_WANT_HELLO && a->phase != AGENT_LINGERS;
	case GW_BYE:
		return (a->phase == AGENT_LINGERS || a->phase == AGENT_EXPIRED) && h->stream == 0;
	default:
		return false;
	}
}

static int begin_payload(struct agent *a)
{
	int rc = gw_header_decode(a->head, &a->hdr);

	if (rc)
		return rc;
	if (!allowed(a, &a->hdr))
		return -EPROTO;
	if (a->hdr.type == GW_RESPONSE) {
		a->answered = true;
		a->response_len += a->hdr.length;
		if (a->response_len > (a->streamed ? GW_MAX_STREAM : GW_MAX_RESPONSE))
			return -EMSGSIZE;
	} else if (a->hdr.type == GW_ERROR) {
		free(a->error_buf);
		a->error_buf = malloc(a->hdr.length ? a->hdr.length : 1);
		if (!a->error_buf)
			return -ENOMEM;
	} else if (a->hdr.type != GW_LOG && a->hdr.length > sizeof(a->small)) {
		return -EPROTO;
	}
	a->in_payload = true;
	a->have = 0;
	return 0;
}

/* It crossed with EXPIRED. */
static bool too_late(const struct agent *a)
{
	return a->phase == AGENT_EXPIRED &&
	       (a->hdr.type == GW_RESPONSE || a->hdr.type == GW_STREAM || a->hdr.type == GW_ERROR);
}

/* Payload bytes arrive in pieces; answers and logs are handed on as they come. */
static int take_payload(struct agent *a, const uint8_t *data, uint32_t n)
{
	if (too_late(a))
		return 0;
	switch (a->hdr.type) {
	case GW_RESPONSE:
		return n ? a->ops->on_response(a->ctx, data, n, false) : 0;
	case GW_LOG:
		if (n && a->have == 0) {
			a->log_fd = *data++;
			n--;
			if (a->log_fd != 1 && a->log_fd != 2)
				return -EPROTO;
		}
		if (n)
			a->ops->on_log(a->ctx, a->log_fd, data, n);
		return 0;
	case GW_ERROR:
		memcpy(a->error_buf + a->have, data, n);
		return 0;
	default:
		memcpy(a->small + a->have, data, n);
		return 0;
	}
}

/* By the header's frame. */
static void call_is_over(struct agent *a)
{
	a->end_flags = a->hdr.flags;
	a->phase = a->phase == AGENT_CALL && agent_lingers(a) ? AGENT_LINGERS : AGENT_OVER;
}

static int end_frame(struct agent *a)
{
	struct gw_error error;
	char type[GW_MAX_TYPE + 1];
	uint64_t value;
	uint8_t state;
	int rc;

	if (too_late(a))
		return 0;
	switch (a->hdr.type) {
	case GW_RESPONSE:
		if (!(a->hdr.flags & GW_F_FIN))
			return 0;
		call_is_over(a);
		return a->ops->on_response(a->ctx, NULL, 0, true);
	case GW_ERROR:
		rc = gw_error_decode(a->error_buf, a->hdr.length, &error);
		if (rc)
			return rc;
		call_is_over(a);
		a->ops->on_error(a->ctx, &error);
		return 0;
	case GW_STREAM:
		rc = gw_stream_decode(a->small, a->hdr.length, type);
		if (rc)
			return rc;
		a->streamed = true;
		return a->ops->on_stream(a->ctx, type);
	case GW_HELLO:
		rc = gw_hello_decode(a->small, a->hdr.length, &state);
		if (rc || state != 0)
			return -EPROTO;
		return a->ops->on_state(a->ctx, GW_HELLO);
	case GW_READY:
		rc = gw_u64_decode(a->small, a->hdr.length, &value);
		if (rc)
			return rc;
		a->extended = a->hdr.flags & GW_F_LINGER;
		a->phase = AGENT_IDLE;
		return a->ops->on_state(a->ctx, GW_READY);
	case GW_RESUMED:
		if (a->hdr.length)
			return -EPROTO;
		a->extended = a->hdr.flags & GW_F_LINGER;
		a->phase = AGENT_IDLE;
		return a->ops->on_state(a->ctx, GW_RESUMED);
	case GW_BYE:
		a->phase = AGENT_OVER;
		return a->ops->on_state(a->ctx, GW_BYE);
	default:
		return 0;
	}
}

static int feed(struct agent *a, const uint8_t *data, size_t len)
{
	int rc;

	while (a->phase != AGENT_OVER) {
		if (!a->in_payload) {
			size_t n = GW_HEADER_LEN - a->have;

			if (n > len)
				n = len;
			memcpy(a->head + a->have, data, n);
			a->have += (uint32_t)n;
			data += n;
			len -= n;
			if (a->have < GW_HEADER_LEN)
				return 0;
			rc = begin_payload(a);
			if (rc)
				return rc;
		}
		if (a->have < a->hdr.length) {
			uint32_t n = a->hdr.length - a->have;

			if (n > len)
				n = (uint32_t)len;
			if (n == 0)
				return 0;
			rc = take_payload(a, data, n);
			if (rc)
				return rc;
			a->have += n;
			data += n;
			len -= n;
			if (a->phase == AGENT_OVER)
				return 0; /* closed by the callback */
			if (a->have < a->hdr.length)
				continue;
		}
		a->in_payload = false;
		a->have = 0;
		rc = end_frame(a);
		if (rc)
			return rc;
	}
	return 0;
}

int agent_feed(struct agent *a, const uint8_t *data, size_t len)
{
	int rc = feed(a, data, len);

	if (rc)
		a->phase = AGENT_OVER;
	return rc;
}
