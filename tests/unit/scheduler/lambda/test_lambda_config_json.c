/* What clients are shown. */
#include "tests/unit/unit.h"

#include <string.h>

#include "scheduler/lambda/config_json.h"

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:f"

static const struct lambda_config_view plain = {
	.arn = ARN,
	.name = "f",
	.version = "$LATEST",
	.runtime = "provided.al2023",
	.handler = "bootstrap",
	.memory_mib = 128,
	.timeout_s = 3,
	.storage_mib = 512,
	.extra = "{\"Role\":\"arn:aws:iam::123456789012:role/r\"}",
	.code_size = 1234,
	.sha256 = "c2hh",
	.last_modified_ms = 1795294395007,
	.revision = "11111111-2222-4333-8444-555555555555",
	.state = "Pending",
	.state_reason = "The function is being created.",
	.state_reason_code = "Creating",
};

static void check(json_t *o, const char *wanted)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15));

	assert_non_null(text);
	assert_string_equal(text, wanted);
	free(text);
	json_decref(o);
}

static void a_new_function_is_shown_with_its_defaults(void **state)
{
	check(lambda_config_json(&plain, false),
	      "{\"FunctionName\":\"f\",\"FunctionArn\":\"" ARN "\",\"Runtime\":\"provided.al2023\",\"Role\":"
	      "\"arn:aws:iam::123456789012:role/r\",\"Handler\":\"bootstrap\",\"CodeSize\":1234,\"Description\":\"\","
	      "\"Timeout\":3,"
	      "\"MemorySize\":128,\"LastModified\":\"2026-11-21T20:53:15.007+0000\",\"CodeSha256\":\"c2hh\","
	      "\"Version\":\"$LATEST\","
	      "\"TracingConfig\":{\"Mode\":\"PassThrough\"},\"RevisionId\":\"11111111-2222-4333-8444-555555555555\","
	      "\"State\":"
	      "\"Pending\",\"StateReason\":\"The function is being created.\",\"StateReasonCode\":\"Creating\","
	      "\"PackageType\":\"Zip\","
	      "\"Architectures\":[\"x86_64\"],\"EphemeralStorage\":{\"Size\":512},\"SnapStart\":{\"ApplyOn\":\"None\","
	      "\"OptimizationStatus\":\"Off\"},\"LoggingConfig\":{\"LogFormat\":\"Text\",\"LogGroup\":"
	      "\"/aws/lambda/f\"}}");
}

static void what_was_given_is_shown(void **state)
{
	static const char env[] = "A1=x=y\0B_=";
	static const struct lambda_layer_view layers[] = {{"L1", 5000000000}, {"L2", 7}};
	struct lambda_config_view v = plain;
	json_t *o;

	v.arn = ARN ":3";
	v.version = "3";
	v.env = env;
	v.env_len = sizeof(env);
	v.has_env = true;
	v.state = "Active";
	v.state_reason = v.state_reason_code = NULL;
	v.last_update_status = "Successful";
	v.runtime_version_arn = "arn:x";
	v.extra = "{\"Description\":\"d\",\"Layers\":[\"L1\"],"
		  "\"LoggingConfig\":"
		  "{\"LogFormat\":\"JSON\",\"SystemLogLevel\":\"WARN\"},\"SnapStart\":{\"ApplyOn\":"
		  "\"PublishedVersions\"},"
		  "\"VpcConfig\":{\"SecurityGroupIds\":[],\"SubnetIds\":[\"s\"]},\"DeadLetterConfig\":{\"TargetArn\":"
		  "\"arn:t\"}}";
	v.storage_mib = 600;
	v.layers = layers;
	v.layer_count = 2;
	o = lambda_config_json(&v, false);
	assert_string_equal(json_string_value(json_object_get(o, "Role")), "");
	assert_string_equal(json_string_value(json_object_get(o, "LastUpdateStatus")), "Successful");
	assert_null(json_object_get(o, "StateReason"));
	check(json_deep_copy(json_object_get(o, "EphemeralStorage")), "{\"Size\":600}");
	check(json_deep_copy(json_object_get(o, "Environment")), "{\"Variables\":{\"A1\":\"x=y\",\"B_\":\"\"}}");
	check(json_deep_copy(json_object_get(o, "Layers")),
	      "[{\"Arn\":\"L1\",\"CodeSize\":5000000000},{\"Arn\":\"L2\",\"CodeSize\":7}]");
	check(json_deep_copy(json_object_get(o, "LoggingConfig")),
	      "{\"LogFormat\":\"JSON\",\"ApplicationLogLevel\":\"INFO\",\"SystemLogLevel\":\"WARN\",\"LogGroup\":"
	      "\"/aws/lambda/f\"}");
	check(json_deep_copy(json_object_get(o, "SnapStart")),
	      "{\"ApplyOn\":\"PublishedVersions\",\"OptimizationStatus\":\"On\"}");
	check(json_deep_copy(json_object_get(o, "VpcConfig")),
	      "{\"SecurityGroupIds\":[],\"SubnetIds\":[\"s\"],\"VpcId\":\"\"}");
	check(json_deep_copy(json_object_get(o, "DeadLetterConfig")), "{\"TargetArn\":\"arn:t\"}");
	check(json_deep_copy(json_object_get(o, "RuntimeVersionConfig")), "{\"RuntimeVersionArn\":\"arn:x\"}");
	json_decref(o);
}

