/* The size of /tmp, from both APIs to the snapshot, the memory that is counted, and the next life. */
#include "tests/unit/scheduler/host_fixture.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "tests/unit/unit.h"

#define FNS "/2015-03-31/functions"
#define FN  FNS "/f"

static int setup(void **state)
{
	unit_time_limit(120);
	return host_make();
}

static int teardown(void **state)
{
	return host_remove();
}

/* The answer's body: json_decref it. */
static json_t *call(const char *method, const char *path, const char *body, int status)
{
	struct http_client_resp r;
	json_t *o;

	assert_int_equal(host_request(method, path, NULL, body, &r), 0);
	if (r.status != status)
		fail_msg("%s %s: %d, not %d: %s", method, path, r.status, status, (char *)r.body);
	o = r.body_len ? json_loadb((char *)r.body, r.body_len, JSON_DECODE_ANY, NULL) : NULL;
	http_client_resp_fini(&r);
	return o;
}

static void want(const char *method, const char *path, const char *body, int status)
{
	json_decref(call(method, path, body, status));
}

static void create(const char *name, const char *storage, int status)
{
	char body[1024];

	snprintf(body, sizeof(body), "{\"FunctionName\":\"%s\",\"Runtime\":\"python3\",\"Handler\":\"a.b\","
		 "\"Role\":\"arn:aws:iam::000000000000:role/r\",\"Code\":{\"ZipFile\":\"" HOST_ZIP "\"}%s}", name, storage);
	want("POST", FNS, body, status);
}

/* A path in an answer's or a file's JSON: "a.b". */
static json_int_t number(const json_t *o, const char *path)
{
	char key[64];
	size_t n = strcspn(path, ".");

	snprintf(key, sizeof(key), "%.*s", (int)n, path);
	o = json_object_get(o, key);
	return path[n] ? number(o, path + n + 1) : json_integer_value(o);
}

static json_int_t shown(const char *url, const char *path)
{
	json_t *o = call("GET", url, NULL, 200);
	json_int_t n = number(o, path);

	json_decref(o);
	return n;
}

static void wait_text(const char *member, const char *value)
{
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;
	bool is;

	do {
		json_t *o = call("GET", FN "/configuration", NULL, 200);
		const char *text = json_string_value(json_object_get(o, member));

		is = text && strcmp(text, value) == 0;
		json_decref(o);
		assert_true(stk_now_ns() < until);
		usleep(5000);
	} while (!is);
}

/* What version N's snapshot was made with; 0: there is none. */
static json_int_t made_with(unsigned number_of)
{
	char path[256];
	json_t *o;
	json_int_t n;

	snprintf(path, sizeof(path), "%s/functions/f/%u/snapshot/manifest.json", host_root, number_of);
	o = json_load_file(path, 0, NULL);
	n = number(o, "machine.scratch_mib");
	json_decref(o);
	return n;
}

static void a_size_is_made_and_changed(void **state)
{
	host_start(NULL);
	create("f", ",\"EphemeralStorage\":{\"Size\":513}", 201);
	wait_text("State", "Active");
	assert_int_equal(made_with(1), 513);
	assert_int_equal(shown("/v1/functions/f", "ephemeralStorage"), 513);
	want("PUT", FN "/configuration", "{\"Timeout\":5}", 200);
	want("PUT", FN "/configuration", "{\"EphemeralStorage\":{\"Size\":513}}", 200);
	assert_false(host_has("functions/f/2")); /* nothing that the guest sees has changed */
	want("PUT", FN "/configuration", "{\"EphemeralStorage\":{\"Size\":600}}", 200);
	wait_text("LastUpdateStatus", "Successful");
	assert_int_equal(made_with(2), 600);
	assert_int_equal(shown(FN "/configuration", "EphemeralStorage.Size"), 600);
	want("PUT", FN "/code", "{\"ZipFile\":\"" HOST_ZIP "\"}", 200);
	wait_text("LastUpdateStatus", "Successful");
	assert_int_equal(made_with(3), 600); /* stays with other code */
	want("PUT", FN "/configuration", "{\"EphemeralStorage\":{\"Size\":512}}", 200);
	wait_text("LastUpdateStatus", "Successful");
	assert_int_equal(made_with(4), 512);
	want("POST", FN "/invocations", "{}", 200);
	want("DELETE", FN, NULL, 204);
	host_await(false, "functions/f/4");
}

