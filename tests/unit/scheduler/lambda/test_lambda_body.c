/* Request bodies: what is taken, what is refused and how. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "scheduler/lambda/body.h"
#include "scheduler/lambda/extra.h"

/* A literal and its length. */
#define LIT(text) text, sizeof(text) - 1

#define ROLE  "\"Role\":\"arn:aws:iam::123456789012:role/r\""
#define START "{\"FunctionName\":\"f\",\"Runtime\":\"provided.al2023\",\"Handler\":\"bootstrap\"," ROLE
#define CODE  ",\"Code\":{\"ZipFile\":\"UEsDBA==\"}"

static struct lambda_err err;

/* --- CreateFunction ------------------------------------------------------------------------------------- */

static void create(const char *body, struct lambda_create *c)
{
	if (lambda_create_parse(body, strlen(body), -1, c, &err))
		fail_msg("%s: %s", body, err.message);
}

static const char *create_error(const char *body)
{
	static char out[LAMBDA_MESSAGE_MAX + 64];
	struct lambda_create c = {0};

	if (lambda_create_parse(body, strlen(body), -1, &c, &err) == 0)
		fail_msg("taken: %s", body);
	lambda_create_fini(&c);
	snprintf(out, sizeof(out), "%s: %s", lambda_error_name(err.type), err.message);
	return out;
}

static void a_small_function_has_the_defaults(void **state)
{
	struct lambda_create c;

	create(START CODE "}", &c);
	assert_string_equal(c.name.name, "f");
	assert_string_equal(c.config.settings.runtime, "provided.al2023");
	assert_string_equal(c.config.settings.handler, "bootstrap");
	assert_int_equal(c.config.settings.memory_mib, 128);
	assert_int_equal(c.config.settings.storage_mib, 512);
	assert_int_equal(c.config.settings.timeout_s, 3);
	assert_int_equal(c.config.settings.reuse, FN_DESTROY);
	assert_int_equal(c.config.settings.env_len, 0);
	assert_false(c.publish);
	assert_int_equal(c.code.size, 4);
	assert_string_equal(c.tags, "");
	assert_string_equal(c.config.extra, "{\"Role\":\"arn:aws:iam::123456789012:role/r\"}");
	assert_int_equal(c.config.has, LAMBDA_HAS_RUNTIME | LAMBDA_HAS_HANDLER | LAMBDA_HAS_EXTRA);
	lambda_create_fini(&c);
}

static void everything_given_is_there(void **state)
{
	static const char body[] = START CODE ",\"Timeout\":900,\"MemorySize\":10240,\"Publish\":true,\"Description\":"
					      "\"d\","
		"\"Environment\":{\"Variables\":{\"ZZ\":\"1\",\"A1\":\"x=y\",\"B_\":\"\"}},\"Architectures\":"
		"[\"x86_64\"],"
		"\"Tags\":{\"stoker:reuse\":\"reset\",\"a\":\"b\"},\"EphemeralStorage\":{\"Size\":1024},"
		"\"TracingConfig\":"
		"{\"Mode\":\"Active\"},\"VpcConfig\":null,\"PackageType\":\"Zip\",\"SnapStart\":{\"ApplyOn\":\"None\"},"
		"\"Layers\":[],\"CodeSigningConfigArn\":7,\"DurableConfig\":{\"x\":[1]},\"Unknown\":null}";
	static const char env[] = "A1=x=y\0B_=\0ZZ=1";
	struct lambda_create c;

	create(body, &c);
	assert_int_equal(c.config.settings.timeout_s, 900);
	assert_int_equal(c.config.settings.memory_mib, 10240);
	assert_int_equal(c.config.settings.storage_mib, 1024);
	assert_true(c.publish);
	assert_int_equal(c.config.settings.env_len, sizeof(env));
	assert_memory_equal(c.config.settings.env, env, sizeof(env));
	assert_string_equal(c.tags, "{\"a\":\"b\",\"stoker:reuse\":\"reset\"}");
	assert_int_equal(c.config.settings.reuse, FN_RESET);
	assert_string_equal(c.config.extra, "{\"Description\":\"d\",\"Role\":"
					    "\"arn:aws:iam::123456789012:role/r\",\"TracingConfig\":{\"Mode\":"
					    "\"Active\"}}");
	lambda_create_fini(&c);
}

