/* Whose function a name means. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/auth/auth.h"
#include "scheduler/tenants.h"

static const struct auth_principal acme = {.tenant = "acme", .account = "111122223333", .key = "k"};
static const struct auth_principal owner = {.tenant = "default", .account = "000000000000", .key = "k"};
/* Calls without a token, in a host with keys and in one without. */
static const struct auth_principal caller = {.tenant = "default", .account = "000000000000", .key = "", .anonymous = true};
static const struct auth_principal nobody = {.tenant = "default", .account = "000000000000", .key = "", .anonymous = true,
	.unbound = true};

static void check(const struct auth_principal *who, const char *text, const char *want)
{
	char got[160];
	int rc = tenants_scope(who, text, got, sizeof(got));

	if (want) {
		assert_int_equal(rc, 0);
		assert_string_equal(got, want);
	} else {
		assert_true(rc < 0);
	}
}

static void names_have_a_scope(void **state)
{
	check(NULL, "f", "f");
	check(NULL, "f:live", "f:live");
	check(&owner, "f", "f");
	check(&owner, "f.default", "f");
	check(&owner, "f.default:1", "f:1");
	check(&owner, "f.acme", NULL); /* not even the default tenant gets at others' */
	check(&acme, "f", "f.acme");
	check(&acme, "f:live", "f.acme:live");
	check(&acme, "f.acme", "f.acme");
	check(&acme, "f.acme:7", "f.acme:7");
	check(&acme, "f.default", NULL);
	check(&acme, "f.acm", NULL);
	check(&acme, "f.acmee", NULL);
	check(&acme, "f:a.bolt", "f.acme:a.bolt");
	check(&acme, "f.", NULL);
	check(&caller, "f", "f");
	check(&caller, "f.default", "f");
	check(&caller, "f.acme", NULL);
	check(&caller, "f.acme:live", NULL);
	check(&nobody, "f", "f");
	check(&nobody, "f.acme", "f.acme");
}

static void functions_have_a_tenant(void **state)
{
	struct tenants t;

	assert_int_equal(tenants_init(&t), 0);
	assert_string_equal(tenants_of(&t, "f")->name, "default");
	assert_string_equal(tenants_of(&t, "f.acme")->name, "acme");
	assert_ptr_equal(tenants_of(&t, "g.acme"), tenants_get(&t, "acme"));
	assert_ptr_equal(tenants_get(&t, ""), t.first);
	assert_int_equal(tenants_get(&t, "acme")->limit, -1);
	strcpy(tenants_get(&t, "acme")->account, "111122223333");
	assert_string_equal(tenants_account(&t, "f.acme"), "111122223333");
	assert_string_equal(tenants_account(&t, "f"), "000000000000");
	assert_string_equal(tenants_account(&t, "f.bolt"), "000000000000");
	tenants_fini(&t);
}

static void others_are_not_shown(void **state)
{
	assert_true(tenants_shows(&acme, "f.acme"));
	assert_false(tenants_shows(&acme, "f"));
	assert_false(tenants_shows(&acme, "f.bolt"));
	assert_true(tenants_shows(&owner, "f"));
	assert_false(tenants_shows(&owner, "f.acme"));
	assert_false(tenants_shows(&caller, "f.acme"));
	assert_true(tenants_shows(&nobody, "f.acme"));
	assert_true(tenants_owns(&acme, "f.acme"));
	assert_false(tenants_owns(&acme, "f"));
	assert_false(tenants_owns(&acme, "f.acm"));
	assert_true(tenants_owns(&nobody, "f"));
	assert_false(tenants_owns(&nobody, "f.acme"));
	assert_true(tenants_owns(NULL, "f"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(others_are_not_shown), cmocka_unit_test(names_have_a_scope),
					   cmocka_unit_test(functions_have_a_tenant)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
