/* The HTTP server seen by its clients: good ones, slow ones, broken ones, hostile ones. */
#include "common/host/http_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/base/clock.h"
#include "tests/unit/common/host/server_fixture.h"
#include "tests/unit/unit.h"

#define H "Host: x\r\n"

static unsigned fds_before;

static struct http_limits small_limits(void)
{
	struct http_limits l;

	http_limits_default(&l);
	l.max_body_bytes = 100000;
	l.max_header_bytes = 8192;
	l.max_headers = 20;
	return l;
}

static int start(struct http_limits l)
{
	fds_before = unit_count_fds();
	fixture_start(&l, NULL);
	return 0;
}

static int setup(void **state)
{
	return start(small_limits());
}

static int setup_impatient(void **state)
{
	struct http_limits l = small_limits();

	l.header_timeout_ms = l.body_timeout_ms = l.idle_timeout_ms = 150;
	l.write_timeout_ms = 150;
	return start(l);
}

static int setup_patient_with_readers(void **state)
{
	struct http_limits l = small_limits();

	l.write_timeout_ms = 700;
	return start(l);
}

/* Room for three of 150,000 bytes. */
static int setup_little_memory(void **state)
{
	struct http_limits l = small_limits();

	l.max_body_bytes = 200000;
	l.max_buffered_bytes = 650000;
	return start(l);
}

static int setup_two_connections(void **state)
{
	struct http_limits l = small_limits();

	l.max_connections = 2;
	return start(l);
}

static int teardown(void **state)
{
	fixture_stop();
	assert_int_equal(unit_count_fds(), fds_before);
	return 0;
}

static void wait_for(atomic_uint *counter, unsigned want)
{
	uint64_t end = stk_now_ns() + 10 * STK_NS_PER_S;

	while (*counter < want && stk_now_ns() < end)
		usleep(1000);
	assert_int_equal(*counter, want);
}

static void expect_text(char *answer, const char *needle)
{
	if (!strstr(answer, needle))
		fail_msg("\"%s\" not in: %.600s", needle, answer);
	free(answer);
}

static void wait_for_connections(unsigned want)
{
	uint64_t end = stk_now_ns() + 10 * STK_NS_PER_S;

	while (fixture_connections() != want && stk_now_ns() < end)
		usleep(1000);
	assert_int_equal(fixture_connections(), want);
}

/* Asks for leave to send until the answer is 503: the server may still be reading from others. */
static void expect_refused(const char *head)
{
	uint64_t end = stk_now_ns() + 10 * STK_NS_PER_S;
	bool refused = false;

	while (!refused && stk_now_ns() < end) {
		int fd = raw_connect();
		char *answer;

		raw_send(fd, head);
		answer = raw_read_until(fd, "\r\n\r\n");
		refused = strstr(answer, "HTTP/1.1 503 ");
		free(answer);
		close(fd);
	}
	assert_true(refused);
}

static void expect_status(const char *request, int status)
{
	char want[32], *answer = raw_talk(request);

	snprintf(want, sizeof(want), "HTTP/1.1 %d ", status);
	if (strncmp(answer, want, strlen(want)) != 0)
		fail_msg("%d expected for \"%.200s\", got: %.300s", status, request, answer);
	assert_non_null(strstr(answer, "Connection: close\r\n"));
	assert_null(strstr(answer, "HTTP/1.1 200")); /* nothing behind it was taken for a request */
	free(answer);
}

/* --- requests that are right --- */

static void test_get(void **state)
{
	char *a = raw_talk("GET /echo%20x?a=1&b HTTP/1.1\r\n" H "Connection: close\r\n\r\n");

	assert_memory_equal(a, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(a, "Content-Type: text/plain\r\n"));
	assert_non_null(strstr(a, "\r\nDate: "));
	expect_text(a, "\r\n\r\nGET /echo%20x ?a=1&b 0:");
}

static void test_bodies(void **state)
{
	expect_text(raw_talk("POST /echo HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 5\r\n\r\nhello"),
		    "5:hello");
	expect_text(raw_talk("POST /echo HTTP/1.1\r\n" H "Connection: close\r\nTransfer-Encoding: Chunked\r\n\r\n"
			     "3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"),
		    "5:hello");
	expect_text(raw_talk("POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"), "5:hello");
}

