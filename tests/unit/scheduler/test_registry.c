/* Functions, versions, references, settings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/guestwire.h"
#include "scheduler/registry.h"
#include "scheduler/secrets.h"

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

static void serve(struct registry *r, struct function *fn, struct fn_version *v)
{
	registry_set_latest(r, fn, v);
	registry_set_active(r, fn, v);
	fn_version_put(r, v);
}

static void versions_live_as_long_as_they_are_used(void **state)
{
	struct registry r;
	struct function *fn;
	struct fn_version *v1;

	unused_count = 0;
	registry_init(&r, on_unused, NULL);
	fn = registry_add(&r, "hello");
	assert_ptr_equal(registry_add(&r, "hello"), fn);
	assert_ptr_equal(registry_find(&r, "hello"), fn);
	assert_null(registry_find(&r, "other"));
	v1 = version(fn, 1);
	serve(&r, fn, v1);
	assert_int_equal(unused_count, 0);
	fn_version_get(v1); /* a VM of it */
	serve(&r, fn, version(fn, 2));
	assert_int_equal(fn->active->number, 2);
	assert_int_equal(unused_count, 0);
	fn_version_put(&r, v1);
	assert_int_equal(unused_count, 1);
	assert_int_equal(unused_number, 1);
	assert_true(unused_retired);
	assert_int_equal(fn->last_version, 2);
	registry_drop(&r, fn);
	assert_int_equal(unused_count, 2);
	assert_int_equal(r.count, 0);
	assert_int_equal(fn->last_version, 2);
	registry_fini(&r);
}

static void an_update_that_fails_leaves_what_serves(void **state)
{
	struct registry r;
	struct function *fn;
	struct fn_version *v2, *v3;

	unused_count = 0;
	registry_init(&r, on_unused, NULL);
	fn = registry_add(&r, "f");
	serve(&r, fn, version(fn, 1));
	v2 = version(fn, 2);
	registry_set_latest(&r, fn, v2);
	fn_version_put(&r, v2);
	assert_int_equal(fn->active->number, 1);
	assert_int_equal(fn->latest->number, 2);
	assert_int_equal(r.count, 1);
	v3 = version(fn, 3);
	registry_set_latest(&r, fn, v3);
	fn_version_put(&r, v3);
	assert_int_equal(unused_number, 2);
	registry_set_active(&r, fn, v3);
	assert_int_equal(unused_number, 1);
	assert_int_equal(unused_count, 2);
	registry_fini(&r);
}

static void published_versions_stay(void **state)
{
	struct registry r;
	struct function *fn;

	unused_count = 0;
	registry_init(&r, on_unused, NULL);
	fn = registry_add(&r, "f");
	serve(&r, fn, version(fn, 1));
	for (unsigned i = 5; i > 0; i--) {
		struct fn_version *v = version(fn, 1 + i);

		v->published = i;
		assert_int_equal(registry_publish(&r, fn, v), 0);
		fn_version_put(&r, v);
	}
	serve(&r, fn, version(fn, 9));
	assert_int_equal(unused_count, 1);
	assert_int_equal(fn->last_published, 5);
	assert_int_equal(fn->published[0]->published, 1);
	assert_int_equal(registry_published(fn, 4)->number, 5);
	assert_null(registry_published(fn, 6));
	assert_null(registry_published(fn, 0));
	registry_unpublish(&r, registry_published(fn, 4));
	assert_int_equal(unused_number, 5);
	assert_null(registry_published(fn, 4));
	assert_int_equal(fn->published_count, 4);
	registry_drop(&r, fn);
	assert_int_equal(unused_count, 7);
	registry_fini(&r);
}

static struct fn_alias *alias(const char *name, unsigned to)
{
	struct fn_alias *a = calloc(1, sizeof(*a));

	strcpy(a->name, name);
	a->version = to;
	a->description = strdup(name);
	return a;
}

static void aliases_and_notes(void **state)
{
	struct registry r;
	struct function *fn;

	registry_init(&r, on_unused, NULL);
	fn = registry_add(&r, "f");
	serve(&r, fn, version(fn, 1));
	assert_int_equal(registry_alias_set(fn, alias("prod", 1)), 0);
	assert_int_equal(registry_alias_set(fn, alias("beta", 2)), 0);
	assert_int_equal(registry_alias_set(fn, alias("prod", 3)), 0);
	assert_int_equal(fn->alias_count, 2);
	assert_string_equal(fn->aliases[0]->name, "beta");
	assert_int_equal(registry_alias(fn, "prod")->version, 3);
	registry_alias_drop(fn, "beta");
	registry_alias_drop(fn, "never");
	assert_null(registry_alias(fn, "beta"));
	assert_int_equal(registry_note_set(fn, "tags", "", "{\"a\":\"b\"}"), 0);
	assert_int_equal(registry_note_set(fn, "url", "prod", "{}"), 0);
	assert_int_equal(registry_note_set(fn, "tags", "", "{}"), 0);
	assert_string_equal(registry_note(fn, "tags", ""), "{}");
	assert_null(registry_note(fn, "url", ""));
	assert_int_equal(registry_note_set(fn, "tags", "", NULL), 0);
	assert_null(registry_note(fn, "tags", ""));
	assert_string_equal(registry_note(fn, "url", "prod"), "{}");
	registry_fini(&r);
}

