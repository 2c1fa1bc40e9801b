#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bench/timing.h"

static void reads_stages_in_order(void **state)
{
	struct timing t = {0};

	timing_add(&t, "parse;dur=0.021, queue;dur=1.5,total;desc=\"all\";dur=20");
	timing_add(&t, "parse;dur=0.023, queue;dur=2.5");
	assert_int_equal(t.count, 3);
	assert_string_equal(t.stage[0]->name, "parse");
	assert_string_equal(t.stage[1]->name, "queue");
	assert_string_equal(t.stage[2]->name, "total");
	assert_int_equal(t.stage[0]->ns.total, 2);
	assert_int_equal(t.stage[0]->ns.min, 21000);
	assert_int_equal(t.stage[1]->ns.max, 2500000);
	assert_int_equal(t.stage[2]->ns.max, 20000000);
	timing_fini(&t);
}

static void bad_text_is_passed_over(void **state)
{
	struct timing t = {0};
	char many[1000] = "";
	size_t at = 0;

	timing_add(&t, "");
	timing_add(&t, ",,, ;dur=1, x, y;dur=, z;dur=abc, w;dur=-1, v;dur=nan, u;dur=1e300");
	timing_add(&t, "a-name-that-is-far-longer-than-a-stage-name-may-be;dur=1");
	assert_int_equal(t.count, 0);
	for (int i = 0; i < 40; i++)
		at += (size_t)snprintf(many + at, sizeof(many) - at, "s%d;dur=1, ", i);
	timing_add(&t, many);
	assert_int_equal(t.count, TIMING_MAX_STAGES);
	timing_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_stages_in_order),
		cmocka_unit_test(bad_text_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
