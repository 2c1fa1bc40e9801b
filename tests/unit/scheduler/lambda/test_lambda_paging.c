/* Pages of lists, and the markers between them. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "scheduler/lambda/paging.h"

static struct lambda_err err;

static void a_page_has_its_size_and_its_start(void **state)
{
	struct lambda_page p;

	assert_int_equal(lambda_page_parse("", 'F', 10000, &p, &err), 0);
	assert_int_equal(p.max, 50);
	assert_false(p.has_after);
	assert_int_equal(lambda_page_parse("MaxItems=7&FunctionVersion=ALL", 'F', 10000, &p, &err), 0);
	assert_int_equal(p.max, 7);
	assert_int_equal(lambda_page_parse("MaxItems=10000&Marker=", 'F', 10000, &p, &err), 0);
	assert_int_equal(p.max, 50);
	assert_false(p.has_after);
}

static void wrong_numbers_are_refused(void **state)
{
	struct lambda_page p;

	assert_int_not_equal(lambda_page_parse("MaxItems=0", 'F', 10000, &p, &err), 0);
	assert_int_equal(err.type, LAMBDA_VALIDATION);
	assert_int_not_equal(lambda_page_parse("MaxItems=10001", 'F', 10000, &p, &err), 0);
	assert_int_equal(err.type, LAMBDA_VALIDATION);
	assert_int_not_equal(lambda_page_parse("MaxItems=51", 'U', 50, &p, &err), 0);
	assert_string_equal(err.message,
			    "1 validation error detected: Value '51' at 'maxItems' failed to satisfy constraint: "
					 "Member must have value less than or equal to 50");
	assert_int_not_equal(lambda_page_parse("MaxItems=x", 'F', 10000, &p, &err), 0);
	assert_int_equal(err.type, LAMBDA_SERIALIZATION);
	assert_int_not_equal(lambda_page_parse("MaxItems=%zz", 'F', 10000, &p, &err), 0);
	assert_int_equal(err.type, LAMBDA_INVALID_PARAMETER);
}

static void a_marker_leads_to_where_the_page_ended(void **state)
{
	static const char *const keys[] = {"", "f", "my-function_9", "f:12", "\xc3\xa4"};
	char marker[LAMBDA_MARKER_MAX], query[512], longest[LAMBDA_KEY_MAX + 2];
	struct lambda_page p;

	for (size_t i = 0; i < STK_ARRAY_LEN(keys); i++) {
		assert_int_equal(lambda_page_marker('F', keys[i], marker), 0);
		snprintf(query, sizeof(query), "MaxItems=2&Marker=%s", marker);
		assert_int_equal(lambda_page_parse(query, 'F', 10000, &p, &err), 0);
		assert_true(p.has_after);
		assert_string_equal(p.after, keys[i]);
		assert_int_equal(p.max, 2);
	}
	memset(longest, 'x', sizeof(longest));
	longest[LAMBDA_KEY_MAX] = '\0';
	assert_int_equal(lambda_page_marker('F', longest, marker), 0);
	assert_true(strlen(marker) < LAMBDA_MARKER_MAX);
	snprintf(query, sizeof(query), "Marker=%s", marker);
	assert_int_equal(lambda_page_parse(query, 'F', 10000, &p, &err), 0);
	assert_string_equal(p.after, longest);
	longest[LAMBDA_KEY_MAX] = 'x';
	longest[LAMBDA_KEY_MAX + 1] = '\0';
	assert_int_not_equal(lambda_page_marker('F', longest, marker), 0);
}

static void a_marker_that_was_changed_is_refused(void **state)
{
	char marker[LAMBDA_MARKER_MAX], query[512];
	struct lambda_page p;
	size_t len;

	assert_int_equal(lambda_page_marker('F', "hello", marker), 0);
	len = strlen(marker);
	snprintf(query, sizeof(query), "Marker=%s", marker);
	assert_int_not_equal(lambda_page_parse(query, 'V', 10000, &p, &err), 0); /* another list's */
	assert_int_equal(err.type, LAMBDA_INVALID_PARAMETER);
	for (size_t i = 0; i < len; i++) {
		char kept = marker[i];

		marker[i] = kept == 'A' ? 'B' : 'A';
		snprintf(query, sizeof(query), "Marker=%s", marker);
		assert_int_not_equal(lambda_page_parse(query, 'F', 10000, &p, &err), 0);
		marker[i] = '\0';
		snprintf(query, sizeof(query), "Marker=%s", marker);
		if (i) /* none at all is the first page */
			assert_int_not_equal(lambda_page_parse(query, 'F', 10000, &p, &err), 0);
		marker[i] = kept;
	}
	assert_int_not_equal(lambda_page_parse("Marker=tok%3D%2F%2B1", 'F', 10000, &p, &err), 0);
	memset(query, 'A', sizeof(query));
	memcpy(query, "Marker=", 7);
	query[sizeof(query) - 1] = '\0';
	assert_int_not_equal(lambda_page_parse(query, 'F', 10000, &p, &err), 0);
	assert_int_equal(err.type, LAMBDA_INVALID_PARAMETER);
}

static void other_parameters_are_found(void **state)
{
	char value[8];

	assert_int_equal(lambda_query("Qualifier=a%20b&x=1", "Qualifier", value, sizeof(value), &err), 1);
	assert_string_equal(value, "a b");
	assert_int_equal(lambda_query("Qualifier=a&Qualifier=b", "Qualifier", value, sizeof(value), &err), 1);
	assert_string_equal(value, "b");
	assert_int_equal(lambda_query("qualifier=a", "Qualifier", value, sizeof(value), &err), 0);
	assert_int_equal(lambda_query("", "Qualifier", value, sizeof(value), &err), 0);
	assert_true(lambda_query("Qualifier=12345678", "Qualifier", value, sizeof(value), &err) < 0);
	assert_int_equal(err.type, LAMBDA_VALIDATION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_has_its_size_and_its_start),
		cmocka_unit_test(wrong_numbers_are_refused),
		cmocka_unit_test(a_marker_leads_to_where_the_page_ended),
		cmocka_unit_test(a_marker_that_was_changed_is_refused),
		cmocka_unit_test(other_parameters_are_found),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
