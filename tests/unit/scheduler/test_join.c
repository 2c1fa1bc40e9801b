/* Tries of one call, as an SDK makes them when it has given up waiting for an answer, by HTTP on a real stokerd without KVM:
 * the function runs once, and whoever asks gets what came of it. */
#include "tests/unit/scheduler/host_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fd.h"
#include "scheduler/lambda/join.h"
#include "tests/unit/unit.h"

#define FN       "/2015-03-31/functions/f"
#define CONC     "/2017-10-31/functions/f/concurrency"
#define ID(name) "amz-sdk-invocation-id: " name "\r\n"
#define OK_F     "\nstoker_invocations_total{function=\"f\",outcome=\"ok\"} "
#define BUSY     "\nstoker_pool_vms{function=\"f\",state=\"busy\"} "

static int setup(void **state)
{
	unit_time_limit(120);
	return host_make();
}

static int teardown(void **state)
{
	return host_remove();
}

/* The answer's status; -1: 200, but not with the event. */
static int try(const char *id, const char *event)
{
	struct http_client_resp r;
	int status;

	assert_int_equal(host_request("POST", FN "/invocations", id, event, &r), 0);
	status = r.status == 200 && strcmp((char *)r.body, event) != 0 ? -1 : r.status;
	http_client_resp_fini(&r);
	return status;
}

/* A try whose answer is read later: sent, when this returns. */
static int begin_try(void)
{
	static const char begin[] = "POST " FN "/invocations HTTP/1.1\r\nHost: h\r\n"
		ID("1-2-3") "Content-Length: 9\r\n\r\n\"be-held\"";
	int fd = host_request_begin("GET", "/healthz", "");

	assert_int_equal(stk_write_full(fd, begin, sizeof(begin) - 1), 0);
	return fd;
}

/* Its answer is the event; in front of it is that of /healthz. */
static void end_try(int fd)
{
	char text[8192] = "", *second;
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < sizeof(text) - 1 && !strstr(text, "\"be-held\"")) {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		text[len] = '\0';
	}
	close(fd);
	second = strstr(text, "HTTP/1.1 200");
	second = second ? strstr(second + 1, "HTTP/1.1 200") : NULL;
	if (!second || !strstr(second, "\"be-held\""))
		fail_msg("%s", text);
}

static void the_call_runs_once(void **state)
{
	static const char id[] = ID("1-2-3"), event[] = "\"be-held\"";
	int fd, again[2];

	host_add_function("f");
	host_start(NULL);
	fd = begin_try();
	host_wait_metric(BUSY, 1);
	assert_int_equal(try(id, "\"another\""), 400);
	close(fd); /* it goes on */
	for (int i = 0; i < 2; i++)
		again[i] = begin_try();
	host_metric("\nstoker_connections "); /* comes behind them */
	assert_true(host_metric(BUSY) == 1);
	host_touch("go");
	for (int i = 0; i < 2; i++)
		end_try(again[i]);
	host_wait_metric(OK_F, 1);
	/* They were told. But a client whose time was up has closed the connection before it read that, and asks again. */
	assert_int_equal(try(id, event), 200);
	assert_int_equal(try(id, event), 200);
	assert_int_equal(try(id, "\"another\""), 400);
	assert_int_equal(try(ID("1-2-4"), event), 200);
	host_wait_metric(OK_F, 2);
}

static void what_nobody_was_told_is_kept(void **state)
{
	int fd;

	host_add_function("f");
	host_start(NULL);
	fd = begin_try();
	host_wait_metric(BUSY, 1);
	close(fd);
	host_wait_metric("\nstoker_connections ", 1); /* this question's: the host knows that the client has gone */
	host_touch("go");
	host_wait_metric(OK_F, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(try(ID("1-2-3"), "\"be-held\""), 200);
	assert_true(host_metric(OK_F) == 1);
}

/* SDKs try again after it, to see whether it has passed. */
static void an_error_of_the_host_is_told_once(void **state)
{
	struct http_client_resp r;

	host_add_function("f");
	host_start(NULL);
	for (int reserved = 0; reserved < 2; reserved++) {
		const char *body = reserved ? "{\"ReservedConcurrentExecutions\":1}" : "{\"ReservedConcurrentExecutions\":0}";

		assert_int_equal(host_request("PUT", CONC, NULL, body, &r), 0);
		assert_int_equal(r.status, 200);
		http_client_resp_fini(&r);
		for (int i = 0; i < 2; i++)
			assert_int_equal(try(ID("1"), "{}"), reserved ? 200 : 429);
	}
	host_wait_metric(OK_F, 1);
}

/* Results that were told have their share of memory: the oldest of them go, and the largest do not come in. */
static void what_was_told_is_kept_within_bounds(void **state)
{
	const unsigned n = JOIN_TOLD_BYTES / JOIN_TOLD_EACH + 1;
	char *event = malloc(JOIN_TOLD_EACH + 64), id[64];

	assert_non_null(event);
	host_add_function("f");
	host_start(NULL);
	memset(event, ' ', JOIN_TOLD_EACH);
	strcpy(event + JOIN_TOLD_EACH - 2, "{}");
	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof(id), ID("%u"), i);
		assert_int_equal(try(id, event), 200);
	}
	host_wait_metric(OK_F, n);
	assert_int_equal(try(id, event), 200);
	assert_true(host_metric(OK_F) == n);
	assert_int_equal(try(ID("0"), event), 200);
	host_wait_metric(OK_F, n + 1);
	strcpy(event + JOIN_TOLD_EACH - 2, "{ }");
	for (int i = 0; i < 2; i++)
		assert_int_equal(try(ID("large"), event), 200);
	host_wait_metric(OK_F, n + 3);
	free(event);
}

