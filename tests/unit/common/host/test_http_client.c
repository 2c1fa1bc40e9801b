/* The HTTP client against our own server, and against one that sends what it is told to. */
#include "common/host/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "tests/unit/common/host/server_fixture.h"
#include "tests/unit/unit.h"

static struct stk_err err;
static unsigned fds_before;

/* --- against the real server --- */

static char target[64];

static int setup(void **state)
{
	struct http_limits l;

	fds_before = unit_count_fds();
	http_limits_default(&l);
	l.idle_timeout_ms = 100;
	l.max_body_bytes = 1000000;
	fixture_start(&l, NULL);
	snprintf(target, sizeof(target), "http://127.0.0.1:%u/", fixture_port());
	return 0;
}

static int teardown(void **state)
{
	fixture_stop();
	assert_int_equal(unit_count_fds(), fds_before);
	return 0;
}

static void expect(struct http_client *c, const char *method, const char *path, const char *body, int status,
		   const char *answer)
{
	struct http_client_resp r;

	if (http_client_request(c, method, path, NULL, body, strlen(body), 1u << 20, &r, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(r.status, status);
	assert_string_equal((const char *)r.body, answer);
	http_client_resp_fini(&r);
}

static void test_requests(void **state)
{
	struct http_client *c;
	struct http_client_resp r;
	char value[64];

	assert_int_equal(http_client_connect(target, 5000, &c, &err), 0);
	expect(c, "GET", "/echo?a=b", "", 200, "GET /echo ?a=b 0:");
	expect(c, "POST", "/echo", "hello", 200, "POST /echo ? 5:hello");
	expect(c, "PUT", "/echo", "", 200, "PUT /echo ? 0:");
	expect(c, "HEAD", "/echo", "", 200, "");
	expect(c, "GET", "/async", "", 200, "late\n");
	assert_int_equal(http_client_request(c, "GET", "/headers", "X-In: abc\r\n", NULL, 0, 100, &r, &err), 0);
	assert_int_equal(http_client_header(&r, "x-out", value, sizeof(value)), 0);
	assert_string_equal(value, "abc");
	assert_int_equal(http_client_header(&r, "x-absent", value, sizeof(value)), -ENOENT);
	assert_int_equal(http_client_header(&r, "x-out", value, 3), -ENAMETOOLONG);
	http_client_resp_fini(&r);
	http_client_free(c);
}

static void test_chunked_and_bounds(void **state)
{
	struct http_client *c;
	struct http_client_resp r;

	assert_int_equal(http_client_connect(target, 5000, &c, &err), 0);
	assert_int_equal(http_client_request(c, "GET", "/stream", NULL, NULL, 0, FIXTURE_STREAM_TOTAL, &r, &err), 0);
	assert_int_equal(r.body_len, FIXTURE_STREAM_TOTAL);
	http_client_resp_fini(&r);
	assert_int_equal(http_client_request(c, "GET", "/stream", NULL, NULL, 0, FIXTURE_STREAM_TOTAL - 1, &r, &err),
			 -EMSGSIZE);
	expect(c, "GET", "/echo", "", 200, "GET /echo ? 0:"); /* a new connection, quietly */
	http_client_free(c);
}

/* The server's refusal is read although the body could not be sent to its end. */
static void test_refused_body(void **state)
{
	size_t len = 8u << 20;
	char *big = calloc(1, len);
	struct http_client *c;
	struct http_client_resp r;

	assert_int_equal(http_client_connect(target, 5000, &c, &err), 0);
	assert_int_equal(http_client_request(c, "POST", "/echo", NULL, big, len, 1000, &r, &err), 0);
	assert_int_equal(r.status, 413);
	http_client_resp_fini(&r);
	http_client_free(c);
	free(big);
}

static void test_idle_close(void **state)
{
	uint64_t end = stk_now_ns() + 10 * STK_NS_PER_S;
	struct http_client *c;

	assert_int_equal(http_client_connect(target, 5000, &c, &err), 0);
	expect(c, "POST", "/echo", "1", 200, "POST /echo ? 1:1");
	while (fixture_connections() > 0 && stk_now_ns() < end)
		usleep(5000);
	expect(c, "POST", "/echo", "2", 200, "POST /echo ? 1:2");
	http_client_free(c);
	assert_int_equal(fixture_counts.requests, 2);
}

static void test_timeout(void **state)
{
	struct http_client *c;
	struct http_client_resp r;
	uint64_t start = stk_now_ns();

	assert_int_equal(http_client_connect(target, 100, &c, &err), 0);
	assert_int_equal(http_client_request(c, "GET", "/hold", NULL, NULL, 0, 100, &r, &err), -ETIMEDOUT);
	assert_true(stk_now_ns() - start < 5 * STK_NS_PER_S);
	http_client_free(c);
}

static void test_bad_arguments(void **state)
{
	static const char *const bad[] = {"", "http://", "unix:", "host:0x50", "host:", "host:123456",
					  "http://h:80/path", "u@h:80", "a b:80"};
	struct http_client *c = NULL;
	struct http_client_resp r;

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		if (http_client_connect(bad[i], 100, &c, &err) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	}
	assert_int_equal(http_client_connect("127.0.0.1:1", 1000, &c, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, "127.0.0.1:1"));
	assert_int_equal(http_client_connect("unix:/no/such/socket", 1000, &c, &err), -ENOENT);
	assert_int_equal(http_client_connect(target, 1000, &c, &err), 0);
	assert_int_equal(http_client_request(c, "GET", "/a b", NULL, NULL, 0, 9, &r, &err), -EINVAL);
	assert_int_equal(http_client_request(c, "GET", "a", NULL, NULL, 0, 9, &r, &err), -EINVAL);
	assert_int_equal(http_client_request(c, "G ET", "/", NULL, NULL, 0, 9, &r, &err), -EINVAL);
	http_client_free(c);
	http_client_free(NULL);
}

/* --- against a server that says what the test wants --- */

static int listen_fd;
static const char *script;

static void *scripted(void *arg)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	char buf[4096];

	if (fd >= 0 && read(fd, buf, sizeof(buf)) > 0 && write(fd, script, strlen(script)) < 0)
		perror("write");
	close(fd);
	return NULL;
}

/* A server for one connection, and a client of it. */
static struct http_client *start_server(void *(*serve)(void *arg), unsigned timeout_ms, pthread_t *ret_thread)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	struct http_client *c = NULL;
	char where[64];

	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listen_fd, 4), 0);
	getsockname(listen_fd, (struct sockaddr *)&a, &len);
	snprintf(where, sizeof(where), "127.0.0.1:%u", ntohs(a.sin_port));
	pthread_create(ret_thread, NULL, serve, NULL);
	assert_int_equal(http_client_connect(where, timeout_ms, &c, &err), 0);
	return c;
}