static void items_of_lists_have_no_state(void **state)
{
	struct lambda_config_view v = plain;
	json_t *o;

	v.last_update_status = "Successful";
	v.runtime_version_arn = "arn:x";
	o = lambda_config_json(&v, true);
	assert_null(json_object_get(o, "State"));
	assert_null(json_object_get(o, "StateReasonCode"));
	assert_null(json_object_get(o, "LastUpdateStatus"));
	assert_null(json_object_get(o, "RuntimeVersionConfig"));
	assert_null(json_object_get(o, "Environment"));
	assert_non_null(json_object_get(o, "RevisionId"));
	json_decref(o);
	v.extra = "[broken";
	assert_null(lambda_config_json(&v, true));
}

static void aliases_urls_and_provisioned_concurrency_are_shown(void **state)
{
	struct lambda_alias_view a = {.arn = ARN ":p", .name = "p", .version = "1", .revision = "r"};
	struct lambda_url_view u = {.url = "http://h/", .arn = ARN, .created_ms = 0, .modified_ms = 1000};
	struct lambda_provisioned_view p = {.requested = 3, .available = 1, .allocated = 2, .status = "IN_PROGRESS"};

	check(lambda_alias_json(&a),
	      "{\"AliasArn\":\"" ARN ":p\",\"Name\":\"p\",\"FunctionVersion\":\"1\",\"Description\":\"\","
				     "\"RevisionId\":\"r\"}");
	a.to = "2";
	a.weight = 0.1;
	a.description = "d";
	check(lambda_alias_json(&a),
	      "{\"AliasArn\":\"" ARN ":p\",\"Name\":\"p\",\"FunctionVersion\":\"1\",\"Description\":\"d\","
				     "\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":0.1}},\"RevisionId\":"
				     "\"r\"}");
	check(lambda_url_json(&u, true),
	      "{\"FunctionUrl\":\"http://h/\",\"FunctionArn\":\"" ARN "\",\"AuthType\":\"NONE\","
					 "\"CreationTime\":\"1970-01-01T00:00:00.000+0000\",\"InvokeMode\":"
					 "\"BUFFERED\"}");
	u.cors = "{\"MaxAge\":5}";
	u.iam = u.streaming = true;
	check(lambda_url_json(&u, false),
	      "{\"FunctionUrl\":\"http://h/\",\"FunctionArn\":\"" ARN "\",\"AuthType\":\"AWS_IAM\",\"Cors\":"
					  "{\"MaxAge\":5},\"CreationTime\":\"1970-01-01T00:00:00.000+0000\","
					  "\"LastModifiedTime\":"
					  "\"1970-01-01T00:00:01.000+0000\",\"InvokeMode\":\"RESPONSE_STREAM\"}");
	check(lambda_provisioned_json(&p),
	      "{\"RequestedProvisionedConcurrentExecutions\":3,\"AvailableProvisionedConcurrentExecutions\":1,"
	      "\"AllocatedProvisionedConcurrentExecutions\":2,\"Status\":\"IN_PROGRESS\",\"LastModified\":"
	      "\"1970-01-01T00:00:00.000+0000\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_function_is_shown_with_its_defaults),
		cmocka_unit_test(what_was_given_is_shown),
		cmocka_unit_test(items_of_lists_have_no_state),
		cmocka_unit_test(aliases_urls_and_provisioned_concurrency_are_shown),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
