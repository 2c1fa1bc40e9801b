/* What a function finds in its environment. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "snapshots/funcenv.h"

static struct gw_kv kv[GW_MAX_ENV];
static unsigned count;
static char buf[SNAP_FUNCENV_BUF];
static struct stk_err err;

static const char *handler = "app.handler", *region, *account, *log_level, *log_group;
static bool snapstart;

static int build(const char *own, size_t own_len, const char *runtime)
{
	const struct snap_funcenv_spec spec = {
		.name = "hello", .version = "7", .handler = handler, .runtime = runtime,
		.region = region, .account = account, .memory_mib = 256, .log_level = log_level, .log_group = log_group,
		.snapstart = snapstart, .own = own, .own_len = own_len,
	};

	memset(&err, 0, sizeof(err));
	count = 99;
	return snap_funcenv_build(kv, &count, &spec, buf, sizeof(buf), &err);
}

/* Value as a string, NULL when not there; a name is never there twice. */
static const char *value(const char *key)
{
	static char text[512];
	const char *found = NULL;

	for (unsigned i = 0; i < count; i++) {
		if (kv[i].key_len != strlen(key) || memcmp(kv[i].key, key, kv[i].key_len) != 0)
			continue;
		assert_null(found);
		snprintf(text, sizeof(text), "%.*s", (int)kv[i].value_len, kv[i].value);
		found = text;
	}
	return found;
}

