/* Refused calls: a few are answered at once, those of a flood a little later; of a real stokerd without KVM. */
#include "tests/unit/scheduler/host_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "scheduler/refusals.h"
#include "tests/unit/unit.h"

#define CALL    "/v1/functions/f/invoke"
#define FLOOD   (REFUSALS_AT_ONCE * 5)
#define DELAYED "\nstoker_refusals_delayed_total "
#define REFUSED "\nstoker_invocations_total{function=\"f\",outcome=\"reserved_full\"} "

static int setup(void **state)
{
	struct http_client_resp r;

	unit_time_limit(240);
	if (host_make())
		return -1;
	host_add_function("f");
	host_add_function("other");
	host_start(NULL);
	assert_int_equal(host_request("PUT", "/2017-10-31/functions/f/concurrency", NULL,
				      "{\"ReservedConcurrentExecutions\": 0}", &r), 0);
	assert_int_equal(r.status, 200);
	http_client_resp_fini(&r);
	return 0;
}

static int teardown(void **state)
{
	return host_remove();
}

/* How many of these are answered within ms; all that are must be refused. */
static unsigned answered(const int *fd, unsigned count, int ms)
{
	uint64_t until = stk_now_ns() + (uint64_t)ms * STK_NS_PER_MS;
	unsigned found = 0;

	for (unsigned i = 0; i < count; i++) {
		struct pollfd p = {.fd = fd[i], .events = POLLIN};
		uint64_t now = stk_now_ns();
		char head[16] = "";

		if (poll(&p, 1, now < until ? (int)((until - now) / STK_NS_PER_MS) : 0) != 1)
			continue;
		if (read(fd[i], head, sizeof(head) - 1) <= 12) /* not taken in before the host's end */
			continue;
		assert_memory_equal(head, "HTTP/1.1 429", 12);
		found++;
	}
	return found;
}

static void flood(int fd[FLOOD])
{
	for (unsigned i = 0; i < FLOOD; i++)
		fd[i] = host_request_begin("POST", CALL, "{}");
}

static void close_all(const int *fd, unsigned count)
{
	while (count)
		close(fd[--count]);
}

static void test_few_are_answered_at_once(void **state)
{
	struct http_client_resp r;

	for (unsigned i = 0; i < REFUSALS_AT_ONCE / 2; i++) {
		assert_int_equal(host_request("POST", CALL, NULL, "{}", &r), 0);
		assert_int_equal(r.status, 429);
		http_client_resp_fini(&r);
	}
	assert_true(host_metric(DELAYED) == 0);
}

static void test_flood_is_answered_later(void **state)
{
	struct http_client_resp r;
	double before = host_metric(REFUSED);
	int fd[FLOOD];

	flood(fd);
	/* Others do not wait. */
	assert_int_equal(host_request("POST", "/v1/functions/other/invoke", NULL, "{\"a\":1}", &r), 0);
	assert_int_equal(r.status, 200);
	http_client_resp_fini(&r);
	assert_int_equal(answered(fd, FLOOD, 30000), FLOOD);
	close_all(fd, FLOOD);
	assert_true(host_metric(DELAYED) >= FLOOD / 4); /* this machine may be so slow that there is time for more at once */
	assert_true(host_metric(REFUSED) == before + FLOOD);
}

static void test_clients_that_leave_and_the_end(void **state)
{
	double before = host_metric(REFUSED);
	int fd[FLOOD];

	flood(fd);
	close_all(fd, FLOOD);
	host_wait_metric(REFUSED, before + FLOOD); /* each is counted, whether it heard of it or not */
	flood(fd);
	while (host_metric(REFUSED) < before + FLOOD + 10) /* they are being answered */
		usleep(1000);
	host_term(); /* what is held is answered before the end */
	assert_true(answered(fd, FLOOD, 30000) > 10);
	close_all(fd, FLOOD);
	assert_int_equal(host_wait(), 0);
	host_start(NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_are_answered_at_once),
		cmocka_unit_test(test_flood_is_answered_later),
		cmocka_unit_test(test_clients_that_leave_and_the_end),
	};

	host_play(argc, argv);
	return cmocka_run_group_tests(tests, setup, teardown);
}
