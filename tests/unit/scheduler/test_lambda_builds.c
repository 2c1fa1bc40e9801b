/* Builds of functions, of a real stokerd over HTTP, without KVM: they fail, are given up or interrupted; and the host ends, is
 * killed and starts again in each state without losing or inventing anything. */
#include "tests/unit/scheduler/lambda_client.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "scheduler/fsx.h"

/* An init phase that fails: a first version's calls are told so; an update leaves what is there. */
static void builds_that_fail(void **state)
{
	json_t *o;

	host_start(NULL);
	lc_want("POST", FNS, lc_creation("f", "be-broken", ""), 201);
	lc_wait_get(FN "/configuration", "State", "Failed");
	assert_string_equal(lc_get(FN "/configuration", "StateReasonCode"), "FunctionError.RuntimeInitError");
	assert_true(strlen(lc_get(FN "/configuration", "StateReason")) > 100);
	o = lc_call("GET", FNS, NULL, NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "Functions")), 1);
	json_decref(o);
	lc_invoke(FN "/invocations", "1", 200, "Runtime.Oops");
	lc_want("POST", FN "/versions", "{}", 409);
	lc_update_mode("x", NULL);
	lc_wait_get(FN "/configuration", "State", "Active");
	lc_invoke(FN "/invocations", "1", 200, "1");
	lc_update_mode("be-broken", "Failed");
	assert_string_equal(lc_get(FN "/configuration", "State"), "Active");
	lc_invoke(FN "/invocations", "2", 200, "2");
	host_kill();
	host_start(NULL);
	assert_string_equal(lc_get(FN "/configuration", "LastUpdateStatus"), "Failed");
	assert_true(strlen(lc_get(FN "/configuration", "LastUpdateStatusReason")) > 100);
	lc_invoke(FN "/invocations", "3", 200, "3");
	lc_update_mode("x", "Successful");
	lc_want("POST", FN "/versions", "{}", 201);
	lc_update_mode("be-killed", "Failed"); /* failed latest, active one, published one */
	lc_want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	lc_want("DELETE", FN, NULL, 204);
	host_wait_metric("\nstoker_vms ", 0);
	for (int i = 1; i <= 6; i++) {
		char path[32];

		snprintf(path, sizeof(path), "functions/f/%d", i);
		host_await(false, path);
	}
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(lc_stored_rows(NULL), 0);
}

/* What the init phase reports, in the words of the field. */
static void codes_of_init_errors(void **state)
{
	static const char *const cases[][2] = {
		{"be-typed Runtime.InvalidEntrypoint", "FunctionError.InvalidEntryPoint"},
		{"be-typed Runtime.OutOfMemory", "FunctionError.InitResourceExhausted"},
		{"be-typed Extension.TooManyExtensions", "FunctionError.TooManyExtensions"},
		{"be-typed Extension.Crash", "FunctionError.ExtensionInitError"},
		{"be-typed Runtime.ImportModuleError", "FunctionError.RuntimeInitError"},
		{"be-typed MyEntrypointError", "FunctionError.RuntimeInitError"},
		{"be-late", "FunctionError.InitTimeout"},
	};

	host_start(NULL);
	lc_create("f");
	for (size_t i = 0; i < STK_ARRAY_LEN(cases); i++) {
		lc_update_mode(cases[i][0], "Failed");
		assert_string_equal(lc_get(FN "/configuration", "LastUpdateStatusReasonCode"), cases[i][1]);
	}
}

/* Stopped or killed while a first version, an update and a version to be published are built: all of it is done in the
 * next life. */
