/* The Runtime API's HTTP parser: whole, in single bytes, and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-init/http1.h"

struct seen {
	bool head, done;
	int error;
	char body[65536];
	size_t body_len;
	size_t unused; /* bytes left behind the message */
};

/* Feeds text in pieces of `step` bytes until the message ends. */
static void parse(struct http1 *p, const char *text, size_t len, size_t step, struct seen *s)
{
	memset(s, 0, sizeof(*s));
	http1_reset(p);
	for (size_t off = 0; off < len && !s->done && !s->error;) {
		size_t n = len - off < step ? len - off : step, left = n;
		const uint8_t *data = (const uint8_t *)text + off;

		for (;;) {
			const uint8_t *piece = NULL;
			size_t piece_len = 0;
			int rc = http1_next(p, &data, &left, &piece, &piece_len);

			if (rc < 0) {
				s->error = p->error_status;
				return;
			}
			if (rc == HTTP1_MORE)
				break;
			if (rc == HTTP1_HEAD) {
				assert_false(s->head);
				s->head = true;
			}
			if (rc == HTTP1_BODY) {
				assert_true(s->body_len + piece_len <= sizeof(s->body));
				memcpy(s->body + s->body_len, piece, piece_len);
				s->body_len += piece_len;
			}
			if (rc == HTTP1_DONE) {
				s->done = true;
				s->unused = left;
				break;
			}
		}
		off += n;
	}
}

static struct http1 p;
static struct seen s;

static void check_request(const char *text, const char *method, const char *target, const char *body)
{
	static const size_t steps[] = {1, 2, 3, 7, 1000000};

	for (unsigned i = 0; i < 5; i++) {
		parse(&p, text, strlen(text), steps[i], &s);
		assert_int_equal(s.error, 0);
		assert_true(s.head && s.done);
		assert_string_equal(p.method, method);
		assert_string_equal(p.target, target);
		assert_int_equal(s.body_len, strlen(body));
		assert_memory_equal(s.body, body, s.body_len);
		assert_int_equal(s.unused, 0);
	}
}

