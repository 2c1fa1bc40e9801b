/* What is JSON and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/json_check.h"

static void good_and_bad(void **state)
{
	static const char *const good[] = {"{}", "[]", "null", "true", "false", "0", "-0.5e-7", "10", "\"\"", " [ 1 , 2 ] ",
		"{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":\"\\u00e9\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
		"\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
		"[[],[[]],{}]", "\"\\ud800\""};
	static const char *const bad[] = {"", " ", "{", "}", "[", "]", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "01",
		"1.", ".5", "-", "1e", "+1", "nul", "nulll", "tru", "\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u12\"", "\"\n\"", "1 2",
		"[1 2]", "{\"a\" 1}", "[}", "{]", "\"\xc3\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
		"\"\xf4\x90\x80\x80\"", "\"\xff\"",
		"'a'", "NaN", "[1]]", ",", "{,}", "\xef\xbb\xbf{}"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!stk_json_check(good[i], strlen(good[i])))
			fail_msg("refused: %s", good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (stk_json_check(bad[i], strlen(bad[i])))
			fail_msg("taken: %s", bad[i]);
	}
	assert_false(stk_json_check("1\0", 2));
}

static void depth_is_bounded(void **state)
{
	char text[2 * STK_JSON_DEPTH + 4];

	memset(text, '[', STK_JSON_DEPTH);
	memset(text + STK_JSON_DEPTH, ']', STK_JSON_DEPTH);
	assert_true(stk_json_check(text, 2 * STK_JSON_DEPTH));
	memset(text, '[', STK_JSON_DEPTH + 1);
	memset(text + STK_JSON_DEPTH + 1, ']', STK_JSON_DEPTH + 1);
	assert_false(stk_json_check(text, 2 * STK_JSON_DEPTH + 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good_and_bad), cmocka_unit_test(depth_is_bounded)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
