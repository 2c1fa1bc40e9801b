/* Made-up traces. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/trace_gen.h"

#define HOUR_US 3600000000ull

static int generate(struct trace *t, const char *kind, unsigned functions, unsigned hours, uint64_t seed)
{
	struct trace_limits l;
	struct stk_err err;
	int rc;

	trace_limits_default(&l);
	l.end_us = hours * HOUR_US;
	l.seed = seed;
	trace_init(t, &l);
	rc = trace_generate(t, kind, functions, &err);
	return rc ? rc : trace_finish(t, &err);
}

static void same_seed_same_trace(void **state)
{
	struct trace a, b, c;
	size_t bytes;

	assert_int_equal(generate(&a, "azure", 30, 3, 7), 0);
	assert_int_equal(generate(&b, "azure", 30, 3, 7), 0);
	assert_int_equal(generate(&c, "azure", 30, 3, 8), 0);
	bytes = a.call_count * sizeof(*a.call);
	assert_int_equal(a.call_count, b.call_count);
	assert_memory_equal(a.call, b.call, bytes);
	assert_true(c.call_count != a.call_count || memcmp(a.call, c.call, bytes) != 0);
	trace_fini(&a);
	trace_fini(&b);
	trace_fini(&c);
}

static int fewest_first(const void *a, const void *b)
{
	const struct trace_fn *x = a, *y = b;

	return x->calls < y->calls ? -1 : x->calls > y->calls;
}

/* The published figures: 45 % of functions at most hourly, 81 % at most once a minute, and the few others
 * have nearly all of the calls. */
static void azure_has_few_busy_and_many_rare_functions(void **state)
{
	unsigned hourly = 0, minutely = 0, n = 600;
	size_t busiest = 0;
	struct trace t;

	assert_int_equal(generate(&t, "azure", n, 24, 1), 0);
	qsort(t.fn, n, sizeof(*t.fn), fewest_first);
	for (unsigned i = 0; i < n; i++) {
		hourly += t.fn[i].calls <= 24;
		minutely += t.fn[i].calls <= 1440;
		if (i >= n * 4 / 5)
			busiest += t.fn[i].calls;
		assert_in_range(t.fn[i].memory_mib, 16, 4096);
	}
	assert_in_range(hourly, n * 35 / 100, n * 60 / 100);
	assert_in_range(minutely, n * 75 / 100, n * 90 / 100);
	assert_true((double)busiest > 0.95 * (double)t.call_count);
	trace_fini(&t);
}

static void timers_are_periodic(void **state)
{
	uint64_t last = 0, first_gap = 0;
	struct trace t;
	unsigned gaps = 0;

	assert_int_equal(generate(&t, "timers", 1, 24, 3), 0);
	for (size_t i = 0; i < t.call_count; i++) {
		uint64_t gap = t.call[i].at_us - last;

		last = t.call[i].at_us;
		if (i == 1)
			first_gap = gap;
		if (i < 2)
			continue;
		gaps++;
		assert_true(fabs((double)gap - (double)first_gap) < 30e6);
	}
	assert_true(gaps > 3);
	trace_fini(&t);
}

static void all_kinds_stay_in_time_and_unknown_ones_are_refused(void **state)
{
	static const char *const kinds[] = {"azure", "timers", "bursts", "steady", "rare"};
	struct trace t;

	for (unsigned k = 0; k < 5; k++) {
		assert_int_equal(generate(&t, kinds[k], 20, 6, 2), 0);
		assert_int_equal(trace_functions(&t), 20);
		assert_true(t.call[t.call_count - 1].at_us < 6 * HOUR_US);
		trace_fini(&t);
	}
	assert_int_equal(generate(&t, "storm", 1, 1, 1), -EINVAL);
	trace_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_seed_same_trace),
		cmocka_unit_test(azure_has_few_busy_and_many_rare_functions),
		cmocka_unit_test(timers_are_periodic),
		cmocka_unit_test(all_kinds_stay_in_time_and_unknown_ones_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
