/* Event-invoke configuration in the API's words. */
#include "scheduler/lambda/eventinvoke.h"

#include <string.h>

#include "tests/unit/unit.h"

static struct evconfig c;
static struct lambda_err err;

static int parse(const char *body)
{
	return lambda_eventinvoke_parse(body, strlen(body), &c, &err);
}

static void refused(const char *body, enum lambda_error_type type, const char *part)
{
	const struct evconfig before = c;

	if (parse(body) == 0)
		fail_msg("accepted: %s", body);
	assert_int_equal(err.type, type);
	if (!strstr(err.message, part))
		fail_msg("%s", err.message);
	assert_memory_equal(&c, &before, sizeof(c));
}

static void whole_and_merged(void **state)
{
	json_t *o;

	evconfig_default(&c);
	assert_int_equal(parse("{\"MaximumRetryAttempts\":0,\"MaximumEventAgeInSeconds\":60,\"DestinationConfig\":{"
			       "\"OnSuccess\":{\"Destination\":\"arn:aws:lambda:us-east-1:000000000000:function:g\"},"
			       "\"OnFailure\":{\"Destination\":\"https://h/x\"}},\"Unknown\":1}"), 0);
	assert_int_equal(c.max_retries, 0);
	assert_int_equal(c.max_age_s, 60);
	assert_string_equal(c.on_success, "arn:aws:lambda:us-east-1:000000000000:function:g");
	assert_string_equal(c.on_failure, "https://h/x");
	assert_int_equal(parse("{\"MaximumRetryAttempts\":1}"), 0);
	assert_int_equal(c.max_retries, 1);
	assert_int_equal(c.max_age_s, 60);
	assert_string_equal(c.on_failure, "https://h/x");
	c.modified_ms = 1700000000500;
	o = lambda_eventinvoke_json(&c, "arn:f:$LATEST");
	assert_true(json_real_value(json_object_get(o, "LastModified")) == 1700000000.5);
	assert_string_equal(json_string_value(json_object_get(o, "FunctionArn")), "arn:f:$LATEST");
	assert_int_equal(json_integer_value(json_object_get(o, "MaximumRetryAttempts")), 1);
	assert_int_equal(json_integer_value(json_object_get(o, "MaximumEventAgeInSeconds")), 60);
	json_decref(o);
	/* the destinations are one setting */
	assert_int_equal(parse("{\"DestinationConfig\":{\"OnFailure\":{\"Destination\":\"\"}}}"), 0);
	assert_string_equal(c.on_success, "");
	assert_string_equal(c.on_failure, "");
	o = lambda_eventinvoke_json(&c, "a");
	assert_int_equal(json_object_size(json_object_get(json_object_get(o, "DestinationConfig"), "OnSuccess")), 0);
	json_decref(o);
}

static void what_is_wrong(void **state)
{
	evconfig_default(&c);
	refused("{}", LAMBDA_INVALID_PARAMETER, "at least one");
	refused("", LAMBDA_INVALID_PARAMETER, "at least one");
	refused("{", LAMBDA_INVALID_REQUEST_CONTENT, "parse");
	refused("{\"MaximumRetryAttempts\":3}", LAMBDA_VALIDATION, "maximumRetryAttempts");
	refused("{\"MaximumRetryAttempts\":-1,\"MaximumEventAgeInSeconds\":59}", LAMBDA_VALIDATION, "2 validation errors");
	refused("{\"MaximumEventAgeInSeconds\":21601}", LAMBDA_VALIDATION, "maximumEventAgeInSeconds");
	refused("{\"MaximumRetryAttempts\":\"1\"}", LAMBDA_SERIALIZATION, "");
	refused("{\"DestinationConfig\":{\"OnSuccess\":{\"Destination\":\"arn:aws:sqs:us-east-1:0:q\"}}}",
		LAMBDA_INVALID_PARAMETER, "The destination ARN arn:aws:sqs:us-east-1:0:q is invalid");
	refused("{\"DestinationConfig\":{\"OnFailure\":{\"Destination\":\"arn:aws:sns:us-east-1:0:t\"}}}",
		LAMBDA_INVALID_PARAMETER, "not to the service 'sns'");
	refused("{\"DestinationConfig\":{\"OnSuccess\":{\"Destination\":\"arn:aws:lambda:us-east-1:0:layer:l\"}}}",
		LAMBDA_VALIDATION, "destinationConfig.onSuccess.destination");
	refused("{\"DestinationConfig\":{\"OnSuccess\":{\"Destination\":\"arn:aws:sqs:\u00fc\"}}}", LAMBDA_VALIDATION,
		"destinationConfig.onSuccess.destination");
	refused("{\"DestinationConfig\":{\"OnFailure\":[]}}", LAMBDA_SERIALIZATION, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_and_merged), cmocka_unit_test(what_is_wrong),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
