/* JSON getters: right values, and an error that names the field for each wrong one. */
#include "common/host/json_get.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct stk_err err;

static json_t *parse(const char *text)
{
	json_t *obj = NULL;

	assert_int_equal(json_get_parse(text, strlen(text), &obj, &err), 0);
	return obj;
}

static void says(const char *needle)
{
	if (!strstr(err.text, needle))
		fail_msg("\"%s\" not in \"%s\"", needle, err.text);
}

static void test_parse(void **state)
{
	static const char *const bad[] = {"", " ", "{", "[]", "1", "\"a\"", "null", "{} x", "{}{}", "{'a':1}",
					  "{\"a\":1,}", "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\xff\"}",
					  "{\"a\":01}", "{\"a\":NaN}", "{\"a\":99999999999999999999}"};
	char deep[10000];
	json_t *obj = NULL;

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		if (json_get_parse(bad[i], strlen(bad[i]), &obj, &err) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_null(obj);
	}
	memset(deep, '[', sizeof(deep));
	memcpy(deep, "{\"a\":", 5);
	assert_int_equal(json_get_parse(deep, sizeof(deep), &obj, &err), -EINVAL);
	json_get_parse("{\n  \"a\": tru\n}", 14, &obj, &err);
	says("line 2");
	json_decref(parse(" {} \n"));
}

static void test_only(void **state)
{
	static const char *const allowed[] = {"a", "b", NULL};
	json_t *obj = parse("{\"a\": 1, \"c\": 2}");

	assert_int_equal(json_get_only(obj, allowed, &err), -EINVAL);
	says("`c`");
	json_object_del(obj, "c");
	assert_int_equal(json_get_only(obj, allowed, &err), 0);
	json_decref(obj);
}

static void test_str(void **state)
{
	json_t *obj = parse("{\"s\": \"text\", \"n\": 1, \"null\": null, \"utf\": \"\xc3\xa4\xc3\xa4\"}");
	const char *s = "before";

	assert_int_equal(json_get_str(obj, "s", true, 4, &s, &err), 0);
	assert_string_equal(s, "text");
	assert_int_equal(json_get_str(obj, "absent", false, 4, &s, &err), 0);
	assert_string_equal(s, "text");
	assert_int_equal(json_get_str(obj, "absent", true, 4, &s, &err), -EINVAL);
	says("missing field `absent`");
	assert_int_equal(json_get_str(obj, "s", true, 3, &s, &err), -EINVAL);
	says("`s`");
	assert_int_equal(json_get_str(obj, "utf", true, 3, &s, &err), -EINVAL); /* bytes count */
	assert_int_equal(json_get_str(obj, "n", true, 9, &s, &err), -EINVAL);
	assert_int_equal(json_get_str(obj, "null", false, 9, &s, &err), -EINVAL);
	json_decref(obj);
	/* A NUL would end the C string early. */
	obj = json_object();
	json_object_set_new(obj, "z", json_stringn("a\0b", 3));
	assert_int_equal(json_get_str(obj, "z", true, 9, &s, &err), -EINVAL);
	json_decref(obj);
}

static void test_numbers(void **state)
{
	json_t *obj = parse("{\"n\": 7, \"neg\": -1, \"f\": 7.0, \"s\": \"7\", \"t\": true,"
			    " \"max\": 9223372036854775807}");
	uint64_t v = 99;
	bool b = false;

	assert_int_equal(json_get_u64(obj, "n", true, 0, 7, &v, &err), 0);
	assert_int_equal(v, 7);
	assert_int_equal(json_get_u64(obj, "absent", false, 0, 7, &v, &err), 0);
	assert_int_equal(v, 7);
	assert_int_equal(json_get_u64(obj, "max", true, 0, UINT64_MAX, &v, &err), 0);
	assert_int_equal(json_get_u64(obj, "n", true, 8, 9, &v, &err), -EINVAL);
	says("`n` must be 8 to 9");
	assert_int_equal(json_get_u64(obj, "n", true, 0, 6, &v, &err), -EINVAL);
	assert_int_equal(json_get_u64(obj, "neg", true, 0, UINT64_MAX, &v, &err), -EINVAL);
	assert_int_equal(json_get_u64(obj, "f", true, 0, 9, &v, &err), -EINVAL);
	assert_int_equal(json_get_u64(obj, "s", true, 0, 9, &v, &err), -EINVAL);
	assert_int_equal(json_get_bool(obj, "t", true, &b, &err), 0);
	assert_true(b);
	assert_int_equal(json_get_bool(obj, "n", true, &b, &err), -EINVAL);
	assert_int_equal(json_get_bool(obj, "absent", true, &b, &err), -EINVAL);
	json_decref(obj);
}

static void test_nested(void **state)
{
	json_t *obj = parse("{\"o\": {}, \"a\": []}");
	const json_t *p = NULL;

	assert_int_equal(json_get_obj(obj, "o", true, &p, &err), 0);
	assert_true(json_is_object(p));
	assert_int_equal(json_get_obj(obj, "a", true, &p, &err), -EINVAL);
	assert_int_equal(json_get_array(obj, "a", true, &p, &err), 0);
	assert_true(json_is_array(p));
	assert_int_equal(json_get_array(obj, "o", true, &p, &err), -EINVAL);
	assert_int_equal(json_get_array(obj, "x", true, &p, &err), -EINVAL);
	assert_int_equal(json_get_array(obj, "x", false, &p, &err), 0);
	json_decref(obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse), cmocka_unit_test(test_only),   cmocka_unit_test(test_str),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_nested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
