/* Resource policies and tags. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "scheduler/lambda/policy.h"
#include "scheduler/lambda/tags.h"

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:f"

/* A literal and its length. */
#define LIT(text) text, sizeof(text) - 1

static struct lambda_err err;

static void permission(const char *body, const char *wanted)
{
	struct lambda_permission p;

	if (lambda_permission_parse(body, strlen(body), ARN, &p, &err))
		fail_msg("%s: %s", body, err.message);
	assert_string_equal(p.statement, wanted);
	lambda_permission_fini(&p);
}

static void statements_are_made(void **state)
{
	permission("{\"StatementId\":\"s3\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"s3.amazonaws.com\","
		   "\"SourceArn\":"
		   "\"arn:aws:s3:::b\",\"SourceAccount\":\"123456789012\"}",
		   "{\"Sid\":\"s3\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"s3.amazonaws.com\"},\"Action\":"
		   "\"lambda:InvokeFunction\",\"Resource\":\"" ARN "\",\"Condition\":{\"ArnLike\":{\"AWS:SourceArn\":"
		   "\"arn:aws:s3:::b\"},\"StringEquals\":{\"AWS:SourceAccount\":\"123456789012\"}}}");
	permission("{\"StatementId\":\"u\",\"Action\":\"lambda:InvokeFunctionUrl\",\"Principal\":\"*\","
		   "\"FunctionUrlAuthType\":"
		   "\"NONE\"}",
		   "{\"Sid\":\"u\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"lambda:InvokeFunctionUrl\","
		   "\"Resource\":\""
		   ARN "\",\"Condition\":{\"StringEquals\":{\"lambda:FunctionUrlAuthType\":\"NONE\"}}}");
	permission("{\"StatementId\":\"a\",\"Action\":\"*\",\"Principal\":\"123456789012\"}",
		   "{\"Sid\":\"a\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::123456789012:root\"},"
		   "\"Action\":\"*\","
		   "\"Resource\":\"" ARN "\"}");
}

static void wrong_permissions_are_refused(void **state)
{
	static const char *const bad[] = {
		"{}", "{\"StatementId\":\"a b\",\"Action\":\"*\",\"Principal\":\"*\"}",
		"{\"StatementId\":\"a\",\"Action\":\"s3:Get\",\"Principal\":\"*\"}",
		"{\"StatementId\":\"a\",\"Action\":\"*\",\"Principal\":\"x y\"}",
		"{\"StatementId\":\"a\",\"Action\":\"*\",\"Principal\":\"*\",\"SourceAccount\":\"12\"}",
		"{\"StatementId\":\"a\",\"Action\":\"*\",\"Principal\":\"*\",\"FunctionUrlAuthType\":\"x\"}",
	};
	struct lambda_permission p;

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		assert_int_not_equal(lambda_permission_parse(bad[i], strlen(bad[i]), ARN, &p, &err), 0);
		assert_int_equal(err.type, LAMBDA_VALIDATION);
	}
}

static void a_policy_grows_and_shrinks(void **state)
{
	struct lambda_permission p = {.sid = "a", .statement = (char *)"{\"Sid\":\"a\"}"};
	struct lambda_permission q = {.sid = "b", .statement = (char *)"{\"Sid\":\"b\"}"};
	char *one, *two, *rest, *none, *document;

	assert_int_equal(lambda_policy_add("", &p, &one, &err), 0);
	assert_int_equal(lambda_policy_add(one, &q, &two, &err), 0);
	document = lambda_policy_document(two);
	assert_string_equal(document,
			    "{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[{\"Sid\":\"a\"},{\"Sid\":"
			    "\"b\"}]}");
	assert_int_not_equal(lambda_policy_add(two, &p, &rest, &err), 0);
	assert_int_equal(err.type, LAMBDA_RESOURCE_CONFLICT);
	assert_int_equal(lambda_policy_remove(two, "a", &rest, &err), 0);
	assert_int_not_equal(lambda_policy_remove(rest, "a", &none, &err), 0);
	assert_int_equal(err.type, LAMBDA_RESOURCE_NOT_FOUND);
	assert_int_equal(lambda_policy_remove(rest, "b", &none, &err), 0);
	assert_string_equal(none, "");
	free(document);
	free(none);
	free(rest);
	free(two);
	free(one);
}

