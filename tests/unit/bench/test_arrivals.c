#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/arrivals.h"

static struct stk_err err;

static struct arrivals parse(const char *text, double rate)
{
	struct arrivals a = {0};

	assert_int_equal(arrivals_parse(&a, text, rate, 7, &err), 0);
	return a;
}

static uint64_t next(struct arrivals *a)
{
	uint64_t ns = 0;

	assert_true(arrivals_next(a, &ns));
	return ns;
}

static void constant_ones_do_not_drift(void **state)
{
	struct arrivals a = parse("constant", 3);
	uint64_t last = 0;

	assert_int_equal(next(&a), 0);
	assert_int_equal(next(&a), 333333333);
	for (int i = 2; i <= 3000000; i++)
		last = next(&a);
	assert_int_equal(last, 1000000ULL * 1000000000ULL);
	assert_false(arrivals_end(&a));
}

/* Gaps of a Poisson process: mean 1/rate, standard deviation the same, and the seed decides them. */
static void poisson_gaps_are_exponential(void **state)
{
	struct arrivals a = parse("poisson", 100), b = parse("poisson", 100), other = {0};
	double sum = 0, squares = 0;
	uint64_t before = 0, longer = 0;
	const int n = 200000;

	assert_int_equal(arrivals_parse(&other, "poisson", 100, 8, &err), 0);
	assert_true(next(&other) != next(&a));
	arrivals_rewind(&a);
	for (int i = 0; i < n; i++) {
		uint64_t at = next(&a);
		double gap = (double)(at - before) / 1e9;

		assert_int_equal(at, next(&b));
		assert_true(at >= before);
		sum += gap;
		squares += gap * gap;
		longer += gap > 0.02;
		before = at;
	}
	assert_true(fabs(sum / n - 0.01) < 0.0001);
	assert_true(fabs(sqrt(squares / n - sum / n * (sum / n)) - 0.01) < 0.0002);
	assert_true(fabs((double)longer / n - exp(-2)) < 0.003);
}

static void steps_follow_each_other(void **state)
{
	struct arrivals a = parse("step:3@1,0@2,2@1.5", 0);
	static const uint64_t due[] = {0, 333333333, 666666667, 3000000000, 3500000000, 4000000000};
	uint64_t ns;

	for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++)
		assert_int_equal(next(&a), due[i]);
	assert_false(arrivals_next(&a, &ns));
	assert_false(arrivals_next(&a, &ns));
	assert_true(arrivals_end(&a));
	arrivals_rewind(&a);
	assert_int_equal(next(&a), 0);
}

static void bursts_come_together(void **state)
{
	struct arrivals a = parse("burst:3@0.5", 0);

	for (uint64_t i = 0; i < 12; i++)
		assert_int_equal(next(&a), i / 3 * 500000000);
	assert_false(arrivals_end(&a));
}

static int trace(struct arrivals *a, const char *text)
{
	return arrivals_parse_trace(a, text, strlen(text), "calls.txt", &err);
}

static void traces_are_read(void **state)
{
	static const uint64_t due[] = {0, 10000, 1500000000, 1500000000, 2000000000};
	struct arrivals a;
	uint64_t ns;

	assert_int_equal(trace(&a, "# seconds\r\n0\n1e-05\n\n1.5\n1.500\r\n2"), 0);
	for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++)
		assert_int_equal(next(&a), due[i]);
	assert_false(arrivals_next(&a, &ns));
	arrivals_rewind(&a);
	assert_int_equal(next(&a), 0);
	arrivals_fini(&a);
}

static void bad_traces_are_refused_by_line(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"0\n1\n0.5\n", "calls.txt:3: this offset is before"},
		{"0\n-1\n", "calls.txt:2: not an offset"},
		{"nan\n", "calls.txt:1: not an offset"},
		{"inf\n", "calls.txt:1"},
		{"0x10\n", "calls.txt:1"},
		{"1e999\n", "calls.txt:1"},
		{"2592001\n", "calls.txt:1"},
		{" 1\n", "calls.txt:1"},
		{"1 \n", "calls.txt:1"},
		{"1,2\n", "calls.txt:1"},
		{"0000000000000000000000000000000000000000000000000000000000000000001\n", "calls.txt:1: this line is too long"},
		{"", "no offset in this file"},
		{"# nothing\n\n", "no offset in this file"},
	};
	struct arrivals a;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(trace(&a, bad[i].text) < 0);
		assert_non_null(strstr(err.text, bad[i].says));
	}
	assert_true(arrivals_parse_trace(&a, "1\0\n2\n", 5, "calls.txt", &err) < 0);
	assert_non_null(strstr(err.text, "calls.txt:1"));
}

static void bad_arrivals_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "uniform", "constant:1", "step:", "step:1", "step:1@", "step:1@0", "step:0@1", "step:1@1,", "step:-1@1",
		"step:nan@1", "step:1e7@1", "step:1@1;2@2", "burst:", "burst:5", "burst:0@1", "burst:1.5@1", "burst:5@0",
		"burst:5@1x", "burst:5@inf", "trace:", "trace:/nonexistent", "poisson", "constant",
	};
	struct arrivals a = {.seed = 99};
	char many[1000] = "step:1@1";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(arrivals_parse(&a, bad[i], 0, 1, &err) < 0);
	for (int i = 0; i < ARRIVALS_MAX_STEPS; i++)
		strcat(many, ",1@1");
	assert_true(arrivals_parse(&a, many, 0, 1, &err) < 0);
	assert_int_equal(a.seed, 99); /* left as it was */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constant_ones_do_not_drift),
		cmocka_unit_test(poisson_gaps_are_exponential),
		cmocka_unit_test(steps_follow_each_other),
		cmocka_unit_test(bursts_come_together),
		cmocka_unit_test(traces_are_read),
		cmocka_unit_test(bad_traces_are_refused_by_line),
		cmocka_unit_test(bad_arrivals_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