static void builds_go_on_after_an_end(void **state)
{
	for (int killed = 0; killed < 2; killed++) {
		host_unlink("go");
		host_start(NULL);
		lc_want("POST", FNS, lc_creation("f", "be-held", ",\"Publish\":true"), 201);
		lc_want("POST", FNS, lc_creation("g", "x", ""), 201);
		lc_wait_get(FNS "/g/configuration", "State", "Active");
		lc_want("PUT", FNS "/g/configuration", lc_new_mode("be-held"), 200);
		if (killed) {
			host_kill();
		} else {
			host_term();
			assert_int_equal(host_wait(), 0);
		}
		host_start(NULL);
		assert_string_equal(lc_get(FN "/configuration", "State"), "Pending");
		assert_string_equal(lc_get(FNS "/g/configuration", "LastUpdateStatus"), "InProgress");
		/* as before it ended, nobody changes what is being made */
		lc_want("PUT", FNS "/g/configuration", lc_new_mode("x"), 409);
		lc_want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_2 "\"}", 409);
		host_touch("go");
		lc_wait_get(FN "/configuration", "State", "Active");
		lc_wait_get(killed ? FN "/configuration?Qualifier=2" : FN "/configuration?Qualifier=1", "State", "Active");
		lc_wait_get(FNS "/g/configuration", "LastUpdateStatus", "Successful");
		lc_invoke(FN "/invocations", "{}", 200, "{}");
		lc_invoke(FNS "/g/invocations", "{}", 200, "{}");
		lc_wait_delete(FN);
		lc_wait_delete(FNS "/g");
		host_term();
		assert_int_equal(host_wait(), 0);
		assert_int_equal(lc_stored_rows(NULL), 0);
	}
}

static void *publish(void *arg)
{
	struct http_client_resp r;
	intptr_t status = -1;

	if (host_request("POST", FN "/versions", NULL, "{}", &r) == 0) {
		status = r.status;
		http_client_resp_fini(&r);
	}
	return (void *)status;
}

#define ALIAS(a) "{\"Name\":\"" a "\",\"FunctionVersion\":\"1\"}"

/* While a version is built its function's code and settings are not changed; what is beside them is. */
static void changes_while_a_version_is_built(void **state)
{
	pthread_t t;
	void *status;

	host_start(NULL);
	lc_create("f");
	lc_want("POST", FN "/versions", "{}", 201);
	lc_want("POST", FN "/aliases", ALIAS("live"), 201);
	lc_update_mode("be-held", "InProgress");
	lc_want("PUT", FN "/configuration", lc_new_mode("y"), 409);
	lc_want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_2 "\"}", 409);
	lc_want("POST", FN "/versions", "{}", 409);
	lc_want("POST", FN "/aliases", ALIAS("next"), 201);
	lc_want("PUT", FN "/aliases/live", "{\"Description\":\"d\"}", 200);
	lc_want("PUT", CONC, "{\"ReservedConcurrentExecutions\":7}", 200);
	lc_want("DELETE", CONC, NULL, 204);
	lc_want("PUT", CONC, "{\"ReservedConcurrentExecutions\":5}", 200);
	lc_want("PUT", PROV "?Qualifier=1", "{\"ProvisionedConcurrentExecutions\":1}", 202);
	lc_wait_get(PROV "?Qualifier=1", "Status", "READY");
	lc_want("DELETE", PROV "?Qualifier=1", NULL, 204);
	lc_want("POST", FN "/policy", "{\"StatementId\":\"s\",\"Action\":\"lambda:*\",\"Principal\":\"*\"}", 201);
	lc_invoke(FNS "/f:next/invocations", "{}", 200, "{}");
	lc_want("DELETE", FN "/aliases/next", NULL, 204);
	host_touch("go");
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	host_unlink("go");
	assert_int_equal(pthread_create(&t, NULL, publish, NULL), 0);
	host_child("stoker-snapshot", 0);
	lc_want("POST", FN "/aliases", "{\"Name\":\"next\",\"FunctionVersion\":\"2\"}", 201);
	lc_want("PUT", FN "/configuration", lc_new_mode("y"), 409);
	host_touch("go");
	pthread_join(t, &status);
	assert_int_equal((intptr_t)status, 201);
	for (int life = 0; life < 2; life++) {
		assert_string_equal(lc_get("/2019-09-30/functions/f/concurrency", "ReservedConcurrentExecutions"), "5");
		assert_string_equal(lc_get(FN "/aliases/live", "Description"), "d");
		assert_string_equal(lc_get(FN "/configuration", "State"), "Active");
		assert_string_equal(lc_get(FN "/configuration", "LastUpdateStatus"), "Successful");
		lc_want("GET", FN "/policy", NULL, 200);
		lc_invoke(FNS "/f:next/invocations", "{}", 200, "{}");
		lc_invoke(FN "/invocations", "{}", 200, "{}");
		if (life == 0) {
			host_kill();
			host_start(NULL);
		}
	}
}

