/* See server_fixture.h. */
#include "tests/unit/common/host/server_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "tests/unit/unit.h"

struct fixture_counts fixture_counts;

static uv_loop_t loop;
static uv_async_t async;
static uv_sem_t ready, answered;
static pthread_t thread;
static struct http_server *server;
static unsigned port;
static atomic_int command; /* 1 = count connections, 2 = close */
static atomic_uint command_value;
static bool closing;

/* What a handler keeps for its request. */
struct job {
	struct http_req *req;
	uv_timer_t timer;
	size_t sunk, left;
	bool gone;
};

static void job_free(uv_handle_t *h)
{
	free(h->data);
	fixture_counts.live--;
}

static struct job *job_new(struct http_req *req)
{
	struct job *j = calloc(1, sizeof(*j));

	j->req = req;
	uv_timer_init(&loop, &j->timer);
	j->timer.data = j;
	http_req_set_ptr(req, j);
	fixture_counts.live++;
	return j;
}

static void job_end(struct job *j)
{
	uv_close((uv_handle_t *)&j->timer, job_free);
}

static int sink(void *ptr, const uint8_t *data, size_t len)
{
	struct job *j = ptr;

	j->sunk += len;
	fixture_counts.sunk += len;
	return 0;
}

static int sink_fail(void *ptr, const uint8_t *data, size_t len)
{
	struct job *j = ptr;

	j->sunk += len;
	return j->sunk > 1000 ? -ENOSPC : 0;
}

static void resume(uv_timer_t *t)
{
	struct job *j = t->data;

	http_req_resume_body(j->req);
}

/* Takes one piece every 2 ms. */
static int sink_pause(void *ptr, const uint8_t *data, size_t len)
{
	struct job *j = ptr;

	j->sunk += len;
	http_req_pause_body(j->req);
	uv_timer_start(&j->timer, resume, 2, 0);
	return 0;
}

static int sink_duplex(void *ptr, const uint8_t *data, size_t len)
{
	struct job *j = ptr;

	http_stream_write(j->req, data, len);
	return 0;
}

static void tap(void *ctx, const uint8_t *data, size_t len)
{
	size_t *sum = ctx;

	for (size_t i = 0; i < len; i++)
		*sum += data[i];
}

static void tap_over(void *ctx)
{
	free(ctx);
	fixture_counts.taps++;
}

static void tap_new(struct http_req *req)
{
	http_req_tap_body(req, tap, tap_over, calloc(1, sizeof(size_t)));
	http_req_set_who(req, "me");
}

static void on_headers(void *ctx, struct http_req *req)
{
	const char *p = http_req_path(req);

	if (http_req_who(req) || http_req_tap(req))
		abort(); /* of the request before */
	if (strncmp(p, "/tap", 4) == 0)
		tap_new(req);
	if (strcmp(p, "/tapearly") == 0)
		http_respond(req, 403, "text/plain", "no\n", 3);
	if (strcmp(p, "/tapsink") == 0)
		job_new(req), http_req_stream_body(req, sink);
	if (strcmp(p, "/early") == 0)
		http_respond(req, 403, "text/plain", "no\n", 3);
	else if (strcmp(p, "/limit") == 0)
		http_req_set_max_body(req, 10);
	else if (strcmp(p, "/sink") == 0)
		job_new(req), http_req_set_max_body(req, SIZE_MAX), http_req_stream_body(req, sink);
	else if (strcmp(p, "/sinkfail") == 0)
		job_new(req), http_req_set_max_body(req, SIZE_MAX), http_req_stream_body(req, sink_fail);
	else if (strcmp(p, "/pause") == 0)
		job_new(req), http_req_set_max_body(req, SIZE_MAX), http_req_stream_body(req, sink_pause);
	else if (strcmp(p, "/duplex") == 0) {
		job_new(req);
		http_req_stream_body(req, sink_duplex);
		http_stream_begin(req, 200, "application/octet-stream", NULL);
	}
}

static void answer_late(uv_timer_t *t)
{
	struct job *j = t->data;

	http_respond(j->req, 200, "text/plain", "late\n", 5);
	job_end(j);
}

