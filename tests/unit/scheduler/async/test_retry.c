/* When an event is tried again, and when it is given up. */
#include "scheduler/async/retry.h"

#include <string.h>

#include "tests/unit/unit.h"

#define S 1000

static struct retry_step next(unsigned errors, unsigned refusals, enum retry_cause cause, int64_t age_ms)
{
	const struct retry_event e = {.errors = errors, .refusals = refusals, .accepted_ms = 5000};

	return retry_next(&e, cause, 2, 21600, 5000 + age_ms);
}

static void function_errors(void **state)
{
	struct retry_event e = {.accepted_ms = 0};
	struct retry_step s = next(0, 0, RETRY_FUNCTION_ERROR, 100);

	assert_int_equal(s.verdict, RETRY_AGAIN);
	assert_int_equal(s.at_ms, 5100 + 60 * S);
	s = next(1, 0, RETRY_FUNCTION_ERROR, 100);
	assert_int_equal(s.verdict, RETRY_AGAIN);
	assert_int_equal(s.at_ms, 5100 + 120 * S);
	assert_int_equal(next(2, 0, RETRY_FUNCTION_ERROR, 100).verdict, RETRY_EXHAUSTED);
	assert_int_equal(retry_next(&e, RETRY_FUNCTION_ERROR, 0, 21600, 1).verdict, RETRY_EXHAUSTED);
	/* the second try would come when it is too old */
	assert_int_equal(retry_next(&e, RETRY_FUNCTION_ERROR, 2, 60, 1).verdict, RETRY_TOO_OLD);
	assert_int_equal(retry_next(&e, RETRY_FUNCTION_ERROR, 2, 61, 1000).verdict, RETRY_AGAIN);
}

static void host_errors(void **state)
{
	static const unsigned waits[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
	struct retry_step s;

	for (unsigned i = 0; i < STK_ARRAY_LEN(waits); i++) {
		s = next(0, i, RETRY_HOST, 0);
		assert_int_equal(s.verdict, RETRY_AGAIN);
		assert_int_equal(s.at_ms, 5000 + (int64_t)waits[i] * S);
	}
	assert_int_equal(next(0, 4000000000u, RETRY_HOST, 0).at_ms, 5000 + 300 * S);
	/* the function's errors are not counted against the host's */
	assert_int_equal(next(2, 0, RETRY_HOST, 0).verdict, RETRY_AGAIN);
	/* one last chance at the end of its age */
	s = next(0, 9, RETRY_HOST, 21600 * S - 1);
	assert_int_equal(s.verdict, RETRY_AGAIN);
	assert_int_equal(s.at_ms, 5000 + 21600 * S);
	assert_int_equal(next(0, 9, RETRY_HOST, 21600 * S).verdict, RETRY_TOO_OLD);
}

static void ends(void **state)
{
	struct retry_event e = {.accepted_ms = 1000};

	assert_int_equal(next(2, 5, RETRY_OK, 0).verdict, RETRY_DONE);
	assert_int_equal(next(0, 0, RETRY_NO_CONCURRENCY, 0).verdict, RETRY_ZERO_CONCURRENCY);
	assert_int_equal(next(0, 0, RETRY_NO_FUNCTION, 0).verdict, RETRY_GONE);
	assert_false(retry_expired(&e, 60, 1000 + 60 * S));
	assert_true(retry_expired(&e, 60, 1001 + 60 * S));
	assert_false(retry_expired(&e, 60, 0)); /* the clock was set back */
	for (enum retry_verdict v = RETRY_DONE; v < RETRY_VERDICTS; v++)
		assert_non_null(retry_verdict_name(v));
}

static void sends(void **state)
{
	static const int final[] = {301, 400, 401, 404, 410, 413, 415}, later[] = {0, 408, 425, 429, 500, 502, 503};

	assert_int_equal(retry_send(1, 200, 0).verdict, RETRY_DONE);
	assert_int_equal(retry_send(RETRY_SENDS, 204, 0).verdict, RETRY_DONE);
	for (unsigned i = 0; i < STK_ARRAY_LEN(final); i++)
		assert_int_equal(retry_send(1, final[i], 0).verdict, RETRY_EXHAUSTED);
	for (unsigned i = 0; i < STK_ARRAY_LEN(later); i++) {
		assert_int_equal(retry_send(1, later[i], 7).verdict, RETRY_AGAIN);
		assert_int_equal(retry_send(1, later[i], 7).at_ms, 7 + S);
		assert_int_equal(retry_send(3, later[i], 7).at_ms, 7 + 4 * S);
		assert_int_equal(retry_send(RETRY_SENDS, later[i], 7).verdict, RETRY_EXHAUSTED);
	}
}

static void shares(void **state)
{
	unsigned taken = 0;

	assert_int_equal(retry_share(32, 0), 24);
	assert_int_equal(retry_share(32, 24), 6);
	assert_int_equal(retry_share(1, 0), 1);
	assert_int_equal(retry_share(1, 1), 0);
	assert_int_equal(retry_share(4, 100), 0);
	/* whoever comes finds a slot as long as there is one */
	for (unsigned i = 0; i < 4; i++) {
		unsigned share = retry_share(32, taken);

		assert_true(share >= 1);
		taken += share;
		assert_true(taken <= 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(function_errors), cmocka_unit_test(host_errors), cmocka_unit_test(ends),
		cmocka_unit_test(sends), cmocka_unit_test(shares),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