static void test_requests(void **state)
{
	check_request("GET /a HTTP/1.1\r\n\r\n", "GET", "/a", "");
	check_request("\r\nGET /a HTTP/1.1\nHost: x\n\n", "GET", "/a", "");
	check_request("POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "POST", "/b", "hello");
	check_request("POST /b HTTP/1.1\r\ncontent-LENGTH:  5 \r\nContent-Length: 5\r\n\r\nhello", "POST",
		      "/b", "hello");
	check_request("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
		      "3\r\nabc\r\nA;ext=\"1\"\r\n0123456789\r\n0\r\n\r\n",
		      "POST", "/c", "abc0123456789");
	check_request("POST /c HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\nT: railer\r\n\r\n", "POST",
		      "/c", "");
}

static void test_flags(void **state)
{
	check_request("POST / HTTP/1.1\r\nConnection: x, Close\r\nExpect: 100-continue\r\n"
		      "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Length: 0\r\n\r\n",
		      "POST", "/", "");
	assert_false(p.keep_alive);
	assert_true(p.expect_continue);
	assert_int_equal(p.mode, HTTP1_MODE_STREAMING);
	check_request("GET / HTTP/1.0\r\n\r\n", "GET", "/", "");
	assert_false(p.keep_alive);
	check_request("GET / HTTP/1.1\r\nLambda-Runtime-Function-Response-Mode: other\r\n\r\n", "GET", "/", "");
	assert_true(p.keep_alive);
	assert_int_equal(p.mode, HTTP1_MODE_OTHER);
}

static void test_trailers(void **state)
{
	check_request("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
		      "Lambda-Runtime-Function-Error-Type: X\r\n"
		      "Lambda-Runtime-Function-Error-Body: e30=\r\n\r\n",
		      "POST", "/", "ab");
	assert_true(p.failed);
	assert_string_equal(p.report, "e30=");
	assert_int_equal(p.report_len, 4);
}

/* Runtimes send header lines of up to 1 MiB that nobody here needs. */
static void test_long_header_is_skipped(void **state)
{
	size_t len = (1u << 20) + 200;
	char *text = malloc(len);
	int n;

	assert_non_null(text);
	n = sprintf(text, "POST /x HTTP/1.1\r\nLambda-Runtime-Function-XRay-Error-Cause: ");
	memset(text + n, 'x', 1u << 20);
	n += 1 << 20;
	n += sprintf(text + n, "\r\nContent-Length: 2\r\n\r\nok");
	parse(&p, text, (size_t)n, 65536, &s);
	assert_true(s.done);
	assert_int_equal(s.body_len, 2);
	free(text);
}

static void test_pipelined_rest_is_left(void **state)
{
	static const char text[] = "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";

	parse(&p, text, sizeof(text) - 1, 1000, &s);
	assert_true(s.done);
	assert_int_equal(s.unused, 19);
}

static void test_body_complete(void **state)
{
	const uint8_t *data = (const uint8_t *)"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", *piece;
	size_t left = strlen((const char *)data), n;

	http1_reset(&p);
	assert_int_equal(http1_next(&p, &data, &left, &piece, &n), HTTP1_HEAD);
	assert_false(http1_body_complete(&p));
	assert_int_equal(http1_next(&p, &data, &left, &piece, &n), HTTP1_BODY);
	assert_true(http1_body_complete(&p));
}

static void test_malformed(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{" / HTTP/1.1\r\n\r\n", 400},
		{"GET /\r\n\r\n", 400},
		{"GET / HTTP/2.0\r\n\r\n", 505},
		{"GET / FTP/1.0\r\n\r\n", 400},
		{"GET / HTTP/1.1 \r\n\r\n", 400},
		{"GET / HTTP/1.1\r\rX", 400},
		{"G\x01T / HTTP/1.1\r\n\r\n", 400},
		{"AVERYLONGMETHODNAME / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n folded\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nNo colon\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nContent-Length: 0x10\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", 400},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1111111111111111\r\n", 400},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t step = 1; step < 100; step += 98) {
			parse(&p, cases[i].text, strlen(cases[i].text), step, &s);
			if (s.error != cases[i].status)
				print_error("case %u: %s\n", i, cases[i].text);
			assert_int_equal(s.error, cases[i].status);
		}
	}
}

static void test_limits(void **state)
{
	static char text[1u << 16];
	int n;

	n = sprintf(text, "GET /");
	memset(text + n, 'a', 600);
	parse(&p, text, 605, 1000, &s);
	assert_int_equal(s.error, 414);

	n = sprintf(text, "GET / HTTP/1.1\r\nConnection: ");
	memset(text + n, 'a', 9000);
	parse(&p, text, (size_t)n + 9000, 1000, &s);
	assert_int_equal(s.error, 431);
}

static void test_endless_head_ends(void **state)
{
	uint8_t line[1024];
	const uint8_t *data = (const uint8_t *)"GET / HTTP/1.1\r\n", *piece;
	size_t left = 16, n;
	int rc;

	http1_reset(&p);
	rc = http1_next(&p, &data, &left, &piece, &n);
	assert_int_equal(rc, HTTP1_MORE);
	memset(line, 'h', sizeof(line));
	memcpy(line, "H: ", 3);
	line[1022] = '\r';
	line[1023] = '\n';
	for (unsigned i = 0; i < 5000 && rc >= 0; i++) {
		data = line;
		left = sizeof(line);
		rc = http1_next(&p, &data, &left, &piece, &n);
	}
	assert_int_equal(rc, -EPROTO);
	assert_int_equal(p.error_status, 431);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_trailers),
		cmocka_unit_test(test_long_header_is_skipped),
		cmocka_unit_test(test_pipelined_rest_is_left),
		cmocka_unit_test(test_body_complete),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_endless_head_ends),
	};

	http1_reset(&p);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