#define FAILED "failed to satisfy constraint: Member must "

static void constraints_of_the_model_are_validation_errors(void **state)
{
	static const char *const rows[][2] = {
		{START CODE ",\"Timeout\":0}",
		 "1 validation error detected: Value '0' at 'timeout' " FAILED "have value greater than or equal to 1"},
		{START CODE ",\"Timeout\":901}",
		 "Value '901' at 'timeout' " FAILED "have value less than or equal to 900"},
		{START CODE ",\"MemorySize\":127,\"Timeout\":-1}",
		 "2 validation errors detected: Value '127' at 'memorySize' " FAILED
		 "have value greater than or equal to 128; Value '-1' at 'timeout' " FAILED
		 "have value greater than or equal to 1"},
		{START CODE ",\"MemorySize\":10241}", "less than or equal to 10240"},
		{START "}", "Value null at 'code' " FAILED "not be null"},
		{"{\"FunctionName\":\"f\",\"Runtime\":\"r\",\"Handler\":\"h\"" CODE "}",
		 "1 validation error detected: Value null at 'role' " FAILED "not be null"},
		{"{\"FunctionName\":\"f\",\"Role\":\"me\"" CODE "}",
		 "Value 'me' at 'role' " FAILED "satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam"},
		{"{\"FunctionName\":\"a b\"," ROLE CODE "}", "at 'functionName' " FAILED},
		{START CODE ",\"Architectures\":[\"mips\"]}", "Member must satisfy enum value set: [x86_64, arm64]"},
		{START CODE ",\"Architectures\":[]}", "Member must have length greater than or equal to 1"},
		{START CODE ",\"Architectures\":[\"x86_64\",\"arm64\"]}",
		 "Member must have length less than or equal to 1"},
		{START CODE ",\"EphemeralStorage\":{\"Size\":511}}", "at 'ephemeralStorage.size'"},
		{START CODE ",\"EphemeralStorage\":{\"Size\":10241}}", "less than or equal to 10240"},
		{START CODE ",\"EphemeralStorage\":{}}", "Value null at 'ephemeralStorage.size'"},
		{START CODE ",\"TracingConfig\":{\"Mode\":\"On\"}}", "enum value set: [PassThrough, Active]"},
		{START CODE ",\"Environment\":{\"Variables\":{\"9A\":\"\"}}}", "Value '9A' at 'environment.variables'"},
		{START CODE ",\"Environment\":{\"Variables\":{\"_HANDLER\":\"\"}}}",
		 "Value '_HANDLER' at 'environment.variables'"},
		{START CODE ",\"Layers\":[\"x\"]}", "Value 'x' at 'layers'"},
		{START CODE ",\"PackageType\":\"Tar\"}", "enum value set: [Zip, Image]"},
		{START CODE ",\"LoggingConfig\":{\"LogFormat\":\"XML\"}}", "at 'loggingConfig.logFormat'"},
		{"{}", "3 validation errors detected: Value null at 'code'"},
		{"", "3 validation errors detected: Value null at 'code'"},
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(rows); i++) {
		const char *got = create_error(rows[i][0]);

		if (strncmp(got, "ValidationException: ", 21) != 0 || !strstr(got, rows[i][1]))
			fail_msg("%s\n gave %s", rows[i][0], got);
	}
}