static void names_may_have_a_tenant(void **state)
{
	char bare[FN_BARE_MAX + 1], version[FN_VERSION_TEXT];

	assert_true(fn_name_valid("hello"));
	assert_true(fn_name_valid("hello.acme-1"));
	assert_false(fn_name_valid("hello."));
	assert_false(fn_name_valid(".acme"));
	assert_false(fn_name_valid("a.b.c"));
	assert_false(fn_name_valid("a/b"));
	assert_false(fn_name_valid("hello.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	fn_bare_name("hello.acme", bare);
	assert_string_equal(bare, "hello");
	fn_version_text(0, version);
	assert_string_equal(version, "$LATEST");
	fn_version_text(12, version);
	assert_string_equal(version, "12");
}

static void list_is_sorted_and_of_what_exists(void **state)
{
	struct registry r;
	char name[16];

	registry_init(&r, on_unused, NULL);
	for (unsigned i = 0; i < 200; i++) { /* in an order of their own: 7 and 200 have no common factor */
		struct function *fn;

		snprintf(name, sizeof(name), "f%03u", i * 7 % 200);
		fn = registry_add(&r, name);
		serve(&r, fn, version(fn, 1));
	}
	registry_add(&r, "f0005");
	assert_int_equal(r.count, 200);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%03u", i);
		assert_string_equal(r.sorted[i]->name, name);
	}
	assert_int_equal(registry_behind(&r, ""), 0);
	assert_int_equal(registry_behind(&r, "f000"), 1);
	assert_int_equal(registry_behind(&r, "f0005"), 1);
	assert_int_equal(registry_behind(&r, "f199"), 200);
	registry_drop(&r, registry_find(&r, "f100"));
	assert_int_equal(r.count, 199);
	assert_string_equal(r.sorted[100]->name, "f101");
	registry_drop(&r, registry_find(&r, "f199"));
	registry_drop(&r, registry_find(&r, "f000"));
	assert_int_equal(r.count, 197);
	assert_string_equal(r.sorted[0]->name, "f001");
	assert_string_equal(r.sorted[196]->name, "f198");
	registry_fini(&r);
}

static void environment_is_checked(void **state)
{
	static const char *const bad[] = {"NOVALUE", "=x", "1A=x", "_HANDLER=x", "A-B=x", "A=x", "AWS_REGION=x",
					  "LAMBDA_TASK_ROOT=/", "TEXT=a\xff", "TEXT=\xc3", "TEXT=\xed\xa0\x80"};
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
	s.storage_mib = 511;
	assert_true(fn_settings_check(&s, &err) < 0);
	s.storage_mib = 10241;
	assert_true(fn_settings_check(&s, &err) < 0);
	s.storage_mib = 10240;
	assert_int_equal(fn_settings_check(&s, &err), 0);
	strcpy(s.runtime, "../etc");
	assert_true(fn_settings_check(&s, &err) < 0);
	strcpy(s.runtime, "python3");
	strcpy(s.handler, "app handler");
	assert_true(fn_settings_check(&s, &err) < 0);
	strcpy(s.handler, "app.h\xc3\xb6r");
	assert_int_equal(fn_settings_check(&s, &err), 0);
	strcpy(s.handler, "app.h\xf6r"); /* no manifest and no answer could hold it */
	assert_int_equal(fn_settings_check(&s, &err), -EINVAL);
}

static void secrets_are_checked_and_framed(void **state)
{
	static char large[FN_SECRETS_MAX];
	struct fn_settings s, copy;
	struct gw_secrets got;
	struct gw_header h;
	struct stk_err err = {0};
	uint8_t *frame = NULL;
	char pair[16];
	int n;

	fn_settings_init(&s);
	assert_int_equal(secrets_add(&s, "TOKEN=a=b c", &err), 0);
	assert_int_equal(secrets_add(&s, "x=", &err), 0);
	assert_int_equal(secrets_add(&s, "TOKEN=very special", &err), -EINVAL);
	assert_null(strstr(err.text, "special"));
	assert_int_equal(secrets_add(&s, "TOKEN", &err), -EINVAL);
	assert_int_equal(secrets_add(&s, "../x=1", &err), -EINVAL);
	assert_int_equal(secrets_add(&s, "1x=1", &err), -EINVAL);
	assert_int_equal(secrets_add(&s, "=1", &err), -EINVAL);
	memset(large, 'v', sizeof(large) - 1);
	memcpy(large, "L=", 2);
	assert_int_equal(secrets_add(&s, large, &err), -E2BIG);
	assert_int_equal(fn_settings_copy(&s, &copy), 0);
	fn_settings_fini(&s);
	n = secrets_frame(&copy, &frame);
	assert_true(n > (int)GW_HEADER_LEN);
	assert_int_equal(gw_header_decode(frame, &h), 0);
	assert_int_equal(h.type, GW_SECRETS);
	assert_int_equal(gw_secrets_decode(frame + GW_HEADER_LEN, h.length, &got), 0);
	assert_int_equal(got.kv_count, 2);
	assert_int_equal(got.kv[0].value_len, 5);
	assert_memory_equal(got.kv[0].value, "a=b c", 5);
	secrets_free(frame, (size_t)n);
	for (unsigned i = 2; i < GW_MAX_SECRETS; i++) {
		snprintf(pair, sizeof(pair), "n%u=1", i);
		assert_int_equal(secrets_add(&copy, pair, &err), 0);
	}
	assert_int_equal(secrets_add(&copy, "more=1", &err), -E2BIG);
	fn_settings_fini(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_checked_and_framed),
		cmocka_unit_test(versions_live_as_long_as_they_are_used),
		cmocka_unit_test(an_update_that_fails_leaves_what_serves),
		cmocka_unit_test(published_versions_stay),
		cmocka_unit_test(aliases_and_notes),
		cmocka_unit_test(names_may_have_a_tenant),
		cmocka_unit_test(list_is_sorted_and_of_what_exists),
		cmocka_unit_test(environment_is_checked),
		cmocka_unit_test(settings_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
