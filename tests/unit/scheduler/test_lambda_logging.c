/* LoggingConfig of the Lambda API on a real stokerd, without KVM: the host's own lines as JSON by the level that was chosen, and
 * what of it the guest gets to know. */
#include "tests/unit/scheduler/lambda_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The event of this type in a text of lines, behind `from`; json_decref it. NULL: there is none. */
static json_t *event(const char *text, const char *type)
{
	char word[64];
	const char *at;
	json_t *o;

	snprintf(word, sizeof(word), "\"type\":\"platform.%s\"", type);
	at = strstr(text, word);
	if (!at)
		return NULL;
	while (at > text && at[-1] != '\n' && *at != '{')
		at--;
	o = json_loadb(at, strcspn(at, "\n"), JSON_REJECT_DUPLICATES, NULL);
	if (!o || strlen(json_string_value(json_object_get(o, "time"))) != strlen("2026-01-02T03:04:05.678Z"))
		fail_msg("no event: %s", at);
	return o;
}

/* A member of its record, as JSON text. */
static const char *of_event(const char *text, const char *type, const char *member)
{
	static char value[256];
	json_t *o = event(text, type), *m = json_object_get(json_object_get(o, "record"), member);
	char *dump = m ? json_dumps(m, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	snprintf(value, sizeof(value), "%s", dump ? dump : o ? "" : "no event");
	free(dump);
	json_decref(o);
	return value;
}

static void set_logging(const char *config)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"LoggingConfig\":{%s}}", config);
	lc_want("PUT", FN "/configuration", body, 200);
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
}

#define JSON_LEVEL(system) "\"LogFormat\":\"JSON\",\"SystemLogLevel\":\"" system "\""

/* Of a call of each kind, by the level that is wanted of the host's lines: in the tail, and in the log. */
static void json_logs_of_calls(void **state)
{
	char id[64], tail[8192], text[256];
	struct http_client_resp r;

	host_start(NULL);
	lc_create("f");
	set_logging(JSON_LEVEL("DEBUG"));
	lc_invoke_tail("1", id, tail, sizeof(tail));
	snprintf(text, sizeof(text), "\"%s\"", id);
	assert_string_equal(of_event(tail, "start", "requestId"), text);
	assert_string_equal(of_event(tail, "start", "version"), "\"$LATEST\"");
	assert_non_null(strstr(tail, "}}\na line of output\n{\"time\":")); /* what the function writes is its own */
	assert_string_equal(of_event(tail, "runtimeDone", "requestId"), text);
	assert_string_equal(of_event(tail, "runtimeDone", "status"), "\"success\"");
	assert_non_null(strstr(of_event(tail, "runtimeDone", "metrics"), "\"producedBytes\":1}"));
	assert_string_equal(of_event(tail, "report", "status"), "\"success\"");
	assert_non_null(strstr(of_event(tail, "report", "metrics"), "\"memorySizeMB\":128"));
	assert_non_null(strstr(of_event(tail, "report", "metrics"), "\"billedDurationMs\":"));
	assert_null(strstr(tail, "RequestId: ")); /* no line of text */
	snprintf(text, sizeof(text), "Z %s {\"time\":", id);
	lc_wait_log(text, "\"platform.report\"");
	lc_invoke_tail("\"be-error\"", id, tail, sizeof(tail));
	assert_string_equal(of_event(tail, "report", "status"), "\"error\"");
	lc_invoke_tail("\"be-dead\"", id, tail, sizeof(tail));
	assert_string_equal(of_event(tail, "runtimeDone", "status"), "\"failure\"");
	assert_string_equal(of_event(tail, "report", "errorType"), "\"Sandbox.Died\"");
	lc_invoke_tail("\"be-slow\"", id, tail, sizeof(tail));
	assert_string_equal(of_event(tail, "report", "status"), "\"timeout\"");
	set_logging(JSON_LEVEL("INFO"));
	lc_invoke_tail("1", id, tail, sizeof(tail));
	assert_string_equal(of_event(tail, "start", "version"), "\"$LATEST\"");
	assert_string_equal(of_event(tail, "runtimeDone", "status"), "no event");
	assert_string_equal(of_event(tail, "report", "status"), "\"success\"");
	set_logging(JSON_LEVEL("WARN"));
	lc_invoke_tail("1", id, tail, sizeof(tail));
	assert_string_equal(tail, "a line of output\n");
	lc_invoke_tail("\"be-error\"", id, tail, sizeof(tail));
	assert_string_equal(of_event(tail, "start", "version"), "no event");
	assert_string_equal(of_event(tail, "runtimeDone", "status"), "\"error\"");
	assert_string_equal(of_event(tail, "report", "status"), "\"error\"");
	/* The host's next life knows it, and a version keeps its own. */
	lc_want("POST", FN "/versions", "{}", 201);
	lc_wait_get(FN "/configuration?Qualifier=1", "State", "Active");
	set_logging("\"LogFormat\":\"Text\"");
	host_kill();
	host_start(NULL);
	assert_int_equal(host_request("POST", FN "/invocations?Qualifier=1", NULL, "\"be-error\"", &r), 0);
	assert_int_equal(http_client_header(&r, "x-amzn-requestid", id, sizeof(id)), 0);
	http_client_resp_fini(&r);
	snprintf(text, sizeof(text), "Z %s {\"time\":", id);
	lc_wait_log(text, "\"platform.report\"");
	lc_invoke_tail("1", id, tail, sizeof(tail));
	assert_string_equal(of_event(tail, "report", "status"), "no event");
	assert_non_null(strstr(tail, "\nREPORT RequestId: "));
}

