/* Functions, versions, references, settings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/registry.h"

static unsigned unused_count, unused_number;
static bool unused_retired;

static void on_unused(void *ctx, struct fn_version *v)
{
	unused_count++;
	unused_number = v->number;
	unused_retired = v->retired;
	fn_version_free(v);
}

static struct fn_version *version(struct function *fn, unsigned number)
{
	struct fn_settings s;

	fn_settings_init(&s);
	return fn_version_new(fn, number, &s);
}

static void versions_live_as_long_as_they_are_used(void **state)
{
	struct registry r;
	struct function *fn;
	struct fn_version *v1, *v2;

	unused_count = 0;
	registry_init(&r, on_unused, NULL);
	fn = registry_add(&r, "hello");
	assert_ptr_equal(registry_add(&r, "hello"), fn);
	assert_ptr_equal(registry_find(&r, "hello"), fn);
	assert_null(registry_find(&r, "other"));
	v1 = version(fn, 1);
	registry_activate(&r, fn, v1);
	fn_version_put(&r, v1);
	assert_int_equal(unused_count, 0);
	fn_version_get(v1); /* a VM of it */
	v2 = version(fn, 2);
	registry_activate(&r, fn, v2);
	fn_version_put(&r, v2);
	assert_ptr_equal(fn->active, v2);
	assert_int_equal(unused_count, 0);
	fn_version_put(&r, v1);
	assert_int_equal(unused_count, 1);
	assert_int_equal(unused_number, 1);
	assert_true(unused_retired);
	assert_int_equal(fn->last_version, 2);
	registry_activate(&r, fn, NULL);
	assert_int_equal(unused_count, 2);
	assert_int_equal(r.active_count, 0);
	assert_int_equal(fn->last_version, 2);
	registry_fini(&r);
}

static void list_is_sorted_and_active_only(void **state)
{
	static const char *const names[] = {"zeta", "alpha", "mid"};
	struct registry r;
	struct function **list;
	unsigned n;

	registry_init(&r, on_unused, NULL);
	for (unsigned i = 0; i < 3; i++) {
		struct function *fn = registry_add(&r, names[i]);
		struct fn_version *v = version(fn, 1);

		registry_activate(&r, fn, v);
		fn_version_put(&r, v);
	}
	registry_add(&r, "never");
	assert_int_equal(registry_list(&r, &list, &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(list[0]->name, "alpha");
	assert_string_equal(list[2]->name, "zeta");
	free(list);
	registry_fini(&r);
}

static void environment_is_checked(void **state)
{
	static const char *const bad[] = {"NOVALUE", "=x", "1A=x", "_HANDLER=x", "A-B=x", "A=x", "AWS_REGION=x",
					  "LAMBDA_TASK_ROOT=/"};
	struct fn_settings s;
	struct stk_err err;
	char big[FN_ENV_MAX + 2];

	fn_settings_init(&s);
	assert_int_equal(fn_settings_add_env(&s, "KEY=a=b", &err), 0);
	assert_int_equal(fn_settings_add_env(&s, "KEY2=", &err), 0);
	assert_int_equal(s.env_len, 8 + 6);
	assert_memory_equal(s.env, "KEY=a=b\0KEY2=\0", 14);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(fn_settings_add_env(&s, bad[i], &err), -EINVAL);
	assert_int_equal(fn_settings_add_env(&s, "KEY=again", &err), -EINVAL);
	memset(big, 'x', sizeof(big) - 1);
	memcpy(big, "BIG=", 4);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(fn_settings_add_env(&s, big, &err), -E2BIG);
	assert_int_equal(s.env_len, 14);
	fn_settings_fini(&s);
}

static void settings_have_limits(void **state)
{
	struct fn_settings s;
	struct stk_err err;

	fn_settings_init(&s);
	assert_true(fn_settings_check(&s, &err) < 0); /* no runtime */
	strcpy(s.runtime, "python3");
	assert_true(fn_settings_check(&s, &err) < 0); /* no handler */
	strcpy(s.handler, "app.handler");
	assert_int_equal(fn_settings_check(&s, &err), 0);
	s.memory_mib = 127;
	assert_true(fn_settings_check(&s, &err) < 0);
	s.memory_mib = 10241;
	assert_true(fn_settings_check(&s, &err) < 0);
	s.memory_mib = 10240;
	s.timeout_s = 0;
	assert_true(fn_settings_check(&s, &err) < 0);
	s.timeout_s = 901;
	assert_true(fn_settings_check(&s, &err) < 0);
	s.timeout_s = 900;
	assert_int_equal(fn_settings_check(&s, &err), 0);
	strcpy(s.runtime, "../etc");
	assert_true(fn_settings_check(&s, &err) < 0);
	strcpy(s.runtime, "python3");
	strcpy(s.handler, "app handler");
	assert_true(fn_settings_check(&s, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_live_as_long_as_they_are_used),
		cmocka_unit_test(list_is_sorted_and_active_only),
		cmocka_unit_test(environment_is_checked),
		cmocka_unit_test(settings_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
