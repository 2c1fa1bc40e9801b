/* The guest's side of guestwire is hostile: every order, every size, every cut. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/agent_client.h"

struct seen {
	unsigned states, errors, fins, streams;
	char type[GW_MAX_TYPE + 1];
	enum gw_type last_state;
	uint16_t kind;
	uint8_t response[65536 * 2], log[4096];
	size_t response_len, log_len;
	unsigned log_fd;
};

static struct seen seen;
static struct agent agent;

static int on_state(void *ctx, enum gw_type type)
{
	seen.states++;
	seen.last_state = type;
	if (type == GW_HELLO)
		agent_started(&agent);
	return 0;
}

static void on_log(void *ctx, unsigned fd, const uint8_t *data, size_t len)
{
	seen.log_fd = fd;
	memcpy(seen.log + seen.log_len, data, len);
	seen.log_len += len;
}

static int on_response(void *ctx, const uint8_t *data, size_t len, bool fin)
{
	if (seen.response_len + len <= sizeof(seen.response) && len)
		memcpy(seen.response + seen.response_len, data, len);
	seen.response_len += len;
	seen.fins += fin;
	return 0;
}

static int on_stream(void *ctx, const char *type)
{
	seen.streams++;
	strcpy(seen.type, type);
	return 0;
}

static void on_error(void *ctx, const struct gw_error *e)
{
	seen.errors++;
	seen.kind = e->kind;
}

static const struct agent_ops ops = {.on_state = on_state, .on_log = on_log, .on_stream = on_stream,
	.on_response = on_response, .on_error = on_error};

static void begin(enum agent_phase phase)
{
	agent_fini(&agent);
	memset(&seen, 0, sizeof(seen));
	agent_init(&agent, phase, &ops, NULL);
}

static size_t frame(uint8_t *buf, unsigned type, uint32_t flags, uint32_t stream, const void *payload, uint32_t len)
{
	struct gw_header h = {.type = (uint16_t)type, .flags = flags, .stream = stream, .length = len};

	gw_header_encode(buf, &h);
	if (len)
		memcpy(buf + GW_HEADER_LEN, payload, len);
	return GW_HEADER_LEN + len;
}

static int feed_frame(unsigned type, uint32_t flags, uint32_t stream, const void *payload, uint32_t len)
{
	static uint8_t buf[GW_HEADER_LEN + 70000];

	return agent_feed(&agent, buf, frame(buf, type, flags, stream, payload, len));
}

static void in_call(void)
{
	begin(AGENT_WANT_RESUMED);
	assert_int_equal(feed_frame(GW_RESUMED, 0, 0, NULL, 0), 0);
	agent_call(&agent);
}

static void a_call_in_any_cuts(void **state)
{
	uint8_t all[4096];
	size_t n = 0;

	for (size_t step = 1; step < 90; step++) {
		begin(AGENT_WANT_RESUMED);
		n = frame(all, GW_LOG, 0, 0, "\1early", 6);
		n += frame(all + n, GW_RESUMED, 0, 0, NULL, 0);
		for (size_t i = 0; i < n; i += step)
			assert_int_equal(agent_feed(&agent, all + i, i + step < n ? step : n - i), 0);
		assert_int_equal(agent.phase, AGENT_IDLE);
		agent_call(&agent);
		n = frame(all, GW_LOG, 0, 1, "\2late", 5);
		n += frame(all + n, GW_RESPONSE, 0, 1, "hello ", 6);
		n += frame(all + n, GW_RESPONSE, 0, 1, NULL, 0);
		n += frame(all + n, GW_RESPONSE, GW_F_FIN, 1, "world", 5);
		n += frame(all + n, GW_RESPONSE, GW_F_FIN, 1, "again", 5); /* ignored: it is over */
		for (size_t i = 0; i < n; i += step)
			assert_int_equal(agent_feed(&agent, all + i, i + step < n ? step : n - i), 0);
		assert_int_equal(seen.fins, 1);
		assert_int_equal(seen.response_len, 11);
		assert_memory_equal(seen.response, "hello world", 11);
		assert_int_equal(seen.log_len, 9);
		assert_memory_equal(seen.log, "earlylate", 9);
		assert_int_equal(seen.log_fd, 2);
		assert_int_equal(agent.phase, AGENT_OVER);
	}
}

static void boot_order(void **state)
{
	uint8_t buf[64];
	int n;

	begin(AGENT_WANT_HELLO);
	n = gw_hello_encode(buf, sizeof(buf), 0, "1.0");
	assert_int_equal(agent_feed(&agent, buf, (size_t)n), 0);
	assert_int_equal(agent.phase, AGENT_WANT_READY);
	n = gw_u64_encode(buf, sizeof(buf), GW_READY, 5);
	assert_int_equal(agent_feed(&agent, buf, (size_t)n), 0);
	assert_int_equal(agent.phase, AGENT_IDLE);
	assert_int_equal(seen.states, 2);
	/* A guest that says that it is ready already is not one that we booted. */
	begin(AGENT_WANT_HELLO);
	n = gw_hello_encode(buf, sizeof(buf), 1, "1.0");
	assert_int_equal(agent_feed(&agent, buf, (size_t)n), -EPROTO);
}

