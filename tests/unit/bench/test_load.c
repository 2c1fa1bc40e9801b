/* load.c and client.c against a small real HTTP server in a thread (blocking sockets). */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/load.h"

/* What the server does with request number i. */
enum behaviour { ANSWER, ANSWER_AND_CLOSE, CUT, STALL_FIRST, ANSWER_429, WRONG_START };

static struct sockaddr_in addr;
static int listener;
static atomic_int behaviour, requests_seen;

static int read_request(int fd)
{
	char buf[4096];
	size_t len = 0;

	while (len < sizeof(buf) - 1) {
		ssize_t n = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);

		if (n <= 0)
			return -1;
		len += (size_t)n;
		buf[len] = '\0';
		if (len >= 2 && memcmp(buf + len - 2, "{}", 2) == 0) /* the tests' event */
			return 0;
	}
	return -1;
}

static void answer(int fd, const char *status, const char *extra)
{
	char text[512];
	/* header and body in pieces, to exercise the parser */
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %s\r\nX-Stoker-Start: %s\r\nServer-Timing: total;dur=1.25\r\n%s"
			 "Content-Length: 5\r\n\r\n", status,
			 behaviour == WRONG_START ? "cold-boot" : "warm", extra);

	send(fd, text, (size_t)n / 2, MSG_NOSIGNAL);
	send(fd, text + n / 2, (size_t)(n - n / 2), MSG_NOSIGNAL);
	send(fd, "hel", 3, MSG_NOSIGNAL);
	send(fd, "lo", 2, MSG_NOSIGNAL);
}

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;

	while (read_request(fd) == 0) {
		int number = atomic_fetch_add(&requests_seen, 1);
		int what = behaviour;

		if (what == STALL_FIRST && number == 0)
			usleep(300000);
		if (what == CUT && number == 0) {
			send(fd, "HTTP/1.1 200 OK\r\nContent-Le", 26, MSG_NOSIGNAL);
			break;
		}
		if (what == ANSWER_429)
			answer(fd, "429 Too Many Requests", "");
		else
			answer(fd, "200 OK", what == ANSWER_AND_CLOSE ? "Connection: close\r\n" : "");
		if (what == ANSWER_AND_CLOSE)
			break;
	}
	close(fd);
	return NULL;
}

static void *serve(void *arg)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		pthread_t t;

		if (fd < 0)
			return NULL;
		pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd);
		pthread_detach(t);
	}
}

static int setup(void **state)
{
	socklen_t len = sizeof(addr);
	pthread_t t;

	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(listener, 64) < 0 ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) < 0)
		return -1;
	return pthread_create(&t, NULL, serve, NULL);
}

static struct load_spec spec_of(enum behaviour what)
{
	behaviour = what;
	requests_seen = 0;
	return (struct load_spec){.addr = addr, .host_header = "test", .path = "/x", .event = "{}",
				  .event_len = 2, .start = "warm", .connections = 3, .requests = 50,
				  .timeout_ms = 2000};
}

static struct result result;
static struct arrivals at_rate;

static int clear(void **state)
{
	result_fini(&result);
	memset(&result, 0, sizeof(result));
	return 0;
}

static void closed_loop_counts_all(void **state)
{
	struct load_spec spec = spec_of(ANSWER);
	struct stk_err err;

	spec.warmup = 5;
	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.ok, 50);
	assert_int_equal(result.failed, 0);
	assert_int_equal(requests_seen, 55);
	assert_int_equal(result.stages.count, 1);
	assert_int_equal(result.stages.stage[0]->ns.max, 1250000);
}

static void reconnects_when_the_server_closes(void **state)
{
	struct load_spec spec = spec_of(ANSWER_AND_CLOSE);
	struct stk_err err;

	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.ok, 50);
	assert_int_equal(result.failed, 0);
}

static void a_cut_answer_is_one_failure(void **state)
{
	struct load_spec spec = spec_of(CUT);
	struct stk_err err;

	spec.connections = 1;
	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.ok, 49);
	assert_int_equal(result.failed, 1);
	assert_int_equal(result.failure_count, 1);
}

static void statuses_and_starts_are_checked(void **state)
{
	struct load_spec spec = spec_of(ANSWER_429);
	struct stk_err err;

	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.failed, 50);
	assert_string_equal(result.failures[0].name, "http 429");
	assert_string_equal(result.first_error, "hello");
	clear(NULL);

	spec = spec_of(WRONG_START);
	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.failed, 50);
	assert_string_equal(result.failures[0].name, "cold-boot instead of warm");
}