static void what_makes_no_sense_here_is_an_invalid_parameter(void **state)
{
	static const char *const rows[][2] = {
		{"{\"FunctionName\":\"f\"," ROLE CODE "}", "Runtime and Handler are mandatory"},
		{"{\"FunctionName\":\"f\",\"Runtime\":\"provided\"," ROLE CODE "}", "Runtime and Handler are "
										    "mandatory"},
		{"{\"FunctionName\":\"f:1\"," ROLE CODE "}", "without a version or alias"},
		{START ",\"Code\":{}}", "Please provide a source for function code."},
		{START ",\"Code\":{\"ZipFile\":\"\"}}", "Uploaded file must be a non-empty zip"},
		{START ",\"Code\":{\"S3Bucket\":\"b\",\"S3Key\":\"k\"}}", "no code from S3"},
		{START ",\"Code\":{\"ImageUri\":\"i\"}}", "no container images"},
		{START ",\"Code\":{\"S3Bucket\":\"b\",\"ZipFile\":\"UEsDBA==\"}}", "do not provide other FunctionCode "
										   "parameters"},
		{START CODE ",\"PackageType\":\"Image\"}", "no container images"},
		{START CODE ",\"Architectures\":[\"arm64\"]}", "x86_64 functions only"},
		{START CODE ",\"Environment\":{\"Variables\":{\"AWS_REGION\":\"x\",\"A1\":\"\",\"AWS_LAMBDA_X\":\"\"}}"
			    "}",
		 "Reserved keys used in this request: AWS_LAMBDA_X, AWS_REGION"},
		{START CODE ",\"Tags\":{\"aws:x\":\"y\"}}", "reserved"},
		{START CODE ",\"Tags\":{\"stoker:reuse\":\"maybe\"}}", "\"destroy\" or \"reset\""},
		{START CODE ",\"LoggingConfig\":{\"ApplicationLogLevel\":\"DEBUG\"}}", "LogFormat \"JSON\""},
		{"{\"FunctionName\":\"f\",\"Runtime\":\"no/such\",\"Handler\":\"h\"," ROLE CODE "}", "Value no/such "
												     "at 'runtime'"},
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(rows); i++) {
		const char *got = create_error(rows[i][0]);

		if (strncmp(got, "InvalidParameterValueException: ", 32) != 0 || !strstr(got, rows[i][1]))
			fail_msg("%s\n gave %s", rows[i][0], got);
	}
}

static void bad_json_and_wrong_types_are_told_apart(void **state)
{
	static const char *const json[] = {
		"{", "x", "7", "{\"a\":1,}", START CODE, "{\"a\":\"\\u0000\"}", "{\"a\":1,\"a\":2}", "\xff",
		START CODE CODE "}", START ",\"Code\":{\"ZipFile\":\"AAAA\",\"ZipFile\":\"\"}}",
		"{\"a\":99999999999999999999}",
	};
	static const char *const types[] = {
		"[]", START CODE ",\"Timeout\":\"3\"}", START CODE ",\"Timeout\":3.5}", START CODE ",\"Publish\":1}",
		START CODE ",\"Environment\":[]}", START CODE ",\"Environment\":{\"Variables\":{\"A1\":1}}}",
		START CODE ",\"Description\":[]}", START ",\"Code\":\"UEsDBA==\"}", START ",\"Code\":{\"ZipFile\":7}}",
		START ",\"Code\":{\"ZipFile\":\"?\"}}", START CODE ",\"Layers\":{}}", START CODE ",\"Layers\":[1]}",
		START CODE ",\"Tags\":{\"a\":1}}", START CODE ",\"Tags\":[]}", START CODE ",\"FileSystemConfigs\":[1]}",
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(json); i++) {
		const char *got = create_error(json[i]);

		if (strncmp(got, "InvalidRequestContentException: Could not parse request body into json: ", 72) != 0)
			fail_msg("%s\n gave %s", json[i], got);
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(types); i++) {
		const char *got = create_error(types[i]);

		if (strncmp(got, "SerializationException: ", 24) != 0)
			fail_msg("%s\n gave %s", types[i], got);
	}
}

