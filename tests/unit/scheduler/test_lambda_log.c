/* What the log, its tail and callers are told of init phases and of calls that fail: of a real stokerd over HTTP, without
 * KVM. */
#include "tests/unit/scheduler/lambda_client.h"

#include <stdio.h>
#include <string.h>

/* Lines of the init phase, which happens at a deploy. */
static void init_phases_are_logged(void **state)
{
	char id[64], tail[8192], text[512];
	const char *at;

	host_start(NULL);
	lc_want("POST", FNS, lc_creation("f", "be-broken", ""), 201);
	lc_wait_get(FN "/configuration", "State", "Failed");
	lc_wait_log("Z deploy INIT_START Runtime Version: python3\n",
		 "Z deploy INIT_REPORT Init Duration: 206.72 ms\tPhase: init\tStatus: error\tError Type: Runtime.Oops\n");
	/* A call that finds it so: the error between the usual lines, in the log and in the tail. */
	lc_invoke_tail("1", id, tail, sizeof(tail));
	at = tail + snprintf(text, sizeof(text), "START RequestId: %s Version: $LATEST\n", id);
	assert_memory_equal(tail, text, strlen(text));
	assert_memory_equal(at, "{\"errorType\":\"Runtime.Oops\",", 27);
	snprintf(text, sizeof(text), "\nEND RequestId: %s\nREPORT RequestId: %s\tDuration: 0.00 ms\tBilled Duration: 0 ms\t"
		 "Memory Size: 128 MB\tStatus: error\n", id, id);
	at = strstr(tail, "\nEND");
	assert_non_null(at);
	assert_string_equal(at, text);
	snprintf(text, sizeof(text), "Z %s START ", id);
	lc_wait_log(text, "\tStatus: error\n");
	lc_want("DELETE", FN, NULL, 204);
	lc_want("POST", FNS, lc_creation("f", "be-late", ""), 201);
	lc_wait_get(FN "/configuration", "State", "Failed");
	assert_string_equal(lc_get(FN "/configuration", "StateReasonCode"), "FunctionError.InitTimeout");
	at = lc_wait_log("Z deploy INIT_START ",
		      "Z deploy INIT_REPORT Init Duration: 10000.02 ms\tPhase: init\tStatus: timeout\tError Type: Sandbox.Timedout\n");
	at = strstr(at, "Z deploy still at it\n"); /* in between */
	assert_non_null(at);
	assert_non_null(strstr(at, "INIT_REPORT"));
	lc_want("DELETE", FN, NULL, 204);
	lc_want("POST", FNS, lc_creation("f", "be-odd", ""), 201); /* a type that would be a line of its own */
	lc_wait_get(FN "/configuration", "State", "Failed");
	at = lc_wait_log("INIT_START", "INIT_REPORT Phase: init\tStatus: error\tError Type: Runtime.Unknown\n");
	assert_null(strstr(at, "REPORT RequestId: none"));
	lc_want("DELETE", FN, NULL, 204);
	lc_create("f");
	json_decref(lc_deploy("f", "&env=MODE%3Dbe-late", 422)); /* as the host's own route deploys */
	at = lc_wait_log("INIT_START", "INIT_REPORT Init Duration: 10000.02 ms\tPhase: init\tStatus: timeout\t");
	at = strstr(at + 1, "INIT_START"); /* of the first one only that is told */
	assert_non_null(at);
	assert_non_null(strstr(at, "INIT_REPORT"));
}

/* A deploy over /v1 is told what the init phase has said, as much as fits: it is cut within a character here. */
static void failed_deploys_say_why(void **state)
{
	static const char want[] = "the function's init phase failed: Runtime.Oops: m\u00fc\u6f22\u00fc";
	const char *message;
	json_t *o;

	host_start(NULL);
	o = lc_deploy("f", "&env=MODE%3Dbe-broken", 422);
	message = json_string_value(json_object_get(json_object_get(o, "error"), "message"));
	assert_non_null(message);
	assert_memory_equal(message, want, sizeof(want) - 1);
	assert_in_range(strlen(message), 390, 400);
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "init"), "errorType")), "Runtime.Oops");
	json_decref(o);
}

