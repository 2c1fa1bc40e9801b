/* The size of /tmp, from both APIs to the snapshot, the memory that is counted, and the next life. */
#include "tests/unit/scheduler/lambda_client.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void create(const char *name, const char *storage, int status)
{
	lc_want("POST", FNS, lc_creation(name, "x", storage), status);
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
	json_t *o = lc_call("GET", url, NULL, NULL, 200);
	json_int_t n = number(o, path);

	json_decref(o);
	return n;
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
	lc_wait_get(FN "/configuration", "State", "Active");
	assert_int_equal(made_with(1), 513);
	assert_int_equal(shown("/v1/functions/f", "ephemeralStorage"), 513);
	lc_want("PUT", FN "/configuration", "{\"Timeout\":5}", 200);
	lc_want("PUT", FN "/configuration", "{\"EphemeralStorage\":{\"Size\":513}}", 200);
	assert_false(host_has("functions/f/2")); /* nothing that the guest sees has changed */
	lc_want("PUT", FN "/configuration", "{\"EphemeralStorage\":{\"Size\":600}}", 200);
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	assert_int_equal(made_with(2), 600);
	assert_int_equal(shown(FN "/configuration", "EphemeralStorage.Size"), 600);
	lc_want("PUT", FN "/code", "{\"ZipFile\":\"" HOST_ZIP "\"}", 200);
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	assert_int_equal(made_with(3), 600); /* stays with other code */
	lc_want("PUT", FN "/configuration", "{\"EphemeralStorage\":{\"Size\":512}}", 200);
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	assert_int_equal(made_with(4), 512);
	lc_want("POST", FN "/invocations", "{}", 200);
	lc_want("DELETE", FN, NULL, 204);
	host_await(false, "functions/f/4");
}

static void sizes_survive(void **state)
{
	host_start(NULL);
	create("f", ",\"EphemeralStorage\":{\"Size\":700}", 201);
	lc_wait_get(FN "/configuration", "State", "Active");
	host_kill();
	host_start(NULL);
	assert_int_equal(shown(FN "/configuration", "EphemeralStorage.Size"), 700);
	lc_want("POST", FN "/invocations", "{}", 200);
	assert_int_equal(made_with(1), 700);
}

/* As the release before has left it: the size was shown, and the snapshot had the smallest. */
static void a_snapshot_of_another_size_is_made_again(void **state)
{
	char path[256];
	sqlite3 *db;

	host_start(NULL);
	create("f", "", 201);
	lc_wait_get(FN "/configuration", "State", "Active");
	host_kill();
	snprintf(path, sizeof(path), "%s/stoker.db", host_root);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE versions SET storage_mib = 2048", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(made_with(1), 512);
	host_start(NULL);
	lc_want("POST", FN "/invocations", "{}", 200);
	assert_int_equal(made_with(1), 2048);
}

/* All of it is memory of the host: it must fit, and is counted for each VM. */
static void what_is_written_is_memory(void **state)
{
	host_start((const char *[]){"memory-budget", "1000", "pool-floor", "0", "pool-idle", "1", NULL});
	create("g", ",\"EphemeralStorage\":{\"Size\":1600}", 400);
	assert_false(host_has("functions/g/1"));
	create("f", ",\"EphemeralStorage\":{\"Size\":1024}", 201);
	lc_wait_get(FN "/configuration", "State", "Active");
	lc_want("PUT", FN "/configuration", "{\"EphemeralStorage\":{\"Size\":1600}}", 400);
	assert_int_equal(shown(FN "/configuration", "EphemeralStorage.Size"), 1024);
	lc_want("POST", FN "/invocations", "{}", 200);
	host_wait_metric("\nstoker_vms ", 0);
	host_wait_metric("\nstoker_memory_charged_bytes ", 0);
}

/* Two VMs do not fit beside each other, so never are two there: the second call waits for the first VM's end. */
static void as_many_run_as_fit(void **state)
{
	int first, second;

	host_start((const char *[]){"memory-budget", "1000", "pool-floor", "0", "pool-idle", "1", NULL});
	create("f", ",\"EphemeralStorage\":{\"Size\":1024}", 201);
	lc_wait_get(FN "/configuration", "State", "Active");
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
		LC_TEST(a_size_is_made_and_changed),
		LC_TEST(sizes_survive),
		LC_TEST(a_snapshot_of_another_size_is_made_again),
		LC_TEST(what_is_written_is_memory),
		LC_TEST(as_many_run_as_fit),
	};

	if (!lc_begin(argc, argv))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