static void errors_are_told(void **state)
{
	struct gw_error e = {.kind = GW_ERR_EXIT, .detail = 3, .body = "x", .body_len = 1};
	uint8_t buf[128];
	int n = gw_error_encode(buf, sizeof(buf), &e);

	in_call();
	assert_int_equal(agent_feed(&agent, buf, (size_t)n), 0);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.kind, GW_ERR_EXIT);
	assert_int_equal(agent.phase, AGENT_OVER);
	/* cut short inside: the lengths do not fit */
	in_call();
	assert_int_equal(feed_frame(GW_ERROR, 0, 1, "\1\0", 2), -EPROTO);
	assert_int_equal(seen.errors, 0);
}

static void violations_end_the_session(void **state)
{
	uint8_t junk[64];

	begin(AGENT_WANT_RESUMED);
	assert_int_equal(feed_frame(GW_RESPONSE, GW_F_FIN, 1, "x", 1), -EPROTO); /* before the call */
	begin(AGENT_WANT_RESUMED);
	assert_int_equal(feed_frame(GW_READY, 0, 0, "12345678", 8), -EPROTO);
	in_call();
	assert_int_equal(feed_frame(GW_RESUMED, 0, 0, NULL, 0), -EPROTO); /* twice */
	in_call();
	assert_int_equal(feed_frame(GW_RESPONSE, 0, 7, "x", 1), -EPROTO); /* another stream */
	in_call();
	assert_int_equal(feed_frame(GW_LOG, 0, 1, "\3x", 2), -EPROTO); /* no such descriptor */
	in_call();
	assert_int_equal(feed_frame(GW_LOG, 0, 1, NULL, 0), -EPROTO);
	in_call();
	assert_int_equal(feed_frame(GW_INVOKE, 0, 1, "x", 1), -EPROTO); /* the host's own type */
	memset(junk, 'x', sizeof(junk));
	in_call();
	assert_int_equal(agent_feed(&agent, junk, sizeof(junk)), -EPROTO);
	assert_int_equal(agent_feed(&agent, junk, sizeof(junk)), 0); /* closed: ignored */
	assert_int_equal(seen.fins + seen.errors, 0);
}

static void answers_are_bounded(void **state)
{
	static uint8_t chunk[GW_MAX_CHUNK];
	int rc = 0;
	unsigned i;

	in_call();
	for (i = 0; i < 200 && rc == 0; i++)
		rc = feed_frame(GW_RESPONSE, 0, 1, chunk, sizeof(chunk));
	assert_int_equal(rc, -EMSGSIZE);
	assert_true(seen.response_len <= GW_MAX_RESPONSE);
	assert_int_equal(agent.phase, AGENT_OVER);
}

static void streams_say_so_first(void **state)
{
	static const uint8_t piece[65536];
	uint32_t flags = GW_F_FIN | GW_F_LINGER | 99u << GW_F_PEAK_SHIFT;

	in_call();
	assert_int_equal(feed_frame(GW_STREAM, 0, 1, "text/x", 6), 0);
	assert_int_equal(seen.streams, 1);
	assert_string_equal(seen.type, "text/x");
	for (uint64_t n = 0; n < GW_MAX_STREAM; n += sizeof(piece))
		assert_int_equal(feed_frame(GW_RESPONSE, 0, 1, piece, sizeof(piece)), 0);
	assert_int_equal(feed_frame(GW_RESPONSE, flags, 1, NULL, 0), 0);
	assert_int_equal(seen.fins, 1);
	assert_int_equal(seen.response_len, GW_MAX_STREAM);
	assert_true(agent_lingers(&agent));
	assert_int_equal(agent_peak_mib(&agent), 99);
	in_call();
	assert_int_equal(feed_frame(GW_STREAM, 0, 1, "", 0), 0);
	for (uint64_t n = 0; n < GW_MAX_STREAM; n += sizeof(piece))
		assert_int_equal(feed_frame(GW_RESPONSE, 0, 1, piece, sizeof(piece)), 0);
	assert_int_equal(feed_frame(GW_RESPONSE, 0, 1, piece, 1), -EMSGSIZE);
	in_call(); /* twice */
	assert_int_equal(feed_frame(GW_STREAM, 0, 1, "", 0), 0);
	assert_int_equal(feed_frame(GW_STREAM, 0, 1, "", 0), -EPROTO);
	in_call(); /* too late */
	assert_int_equal(feed_frame(GW_RESPONSE, 0, 1, "x", 1), 0);
	assert_int_equal(feed_frame(GW_STREAM, 0, 1, "", 0), -EPROTO);
	in_call();
	assert_int_equal(feed_frame(GW_STREAM, 0, 1, "a\r\nb", 4), -EPROTO);
	begin(AGENT_WANT_RESUMED); /* too early */
	assert_int_equal(feed_frame(GW_STREAM, 0, 1, "", 0), -EPROTO);
}