static void *deploy_held(void *arg)
{
	json_decref(lc_deploy("f", "&env=MODE%3Dbe-held", 200));
	return NULL;
}

/* The same of a deploy over /v1, whose client waits. */
static void changes_while_a_function_is_deployed(void **state)
{
	pthread_t t;

	host_start(NULL);
	lc_create("f");
	lc_want("POST", FN "/versions", "{}", 201);
	assert_int_equal(pthread_create(&t, NULL, deploy_held, NULL), 0);
	host_child("stoker-snapshot", 0);
	lc_want("POST", FN "/aliases", ALIAS("live"), 201);
	lc_want("PUT", CONC, "{\"ReservedConcurrentExecutions\":5}", 200);
	lc_want("POST", TAGS, "{\"Tags\":{\"a\":\"1\"}}", 204);
	lc_want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 409);
	lc_want("PUT", FN "/configuration", lc_new_mode("y"), 409);
	lc_want("POST", FN "/versions", "{}", 409);
	lc_want("DELETE", FN, NULL, 409);
	lc_want("DELETE", "/v1/functions/f", NULL, 409);
	host_touch("go");
	pthread_join(t, NULL);
	host_kill();
	host_start(NULL);
	assert_string_equal(lc_get("/2019-09-30/functions/f/concurrency", "ReservedConcurrentExecutions"), "5");
	assert_string_equal(lc_get(TAGS, "Tags"), "{\"a\":\"1\"}");
	lc_want("GET", FN "/aliases/live", NULL, 200);
	assert_non_null(strstr(lc_get(FN "/configuration", "Environment"), "be-held"));
	lc_wait_delete(FN);
}

static void update_and_wait(const char *path)
{
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;
	struct http_client_resp r;
	int status;

	do { /* until what was given up has ended */
		assert_int_equal(host_request("PUT", path, NULL, lc_new_mode("y"), &r), 0);
		status = r.status;
		http_client_resp_fini(&r);
		assert_true(stk_now_ns() < until);
		usleep(5000);
	} while (status == 409);
	assert_int_equal(status, 200);
	lc_wait_get(path, "LastUpdateStatus", "Successful");
}

/* A function is deleted while its versions are built: that is given up, nothing of it comes back, and the name is free. */
static void deleted_while_it_is_built(void **state)
{
	char name[16], path[64];
	int fd;

	host_start(NULL);
	lc_want("POST", FNS, lc_creation("f", "be-held", ",\"Publish\":true"), 201);
	fd = host_request_begin("POST", FN "/invocations", "{}");
	host_child("stoker-snapshot", 0);
	lc_want("DELETE", FN, NULL, 204);
	lc_want("GET", FN, NULL, 404);
	host_await(false, "functions/f/1"); /* though nobody lets its init phase end */
	host_await(false, "functions/f/2");
	close(fd);
	lc_create("f");
	update_and_wait(FN "/configuration");
	lc_update_mode("be-held", "InProgress"); /* an update */
	lc_want("DELETE", "/v1/functions/f", NULL, 204);
	lc_create("f");
	update_and_wait(FN "/configuration");
	lc_want("POST", FNS, lc_creation("g", "be-held", ",\"Publish\":true"), 201);
	lc_want("DELETE", FNS "/g?Qualifier=1", NULL, 204); /* one that waits for its turn, and the function stays */
	lc_want("GET", FNS "/g?Qualifier=1", NULL, 404);
	host_touch("go");
	lc_wait_get(FNS "/g/configuration", "State", "Active");
	host_unlink("go");
	for (int i = 0; i < 40; i++) { /* most of them wait */
		snprintf(name, sizeof(name), "f%d", i);
		lc_want("POST", FNS, lc_creation(name, "be-held", ""), 201);
	}
	for (int i = 39; i >= 0; i--) {
		snprintf(path, sizeof(path), FNS "/f%d", i);
		lc_want("DELETE", path, NULL, 204);
	}
	lc_create("f0");
	host_kill();
	host_start(NULL);
	lc_want("GET", FNS "/f1", NULL, 404);
	lc_invoke(FNS "/f0/invocations", "{}", 200, "{}");
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(lc_stored_rows(NULL), 3); /* $LATEST of f, f0 and g */
}

