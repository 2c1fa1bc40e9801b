#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/lag.h"

static struct hist lag, latency, empty;

static void one_percent_is_the_limit(void **state)
{
	hist_record_n(&latency, 100000000, 1000);
	hist_record_n(&lag, 10000, 999);
	hist_record_n(&lag, 50000000, 1); /* one of 1000 is beyond p99.9 */
	assert_true(fabs(lag_share(&lag, &latency) - 0.0001) < 0.00001);
	assert_false(lag_suspect(&lag, &latency));
	hist_record_n(&lag, 1100000, 2);
	assert_true(fabs(lag_share(&lag, &latency) - 0.011) < 0.0001);
	assert_true(lag_suspect(&lag, &latency));
}

static void nothing_measured_nothing_suspected(void **state)
{
	assert_false(lag_suspect(&lag, &empty));
	assert_false(lag_suspect(&empty, &latency));
	assert_true(lag_share(&lag, &empty) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_percent_is_the_limit),
		cmocka_unit_test(nothing_measured_nothing_suspected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
