#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/hist.h"

/* Every bucket's middle lies in that bucket, and buckets are in order. */
static void buckets_are_ordered(void **state)
{
	uint64_t before = 0;

	for (unsigned i = 1; i < HIST_BUCKETS; i++) {
		uint64_t v = hist_value(i);

		assert_true(v > before);
		assert_int_equal(hist_index(v), i);
		before = v;
	}
}

static void error_is_bounded(void **state)
{
	uint64_t x = 88172645463325252ULL;

	for (int i = 0; i < 200000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		uint64_t v = x >> (i % 60);
		uint64_t kept = hist_value(hist_index(v));
		uint64_t error = kept > v ? kept - v : v - kept;

		assert_true(error <= v / 256);
	}
	assert_true(hist_index(UINT64_MAX) < HIST_BUCKETS);
}

static void percentiles_of_a_known_series(void **state)
{
	static struct hist h;

	for (uint64_t i = 1; i <= 1000; i++)
		hist_record(&h, i * 1000000);
	assert_int_equal(h.total, 1000);
	assert_int_equal(h.min, 1000000);
	assert_int_equal(hist_percentile(&h, 100), 1000000000);
	static const struct { double p; uint64_t exact; } cases[] = {
		{0, 1000000}, {50, 500000000}, {90, 900000000}, {99, 990000000}, {99.9, 999000000},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t got = hist_percentile(&h, cases[i].p);

		assert_in_range(got, cases[i].exact - cases[i].exact / 250,
				cases[i].exact + cases[i].exact / 250);
	}
	assert_true(hist_mean(&h) > 500400000 && hist_mean(&h) < 500600000);
}

static void empty_and_single(void **state)
{
	static struct hist h;

	assert_int_equal(hist_percentile(&h, 50), 0);
	hist_record(&h, 12345678);
	assert_int_equal(hist_percentile(&h, 0), 12345678);
	assert_int_equal(hist_percentile(&h, 50), 12345678);
	assert_int_equal(hist_percentile(&h, 99.9), 12345678);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_ordered),
		cmocka_unit_test(error_is_bounded),
		cmocka_unit_test(percentiles_of_a_known_series),
		cmocka_unit_test(empty_and_single),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
