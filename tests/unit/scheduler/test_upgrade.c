/* A state folder that an older stokerd has left (tests/golden/state), taken over by this one: everything is there, serves and
 * can be changed, in this life and the next. The definitions of the tables are those of that time. */
#include "tests/unit/scheduler/host_fixture.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/async/eventdb.h"
#include "scheduler/fsx.h"
#include "scheduler/store.h"
#include "tests/unit/unit.h"

#define FNS "/2015-03-31/functions"
#define FN  FNS "/hello"

static void put_zip(const char *folder, const char *leaf)
{
	uint8_t zip[sizeof(HOST_ZIP)];
	int len = EVP_DecodeBlock(zip, (const unsigned char *)HOST_ZIP, sizeof(HOST_ZIP) - 1);
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", host_root, folder);
	assert_int_equal(fsx_mkdirs(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/%s/%s", host_root, folder, leaf);
	len -= HOST_ZIP[sizeof(HOST_ZIP) - 2] == '='; /* the decoder writes its padding as well */
	assert_int_equal(stk_write_file_atomic(path, zip, (size_t)len, 0644), 0);
}

/* A database of the host's out of a text. */
static void put_database(const char *leaf, const char *golden)
{
	const char *src = getenv("STOKER_SRC");
	char path[512], *sql = NULL, *why = NULL;
	size_t len = 0;
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/tests/golden/state/%s.sql", src ? src : ".", golden);
	assert_int_equal(stk_read_file(path, 65536, &sql, &len), 0);
	snprintf(path, sizeof(path), "%s/%s", host_root, leaf);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", golden, why);
	sqlite3_close(db);
	free(sql);
}

static int database_version(const char *leaf)
{
	sqlite3_stmt *st;
	sqlite3 *db;
	char path[256];
	int version;

	snprintf(path, sizeof(path), "%s/%s", host_root, leaf);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return version;
}

static int setup(void **state)
{
	unit_time_limit(120);
	return host_make();
}

static int teardown(void **state)
{
	return host_remove();
}

/* The answer's body (json_decref it), NULL when it has none. */
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

/* A member of the answer of a GET, as JSON. */
static const char *get(const char *path, const char *member)
{
	static char text[2048];
	json_t *o = call("GET", path, NULL, 200), *m = json_object_get(o, member);
	char *dump = m ? json_dumps(m, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	snprintf(text, sizeof(text), "%s", dump ? dump : "");
	free(dump);
	json_decref(o);
	return text;
}

static void expect(const char *path, const char *member, const char *json)
{
	if (strcmp(get(path, member), json) != 0)
		fail_msg("%s of %s: %s, not %s", member, path, get(path, member), json);
}

static void wait_for(const char *path, const char *member, const char *json)
{
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;

	while (strcmp(get(path, member), json) != 0) {
		if (stk_now_ns() > until)
			fail_msg("%s of %s stays %s, not %s", member, path, get(path, member), json);
		usleep(5000);
	}
}

static void invoke(const char *path)
{
	json_decref(call("POST", path, "{\"n\":1}", 200));
}

/* --- what has to be there ---------------------------------------------------------------------------------- */

static void check_first(long schema)
{
	expect("/v1/functions/hello", "runtime", "\"python3\"");
	expect("/v1/functions/hello", "handler", "\"a.b\"");
	expect("/v1/functions/hello", "memory", "256");
	expect("/v1/functions/hello", "timeout", "7");
	expect("/v1/functions/hello", "version", "3");
	expect("/v1/functions/hello", "environment", "[\"MODE\"]");
	expect("/v1/functions/hello", "reuse", schema >= 2 ? "\"reset\"" : "\"destroy\"");
	expect("/v1/functions/hello", "layers", schema >= 4 ? "[\"tools:7\"]" : "");
	expect("/v1/functions/hello", "secrets", schema >= 5 ? "[\"TOKEN\"]" : "");
	expect("/v1/functions/hello", "ephemeralStorage", schema >= 5 ? "1024" : "512");
	expect(FN "/configuration", "State", "\"Active\"");
	expect(FN "/configuration", "LastUpdateStatus", "\"Successful\"");
	expect("/2019-09-25/functions/hello/event-invoke-config", "MaximumRetryAttempts", "1");
	expect("/2019-09-25/functions/hello/event-invoke-config", "MaximumEventAgeInSeconds", "3600");
	invoke(FN "/invocations");
}

/* Of schema 3 and later. */
static void check_versions(void)
{
	expect(FN "/configuration?Qualifier=1", "Description", "\"one\"");
	expect(FN "/configuration", "Description", "\"two\"");
	expect(FN "/configuration", "CodeSha256", "\"ncILeaHqPF2Re0XGRjBi3kQ+Pl7Evw6cMOZhpXRzoYQ=\"");
	expect(FN "/configuration", "RevisionId", "\"00000000-0000-4000-8000-000000000002\"");
	expect(FN "/aliases/live", "FunctionVersion", "\"1\"");
	expect(FN "/aliases/live", "Description", "\"first\"");
	expect("/2019-09-30/functions/hello/concurrency", "ReservedConcurrentExecutions", "5");
	expect("/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:hello", "Tags", "{\"team\":\"x\"}");
	expect("/2021-10-31/functions/hello/url?Qualifier=live", "AuthType", "\"AWS_IAM\"");
	assert_non_null(strstr(get(FN "/policy", "Policy"), "InvokeFunction"));
	expect(FNS "/broken/configuration", "LastUpdateStatus", "\"Failed\"");
	expect(FNS "/broken/configuration", "LastUpdateStatusReasonCode", "\"FunctionError.RuntimeInitError\"");
	expect(FNS "/broken/configuration", "LastUpdateStatusReason", "\"it has no handler\"");
	invoke(FNS "/broken/invocations"); /* what it was before */
	wait_for(FNS "/half/configuration", "State", "\"Active\""); /* an interrupted deploy goes on */
	invoke(FNS "/half/invocations");
	wait_for("/2019-09-30/functions/hello/provisioned-concurrency?Qualifier=live", "Status", "\"READY\"");
	invoke(FNS "/hello:live/invocations");
}

/* Numbers go on behind those that were used, of deleted functions too. */
static void check_numbers(long schema)
{
	json_decref(call("POST", FNS, "{\"FunctionName\":\"gone\",\"Runtime\":\"python3\",\"Handler\":\"a.b\","
			 "\"Role\":\"arn:aws:iam::000000000000:role/r\",\"Code\":{\"ZipFile\":\"" HOST_ZIP "\"}}", 201));
	wait_for(FNS "/gone/configuration", "State", "\"Active\"");
	assert_true(host_has("functions/gone/10/snapshot"));
	json_decref(call("PUT", FN "/configuration", "{\"Environment\":{\"Variables\":{\"MODE\":\"y\"}}}", 200));
	wait_for(FN "/configuration", "LastUpdateStatus", "\"Successful\"");
	assert_true(host_has("functions/hello/4/snapshot"));
	json_decref(call("POST", FN "/versions", "{}", 201));
	expect(schema >= 3 ? FN "/configuration?Qualifier=2" : FN "/configuration?Qualifier=1", "State", "\"Active\"");
}

static void check_second(long schema)
{
	expect("/v1/functions/hello", "version", "4");
	expect("/v1/functions/hello", "reuse", schema >= 2 ? "\"reset\"" : "\"destroy\"");
	expect("/v1/functions/hello", "layers", schema >= 4 ? "[\"tools:7\"]" : "");
	expect("/v1/functions/hello", "secrets", schema >= 5 ? "[\"TOKEN\"]" : "");
	expect("/v1/functions/hello", "ephemeralStorage", schema >= 5 ? "1024" : "512");
	invoke(FN "/invocations");
	if (schema >= 3) {
		expect(FN "/aliases/live", "FunctionVersion", "\"1\"");
		expect("/2019-09-30/functions/hello/concurrency", "ReservedConcurrentExecutions", "5");
		invoke(FNS "/hello:live/invocations");
	}
}

static void taken_over(void **state)
{
	long schema = (long)(intptr_t)*state;
	char golden[16];

	snprintf(golden, sizeof(golden), "schema-%ld", schema);
	put_database("stoker.db", golden);
	put_database("events.db", "events-1");
	put_zip("functions/hello/3", "code.zip");
	if (schema >= 3) {
		put_zip("functions/hello/2", "code.zip");
		put_zip("functions/broken/1", "code.zip");
		put_zip("functions/broken/2", "code.zip");
		put_zip("functions/half/1", "code.zip");
	}
	if (schema >= 4)
		put_zip("layers/tools/7", "layer.zip");
	host_start(NULL);
	host_wait_metric("\nstoker_async_done_total ", 1);
	check_first(schema);
	if (schema >= 3)
		check_versions();
	check_numbers(schema);
	host_kill();
	host_start(NULL);
	check_second(schema);
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(database_version("stoker.db"), STORE_SCHEMA);
	assert_int_equal(database_version("events.db"), EVENTDB_SCHEMA);
}

int main(int argc, char **argv)
{
#define FROM(n) {"from_schema_" #n, taken_over, setup, teardown, (void *)(intptr_t)(n)}
	const struct CMUnitTest tests[] = {FROM(1), FROM(2), FROM(3), FROM(4), FROM(5), FROM(6)};

	_Static_assert(STORE_SCHEMA == 6, "a database of the schema before belongs into tests/golden/state, and here");
	host_play(argc, argv);
	if (access("/usr/bin/mkfs.erofs", X_OK)) {
		fprintf(stderr, "mkfs.erofs is not there\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
