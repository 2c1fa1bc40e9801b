/* Function-URL events and answers. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/furl.h"
#include "scheduler/furl_stream.h"

static struct http_header headers[8];

static struct furl_request request(const char *type, const void *body, size_t len)
{
	headers[0] = (struct http_header){"Host", "h:8080"};
	headers[1] = (struct http_header){"Content-Type", type};
	headers[2] = (struct http_header){"X-Two", "a"};
	headers[3] = (struct http_header){"x-two", "b"};
	headers[4] = (struct http_header){"Cookie", "c1=1; c2=2"};
	headers[5] = (struct http_header){"User-Agent", "t\xff\"\\"};
	return (struct furl_request){.method = "POST", .path = "/a%20b", .query = "x=1&y=%C3%A4&x=2+3",
				     .protocol = "HTTP/1.1", .peer = "10.0.0.1:999", .request_id = "rid",
				     .function = "fn", .headers = headers, .header_count = 6, .body = body,
				     .body_len = len, .wall_ms = 1631055022677};
}

static json_t *event(const struct furl_request *r)
{
	uint8_t *text;
	size_t len;
	json_t *root;

	assert_int_equal(furl_event(r, 1 << 20, &text, &len), 0);
	root = json_loadb((char *)text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	assert_non_null(root);
	return root;
}

static const char *str(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void event_has_every_part(void **state)
{
	struct furl_request r = request("text/plain", "h\xc3\xa4 \"q\"\n", 8);
	json_t *e = event(&r), *ctx, *h, *q;

	ctx = json_object_get(e, "requestContext");
	h = json_object_get(e, "headers");
	q = json_object_get(e, "queryStringParameters");
	assert_string_equal(str(e, "version"), "2.0");
	assert_string_equal(str(e, "rawPath"), "/a%20b");
	assert_string_equal(str(e, "rawQueryString"), "x=1&y=%C3%A4&x=2+3");
	assert_string_equal(str(h, "x-two"), "a,b");
	assert_string_equal(str(h, "user-agent"), "t\xef\xbf\xbd\"\\");
	assert_null(json_object_get(h, "cookie"));
	assert_int_equal(json_array_size(json_object_get(e, "cookies")), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(e, "cookies"), 1)), "c2=2");
	assert_string_equal(str(q, "x"), "1,2 3");
	assert_string_equal(str(q, "y"), "\xc3\xa4");
	assert_string_equal(str(ctx, "time"), "07/Sep/2021:22:50:22 +0000");
	assert_true(json_integer_value(json_object_get(ctx, "timeEpoch")) == 1631055022677);
	assert_string_equal(str(json_object_get(ctx, "http"), "sourceIp"), "10.0.0.1");
	assert_string_equal(str(json_object_get(ctx, "http"), "method"), "POST");
	assert_true(json_is_false(json_object_get(e, "isBase64Encoded")));
	assert_string_equal(str(e, "body"), "h\xc3\xa4 \"q\"\n");
	json_decref(e);
}

/* A token for the host is not shown to the function. */
static void authorization_is_dropped(void **state)
{
	struct furl_request r = request("text/plain", "x", 1);
	json_t *e;

	headers[2] = (struct http_header){"AUTHORIZATION", "Bearer t"};
	headers[3] = (struct http_header){"Authorization", "Bearer u"};
	e = event(&r);
	assert_string_equal(json_string_value(json_object_get(json_object_get(e, "headers"), "authorization")),
			    "Bearer t,Bearer u");
	json_decref(e);
	r.drop_authorization = true;
	e = event(&r);
	assert_null(json_object_get(json_object_get(e, "headers"), "authorization"));
	assert_non_null(json_object_get(json_object_get(e, "headers"), "user-agent"));
	json_decref(e);
}

static void bodies_that_are_no_text_are_base64(void **state)
{
	struct furl_request r = request("image/png", "\x00\x01\xff", 3);
	json_t *e = event(&r);

	assert_string_equal(str(e, "body"), "AAH/");
	assert_true(json_is_true(json_object_get(e, "isBase64Encoded")));
	json_decref(e);
	r = request("text/plain", "\xff\xfe", 2); /* says text, is none */
	e = event(&r);
	assert_string_equal(str(e, "body"), "//4=");
	json_decref(e);
	r = request("application/json", "", 0);
	e = event(&r);
	assert_null(json_object_get(e, "body"));
	json_decref(e);
}

