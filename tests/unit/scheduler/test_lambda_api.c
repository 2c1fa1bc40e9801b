/* The Lambda API of a real stokerd over HTTP, without KVM: what a client sees of functions and calls. */
#include "tests/unit/scheduler/lambda_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void functions_are_shown(void **state)
{
	struct http_client_resp r;
	char value[128];
	json_t *o;

	host_add_function("f");
	host_start(NULL);
	assert_string_equal(lc_get(FN "/configuration", "FunctionArn"), "arn:aws:lambda:us-east-1:000000000000:function:f");
	assert_string_equal(lc_get(FN "/configuration?Qualifier=$LATEST", "FunctionArn"),
			    "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST");
	o = lc_call("GET", FN, NULL, NULL, 200);
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "Configuration"), "State")), "Active");
	json_decref(o);
	o = lc_call("GET", FNS "/", NULL, NULL, 200); /* some clients end it so */
	assert_int_equal(json_array_size(json_object_get(o, "Functions")), 1);
	json_decref(o);
	assert_int_equal(host_request("GET", FNS "/none", NULL, NULL, &r), 0);
	assert_int_equal(r.status, 404);
	assert_int_equal(http_client_header(&r, "x-amzn-errortype", value, sizeof(value)), 0);
	assert_string_equal(value, "ResourceNotFoundException");
	assert_int_equal(http_client_header(&r, "x-amzn-requestid", value, sizeof(value)), 0);
	http_client_resp_fini(&r);
	assert_int_equal(host_request("PATCH", FN, NULL, NULL, &r), 0);
	assert_int_equal(r.status, 405);
	assert_int_equal(http_client_header(&r, "allow", value, sizeof(value)), 0);
	http_client_resp_fini(&r);
	lc_want("GET", "/2015-03-31/nothing", NULL, 404);
	lc_want("GET", FN "?Qualifier=7", NULL, 404);
	lc_want("GET", FN "?Qualifier=an+alias", NULL, 400);
	lc_want("GET", FNS "?MaxItems=0", NULL, 400);
	lc_want("GET", FNS "?FunctionVersion=SOME", NULL, 400);
	lc_want("GET", "/2016-08-19/account-settings", NULL, 200);
	lc_want("DELETE", FN "?Qualifier=$LATEST", NULL, 400);
	lc_want("DELETE", FN, NULL, 204);
	lc_want("DELETE", FN, NULL, 404);
	host_await(false, "functions/f/1");
}

static void region_of_the_host(void **state)
{
	host_start((const char *[]){"region", "eu-west-1", NULL});
	lc_want("POST", FNS, lc_creation("f", "be-held", ""), 201);
	assert_true(host_has_argument(host_child("stoker-snapshot", 0), "eu-west-1"));
	host_touch("go");
	lc_wait_get(FN "/configuration", "State", "Active");
	assert_string_equal(lc_get(FN "/configuration", "FunctionArn"), "arn:aws:lambda:eu-west-1:000000000000:function:f");
	assert_string_equal(lc_get(FNS "/arn:aws:lambda:eu-west-1:000000000000:function:f/configuration", "State"), "Active");
	lc_want("GET", FNS "/arn:aws:lambda:us-east-1:000000000000:function:f/configuration", NULL, 404);
	lc_invoke(FN "/invocations", "\"be-arn\"", 200, "\"arn:aws:lambda:eu-west-1:000000000000:function:f\"");
	host_kill();
	host_start(NULL); /* elsewhere now, with what there is */
	assert_string_equal(lc_get(FN "/configuration", "FunctionArn"), "arn:aws:lambda:us-east-1:000000000000:function:f");
	lc_invoke(FN "/invocations", "\"be-arn\"", 200, "\"arn:aws:lambda:us-east-1:000000000000:function:f\"");
}

static void made_changed_and_removed(void **state)
{
	char first[64];

	host_start(NULL);
	lc_create("f");
	lc_want("POST", FNS, lc_creation("f", "x", ""), 409);
	lc_want("POST", FNS, "{", 400);
	lc_want("POST", FNS, "{\"FunctionName\":\"g\",\"Runtime\":\"cobol\",\"Handler\":\"a.b\",\"Role\":\"r\",\"Code\":{\"ZipFile\":\"" ZIP_1 "\"}}",
	     400);
	lc_invoke(FN "/invocations", "{\"n\":1}", 200, "{\"n\":1}");
	snprintf(first, sizeof(first), "%s", lc_get(FN "/configuration", "CodeSha256"));
	lc_want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_2 "\"}", 200);
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	assert_string_not_equal(lc_get(FN "/configuration", "CodeSha256"), first);
	host_await(false, "functions/f/1");
	lc_want("PUT", FN "/configuration", "{\"Timeout\":5,\"Description\":\"d\"}", 200);
	assert_string_equal(lc_get(FN "/configuration", "LastUpdateStatus"), "Successful"); /* at once: the snapshot stays */
	assert_string_equal(lc_get(FN "/configuration", "Timeout"), "5");
	lc_want("PUT", FN "/configuration", "{\"Timeout\":6,\"RevisionId\":\"00000000-0000-4000-8000-000000000009\"}", 412);
	lc_want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_1 "\",\"DryRun\":true}", 200);
	lc_want("PUT", FN "/code", "{\"ZipFile\":\"bm8gemlw\"}", 400);
	lc_update_mode("y", "Successful");
	lc_invoke(FN "/invocations", "{\"n\":2}", 200, "{\"n\":2}");
	lc_want("DELETE", FN, NULL, 204);
	lc_want("GET", FN, NULL, 404);
	host_await(false, "functions/f/3");
	lc_create("f");
	assert_true(host_has("functions/f/4"));
}

