#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench/fresh.h"

static enum fresh_verdict check(struct fresh *f, const char *body)
{
	return fresh_check(f, body, strlen(body));
}

static void the_second_time_is_found(void **state)
{
	struct fresh f = {0};

	assert_int_equal(check(&f, "{\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c11\"}"), FRESH_NEW);
	assert_int_equal(check(&f, "{\"n\":1,\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c12\"}"), FRESH_NEW);
	assert_int_equal(check(&f, "{\"boot_id\":\"5A4E1F0C-0000-4B6C-9D6E-2F1F9A3B7C11\"}"), FRESH_SEEN);
	assert_int_equal(f.used, 2);
	fresh_fini(&f);
	assert_int_equal(check(&f, "{\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c11\"}"), FRESH_NEW);
	fresh_fini(&f);
}

static void many_are_remembered(void **state)
{
	struct fresh f = {0};
	char body[80];

	/* ids that differ in their first or in their last digits only */
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 1; i <= 5000; i++) {
			snprintf(body, sizeof(body), "{\"boot_id\":\"%08x-0000-0000-0000-000000000000\"}", i);
			assert_int_equal(check(&f, body), round ? FRESH_SEEN : FRESH_NEW);
			snprintf(body, sizeof(body), "{\"boot_id\":\"00000000-0000-0000-0000-0000%08x\"}", i);
			assert_int_equal(check(&f, body), round ? FRESH_SEEN : FRESH_NEW);
		}
	}
	assert_int_equal(f.used, 10000);
	fresh_fini(&f);
}

static void what_is_no_boot_id_is_missing(void **state)
{
	static const char *const bad[] = {
		"", "hello", "[]", "\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c11\"", "{}", "{\"boot_id\":null}", "{\"boot_id\":5}",
		"{\"boot_id\":\"\"}", "{\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c1\"}",
		"{\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c1g\"}", "{\"boot_id\":\"5a4e1f0c00004-b6c-9d6e-2f1f9a3b7c11\"}",
		"{\"boot_id\":\"00000000-0000-0000-0000-000000000000\"}",
		"{\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c11\"",
		"{\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c11\"} x",
		"{\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c11-and-more\"}",
	};
	struct fresh f = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(check(&f, bad[i]), FRESH_MISSING);
	assert_int_equal(f.used, 0);
	fresh_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_time_is_found),
		cmocka_unit_test(many_are_remembered),
		cmocka_unit_test(what_is_no_boot_id_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
