/* Events become requests, responses become preludes: whole, in pieces, hostile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest-init/jsonin.h"
#include "guest-init/webmsg.h"

static char buf[WEBMSG_HEAD + 1];
static struct webmsg_request rq;
static uint8_t *event;

static int request(const char *json)
{
	int rc;

	free(event);
	event = malloc(strlen(json)); /* exactly: no NUL behind it */
	memcpy(event, json, strlen(json));
	rc = webmsg_request(event, strlen(json), "id-1", 8080, buf, WEBMSG_HEAD, &rq);
	buf[rc == 0 ? rq.head_len : 0] = '\0';
	return rc;
}

static void has(const char *part)
{
	if (!strstr(buf, part))
		fail_msg("no \"%s\" in %s", part, buf);
}

static void test_request(void **state)
{
	assert_int_equal(request("{\"version\":\"2.0\",\"rawPath\":\"/a/\\u00e4 b\",\"rawQueryString\":\"x=1&y=%20\","
				 "\"cookies\":[\"a=1\",\"b=2\"],\"headers\":{\"host\":\"h.example\",\"x-quote\":\"\\\"q\\\"\","
				 "\"connection\":\"close\",\"content-length\":\"99\",\"x-bad\":\"a\\r\\nInjected: 1\",\"bad name\":\"v\"},"
				 "\"requestContext\":{\"x\":[1,{}],\"http\":{\"method\":\"PATCH\",\"path\":\"/\"}},"
				 "\"body\":\"l\\u00e4ng\\n\",\"isBase64Encoded\":false}"), 0);
	assert_true(rq.http);
	assert_memory_equal(buf, "PATCH /a/%C3%A4%20b?x=1&y=%20 HTTP/1.1\r\n", 40);
	has("\r\nhost: h.example\r\n");
	has("\r\nx-quote: \"q\"\r\n");
	has("\r\nCookie: a=1; b=2\r\n");
	has("\r\nX-Amzn-RequestId: id-1\r\n");
	has("\r\nContent-Length: 6\r\nConnection: close\r\n\r\n");
	assert_null(strstr(buf, "Injected"));
	assert_null(strstr(buf, "x-bad"));
	assert_null(strstr(buf, "99"));
	assert_int_equal(rq.body_len, 6);
	assert_memory_equal(rq.body, "l\xc3\xa4ng\n", 6);
	assert_int_equal(request("{\"requestContext\":{\"http\":{\"method\":\"HEAD\"}},\"body\":\"AAEC/w==\",\"isBase64Encoded\":true}"), 0);
	assert_memory_equal(buf, "HEAD / HTTP/1.1\r\n", 17);
	has("Host: 127.0.0.1:8080\r\n");
	assert_true(rq.is_head);
	assert_int_equal(rq.body_len, 4);
	assert_memory_equal(rq.body, "\0\1\2\xff", 4);
}

static void test_other_events(void **state)
{
	static const char bad_escape[] = "{\"body\":\"\\ud8\",\"requestContext\":{\"http\":{\"method\":\"GET\"}}}";
	static const char *const others[] = {"{\"k\":1}", "[1,2]", "7", "null",
					     "{\"requestContext\":{\"http\":{\"method\":\"A B\"}}}"};
	static const char *const bad[] = {"", "{", "{\"a\":}", "[1", "{\"body\":\"\\x\"} ", "{} x", bad_escape};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(request(others[i]), 0);
		assert_false(rq.http);
		assert_memory_equal(buf, "POST /events HTTP/1.1\r\n", 23);
		assert_int_equal(rq.body_len, strlen(others[i]));
		assert_memory_equal(rq.body, others[i], rq.body_len);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (i != 4) /* a bad escape in a body that is not used */
			assert_int_equal(request(bad[i]), -EPROTO);
	}
}

static void test_large_heads(void **state)
{
	char *json = malloc(2 * WEBMSG_HEAD + 200);
	int n = sprintf(json, "{\"requestContext\":{\"http\":{\"method\":\"GET\"}},\"rawPath\":\"/");

	memset(json + n, 'p', 2 * WEBMSG_HEAD);
	strcpy(json + n + 2 * WEBMSG_HEAD, "\"}");
	assert_int_equal(request(json), -EMSGSIZE);
	free(json);
}