static void calls_in_all_modes(void **state)
{
	struct http_client_resp r;
	char value[8192];
	char *large = malloc(300001);

	host_add_function("f");
	host_start(NULL);
	assert_int_equal(host_request("POST", FN "/invocations", "X-Amz-Log-Type: Tail\r\n", "", &r), 0);
	assert_int_equal(r.status, 200);
	assert_string_equal((char *)r.body, "{}"); /* no event is an empty object */
	assert_int_equal(http_client_header(&r, "x-amz-executed-version", value, sizeof(value)), 0);
	assert_string_equal(value, "$LATEST");
	assert_int_equal(http_client_header(&r, "x-amz-log-result", value, sizeof(value)), 0);
	http_client_resp_fini(&r);
	assert_int_equal(host_request("POST", FN "/invocations", NULL, "\"be-error\"", &r), 0);
	assert_int_equal(r.status, 200);
	assert_int_equal(http_client_header(&r, "x-amz-function-error", value, sizeof(value)), 0);
	assert_string_equal(value, "Unhandled");
	http_client_resp_fini(&r);
	lc_invoke(FN "/invocations", "\"be-dead\"", 200, "errorType");
	lc_invoke(FN "/invocations", "{no json", 400, "Could not parse request body");
	memset(large, 'a', 300000);
	large[0] = large[299999] = '"';
	large[300000] = '\0';
	assert_int_equal(host_request("POST", FN "/invocations", NULL, large, &r), 0);
	assert_int_equal(r.status, 200);
	http_client_resp_fini(&r);
	large[299999] = 'a'; /* looked at by another thread */
	lc_invoke(FN "/invocations", large, 400, "Could not parse request body");
	free(large);
	json_decref(lc_call("POST", FN "/invocations", "X-Amz-Invocation-Type: DryRun\r\n", "{}", 204));
	json_decref(lc_call("POST", FN "/invocations", "X-Amz-Invocation-Type: Event\r\n", "{}", 202));
	json_decref(lc_call("POST", FN "/invocations", "X-Amz-Invocation-Type: Later\r\n", "{}", 400));
	json_decref(lc_call("POST", FN "/invocations", "X-Amz-Client-Context: e30=\r\n", "{}", 200));
	json_decref(lc_call("POST", FN "/invocations", "X-Amz-Client-Context: nope!\r\n", "{}", 400));
	lc_want("POST", "/2014-11-13/functions/f/invoke-async", "{}", 202);
	lc_invoke(FN "/invocations?Qualifier=none", "{}", 404, "Function not found");
	host_wait_metric("\nstoker_invocations_total{function=\"f\",outcome=\"ok\"} ", 5);
	lc_want("PUT", CONC, "{\"ReservedConcurrentExecutions\":0}", 200);
	lc_invoke(FN "/invocations", "{}", 429, "ReservedFunctionConcurrentInvocationLimitExceeded");
	lc_want("DELETE", CONC, NULL, 204);
	lc_invoke(FN "/invocations", "{}", 200, "{}");
}

/* X-Amz-Tenant-Id reaches the runtime, of a call that waits in a queue as well, and of a call that is tried again. */
static void tenant_ids_go_through(void **state)
{
	static const char sdk_id[] = "amz-sdk-invocation-id: 7\r\n";
	char headers[512], longest[257];
	struct http_client_resp r;

	host_add_function("f");
	host_start(NULL);
	memset(longest, 'x', 256);
	longest[256] = '\0';
	for (int joined = 0; joined < 2; joined++) {
		const char *const ids[] = {"blue", "a.b_c:d/e=f+g-h@i j", longest};

		for (size_t i = 0; i < STK_ARRAY_LEN(ids); i++) {
			snprintf(headers, sizeof(headers), "X-Amz-Tenant-Id: %s\r\n%s", ids[i], joined ? sdk_id : "");
			assert_int_equal(host_request("POST", FN "/invocations", headers, "\"be-tenant\"", &r), 0);
			assert_int_equal(r.status, 200);
			assert_memory_equal((char *)r.body + 1, ids[i], strlen(ids[i]));
			assert_int_equal(r.body_len, strlen(ids[i]) + 2);
			http_client_resp_fini(&r);
		}
	}
	lc_invoke(FN "/invocations", "\"be-tenant\"", 200, "null");
	json_decref(lc_call("POST", FN "/invocations", "X-Amz-Tenant-Id: \r\n", "{}", 200));
	json_decref(lc_call("POST", FN "/invocations", "X-Amz-Tenant-Id: a\tb\r\n", "{}", 400));
	json_decref(lc_call("POST", FN "/invocations", "X-Amz-Tenant-Id: \xc3\xa4\r\n", "{}", 400));
	snprintf(headers, sizeof(headers), "X-Amz-Tenant-Id: %sx\r\n", longest);
	json_decref(lc_call("POST", FN "/invocations", headers, "{}", 400));
	json_decref(lc_call("POST", FN "/invocations", "X-Amz-Invocation-Type: Event\r\nX-Amz-Tenant-Id: later\r\n",
			    "\"be-tenant\"", 202));
	lc_wait_log("lambda-runtime-aws-tenant-id \"later\"\n", "REPORT");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		LC_TEST(functions_are_shown),
		LC_TEST(region_of_the_host),
		LC_TEST(made_changed_and_removed),
		LC_TEST(calls_in_all_modes),
		LC_TEST(tenant_ids_go_through),
	};

	if (!lc_begin(argc, argv))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
