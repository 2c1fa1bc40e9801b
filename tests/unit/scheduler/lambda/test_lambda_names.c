/* Names and ARNs as clients write them. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "scheduler/lambda/names.h"

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:f"

static const char *parsed(const char *text)
{
	static char out[512];
	struct lambda_name n;
	struct lambda_err err;

	if (lambda_name_parse(text, LAMBDA_TEXT_MAX_NAMESPACED, &n, &err)) {
		assert_int_equal(err.type, LAMBDA_VALIDATION);
		assert_non_null(strstr(err.message, "1 validation error detected: Value '"));
		return "refused";
	}
	snprintf(out, sizeof(out), "%s|%s|%s|%s|%d|%u", n.region, n.account, n.name, n.qualifier, n.kind, n.version);
	return out;
}

static void names_are_read_in_every_form(void **state)
{
	static const char *const rows[][2] = {
		{"f", "||f||0|0"},
		{"f:$LATEST", "||f|$LATEST|1|0"},
		{"f:7", "||f|7|2|7"},
		{"f:prod", "||f|prod|3|0"},
		{"function", "||function||0|0"},
		{"function:f", "||f||0|0"},
		{"function:f:1", "||f|1|2|1"},
		{"123456789012:f", "|123456789012|f||0|0"},
		{"123456789012:function:f:live", "|123456789012|f|live|3|0"},
		{"us-east-1:123456789012:function:f", "us-east-1|123456789012|f||0|0"},
		{ARN, "us-east-1|123456789012|f||0|0"},
		{ARN ":$LATEST", "us-east-1|123456789012|f|$LATEST|1|0"},
		{ARN ":12", "us-east-1|123456789012|f|12|2|12"},
		{"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:a-_9",
		 "us-gov-west-1|123456789012|f|a-_9|3|0"},
		/* numbers that no version has */
		{"f:0", "||f|0|2|0"},
		{"f:007", "||f|007|2|0"},
		{"f:4294967296", "||f|4294967296|2|0"},
		{"f:$LATEST.PUBLISHED", "||f|$LATEST.PUBLISHED|3|0"},
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(rows); i++)
		assert_string_equal(parsed(rows[i][0]), rows[i][1]);
}

static void what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = {
		"", ":", "f:", ":f", "f:a:b", "f g", "f:$latest", "f:$", "a/b", "a.b", "f:\xc3\xa4", "arn:aws:lambda",
		"arn:aws:s3:us-east-1:123456789012:function:f", "arn:aws:lambda:us-east-1:12345:function:f",
		"arn:aws:lambda:us-east-1:123456789012:layer:f", "arn:azure:lambda:us-east-1:123456789012:function:f",
		"arn:aws:lambda:nowhere:123456789012:function:f", ARN ":", ARN ":a:b", "function:function:function:f",
		"f:a b", "::::::::::",
	};
	char text[300];

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++)
		assert_string_equal(parsed(bad[i]), "refused");
	memset(text, 'a', sizeof(text));
	text[64] = '\0';
	assert_string_not_equal(parsed(text), "refused");
	text[64] = 'a';
	text[65] = '\0';
	assert_string_equal(parsed(text), "refused");
	text[65] = 'a';
	text[299] = '\0';
	assert_string_equal(parsed(text), "refused");
	snprintf(text, sizeof(text), "f:%0128d", 1);
	assert_string_not_equal(parsed(text), "refused");
	snprintf(text, sizeof(text), "f:%0129d", 1);
	assert_string_equal(parsed(text), "refused");
}

static void the_longest_text_depends_on_the_operation(void **state)
{
	struct lambda_name n;
	struct lambda_err err;
	char text[160];

	snprintf(text, sizeof(text), "f:%0*d", LAMBDA_TEXT_MAX - 2, 0);
	text[2] = 'a';
	assert_int_not_equal(lambda_name_parse(text, LAMBDA_TEXT_MAX, &n, &err), 0); /* the qualifier has 138 */
	snprintf(text, sizeof(text), "f:%0*d", LAMBDA_TEXT_MAX - 1, 0);
	assert_int_not_equal(lambda_name_parse(text, LAMBDA_TEXT_MAX, &n, &err), 0);
	assert_non_null(strstr(err.message,
			       "at 'functionName' failed to satisfy constraint: Member must have length less "
					    "than or equal to 140"));
}

