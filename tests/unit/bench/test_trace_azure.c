/* Azure's traces: what is read, and what is refused with which line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/trace_azure.h"

#define CALLS    "HashOwner,HashApp,HashFunction,Trigger,1,2,3\n"
#define DURATION "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,"              \
		 "percentile_Average_1,percentile_Average_25,percentile_Average_50,percentile_Average_75,"         \
		 "percentile_Average_99,percentile_Average_100\n"
#define MEMORY   "HashOwner,HashApp,SampleCount,AverageAllocatedMb,AverageAllocatedMb_pct1\n"
#define ROWS     "app,func,end_timestamp,duration\n"
#define MINUTE   60000000u

static struct trace t;
static struct trace_azure azure;
static struct stk_err err;

static int setup(void **state)
{
	struct trace_limits l;

	trace_limits_default(&l);
	trace_init(&t, &l);
	azure = (struct trace_azure){.trace = &t};
	memset(&err, 0, sizeof(err));
	return 0;
}

static int teardown(void **state)
{
	trace_fini(&t);
	return 0;
}

static int read_bytes(const char *text, size_t len)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, len, "r");
	int rc;

	assert_non_null(f);
	rc = trace_azure_read(&azure, f, "F", &err);
	fclose(f);
	return rc;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void refused(const char *text, const char *why)
{
	teardown(NULL);
	setup(NULL);
	if (read_text(text) == 0 || !strstr(err.text, why))
		fail_msg("%s: message is \"%s\"", text, err.text);
}

static void calls_per_minute(void **state)
{
	unsigned per_minute[8] = {0};

	assert_int_equal(read_text(CALLS "o,a,f,http,0,2,1\no,a,g,timer,4,0,0\n"), 0);
	assert_int_equal(read_text(CALLS "o,a,f,http,1,0,0"), 0); /* the next day; no newline at the end */
	assert_int_equal(trace_finish(&t, &err), 0);
	assert_int_equal(trace_functions(&t), 2);
	assert_int_equal(t.call_count, 8);
	assert_string_equal(t.fn[0].name, "o/a/f");
	assert_int_equal(t.fn[0].calls, 4);
	for (size_t i = 0; i < t.call_count; i++) {
		uint64_t minute = t.call[i].at_us / MINUTE;

		assert_true(i == 0 || t.call[i].at_us >= t.call[i - 1].at_us);
		per_minute[minute >= 1440 ? minute - 1440 + 4 : minute]++;
	}
	assert_int_equal(per_minute[0], 4);
	assert_int_equal(per_minute[1], 2);
	assert_int_equal(per_minute[2], 1);
	assert_int_equal(per_minute[4], 1);
	/* The timer's four are 15 s apart. */
	for (unsigned i = 1; i < 4; i++)
		assert_in_range(t.call[i].at_us - t.call[i - 1].at_us, MINUTE / 4 - 2, MINUTE / 4 + 2);
}

static void durations_and_memory_in_any_order(void **state)
{
	assert_int_equal(read_text(MEMORY "o,a,10,200.5,1\n"), 0);
	assert_int_equal(read_text(DURATION "o,a,f,1,2,3,4,10,10,10,10,10,10,10\r\n"), 0);
	assert_int_equal(read_text(CALLS "o,a,f,http,5,0,0\no,b,g,http,1,0,0\n"), 0);
	assert_int_equal(trace_finish(&t, &err), 0);
	assert_int_equal(t.fn[0].memory_mib, 200);
	assert_int_equal(t.fn[1].memory_mib, 170);
	for (size_t i = 0; i < t.call_count; i++)
		assert_in_range(t.call[i].duration_us, t.call[i].fn ? 500000 : 9999, t.call[i].fn ? 500000 : 10001);
}

static void durations_follow_the_percentiles(void **state)
{
	unsigned low = 0, high = 0;

	assert_int_equal(read_text(DURATION "o,a,f,1,2,3,4,0,1,100,200,300,1000,2000\n"), 0);
	assert_int_equal(read_text(CALLS "o,a,f,http,10000,0,0\n"), 0);
	assert_int_equal(trace_finish(&t, &err), 0);
	for (size_t i = 0; i < t.call_count; i++) {
		low += t.call[i].duration_us < 200000;
		high += t.call[i].duration_us > 1000000;
		assert_in_range(t.call[i].duration_us, 0, 2000000);
	}
	assert_in_range(low, 4700, 5300);
	assert_in_range(high, 50, 150);
}