static void test_response(void **state)
{
	static const char text[] = "HTTP/1.1 418 Teapot\r\nContent-Type: text/plain\r\nSet-Cookie: a=\"1\"\r\nset-cookie: b\r\n"
				   "X-Latin: \xe4\r\nContent-Length: 12\r\nConnection: close\r\n\r\n";
	struct webmsg_response r;
	long n = webmsg_response(text, sizeof(text) - 1, buf, WEBMSG_HEAD, &r);
	static const char want[] = "{\"statusCode\":418,\"headers\":{\"Content-Type\":\"text/plain\",\"X-Latin\":\"\\u00e4\"},"
				   "\"cookies\":[\"a=\\\"1\\\"\",\"b\"]}\0\0\0\0\0\0\0\0";
	static const char *const bad[] = {"", "HTTP/1.1\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 99 X\r\n\r\n",
					  "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
					  "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
					  "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
					  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
					  "HTTP/1.1 200 OK\r\nA: b\r\n"};

	assert_int_equal(n, sizeof(want) - 1);
	assert_memory_equal(buf, want, sizeof(want) - 1);
	assert_true(r.has_length && r.length == 12 && !r.chunked);
	assert_int_equal(webmsg_head_len(text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(webmsg_head_len(text, sizeof(text) - 2), 0);
	assert_int_equal(webmsg_response(text, sizeof(text) - 1, buf, 60, &r), -EMSGSIZE);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(webmsg_response(bad[i], strlen(bad[i]), buf, WEBMSG_HEAD, &r), -EPROTO);
}

static void test_chunks(void **state)
{
	static const char text[] = "3\r\none\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nrest";
	static const char *const bad[] = {"x\r\n", "\r\n", "1\r\nab", "1111111111111111\r\n"};

	for (size_t step = 1; step < sizeof(text); step++) {
		struct webmsg_chunks c = {0};
		char body[32] = "";
		size_t at = 0, body_len = 0;

		while (c.state != WEBMSG_END) {
			size_t left = sizeof(text) - 1 - at, len;
			const uint8_t *piece;
			long n = webmsg_chunk(&c, (const uint8_t *)text + at, left < step ? left : step, &piece, &len);

			assert_true(n > 0);
			if (len)
				memcpy(body + body_len, piece, len);
			body_len += len;
			at += (size_t)n;
		}
		assert_string_equal(body, "one0123456789");
		assert_string_equal(text + at, "rest");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct webmsg_chunks c = {0};
		const uint8_t *piece;
		size_t len, at = 0;
		long n = 1;

		while (n > 0 && at < strlen(bad[i])) {
			n = webmsg_chunk(&c, (const uint8_t *)bad[i] + at, strlen(bad[i]) - at, &piece, &len);
			at += n > 0 ? (size_t)n : 0;
		}
		assert_int_equal(n, -EPROTO);
	}
}

static void test_strings(void **state)
{
	static const struct {
		const char *json, *text;
	} good[] = {{"a\\n\\t\\\\\\/\\\"", "a\n\t\\/\""}, {"\\u0041\\u00e4\\u20ac", "A\xc3\xa4\xe2\x82\xac"},
		    {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"}, {"\\ud83dx", "\xef\xbf\xbdx"}, {"\\ude00", "\xef\xbf\xbd"}};
	static const char *const bad[] = {"\\", "\\x", "\\u12", "\\u12g4"};
	char dst[64];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		long n = jsonin_text((struct jsonin_str){good[i].json, strlen(good[i].json)}, dst);

		assert_int_equal(n, strlen(good[i].text));
		assert_memory_equal(dst, good[i].text, (size_t)n);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(jsonin_text((struct jsonin_str){bad[i], strlen(bad[i])}, dst), -1);
}

static int done(void **state)
{
	free(event);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request), cmocka_unit_test(test_other_events), cmocka_unit_test(test_large_heads),
		cmocka_unit_test(test_response), cmocka_unit_test(test_chunks), cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
