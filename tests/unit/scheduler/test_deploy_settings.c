/* The query of a deploy. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/auth/auth.h"
#include "scheduler/deploy_settings.h"
#include "scheduler/registry.h"

static const struct auth_principal owner = {.tenant = "default", .account = "000000000000", .key = "k"};
static const struct auth_principal acme = {.tenant = "acme", .account = "111122223333", .key = "k"};

static struct fn_settings s;
static struct stk_err err;

static int setup(void **state)
{
	fn_settings_init(&s);
	memset(&err, 0, sizeof(err));
	return 0;
}

static int teardown(void **state)
{
	fn_settings_fini(&s);
	return 0;
}

static void all_of_it_is_read(void **state)
{
	assert_int_equal(deploy_settings_read("runtime=python3&handler=app.handler&memory=256&timeout=30&ephemeral-storage=2048&reuse=reset&env=AB=1+2&"
					      "env=CD=%26&secret=T=x%0Ay&layers=tools:3&layers=arn:aws:lambda:us-east-1:111122223333:"
					      "layer:more:1", &acme, &s, &err), 0);
	assert_string_equal(s.runtime, "python3");
	assert_string_equal(s.handler, "app.handler");
	assert_int_equal(s.memory_mib, 256);
	assert_int_equal(s.timeout_s, 30);
	assert_int_equal(s.storage_mib, 2048);
	assert_int_equal(s.reuse, FN_RESET);
	assert_int_equal(s.env_len, 12);
	assert_memory_equal(s.env, "AB=1 2\0CD=&", 12);
	assert_int_equal(s.secrets_len, 6);
	assert_memory_equal(s.secrets, "T=x\ny", 6);
	assert_int_equal(s.layer_count, 2);
	assert_string_equal(s.layers[0].name, "tools.acme");
	assert_int_equal(s.layers[0].version, 3);
	assert_string_equal(s.layers[1].name, "more.acme");
}

static void refused(const char *query, const struct auth_principal *who, int code, const char *text)
{
	struct fn_settings one;
	int rc;

	fn_settings_init(&one);
	rc = deploy_settings_read(query, who, &one, &err);
	if (rc != code || !strstr(err.text, text))
		fail_msg("%s: %d \"%s\"", query, rc, err.text);
	fn_settings_fini(&one);
}

static void what_is_wrong_has_a_text(void **state)
{
	refused("runtme=python3", &owner, -EINVAL, "\"runtme\"");
	refused("handler=%", &owner, -EINVAL, "badly encoded");
	refused("handler=%00", &owner, -EINVAL, "badly encoded");
	refused("memory=127", &owner, -EINVAL, "128 to 10240");
	refused("ephemeral-storage=511", &owner, -EINVAL, "512 to 10240");
	refused("ephemeral-storage=10241", &owner, -EINVAL, "512 to 10240");
	refused("timeout=1s", &owner, -EINVAL, "1 to 900");
	refused("reuse=", &owner, -EINVAL, "destroy or reset");
	refused("layers=tools.bolt:1", &acme, -EACCES, "another tenant");
	refused("layers=tools.acme:1", &owner, -EACCES, "another tenant");
}

/* A version with both could be stored, and no stokerd could read it again. */
static void a_layer_has_one_name(void **state)
{
	refused("layers=tools:1,tools:2", &owner, -EINVAL, "given twice");
	refused("layers=tools:1,tools.default:2", &owner, -EINVAL, "the same");
	refused("layers=tools.acme:1&layers=a:1,tools:2", &acme, -EINVAL, "the same");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(all_of_it_is_read), T(what_is_wrong_has_a_text), T(a_layer_has_one_name)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