/* What of a time-out is in the tail: the lines as Lambda has them, and the log's own. */
static void tail_of_a_timeout(void **state)
{
	char id[64], tail[8192], text[256];
	const char *end;
	char *at;

	host_add_function("f"); /* 3 s */
	host_start(NULL);
	lc_invoke_tail("\"be-slow\"", id, tail, sizeof(tail));
	snprintf(text, sizeof(text), "Z %s Task timed out after 3.00 seconds\nEND RequestId: ", id);
	at = strstr(tail, text);
	assert_non_null(at);
	end = at;
	while (at > tail && at[-1] != '\n')
		at--;
	assert_int_equal(end - at, strlen("2026-01-02T03:04:05.678"));
	assert_int_equal(strspn(at, "0123456789-T:."), end - at);
	snprintf(text, sizeof(text), "Z %s Task timed out after 3.00 seconds\n", id);
	at = strstr(lc_wait_log(text, "REPORT"), "Task");
	assert_null(strstr(at + 1, "Task timed out")); /* once, and with one stamp */
}

static void by_url(const char *path, const char *what, char ret_id[64], int status, const char *body)
{
	struct http_client_resp r;
	char target[128];

	snprintf(target, sizeof(target), "%s/%s", path, what);
	assert_int_equal(host_request("GET", target, NULL, NULL, &r), 0);
	assert_int_equal(http_client_header(&r, "x-request-id", ret_id, 64), 0);
	if (r.status != status || !strstr((char *)r.body, body))
		fail_msg("%s: %d %s", target, r.status, (char *)r.body);
	if (strcmp(body, "Internal Server Error") == 0)
		assert_string_equal((char *)r.body, body); /* and nothing else */
	http_client_resp_fini(&r);
}

/* Who calls a function URL is not told what has failed in the function; the log is. Without one /function/NAME is the
 * host's own route, and says it. */
static void failures_behind_a_url(void **state)
{
	char id[64], text[256];

	host_add_function("f");
	host_start(NULL);
	by_url("/function/f", "be-error", id, 502, "\"code\":\"E\",\"message\":\"m \xc3\xbc \xe6\xbc\xa2\"");
	by_url("/function/f", "be-dead", id, 502, "Sandbox.Died");
	json_decref(lc_call("POST", URL, NULL, "{\"AuthType\":\"NONE\"}", 201));
	by_url("/function/f", "be-error", id, 502, "Internal Server Error");
	snprintf(text, sizeof(text), "Z %s START ", id);
	lc_wait_log(text, "REPORT");
	snprintf(text, sizeof(text), "Z %s {\"errorType\":\"E\",\"errorMessage\":\"m \xc3\xbc \xe6\xbc\xa2\"}\n", id);
	lc_wait_log(text, "END");
	by_url("/function/f", "be-dead", id, 502, "Internal Server Error");
	snprintf(text, sizeof(text), "Z %s {\"errorType\":\"Sandbox.Died\"", id);
	lc_wait_log(text, "END");
	by_url("/function/f", "be-slow", id, 502, "Internal Server Error"); /* until its time limit */
	by_url("/function/f", "", id, 200, "rawPath");
	by_url("/function/f:$LATEST", "be-error", id, 502, "\"code\":\"E\""); /* not what the URL is for */
	lc_want("PUT", CONC, "{\"ReservedConcurrentExecutions\":0}", 200);
	by_url("/function/f", "", id, 429, "TooManyRequests");
	lc_want("DELETE", CONC, NULL, 204);
	lc_want("DELETE", URL, NULL, 204);
	by_url("/function/f", "be-error", id, 502, "\"code\":\"E\"");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		LC_TEST(init_phases_are_logged),
		LC_TEST(failed_deploys_say_why),
		LC_TEST(tail_of_a_timeout),
		LC_TEST(failures_behind_a_url),
	};

	if (!lc_begin(argc, argv))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
