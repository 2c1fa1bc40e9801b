/* guestwire: what one side encodes the other decodes; everything malformed is refused. */
#include "common/base/guestwire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static uint8_t buf[80000];

static struct gw_header header(int frame_len)
{
	struct gw_header h = {0};

	assert_true(frame_len >= (int)GW_HEADER_LEN);
	assert_int_equal(gw_header_decode(buf, &h), 0);
	return h;
}

static const uint8_t *payload(void)
{
	return buf + GW_HEADER_LEN;
}

static void test_header(void **state)
{
	struct gw_header h = {.type = GW_RESPONSE, .flags = GW_F_FIN, .stream = 1, .length = 5}, got;

	gw_header_encode(buf, &h);
	assert_memory_equal(buf, "STKW\x01\x00\x09\x00\x01\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00", 20);
	assert_int_equal(gw_header_decode(buf, &got), 0);
	assert_int_equal(got.type, GW_RESPONSE);
	assert_int_equal(got.flags, GW_F_FIN);
	assert_int_equal(got.stream, 1);
	assert_int_equal(got.length, 5);
}

static void refused(size_t at, uint8_t value)
{
	struct gw_header h = {.type = GW_LOG, .stream = 1, .length = 5}, got;

	gw_header_encode(buf, &h);
	buf[at] = value;
	assert_int_equal(gw_header_decode(buf, &got), -EPROTO);
}

static void test_bad_headers(void **state)
{
	struct gw_header h, got;

	refused(0, 'X');             /* magic */
	refused(4, 2);               /* version */
	refused(6, 0);               /* type */
	refused(6, GW_TYPE_MAX + 1); /* type */
	refused(8, GW_F_FIN);        /* flag that this type does not have */
	refused(9, 1);               /* unknown flag */
	for (uint16_t type = 1; type <= GW_TYPE_MAX; type++) {
		h = (struct gw_header){.type = type, .length = GW_MAX_FRAME + 1};
		gw_header_encode(buf, &h);
		assert_int_equal(gw_header_decode(buf, &got), -EPROTO);
	}
	h = (struct gw_header){.type = GW_BYE, .length = 1};
	gw_header_encode(buf, &h);
	assert_int_equal(gw_header_decode(buf, &got), -EPROTO);
}

static void test_start(void **state)
{
	struct gw_start s = {.wall_ns = 123, .init_timeout_ms = 10000}, got;
	struct gw_header h;
	int n;

	memset(s.entropy, 7, sizeof(s.entropy));
	assert_int_equal(gw_kv_add(s.kv, GW_MAX_ENV, &s.kv_count, "_HANDLER", "app.handler"), 0);
	assert_int_equal(gw_kv_add(s.kv, GW_MAX_ENV, &s.kv_count, "EMPTY", ""), 0);
	n = gw_start_encode(buf, sizeof(buf), &s);
	h = header(n);
	assert_int_equal(h.type, GW_START);
	assert_int_equal(h.length + GW_HEADER_LEN, n);
	assert_int_equal(gw_start_decode(payload(), h.length, &got), 0);
	assert_int_equal(got.wall_ns, 123);
	assert_int_equal(got.init_timeout_ms, 10000);
	assert_memory_equal(got.entropy, s.entropy, GW_ENTROPY_LEN);
	assert_int_equal(got.kv_count, 2);
	assert_int_equal(got.kv[0].value_len, 11);
	assert_memory_equal(got.kv[0].value, "app.handler", 11);
	assert_int_equal(got.kv[1].value_len, 0);
	/* Cut anywhere, or with a byte too many, it is refused. */
	for (size_t len = 0; len < h.length; len++)
		assert_int_equal(gw_start_decode(payload(), len, &got), -EPROTO);
	assert_int_equal(gw_start_decode(payload(), h.length + 1, &got), -EPROTO);
}

static void encode_bad_kv(const char *key, uint16_t key_len, const char *value, uint32_t value_len)
{
	struct gw_start s = {.kv_count = 1}, got;
	int n;

	s.kv[0] = (struct gw_kv){key, key_len, value, value_len};
	n = gw_start_encode(buf, sizeof(buf), &s);
	assert_int_equal(gw_start_decode(payload(), header(n).length, &got), -EPROTO);
}

