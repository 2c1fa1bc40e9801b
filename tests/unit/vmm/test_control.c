/* Commands on the control descriptor: whole lines, in any pieces, and nothing else. */
#include "tests/unit/unit.h"

#include <string.h>

#include "vmm/control.h"

static struct control_lines lines;

static int clear(void **state)
{
	memset(&lines, 0, sizeof(lines));
	return 0;
}

static enum control_word take(const char *text, size_t *used)
{
	return control_take(&lines, text, strlen(text), used);
}

static void test_whole_line(void **state)
{
	size_t used = 0;

	assert_int_equal(take("reset\n", &used), CONTROL_RESET);
	assert_int_equal(used, 6);
}

static void test_pieces(void **state)
{
	size_t used = 0;

	assert_int_equal(take("re", &used), CONTROL_NONE);
	assert_int_equal(used, 2);
	assert_int_equal(take("set", &used), CONTROL_NONE);
	assert_int_equal(take("\n", &used), CONTROL_RESET);
	assert_int_equal(used, 1);
}

static void test_two_in_one(void **state)
{
	const char *text = "reset\nreset\nre";
	size_t used = 0;

	assert_int_equal(take(text, &used), CONTROL_RESET);
	assert_int_equal(used, 6);
	assert_int_equal(take(text + 6, &used), CONTROL_RESET);
	assert_int_equal(used, 6);
	assert_int_equal(take(text + 12, &used), CONTROL_NONE);
	assert_int_equal(used, 2);
}

static void test_other_words(void **state)
{
	static const char *const bad[] = {"\n", "rese\n", "resets\n", "RESET\n", " reset\n", "reset \n", "reset\r\n"};
	size_t used;

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		clear(NULL);
		assert_int_equal(take(bad[i], &used), CONTROL_BAD);
	}
	clear(NULL);
	assert_int_equal(control_take(&lines, "rese\0t\n", 7, &used), CONTROL_BAD);
}

static void test_endless_line(void **state)
{
	char text[CONTROL_LINE_MAX + 1];
	size_t used;

	memset(text, 'r', sizeof(text));
	assert_int_equal(control_take(&lines, text, CONTROL_LINE_MAX, &used), CONTROL_NONE);
	assert_int_equal(control_take(&lines, text, 1, &used), CONTROL_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_whole_line, clear), cmocka_unit_test_setup(test_pieces, clear),
		cmocka_unit_test_setup(test_two_in_one, clear), cmocka_unit_test_setup(test_other_words, clear),
		cmocka_unit_test_setup(test_endless_line, clear),
	};

	unit_time_limit(20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
