/* Error bodies, their table, and the text helpers under them. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "scheduler/lambda/error.h"
#include "scheduler/lambda/text.h"

static json_t *body(enum lambda_error_type type, enum lambda_reason reason, const char *message)
{
	char buf[LAMBDA_BODY_MAX];
	size_t n = lambda_error_body(buf, sizeof(buf), type, reason, message);
	json_t *o = json_loadb(buf, n, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(o);
	return o;
}

static const char *str(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void members_are_named_as_the_shape_has_them(void **state)
{
	json_t *o = body(LAMBDA_RESOURCE_NOT_FOUND, LAMBDA_REASON_NONE, "Function not found: x");

	assert_string_equal(str(o, "Type"), "User");
	assert_string_equal(str(o, "Message"), "Function not found: x");
	assert_null(json_object_get(o, "message"));
	json_decref(o);
	o = body(LAMBDA_SERVICE, LAMBDA_REASON_NONE, "x");
	assert_string_equal(str(o, "Type"), "Service");
	json_decref(o);
	o = body(LAMBDA_TOO_MANY_REQUESTS, LAMBDA_REASON_RESERVED_CONCURRENCY, "Rate Exceeded.");
	assert_string_equal(str(o, "message"), "Rate Exceeded.");
	assert_string_equal(str(o, "Reason"), "ReservedFunctionConcurrentInvocationLimitExceeded");
	json_decref(o);
}

static void any_bytes_make_a_whole_body(void **state)
{
	char message[LAMBDA_MESSAGE_MAX];
	json_t *o;

	o = body(LAMBDA_VALIDATION, LAMBDA_REASON_NONE, "a\"\\\n\x01\x7f\xc3\xa4\xff\xc3");
	assert_string_equal(str(o, "message"), "a\"\\\n\x01\x7f\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd");
	json_decref(o);
	for (unsigned c = 1; c < 256; c++) {
		memset(message, (int)c, sizeof(message) - 1);
		message[sizeof(message) - 1] = '\0';
		o = body(LAMBDA_VALIDATION, LAMBDA_REASON_NONE, message);
		assert_int_equal(json_string_length(json_object_get(o, "message")),
				 (sizeof(message) - 1) * (c < 0x80 ? 1 : 3));
		json_decref(o);
	}
}

static void every_type_has_a_name_and_a_status(void **state)
{
	for (unsigned i = 0; i < LAMBDA_ERROR_TYPES; i++) {
		assert_non_null(strstr(lambda_error_name(i), "Exception"));
		assert_in_range(lambda_error_status(i), 400, 599);
	}
	assert_int_equal(lambda_error_status(LAMBDA_PRECONDITION_FAILED), 412);
	assert_int_equal(lambda_error_status(LAMBDA_RESOURCE_CONFLICT), 409);
	for (int status = 400; status < 600; status++) {
		int as = lambda_error_status(lambda_error_of_status(status));

		assert_int_equal(as / 100, status / 100);
	}
	assert_int_equal(lambda_error_of_status(413), LAMBDA_ENTITY_TOO_LARGE);
}

static void a_long_message_is_cut_between_characters(void **state)
{
	struct lambda_err err;
	char text[4096];

	for (size_t lead = 0; lead < 4; lead++) {
		memset(text, 'a', lead);
		for (size_t i = lead; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x94\xa5", 5);
		assert_int_equal(lambda_err_set(&err, LAMBDA_VALIDATION, "%s", text), -EINVAL);
		assert_int_equal((strlen(err.message) - lead) % 4, 0);
		assert_true(strlen(err.message) > LAMBDA_MESSAGE_MAX - 6);
	}
	assert_int_equal(lambda_err_set(&err, LAMBDA_SERVICE, "x"), -EIO);
	assert_int_equal(lambda_err_nomem(&err), -ENOMEM);
	assert_int_equal(err.type, LAMBDA_SERVICE_UNAVAILABLE);
}

static void times_are_written_as_the_service_does(void **state)
{
	char text[TEXT_TIME_LEN + 1];

	text_time(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000+0000");
	text_time(1795294395007, text);
	assert_string_equal(text, "2026-11-21T20:53:15.007+0000");
	text_time(-5, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000+0000");
	text_time(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999+0000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_named_as_the_shape_has_them),
		cmocka_unit_test(any_bytes_make_a_whole_body),
		cmocka_unit_test(every_type_has_a_name_and_a_status),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(times_are_written_as_the_service_does),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
