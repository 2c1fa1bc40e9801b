/* Pool sizing on a made-up clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scheduler/policy/pool_policy.h"

#define S  1000000000ull
#define MS 1000000ull

static struct pool_policy fresh(unsigned floor, unsigned ceiling)
{
	struct pool_policy p;

	pool_policy_init(&p, floor, ceiling, 60 * S, true, false);
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
	pool_policy_fini(&p);
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

/* A function called every `period` seconds, `at_once` requests each time; returns the last time. */
static uint64_t periodic(struct pool_policy *p, unsigned times, unsigned period_s, unsigned at_once)
{
	uint64_t t = S;

	for (unsigned i = 0; i < times; i++) {
		t += period_s * S;
		for (unsigned n = 1; n <= at_once; n++)
			pool_policy_arrival(p, t, n);
	}
	return t;
}

static void timer_is_awaited_and_not_kept(void **state)
{
	struct pool_policy p = fresh(0, 16);
	uint64_t t = periodic(&p, 20, 600, 1);

	assert_int_equal(pool_policy_target(&p, t + S, 0), 0);
	assert_int_equal(pool_policy_target(&p, t + 450 * S, 0), 0);
	assert_int_equal(pool_policy_target(&p, t + 595 * S, 0), 1);
	assert_int_equal(pool_policy_target(&p, t + 605 * S, 0), 1);
	assert_int_equal(pool_policy_target(&p, t + 800 * S, 0), 0);
	p.floor = 1;
	assert_int_equal(pool_policy_target(&p, t + S, 0), 1);
	pool_policy_fini(&p);
}

static void without_history_idle_time_rules(void **state)
{
	struct pool_policy p;
	uint64_t t;

	pool_policy_init(&p, 0, 16, 60 * S, false, false);
	t = periodic(&p, 20, 600, 1);
	assert_null(p.past);
	assert_int_equal(pool_policy_target(&p, t + 59 * S, 0), 1);
	assert_int_equal(pool_policy_target(&p, t + 61 * S, 0), 0);
	assert_int_equal(pool_policy_target(&p, t + 595 * S, 0), 0);
	pool_policy_fini(&p);
}

static void reused_vms_are_needed_for_what_runs_at_once(void **state)
{
	struct pool_policy p;
	uint64_t t = 10 * S;

	pool_policy_init(&p, 0, 100, 60 * S, true, true);
	for (unsigned i = 0; i < 1000; i++) /* one client, 500 requests a second */
		pool_policy_arrival(&p, t += 2 * MS, 1);
	assert_int_equal(pool_policy_target(&p, t, 1), 1);
	for (unsigned i = 0; i < 1000; i++) /* two */
		pool_policy_arrival(&p, t += 2 * MS, 1 + i % 2);
	assert_int_equal(pool_policy_target(&p, t, 1), 2);
	pool_policy_fini(&p);
}

static void history_is_allocated_with_the_first_pause(void **state)
{
	struct pool_policy p = fresh(0, 16);

	pool_policy_arrival(&p, 10 * S, 1);
	pool_policy_arrival(&p, 10 * S, 2);
	assert_null(p.past);
	pool_policy_arrival(&p, 20 * S, 1);
	assert_non_null(p.past);
	assert_int_equal(p.past->pauses.total, 1);
	pool_policy_fini(&p);
	assert_null(p.past);
}

/* Ten long calls run at any time, but they come one by one. */
static void long_calls_need_no_more_vms_than_arrive(void **state)
{
	struct pool_policy p = fresh(0, 100);
	uint64_t t = S;

	for (unsigned i = 0; i < 100; i++)
		pool_policy_arrival(&p, t += 2 * S, 10);
	assert_in_range(pool_policy_target(&p, t, 10), 1, 2);
	pool_policy_fini(&p);
}

static void few_samples_fall_back_to_the_idle_time(void **state)
{
	struct pool_policy p = fresh(0, 16);
	uint64_t t = periodic(&p, IDLE_HIST_ENOUGH, 600, 1); /* one pause less */

	assert_int_equal(pool_policy_target(&p, t + 59 * S, 0), 1);
	assert_int_equal(pool_policy_target(&p, t + 61 * S, 0), 0);
	assert_int_equal(pool_policy_target(&p, t + 600 * S, 0), 0);
	pool_policy_fini(&p);
}

static void a_request_before_its_time_brings_the_idle_time_back(void **state)
{
	struct pool_policy p = fresh(0, 16);
	uint64_t t = periodic(&p, 20, 600, 1);

	pool_policy_target(&p, t, 0);
	t += 100 * S;
	pool_policy_arrival(&p, t, 1);
	assert_int_equal(pool_policy_target(&p, t + S, 0), 1);
	assert_int_equal(pool_policy_target(&p, t + 61 * S, 0), 0);
	t += 600 * S;
	pool_policy_arrival(&p, t, 1);
	assert_int_equal(pool_policy_target(&p, t + S, 0), 0);
	assert_int_equal(pool_policy_target(&p, t + 595 * S, 0), 1);
	pool_policy_fini(&p);
}

