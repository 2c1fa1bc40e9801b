/* The part of a configuration that is only kept. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "scheduler/lambda/effects.h"
#include "scheduler/lambda/extra.h"

static struct lambda_err err;

/* The text of a body's members, defaults left out; "!" and the message when they are refused. */
static const char *kept(const char *body, const char *old)
{
	static char out[LAMBDA_EXTRA_MAX + 2000];
	json_t *o = json_loads(body, 0, NULL), *update;
	char *text = NULL;
	struct members m;
	int rc;

	assert_non_null(o);
	members_init(&m);
	update = lambda_extra_read(&m, o, LAMBDA_EXTRA_CONFIG | LAMBDA_EXTRA_ARCH, &rc, &err);
	if (rc == 0)
		rc = members_finish(&m, &err);
	if (rc == 0)
		rc = lambda_extra_merge(old, update, &text, &err);
	snprintf(out, sizeof(out), "%s%s", rc ? "!" : "", rc ? err.message : text);
	free(text);
	json_decref(update);
	json_decref(o);
	return out;
}

static void defaults_leave_nothing(void **state)
{
	assert_string_equal(kept("{}", NULL), "");
	assert_string_equal(kept("{\"Description\":\"\",\"TracingConfig\":{\"Mode\":\"PassThrough\"},\"SnapStart\":{"
				 "\"ApplyOn\":"
				 "\"None\"},\"Layers\":[],\"FileSystemConfigs\":[],"
				 "\"DeadLetterConfig\":{\"TargetArn\":\"\"},\"DeadLetterConfig\":{},\"KMSKeyArn\":\"\","
				 "\"VpcConfig\":{\"SubnetIds\":[],\"SecurityGroupIds\":[]},\"Architectures\":"
				 "[\"x86_64\"],"
				 "\"LoggingConfig\":{\"LogFormat\":\"Text\"}}", NULL), "");
	assert_string_equal(kept("{\"LoggingConfig\":{\"LogFormat\":\"JSON\",\"ApplicationLogLevel\":\"INFO\","
				 "\"SystemLogLevel\":\"INFO\"}}", ""), "{\"LoggingConfig\":{\"LogFormat\":\"JSON\"}}");
}

static void equal_configurations_have_equal_texts(void **state)
{
	char first[1000];

	snprintf(first, sizeof(first), "%s",
		 kept("{\"VpcConfig\":{\"SubnetIds\":[\"s\"]},\"KMSKeyArn\":\"arn:aws:kms:x\",\"Description\":\"d\"}",
		      NULL));
	assert_string_equal(first,
			    "{\"Description\":\"d\",\"KMSKeyArn\":\"arn:aws:kms:x\",\"VpcConfig\":{"
			    "\"SecurityGroupIds\":[],"
				   "\"SubnetIds\":[\"s\"]}}");
	assert_string_equal(kept("{\"Description\":\"d\",\"KMSKeyArn\":\"arn:aws:kms:x\",\"VpcConfig\":{"
				 "\"SecurityGroupIds\":[],"
				 "\"SubnetIds\":[\"s\"],\"More\":1}}", NULL), first);
}

static void an_update_replaces_whole_members(void **state)
{
	static const char old[] = "{\"Description\":\"d\",\"LoggingConfig\":{\"LogFormat\":\"JSON\",\"LogGroup\":"
				  "\"g\"}}";

	assert_string_equal(kept("{}", old), old);
	assert_string_equal(kept("{\"LoggingConfig\":{\"LogGroup\":\"h\"}}", old),
			    "{\"Description\":\"d\",\"LoggingConfig\":{\"LogGroup\":\"h\"}}");
	assert_string_equal(kept("{\"Description\":\"\",\"LoggingConfig\":{}}", old), "");
	assert_string_equal(kept("{\"Description\":null}", old), old);
}

/* What destinations may be: nothing is kept that would never be used. */
static void where_dead_letters_go(void **state)
{
	static const char *const good[] = {"f", "f:live", "arn:aws:lambda:us-east-1:000000000000:function:f",
					   "http://10.0.0.1:81/dead?x=y", "https://example.org/"};
	static const struct { const char *target, *said; } bad[] = {
		{"arn:aws:sqs:us-east-1:0:q", "!The dead letter target arn:aws:sqs:us-east-1:0:q is invalid"},
		{"arn:aws:sns:us-east-1:0:t", "not to the service 'sns'"},
		{"arn:aws:lambda:us-east-1:0:layer:l", "deadLetterConfig.targetArn"},
		{"arn:aws", "deadLetterConfig.targetArn"},
		{"ftp://x/", "deadLetterConfig.targetArn"},
	};
	char body[300], text[300];

	for (size_t i = 0; i < STK_ARRAY_LEN(good); i++) {
		snprintf(text, sizeof(text), "{\"DeadLetterConfig\":{\"TargetArn\":\"%s\"}}", good[i]);
		assert_string_equal(kept(text, NULL), text);
		assert_string_equal(kept("{\"DeadLetterConfig\":{\"TargetArn\":\"\"}}", text), "");
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		snprintf(body, sizeof(body), "{\"DeadLetterConfig\":{\"TargetArn\":\"%s\"}}", bad[i].target);
		if (*kept(body, NULL) != '!' || !strstr(kept(body, NULL), bad[i].said))
			fail_msg("%s: %s", body, kept(body, NULL));
	}
}