static void a_policy_has_a_size(void **state)
{
	struct lambda_permission p = {0};
	char *statements = strdup(""), *more, sid[512];
	int rc = 0;

	for (unsigned i = 0; i < 200 && rc == 0; i++) {
		snprintf(p.sid, sizeof(p.sid), "s%u", i);
		snprintf(sid, sizeof(sid), "{\"Sid\":\"%s\",\"x\":\"%0280u\"}", p.sid, i);
		p.statement = sid;
		rc = lambda_policy_add(statements, &p, &more, &err);
		if (rc == 0) {
			free(statements);
			statements = more;
		}
	}
	assert_int_not_equal(rc, 0);
	assert_int_equal(err.type, LAMBDA_POLICY_TOO_LONG);
	free(statements);
}

static void tags_are_added_and_removed(void **state)
{
	static const char *const keys[] = {"a", "missing"};
	enum fn_reuse reuse = FN_DESTROY;
	char *one, *two, *three;

	assert_int_equal(lambda_tags_add("", LIT("{\"Tags\":{\"b\":\"2\",\"a\":\"1\"}}"), &one, &err), 0);
	assert_string_equal(one, "{\"a\":\"1\",\"b\":\"2\"}");
	assert_int_equal(lambda_tags_add(one, LIT("{\"Tags\":{\"stoker:reuse\":\"reset\",\"a\":\"3\"}}"), &two, &err),
			 0);
	assert_string_equal(two, "{\"a\":\"3\",\"b\":\"2\",\"stoker:reuse\":\"reset\"}");
	assert_true(lambda_tags_reuse(two, &reuse));
	assert_int_equal(reuse, FN_RESET);
	assert_false(lambda_tags_reuse(one, &reuse));
	assert_false(lambda_tags_reuse(NULL, &reuse));
	assert_int_equal(lambda_tags_remove(two, keys, 2, &three, &err), 0);
	assert_string_equal(three, "{\"b\":\"2\",\"stoker:reuse\":\"reset\"}");
	free(three);
	free(two);
	assert_int_not_equal(lambda_tags_add(one, LIT("{}"), &two, &err), 0);
	assert_int_equal(err.type, LAMBDA_VALIDATION);
	assert_int_not_equal(lambda_tags_add(one, LIT("{\"Tags\":{\"\":\"\"}}"), &two, &err), 0);
	assert_int_equal(err.type, LAMBDA_INVALID_PARAMETER);
	free(one);
}

static void there_are_fifty_tags_at_most(void **state)
{
	char body[2000];
	size_t n = (size_t)snprintf(body, sizeof(body), "{\"Tags\":{");
	char *tags, *more;

	for (unsigned i = 0; i < 50; i++)
		n += (size_t)snprintf(body + n, sizeof(body) - n, "%s\"k%u\":\"v\"", i ? "," : "", i);
	snprintf(body + n, sizeof(body) - n, "}}");
	assert_int_equal(lambda_tags_add(NULL, body, strlen(body), &tags, &err), 0);
	assert_int_equal(lambda_tags_add(tags, LIT("{\"Tags\":{\"k7\":\"w\"}}"), &more, &err), 0);
	free(more);
	assert_int_not_equal(lambda_tags_add(tags, LIT("{\"Tags\":{\"one\":\"w\"}}"), &more, &err), 0);
	assert_int_equal(err.type, LAMBDA_INVALID_PARAMETER);
	free(tags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statements_are_made),
		cmocka_unit_test(wrong_permissions_are_refused),
		cmocka_unit_test(a_policy_grows_and_shrinks),
		cmocka_unit_test(a_policy_has_a_size),
		cmocka_unit_test(tags_are_added_and_removed),
		cmocka_unit_test(there_are_fifty_tags_at_most),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
