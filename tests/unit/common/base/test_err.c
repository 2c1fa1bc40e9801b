/* Error texts: content, truncation, prefixes. */
#include "common/base/err.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static void test_set(void **state)
{
	struct stk_err err = {0};

	assert_int_equal(stk_err_set(&err, -EINVAL, "bad %s %d", "thing", 5), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(err.text, "bad thing 5");
	assert_int_equal(stk_err_sys(&err, -ENOENT, "cannot open %s", "/x"), -ENOENT);
	assert_string_equal(err.text, "cannot open /x: No such file or directory");
	assert_int_equal(stk_err_set(NULL, -EIO, "nobody listens"), -EIO);
	assert_int_equal(stk_err_sys(NULL, -EIO, "nobody listens"), -EIO);
}

static void test_prefix(void **state)
{
	struct stk_err err = {0};

	stk_err_set(&err, -EINVAL, "inner");
	assert_int_equal(stk_err_prefix(&err, "outer %d", 1), -EINVAL);
	assert_string_equal(err.text, "outer 1: inner");
	assert_int_equal(err.code, -EINVAL);
	assert_int_equal(stk_err_prefix(NULL, "outer"), 0);
}

/* Overlong texts are cut, never overflow, stay terminated. */
static void test_truncation(void **state)
{
	struct stk_err err = {0};
	char longtext[1000];

	memset(longtext, 'x', sizeof(longtext) - 1);
	longtext[sizeof(longtext) - 1] = '\0';
	stk_err_set(&err, -1, "%s", longtext);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	stk_err_prefix(&err, "p");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "p: xxx", 6);
	stk_err_sys(&err, -ENOENT, "%s", longtext);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	stk_err_prefix(&err, "%s", longtext);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_truncation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