static void events_are_bounded(void **state)
{
	struct furl_request r = request("text/plain", "0123456789", 10);
	uint8_t *text;
	size_t len;

	for (size_t max = 0; max < 900; max += 7) {
		int rc = furl_event(&r, max, &text, &len);

		if (rc == 0) {
			assert_true(len <= max);
			free(text);
		} else {
			assert_int_equal(rc, -EMSGSIZE);
		}
	}
}

static int answer(const char *text, struct furl_answer *a)
{
	struct stk_err err = {0};
	int rc = furl_answer_parse((const uint8_t *)text, strlen(text), a, &err);

	if (rc)
		assert_string_not_equal(err.text, "");
	return rc;
}

static void plain_answers(void **state)
{
	static const char *const as_is[] = {"{\"a\":1}", "[1]", "12", "null", "", "not json", "{broken"};
	struct furl_answer a;

	for (size_t i = 0; i < sizeof(as_is) / sizeof(as_is[0]); i++) {
		assert_int_equal(answer(as_is[i], &a), 0);
		assert_true(a.passthrough);
		assert_int_equal(a.status, 200);
		assert_string_equal(a.type, "application/json");
		furl_answer_fini(&a);
	}
	assert_int_equal(answer("\"h\\u00e4\"", &a), 0); /* a string is sent bare */
	assert_false(a.passthrough);
	assert_int_equal(a.body_len, 3);
	assert_memory_equal(a.body, "h\xc3\xa4", 3);
	furl_answer_fini(&a);
}

static void mapped_answers(void **state)
{
	struct furl_answer a;

	assert_int_equal(answer("{\"statusCode\":201,\"headers\":{\"Content-Type\":\"text/x\",\"X-N\":5,"
				"\"Content-Length\":\"9\"},\"cookies\":[\"a=1\"],\"body\":\"aGk=\","
				"\"isBase64Encoded\":true}", &a), 0);
	assert_int_equal(a.status, 201);
	assert_string_equal(a.type, "text/x");
	assert_int_equal(a.header_count, 2);
	assert_string_equal(a.header[0].name, "X-N");
	assert_string_equal(a.header[0].value, "5");
	assert_string_equal(a.header[1].name, "Set-Cookie");
	assert_int_equal(a.body_len, 2);
	assert_memory_equal(a.body, "hi", 2);
	furl_answer_fini(&a);
	assert_int_equal(answer("{\"statusCode\":204}", &a), 0);
	assert_int_equal(a.body_len, 0);
	furl_answer_fini(&a);
	assert_int_equal(answer("{\"statusCode\":200,\"body\":{\"k\":[1]}}", &a), 0);
	assert_memory_equal(a.body, "{\"k\":[1]}", 9);
	furl_answer_fini(&a);
}

static void unusable_answers(void **state)
{
	static const char *const bad[] = {
		"{\"statusCode\":99}", "{\"statusCode\":600}", "{\"statusCode\":[]}", "{\"statusCode\":\"2x0\"}",
		"{\"statusCode\":99999999999999}", "{\"statusCode\":200,\"headers\":[]}",
		"{\"statusCode\":200,\"headers\":{\"a\":[]}}", "{\"statusCode\":200,\"cookies\":{}}",
		"{\"statusCode\":200,\"cookies\":[1]}",
		"{\"statusCode\":200,\"body\":\"###\",\"isBase64Encoded\":true}",
		"{\"statusCode\":200,\"headers\":{\"content-type\":\"a\\r\\nb: c\"}}",
	};
	struct furl_answer a;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(answer(bad[i], &a), -EPROTO);
}

/* Other headers are bounded by what the server puts into a head. */
static void a_content_type_has_a_length(void **state)
{
	static char text[FURL_MAX_TYPE + 128];

	for (unsigned more = 0; more < 2; more++) {
		struct furl_answer a;

		snprintf(text, sizeof(text), "{\"statusCode\":200,\"headers\":{\"content-type\":\"%0*d\"}}",
			 (int)(FURL_MAX_TYPE + more), 0);
		assert_int_equal(answer(text, &a), more ? -EPROTO : 0);
		if (!more) {
			assert_int_equal(strlen(a.type), FURL_MAX_TYPE);
			furl_answer_fini(&a);
		}
	}
}