static void test_hosts_own(void **state)
{
	assert_int_equal(build(NULL, 0, "python3"), 0);
	assert_string_equal(value("_HANDLER"), "app.handler");
	assert_string_equal(value("AWS_LAMBDA_FUNCTION_NAME"), "hello");
	assert_string_equal(value("AWS_LAMBDA_FUNCTION_VERSION"), "7");
	assert_string_equal(value("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), "256");
	assert_string_equal(value(".memory_mib"), "256");
	assert_string_equal(value("AWS_LAMBDA_RUNTIME_API"), "127.0.0.1:9001");
	assert_string_equal(value("AWS_LAMBDA_INITIALIZATION_TYPE"), "on-demand");
	assert_string_equal(value("AWS_LAMBDA_LOG_GROUP_NAME"), "/aws/lambda/hello");
	assert_int_equal(strlen(value("AWS_LAMBDA_LOG_STREAM_NAME")), 11 + 3 + 32);
	assert_non_null(strstr(value("AWS_LAMBDA_LOG_STREAM_NAME"), "/[7]"));
	assert_string_equal(value("AWS_XRAY_CONTEXT_MISSING"), "LOG_ERROR");
	assert_string_equal(value("AWS_EXECUTION_ENV"), "AWS_Lambda_python3");
	assert_string_equal(value("AWS_REGION"), SNAP_REGION);
	assert_string_equal(value("AWS_DEFAULT_REGION"), SNAP_REGION);
	assert_null(value(".account"));
	region = "eu-west-1";
	account = "111122223333";
	assert_int_equal(build(NULL, 0, "python3"), 0);
	region = account = NULL;
	assert_string_equal(value(".account"), "111122223333");
	assert_string_equal(value("AWS_REGION"), "eu-west-1");
	assert_string_equal(value("AWS_DEFAULT_REGION"), "eu-west-1");
	assert_string_equal(value("LAMBDA_TASK_ROOT"), "/var/task");
	assert_string_equal(value("TZ"), ":UTC");
	assert_int_equal(build(NULL, 0, "provided"), 0);
	assert_null(value("AWS_EXECUTION_ENV"));
	assert_int_equal(build(NULL, 0, NULL), 0);
	assert_null(value("AWS_EXECUTION_ENV"));
}

static void test_functions_own(void **state)
{
	static const char own[] = "GREETING=hi=there\0EMPTY=\0PATH=/opt/only\0AWS_ACCESS_KEY_ID=k";

	assert_int_equal(build(own, sizeof(own), "python3"), 0); /* with the last NUL */
	assert_string_equal(value("GREETING"), "hi=there");
	assert_string_equal(value("EMPTY"), "");
	assert_string_equal(value("PATH"), "/opt/only");
	assert_string_equal(value("AWS_ACCESS_KEY_ID"), "k");
	assert_int_equal(build(own, sizeof(own) - 1, "python3"), 0); /* and without */
	assert_string_equal(value("AWS_ACCESS_KEY_ID"), "k");
}

static void test_logging(void **state)
{
	assert_int_equal(build(NULL, 0, "python3"), 0);
	assert_null(value("AWS_LAMBDA_LOG_FORMAT"));
	assert_null(value("AWS_LAMBDA_LOG_LEVEL"));
	log_level = "WARN";
	log_group = "/my/group";
	assert_int_equal(build(NULL, 0, "python3"), 0);
	log_level = log_group = NULL;
	assert_string_equal(value("AWS_LAMBDA_LOG_FORMAT"), "JSON");
	assert_string_equal(value("AWS_LAMBDA_LOG_LEVEL"), "WARN");
	assert_string_equal(value("AWS_LAMBDA_LOG_GROUP_NAME"), "/my/group");
}

static void refused(const char *own, int code, const char *message)
{
	assert_int_equal(build(own, strlen(own), "python3"), code);
	assert_int_equal(count, 99); /* untouched */
	if (!strstr(err.text, message))
		fail_msg("\"%s\" does not say \"%s\"", err.text, message);
	assert_null(strstr(err.text, "secret"));
}

static void test_refusals(void **state)
{
	static const char twice[] = "AB=secret\0AB=secret";

	refused("AWS_LAMBDA_FUNCTION_NAME=secret", -EINVAL, "AWS_LAMBDA_FUNCTION_NAME is set by the host");
	refused("_HANDLER=secret", -EINVAL, "_HANDLER is set by the host");
	refused("AWS_REGION=secret", -EINVAL, "AWS_REGION is set by the host");
	refused(".hostname=secret", -EINVAL, ".hostname is set by the host");
	refused("secret", -EINVAL, "expected NAME=VALUE");
	refused("=secret", -EINVAL, "expected NAME=VALUE");
	refused("A=secret", -EINVAL, "expected NAME=VALUE");
	refused("A-B=secret", -EINVAL, "expected NAME=VALUE");
	assert_int_equal(build(twice, sizeof(twice), "python3"), -EINVAL);
	assert_non_null(strstr(err.text, "AB is given twice"));
	assert_int_equal(build("AWS_LAMBDA_EXEC_WRAPPER=/opt/w", 30, "python3"), 0);
	assert_string_equal(value("AWS_LAMBDA_EXEC_WRAPPER"), "/opt/w");
	/* The host's own, of which a function may choose one of two values. */
	assert_int_equal(build("AWS_LAMBDA_INITIALIZATION_TYPE=snap-start", 41, "python3"), 0);
	assert_string_equal(value("AWS_LAMBDA_INITIALIZATION_TYPE"), "snap-start");
	assert_string_equal(value(".snapstart"), "1");
	assert_int_equal(build("AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", 40, "python3"), 0);
	assert_null(value(".snapstart"));
	snapstart = true; /* by the host: the function's choice is the stronger one */
	assert_int_equal(build("AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", 40, "python3"), 0);
	assert_string_equal(value("AWS_LAMBDA_INITIALIZATION_TYPE"), "on-demand");
	assert_null(value(".snapstart"));
	assert_int_equal(build(NULL, 0, "python3"), 0);
	assert_string_equal(value("AWS_LAMBDA_INITIALIZATION_TYPE"), "snap-start");
	assert_string_equal(value(".snapstart"), "1");
	snapstart = false;
	refused("AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency", -EINVAL,
		"AWS_LAMBDA_INITIALIZATION_TYPE is set by the host");
}

static void test_limits(void **state)
{
	static char own[SNAP_FUNCENV_MAX + 1];
	size_t len = 0;

	memset(own, 'x', sizeof(own));
	memcpy(own, "BIG=", 4);
	assert_int_equal(build(own, SNAP_FUNCENV_MAX, "python3"), 0);
	assert_int_equal(build(own, SNAP_FUNCENV_MAX + 1, "python3"), -E2BIG);
	/* as many as 4 KiB hold: all of them are there */
	for (unsigned a = 0; a < 26; a++)
		for (unsigned b = 0; b < 62 && len + 4 <= SNAP_FUNCENV_MAX; b++, len += 4) {
			const char name[] = {(char)('A' + a), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[b],
					     '=', '\0'};

			memcpy(own + len, name, 4);
		}
	assert_true(len == SNAP_FUNCENV_MAX);
	assert_int_equal(build(own, len, "python3"), 0);
	assert_true(count > SNAP_FUNCENV_MAX / 4);
	assert_string_equal(value("QJ"), "");
}

/* The list fits into a START frame and comes out of it as it was. */
static void test_through_a_frame(void **state)
{
	static struct gw_start in, out;
	static uint8_t frame[65536 + GW_HEADER_LEN];
	int n;

	assert_int_equal(build("GREETING=hi", 11, "python3"), 0);
	memcpy(in.kv, kv, sizeof(kv));
	in.kv_count = count;
	n = gw_start_encode(frame, sizeof(frame), &in);
	assert_true(n > 0);
	assert_int_equal(gw_start_decode(frame + GW_HEADER_LEN, (size_t)n - GW_HEADER_LEN, &out), 0);
	assert_int_equal(out.kv_count, count);
	memcpy(kv, out.kv, sizeof(kv));
	assert_string_equal(value("GREETING"), "hi");
	assert_string_equal(value("_HANDLER"), "app.handler");
}

static void test_web_servers(void **state)
{
	static const struct {
		const char *handler, *port, *ready;
	} good[] = {{"http", "8080", NULL}, {"http:3000", "3000", NULL}, {"http:65535/a/b", "65535", "/a/b"},
		    {"http/healthz", "8080", "/healthz"}, {"https.handler", NULL, NULL}, {"http.handler", NULL, NULL}};
	static const char *const bad[] = {"http:", "http:0", "http:65536", "http:9001", "http:80x", "http:99999999999999999999"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		handler = good[i].handler;
		assert_int_equal(build(NULL, 0, "provided"), 0);
		for (int k = 0; k < 3; k++) {
			const char *want = k < 2 ? good[i].port : good[i].ready;
			const char *got = value(k == 0 ? "PORT" : k == 1 ? ".http_port" : ".http_ready");

			assert_int_equal(!want, !got);
			if (want)
				assert_string_equal(got, want);
		}
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		handler = bad[i];
		assert_int_equal(build(NULL, 0, "provided"), -EINVAL);
	}
	handler = "app.handler";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_web_servers),
		cmocka_unit_test(test_hosts_own), cmocka_unit_test(test_functions_own),
		cmocka_unit_test(test_logging),   cmocka_unit_test(test_refusals),  cmocka_unit_test(test_limits),
		cmocka_unit_test(test_through_a_frame),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