/* A map of so many bytes as JSON: {"V":"..."} */
static char *with_env(size_t bytes)
{
	size_t cap = bytes + 1000;
	char *body = malloc(cap);
	int n = snprintf(body, cap, START CODE ",\"Environment\":{\"Variables\":{\"VA\":\"");

	memset(body + n, 'x', bytes - 9);
	snprintf(body + (size_t)n + bytes - 9, 10, "\"}}}");
	return body;
}

static void the_environment_has_four_kilobytes(void **state)
{
	char *body = with_env(4096);
	struct lambda_create c;

	create(body, &c);
	assert_int_equal(c.config.settings.env_len, 4096 - 9 + 4);
	lambda_create_fini(&c);
	free(body);
	body = with_env(4097);
	assert_non_null(strstr(create_error(body),
			       "InvalidParameterValueException: Lambda was unable to configure your "
						   "environment variables because the environment variables you have "
						   "provided "
						   "exceeded the 4KB limit"));
	free(body);
}

static void lengths_are_counted_in_characters(void **state)
{
	char description[1100], body[2000];
	struct lambda_create c;

	for (unsigned i = 0; i < 257; i++)
		memcpy(description + i * 3, "\xe2\x82\xac", 4);
	snprintf(body, sizeof(body), START CODE ",\"Description\":\"%s\"}", description);
	assert_non_null(strstr(create_error(body),
			       "at 'description' failed to satisfy constraint: Member must have length less "
						   "than or equal to 256"));
	description[256 * 3] = '\0';
	snprintf(body, sizeof(body), START CODE ",\"Description\":\"%s\"}", description);
	create(body, &c);
	lambda_create_fini(&c);
	memset(description, 'h', 129);
	description[129] = '\0';
	snprintf(body, sizeof(body), START CODE ",\"Handler\":\"%s\"}", description);
	assert_non_null(strstr(create_error(body), "InvalidRequestContent")); /* twice */
	snprintf(body, sizeof(body), "{\"FunctionName\":\"f\",\"Runtime\":\"r\"," ROLE CODE ",\"Handler\":\"%s\"}",
		 description);
	assert_non_null(strstr(create_error(body), "at 'handler'"));
	snprintf(body, sizeof(body), "{\"FunctionName\":\"f\",\"Runtime\":\"r\"," ROLE CODE ",\"Handler\":\"a b\"}");
	assert_non_null(strstr(create_error(body), "at 'handler'"));
	snprintf(body, sizeof(body), "{\"FunctionName\":\"f\",\"Runtime\":\"r\"," ROLE CODE ",\"Handler\":\"http:9001\"}");
	assert_non_null(strstr(create_error(body), "http[:PORT]"));
}

static void large_code_goes_to_a_file_and_the_rest_is_bounded(void **state)
{
	static const char head[] = START ",\"Code\":{\"ZipFile\":\"", tail[] = "\"}}";
	size_t code = 40000000, len = sizeof(head) - 1 + code + sizeof(tail) - 1;
	char *body = malloc(len + LAMBDA_BODY_MAX_JSON);
	int fd = memfd_create("zip", MFD_CLOEXEC);
	struct lambda_create c;

	memcpy(body, head, sizeof(head) - 1);
	memset(body + sizeof(head) - 1, 'A', code);
	memcpy(body + sizeof(head) - 1 + code, tail, sizeof(tail) - 1);
	assert_int_equal(lambda_create_parse(body, len, fd, &c, &err), 0);
	assert_int_equal(c.code.size, code / 4 * 3);
	assert_int_equal(lseek(fd, 0, SEEK_END), code / 4 * 3);
	lambda_create_fini(&c);

	memset(body + len, ' ', LAMBDA_BODY_MAX_JSON);
	assert_int_not_equal(lambda_create_parse(body, len + LAMBDA_BODY_MAX_JSON, fd, &c, &err), 0);
	assert_int_equal(err.type, LAMBDA_ENTITY_TOO_LARGE);
	memset(body, ' ', LAMBDA_BODY_MAX_JSON + 1);
	assert_int_not_equal(lambda_create_parse(body, LAMBDA_BODY_MAX_JSON + 1, fd, &c, &err), 0);
	assert_int_equal(err.type, LAMBDA_ENTITY_TOO_LARGE);
	close(fd);
	free(body);
}