static void base64_both_ways(void **state)
{
	uint8_t raw[64], back[64];
	char text[128];

	for (size_t n = 0; n < sizeof(raw); n++) {
		size_t len;

		for (size_t i = 0; i < n; i++)
			raw[i] = (uint8_t)(i * 37 + n);
		len = furl_base64_encode(raw, n, text);
		assert_int_equal(len, (n + 2) / 3 * 4);
		assert_int_equal(furl_base64_decode(text, len, back), (long)n);
		assert_memory_equal(raw, back, n ? n : 1 - 1);
	}
	assert_int_equal(furl_base64_decode("AA=A", 4, back), -EINVAL);
	assert_int_equal(furl_base64_decode("A===", 4, back), -EINVAL);
	assert_int_equal(furl_base64_decode("AAA=AAAA", 8, back), -EINVAL);
	assert_int_equal(furl_base64_decode("AAA", 3, back), -EINVAL);
}

static void preludes_in_any_pieces(void **state)
{
	static const char text[] = "{\"statusCode\": 201}\0\0\0\0\0\0\0\0body";
	static const uint8_t large[FURL_PRELUDE_MAX + 1] = {[0 ... FURL_PRELUDE_MAX] = 'x'};
	size_t used, total = sizeof(text) - 1;

	for (size_t step = 1; step <= total; step++) {
		struct furl_prelude p = {0};
		size_t at = 0;
		int rc = 0;

		while (rc == 0) {
			rc = furl_prelude_take(&p, (const uint8_t *)text + at, at + step < total ? step : total - at, &used);
			at += used;
		}
		assert_int_equal(rc, 1);
		assert_string_equal(text + at, "body");
		assert_int_equal(p.len, at - 8);
		furl_prelude_fini(&p);
	}
	for (int i = 0; i < 2; i++) {
		struct furl_prelude p = {0};

		if (i == 0) /* NULs, but too few */
			assert_int_equal(furl_prelude_take(&p, (const uint8_t *)"{}\0\0x", 5, &used), -EPROTO);
		else
			assert_int_equal(furl_prelude_take(&p, large, sizeof(large), &used), -EMSGSIZE);
		furl_prelude_fini(&p);
	}
}

static void preludes_say_what_the_head_is(void **state)
{
	static const char full[] = "{\"statusCode\":404,\"headers\":{\"Content-Type\":\"text/x\",\"X-A\":\"1\"},\"cookies\":[\"a=b\"]}";
	static const char *const bad[] = {"", "[]", "{\"statusCode\":1000}", "{\"headers\":[]}", "{\"cookies\":1}", "{"};
	struct furl_answer a;
	struct stk_err err;

	assert_int_equal(furl_prelude_parse((const uint8_t *)full, sizeof(full) - 1, &a, &err), 0);
	assert_int_equal(a.status, 404);
	assert_string_equal(a.type, "text/x");
	assert_int_equal(a.header_count, 2);
	assert_string_equal(a.header[1].name, "Set-Cookie");
	furl_answer_fini(&a);
	assert_int_equal(furl_prelude_parse((const uint8_t *)"{}", 2, &a, &err), 0);
	assert_int_equal(a.status, 200);
	furl_answer_fini(&a);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(furl_prelude_parse((const uint8_t *)bad[i], strlen(bad[i]), &a, &err), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_has_every_part),
		cmocka_unit_test(authorization_is_dropped),
		cmocka_unit_test(bodies_that_are_no_text_are_base64),
		cmocka_unit_test(events_are_bounded),
		cmocka_unit_test(plain_answers),
		cmocka_unit_test(mapped_answers),
		cmocka_unit_test(unusable_answers),
		cmocka_unit_test(a_content_type_has_a_length),
		cmocka_unit_test(base64_both_ways),
		cmocka_unit_test(preludes_in_any_pieces),
		cmocka_unit_test(preludes_say_what_the_head_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