/* Whoever stops the host may signal what it has started as well, and before it: Ctrl-C does not reach it, a service manager
 * does. What is being built has not failed by that. */
static void builds_that_are_signalled(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM};
	pid_t child;

	host_start(NULL);
	for (size_t i = 0; i < STK_ARRAY_LEN(signals); i++) {
		lc_want("POST", FNS, lc_creation("f", "be-held", ""), 201);
		child = host_child("stoker-snapshot", 0);
		assert_int_equal(getpgid(child), child);
		assert_int_equal(kill(child, signals[i]), 0);
		host_child("stoker-snapshot", child); /* once more: it could have been a mistake */
		host_term();
		assert_int_equal(host_wait(), 0);
		host_start(NULL);
		assert_string_equal(lc_get(FN "/configuration", "State"), "Pending");
		kill(host_child("stoker-snapshot", 0), signals[i]);
		host_touch("go");
		lc_wait_get(FN "/configuration", "State", "Active");
		lc_invoke(FN "/invocations", "{}", 200, "{}");
		lc_wait_delete(FN);
		host_unlink("go");
	}
	lc_want("POST", FNS, lc_creation("f", "be-held", ""), 201);
	child = host_child("stoker-snapshot", 0);
	kill(child, SIGTERM);
	kill(host_child("stoker-snapshot", child), SIGTERM); /* somebody means it */
	lc_wait_get(FN "/configuration", "State", "Failed");
}

/* A damaged version that is being made again does not come back when it is deleted meanwhile. */
static void deleted_while_it_is_made_again(void **state)
{
	char path[128];
	int fd;

	host_start(NULL);
	host_touch("go");
	lc_want("POST", FNS, lc_creation("f", "be-held", ",\"Publish\":true"), 201);
	lc_wait_get(FN "/configuration?Qualifier=1", "State", "Active");
	host_term();
	assert_int_equal(host_wait(), 0);
	snprintf(path, sizeof(path), "%s/functions/f/2/code.img", host_root);
	assert_int_equal(truncate(path, 100), 0);
	host_unlink("go");
	host_start(NULL);
	fd = host_request_begin("POST", FN "/invocations?Qualifier=1", "{}");
	host_await(true, "tmp/rebuild-f-2-0");
	lc_wait_delete(FN);
	close(fd);
	host_touch("go");
	host_await(false, "functions/f/2");
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(lc_stored_rows(NULL), 0);
}

/* A folder that nobody knows is removed, and its number is not used while that goes on. */
static void folders_without_a_version(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/functions/f/7/snapshot", host_root);
	assert_int_equal(fsx_mkdirs(path, 0755), 0);
	host_start(NULL);
	lc_create("f");
	assert_true(host_has("functions/f/8/snapshot"));
	host_await(false, "functions/f/7");
}

/* All that was accepted is built, however many deploys there are at once. */
static void more_than_are_built_at_once(void **state)
{
	char name[16], path[64];

	host_start(NULL);
	for (int i = 0; i < 72; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		lc_want("POST", FNS, lc_creation(name, "be-held", ""), 201);
	}
	host_kill();
	host_start(NULL);
	host_touch("go");
	for (int i = 0; i < 72; i++) {
		snprintf(path, sizeof(path), FNS "/f%d/configuration", i);
		lc_wait_get(path, "State", "Active");
	}
}