static void test_bad_kv(void **state)
{
	struct gw_kv kv[GW_MAX_KV];
	unsigned count = 0;

	encode_bad_kv("", 0, "v", 1);
	encode_bad_kv("a=b", 3, "v", 1);
	encode_bad_kv("a\0b", 3, "v", 1);
	encode_bad_kv("k", 1, "a\0b", 3);
	for (unsigned i = 0; i < GW_MAX_KV; i++)
		assert_int_equal(gw_kv_add(kv, GW_MAX_KV, &count, "k", "v"), 0);
	assert_int_equal(gw_kv_add(kv, GW_MAX_KV, &count, "k", "v"), -ENOBUFS);
	assert_int_equal(count, GW_MAX_KV);
}

/* A list too long for the format must not be sent. */
static void test_too_many_kv(void **state)
{
	struct gw_start *s = calloc(1, sizeof(*s));
	struct gw_start got;
	int n;

	for (unsigned i = 0; i < GW_MAX_ENV; i++)
		s->kv[i] = (struct gw_kv){"k", 1, "v", 1};
	s->kv_count = GW_MAX_ENV;
	n = gw_start_encode(buf, sizeof(buf), s);
	assert_int_equal(gw_start_decode(payload(), header(n).length, &got), 0);
	assert_int_equal(got.kv_count, GW_MAX_ENV);
	/* One more on the wire than the limit allows. */
	buf[GW_HEADER_LEN + 8 + 4 + GW_ENTROPY_LEN] = (GW_MAX_ENV + 1) & 0xff;
	buf[GW_HEADER_LEN + 8 + 4 + GW_ENTROPY_LEN + 1] = (GW_MAX_ENV + 1) >> 8;
	assert_int_equal(gw_start_decode(payload(), header(n).length, &got), -EPROTO);
	s->kv_count = GW_MAX_ENV + 1;
	assert_int_equal(gw_start_encode(buf, sizeof(buf), s), -ENOBUFS);
	free(s);
}

static void test_resume(void **state)
{
	struct gw_resume r = {.wall_ns = 5, .hostname = "vm-1", .hostname_len = 4, .how = GW_RESUME_WARM_UP}, got;
	char longname[65];
	struct gw_header h;

	memset(longname, 'h', sizeof(longname));
	h = header(gw_resume_encode(buf, sizeof(buf), &r));
	assert_int_equal(h.type, GW_RESUME);
	assert_int_equal(gw_resume_decode(payload(), h.length, &got), 0);
	assert_int_equal(got.hostname_len, 4);
	assert_memory_equal(got.hostname, "vm-1", 4);
	assert_int_equal(got.how, GW_RESUME_WARM_UP);
	for (size_t len = 0; len < h.length; len++)
		assert_int_equal(gw_resume_decode(payload(), len, &got), -EPROTO);
	r.hostname = longname;
	r.hostname_len = 4;
	r.how = GW_RESUME_QUIET + 1;
	h = header(gw_resume_encode(buf, sizeof(buf), &r));
	assert_int_equal(gw_resume_decode(payload(), h.length, &got), -EPROTO);
	r.how = GW_RESUME_QUIET;
	r.hostname_len = 65;
	h = header(gw_resume_encode(buf, sizeof(buf), &r));
	assert_int_equal(gw_resume_decode(payload(), h.length, &got), -EPROTO);
}

