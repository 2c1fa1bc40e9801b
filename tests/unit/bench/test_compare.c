#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/compare.h"
#include "bench/report.h"

static struct hist a, b, c;

static int fill(void **state)
{
	srand(7);
	for (int i = 0; i < 2000; i++) {
		uint64_t noise = (uint64_t)(rand() % 1000000);

		hist_record(&a, 10000000 + noise);
		hist_record(&b, 10000000 + (uint64_t)(rand() % 1000000));
		hist_record(&c, 12000000 + noise);
	}
	return 0;
}

static void the_same_distribution_shows_no_difference(void **state)
{
	struct compare_ratio r = compare_percentile(&a, &b, 50, 500);
	double p, effect = compare_mann_whitney(&a, &b, &p);

	assert_true(r.low <= 1 && r.high >= 1);
	assert_true(r.high - r.low < 0.05);
	assert_true(fabs(effect - 0.5) < 0.05);
	assert_true(p > 0.01);
}

static void a_slower_build_is_found(void **state)
{
	struct compare_ratio r = compare_percentile(&a, &c, 50, 500);
	double p, effect = compare_mann_whitney(&a, &c, &p);

	assert_true(r.ratio > 1.17 && r.ratio < 1.21);
	assert_true(r.low > 1.15 && r.high < 1.23);
	assert_true(effect > 0.99);
	assert_true(p < 1e-6);
	assert_true(compare_mann_whitney(&c, &a, &p) < 0.01);
}

/* U of {1,2,3} against {2,3,4}: b greater in 6 pairs, equal in 2: (6 + 2/2) / 9. */
static void mann_whitney_counts_ties_half(void **state)
{
	static struct hist x, y;
	double p;

	for (uint64_t i = 1; i <= 3; i++) {
		hist_record(&x, i);
		hist_record(&y, i + 1);
	}
	assert_true(fabs(compare_mann_whitney(&x, &y, &p) - 7.0 / 9) < 1e-9);
	assert_true(p > 0.2 && p <= 1);
}

static void results_survive_json(void **state)
{
	static struct report r;
	static struct hist back;
	struct stk_err err = {0};

	r.function = "hello";
	r.mode = "closed loop, 1 connection";
	r.count = 1;
	strcpy(r.scenarios[0].name, "warm");
	r.scenarios[0].result.latency = a;
	r.scenarios[0].result.ok = a.total;
	json_t *o = report_json(&r);
	json_t *latency = json_object_get(
		json_object_get(json_object_get(o, "scenarios"), "warm"), "latency");

	assert_int_equal(report_read_histogram(json_object_get(latency, "histogram"), &back, &err), 0);
	assert_int_equal(back.total, a.total);
	for (double p = 0; p < 100; p += 7) /* min and max are the buckets' middles after reading */
		assert_true(fabs((double)hist_percentile(&back, p) - (double)hist_percentile(&a, p)) <=
			    (double)hist_percentile(&a, p) / 250);
	json_decref(o);
	o = json_pack("[[ii]]", 5, -1);
	assert_true(report_read_histogram(o, &back, &err) < 0);
	json_decref(o);
	assert_true(report_read_histogram(NULL, &back, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_distribution_shows_no_difference),
		cmocka_unit_test(a_slower_build_is_found),
		cmocka_unit_test(mann_whitney_counts_ties_half),
		cmocka_unit_test(results_survive_json),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