/* A host that ends in the middle of a request's work ends, whatever that is. */
static void ends_while_functions_are_made(void **state)
{
	for (int i = 0; i < 12; i++) {
		char name[16];
		int fd;

		host_start((const char *[]){"drain", "1", NULL});
		snprintf(name, sizeof(name), "f%d", i);
		fd = host_request_begin("POST", FNS, lc_creation(name, "x", ""));
		usleep((useconds_t)i * 3000);
		if (i & 1)
			close(fd);
		if (i % 3 == 0) {
			host_kill();
		} else {
			host_term();
			assert_int_equal(host_wait(), 0);
		}
		if (!(i & 1))
			close(fd);
	}
	host_start(NULL);
	for (int i = 0; i < 12; i++) {
		struct http_client_resp r;
		char path[64];
		int status;

		snprintf(path, sizeof(path), FNS "/f%d/configuration", i);
		assert_int_equal(host_request("GET", path, NULL, NULL, &r), 0);
		status = r.status;
		http_client_resp_fini(&r);
		if (status == 404) /* it had not come so far */
			continue;
		lc_wait_get(path, "State", "Active");
		snprintf(path, sizeof(path), FNS "/f%d/invocations", i);
		lc_invoke(path, "{}", 200, "{}");
	}
}

/* SnapStart is for published versions, as they are shown and as their environment is made. */
static void snapstart_of_versions(void **state)
{
	pid_t tool;
	int fd;

	host_start(NULL);
	lc_want("POST", FNS, lc_creation("f", "be-held", ",\"SnapStart\":{\"ApplyOn\":\"PublishedVersions\"}"), 201);
	tool = host_child("stoker-snapshot", 0);
	assert_false(host_has_argument(tool, "--snap-start"));
	host_touch("go");
	lc_wait_get(FN "/configuration", "State", "Active");
	host_unlink("go");
	fd = host_request_begin("POST", FN "/versions", "{}"); /* answered when it is made */
	tool = host_child("stoker-snapshot", tool);
	assert_true(host_has_argument(tool, "--snap-start"));
	host_touch("go");
	lc_wait_get(FN "/configuration?Qualifier=1", "State", "Active");
	close(fd);
	assert_string_equal(lc_get(FN "/configuration?Qualifier=1", "SnapStart"),
			    "{\"ApplyOn\":\"PublishedVersions\",\"OptimizationStatus\":\"On\"}");
	assert_string_equal(lc_get(FN "/configuration", "SnapStart"), "{\"ApplyOn\":\"PublishedVersions\",\"OptimizationStatus\":\"Off\"}");
	/* No other snapshot of $LATEST, which does not see it; of the next version. */
	lc_want("PUT", FN "/configuration", "{\"SnapStart\":{\"ApplyOn\":\"None\"}}", 200);
	assert_string_equal(lc_get(FN "/configuration", "LastUpdateStatus"), "Successful");
	host_unlink("go");
	fd = host_request_begin("POST", FN "/versions", "{}"); /* answered when it is made */
	tool = host_child("stoker-snapshot", tool);
	assert_false(host_has_argument(tool, "--snap-start"));
	host_touch("go");
	lc_wait_get(FN "/configuration?Qualifier=2", "State", "Active");
	close(fd);
	assert_string_equal(lc_get(FN "/configuration?Qualifier=2", "SnapStart"), "{\"ApplyOn\":\"None\",\"OptimizationStatus\":\"Off\"}");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		LC_TEST(builds_that_fail),
		LC_TEST(codes_of_init_errors),
		LC_TEST(builds_go_on_after_an_end),
		LC_TEST(changes_while_a_version_is_built),
		LC_TEST(changes_while_a_function_is_deployed),
		LC_TEST(deleted_while_it_is_built),
		LC_TEST(builds_that_are_signalled),
		LC_TEST(deleted_while_it_is_made_again),
		LC_TEST(folders_without_a_version),
		LC_TEST(more_than_are_built_at_once),
		LC_TEST(ends_while_functions_are_made),
		LC_TEST(snapstart_of_versions),
	};

	if (!lc_begin(argc, argv))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