static void test_http10(void **state)
{
	int fd;

	expect_text(raw_talk("GET /echo HTTP/1.0\r\n\r\n"), "Connection: close\r\n");
	/* No chunks towards a client that does not know them: the end of the connection ends it. */
	char *a = raw_talk("GET /stream HTTP/1.0\r\n\r\n");
	assert_null(strstr(a, "chunked"));
	free(a);
	fd = raw_connect();
	raw_send(fd, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	expect_text(raw_read_until(fd, "GET /echo ? 0:"), "Connection: keep-alive\r\n");
	raw_send(fd, "GET /echo?2 HTTP/1.0\r\n\r\n");
	expect_text(raw_read_all(fd), "GET /echo ?2 0:");
	close(fd);
}

static void test_head(void **state)
{
	char *a = raw_talk("HEAD /echo HTTP/1.1\r\n" H "Connection: close\r\n\r\n");

	assert_non_null(strstr(a, "Content-Length: 15\r\n")); /* of "HEAD /echo ? 0:" */
	assert_null(strstr(a, "HEAD"));
	free(a);
	a = raw_talk("HEAD /stream HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	assert_string_equal(strstr(a, "\r\n\r\n"), "\r\n\r\n");
	free(a);
}

static void test_keep_alive(void **state)
{
	int fd = raw_connect();

	for (int i = 0; i < 100; i++) {
		char req[128], want[64];

		snprintf(req, sizeof(req), "POST /echo?%d HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", i);
		snprintf(want, sizeof(want), "POST /echo ?%d 3:abc", i);
		raw_send(fd, req);
		expect_text(raw_read_until(fd, want), "keep-alive");
	}
	close(fd);
}

static void test_byte_by_byte(void **state)
{
	const char *req = "\r\nPOST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
			  "3\r\nabc\r\n0\r\n\r\nGET /echo?2 HTTP/1.1\r\n" H "Connection: close\r\n\r\n";
	int fd = raw_connect();
	char *a;

	for (; *req; req++) {
		assert_true(raw_send_n(fd, req, 1));
		usleep(200); /* so that it travels alone; right in any case */
	}
	a = raw_read_all(fd);
	assert_non_null(strstr(a, "POST /echo ? 3:abc"));
	expect_text(a, "GET /echo ?2 0:");
	close(fd);
}

/* Order is kept although some answers come late and some at once. */
static void test_pipelining(void **state)
{
	char *a = raw_talk("GET /async HTTP/1.1\r\n" H "\r\n"
			   "GET /echo?1 HTTP/1.1\r\n" H "\r\n"
			   "POST /echo?2 HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
			   "GET /async HTTP/1.1\r\n" H "\r\n"
			   "GET /echo?3 HTTP/1.1\r\n" H "Connection: close\r\n\r\n"
			   "GET /echo?4 HTTP/1.1\r\n" H "\r\n"); /* behind close: never served */
	const char *want[] = {"late\n", "GET /echo ?1 0:", "POST /echo ?2 3:abc", "late\n", "GET /echo ?3 0:"};
	const char *p = a;

	for (size_t i = 0; i < STK_ARRAY_LEN(want); i++) {
		p = strstr(p, want[i]);
		assert_non_null(p);
		p++;
	}
	assert_null(strstr(a, "?4"));
	free(a);
	assert_int_equal(fixture_counts.requests, 5);
}

/* Thousands of requests sent at once: reading stops, memory stays bounded, all are answered. */
static void test_deep_pipelining(void **state)
{
	static const char one[] = "GET /echo HTTP/1.1\r\n" H "\r\n";
	size_t len = sizeof(one) - 1, count = 20000, seen = 0;
	char *all = malloc(len * count), tail[32] = "", buf[65536];
	int fd = raw_connect();

	for (size_t i = 0; i < count; i++)
		memcpy(all + i * len, one, len);
	for (size_t sent = 0; seen < count;) {
		ssize_t n = sent < len * count
				    ? send(fd, all + sent, len * count - sent, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

		if (n > 0)
			sent += (size_t)n;
		n = recv(fd, buf + 16, sizeof(buf) - 17, n > 0 ? MSG_DONTWAIT : 0);
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			continue;
		}
		assert_true(n > 0);
		/* Count answers, also those cut by the buffer's end. */
		size_t keep = strlen(tail);
		char *p = buf + 16 - keep;

		memcpy(p, tail, keep);
		buf[16 + n] = '\0';
		for (char *q = p; (q = strstr(q, "GET /echo ? 0:")); q += 14)
			seen++, p = q + 14;
		keep = (size_t)(buf + 16 + n - p);
		if (keep > 13)
			keep = 13;
		memcpy(tail, buf + 16 + (size_t)n - keep, keep + 1);
	}
	free(all);
	close(fd);
}

static void test_expect_continue(void **state)
{
	int fd = raw_connect();

	raw_send(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	expect_text(raw_read_until(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
	raw_send(fd, "hello");
	expect_text(raw_read_until(fd, "5:hello"), "HTTP/1.1 200 OK");
	close(fd);
	/* Refused bodies are not asked for. */
	expect_status("POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n", 413);
	expect_status("POST /early HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 403);
	expect_status("POST /echo HTTP/1.1\r\n" H "Expect: tea\r\nContent-Length: 5\r\n\r\nhello", 417);
}

static void test_upgrade_is_ignored(void **state)
{
	expect_text(raw_talk("GET /echo HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n"
			     "GET /echo?2 HTTP/1.1\r\n" H "Connection: close\r\n\r\n"),
		    "GET /echo ?2 0:");
}

static void test_headers(void **state)
{
	char *a = raw_talk("GET /headers HTTP/1.1\r\n" H "X-In: \t a, b \t\r\nConnection: close\r\n\r\n");

	assert_memory_equal(a, "HTTP/1.1 200", 12);
	assert_null(strstr(a, "Set-Cookie"));
	expect_text(a, "\r\nX-Out: a, b\r\n");
}

/* --- requests that are wrong --- */

static void test_malformed(void **state)
{
	static const struct { const char *request; int status; } table[] = {
		{"\x16\x03\x01\x02", 400}, /* TLS at the wrong door */
		{"GET /echo\r\n\r\n", 505},
		{"GET /echo HTTP/2.0\r\n" H "\r\n", 505},
		{"GET /echo HTTP/1.2\r\n" H "\r\n", 505},
		{"GET /echo RTSP/1.0\r\n" H "\r\n", 505},
		{"SOURCE /echo ICE/1.0\r\n" H "\r\n", 505},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		{"BREW /echo HTTP/1.1\r\n" H "\r\n", 501},
		{"get /echo HTTP/1.1\r\n" H "\r\n", 400},
		{"CONNECT a:1 HTTP/1.1\r\n" H "\r\n", 501},
		{"GET http://a/echo HTTP/1.1\r\n" H "\r\n", 400},
		{"GET * HTTP/1.1\r\n" H "\r\n", 400},
		{"GET echo HTTP/1.1\r\n" H "\r\n", 400},
		{"GET /a#b HTTP/1.1\r\n" H "\r\n", 400},
		{"GET /a b HTTP/1.1\r\n" H "\r\n", 400},
		{"GET /a\tb HTTP/1.1\r\n" H "\r\n", 400},
		{"GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", 400},
		{"GET /echo HTTP/1.1\r\n\r\n", 400},           /* no Host */
		{"GET /echo HTTP/1.1\r\n" H H "\r\n", 400},    /* two */
		{"GET /echo HTTP/1.1\n" H "\r\n", 400},        /* bare LF */
		{"GET /echo HTTP/1.1\r\n" H "A: b\n\r\n", 400},
		{"GET /echo HTTP/1.1\r\n" H "A: b\rContent-Length: 5\r\n\r\n", 400}, /* bare CR */
		{"GET /echo HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400},              /* folded */
		{"GET /echo HTTP/1.1\r\n A: b\r\n" H "\r\n", 400},
		{"GET /echo HTTP/1.1\r\n" H "A : b\r\n\r\n", 400},
		{"GET /echo HTTP/1.1\r\n" H ": b\r\n\r\n", 400},
		{"GET /echo HTTP/1.1\r\n" H "nocolon\r\n\r\n", 400},
		{"GET /echo HTTP/1.1\r\n" H "A(: b\r\n\r\n", 400},
		{"GET /echo HTTP/1.1\r\n" H "A: \x01\r\n\r\n", 400},
		{"GET /echo HTTP/1.1\r\n" H "A: \x7f\r\n\r\n", 400},
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(table); i++)
		expect_status(table[i].request, table[i].status);
	assert_int_equal(fixture_counts.requests, 0);
}

/* Whoever sits in front of us must see the same message boundaries as we do. */
static void test_smuggling(void **state)
{
#define P "POST /echo HTTP/1.1\r\n" H
#define TE P "Transfer-Encoding: chunked\r\n\r\n"
	static const struct { const char *request; int status; } table[] = {
		{P "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{P "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400},
		{P "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
		{P "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400},
		{P "Content-Length: 5, 5\r\n\r\nhello", 400},
		{P "Content-Length: +5\r\n\r\nhello", 400},
		{P "Content-Length: -5\r\n\r\nhello", 400},
		{P "Content-Length: 0x5\r\n\r\nhello", 400},
		{P "Content-Length: 5 5\r\n\r\nhello", 400},
		{P "Content-Length:\r\n\r\n", 400},
		{P "Content-Length : 5\r\n\r\nhello", 400},
		{P "Content-Length: 99999999999999999999999\r\n\r\n", 400},
		{P "Content-Length: 18446744073709551615\r\n\r\n", 413},
		{P "Transfer-Encoding: gzip\r\n\r\n", 400},
		{P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		{P "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400},
		{P "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
		{P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"POST /echo HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{TE "5\nhello\r\n0\r\n\r\n", 400},
		{TE "5\r\nhello\n0\r\n\r\n", 400},
		{TE "5\r\nhello!\r\n0\r\n\r\n", 400},
		{TE "0x5\r\nhello\r\n0\r\n\r\n", 400},
		{TE "-5\r\nhello\r\n0\r\n\r\n", 400},
		{TE " 5\r\nhello\r\n0\r\n\r\n", 400},
		{TE "5 \r\nhello\r\n0\r\n\r\n", 400},
		{TE "\r\nhello\r\n0\r\n\r\n", 400},
		{TE "5;a\nb\r\nhello\r\n0\r\n\r\n", 400},
		{TE "ffffffffffffffff1\r\nhello", 400},
		{TE "0\n\nGET /echo HTTP/1.1\r\n" H "\r\n", 400},
		{TE "0\r\nA: b\n\nGET /echo HTTP/1.1\r\n" H "\r\n", 400},
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(table); i++)
		expect_status(table[i].request, table[i].status);
	assert_int_equal(fixture_counts.requests, 0);
}

static char *repeat(const char *head, const char *piece, size_t count, const char *tail)
{
	size_t len = strlen(piece), at = strlen(head);
	char *text = malloc(at + len * count + strlen(tail) + 1);

	memcpy(text, head, at);
	for (size_t i = 0; i < count; i++, at += len)
		memcpy(text + at, piece, len);
	strcpy(text + at, tail);
	return text;
}

static void expect_long(char *request, int status)
{
	expect_status(request, status);
	free(request);
}

static void test_limits(void **state)
{
	char *ok = repeat("GET /", "a", 8000, " HTTP/1.1\r\n" H "Connection: close\r\n\r\n");

	expect_text(raw_talk(ok), "HTTP/1.1 200");
	free(ok);
	expect_long(repeat("GET /", "a", 9000, " HTTP/1.1\r\n" H "\r\n"), 414);
	expect_long(repeat("GET / HTTP/1.1\r\n" H "A: ", "a", 9000, "\r\n\r\n"), 431);
	expect_long(repeat("GET / HTTP/1.1\r\n" H, "A: b\r\n", 20, "\r\n"), 431);
	expect_long(repeat("GET / HTTP/1.1\r\n" H, "A: b\r\n", 5000, "\r\n"), 431);
	expect_long(repeat("POST /echo HTTP/1.1\r\n" H "Content-Length: 100001\r\n\r\n", "x", 100001, ""), 413);
	expect_long(repeat("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", "a\r\n0123456789\r\n",
			   10001, "0\r\n\r\n"), 413);
	expect_status("POST /limit HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\n01234567890", 413);
	expect_text(raw_talk("POST /limit HTTP/1.1\r\n" H "Content-Length: 10\r\nConnection: close\r\n\r\n0123456789"),
		    "10:0123456789");
	/* Endless chunk extensions and trailers carry nothing: bounded as well. */
	expect_long(repeat("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;", "a", 100000,
			   "\r\nx\r\n0\r\n\r\n"), 400);
	expect_long(repeat("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", 20000,
			   "\r\n"), 400);
	/* Each of them had its headers accepted: the handler was told that the request is over. */
	assert_int_equal(fixture_counts.closes, 5);
	/* The largest body that is allowed. */
	ok = repeat("POST /echo HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 100000\r\n\r\n", "x", 100000, "");
	expect_text(raw_talk(ok), "100000:xxx");
	free(ok);
}

/* The answer arrives although the client was still sending a large body. */
static void test_early_answer(void **state)
{
	int fd = raw_connect();
	char *a, *big = repeat("POST /early HTTP/1.1\r\n" H "Content-Length: 800000\r\n\r\n", "x", 800000, "");

	raw_send_n(fd, big, strlen(big));
	a = raw_read_all(fd);
	assert_memory_equal(a, "HTTP/1.1 403", 12);
	expect_text(a, "Connection: close\r\n");
	free(big);
	close(fd);
	/* A small rest is skipped and the connection lives on. */
	fd = raw_connect();
	raw_send(fd, "POST /early HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n");
	expect_text(raw_read_until(fd, "no\n"), "keep-alive");
	raw_send(fd, "0123456789GET /echo HTTP/1.1\r\n" H "\r\n");
	expect_text(raw_read_until(fd, "GET /echo ? 0:"), "HTTP/1.1 200");
	close(fd);
}

/* --- streams --- */

static void test_stream_out(void **state)
{
	char *a = raw_talk("GET /stream HTTP/1.1\r\n" H "Connection: close\r\n\r\n");

	assert_non_null(strstr(a, "Transfer-Encoding: chunked\r\n"));
	free(a);
}

/* A client that reads slowly holds the handler back, and gets everything. */
static void test_back_pressure(void **state)
{
	static char buf[1 << 20];
	int fd = raw_connect(), small = 65536;
	size_t total = 0;
	char last[8] = "";

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	raw_send(fd, "GET /stream HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	for (uint64_t end = stk_now_ns() + 10 * STK_NS_PER_S; !fixture_counts.sunk_max;) {
		assert_true(stk_now_ns() < end); /* the handler must be held back */
		usleep(1000);
	}
	for (;;) {
		ssize_t n = read(fd, buf, 100000);

		assert_true(n >= 0);
		if (n == 0)
			break;
		total += (size_t)n;
		if (n >= 5)
			memcpy(last, buf + n - 5, 5);
	}
	assert_true(total > FIXTURE_STREAM_TOTAL);
	assert_memory_equal(last, "0\r\n\r\n", 5);
	assert_true(fixture_counts.drains > 0);
	assert_true(fixture_counts.sunk_max < 20000); /* one block waiting, not megabytes */
	close(fd);
}

static void test_big_answer(void **state)
{
	int fd = raw_connect();
	static char buf[1 << 20];
	size_t total = 0;
	ssize_t n;

	raw_send(fd, "GET /big HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		total += (size_t)n;
	assert_int_equal(n, 0);
	assert_true(total > FIXTURE_STREAM_TOTAL && total < FIXTURE_STREAM_TOTAL + 500);
	close(fd);
}

static void test_stream_in(void **state)
{
	char *big = repeat("POST /sink HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 3000000\r\n\r\n", "x",
			   3000000, "");

	expect_text(raw_talk(big), "\r\n\r\n3000000\n");
	free(big);
	big = repeat("POST /pause HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 1000000\r\n\r\n", "x", 1000000, "");
	expect_text(raw_talk(big), "\r\n\r\n1000000\n");
	free(big);
}

static void test_sink_fails(void **state)
{
	expect_long(repeat("POST /sinkfail HTTP/1.1\r\n" H "Content-Length: 2000\r\n\r\n", "x", 2000, ""), 507);
	assert_int_equal(fixture_counts.closes, 1);
	assert_int_equal(fixture_counts.requests, 0);
}

static void test_duplex(void **state)
{
	int fd = raw_connect();

	raw_send(fd, "POST /duplex HTTP/1.1\r\n" H "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n");
	expect_text(raw_read_until(fd, "ping\r\n"), "4\r\nping\r\n"); /* before the request has ended */
	raw_send(fd, "4\r\npong\r\n0\r\n\r\n");
	expect_text(raw_read_all(fd), "4\r\npong\r\n0\r\n\r\n");
	close(fd);
}

/* --- clients that go, stall, or are too many --- */

static void test_client_leaves(void **state)
{
	int fd = raw_connect();

	raw_send(fd, "GET /hold HTTP/1.1\r\n" H "\r\n");
	wait_for(&fixture_counts.requests, 1);
	close(fd);
	wait_for(&fixture_counts.closes, 1);
	/* In the middle of a body, of a stream, of the headers. */
	fd = raw_connect();
	raw_send(fd, "POST /sink HTTP/1.1\r\n" H "Content-Length: 100\r\n\r\nabc");
	while (fixture_counts.sunk < 3)
		usleep(1000);
	close(fd);
	wait_for(&fixture_counts.closes, 2);
	fd = raw_connect();
	raw_send(fd, "GET /stream HTTP/1.1\r\n" H "\r\n");
	free(raw_read_until(fd, "HTTP/1.1 200"));
	close(fd); /* with unread data: a reset */
	wait_for(&fixture_counts.closes, 3);
	fd = raw_connect();
	raw_send(fd, "GET /hold HTTP/1.1\r\n" H);
	close(fd);
	expect_text(raw_talk("GET /echo HTTP/1.1\r\n" H "Connection: close\r\n\r\n"), "200 OK");
	assert_int_equal(fixture_counts.closes, 3);
}

/* Leaving behind a pipelined request is noticed as well. */
static void test_pipelining_client_leaves(void **state)
{
	int fd = raw_connect();

	raw_send(fd, "GET /hold HTTP/1.1\r\n" H "\r\nGET /echo HTTP/1.1\r\n" H "\r\n");
	wait_for(&fixture_counts.requests, 1);
	close(fd);
	wait_for(&fixture_counts.closes, 1);
}

/* A tap sees the whole body and ends once with its request, whichever way that ends. */
static void test_tap(void **state)
{
	char *a = raw_talk("POST /tap HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
			   "POST /tapsink HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
			   "GET /tap HTTP/1.1\r\n" H "\r\n"
			   "GET /echo HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	int fd;

	assert_non_null(strstr(a, "me saw 294\n"));
	assert_non_null(strstr(strstr(a, "me saw 294\n") + 1, "me saw 294\n"));
	assert_non_null(strstr(a, "me saw 0\n"));
	free(a);
	wait_for(&fixture_counts.taps, 3);
	expect_status("POST /tapearly HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 3\r\n\r\nabc", 403);
	wait_for(&fixture_counts.taps, 4);
	expect_status("POST /tap HTTP/1.1\r\n" H "Content-Length: 200000\r\n\r\nabc", 413);
	wait_for(&fixture_counts.taps, 5);
	fd = raw_connect();
	raw_send(fd, "POST /tap HTTP/1.1\r\n" H "Content-Length: 30\r\n\r\nabc");
	close(fd);
	wait_for(&fixture_counts.taps, 6);
}

static char *post_head(size_t len, const char *more)
{
	char *text;

	assert_true(asprintf(&text, "POST /echo HTTP/1.1\r\n" H "%sContent-Length: %zu\r\n\r\n", more, len) > 0);
	return text;
}

/* Three bodies fit, more do not, until one of them is done; small ones always do. */
static void test_bodies_share_memory(void **state)
{
	static const char block[150000];
	char *head = post_head(sizeof(block), ""), *asking = post_head(sizeof(block), "Expect: 100-continue\r\n"), *chunked;
	int fd[3];

	for (unsigned i = 0; i < 3; i++) {
		fd[i] = raw_connect();
		raw_send(fd[i], head);
		assert_true(raw_send_n(fd[i], block, sizeof(block) - 1));
	}
	expect_refused(asking);
	expect_text(raw_talk("POST /echo HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 5\r\n\r\nhello"), "5:hello");
	/* Without a length it turns out later. */
	assert_true(asprintf(&chunked, "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n%x\r\n%0100000d\r\n",
			     100000, 0) > 0);
	expect_refused(chunked);
	free(chunked);
	free(asking);
	assert_true(raw_send_n(fd[0], block, 1));
	free(raw_read_until(fd[0], "150000:"));
	close(fd[0]);
	wait_for_connections(2); /* those that were refused have gone, too */
	fd[0] = raw_connect();
	raw_send(fd[0], head);
	assert_true(raw_send_n(fd[0], block, sizeof(block)));
	free(raw_read_until(fd[0], "150000:"));
	for (unsigned i = 0; i < 3; i++)
		close(fd[i]);
	free(head);
}

static void test_slow_clients(void **state)
{
	int idle = raw_connect(), slow = raw_connect(), body = raw_connect();
	char *a;

	raw_send(slow, "GET / HTTP/1.1\r\n");
	raw_send(body, "POST /echo HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
	a = raw_read_all(idle);
	assert_string_equal(a, ""); /* closed without a word */
	free(a);
	expect_text(raw_read_all(slow), "HTTP/1.1 408 Request Timeout\r\n");
	expect_text(raw_read_all(body), "HTTP/1.1 408 Request Timeout\r\n");
	assert_int_equal(fixture_counts.requests, 0);
	close(idle);
	close(slow);
	close(body);
}

/* Dribbling header bytes does not prolong the time for headers. */
static void test_dribbling_headers(void **state)
{
	int fd = raw_connect();
	uint64_t start = stk_now_ns();

	raw_send(fd, "GET / HTTP/1.1\r\n");
	while (raw_send_n(fd, "a", 1) && stk_now_ns() - start < 5 * STK_NS_PER_S) {
		char c;

		if (recv(fd, &c, 1, MSG_DONTWAIT) > 0)
			break;
		usleep(20000);
	}
	assert_true(stk_now_ns() - start < 3 * STK_NS_PER_S);
	close(fd);
}

/* A handler may take longer than any of the client's time limits. */
static void test_slow_handler_is_no_timeout(void **state)
{
	int fd = raw_connect();

	raw_send(fd, "GET /hold HTTP/1.1\r\n" H "\r\n");
	wait_for(&fixture_counts.requests, 1);
	usleep(500000); /* more than three times the limits */
	assert_int_equal(fixture_counts.closes, 0);
	close(fd);
	wait_for(&fixture_counts.closes, 1);
}

static void test_stalled_reader(void **state)
{
	int fd = raw_connect(), fd2 = raw_connect(), small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(fd2, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	raw_send(fd, "GET /stream HTTP/1.1\r\n" H "\r\n");
	raw_send(fd2, "GET /big HTTP/1.1\r\n" H "\r\n");
	wait_for(&fixture_counts.closes, 1); /* the stream's handler; the big one had ended already */
	uint64_t end = stk_now_ns() + 5 * STK_NS_PER_S;
	while (fixture_connections() > 0 && stk_now_ns() < end)
		usleep(5000);
	assert_int_equal(fixture_connections(), 0);
	close(fd);
	close(fd2);
}

static void test_too_many_connections(void **state)
{
	int a = raw_connect(), b = raw_connect(), c;
	uint64_t end = stk_now_ns() + 10 * STK_NS_PER_S;

	while (fixture_connections() < 2 && stk_now_ns() < end)
		usleep(1000);
	c = raw_connect();
	expect_text(raw_read_all(c), "HTTP/1.1 503 Service Unavailable\r\n");
	close(c);
	close(a);
	while (fixture_connections() > 1 && stk_now_ns() < end)
		usleep(1000);
	expect_text(raw_talk("GET /echo HTTP/1.1\r\n" H "Connection: close\r\n\r\n"), "200 OK");
	close(b);
}

/* --- the server's end --- */

static void test_close_lets_answers_finish(void **state)
{
	int busy = raw_connect(), idle = raw_connect();
	char *a;

	raw_send(busy, "GET /async HTTP/1.1\r\n" H "\r\n");
	wait_for(&fixture_counts.requests, 1);
	fixture_begin_close(5000);
	a = raw_read_all(idle);
	assert_string_equal(a, "");
	free(a);
	a = raw_read_all(busy);
	assert_non_null(strstr(a, "Connection: close\r\n"));
	expect_text(a, "late\n");
	close(busy);
	close(idle);
}

static void test_close_has_a_limit(void **state)
{
	int fd = raw_connect();
	char *a;

	raw_send(fd, "GET /hold HTTP/1.1\r\n" H "\r\n");
	wait_for(&fixture_counts.requests, 1);
	fixture_begin_close(50);
	a = raw_read_all(fd);
	assert_string_equal(a, "");
	free(a);
	assert_int_equal(fixture_counts.closes, 1);
	close(fd);
}

static void test_unix_socket(void **state)
{
	char dir[] = "/tmp/stk-test-http-XXXXXX", path[64], longpath[200];
	static const struct http_callbacks cb = {.on_request = (void (*)(void *, struct http_req *))abort};
	struct http_limits l = small_limits();
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct http_server *s;
	struct stk_err err = {0};
	struct stat st;
	uv_loop_t loop;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	strcpy(addr.sun_path, path);
	/* A socket file without a server behind it is replaced. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	fixture_start(&l, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	raw_send(fd, "GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n"); /* no Host needed here */
	expect_text(raw_read_all(fd), "GET /echo ? 0:");
	close(fd);
	/* A living server's socket is not; nor is a file that is no socket. */
	uv_loop_init(&loop);
	assert_int_equal(http_server_new(&loop, &l, &cb, NULL, &s), 0);
	assert_int_equal(http_server_listen_unix(s, path, &err), -EADDRINUSE);
	assert_int_equal(http_server_listen_unix(s, "/etc/passwd", &err), -EEXIST);
	memset(longpath, 'p', sizeof(longpath) - 1);
	longpath[sizeof(longpath) - 1] = '\0';
	assert_int_equal(http_server_listen_unix(s, longpath, &err), -ENAMETOOLONG);
	assert_int_equal(http_server_listen_tcp(s, "127.0.0.1", fixture_port(), NULL, &err), -EADDRINUSE);
	assert_int_equal(http_server_listen_tcp(s, "nonsense", 1, NULL, &err), -EINVAL);
	assert_int_equal(http_server_listen_tcp(s, "127.0.0.1", 65536, NULL, &err), -EINVAL);
	http_server_close(s, 0, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	fixture_stop();
	assert_int_equal(stat(path, &st), -1); /* taken away at the end */
	assert_int_equal(rmdir(dir), 0);
}

/* --- helpers --- */

static void test_url_decode(void **state)
{
	char out[16];

	assert_int_equal(http_url_decode("a%20b+c%2F", 10, false, out, sizeof(out)), 0);
	assert_string_equal(out, "a b+c/");
	assert_int_equal(http_url_decode("a+b", 3, true, out, sizeof(out)), 0);
	assert_string_equal(out, "a b");
	assert_int_equal(http_url_decode("%", 1, false, out, sizeof(out)), -EINVAL);
	assert_int_equal(http_url_decode("%2", 2, false, out, sizeof(out)), -EINVAL);
	assert_int_equal(http_url_decode("%zz", 3, false, out, sizeof(out)), -EINVAL);
	assert_int_equal(http_url_decode("%00", 3, false, out, sizeof(out)), -EINVAL);
	assert_int_equal(http_url_decode("0123456789abcdef", 16, false, out, sizeof(out)), -ENAMETOOLONG);
	assert_int_equal(http_url_decode("0123456789abcde", 15, false, out, sizeof(out)), 0);
	assert_int_equal(http_url_decode("", 0, false, out, 0), -ENAMETOOLONG);
}

static void test_query(void **state)
{
	const char *q = "&a=1&&b&c=x%3Dy=z&d=%zz&e=last";
	char k[8], v[8];

	assert_int_equal(http_query_next(&q, k, sizeof(k), v, sizeof(v)), 1);
	assert_string_equal(k, "a");
	assert_string_equal(v, "1");
	assert_int_equal(http_query_next(&q, k, sizeof(k), v, sizeof(v)), 1);
	assert_string_equal(k, "b");
	assert_string_equal(v, "");
	assert_int_equal(http_query_next(&q, k, sizeof(k), v, sizeof(v)), 1);
	assert_string_equal(v, "x=y=z");
	assert_int_equal(http_query_next(&q, k, sizeof(k), v, sizeof(v)), -EINVAL);
	assert_int_equal(http_query_next(&q, k, sizeof(k), v, sizeof(v)), 1); /* goes on behind it */
	assert_string_equal(v, "last");
	assert_int_equal(http_query_next(&q, k, sizeof(k), v, sizeof(v)), 0);
	assert_int_equal(http_query_next(&q, k, sizeof(k), v, sizeof(v)), 0);
}

/* What the kernel has taken of an answer hides for long that the client goes on reading: it is not cut off for that. */
static void test_slow_reader_is_no_stalled_one(void **state)
{
	static char buf[1 << 20];
	int fd = raw_connect(), small = 65536;
	uint64_t end = stk_now_ns() + 3 * STK_NS_PER_S;
	size_t total = 0;
	ssize_t n = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	raw_send(fd, "GET /big HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	while (n > 0 && stk_now_ns() < end) {
		n = read(fd, buf, 4096);
		total += n > 0 ? (size_t)n : 0;
		usleep(20000);
	}
	assert_true(n > 0 && total < FIXTURE_STREAM_TOTAL / 8);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		total += (size_t)n;
	assert_int_equal(n, 0);
	assert_true(total > FIXTURE_STREAM_TOTAL);
	close(fd);
}

#define SERVED(f)    cmocka_unit_test_setup_teardown(f, setup, teardown)
#define IMPATIENT(f) cmocka_unit_test_setup_teardown(f, setup_impatient, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_get),
		SERVED(test_bodies),
		SERVED(test_http10),
		SERVED(test_head),
		SERVED(test_keep_alive),
		SERVED(test_byte_by_byte),
		SERVED(test_pipelining),
		SERVED(test_deep_pipelining),
		SERVED(test_expect_continue),
		SERVED(test_upgrade_is_ignored),
		SERVED(test_headers),
		SERVED(test_malformed),
		SERVED(test_smuggling),
		SERVED(test_limits),
		SERVED(test_early_answer),
		SERVED(test_stream_out),
		SERVED(test_back_pressure),
		SERVED(test_big_answer),
		SERVED(test_stream_in),
		SERVED(test_sink_fails),
		SERVED(test_duplex),
		SERVED(test_client_leaves),
		SERVED(test_pipelining_client_leaves),
		IMPATIENT(test_slow_clients),
		IMPATIENT(test_dribbling_headers),
		IMPATIENT(test_slow_handler_is_no_timeout),
		IMPATIENT(test_stalled_reader),
		cmocka_unit_test_setup_teardown(test_slow_reader_is_no_stalled_one, setup_patient_with_readers, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_connections, setup_two_connections, teardown),
		cmocka_unit_test_setup_teardown(test_bodies_share_memory, setup_little_memory, teardown),
		SERVED(test_tap),
		SERVED(test_close_lets_answers_finish),
		SERVED(test_close_has_a_limit),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_url_decode),
		cmocka_unit_test(test_query),
	};

	uv_loop_t warm; /* libuv's own descriptors are made once and stay */

	unit_time_limit(240);
	uv_loop_init(&warm);
	uv_loop_close(&warm);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
