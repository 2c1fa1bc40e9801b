/* Pool sizing on a made-up clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scheduler/pool_policy.h"

#define S 1000000000ull

static struct pool_policy fresh(unsigned floor, unsigned ceiling)
{
	struct pool_policy p;

	pool_policy_init(&p, floor, ceiling, 60 * S);
	return p;
}

static void idle_function_keeps_its_floor(void **state)
{
	struct pool_policy p = fresh(1, 16);

	assert_int_equal(pool_policy_target(&p, 1 * S, 0), 1);
	p = fresh(0, 16);
	assert_int_equal(pool_policy_target(&p, 1 * S, 0), 0);
}

static void concurrency_raises_the_target(void **state)
{
	struct pool_policy p = fresh(1, 16);

	for (unsigned i = 1; i <= 8; i++)
		pool_policy_arrival(&p, 10 * S, i);
	assert_in_range(pool_policy_target(&p, 10 * S, 0), 8, 16);
	/* Busy ones and warm ones together stay below the ceiling. */
	assert_int_equal(pool_policy_target(&p, 10 * S, 12), 4);
	assert_int_equal(pool_policy_target(&p, 10 * S, 16), 0);
	assert_int_equal(pool_policy_target(&p, 10 * S, 40), 0);
}

static void rate_and_restore_time_raise_the_target(void **state)
{
	struct pool_policy p = fresh(1, 100);
	uint64_t t = S;

	for (unsigned i = 0; i < 20; i++)
		pool_policy_started(&p, S / 2); /* half a second each */
	for (unsigned i = 0; i < 400; i++, t += S / 20) /* 20 a second for 20 s, one at a time */
		pool_policy_arrival(&p, t, 1);
	/* 20/s x 0.5 s = 10 arrive while one is restored; half as much again for safety */
	assert_in_range(pool_policy_target(&p, t, 0), 10, 20);
}

static void demand_fades_and_idle_means_floor(void **state)
{
	struct pool_policy p = fresh(1, 16);

	for (unsigned i = 1; i <= 16; i++)
		pool_policy_arrival(&p, 10 * S, i);
	assert_int_equal(pool_policy_target(&p, 10 * S, 0), 16);
	assert_in_range(pool_policy_target(&p, 20 * S, 0), 7, 9);
	assert_in_range(pool_policy_target(&p, 40 * S, 0), 1, 3);
	assert_int_equal(pool_policy_target(&p, 71 * S, 0), 1);
	p.floor = 0;
	assert_int_equal(pool_policy_target(&p, 71 * S, 0), 0);
}

static void clock_going_backwards_is_harmless(void **state)
{
	struct pool_policy p = fresh(1, 16);

	pool_policy_arrival(&p, 100 * S, 3);
	pool_policy_arrival(&p, 50 * S, 2);
	assert_in_range(pool_policy_target(&p, 20 * S, 0), 1, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_function_keeps_its_floor),
		cmocka_unit_test(concurrency_raises_the_target),
		cmocka_unit_test(rate_and_restore_time_raise_the_target),
		cmocka_unit_test(demand_fades_and_idle_means_floor),
		cmocka_unit_test(clock_going_backwards_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
