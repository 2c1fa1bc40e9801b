/* Strict number and text helpers. */
#include "common/base/str.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static void test_parse_u64(void **state)
{
	static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x10", "1.0", "1e3", "ten", "1\n"};
	uint64_t v = 77;

	assert_int_equal(stk_parse_u64("0", 0, 10, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(stk_parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(stk_parse_u64("007", 0, 10, &v), 0);
	assert_int_equal(v, 7);
	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++)
		assert_int_equal(stk_parse_u64(bad[i], 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(v, 7); /* untouched by failures */
	assert_int_equal(stk_parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(stk_parse_u64("99999999999999999999999", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(stk_parse_u64("11", 0, 10, &v), -ERANGE);
	assert_int_equal(stk_parse_u64("1", 2, 10, &v), -ERANGE);
}

static void test_copy(void **state)
{
	char buf[4] = "xyz";

	assert_int_equal(stk_strcpy(buf, sizeof(buf), "abc"), 0);
	assert_string_equal(buf, "abc");
	assert_int_equal(stk_strcpy(buf, sizeof(buf), "abcd"), -ENAMETOOLONG);
	assert_string_equal(buf, "");
	assert_int_equal(stk_strcpy(buf, 0, "a"), -ENAMETOOLONG);
	assert_int_equal(stk_snprintf(buf, sizeof(buf), "%d", 123), 0);
	assert_string_equal(buf, "123");
	assert_int_equal(stk_snprintf(buf, sizeof(buf), "%d", 1234), -ENAMETOOLONG);
}

static void test_names(void **state)
{
	char name[66];

	assert_true(stk_name_valid("hello-World_9"));
	assert_false(stk_name_valid(""));
	assert_false(stk_name_valid(".."));
	assert_false(stk_name_valid("a/b"));
	assert_false(stk_name_valid("a b"));
	assert_false(stk_name_valid("\xc3\xa4"));
	memset(name, 'a', 65);
	name[65] = '\0';
	assert_false(stk_name_valid(name));
	name[64] = '\0';
	assert_true(stk_name_valid(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
