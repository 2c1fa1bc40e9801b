#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/classes.h"

static void the_answer_decides(void **state)
{
	assert_int_equal(classes_of(200, "warm"), CLASS_WARM);
	assert_int_equal(classes_of(200, "shell"), CLASS_SHELL);
	assert_int_equal(classes_of(200, "reset"), CLASS_RESET);
	assert_int_equal(classes_of(200, "cold-restore"), CLASS_COLD_RESTORE);
	assert_int_equal(classes_of(200, "cold-boot"), CLASS_COLD_BOOT);
	assert_int_equal(classes_of(200, ""), CLASS_UNKNOWN);
	assert_int_equal(classes_of(200, "unknown"), CLASS_UNKNOWN);
	assert_int_equal(classes_of(200, "rejected"), CLASS_UNKNOWN);
	assert_int_equal(classes_of(429, ""), CLASS_REJECTED);
	assert_int_equal(classes_of(503, "warm"), CLASS_REJECTED);
	assert_int_equal(classes_of(502, "warm"), CLASS_NONE);
	assert_int_equal(classes_of(504, ""), CLASS_NONE);
}

static void each_class_has_its_own_figures(void **state)
{
	struct classes s = {0};

	classes_add(&s, CLASS_WARM, 1000);
	classes_add(&s, CLASS_WARM, 3000);
	classes_add(&s, CLASS_REJECTED, 7);
	classes_add(&s, CLASS_NONE, 5);
	assert_int_equal(classes_used(&s), 2);
	assert_int_equal(classes_count(&s, CLASS_WARM), 2);
	assert_int_equal(classes_count(&s, CLASS_REJECTED), 1);
	assert_int_equal(classes_count(&s, CLASS_RESET), 0);
	assert_int_equal(classes_count(&s, CLASS_NONE), 0);
	assert_int_equal(s.latency[CLASS_WARM]->max, 3000);
	assert_int_equal(s.latency[CLASS_REJECTED]->max, 7);
	classes_fini(&s);
	assert_int_equal(classes_used(&s), 0);
	classes_fini(&s);
}

static void only_reset_may_serve_again(void **state)
{
	for (int c = 0; c < CLASS_REJECTED; c++)
		assert_int_equal(classes_single_use((enum start_class)c), c != CLASS_RESET);
	assert_false(classes_single_use(CLASS_REJECTED));
	assert_false(classes_single_use(CLASS_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_decides),
		cmocka_unit_test(each_class_has_its_own_figures),
		cmocka_unit_test(only_reset_may_serve_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
