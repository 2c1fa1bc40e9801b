/* Route tables: patterns, parameters, refusals. */
#include "common/host/router.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { ROOT, LIST, SHOW, DEL, INVOKE, FUNC, TWO };

static const struct router_route routes[] = {
	{"GET", "/", NULL, ROOT},
	{"GET", "/v1/functions", NULL, LIST},
	{"GET", "/v1/functions/:name", NULL, SHOW},
	{"DELETE", "/v1/functions/:name", NULL, DEL},
	{"POST", "/v1/functions/:name/invoke", NULL, INVOKE},
	{"*", "/function/:name/*", NULL, FUNC},
	{"GET", "/two/:a/x/:b", NULL, TWO},
};

static struct router_match m;
static char allow[64];

static int find(const char *method, const char *path)
{
	int status;
	const struct router_route *r =
		router_find(routes, STK_ARRAY_LEN(routes), method, path, &m, &status, allow, sizeof(allow));

	if (r)
		assert_int_equal(status, 200);
	return r ? (int)r->flags : -status;
}

static void test_found(void **state)
{
	assert_int_equal(find("GET", "/"), ROOT);
	assert_int_equal(find("GET", "/v1/functions"), LIST);
	assert_int_equal(find("GET", "/v1/functions/hello"), SHOW);
	assert_int_equal(m.count, 1);
	assert_string_equal(m.value[0], "hello");
	assert_int_equal(find("DELETE", "/v1/functions/a%20b%2Fc"), DEL);
	assert_string_equal(m.value[0], "a b/c");
	assert_int_equal(find("GET", "/two/1/x/2"), TWO);
	assert_int_equal(m.count, 2);
	assert_string_equal(m.value[1], "2");
}

static void test_rest(void **state)
{
	assert_int_equal(find("PUT", "/function/f"), FUNC);
	assert_string_equal(m.rest, "");
	assert_int_equal(find("BREW", "/function/f/"), FUNC);
	assert_string_equal(m.rest, "/");
	assert_int_equal(find("GET", "/function/f/a%2Fb//c"), FUNC);
	assert_string_equal(m.value[0], "f");
	assert_string_equal(m.rest, "/a%2Fb//c"); /* raw */
}

static void test_refused(void **state)
{
	char longname[400] = "/v1/functions/";

	assert_int_equal(find("GET", ""), -404);
	assert_int_equal(find("GET", "//"), -404);
	assert_int_equal(find("GET", "/v1"), -404);
	assert_int_equal(find("GET", "/v1/functions/"), -404); /* an empty name is none */
	assert_int_equal(find("GET", "/v1/functions/a/b"), -404);
	assert_int_equal(find("GET", "/v1/functionsX"), -404);
	assert_int_equal(find("GET", "/function"), -404);
	assert_int_equal(find("GET", "/functionX/f"), -404);
	assert_int_equal(find("GET", "*"), -404);
	assert_int_equal(find("PUT", "/v1/functions/a"), -405);
	assert_string_equal(allow, "GET, DELETE");
	assert_int_equal(find("get", "/"), -405);
	assert_int_equal(find("GET", "/v1/functions/%"), -400);
	assert_int_equal(find("GET", "/v1/functions/%00"), -400);
	memset(longname + 14, 'a', 300);
	assert_int_equal(find("GET", longname), -400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