/* --- updates ----------------------------------------------------------------------------------------------- */

static void an_update_of_code_is_read(void **state)
{
	static const char body[] = "{\"ZipFile\":\"UEsDBA==\",\"Publish\":true,\"DryRun\":false,\"RevisionId\":\"r1\","
				   "\"Architectures\":[\"x86_64\"]}";
	struct lambda_update_code u;

	assert_int_equal(lambda_update_code_parse(body, strlen(body), -1, &u, &err), 0);
	assert_true(u.publish);
	assert_false(u.dry_run);
	assert_string_equal(u.revision, "r1");
	assert_int_equal(u.code.size, 4);
	assert_string_equal(u.extra, "{\"Architectures\":null}");
	lambda_update_code_fini(&u);
	assert_int_not_equal(lambda_update_code_parse(LIT("{}"), -1, &u, &err), 0);
	assert_string_equal(err.message, "Please provide a source for function code.");
	/* a name with escapes in it is the same name */
	assert_int_equal(lambda_update_code_parse(LIT("{\"\\u005aipFile\":\"UEsDBA==\"}"), -1, &u, &err), 0);
	assert_int_equal(u.code.size, 4);
	lambda_update_code_fini(&u);
}

static void an_update_changes_only_what_it_names(void **state)
{
	static const char first[] = START CODE ",\"Timeout\":7,\"Description\":\"d\",\"TracingConfig\":{\"Mode\":"
					       "\"Active\"},"
					  "\"Environment\":{\"Variables\":{\"A1\":\"1\"}}}";
	static const char second[] = "{\"MemorySize\":256,\"Description\":\"\",\"EphemeralStorage\":{\"Size\":600},"
				     "\"RevisionId\":\"x\"}";
	struct lambda_update_config u;
	struct lambda_create c;

	create(first, &c);
	assert_int_equal(lambda_update_config_parse(second, strlen(second), &u, &err), 0);
	assert_int_equal(u.config.has, LAMBDA_HAS_MEMORY | LAMBDA_HAS_STORAGE | LAMBDA_HAS_EXTRA);
	assert_string_equal(u.revision, "x");
	assert_int_equal(lambda_config_apply(&u.config, &c.config.settings, &c.config.extra, &err), 0);
	assert_int_equal(c.config.settings.memory_mib, 256);
	assert_int_equal(c.config.settings.storage_mib, 600);
	assert_int_equal(c.config.settings.timeout_s, 7);
	assert_string_equal(c.config.settings.env, "A1=1");
	assert_string_equal(c.config.extra,
			    "{\"Role\":\"arn:aws:iam::123456789012:role/r\","
					    "\"TracingConfig\":{\"Mode\":\"Active\"}}");
	lambda_update_config_fini(&u);

	assert_int_equal(lambda_update_config_parse(LIT("{\"Environment\":{}}"), &u, &err), 0);
	assert_int_equal(lambda_config_apply(&u.config, &c.config.settings, &c.config.extra, &err), 0);
	assert_int_equal(c.config.settings.env_len, 0);
	lambda_update_config_fini(&u);

	assert_int_equal(lambda_update_config_parse(LIT("{}"), &u, &err), 0);
	assert_int_equal(u.config.has, 0);
	assert_int_equal(lambda_config_apply(&u.config, &c.config.settings, &c.config.extra, &err), 0);
	assert_int_equal(c.config.settings.memory_mib, 256);
	assert_int_equal(c.config.settings.storage_mib, 600);
	lambda_update_config_fini(&u);
	lambda_create_fini(&c);
}

