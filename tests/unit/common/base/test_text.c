/* Text piece by piece is what printf would have written, and never more than fits. */
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

static void test_numbers(void **state)
{
	static const uint64_t values[] = {0, 1, 9, 10, 99, 100, 999, 1000, 1001, 59999, 60000, 123456789, UINT64_MAX};

	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char got[64], want[64];
		struct stk_text t = stk_text_init(got, sizeof(got));

		stk_text_u64(&t, values[i], 1);
		stk_text_str(&t, " ");
		stk_text_u64(&t, values[i], 4);
		stk_text_add(&t, "|-", 1);
		stk_text_fixed(&t, values[i], 3);
		snprintf(want, sizeof(want), "%" PRIu64 " %04" PRIu64 "|%" PRIu64 ".%03" PRIu64, values[i], values[i],
			 values[i] / 1000, values[i] % 1000);
		assert_string_equal(got, want);
		assert_int_equal(t.len, strlen(want));
		assert_false(t.cut);
	}
}

static void test_what_does_not_fit(void **state)
{
	char buf[8];
	struct stk_text t;

	memset(buf, 'x', sizeof(buf));
	t = stk_text_init(buf, 7);
	stk_text_str(&t, "abcdef");
	assert_false(t.cut);
	assert_string_equal(buf, "abcdef");
	stk_text_str(&t, "g");
	assert_true(t.cut);
	assert_string_equal(buf, "abcdef");
	assert_int_equal(buf[7], 'x');

	t = stk_text_init(buf, 7);
	stk_text_str(&t, "abc");
	stk_text_u64(&t, 12345, 1);
	stk_text_str(&t, "d"); /* not in the place of what is missing */
	assert_true(t.cut);
	assert_string_equal(buf, "abc");

	t = stk_text_init(buf, 1);
	stk_text_str(&t, "");
	assert_false(t.cut);
	stk_text_str(&t, "a");
	assert_true(t.cut);
	assert_string_equal(buf, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_what_does_not_fit),
	};

	unit_time_limit(20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