static void json_logs_of_init_phases(void **state)
{
	char id[64], tail[8192];
	const char *at;

	host_start(NULL);
	lc_want("POST", FNS, lc_creation("f", "be-broken", ",\"LoggingConfig\":{\"LogFormat\":\"JSON\"}"), 201);
	lc_wait_get(FN "/configuration", "State", "Failed");
	at = lc_wait_log("Z deploy {\"time\":", "platform.initReport");
	assert_string_equal(of_event(at, "initStart", "runtimeVersion"), "\"python3\"");
	assert_string_equal(of_event(at, "initStart", "functionName"), "\"f\"");
	assert_string_equal(of_event(at, "initStart", "functionVersion"), "\"$LATEST\"");
	assert_string_equal(of_event(at, "initReport", "status"), "\"error\"");
	assert_string_equal(of_event(at, "initReport", "errorType"), "\"Runtime.Oops\"");
	assert_string_equal(of_event(at, "initReport", "metrics"), "{\"durationMs\":206.715}");
	assert_null(strstr(at, "INIT_"));
	lc_invoke_tail("1", id, tail, sizeof(tail)); /* the error between the events */
	assert_string_equal(of_event(tail, "start", "version"), "\"$LATEST\"");
	assert_non_null(strstr(tail, "}}\n{\"errorType\":\"Runtime.Oops\","));
	assert_string_equal(of_event(tail, "report", "status"), "\"error\"");
	lc_want("DELETE", FN, NULL, 204);
	lc_want("POST", FNS, lc_creation("f", "be-odd", ",\"LoggingConfig\":{" JSON_LEVEL("WARN") "}"), 201);
	lc_wait_get(FN "/configuration", "State", "Failed");
	at = lc_wait_log("Z deploy {\"time\":", "platform.initReport");
	assert_string_equal(of_event(at, "initStart", "phase"), "no event");
	assert_string_equal(of_event(at, "initReport", "errorType"), "\"Runtime.Unknown\"");
	assert_string_equal(of_event(at, "initReport", "metrics"), "");
}

/* What of it the guest sees goes to the tool that makes its snapshot; the rest needs no other snapshot. */
static void logging_makes_snapshots(void **state)
{
	pid_t tool;

	host_start(NULL);
	lc_want("POST", FNS, lc_creation("f", "be-held", ",\"LoggingConfig\":{\"LogFormat\":\"JSON\",\"ApplicationLogLevel\":\"ERROR\","
				   "\"LogGroup\":\"my/group\"}"), 201);
	tool = host_child("stoker-snapshot", 0);
	assert_true(host_has_argument(tool, "--log-level"));
	assert_true(host_has_argument(tool, "ERROR"));
	assert_true(host_has_argument(tool, "my/group"));
	host_touch("go");
	lc_wait_get(FN "/configuration", "State", "Active");
	host_unlink("go"); /* another one would wait */
	lc_want("PUT", FN "/configuration", "{\"LoggingConfig\":{\"LogFormat\":\"JSON\",\"ApplicationLogLevel\":\"ERROR\","
	     "\"LogGroup\":\"my/group\",\"SystemLogLevel\":\"WARN\"}}", 200);
	assert_string_equal(lc_get(FN "/configuration", "LastUpdateStatus"), "Successful");
	lc_want("PUT", FN "/configuration", "{\"LoggingConfig\":{\"LogFormat\":\"JSON\",\"ApplicationLogLevel\":\"WARN\"}}", 200);
	assert_string_equal(lc_get(FN "/configuration", "LastUpdateStatus"), "InProgress");
	tool = host_child("stoker-snapshot", tool);
	assert_true(host_has_argument(tool, "WARN"));
	assert_false(host_has_argument(tool, "--log-group"));
	host_touch("go");
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	host_unlink("go");
	lc_want("PUT", FN "/configuration", "{\"LoggingConfig\":{\"LogFormat\":\"Text\"}}", 200);
	tool = host_child("stoker-snapshot", tool);
	assert_false(host_has_argument(tool, "--log-level"));
	host_touch("go");
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	lc_want("PUT", FN "/configuration", "{\"LoggingConfig\":{\"LogGroup\":\"a b\"}}", 400);
	lc_want("PUT", FN "/configuration", "{\"LoggingConfig\":{\"LogGroup\":\"a=\"}}", 400);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		LC_TEST(json_logs_of_calls),
		LC_TEST(json_logs_of_init_phases),
		LC_TEST(logging_makes_snapshots),
	};

	if (!lc_begin(argc, argv))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