static void one_member_can_be_set(void **state)
{
	char *text;

	assert_int_equal(lambda_extra_set("", "Description", "v1", &text, &err), 0);
	assert_string_equal(text, "{\"Description\":\"v1\"}");
	free(text);
	assert_int_equal(lambda_extra_set("{\"Description\":\"v1\",\"Role\":\"r\"}", "Description", "", &text, &err),
			 0);
	assert_string_equal(text, "{\"Role\":\"r\"}");
	free(text);
}

static void too_much_is_refused(void **state)
{
	char *body = malloc(20000);
	size_t n = (size_t)sprintf(body, "{\"VpcConfig\":{\"SubnetIds\":[");

	for (unsigned i = 0; i < 16; i++)
		n += (size_t)sprintf(body + n, "%s\"%0600u\"", i ? "," : "", i);
	strcpy(body + n, "]}}");
	assert_string_equal(kept(body, NULL), "!The function's configuration is larger than 8191 bytes.");
	free(body);
	assert_non_null(strstr(kept("{\"VpcConfig\":{\"SecurityGroupIds\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]}}",
				    NULL),
			       "at 'vpcConfig.securityGroupIds' failed to satisfy constraint"));
	assert_non_null(strstr(kept("{\"Layers\":[\"L1\",\"L2\",\"L3\",\"L4\",\"L5\",\"L6\"]}", NULL),
			       "6 validation errors"));
}

static void texts_of_elsewhere_are_no_crash(void **state)
{
	char *text;

	assert_int_not_equal(lambda_extra_merge("[1]", NULL, &text, &err), 0);
	assert_int_not_equal(lambda_extra_merge("{", NULL, &text, &err), 0);
}

static struct fn_settings with(const char *extra)
{
	struct fn_settings s;

	fn_settings_init(&s);
	s.logging = (struct fn_logging){.json = true, .app = FN_LOG_FATAL, .group = strdup("before")};
	assert_int_equal(lambda_effects(extra, &s), 0);
	return s;
}

static void effects_of_a_text(void **state)
{
	struct fn_settings a = with("{\"LoggingConfig\":{\"LogFormat\":\"JSON\",\"ApplicationLogLevel\":\"TRACE\","
				    "\"LogGroup\":\"/g\",\"SystemLogLevel\":\"WARN\"}}"), b;

	assert_true(a.logging.json);
	assert_int_equal(a.logging.app, FN_LOG_TRACE);
	assert_int_equal(a.logging.system, FN_LOG_WARN);
	assert_string_equal(a.logging.group, "/g");
	assert_int_equal(fn_settings_copy(&a, &b), 0);
	assert_true(fn_same_guest(&a, &b));
	b.logging.system = FN_LOG_DEBUG; /* the guest does not see it */
	assert_true(fn_same_guest(&a, &b));
	b.logging.app = FN_LOG_DEBUG;
	assert_false(fn_same_guest(&a, &b));
	b.logging.app = a.logging.app;
	b.logging.group[1] = 'h';
	assert_false(fn_same_guest(&a, &b));
	fn_settings_fini(&b);
	assert_false(a.snapstart);
	b = with("{\"SnapStart\":{\"ApplyOn\":\"PublishedVersions\"}}");
	assert_true(b.snapstart);
	fn_settings_fini(&b);
	b = with("{\"LoggingConfig\":{\"LogFormat\":\"JSON\"}}");
	assert_int_equal(b.logging.app, FN_LOG_INFO);
	assert_int_equal(b.logging.system, FN_LOG_INFO);
	assert_null(b.logging.group);
	fn_settings_fini(&b);
	/* Defaults; what could not be a member; no text of ours. */
	for (int i = 0; i < 4; i++) {
		static const char *const texts[] = {NULL, "{\"Description\":\"JSON\"}", "{\"LoggingConfig\":{\"LogGroup\":\"a b\"}}",
						    "{\"LoggingConfig\":"};

		b = with(texts[i]);
		assert_false(b.logging.json);
		assert_null(b.logging.group);
		assert_false(fn_same_guest(&a, &b));
		fn_settings_fini(&b);
	}
	fn_settings_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(effects_of_a_text),
		cmocka_unit_test(defaults_leave_nothing),
		cmocka_unit_test(equal_configurations_have_equal_texts),
		cmocka_unit_test(an_update_replaces_whole_members),
		cmocka_unit_test(where_dead_letters_go),
		cmocka_unit_test(one_member_can_be_set),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(texts_of_elsewhere_are_no_crash),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