static void test_prefault(void **state)
{
	static const struct gw_page_range range[] = {{1, 2}, {0xffffffff, 0x80000000}};
	static struct gw_page_range many[GW_MAX_RANGES + 1];
	struct gw_header h = header(gw_prefault_encode(buf, sizeof(buf), range, 2));
	unsigned count;

	assert_int_equal(h.type, GW_PREFAULT);
	assert_int_equal(gw_prefault_decode(payload(), h.length, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(gw_prefault_range(payload(), 0).count, 2);
	assert_int_equal(gw_prefault_range(payload(), 1).first, 0xffffffff);
	assert_int_equal(gw_prefault_decode(payload(), h.length - 1, &count), -EPROTO);
	assert_int_equal(gw_prefault_decode(payload(), (GW_MAX_RANGES + 1) * sizeof(*range), &count), -EPROTO);
	assert_int_equal(gw_prefault_encode(buf, sizeof(buf), many, GW_MAX_RANGES + 1), -ENOBUFS);
	h = header(gw_prefault_encode(buf, sizeof(buf), many, GW_MAX_RANGES));
	assert_int_equal(gw_prefault_decode(payload(), h.length, &count), 0);
	assert_int_equal(count, GW_MAX_RANGES);
	h = header(gw_prefault_encode(buf, sizeof(buf), NULL, 0));
	assert_int_equal(gw_prefault_decode(payload(), h.length, &count), 0);
	assert_int_equal(count, 0);
}

static int invoke_frame(const char *id, const char *event)
{
	struct gw_invoke inv = {.deadline_ms = 99, .wall_ns = 5, .request_id = id,
				.request_id_len = (uint16_t)strlen(id),
				.event = (const uint8_t *)event, .event_len = (uint32_t)strlen(event)};
	int n;

	assert_int_equal(gw_kv_add(inv.kv, GW_MAX_KV, &inv.kv_count, "a", "b"), 0);
	n = gw_invoke_encode(buf, sizeof(buf), &inv);
	assert_true(n > 0);
	memcpy(buf + n, event, strlen(event)); /* what the caller sends behind it */
	return n + (int)strlen(event);
}

static void test_invoke(void **state)
{
	static const char *const bad_ids[] = {"", "a b", "a/b", "a\nb", "a?b", "a%b", "\x7f", "\xc3\xa4"};
	struct gw_invoke got;
	char id[130];
	struct gw_header h;
	int n;

	n = invoke_frame("3f8c-1", "{\"x\": 1}");
	h = header(n);
	assert_int_equal(h.stream, 1);
	assert_int_equal(h.length + GW_HEADER_LEN, n);
	assert_int_equal(gw_invoke_decode(payload(), h.length, &got), 0);
	assert_int_equal(got.deadline_ms, 99);
	assert_int_equal(got.kv_count, 1);
	assert_int_equal(got.event_len, 8);
	assert_memory_equal(got.event, "{\"x\": 1}", 8);
	for (size_t len = 0; len < h.length; len++)
		assert_int_equal(gw_invoke_decode(payload(), len, &got), -EPROTO);
	for (size_t i = 0; i < STK_ARRAY_LEN(bad_ids); i++) {
		h = header(invoke_frame(bad_ids[i], "{}"));
		assert_int_equal(gw_invoke_decode(payload(), h.length, &got), -EPROTO);
	}
	memset(id, 'i', sizeof(id));
	id[129] = '\0';
	h = header(invoke_frame(id, ""));
	assert_int_equal(gw_invoke_decode(payload(), h.length, &got), -EPROTO);
	id[128] = '\0';
	h = header(invoke_frame(id, ""));
	assert_int_equal(gw_invoke_decode(payload(), h.length, &got), 0);
	assert_int_equal(got.event_len, 0);
}

static void test_event_limit(void **state)
{
	struct gw_invoke inv = {.request_id = "i", .request_id_len = 1, .event_len = GW_MAX_EVENT};

	assert_true(gw_invoke_encode(buf, sizeof(buf), &inv) > 0);
	inv.event_len++;
	assert_int_equal(gw_invoke_encode(buf, sizeof(buf), &inv), -ENOBUFS);
}

static void test_error(void **state)
{
	struct gw_error e = {.kind = GW_ERR_SIGNAL, .detail = -9, .body = "{}", .body_len = 2}, got;
	static char big[GW_MAX_ERROR];
	struct gw_header h = header(gw_error_encode(buf, sizeof(buf), &e));

	assert_int_equal(h.stream, 1);
	assert_int_equal(gw_error_decode(payload(), h.length, &got), 0);
	assert_int_equal(got.kind, GW_ERR_SIGNAL);
	assert_int_equal(got.detail, -9);
	assert_memory_equal(got.body, "{}", 2);
	e.kind = GW_ERR_INIT;
	assert_int_equal(header(gw_error_encode(buf, sizeof(buf), &e)).stream, 0);
	e.kind = GW_ERR_AGENT + 1;
	h = header(gw_error_encode(buf, sizeof(buf), &e));
	assert_int_equal(gw_error_decode(payload(), h.length, &got), -EPROTO);
	e = (struct gw_error){.kind = GW_ERR_FUNCTION, .body = big, .body_len = sizeof(big)};
	assert_int_equal(gw_error_encode(buf, sizeof(buf), &e), -ENOBUFS);
	e.body_len = sizeof(big) - 10;
	assert_true(gw_error_encode(buf, sizeof(buf), &e) > 0);
	assert_int_equal(gw_error_encode(buf, 100, &e), -ENOBUFS);
}

static void test_small_frames(void **state)
{
	char version[600];
	uint64_t v = 0;
	uint8_t st = 9;
	struct gw_header h = header(gw_u64_encode(buf, sizeof(buf), GW_READY, 1234567890123ULL));

	assert_int_equal(h.type, GW_READY);
	assert_int_equal(gw_u64_decode(payload(), h.length, &v), 0);
	assert_true(v == 1234567890123ULL);
	assert_int_equal(gw_u64_decode(payload(), 7, &v), -EPROTO);
	h = header(gw_hello_encode(buf, sizeof(buf), 1, "0.1.0"));
	assert_int_equal(gw_hello_decode(payload(), h.length, &st), 0);
	assert_int_equal(st, 1);
	assert_int_equal(gw_hello_decode(payload(), h.length - 1, &st), -EPROTO);
	buf[GW_HEADER_LEN] = 2; /* no such state */
	assert_int_equal(gw_hello_decode(payload(), h.length, &st), -EPROTO);
	memset(version, 'v', sizeof(version) - 1);
	version[sizeof(version) - 1] = '\0';
	assert_int_equal(gw_hello_encode(buf, sizeof(buf), 0, version), -ENOBUFS);
	h = header(gw_empty_encode(buf, sizeof(buf), GW_BYE));
	assert_int_equal(h.type, GW_BYE);
	assert_int_equal(h.length, 0);
	assert_int_equal(gw_empty_encode(buf, GW_HEADER_LEN - 1, GW_BYE), -ENOBUFS);
}

static void test_stream(void **state)
{
	struct gw_header h = header(gw_stream_encode(buf, sizeof(buf), "text/plain; charset=utf-8"));
	char type[GW_MAX_TYPE + 1], longest[GW_MAX_TYPE + 2];

	assert_int_equal(h.type, GW_STREAM);
	assert_int_equal(h.stream, 1);
	assert_int_equal(gw_stream_decode(payload(), h.length, type), 0);
	assert_string_equal(type, "text/plain; charset=utf-8");
	assert_int_equal(gw_stream_decode(payload(), 0, type), 0);
	assert_string_equal(type, "");
	assert_int_equal(gw_stream_decode((const uint8_t *)"a\nb", 3, type), -EPROTO); /* it becomes a header line */
	memset(longest, 't', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(gw_stream_encode(buf, sizeof(buf), longest), -ENOBUFS);
	assert_int_equal(gw_stream_decode((uint8_t *)longest, GW_MAX_TYPE + 1, type), -EPROTO);
	longest[GW_MAX_TYPE] = '\0';
	assert_true(gw_stream_encode(buf, sizeof(buf), longest) > 0);
}

/* What the end of an invocation says beside the answer, and a part of it that is said beforehand; no other frame may. */
static void test_end_flags(void **state)
{
	const uint32_t end = GW_F_LINGER | 37u << GW_F_PEAK_SHIFT;
	struct gw_error e = {.kind = GW_ERR_FUNCTION, .body = "{}", .body_len = 2};
	struct gw_header h = header(gw_error_encode(buf, sizeof(buf), &e));

	gw_set_flags(buf, end);
	assert_int_equal(gw_header_decode(buf, &h), 0);
	assert_int_equal(h.flags, end);
	assert_int_equal(h.flags >> GW_F_PEAK_SHIFT, 37);
	h = (struct gw_header){.type = GW_RESPONSE, .flags = GW_F_FIN | end, .stream = 1};
	gw_header_encode(buf, &h);
	assert_int_equal(gw_header_decode(buf, &h), 0);
	gw_set_flags(buf, end); /* not the last piece */
	assert_int_equal(gw_header_decode(buf, &h), -EPROTO);
	gw_set_flags(buf, GW_F_FIN | 4);
	assert_int_equal(gw_header_decode(buf, &h), -EPROTO);
	h = (struct gw_header){.type = GW_LOG, .flags = end, .stream = 1};
	gw_header_encode(buf, &h);
	assert_int_equal(gw_header_decode(buf, &h), -EPROTO);
	for (int ready = 0; ready < 2; ready++) {
		h = (struct gw_header){.type = ready ? GW_READY : GW_RESUMED, .flags = GW_F_LINGER};
		gw_header_encode(buf, &h);
		assert_int_equal(gw_header_decode(buf, &h), 0);
		gw_set_flags(buf, end);
		assert_int_equal(gw_header_decode(buf, &h), -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_bad_kv),
		cmocka_unit_test(test_too_many_kv),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_prefault),
		cmocka_unit_test(test_invoke),
		cmocka_unit_test(test_event_limit),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_small_frames),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_end_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