static void a_qualifier_may_be_given_twice_but_not_two(void **state)
{
	struct lambda_name n;
	struct lambda_err err;

	assert_int_equal(lambda_name_parse("f", 140, &n, &err), 0);
	assert_int_equal(lambda_name_qualify(&n, NULL, &err), 0);
	assert_int_equal(lambda_name_qualify(&n, "", &err), 0);
	assert_int_equal(n.kind, LAMBDA_Q_NONE);
	assert_int_equal(lambda_name_qualify(&n, "3", &err), 0);
	assert_int_equal(n.kind, LAMBDA_Q_NUMBER);
	assert_int_equal(n.version, 3);
	assert_int_equal(lambda_name_qualify(&n, "3", &err), 0);
	assert_int_not_equal(lambda_name_qualify(&n, "prod", &err), 0);
	assert_int_equal(err.type, LAMBDA_INVALID_PARAMETER);
	assert_int_equal(n.version, 3);
	assert_int_not_equal(lambda_name_qualify(&n, "a b", &err), 0);
	assert_int_equal(err.type, LAMBDA_VALIDATION);
}

static void arns_of_elsewhere_name_nothing_here(void **state)
{
	struct lambda_name n;
	struct lambda_err err;

	assert_int_equal(lambda_name_parse(ARN, 140, &n, &err), 0);
	assert_int_equal(lambda_name_here(&n, "us-east-1", "123456789012", &err), 0);
	assert_int_not_equal(lambda_name_here(&n, "eu-west-1", "123456789012", &err), 0);
	assert_int_equal(err.type, LAMBDA_RESOURCE_NOT_FOUND);
	assert_int_not_equal(lambda_name_here(&n, "us-east-1", "000000000000", &err), 0);
	assert_string_equal(err.message, "Function not found: " ARN);
	assert_int_equal(lambda_name_parse("f", 140, &n, &err), 0);
	assert_int_equal(lambda_name_here(&n, "eu-west-1", "000000000000", &err), 0);
}

static void arns_are_written_as_they_are_read(void **state)
{
	char arn[LAMBDA_ARN_MAX], name[65], q[129];
	struct lambda_layer_name layer;
	struct lambda_err err;

	assert_int_equal(lambda_arn(arn, sizeof(arn), "us-east-1", "123456789012", "f", NULL), 0);
	assert_string_equal(arn, ARN);
	assert_int_equal(lambda_arn(arn, sizeof(arn), "cn-north-1", "123456789012", "f", "p"), 0);
	assert_string_equal(arn, "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:p");
	memset(name, 'n', 64);
	name[64] = '\0';
	memset(q, 'q', 128);
	q[128] = '\0';
	assert_int_equal(lambda_arn(arn, sizeof(arn), "us-gov-aaaaaaaaaaaaaaaaaaaaaaaa", "123456789012", name, q), 0);
	assert_int_not_equal(lambda_arn(arn, 40, "us-east-1", "123456789012", "f", NULL), 0);

	assert_int_equal(lambda_layer_arn(arn, sizeof(arn), "us-east-1", "123456789012", "l", 3), 0);
	assert_string_equal(arn, "arn:aws:lambda:us-east-1:123456789012:layer:l:3");
	assert_int_equal(lambda_layer_parse(arn, true, "layers", &layer, &err), 0);
	assert_string_equal(layer.name, "l");
	assert_string_equal(layer.account, "123456789012");
	assert_int_equal(layer.version, 3);
	assert_int_not_equal(lambda_layer_parse(arn, false, "layerName", &layer, &err), 0);
	assert_int_equal(lambda_layer_arn(arn, sizeof(arn), "us-east-1", "123456789012", "l", 0), 0);
	assert_int_equal(lambda_layer_parse(arn, false, "layerName", &layer, &err), 0);
	assert_int_equal(lambda_layer_parse("plain", false, "layerName", &layer, &err), 0);
	assert_string_equal(layer.account, "");
	assert_int_not_equal(lambda_layer_parse("plain", true, "layers", &layer, &err), 0);
	assert_int_not_equal(lambda_layer_parse("arn:aws:lambda:us-east-1:123456789012:layer:l:0", true, "layers",
						&layer,
						&err), 0);
	assert_int_not_equal(lambda_layer_parse("pl ain", false, "layerName", &layer, &err), 0);
	assert_int_not_equal(lambda_layer_parse("", false, "layerName", &layer, &err), 0);
}

static void only_functions_have_tags(void **state)
{
	struct lambda_name n;
	struct lambda_err err;

	assert_int_equal(lambda_tag_resource_parse(ARN, &n, &err), 0);
	assert_string_equal(n.name, "f");
	assert_int_not_equal(lambda_tag_resource_parse(ARN ":1", &n, &err), 0);
	assert_int_equal(err.type, LAMBDA_INVALID_PARAMETER);
	assert_int_not_equal(lambda_tag_resource_parse("f", &n, &err), 0);
	assert_int_equal(err.type, LAMBDA_VALIDATION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_in_every_form),
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(the_longest_text_depends_on_the_operation),
		cmocka_unit_test(a_qualifier_may_be_given_twice_but_not_two),
		cmocka_unit_test(arns_of_elsewhere_name_nothing_here),
		cmocka_unit_test(arns_are_written_as_they_are_read),
		cmocka_unit_test(only_functions_have_tags),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
