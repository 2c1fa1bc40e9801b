/* How a failed init phase is told. */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "snapshots/tool/initerror.h"

static void check_n(uint16_t kind, int32_t detail, const char *body, size_t len, const char *type, const char *text)
{
	const struct gw_error e = {.kind = kind, .detail = detail, .body = body, .body_len = (uint32_t)len};
	stk_autofree char *json = initerror_json(&e, 2500, 128);
	json_t *obj = json ? json_loads(json, 0, NULL) : NULL;

	assert_non_null(obj);
	assert_null(strchr(json, '\n'));
	assert_string_equal(json_string_value(json_object_get(obj, "errorType")), type);
	assert_string_equal(json_string_value(json_object_get(obj, "errorMessage")), text);
	json_decref(obj);
}

static void check(uint16_t kind, int32_t detail, const char *body, const char *type, const char *text)
{
	check_n(kind, detail, body, strlen(body), type, text);
}

static void test_kinds(void **state)
{
	check(GW_ERR_EXIT, 0, "", "Runtime.ExitError", "Error: Runtime exited without providing a reason");
	check(GW_ERR_EXIT, 127, "", "Runtime.ExitError", "Error: Runtime exited with error: exit status 127");
	check(GW_ERR_SIGNAL, 9, "", "Runtime.ExitError", "Error: Runtime exited with error: signal: killed");
	check(GW_ERR_SIGNAL, 11, "", "Runtime.ExitError",
	      "Error: Runtime exited with error: signal: segmentation fault");
	check(GW_ERR_SIGNAL, -5, "", "Runtime.ExitError", "Error: Runtime exited with error: signal: unknown");
	check(GW_ERR_ENTRYPOINT, 0, "no bootstrap", "Runtime.InvalidEntrypoint", "no bootstrap");
	check(GW_ERR_INIT_TIMEOUT, 0, "", "Sandbox.Timedout",
	      "Error: Init phase: Task timed out after 2.50 seconds");
	assert_null(initerror_json(&(struct gw_error){.kind = GW_ERR_AGENT}, 1, 1));
}

static void test_the_runtimes_own(void **state)
{
	check(GW_ERR_INIT, 0, "{\"errorType\":\"ValueError\",\"errorMessage\":\"no\",\"stackTrace\":[]}",
	      "ValueError", "no");
	check(GW_ERR_INIT, 0, "{\"errorMessage\":\"no\"}", "Runtime.InitError", "no");
	check(GW_ERR_INIT, 0, "{\"errorType\":5}", "Runtime.InitError", "");
	check(GW_ERR_INIT, 0, "not json", "Runtime.InitError", "not json");
	check(GW_ERR_INIT, 0, "[1]", "Runtime.InitError", "[1]");
	check(GW_ERR_INIT, 0, "", "Runtime.InitError", "");
	check_n(GW_ERR_INIT, 0, "a\xff" "b\0c", 5, "Runtime.InitError", "a?b?c");
	check_n(GW_ERR_INIT, 0, "a\0b", 3, "Runtime.InitError", "a?b");
	check_n(GW_ERR_ENTRYPOINT, 0, "m\xc3\xbc\xff \xe6\xbc", 7, "Runtime.InvalidEntrypoint", "m\xc3\xbc? ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_the_runtimes_own)};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
