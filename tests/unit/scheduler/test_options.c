/* Options: precedence, ranges, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "scheduler/options.h"

static int parse(const char *const *args, struct options *o, struct stk_err *err)
{
	char *argv[32] = {(char *)"stokerd"};
	int n = 1;

	for (; args[n - 1]; n++)
		argv[n] = (char *)(size_t)args[n - 1];
	memset(err, 0, sizeof(*err));
	return options_parse(n, argv, o, err);
}

static void defaults(void **state)
{
	struct options o;
	struct stk_err err;

	assert_int_equal(parse((const char *[]){NULL}, &o, &err), 0);
	assert_string_equal(o.listen_host, "127.0.0.1");
	assert_int_equal(o.listen_port, 8080);
	assert_int_equal(o.pool_floor, 1);
	assert_int_equal(o.pool_ceiling, 16);
	assert_int_equal(o.queue_limit, 1000);
	assert_string_equal(o.region, "us-east-1");
	assert_int_equal(parse((const char *[]){"--region", "us-gov-west-1", NULL}, &o, &err), 0);
	assert_string_equal(o.region, "us-gov-west-1");
	assert_string_equal(o.url_domain, "");
	assert_int_equal(parse((const char *[]){"--url-domain", "fn.example.org:81", NULL}, &o, &err), 0);
	assert_string_equal(o.url_domain, "fn.example.org:81");
}

static void flags_in_both_forms(void **state)
{
	struct options o;
	struct stk_err err;

	assert_int_equal(parse((const char *[]){"--listen", "[::1]:0", "--state=/s", "--pool-floor", "0",
						"--memory-budget=4096", "--log-level", "debug", NULL},
			       &o, &err), 0);
	assert_string_equal(o.listen_host, "::1");
	assert_int_equal(o.listen_port, 0);
	assert_string_equal(o.state_dir, "/s");
	assert_int_equal(o.pool_floor, 0);
	assert_int_equal(o.memory_budget_mib, 4096);
	assert_int_equal(o.log_level, STK_LOG_DEBUG);
	assert_int_equal(parse((const char *[]){"--listen", "unix:/run/s.sock", NULL}, &o, &err), 0);
	assert_true(o.listen_unix);
	assert_string_equal(o.listen_host, "/run/s.sock");
}

static void refused(void **state)
{
	static const char *const bad[][3] = {
		{"--listen", "8080", NULL},        {"--listen", "h:70000", NULL}, {"--listen", ":1", NULL},
		{"--listen", "unix:rel", NULL},    {"--queue", "-1", NULL},       {"--queue", "1x", NULL},
		{"--pool-ceiling", "0", NULL},     {"--nope", "1", NULL},         {"word", NULL, NULL},
		{"--state", "", NULL},             {"--state", NULL, NULL},       {"--log-level", "loud", NULL},
		{"--config", "/nonexistent", NULL}, {"--pool-floor", "17", NULL}, {"--preflight", "maybe", NULL},
		{"--region", "", NULL},            {"--region", "europe", NULL},  {"--region", "Eu-west-1", NULL},
		{"--url-domain", "", NULL},        {"--url-domain", "a/b", NULL}, {"--url-domain", "a:0", NULL},
		{"--region", "aa-aaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1", NULL},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct options o;
		struct stk_err err;

		assert_true(parse(bad[i], &o, &err) < 0);
		assert_string_not_equal(err.text, "");
	}
}

static void file_below_flags(void **state)
{
	char path[] = "/tmp/stoker-options-XXXXXX", text[] = "# mine\n\nqueue = 7\n  pool-floor=2 \npool-ceiling = 4\n";
	int fd = mkstemp(path);
	struct options o;
	struct stk_err err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(parse((const char *[]){"--queue", "9", "--config", path, NULL}, &o, &err), 0);
	assert_int_equal(o.queue_limit, 9);
	assert_int_equal(o.pool_floor, 2);
	assert_int_equal(o.pool_ceiling, 4);
	assert_int_equal(write(fd, "bogus\n", 6), 6);
	assert_true(parse((const char *[]){"--config", path, NULL}, &o, &err) < 0);
	assert_non_null(strstr(err.text, "line 6"));
	close(fd);
	unlink(path);
}

/* Without keys nobody else can reach the host, unless its operator says so. */
static void exposure(void **state)
{
	static const char *const alone[] = {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/run/s"};
	static const char *const reachable[] = {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "*:1", "128.0.0.1:1", "[fe80::1]:1",
						"[::ffff:10.0.0.1]:1", "example.org:1", "127.0.0.1.example.org:1"};
	struct options o;
	struct stk_err err;

	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++)
		assert_int_equal(parse((const char *[]){"--listen", alone[i], NULL}, &o, &err), 0);
	for (size_t i = 0; i < sizeof(reachable) / sizeof(reachable[0]); i++) {
		assert_true(parse((const char *[]){"--listen", reachable[i], NULL}, &o, &err) < 0);
		assert_non_null(strstr(err.text, "--keys FILE"));
		assert_non_null(strstr(err.text, "--insecure-no-auth"));
		assert_int_equal(parse((const char *[]){"--listen", reachable[i], "--keys", "/k", NULL}, &o, &err), 0);
		assert_string_equal(o.keys_file, "/k");
		assert_int_equal(parse((const char *[]){"--insecure-no-auth", "--listen", reachable[i], NULL}, &o, &err), 0);
		assert_true(o.insecure_no_auth);
		assert_true(parse((const char *[]){"--listen", reachable[i], "--insecure-no-auth=no", NULL}, &o, &err) < 0);
	}
	assert_true(parse((const char *[]){"--insecure-no-auth", "--keys", "/k", NULL}, &o, &err) < 0);
	assert_true(parse((const char *[]){"--insecure-no-auth=perhaps", NULL}, &o, &err) < 0);
	assert_int_equal(parse((const char *[]){"--help", "--listen", "0.0.0.0:1", NULL}, &o, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exposure),
		cmocka_unit_test(defaults),
		cmocka_unit_test(flags_in_both_forms),
		cmocka_unit_test(refused),
		cmocka_unit_test(file_below_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