#define STREAM_TOTAL FIXTURE_STREAM_TOTAL

/* Writes until the client lags, then waits for the drain. */
static void pump(struct job *j)
{
	static const char block[10000];
	struct http_req *req = j->req;

	while (j->left) {
		size_t n = j->left < sizeof(block) ? j->left : sizeof(block), waiting;

		waiting = http_stream_write(req, block, n);
		j->left -= n;
		if (waiting > fixture_counts.sunk_max)
			fixture_counts.sunk_max = (unsigned)waiting;
		if (waiting > 0)
			return;
	}
	http_stream_end(req);
	job_end(j);
}

static void on_drain(void *ctx, struct http_req *req)
{
	fixture_counts.drains++;
	pump(http_req_ptr(req));
}

static void echo(struct http_req *req)
{
	size_t n;
	const uint8_t *body = http_req_body(req, &n);
	char *head;
	int k = asprintf(&head, "%s %s ?%s %zu:", http_req_method(req), http_req_path(req),
			 http_req_query(req), n);
	char *all = malloc((size_t)k + n + 1);

	memcpy(all, head, (size_t)k);
	free(head);
	if (n)
		memcpy(all + k, body, n);
	http_respond_take(req, 200, "text/plain", all, (size_t)k + n);
}

static void headers(struct http_req *req)
{
	const char *in = http_req_header(req, "x-in");
	bool ok = http_resp_header(req, "X-Out", in ? in : "none") == 0 &&
		  http_resp_header(req, "X-Bad", "a\r\nSet-Cookie: x") == -EINVAL &&
		  http_resp_header(req, "X-Bad\n", "a") == -EINVAL &&
		  http_resp_header(req, "X Bad", "a") == -EINVAL &&
		  http_resp_header(req, "", "a") == -EINVAL &&
		  http_resp_header(req, "content-length", "7") == -EINVAL &&
		  http_resp_header(req, "Transfer-Encoding", "chunked") == -EINVAL;
	char big[40000];

	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	ok = ok && http_resp_header(req, "X-Big", big) == -ENOSPC;
	for (int i = 0; i < 63; i++)
		ok = ok && http_resp_header(req, "X-Many", "v") == 0;
	ok = ok && http_resp_header(req, "X-Many", "v") == -ENOSPC;
	http_respond(req, ok ? 200 : 500, "text/plain", "", 0);
}

static void on_request(void *ctx, struct http_req *req)
{
	const char *p = http_req_path(req);
	struct job *j = http_req_ptr(req);
	char text[64];

	fixture_counts.requests++;
	if (strcmp(p, "/async") == 0) {
		uv_timer_start(&job_new(req)->timer, answer_late, 30, 0);
	} else if (strcmp(p, "/hold") == 0) {
		job_new(req);
	} else if (strcmp(p, "/stream") == 0) {
		j = job_new(req);
		j->left = STREAM_TOTAL;
		http_stream_begin(req, 200, "application/octet-stream", on_drain);
		pump(j);
	} else if (strcmp(p, "/duplex") == 0) {
		http_stream_end(req);
		job_end(j);
	} else if (strcmp(p, "/sink") == 0 || strcmp(p, "/pause") == 0) {
		snprintf(text, sizeof(text), "%zu\n", j->sunk);
		http_respond(req, 200, "text/plain", text, strlen(text));
		job_end(j);
	} else if (strcmp(p, "/tap") == 0 || strcmp(p, "/tapsink") == 0) {
		snprintf(text, sizeof(text), "%s saw %zu\n", (const char *)http_req_who(req),
			 *(size_t *)http_req_tap(req));
		http_respond(req, 200, "text/plain", text, strlen(text));
		if (j)
			job_end(j);
	} else if (strcmp(p, "/big") == 0) {
		http_respond_take(req, 200, "text/plain", calloc(1, STREAM_TOTAL), STREAM_TOTAL);
	} else if (strcmp(p, "/headers") == 0) {
		headers(req);
	} else {
		echo(req);
	}
}