#define EVENT_TRY "X-Amz-Invocation-Type: Event\r\n"
#define ACCEPTED  "\nstoker_async_accepted_total "

static int event_try(const char *path, const char *headers, const char *event)
{
	struct http_client_resp r;
	int status;

	assert_int_equal(host_request("POST", path, headers, event, &r), 0);
	status = r.status;
	http_client_resp_fini(&r);
	return status;
}

/* Tries of one asynchronous call make one event: those that come while it is stored, and later ones. */
static void the_event_is_stored_once(void **state)
{
	static const char begin[] = "POST " FN "/invocations HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" EVENT_TRY
				    "amz-sdk-invocation-id: together\r\nContent-Length: 2\r\n\r\n{}";
	char text[8192];
	int fd[3];

	host_add_function("f");
	host_start(NULL);
	for (int i = 0; i < 3; i++)
		fd[i] = host_request_begin("GET", "/healthz", "");
	host_wait_metric("\nstoker_connections ", 4); /* accepted: with this question's */
	kill(host_pid, SIGSTOP);
	for (int i = 0; i < 3; i++)
		assert_int_equal(stk_write_full(fd[i], begin, sizeof(begin) - 1), 0);
	kill(host_pid, SIGCONT); /* it finds them all at once */
	for (int i = 0; i < 3; i++) {
		size_t len = 0;
		ssize_t n;

		while ((n = read(fd[i], text + len, sizeof(text) - 1 - len)) > 0)
			len += (size_t)n;
		text[len] = '\0';
		assert_non_null(strstr(text, "HTTP/1.1 202 "));
		close(fd[i]);
	}
	host_wait_metric(OK_F, 1);
	assert_true(host_metric(ACCEPTED) == 1);
	/* The answer was lost. */
	assert_int_equal(event_try(FN "/invocations", EVENT_TRY "amz-sdk-invocation-id: together\r\n", "{}"), 202);
	assert_true(host_metric(ACCEPTED) == 1);
	/* Other calls: not by the same name, but under their own. */
	assert_int_equal(event_try(FN "/invocations", EVENT_TRY "amz-sdk-invocation-id: together\r\n", "{\"n\":1}"), 400);
	assert_int_equal(event_try(FN "/invocations", "amz-sdk-invocation-id: together\r\n", "{}"), 400);
	assert_int_equal(event_try("/2014-11-13/functions/f/invoke-async", "amz-sdk-invocation-id: together\r\n", "{}"), 400);
	assert_true(host_metric(ACCEPTED) == 1);
	assert_int_equal(event_try(FN "/invocations", EVENT_TRY "amz-sdk-invocation-id: other\r\n", "{}"), 202);
	assert_int_equal(event_try(FN "/invocations", EVENT_TRY, "{}"), 202);
	assert_int_equal(event_try(FN "/invocations", EVENT_TRY, "{}"), 202);
	for (int i = 0; i < 2; i++)
		assert_int_equal(event_try("/2014-11-13/functions/f/invoke-async", "amz-sdk-invocation-id: old\r\n", "{}"), 202);
	host_wait_metric(OK_F, 5);
	assert_true(host_metric(ACCEPTED) == 5);
	/* One that was refused is no event: the next try is a new one. */
	host_term();
	assert_int_equal(host_wait(), 0);
	host_start((const char *const[]){"async-events", "1", NULL});
	host_unlink("go");
	assert_int_equal(event_try(FN "/invocations", EVENT_TRY "amz-sdk-invocation-id: 1\r\n", "\"be-held\""), 202);
	for (int i = 0; i < 2; i++)
		assert_int_equal(event_try(FN "/invocations", EVENT_TRY "amz-sdk-invocation-id: 2\r\n", "{}"), 429);
	host_touch("go");
	host_wait_metric(OK_F, 1);
	host_wait_metric("\nstoker_async_queued ", 0);
	assert_int_equal(event_try(FN "/invocations", EVENT_TRY "amz-sdk-invocation-id: 2\r\n", "{}"), 202);
	host_wait_metric(OK_F, 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(the_call_runs_once),
		T(what_nobody_was_told_is_kept),
		T(an_error_of_the_host_is_told_once),
		T(what_was_told_is_kept_within_bounds),
		T(the_event_is_stored_once),
	};

	host_play(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