static void one_row_a_call(void **state)
{
	assert_int_equal(read_text(ROWS "a,f,100.5,0.25\na,g,50,60\nb,f,1.5e1,5000\n"), 0);
	assert_int_equal(trace_finish(&t, &err), 0);
	assert_int_equal(t.call_count, 3);
	assert_int_equal(t.call[2].at_us, 100250000);
	assert_int_equal(t.call[2].duration_us, 250000);
	assert_int_equal(t.call[0].at_us, 0); /* began before the trace */
	assert_int_equal(t.call[1].duration_us, 4000000000u);
	assert_string_equal(t.fn[2].name, "b/f");
}

static void bad_files_are_refused_with_their_line(void **state)
{
	char *huge = malloc(80000);

	refused("", "F line 1: empty");
	refused("hello\n", "F line 1: not a trace");
	refused(CALLS "o,a,f,http,1,2\n", "F line 2: expected 7 fields");
	refused(CALLS "o,a,f,http,1,2,3,4\n", "F line 2: expected 7 fields");
	refused(CALLS "o,a,f,http,1,2,3\no,a,f,http,1,-2,3\n", "F line 3: minute 2");
	refused(CALLS "o,a,f,http,1,10000001,3\n", "F line 2: minute 2");
	refused(CALLS "o,a,f,http,1,,3\n", "F line 2: minute 2");
	refused(CALLS "o,,f,http,1,2,3\n", "F line 2: field 2");
	refused(CALLS "o,a/b,f,http,1,2,3\n", "F line 2: field 2");
	refused(CALLS "\n", "F line 2: expected 7 fields");
	refused(ROWS "a,f,nan,1\n", "F line 2: expected seconds");
	refused(ROWS "a,f,1,inf\n", "F line 2: expected seconds");
	refused(ROWS "a,f,0x10,1\n", "F line 2: expected seconds");
	refused(ROWS "a,f,1e99,1\n", "F line 2: expected seconds");
	refused(ROWS "a,f,1,-1\n", "F line 2: expected seconds");
	refused("app,func,end_timestamp,duration,more\n", "F line 1: 5 columns");
	refused(DURATION "o,a,f,1,2,3,4,5,4,10,10,10,10,10\n", "F line 2: field 9");
	refused(MEMORY "o,a,1,many,1\n", "F line 2: field 4");
	assert_non_null(huge);
	memset(huge, 'x', 79999);
	huge[79999] = '\0';
	refused(huge, "F line 1: longer than");
	free(huge);
	teardown(NULL);
	setup(NULL);
	assert_true(read_bytes(ROWS "a,f\0,1,1\n", sizeof(ROWS) - 1 + 9) < 0);
}

static void limits_hold(void **state)
{
	t.limits.max_calls = 10;
	assert_int_equal(read_text(CALLS "o,a,f,http,0,11,0\n"), -E2BIG);
	assert_non_null(strstr(err.text, "more than 10 calls"));
	teardown(NULL);
	setup(NULL);
	t.limits.end_us = MINUTE;
	assert_int_equal(read_text(CALLS "o,a,f,http,2,11,5\n"), 0);
	assert_int_equal(t.call_count, 2);
	teardown(NULL);
	setup(NULL);
	assert_int_equal(trace_finish(&t, &err), -ENODATA);
}

static void sample_takes_whole_functions(void **state)
{
	char text[32768];
	size_t len = (size_t)snprintf(text, sizeof(text), ROWS);

	for (unsigned i = 0; i < 1000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "a,%u,%u,1\n", i % 500, i + 2);
	t.limits.keep = 0.2;
	assert_int_equal(read_text(text), 0);
	assert_int_equal(trace_finish(&t, &err), 0);
	assert_in_range(trace_functions(&t), 60, 140);
	for (unsigned i = 0; i < trace_functions(&t); i++)
		assert_int_equal(t.fn[i].calls, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(calls_per_minute, setup, teardown),
		cmocka_unit_test_setup_teardown(durations_and_memory_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(durations_follow_the_percentiles, setup, teardown),
		cmocka_unit_test_setup_teardown(one_row_a_call, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_files_are_refused_with_their_line, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(sample_takes_whole_functions, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