static struct http_client *start_script(const char *answer, unsigned timeout_ms, pthread_t *ret_thread)
{
	script = answer;
	return start_server(scripted, timeout_ms, ret_thread);
}

static void end_script(struct http_client *c, pthread_t t)
{
	http_client_free(c);
	pthread_join(t, NULL);
	close(listen_fd);
}

static int ask(const char *answer, struct http_client_resp *ret_resp)
{
	pthread_t t;
	struct http_client *c = start_script(answer, 5000, &t);
	int r = http_client_request(c, "GET", "/", NULL, NULL, 0, 100, ret_resp, &err);

	end_script(c, t);
	return r;
}

static void test_odd_servers(void **state)
{
	struct http_client_resp r;
	char value[16];

	assert_int_equal(ask("HTTP/1.1 200 OK\r\n\r\nuntil the end", &r), 0);
	assert_string_equal((char *)r.body, "until the end");
	http_client_resp_fini(&r);
	assert_int_equal(ask("HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\nHTTP/1.1 204 No Content\r\nX-B:  2 \r\n\r\n", &r), 0);
	assert_int_equal(r.status, 204);
	assert_int_equal(http_client_header(&r, "x-a", value, sizeof(value)), -ENOENT);
	assert_int_equal(http_client_header(&r, "x-b", value, sizeof(value)), 0);
	assert_string_equal(value, "2");
	http_client_resp_fini(&r);
	assert_int_equal(ask("", &r), -ECONNRESET);
	assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", &r), -ECONNRESET);
	assert_non_null(strstr(err.text, "in the middle"));
	assert_int_equal(ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", &r), -ECONNRESET);
	assert_int_equal(ask("SSH-2.0-OpenSSH_9.2\r\n", &r), -EPROTO);
	assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n"
			     "0123456789012345678901234567890123456789012345678901234567890123456789"
			     "0123456789012345678901234567890", &r), -EMSGSIZE);
	assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", &r), -EPROTO);
}

/* --- answers that are followed --- */

struct heard {
	char text[256];
	int rc; /* of the sink */
};

static int hear(void *ctx, const void *data, size_t len)
{
	struct heard *h = ctx;

	strncat(h->text, data, len);
	return h->rc;
}

static int follow(const char *answer, struct heard *h, struct http_client_resp *ret_resp)
{
	struct http_client *c = NULL;
	pthread_t t;
	int r;

	*h = (struct heard){.rc = h->rc};
	c = start_script(answer, 300, &t);
	r = http_client_follow(c, "/", "X-A: 1\r\n", 100, hear, h, ret_resp, &err);
	end_script(c, t);
	return r;
}

