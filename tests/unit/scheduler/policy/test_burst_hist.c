/* Requests at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scheduler/policy/burst_hist.h"

static void add_times(struct burst_hist *h, unsigned n, unsigned size)
{
	while (n--)
		burst_hist_add(h, size);
}

static void empty_means_one(void **state)
{
	struct burst_hist h = {0};

	assert_int_equal(burst_hist_size(&h, 0.01), 1);
}

static void size_is_a_quantile(void **state)
{
	struct burst_hist h = {0};

	add_times(&h, 90, 1);
	add_times(&h, 8, 4);
	add_times(&h, 2, 30);
	assert_int_equal(burst_hist_size(&h, 0.5), 1);
	assert_int_equal(burst_hist_size(&h, 0.1), 1);
	assert_int_equal(burst_hist_size(&h, 0.05), 4);
	assert_int_equal(burst_hist_size(&h, 0.01), 32); /* to the precision of the bins */
	assert_int_equal(burst_hist_size(&h, 0), 32);
	add_times(&h, 1, 1000000);
	assert_int_equal(burst_hist_size(&h, 0), 1024);
}

static void old_bursts_fade(void **state)
{
	struct burst_hist h = {0};

	add_times(&h, 200, 100);
	add_times(&h, 3000, 2);
	assert_int_equal(burst_hist_size(&h, 0.01), 2);
	for (unsigned i = 0; i < 10000; i++)
		burst_hist_add(&h, i);
	assert_true(h.total < 255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_means_one),
		cmocka_unit_test(size_is_a_quantile),
		cmocka_unit_test(old_bursts_fade),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
