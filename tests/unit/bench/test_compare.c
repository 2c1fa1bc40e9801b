#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Of many pairs of small samples of one distribution, the 95 % interval holds the true ratio, 1, about so often. */
static void the_interval_holds_the_truth(void **state)
{
	unsigned held = 0;

	for (int trial = 0; trial < 200; trial++) {
		static struct hist x, y;

		memset(&x, 0, sizeof(x));
		memset(&y, 0, sizeof(y));
		for (int i = 0; i < 100; i++) {
			hist_record(&x, 1000000 + (uint64_t)(rand() % 1000000));
			hist_record(&y, 1000000 + (uint64_t)(rand() % 1000000));
		}
		struct compare_ratio r = compare_percentile(&x, &y, 50, 200);

		assert_true(r.low <= r.ratio && r.ratio <= r.high);
		held += r.low <= 1 && r.high >= 1;
	}
	assert_in_range(held, 180, 199);
}

/* Histogram entries that would wrap a counter are refused. */
static void a_file_cannot_overflow_the_counters(void **state)
{
	static struct hist h;
	struct stk_err err;
	json_t *o = json_pack("[[II][II][II]]", (json_int_t)1, INT64_MAX, (json_int_t)2, INT64_MAX, (json_int_t)3,
			      (json_int_t)2);

	assert_true(report_read_histogram(o, &h, &err) < 0);
	json_decref(o);
}

static char *compare(const char *text_a, const char *text_b, int *ret_rc)
{
	char path_a[] = "/tmp/test_compare.XXXXXX", path_b[] = "/tmp/test_compare.XXXXXX", *out = NULL;
	int fd_a = mkstemp(path_a), fd_b = mkstemp(path_b);
	struct stk_err err;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	assert_int_equal(write(fd_a, text_a, strlen(text_a)), strlen(text_a));
	assert_int_equal(write(fd_b, text_b, strlen(text_b)), strlen(text_b));
	close(fd_a);
	close(fd_b);
	*ret_rc = compare_files(path_a, path_b, f, &err);
	fclose(f);
	unlink(path_a);
	unlink(path_b);
	return out;
}

#define HEAD "{\"format\":\"stoker-bench 1\",\"scenarios\":{\"any\":{\"latency\":{\"histogram\":"
#define RESULT(histogram, more) HEAD histogram "}" more "}}}"
#define MIXED(warm, boot) "\"classes\":{\"warm\":{\"histogram\":" warm "},\"cold-boot\":{\"histogram\":" boot "}}"
#define MEMORY(capacity, vms, kib) HEAD "[[1,1]]}}},\"saturation\":{\"capacity_per_second\":" capacity "}," \
	"\"memory\":{\"machine_after\":{\"vms\":" vms ",\"available_kib\":" kib "}}}"

static void classes_are_compared_one_by_one(void **state)
{
	static const char mixed_a[] = RESULT("[[10,50],[100,50]]", "," MIXED("[[10,50]]", "[[100,50]]"));
	static const char mixed_b[] = RESULT("[[20,90],[100,10]]", ",\"lag_suspect\":true," MIXED("[[20,90]]", "[[100,10]]"));
	int rc;
	char *out = compare(mixed_a, mixed_b, &rc);

	assert_int_equal(rc, 0);
	assert_non_null(strstr(out, "\n  warm           p50 "));
	assert_non_null(strstr(out, "B/A 2.000  (95 %: 2.000 to 2.000)"));
	assert_non_null(strstr(out, "B is slower"));
	assert_non_null(strstr(out, "\n  cold-boot      p50 "));
	assert_non_null(strstr(out, "load generator itself was late"));
	free(out);
}

static void memory_is_compared_when_the_pools_differ(void **state)
{
	static const char few[] = MEMORY("100.0", "2", "900000"), many[] = MEMORY("150", "12", "870000");
	int rc;
	char *out = compare(few, many, &rc);

	assert_int_equal(rc, 0);
	assert_non_null(strstr(out, "3000 KiB for each further VM"));
	assert_non_null(strstr(out, "B/A 1.500"));
	free(out);
	out = compare(few, few, &rc);
	assert_int_equal(rc, 0);
	assert_null(strstr(out, "further VM"));
	free(out);
}

static void bad_files_are_refused(void **state)
{
	static const char good[] = RESULT("[[1,1]]", "");
	static const char *const bad[] = {
		"", "[]", "{}", "{\"format\":\"stoker-bench 2\"}", "{\"format\":5}", RESULT("[[1]]", ""), RESULT("[[-1,1]]", ""),
		RESULT("[[1,0]]", ""), RESULT("{}", ""), "{\"format\":\"stoker-bench 1\",\"scenarios\":[]}",
	};
	int rc;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		free(compare(good, bad[i], &rc));
		assert_true(rc < 0);
	}
	free(compare(good, good, &rc));
	assert_int_equal(rc, 0);
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
		cmocka_unit_test(the_interval_holds_the_truth),
		cmocka_unit_test(a_file_cannot_overflow_the_counters),
		cmocka_unit_test(classes_are_compared_one_by_one),
		cmocka_unit_test(memory_is_compared_when_the_pools_differ),
		cmocka_unit_test(bad_files_are_refused),
		cmocka_unit_test(results_survive_json),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