static void a_version_is_published(void **state)
{
	struct lambda_publish p;

	assert_int_equal(lambda_publish_parse(LIT(""), &p, &err), 0);
	assert_false(p.has_description);
	assert_int_equal(lambda_publish_parse(LIT("{\"Description\":\"d\",\"CodeSha256\":\"s\",\"RevisionId\":\"r\"}"),
					      &p, &err),
			 0);
	assert_true(p.has_description);
	assert_string_equal(p.description, "d");
	assert_string_equal(p.code_sha256, "s");
	assert_string_equal(p.revision, "r");
}

/* --- aliases and the small ones --------------------------------------------------------------------------------- */

static int alias(const char *body, bool is_create, struct lambda_alias *a)
{
	return is_create ? lambda_alias_create_parse(body, strlen(body), a, &err)
			 : lambda_alias_update_parse(body, strlen(body), a, &err);
}

static void aliases_are_read(void **state)
{
	struct lambda_alias a;

	assert_int_equal(alias("{\"Name\":\"prod\",\"FunctionVersion\":\"1\",\"Description\":\"d\",\"RoutingConfig\":"
			       "{\"AdditionalVersionWeights\":{\"2\":0.25}}}", true, &a), 0);
	assert_string_equal(a.name, "prod");
	assert_int_equal(a.version, 1);
	assert_false(a.latest);
	assert_true(a.routed);
	assert_int_equal(a.to, 2);
	assert_true(a.weight > 0.2499 && a.weight < 0.2501);
	assert_int_equal(a.has, LAMBDA_ALIAS_VERSION | LAMBDA_ALIAS_DESCRIPTION | LAMBDA_ALIAS_ROUTING);
	assert_int_equal(alias("{\"RoutingConfig\":{},\"RevisionId\":\"r\"}", false, &a), 0);
	assert_int_equal(a.has, LAMBDA_ALIAS_ROUTING);
	assert_false(a.routed);
	assert_int_equal(alias("{\"FunctionVersion\":\"$LATEST\"}", false, &a), 0);
	assert_true(a.latest);
	assert_int_equal(alias("{}", false, &a), 0);
	assert_int_equal(a.has, 0);
}

static void wrong_aliases_are_refused(void **state)
{
	static const struct {
		const char *body;
		enum lambda_error_type type;
	} rows[] = {
		{"{\"Name\":\"1\",\"FunctionVersion\":\"1\"}", LAMBDA_VALIDATION},
		{"{\"Name\":\"a b\",\"FunctionVersion\":\"1\"}", LAMBDA_VALIDATION},
		{"{\"FunctionVersion\":\"1\"}", LAMBDA_VALIDATION},
		{"{\"Name\":\"a\"}", LAMBDA_VALIDATION},
		{"{\"Name\":\"a\",\"FunctionVersion\":\"x\"}", LAMBDA_VALIDATION},
		{"{\"Name\":\"a\",\"FunctionVersion\":1}", LAMBDA_SERIALIZATION},
		{"{\"Name\":\"a\",\"FunctionVersion\":\"1\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":"
		 "1.5}}}",
		 LAMBDA_VALIDATION},
		{"{\"Name\":\"a\",\"FunctionVersion\":\"1\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"x\":"
		 "0.5}}}",
		 LAMBDA_VALIDATION},
		{"{\"Name\":\"a\",\"FunctionVersion\":\"1\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":"
		 "\"a\"}}}",
		 LAMBDA_SERIALIZATION},
		{"{\"Name\":\"a\",\"FunctionVersion\":\"1\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":0,"
		 "\"3\":0}}}",
		 LAMBDA_INVALID_PARAMETER},
		{"{\"Name\":\"a\",\"FunctionVersion\":\"1\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"1\":"
		 "0.5}}}",
		 LAMBDA_INVALID_PARAMETER},
		{"{\"Name\":\"a\",\"FunctionVersion\":\"$LATEST\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{"
		 "\"1\":0.5}}}",
		 LAMBDA_INVALID_PARAMETER},
	};
	struct lambda_alias a;

	for (size_t i = 0; i < STK_ARRAY_LEN(rows); i++) {
		assert_int_not_equal(alias(rows[i].body, true, &a), 0);
		if (err.type != rows[i].type)
			fail_msg("%s gave %s: %s", rows[i].body, lambda_error_name(err.type), err.message);
	}
}