static void sizes_survive(void **state)
{
	host_start(NULL);
	create("f", ",\"EphemeralStorage\":{\"Size\":700}", 201);
	wait_text("State", "Active");
	host_kill();
	host_start(NULL);
	assert_int_equal(shown(FN "/configuration", "EphemeralStorage.Size"), 700);
	want("POST", FN "/invocations", "{}", 200);
	assert_int_equal(made_with(1), 700);
}

/* As the release before has left it: the size was shown, and the snapshot had the smallest. */
static void a_snapshot_of_another_size_is_made_again(void **state)
{
	char path[256];
	sqlite3 *db;

	host_start(NULL);
	create("f", "", 201);
	wait_text("State", "Active");
	host_kill();
	snprintf(path, sizeof(path), "%s/stoker.db", host_root);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE versions SET storage_mib = 2048", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(made_with(1), 512);
	host_start(NULL);
	want("POST", FN "/invocations", "{}", 200);
	assert_int_equal(made_with(1), 2048);
}

/* All of it is memory of the host: it must fit, and is counted for each VM. */
static void what_is_written_is_memory(void **state)
{
	host_start((const char *[]){"memory-budget", "1000", "pool-floor", "0", "pool-idle", "1", NULL});
	create("g", ",\"EphemeralStorage\":{\"Size\":1600}", 400);
	assert_false(host_has("functions/g/1"));
	create("f", ",\"EphemeralStorage\":{\"Size\":1024}", 201);
	wait_text("State", "Active");
	want("PUT", FN "/configuration", "{\"EphemeralStorage\":{\"Size\":1600}}", 400);
	assert_int_equal(shown(FN "/configuration", "EphemeralStorage.Size"), 1024);
	want("POST", FN "/invocations", "{}", 200);
	host_wait_metric("\nstoker_vms ", 0);
	host_wait_metric("\nstoker_memory_charged_bytes ", 0);
}

/* Two VMs do not fit beside each other, so never are two there: the second call waits for the first VM's end. */
static void as_many_run_as_fit(void **state)
{
	int first, second;

	host_start((const char *[]){"memory-budget", "1000", "pool-floor", "0", "pool-idle", "1", NULL});
	create("f", ",\"EphemeralStorage\":{\"Size\":1024}", 201);
	wait_text("State", "Active");
	first = host_request_begin("POST", FN "/invocations", "{\"be-held\":1}");
	assert_true(first >= 0);
	host_wait_metric("\nstoker_memory_charged_bytes ", (64 + 512) * 1048576.0);
	second = host_request_begin("POST", FN "/invocations", "{\"be-held\":2}");
	assert_true(second >= 0);
	host_wait_metric("\nstoker_queue_length ", 1);
	assert_true(host_metric("\nstoker_memory_charged_bytes ") == (64 + 512) * 1048576.0);
	assert_true(host_metric("\nstoker_vms ") == 1);
	host_touch("go");
	host_wait_metric("\nstoker_queue_length ", 0);
	close(first);
	close(second);
	host_wait_metric("\nstoker_vms ", 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_size_is_made_and_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(sizes_survive, setup, teardown),
		cmocka_unit_test_setup_teardown(a_snapshot_of_another_size_is_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_written_is_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(as_many_run_as_fit, setup, teardown),
	};

	host_play(argc, argv);
	if (access("/usr/bin/mkfs.erofs", X_OK)) {
		fprintf(stderr, "mkfs.erofs is not there\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