static void usual_burst_is_ready_again(void **state)
{
	struct pool_policy p = fresh(0, 16);
	uint64_t t = periodic(&p, 20, 600, 8);

	assert_int_equal(pool_policy_target(&p, t + S, 0), 0);
	assert_int_equal(pool_policy_target(&p, t + 595 * S, 0), 8);
	/* It becomes rarer: fewer wait, at last one. */
	for (unsigned i = 0; i < 200; i++)
		pool_policy_arrival(&p, t += 600 * S, 1);
	assert_int_equal(pool_policy_target(&p, t + 595 * S, 0), 1);
	pool_policy_fini(&p);
}

/* Between now and pool_policy_next, and without requests, no target differs. */
static void next_is_when_the_target_changes(void **state)
{
	struct pool_policy p = fresh(0, 16);
	uint64_t t = periodic(&p, 20, 600, 4), end = t + 2000 * S;
	unsigned target = pool_policy_target(&p, t, 0), changes = 0;
	uint64_t next = pool_policy_next(&p, t);

	for (uint64_t at = t; at < end; at += S / 2) {
		unsigned is = pool_policy_target(&p, at, 0);

		if (at < next) {
			assert_int_equal(is, target);
			continue;
		}
		changes += is != target;
		target = is;
		next = pool_policy_next(&p, at);
		assert_true(next > at);
	}
	assert_true(changes >= 2);
	assert_true(next == POOL_POLICY_NEVER);
	pool_policy_fini(&p);
}

static void value_follows_need_cost_and_memory(void **state)
{
	struct pool_policy timer = fresh(0, 16), busy = fresh(0, 16), never = fresh(0, 16);
	uint64_t t = periodic(&timer, 20, 600, 1);
	double v;

	for (unsigned i = 0; i < 100; i++)
		pool_policy_arrival(&busy, t - 100 * S + i * S, 1);
	assert_true(pool_policy_value(&never, t, 1, 10) == 0);
	v = pool_policy_value(&busy, t, 1, 10);
	assert_true(v > pool_policy_value(&timer, t, 1, 10));
	/* The timer's VM gains as its time comes. */
	assert_true(pool_policy_value(&timer, t + 570 * S, 1, 10) > 3 * pool_policy_value(&timer, t + 60 * S, 1, 10));
	/* The second VM of one that needs one at a time is worth half, twice the memory too. */
	assert_true(pool_policy_value(&busy, t + 30 * S, 2, 10) < 0.6 * pool_policy_value(&busy, t + 30 * S, 1, 10));
	assert_true(pool_policy_value(&busy, t, 1, 20) < 0.6 * v);
	for (unsigned i = 0; i < 20; i++)
		pool_policy_started(&busy, S);
	assert_true(pool_policy_value(&busy, t, 1, 10) > 10 * v);
	pool_policy_fini(&timer);
	pool_policy_fini(&busy);
	pool_policy_fini(&never);
}

/* Sometimes 6 at once, else one. Whether the other five wait depends on how long they would have to. */
static void rare_bursts_are_awaited_where_waiting_is_short(void **state)
{
	static const struct {
		unsigned period_s, target;
	} cases[] = {{1, 6}, {50, 1}};

	for (unsigned c = 0; c < 2; c++) {
		struct pool_policy p = fresh(0, 16);
		uint64_t t = S;

		for (unsigned i = 0; i < 200; i++, t += cases[c].period_s * S)
			for (unsigned n = 1; n <= (i % 20 == 10 ? 6 : 1); n++)
				pool_policy_arrival(&p, t, 1);
		assert_int_equal(pool_policy_target(&p, t, 0), cases[c].target);
		pool_policy_fini(&p);
	}
}

static void the_next_version_inherits(void **state)
{
	struct pool_policy old = fresh(0, 16), heir = fresh(1, 4);
	uint64_t t = periodic(&old, 20, 600, 8);

	pool_policy_inherit(&heir, &old);
	assert_null(old.past);
	assert_int_equal(pool_policy_target(&heir, t + S, 0), 1);
	assert_int_equal(pool_policy_target(&heir, t + 595 * S, 0), 4);
	pool_policy_fini(&old);
	pool_policy_fini(&heir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_function_keeps_its_floor),
		cmocka_unit_test(concurrency_raises_the_target),
		cmocka_unit_test(rate_and_restore_time_raise_the_target),
		cmocka_unit_test(demand_fades_and_idle_means_floor),
		cmocka_unit_test(clock_going_backwards_is_harmless),
		cmocka_unit_test(timer_is_awaited_and_not_kept),
		cmocka_unit_test(without_history_idle_time_rules),
		cmocka_unit_test(reused_vms_are_needed_for_what_runs_at_once),
		cmocka_unit_test(history_is_allocated_with_the_first_pause),
		cmocka_unit_test(long_calls_need_no_more_vms_than_arrive),
		cmocka_unit_test(few_samples_fall_back_to_the_idle_time),
		cmocka_unit_test(a_request_before_its_time_brings_the_idle_time_back),
		cmocka_unit_test(usual_burst_is_ready_again),
		cmocka_unit_test(next_is_when_the_target_changes),
		cmocka_unit_test(value_follows_need_cost_and_memory),
		cmocka_unit_test(rare_bursts_are_awaited_where_waiting_is_short),
		cmocka_unit_test(the_next_version_inherits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
