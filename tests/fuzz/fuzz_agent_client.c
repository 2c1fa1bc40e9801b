/* What a guest may send to the host. Byte 0: first phase and how the stream is cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/agent_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct agent agent;
	size_t response;
	bool over, streamed, bye;
};

static int on_state(void *ctx, enum gw_type type)
{
	struct run *r = ctx;

	if (r->bye || r->over != (type == GW_BYE))
		abort();
	r->bye = type == GW_BYE;
	if (type == GW_HELLO)
		agent_started(&r->agent);
	else if (type != GW_BYE)
		agent_call(&r->agent);
	return 0;
}

static void on_log(void *ctx, unsigned fd, const uint8_t *data, size_t len)
{
	volatile uint8_t last = data[len - 1];
	struct run *r = ctx;

	(void)last;
	if ((fd != 1 && fd != 2) || r->bye)
		abort();
	if (data[0] == 'X' && r->agent.phase == AGENT_CALL && r->agent.extended) {
		agent_expire(&r->agent);
		r->over = true;
	}
}

static int on_stream(void *ctx, const char *type)
{
	struct run *r = ctx;

	if (r->over || r->streamed || r->response || strlen(type) > GW_MAX_TYPE)
		abort();
	r->streamed = true;
	return 0;
}

static int on_response(void *ctx, const uint8_t *data, size_t len, bool fin)
{
	struct run *r = ctx;

	r->response += len;
	if (r->over || r->response > (r->streamed ? GW_MAX_STREAM : GW_MAX_RESPONSE))
		abort();
	r->over = fin;
	return 0;
}

static void on_error(void *ctx, const struct gw_error *e)
{
	struct run *r = ctx;

	if (r->over || (e->body_len && !e->body))
		abort();
	r->over = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct agent_ops ops = {.on_state = on_state, .on_log = on_log, .on_stream = on_stream,
		.on_response = on_response, .on_error = on_error};
	struct run r = {.response = 0};
	size_t step;

	if (size < 1)
		return 0;
	step = (size_t)(data[0] >> 1) + 1;
	agent_init(&r.agent, data[0] & 1 ? AGENT_WANT_HELLO : AGENT_WANT_RESUMED, &ops, &r);
	for (size_t i = 1; i < size; i += step)
		agent_feed(&r.agent, data + i, i + step < size ? step : size - i);
	agent_fini(&r.agent);
	return 0;
}