static void client_times_out(void **state)
{
	struct load_spec spec = spec_of(STALL_FIRST);
	struct stk_err err;

	spec.connections = 1;
	spec.requests = 2;
	spec.timeout_ms = 100;
	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.ok, 1);
	assert_int_equal(result.failed, 1);
	assert_string_equal(result.failures[0].name, "timeout");
}

/* One connection, the first answer takes 300 ms: the requests due meanwhile waited, and that wait
 * must be in their latency. */
static void open_loop_counts_from_the_intended_start(void **state)
{
	struct load_spec spec = spec_of(STALL_FIRST);
	struct stk_err err;

	assert_int_equal(arrivals_parse(&at_rate, "constant", 100, 1, &err), 0);
	spec.arrivals = &at_rate;
	spec.connections = 1;
	spec.requests = 20;
	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.ok, 20);
	assert_true(result.latency.max >= 300000000);
	assert_true(hist_percentile(&result.latency, 50) >= 150000000);
	assert_true(result.seconds >= 0.3);
	/* and it is known that they were sent late, and why */
	assert_int_equal(result.lag.total, 20);
	assert_true(result.lag.max >= 250000000);
	assert_true(result.waited >= 18);
}

/* With a connection for each, a stalled answer delays no other request. */
static void open_loop_goes_on_beside_a_stalled_answer(void **state)
{
	struct load_spec spec = spec_of(STALL_FIRST);
	struct stk_err err;

	assert_int_equal(arrivals_parse(&at_rate, "burst:10@0.05", 0, 1, &err), 0);
	spec.arrivals = &at_rate;
	spec.connections = 20;
	spec.requests = 20;
	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.ok, 20);
	assert_int_equal(result.waited, 0);
	assert_true(result.latency.max >= 300000000);
	assert_true(hist_percentile(&result.latency, 90) < 300000000);
}

static void a_schedule_that_ends_ends_the_run(void **state)
{
	static const char trace[] = "0\n0.001\n0.001\n0.02\n";
	struct load_spec spec = spec_of(ANSWER);
	struct stk_err err;

	assert_int_equal(arrivals_parse_trace(&at_rate, trace, strlen(trace), "trace", &err), 0);
	spec.arrivals = &at_rate;
	spec.requests = 0;
	spec.warmup = 1;
	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.ok, 3);
	assert_int_equal(result.lag.total, 3);
	assert_int_equal(requests_seen, 4);
	assert_true(result.seconds >= 0.019); /* from the second arrival to the last */
	arrivals_fini(&at_rate);
}

/* The only connection is stalled for longer than a request may take: those that were due long ago are failures. */
static void open_loop_gives_up_what_it_cannot_send(void **state)
{
	struct load_spec spec = spec_of(STALL_FIRST);
	struct stk_err err;

	assert_int_equal(arrivals_parse(&at_rate, "burst:5@10", 0, 1, &err), 0);
	spec.arrivals = &at_rate;
	spec.connections = 1;
	spec.requests = 5;
	spec.timeout_ms = 100;
	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.ok, 0);
	assert_int_equal(result.failed, 5);
	assert_int_equal(result.failures[0].count, 1); /* timeout */
	assert_int_equal(result.failures[1].count, 4);
	assert_int_equal(requests_seen, 1);
}

static void nobody_listens(void **state)
{
	struct load_spec spec = spec_of(ANSWER);
	struct stk_err err;

	spec.addr.sin_port = htons(1);
	spec.requests = 4;
	assert_int_equal(load_run(&spec, &result, &err), 0);
	assert_int_equal(result.ok, 0);
	assert_int_equal(result.failed, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(closed_loop_counts_all, clear),
		cmocka_unit_test_teardown(reconnects_when_the_server_closes, clear),
		cmocka_unit_test_teardown(a_cut_answer_is_one_failure, clear),
		cmocka_unit_test_teardown(statuses_and_starts_are_checked, clear),
		cmocka_unit_test_teardown(client_times_out, clear),
		cmocka_unit_test_teardown(open_loop_counts_from_the_intended_start, clear),
		cmocka_unit_test_teardown(open_loop_goes_on_beside_a_stalled_answer, clear),
		cmocka_unit_test_teardown(a_schedule_that_ends_ends_the_run, clear),
		cmocka_unit_test_teardown(open_loop_gives_up_what_it_cannot_send, clear),
		cmocka_unit_test_teardown(nobody_listens, clear),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
