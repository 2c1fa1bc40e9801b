/* Who may call a function, of a real stokerd over HTTP, without KVM: a call is let in or not whether its answer is waited for
 * or not. */
#include <stdio.h>
#include <string.h>

#include "common/base/fd.h"
#include "scheduler/furl_config.h"
#include "scheduler/store.h"
#include "tests/unit/scheduler/host_fixture.h"
#include "tests/unit/unit.h"

#define TOKEN "Authorization: Bearer 0123456789abcdef\r\n"
#define CALLBACK "X-Callback-Url: http://127.0.0.1:9/\r\n"

static char key_path[128];

static int setup(void **state)
{
	unit_time_limit(60);
	if (host_make())
		return -1;
	snprintf(key_path, sizeof(key_path), "%s/keys", host_root);
	return 0;
}

static int teardown(void **state)
{
	return host_remove();
}

static void start(bool anonymous_invoke)
{
	char keys[160];

	snprintf(keys, sizeof(keys), "{\"anonymousInvoke\":%s,\"keys\":[{\"name\":\"ci\",\"tokens\":[\"0123456789abcdef\"]}]}",
		 anonymous_invoke ? "true" : "false");
	assert_int_equal(stk_write_file_atomic(key_path, keys, strlen(keys), 0600), 0);
	host_start((const char *[]){"keys", key_path, NULL});
}

/* As after CreateFunctionUrlConfig with AuthType NONE. */
static void open_url(const char *name)
{
	struct store_tx *tx = store_tx_new();

	store_tx_note(tx, name, FURL_NOTE, "", "{\"Iam\":false}");
	host_commit(tx);
}

static void expect(const char *path, const char *headers, int status)
{
	struct http_client_resp r;

	assert_int_equal(host_request("POST", path, headers, "{}", &r), 0);
	if (r.status != status)
		fail_msg("%s (%s): %d, not %d: %s", path, headers ? headers : "no headers", r.status, status, (char *)r.body);
	http_client_resp_fini(&r);
}

static void with_a_token(void **state)
{
	host_add_function("f");
	start(false);
	expect("/function/f", NULL, 401);
	expect("/async-function/f", NULL, 401);
	expect("/async-function/none", NULL, 401); /* nobody learns what is there */
	expect("/v1/functions/f/invoke", NULL, 401);
	expect("/function/f", TOKEN, 200);
	expect("/async-function/f", TOKEN, 202);
	expect("/async-function/f", TOKEN CALLBACK, 202);
}

static void anonymous_invoke(void **state)
{
	host_add_function("f");
	start(true);
	expect("/function/f", NULL, 200);
	expect("/async-function/f", NULL, 202);
	expect("/async-function/f/path", "Authorization: Bearer of-the-function\r\n", 202);
	expect("/async-function/f", CALLBACK, 403); /* the host sends nothing for nobody */
	expect("/async-function/f", TOKEN CALLBACK, 202);
	expect("/v1/functions/f", NULL, 401);
}

static void open_to_all(void **state)
{
	host_add_function("f");
	host_add_function("g");
	open_url("f");
	start(false);
	expect("/function/f", NULL, 200);
	expect("/async-function/f", NULL, 202);
	expect("/async-function/f", CALLBACK, 403);
	expect("/async-function/f", TOKEN CALLBACK, 202);
	expect("/function/g", NULL, 401);
	expect("/async-function/g", NULL, 401);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(with_a_token, setup, teardown),
		cmocka_unit_test_setup_teardown(anonymous_invoke, setup, teardown),
		cmocka_unit_test_setup_teardown(open_to_all, setup, teardown),
	};

	host_play(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