static void on_close(void *ctx, struct http_req *req)
{
	struct job *j = http_req_ptr(req);

	fixture_counts.closes++;
	if (j)
		job_end(j);
}

static void on_done(void *ctx)
{
	server = NULL;
	uv_close((uv_handle_t *)&async, NULL);
}

static void on_async(uv_async_t *a)
{
	switch (atomic_exchange(&command, 0)) {
	case 1:
		command_value = server ? http_server_connections(server) : 0;
		uv_sem_post(&answered);
		break;
	case 2:
		if (!closing)
			http_server_close(server, command_value, on_done, NULL);
		closing = true;
		uv_sem_post(&answered);
		break;
	}
}

struct start_args {
	const struct http_limits *limits;
	const char *unix_path;
};

static void *run(void *arg)
{
	static const struct http_callbacks cb = {on_headers, on_request, on_close, NULL};
	const struct start_args *a = arg;
	struct stk_err err = {0};
	int r;

	uv_loop_init(&loop);
	uv_async_init(&loop, &async, on_async);
	r = http_server_new(&loop, a->limits, &cb, NULL, &server);
	if (r == 0)
		r = http_server_listen_tcp(server, "127.0.0.1", 0, &port, &err);
	if (r == 0 && a->unix_path)
		r = http_server_listen_unix(server, a->unix_path, &err);
	if (r < 0) {
		fprintf(stderr, "server: %s\n", err.text);
		abort();
	}
	uv_sem_post(&ready);
	uv_run(&loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&loop) != 0) {
		fprintf(stderr, "handles are left in the loop\n");
		abort();
	}
	return NULL;
}

void fixture_start(const struct http_limits *limits, const char *unix_path)
{
	struct start_args a = {limits, unix_path};

	memset(&fixture_counts, 0, sizeof(fixture_counts));
	closing = false;
	uv_sem_init(&ready, 0);
	uv_sem_init(&answered, 0);
	assert_int_equal(pthread_create(&thread, NULL, run, &a), 0);
	uv_sem_wait(&ready);
}

static void tell(int cmd, unsigned value)
{
	command_value = value;
	command = cmd;
	uv_async_send(&async);
	uv_sem_wait(&answered);
}

void fixture_begin_close(unsigned timeout_ms)
{
	tell(2, timeout_ms);
}

void fixture_stop(void)
{
	if (!closing)
		tell(2, 2000);
	pthread_join(thread, NULL);
	uv_sem_destroy(&ready);
	uv_sem_destroy(&answered);
	assert_int_equal(fixture_counts.live, 0); /* every handler's state was given back */
}

unsigned fixture_port(void)
{
	return port;
}

unsigned fixture_connections(void)
{
	tell(1, 0);
	return command_value;
}

int raw_connect(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

bool raw_send_n(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

void raw_send(int fd, const char *text)
{
	assert_true(raw_send_n(fd, text, strlen(text)));
}

static char *read_some(int fd, const char *needle)
{
	uint64_t end = stk_now_ns() + 10 * STK_NS_PER_S;
	size_t len = 0, cap = 65536;
	char *text = malloc(cap);

	text[0] = '\0';
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (needle && strstr(text, needle))
			return text;
		if (stk_now_ns() > end || poll(&p, 1, 10000) != 1)
			fail_msg("the server neither answered nor closed; so far: %s", text);
		if (cap - len < 32768)
			text = realloc(text, cap *= 2);
		n = read(fd, text + len, cap - len - 1);
		if (n <= 0) {
			if (needle)
				fail_msg("closed before \"%s\" came; so far: %s", needle, text);
			if (n < 0)
				fail_msg("connection reset instead of closed; so far: %s", text);
			return text;
		}
		len += (size_t)n;
		text[len] = '\0';
	}
}

char *raw_read_all(int fd)
{
	return read_some(fd, NULL);
}

char *raw_read_until(int fd, const char *needle)
{
	return read_some(fd, needle);
}

char *raw_talk(const char *text)
{
	int fd = raw_connect();
	char *answer;

	raw_send(fd, text);
	answer = raw_read_all(fd);
	close(fd);
	return answer;
}
