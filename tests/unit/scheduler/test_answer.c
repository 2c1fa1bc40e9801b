/* The host's error objects as text. */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "scheduler/answer.h"

/* What a client reads of a message. */
static void check_error(const char *message, const char *expected)
{
	char buf[1536];
	size_t n = answer_error_text(buf, sizeof(buf), "C", message, "id");
	json_t *o = json_loadb(buf, n, 0, NULL);

	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "error"), "message")), expected);
	json_decref(o);
}

static void texts_stay_as_they_are(void **state)
{
	check_error("no such luck", "no such luck");
	check_error("gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80");
	check_error("a\"b\\c\nd\x7f", "a\"b\\c\nd\x7f");
	check_error("a\xff" "b\xc3", "a\xef\xbf\xbd" "b\xef\xbf\xbd");
	/* a surrogate, a long NUL */
	check_error("\xed\xa0\x80\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

/* A cut goes between characters, wherever it comes. */
static void cuts_leave_whole_characters(void **state)
{
	for (unsigned shift = 0; shift < 6; shift++) {
		char text[1100] = "", buf[2048];
		const char *message;
		json_t *o;
		int n;

		memset(text, 'x', shift);
		while (strlen(text) < 1090)
			strcat(text, "\xe6\xbc\xa2");
		n = (int)answer_error_text(buf, sizeof(buf), "C", text, NULL);
		o = json_loadb(buf, (size_t)n, 0, NULL);
		assert_non_null(o);
		assert_null(strstr(buf, "\xef\xbf\xbd"));
		json_decref(o);
		n = answer_function_error(buf, sizeof(buf), "T", "id", text);
		o = json_loadb(buf, (size_t)n, 0, NULL);
		assert_non_null(o);
		message = json_string_value(json_object_get(o, "errorMessage"));
		assert_true(strlen(message) > 450 && !strstr(message, "\xef\xbf\xbd"));
		json_decref(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(texts_stay_as_they_are),
					   cmocka_unit_test(cuts_leave_whole_characters)};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