static void test_follow(void **state)
{
	struct http_client_resp r;
	struct heard h = {.rc = 0};

	assert_int_equal(follow("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", &h, &r), 0);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body_len, 0);
	assert_string_equal(h.text, "onetwo");
	http_client_resp_fini(&r);
	/* Other answers are told as ever. */
	assert_int_equal(follow("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", &h, &r), 0);
	assert_int_equal(r.status, 404);
	assert_string_equal((char *)r.body, "no");
	assert_string_equal(h.text, "");
	http_client_resp_fini(&r);
	/* Half of one has been passed on. */
	assert_int_equal(follow("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", &h, &r), -ECONNRESET);
	assert_string_equal(h.text, "hel");
	h.rc = -ENOSPC;
	assert_int_equal(follow("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", &h, &r), -ENOSPC);
	assert_non_null(strstr(err.text, "passed on"));
}

static void *pausing(void *arg)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	char buf[4096];

	if (fd >= 0 && read(fd, buf, sizeof(buf)) > 0 && send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL) > 0) {
		usleep(900000); /* three times what a client's wait may last */
		send(fd, "late", 4, MSG_NOSIGNAL);
	}
	close(fd);
	return NULL;
}

static void test_follow_waits(void **state)
{
	struct http_client_resp r;
	struct heard h = {.rc = 0};
	struct http_client *c;
	pthread_t t;

	c = start_server(pausing, 300, &t);
	assert_int_equal(http_client_follow(c, "/", NULL, 100, hear, &h, &r, &err), 0);
	assert_string_equal(h.text, "late");
	http_client_resp_fini(&r);
	end_script(c, t);
	c = start_server(pausing, 300, &t);
	assert_int_equal(http_client_request(c, "GET", "/", NULL, NULL, 0, 100, &r, &err), -ETIMEDOUT);
	end_script(c, t);
}

/* --- limits that hold whatever the server does, and streams --- */

static void *dripping(void *arg)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	char buf[4096];

	if (fd >= 0 && read(fd, buf, sizeof(buf)) > 0 && send(fd, "HTTP/1.1 200 OK\r\nX: ", 20, 0) > 0) {
		while (send(fd, "y", 1, MSG_NOSIGNAL) == 1)
			usleep(2000);
	}
	close(fd);
	return NULL;
}

static void test_total_limit(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	struct http_client_resp r;
	struct http_client *c;
	char where[64];
	pthread_t t;

	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listen_fd, 4), 0);
	getsockname(listen_fd, (struct sockaddr *)&a, &len);
	snprintf(where, sizeof(where), "127.0.0.1:%u", ntohs(a.sin_port));
	pthread_create(&t, NULL, dripping, NULL);
	assert_int_equal(http_client_connect(where, 60000, &c, &err), 0);
	http_client_limit(c, 200);
	assert_int_equal(http_client_request(c, "GET", "/", NULL, NULL, 0, 100, &r, &err), -ETIMEDOUT);
	http_client_free(c);
	pthread_join(t, NULL);
	close(listen_fd);
}

static char streamed[256];

static ssize_t stream_read(void *ctx, void *buf, size_t len)
{
	const char **text = ctx;
	size_t n = strlen(*text) < 7 ? strlen(*text) : 7;

	memcpy(buf, *text, n);
	*text += n;
	return (ssize_t)n;
}

static ssize_t stream_write(void *ctx, const void *buf, size_t len)
{
	size_t n = len < 5 ? len : 5;

	strncat(streamed, buf, n);
	return (ssize_t)n;
}

static void test_stream(void **state)
{
	const char *text = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
	struct http_client_stream s = {&text, stream_read, stream_write};
	struct http_client_resp r;
	struct http_client *c;

	assert_int_equal(http_client_connect(target, 5000, &c, &err), 0);
	http_client_set_stream(c, &s);
	assert_int_equal(http_client_request(c, "POST", "/x", "A: b\r\n", "body", 4, 100, &r, &err), 0);
	assert_int_equal(r.status, 201);
	assert_string_equal((char *)r.body, "ok");
	assert_non_null(strstr(streamed, "POST /x HTTP/1.1\r\n"));
	assert_non_null(strstr(streamed, "A: b\r\n\r\nbody"));
	http_client_resp_fini(&r);
	/* the end of the stream is the end: nothing goes over the socket in clear text */
	assert_int_equal(http_client_request(c, "GET", "/x", NULL, NULL, 0, 100, &r, &err), -ECONNRESET);
	assert_int_equal(http_client_request(c, "GET", "/x", NULL, NULL, 0, 100, &r, &err), -ECONNRESET);
	assert_int_equal(fixture_counts.requests, 0);
	http_client_free(c);
}

#define SERVED(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_requests),	   SERVED(test_chunked_and_bounds), SERVED(test_refused_body),
		SERVED(test_idle_close),   SERVED(test_timeout),	    SERVED(test_bad_arguments),
		cmocka_unit_test(test_odd_servers), cmocka_unit_test(test_follow),
		cmocka_unit_test(test_follow_waits), cmocka_unit_test(test_total_limit), SERVED(test_stream),
	};
	uv_loop_t warm; /* libuv's own descriptors are made once and stay */

	unit_time_limit(120);
	uv_loop_init(&warm);
	uv_loop_close(&warm);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