static void concurrency_is_a_number(void **state)
{
	unsigned n;

	assert_int_equal(lambda_concurrency_parse(LIT("{\"ReservedConcurrentExecutions\":0}"), &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_not_equal(lambda_concurrency_parse(LIT("{\"ReservedConcurrentExecutions\":-1}"), &n, &err), 0);
	assert_int_not_equal(lambda_concurrency_parse(LIT("{}"), &n, &err), 0);
	assert_int_equal(err.type, LAMBDA_VALIDATION);
	assert_int_not_equal(lambda_provisioned_parse(LIT("{\"ProvisionedConcurrentExecutions\":0}"), &n, &err), 0);
	assert_int_equal(err.type, LAMBDA_VALIDATION);
	assert_int_equal(lambda_provisioned_parse(LIT("{\"ProvisionedConcurrentExecutions\":9}"), &n, &err), 0);
	assert_int_equal(n, 9);
}

static void function_urls_are_read(void **state)
{
	static const char body[] = "{\"AuthType\":\"AWS_IAM\",\"InvokeMode\":\"RESPONSE_STREAM\",\"Cors\":{\"MaxAge\":"
				   "86400,"
				   "\"AllowOrigins\":[\"*\"],\"AllowMethods\":[],\"AllowCredentials\":false,\"x\":1}}";
	struct lambda_url u;

	assert_int_equal(lambda_url_parse(body, strlen(body), true, &u, &err), 0);
	assert_true(u.iam && u.streaming);
	assert_string_equal(u.cors, "{\"AllowCredentials\":false,\"AllowOrigins\":[\"*\"],\"MaxAge\":86400}");
	lambda_url_fini(&u);
	assert_int_not_equal(lambda_url_parse(LIT("{}"), true, &u, &err), 0);
	assert_int_equal(lambda_url_parse(LIT("{\"Cors\":{}}"), false, &u, &err), 0);
	assert_int_equal(u.has, LAMBDA_URL_CORS);
	assert_string_equal(u.cors, "");
	lambda_url_fini(&u);
	assert_int_not_equal(lambda_url_parse(LIT("{\"Cors\":{\"MaxAge\":86401}}"), false, &u, &err), 0);
	assert_non_null(strstr(err.message, "at 'cors.maxAge'"));
	assert_int_not_equal(lambda_url_parse(LIT("{\"AuthType\":\"none\"}"), false, &u, &err), 0);
	assert_int_not_equal(lambda_url_parse(LIT("{\"Cors\":{\"AllowOrigins\":[\"a\\r\\nb\"]}}"), false, &u, &err), 0);
	assert_int_equal(err.type, LAMBDA_VALIDATION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_function_has_the_defaults),
		cmocka_unit_test(everything_given_is_there),
		cmocka_unit_test(constraints_of_the_model_are_validation_errors),
		cmocka_unit_test(what_makes_no_sense_here_is_an_invalid_parameter),
		cmocka_unit_test(bad_json_and_wrong_types_are_told_apart),
		cmocka_unit_test(the_environment_has_four_kilobytes),
		cmocka_unit_test(lengths_are_counted_in_characters),
		cmocka_unit_test(large_code_goes_to_a_file_and_the_rest_is_bounded),
		cmocka_unit_test(an_update_of_code_is_read),
		cmocka_unit_test(an_update_changes_only_what_it_names),
		cmocka_unit_test(a_version_is_published),
		cmocka_unit_test(aliases_are_read),
		cmocka_unit_test(wrong_aliases_are_refused),
		cmocka_unit_test(concurrency_is_a_number),
		cmocka_unit_test(function_urls_are_read),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
