/* The search against hosts that are formulas. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/saturate.h"

/* A host that serves `width` requests at a time, each in 10 ms; more than `limit` clients (0: any) make it fail. */
static void search(struct saturate *s, unsigned max, unsigned width, unsigned limit)
{
	unsigned clients;

	saturate_init(s, max);
	while ((clients = saturate_next(s))) {
		double per_s = (clients < width ? clients : width) * 100.0;
		uint64_t p99 = (uint64_t)(clients / per_s * 1e9);

		assert_true(clients <= max);
		assert_true(s->count < SATURATE_MAX_STEPS);
		saturate_note(s, clients, per_s, p99, 1000, limit && clients > limit ? 100 : 0);
	}
}

static void a_plateau_ends_the_search(void **state)
{
	struct saturate s;

	search(&s, 256, 8, 0);
	assert_int_equal(s.end, SATURATE_FLAT);
	assert_true(s.capacity == 800);
	assert_int_equal(s.clients, 8);
	assert_int_equal(s.step[s.count - 1].clients, 32);
}

static void failures_bound_it_from_above(void **state)
{
	struct saturate s;

	search(&s, 256, 1000, 23);
	assert_int_equal(s.end, SATURATE_RAN_AWAY);
	assert_true(s.low <= 23 && s.high > 23);
	assert_true(s.capacity >= 2000 && s.capacity <= 2300);
	for (unsigned i = 0; i < s.count; i++)
		assert_int_equal(s.step[i].sound, s.step[i].clients <= 23);
}

static void one_in_a_hundred_may_fail(void **state)
{
	struct saturate s;

	saturate_init(&s, 1);
	saturate_note(&s, 1, 100, 1000, 99, 1);
	assert_true(s.step[0].sound);
	saturate_init(&s, 1);
	saturate_note(&s, 1, 100, 1000, 98, 2);
	assert_false(s.step[0].sound);
}

static void a_tail_ten_times_the_first_is_not_sound(void **state)
{
	struct saturate s;

	saturate_init(&s, 64);
	saturate_note(&s, 1, 100, 1000000, 100, 0);
	saturate_note(&s, 2, 200, 10000000, 100, 0);
	assert_true(s.step[1].sound);
	saturate_note(&s, 4, 400, 10100000, 100, 0);
	assert_false(s.step[2].sound);
	assert_int_equal(saturate_next(&s), 3);
	assert_true(s.capacity == 200);
}

/* A first step with a slow start must not loosen the limit for the others. */
static void the_lowest_tail_is_the_measure(void **state)
{
	struct saturate s;

	saturate_init(&s, 64);
	saturate_note(&s, 1, 100, 90000000, 100, 0);
	saturate_note(&s, 2, 200, 1000000, 100, 0);
	saturate_note(&s, 4, 400, 11000000, 100, 0);
	assert_true(s.step[1].sound);
	assert_false(s.step[2].sound);
}

static void all_clients_is_an_end(void **state)
{
	struct saturate s;

	search(&s, 100, 1000, 0);
	assert_int_equal(s.end, SATURATE_CLIENTS);
	assert_int_equal(s.clients, 100);
	assert_int_equal(s.step[s.count - 1].clients, 100);
	search(&s, 1, 1000, 0);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.end, SATURATE_CLIENTS);
}

static void a_host_that_fails_has_none(void **state)
{
	struct saturate s;

	saturate_init(&s, 256);
	saturate_note(&s, 1, 0, 0, 0, 50);
	assert_int_equal(s.end, SATURATE_UNSOUND);
	assert_int_equal(saturate_next(&s), 0);
	assert_true(s.capacity == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plateau_ends_the_search),
		cmocka_unit_test(failures_bound_it_from_above),
		cmocka_unit_test(one_in_a_hundred_may_fail),
		cmocka_unit_test(a_tail_ten_times_the_first_is_not_sound),
		cmocka_unit_test(the_lowest_tail_is_the_measure),
		cmocka_unit_test(all_clients_is_an_end),
		cmocka_unit_test(a_host_that_fails_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