/* What extensions say is heard until they are done, and nothing else. */
static void extensions_behind_the_call(void **state)
{
	static const struct gw_error e = {.kind = GW_ERR_EXIT};
	uint8_t buf[128];
	int n = gw_error_encode(buf, sizeof(buf), &e);

	in_call();
	assert_int_equal(feed_frame(GW_RESPONSE, GW_F_FIN | GW_F_LINGER, 1, "x", 1), 0);
	assert_int_equal(feed_frame(GW_LOG, 0, 0, "\1behind it", 10), 0);
	assert_memory_equal(seen.log, "behind it", 9);
	seen.states = 0;
	assert_int_equal(feed_frame(GW_BYE, 0, 0, NULL, 0), 0);
	assert_int_equal(seen.states, 1);
	assert_int_equal(seen.last_state, GW_BYE);
	assert_int_equal(agent.phase, AGENT_OVER);
	in_call();
	assert_int_equal(feed_frame(GW_RESPONSE, GW_F_FIN | GW_F_LINGER, 1, "x", 1), 0);
	assert_int_equal(feed_frame(GW_RESPONSE, GW_F_FIN, 1, "x", 1), -EPROTO);
	in_call();
	assert_int_equal(feed_frame(GW_RESPONSE, GW_F_FIN | GW_F_LINGER, 1, "x", 1), 0);
	assert_int_equal(agent_feed(&agent, buf, (size_t)n), -EPROTO);
	assert_int_equal(seen.errors, 0);
	in_call(); /* there are none */
	assert_int_equal(feed_frame(GW_RESPONSE, GW_F_FIN, 1, "x", 1), 0);
	seen.log_len = 0;
	assert_int_equal(feed_frame(GW_LOG, 0, 0, "\1behind it", 10), 0);
	assert_int_equal(seen.log_len, 0);
	in_call(); /* not yet */
	assert_int_equal(feed_frame(GW_BYE, 0, 0, NULL, 0), -EPROTO);
}

static void in_expired_call(void)
{
	begin(AGENT_WANT_RESUMED);
	assert_int_equal(feed_frame(GW_RESUMED, GW_F_LINGER, 0, NULL, 0), 0);
	assert_true(agent.extended);
	agent_call(&agent);
	agent_expire(&agent);
}

/* The time limit: what the guest had on its way of an answer is nobody's any more; its extensions are heard. */
static void extensions_behind_the_time_limit(void **state)
{
	static const struct gw_error e = {.kind = GW_ERR_EXIT, .body = "{}", .body_len = 2};
	uint8_t buf[128];
	int n = gw_error_encode(buf, sizeof(buf), &e);

	in_expired_call();
	assert_int_equal(feed_frame(GW_STREAM, 0, 1, "text/x", 6), 0);
	assert_int_equal(feed_frame(GW_RESPONSE, 0, 1, "some", 4), 0);
	assert_int_equal(agent_feed(&agent, buf, (size_t)n), 0);
	assert_int_equal(feed_frame(GW_RESPONSE, GW_F_FIN | GW_F_LINGER, 1, "x", 1), 0);
	assert_int_equal(seen.streams + seen.errors + seen.fins + (int)seen.response_len, 0);
	assert_int_equal(feed_frame(GW_LOG, 0, 0, "\1behind it", 10), 0);
	assert_memory_equal(seen.log, "behind it", 9);
	seen.states = 0;
	assert_int_equal(feed_frame(GW_BYE, 0, 0, NULL, 0), 0);
	assert_int_equal(seen.states, 1);
	assert_int_equal(agent.phase, AGENT_OVER);

	/* A frame of which a part had come: the rest is passed over. */
	begin(AGENT_WANT_READY);
	assert_int_equal(feed_frame(GW_READY, GW_F_LINGER, 0, "\0\0\0\0\0\0\0\0", 8), 0);
	agent_call(&agent);
	n = (int)frame(buf, GW_RESPONSE, GW_F_FIN, 1, "half", 4);
	assert_int_equal(agent_feed(&agent, buf, (size_t)n - 2), 0);
	assert_int_equal(seen.response_len, 2);
	agent_expire(&agent);
	assert_int_equal(agent_feed(&agent, buf + n - 2, 2), 0);
	assert_int_equal(seen.response_len, 2);
	assert_int_equal(seen.fins, 0);
	in_expired_call();
	assert_int_equal(feed_frame(GW_RESUMED, 0, 0, NULL, 0), -EPROTO);
	in_call();
	assert_false(agent.extended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_say_so_first),
		cmocka_unit_test(extensions_behind_the_call),
		cmocka_unit_test(extensions_behind_the_time_limit),
		cmocka_unit_test(a_call_in_any_cuts),
		cmocka_unit_test(boot_order),
		cmocka_unit_test(errors_are_told),
		cmocka_unit_test(violations_end_the_session),
		cmocka_unit_test(answers_are_bounded),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	agent_fini(&agent);
	return rc;
}
