/* The Lambda API of a real stokerd over HTTP, without KVM: what a client sees of functions, versions, aliases and calls, and
 * that the host ends, is killed and starts again in each state without losing or inventing anything. */
#include "tests/unit/scheduler/host_fixture.h"

#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "scheduler/async/eventdb.h"
#include "scheduler/fsx.h"
#include "scheduler/store.h"
#include "tests/unit/unit.h"

/* Zips of a file a.py. */
#define ZIP_1 HOST_ZIP
#define ZIP_2                                                                                                        \
	"UEsDBBQAAAAAAAAAIQAPJO7GGQAAABkAAAAEAAAAYS5weWRlZiBiKGUsYyk6CiAgICByZXR1cm4gMgpQSwECFAMUAAAAAAAAACEADyTuxh"  \
	"kAAAAZAAAABAAAAAAAAAAAAAAAgAEAAAAAYS5weVBLBQYAAAAAAQABADIAAAA7AAAAAAA="

#define FNS  "/2015-03-31/functions"
#define FN   FNS "/f"
#define CONC "/2017-10-31/functions/f/concurrency"
#define PROV "/2019-09-30/functions/f/provisioned-concurrency"
#define URL  "/2021-10-31/functions/f/url"
#define EVI  "/2019-09-25/functions/f/event-invoke-config"
#define TAGS "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:f"

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
static json_t *call(const char *method, const char *path, const char *headers, const char *body, int status)
{
	struct http_client_resp r;
	json_t *o;

	assert_int_equal(host_request(method, path, headers, body, &r), 0);
	if (r.status != status)
		fail_msg("%s %s: %d, not %d: %s", method, path, r.status, status, (char *)r.body);
	o = r.body_len ? json_loadb((char *)r.body, r.body_len, JSON_DECODE_ANY, NULL) : NULL;
	if (r.body_len && !o)
		fail_msg("%s %s: no JSON: %s", method, path, (char *)r.body);
	http_client_resp_fini(&r);
	return o;
}

static void want(const char *method, const char *path, const char *body, int status)
{
	json_decref(call(method, path, NULL, body, status));
}

/* A member of the answer of a GET, as text. */
static const char *get(const char *path, const char *member)
{
	static char text[4096];
	json_t *o = call("GET", path, NULL, NULL, 200), *m = json_object_get(o, member);
	char *dump = m ? json_dumps(m, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	snprintf(text, sizeof(text), "%s", json_is_string(m) ? json_string_value(m) : dump ? dump : "");
	free(dump);
	json_decref(o);
	return text;
}

static void wait_get(const char *path, const char *member, const char *value)
{
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;

	while (strcmp(get(path, member), value) != 0) {
		if (stk_now_ns() > until)
			fail_msg("%s of %s stays \"%s\", not \"%s\"", member, path, get(path, member), value);
		usleep(5000);
	}
}

/* Waits for the end of what is under way. */
static void wait_delete(const char *path)
{
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;
	struct http_client_resp r;
	int status;

	do {
		assert_int_equal(host_request("DELETE", path, NULL, NULL, &r), 0);
		status = r.status;
		http_client_resp_fini(&r);
		assert_true(stk_now_ns() < until);
		usleep(5000);
	} while (status == 409);
	assert_int_equal(status, 204);
}

static char text_buf[2048];

static const char *creation(const char *name, const char *mode, const char *more)
{
	snprintf(text_buf, sizeof(text_buf),
		 "{\"FunctionName\":\"%s\",\"Runtime\":\"python3\",\"Handler\":\"a.b\",\"Role\":\"arn:aws:iam::000000000000:role/r\","
		 "\"Environment\":{\"Variables\":{\"MODE\":\"%s\"}},\"Code\":{\"ZipFile\":\"" ZIP_1 "\"}%s}", name, mode, more);
	return text_buf;
}

static const char *new_mode(const char *mode)
{
	snprintf(text_buf, sizeof(text_buf), "{\"Environment\":{\"Variables\":{\"MODE\":\"%s\"}}}", mode);
	return text_buf;
}

static void create(const char *name)
{
	char path[128];

	want("POST", FNS, creation(name, "x", ""), 201);
	snprintf(path, sizeof(path), FNS "/%s/configuration", name);
	wait_get(path, "State", "Active");
}

static void update_mode(const char *mode, const char *status)
{
	want("PUT", FN "/configuration", new_mode(mode), 200);
	if (status)
		wait_get(FN "/configuration", "LastUpdateStatus", status);
}

static void invoke(const char *path, const char *event, int status, const char *part)
{
	struct http_client_resp r;

	assert_int_equal(host_request("POST", path, NULL, event, &r), 0);
	if (r.status != status || !strstr((char *)r.body, part))
		fail_msg("%s %s: %d %s", path, event, r.status, (char *)r.body);
	http_client_resp_fini(&r);
}

/* Calls f and asks for the end of its log. */
static void invoke_tail(const char *event, char ret_id[64], char *ret, size_t cap)
{
	struct http_client_resp r;
	char value[8192];
	size_t len;
	int n;

	assert_int_equal(host_request("POST", FN "/invocations", "X-Amz-Log-Type: Tail\r\n", event, &r), 0);
	assert_int_equal(r.status, 200);
	assert_int_equal(http_client_header(&r, "x-amzn-requestid", ret_id, 64), 0);
	assert_int_equal(http_client_header(&r, "x-amz-log-result", value, sizeof(value)), 0);
	http_client_resp_fini(&r);
	len = strlen(value);
	assert_true(len / 4 * 3 < cap);
	n = EVP_DecodeBlock((unsigned char *)ret, (const unsigned char *)value, (int)len);
	assert_true(n >= 0);
	ret[n] = '\0'; /* behind it are the NULs of the padding */
}

/* Waits until f's log has this text behind `from`; the log from there on, until the next call. */
static const char *wait_log(const char *from, const char *text)
{
	static struct http_client_resp r;
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;
	const char *at;

	for (;;) {
		http_client_resp_fini(&r);
		assert_int_equal(host_request("GET", "/v1/functions/f/logs?lines=1000", NULL, NULL, &r), 0);
		at = r.status == 200 ? strstr((char *)r.body, from) : NULL;
		if (at && strstr(at, text))
			return at;
		if (stk_now_ns() > until)
			fail_msg("no \"%s\" behind \"%s\": %s", text, from, (char *)r.body);
		usleep(10000);
	}
}

/* As `stoker deploy` does it. */
static void deploy(const char *name, const char *settings, int status)
{
	struct http_client_resp r;
	uint8_t zip[sizeof(ZIP_1)];
	char path[256];
	int len = EVP_DecodeBlock(zip, (const unsigned char *)ZIP_1, sizeof(ZIP_1) - 1);

	snprintf(path, sizeof(path), "/v1/functions/%s?runtime=python3&handler=a.b%s", name, settings);
	assert_int_equal(host_send("PUT", path, NULL, zip, (size_t)len, &r), 0);
	if (r.status != status)
		fail_msg("%s: %d, not %d: %s", path, r.status, status, (char *)r.body);
	http_client_resp_fini(&r);
}

/* --- what is in the database ------------------------------------------------------------------------------ */

static unsigned rows;

static int count_name(void *ctx, const char *name, unsigned last_version)
{
	return 0;
}

static int count_version(void *ctx, const struct store_version *v)
{
	rows++;
	return 0;
}

static int count_function(void *ctx, const struct store_function *f)
{
	return 0;
}

static int count_alias(void *ctx, const char *function, const struct fn_alias *a)
{
	rows++;
	return 0;
}

static int count_note(void *ctx, const char *function, const struct fn_note *n)
{
	rows++;
	return 0;
}

/* Rows of versions, aliases and notes. Only while no host runs. */
static unsigned stored_rows(void)
{
	static const struct store_sink sink = {.name = count_name, .version = count_version, .function = count_function,
		.alias = count_alias, .note = count_note};
	char path[128];
	struct stk_err err = {0};
	struct store *st;

	rows = 0;
	snprintf(path, sizeof(path), "%s/stoker.db", host_root);
	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(store_load(st, &sink, NULL, &err), 0);
	store_close(st);
	return rows;
}

/* --- functions -------------------------------------------------------------------------------------------- */

static void functions_are_shown(void **state)
{
	struct http_client_resp r;
	char value[128];
	json_t *o;

	host_add_function("f");
	host_start(NULL);
	assert_string_equal(get(FN "/configuration", "FunctionArn"), "arn:aws:lambda:us-east-1:000000000000:function:f");
	assert_string_equal(get(FN "/configuration?Qualifier=$LATEST", "FunctionArn"),
			    "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST");
	o = call("GET", FN, NULL, NULL, 200);
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "Configuration"), "State")), "Active");
	json_decref(o);
	o = call("GET", FNS "/", NULL, NULL, 200); /* some clients end it so */
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
	want("GET", "/2015-03-31/nothing", NULL, 404);
	want("GET", FN "?Qualifier=7", NULL, 404);
	want("GET", FN "?Qualifier=an+alias", NULL, 400);
	want("GET", FNS "?MaxItems=0", NULL, 400);
	want("GET", FNS "?FunctionVersion=SOME", NULL, 400);
	want("GET", "/2016-08-19/account-settings", NULL, 200);
	want("DELETE", FN "?Qualifier=$LATEST", NULL, 400);
	want("DELETE", FN, NULL, 204);
	want("DELETE", FN, NULL, 404);
	host_await(false, "functions/f/1");
}

/* Is this one of the program's arguments? */
static bool has_argument(pid_t pid, const char *argument)
{
	char path[64], text[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 && memmem(text, (size_t)n, argument, strlen(argument) + 1);
}

static void region_of_the_host(void **state)
{
	host_start((const char *[]){"region", "eu-west-1", NULL});
	want("POST", FNS, creation("f", "be-held", ""), 201);
	assert_true(has_argument(host_child("stoker-snapshot", 0), "eu-west-1"));
	host_touch("go");
	wait_get(FN "/configuration", "State", "Active");
	assert_string_equal(get(FN "/configuration", "FunctionArn"), "arn:aws:lambda:eu-west-1:000000000000:function:f");
	assert_string_equal(get(FNS "/arn:aws:lambda:eu-west-1:000000000000:function:f/configuration", "State"), "Active");
	want("GET", FNS "/arn:aws:lambda:us-east-1:000000000000:function:f/configuration", NULL, 404);
	invoke(FN "/invocations", "\"be-arn\"", 200, "\"arn:aws:lambda:eu-west-1:000000000000:function:f\"");
	host_kill();
	host_start(NULL); /* elsewhere now, with what there is */
	assert_string_equal(get(FN "/configuration", "FunctionArn"), "arn:aws:lambda:us-east-1:000000000000:function:f");
	invoke(FN "/invocations", "\"be-arn\"", 200, "\"arn:aws:lambda:us-east-1:000000000000:function:f\"");
}

static void made_changed_and_removed(void **state)
{
	char first[64];

	host_start(NULL);
	create("f");
	want("POST", FNS, creation("f", "x", ""), 409);
	want("POST", FNS, "{", 400);
	want("POST", FNS, "{\"FunctionName\":\"g\",\"Runtime\":\"cobol\",\"Handler\":\"a.b\",\"Role\":\"r\",\"Code\":{\"ZipFile\":\"" ZIP_1 "\"}}",
	     400);
	invoke(FN "/invocations", "{\"n\":1}", 200, "{\"n\":1}");
	snprintf(first, sizeof(first), "%s", get(FN "/configuration", "CodeSha256"));
	want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_2 "\"}", 200);
	wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	assert_string_not_equal(get(FN "/configuration", "CodeSha256"), first);
	host_await(false, "functions/f/1");
	want("PUT", FN "/configuration", "{\"Timeout\":5,\"Description\":\"d\"}", 200);
	assert_string_equal(get(FN "/configuration", "LastUpdateStatus"), "Successful"); /* at once: the snapshot stays */
	assert_string_equal(get(FN "/configuration", "Timeout"), "5");
	want("PUT", FN "/configuration", "{\"Timeout\":6,\"RevisionId\":\"00000000-0000-4000-8000-000000000009\"}", 412);
	want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_1 "\",\"DryRun\":true}", 200);
	want("PUT", FN "/code", "{\"ZipFile\":\"bm8gemlw\"}", 400);
	update_mode("y", "Successful");
	invoke(FN "/invocations", "{\"n\":2}", 200, "{\"n\":2}");
	want("DELETE", FN, NULL, 204);
	want("GET", FN, NULL, 404);
	host_await(false, "functions/f/3");
	create("f");
	assert_true(host_has("functions/f/4"));
}

/* An init phase that fails: a first version's calls are told so; an update leaves what is there. */
static void builds_that_fail(void **state)
{
	json_t *o;

	host_start(NULL);
	want("POST", FNS, creation("f", "be-broken", ""), 201);
	wait_get(FN "/configuration", "State", "Failed");
	assert_string_equal(get(FN "/configuration", "StateReasonCode"), "FunctionError.RuntimeInitError");
	assert_true(strlen(get(FN "/configuration", "StateReason")) > 100);
	o = call("GET", FNS, NULL, NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "Functions")), 1);
	json_decref(o);
	invoke(FN "/invocations", "1", 200, "Runtime.Oops");
	want("POST", FN "/versions", "{}", 409);
	update_mode("x", NULL);
	wait_get(FN "/configuration", "State", "Active");
	invoke(FN "/invocations", "1", 200, "1");
	update_mode("be-broken", "Failed");
	assert_string_equal(get(FN "/configuration", "State"), "Active");
	invoke(FN "/invocations", "2", 200, "2");
	host_kill();
	host_start(NULL);
	assert_string_equal(get(FN "/configuration", "LastUpdateStatus"), "Failed");
	assert_true(strlen(get(FN "/configuration", "LastUpdateStatusReason")) > 100);
	invoke(FN "/invocations", "3", 200, "3");
	update_mode("x", "Successful");
	want("POST", FN "/versions", "{}", 201);
	update_mode("be-killed", "Failed"); /* failed latest, active one, published one */
	want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	want("DELETE", FN, NULL, 204);
	host_wait_metric("\nstoker_vms ", 0);
	for (int i = 1; i <= 6; i++) {
		char path[32];

		snprintf(path, sizeof(path), "functions/f/%d", i);
		host_await(false, path);
	}
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(stored_rows(), 0);
}

/* Lines of the init phase, which happens at a deploy. */
static void init_phases_are_logged(void **state)
{
	char id[64], tail[8192], text[512];
	const char *at;

	host_start(NULL);
	want("POST", FNS, creation("f", "be-broken", ""), 201);
	wait_get(FN "/configuration", "State", "Failed");
	wait_log("Z deploy INIT_START Runtime Version: python3\n",
		 "Z deploy INIT_REPORT Init Duration: 206.72 ms\tPhase: init\tStatus: error\tError Type: Runtime.Oops\n");
	/* A call that finds it so: the error between the usual lines, in the log and in the tail. */
	invoke_tail("1", id, tail, sizeof(tail));
	at = tail + snprintf(text, sizeof(text), "START RequestId: %s Version: $LATEST\n", id);
	assert_memory_equal(tail, text, strlen(text));
	assert_memory_equal(at, "{\"errorType\":\"Runtime.Oops\",", 27);
	snprintf(text, sizeof(text), "\nEND RequestId: %s\nREPORT RequestId: %s\tDuration: 0.00 ms\tBilled Duration: 0 ms\t"
		 "Memory Size: 128 MB\tStatus: error\n", id, id);
	at = strstr(tail, "\nEND");
	assert_non_null(at);
	assert_string_equal(at, text);
	snprintf(text, sizeof(text), "Z %s START ", id);
	wait_log(text, "\tStatus: error\n");
	want("DELETE", FN, NULL, 204);
	want("POST", FNS, creation("f", "be-late", ""), 201);
	wait_get(FN "/configuration", "State", "Failed");
	assert_string_equal(get(FN "/configuration", "StateReasonCode"), "FunctionError.InitTimeout");
	at = wait_log("Z deploy INIT_START ",
		      "Z deploy INIT_REPORT Init Duration: 10000.02 ms\tPhase: init\tStatus: timeout\tError Type: Sandbox.Timedout\n");
	at = strstr(at, "Z deploy still at it\n"); /* in between */
	assert_non_null(at);
	assert_non_null(strstr(at, "INIT_REPORT"));
	want("DELETE", FN, NULL, 204);
	want("POST", FNS, creation("f", "be-odd", ""), 201); /* a type that would be a line of its own */
	wait_get(FN "/configuration", "State", "Failed");
	at = wait_log("INIT_START", "INIT_REPORT Phase: init\tStatus: error\tError Type: Runtime.Unknown\n");
	assert_null(strstr(at, "REPORT RequestId: none"));
	want("DELETE", FN, NULL, 204);
	create("f");
	deploy("f", "&env=MODE%3Dbe-late", 422); /* as the host's own route deploys */
	at = wait_log("INIT_START", "INIT_REPORT Init Duration: 10000.02 ms\tPhase: init\tStatus: timeout\t");
	at = strstr(at + 1, "INIT_START"); /* of the first one only that is told */
	assert_non_null(at);
	assert_non_null(strstr(at, "INIT_REPORT"));
}

static void versions_and_aliases(void **state)
{
	json_t *o;

	host_start(NULL);
	create("f");
	want("POST", FN "/versions", "{\"Description\":\"one\"}", 201);
	want("POST", FN "/versions", "{}", 201); /* nothing has changed: the same one */
	o = call("GET", FN "/versions", NULL, NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "Versions")), 2);
	json_decref(o);
	update_mode("y", "Successful");
	want("POST", FN "/versions", "{}", 201);
	invoke(FN "/invocations?Qualifier=1", "{}", 200, "{}");
	want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\",\"Description\":\"d\"}", 201);
	want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 409);
	want("POST", FN "/aliases", "{\"Name\":\"dead\",\"FunctionVersion\":\"9\"}", 404);
	want("PUT", FN "/aliases/live", "{\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":0.5}}}", 200);
	want("PUT", FN "/aliases/none", "{}", 404);
	want("DELETE", FN "?Qualifier=1", NULL, 409); /* the alias points to both */
	want("DELETE", FN "?Qualifier=2", NULL, 409);
	invoke(FNS "/f:live/invocations", "{}", 200, "{}");
	host_kill();
	host_start(NULL);
	assert_string_equal(get(FN "/aliases/live", "FunctionVersion"), "1");
	assert_string_equal(get(FN "/aliases/live", "Description"), "d");
	want("PUT", FN "/aliases/live", "{\"FunctionVersion\":\"2\",\"RoutingConfig\":{}}", 200);
	want("DELETE", FN "?Qualifier=1", NULL, 204);
	want("GET", FN "?Qualifier=1", NULL, 404);
	invoke(FN "/invocations?Qualifier=1", "{}", 404, "Function not found");
	invoke(FNS "/f:live/invocations", "{}", 200, "{}");
	o = call("GET", FN "/aliases?FunctionVersion=2", NULL, NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "Aliases")), 1);
	json_decref(o);
	want("DELETE", FN "/aliases/live", NULL, 204);
	want("GET", FN "/aliases/live", NULL, 404);
	want("DELETE", FN "?Qualifier=2", NULL, 204);
	update_mode("z", "Successful");
	want("POST", FN "/versions", "{}", 201);
	assert_string_equal(get(FN "/configuration?Qualifier=3", "Version"), "3"); /* a number is used once */
	want("DELETE", FN, NULL, 204);
	host_kill();
	host_start(NULL);
	want("GET", FN, NULL, 404);
	create("f");
	want("POST", FN "/versions", "{}", 201);
	assert_string_equal(get(FN "/configuration?Qualifier=4", "Version"), "4");
	want("GET", FN "?Qualifier=3", NULL, 404);
}

/* What belongs to an alias or a version goes with it: another one of that name does not get it. */
static void names_take_along_what_is_theirs(void **state)
{
	static const char statement[] = "{\"StatementId\":\"s\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"*\"}";

	host_start(NULL);
	create("f");
	want("POST", FN "/versions", "{}", 201);
	want("POST", FN "/policy?Qualifier=1", statement, 201);
	want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	want("POST", FN "/policy?Qualifier=live", statement, 201);
	want("POST", URL "?Qualifier=live", "{\"AuthType\":\"NONE\"}", 201);
	want("PUT", PROV "?Qualifier=live", "{\"ProvisionedConcurrentExecutions\":1}", 202);
	want("PUT", EVI "?Qualifier=live", "{\"MaximumRetryAttempts\":1}", 200);
	want("DELETE", FN "/aliases/live", NULL, 204);
	want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	for (int life = 0; life < 2; life++) {
		want("GET", FN "/policy?Qualifier=live", NULL, 404);
		want("GET", URL "?Qualifier=live", NULL, 404);
		want("GET", PROV "?Qualifier=live", NULL, 404);
		want("GET", EVI "?Qualifier=live", NULL, 404);
		want("GET", FN "/policy?Qualifier=1", NULL, 200);
		if (life == 0) {
			host_term();
			assert_int_equal(host_wait(), 0);
			host_start(NULL);
		}
	}
	want("DELETE", FN "/aliases/live", NULL, 204);
	want("DELETE", FN "?Qualifier=1", NULL, 204);
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(stored_rows(), 1); /* $LATEST */
}

static int count_config(void *ctx, const char *function, const char *qualifier, const struct evconfig *c)
{
	++*(unsigned *)ctx;
	return 0;
}

/* Only while no host runs. */
static unsigned stored_configs(void)
{
	char path[128];
	struct stk_err err = {0};
	struct eventdb *db;
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s/events.db", host_root);
	assert_int_equal(eventdb_open(path, &db, &err), 0);
	assert_int_equal(eventdb_configs(db, count_config, &n, &err), 0);
	eventdb_close(db);
	return n;
}

/* As a host leaves it that is killed between the two databases. */
static void drop_rows(void)
{
	struct store_tx *tx = store_tx_new();

	store_tx_drop_function(tx, "g");
	store_tx_drop_alias(tx, "f", "live");
	store_tx_drop_version(tx, "f", 4); /* published as 2 */
	host_commit(tx);
}

/* An event-invoke configuration does not outlive what it is for, whenever the host is killed. */
static void configurations_without_a_subject(void **state)
{
	static const char config[] = "{\"MaximumRetryAttempts\":1}", evi_g[] = "/2019-09-25/functions/g/event-invoke-config";

	host_start(NULL);
	create("f");
	create("g");
	want("POST", FN "/versions", "{}", 201);
	update_mode("y", "Successful");
	want("POST", FN "/versions", "{}", 201);
	want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	want("PUT", evi_g, config, 200);
	want("PUT", EVI, config, 200);
	want("PUT", EVI "?Qualifier=1", config, 200);
	want("PUT", EVI "?Qualifier=live", config, 200);
	host_kill();
	assert_int_equal(stored_configs(), 4);
	host_start(NULL);
	want("GET", EVI "?Qualifier=live", NULL, 200);
	want("PUT", EVI "?Qualifier=2", config, 200);
	host_kill();
	drop_rows();
	host_start(NULL);
	create("g");
	want("GET", evi_g, NULL, 404);
	want("GET", EVI, NULL, 200);
	want("GET", EVI "?Qualifier=1", NULL, 200);
	want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	want("GET", EVI "?Qualifier=live", NULL, 404);
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(stored_configs(), 2);
}

/* As many keys as there may be, and of any length that they may have. */
static void tags_go(void)
{
	char path[2048] = TAGS "?x=y", body[1024] = "{\"Tags\":{\"";

	for (int i = 0; i < 51; i++)
		strcat(path, "&tagKeys=k");
	want("DELETE", path, NULL, 400);
	strcpy(path, TAGS "?tagKeys=");
	for (int i = 0; i < 128; i++) {
		strcat(path, "%C3%BC");
		strcat(body, "\u00fc");
	}
	strcat(body, "\":\"long\"}}");
	want("POST", TAGS, body, 204);
	assert_non_null(strstr(get(TAGS, "Tags"), "long"));
	want("DELETE", path, NULL, 204);
	assert_null(strstr(get(TAGS, "Tags"), "long"));
}

static void settings_beside(void **state)
{
	json_t *o;

	host_start(NULL);
	create("f");
	want("PUT", CONC, "{\"ReservedConcurrentExecutions\":7}", 200);
	want("POST", TAGS, "{\"Tags\":{\"a\":\"1\",\"b\":\"2\"}}", 204);
	want("DELETE", TAGS "?tagKeys=a", NULL, 204);
	want("DELETE", TAGS, NULL, 400);
	tags_go();
	want("POST", URL, "{\"AuthType\":\"NONE\"}", 201);
	want("POST", URL, "{\"AuthType\":\"NONE\"}", 409);
	want("PUT", URL, "{\"InvokeMode\":\"RESPONSE_STREAM\"}", 200);
	want("POST", FN "/policy", "{\"StatementId\":\"s\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"*\"}", 201);
	want("POST", FN "/policy", "{\"StatementId\":\"s\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"*\"}", 409);
	want("PUT", EVI, "{\"MaximumRetryAttempts\":1}", 200);
	want("PUT", PROV, "{\"ProvisionedConcurrentExecutions\":1}", 400); /* of what? */
	want("PUT", PROV "?Qualifier=$LATEST", "{\"ProvisionedConcurrentExecutions\":1}", 400);
	want("POST", FN "/versions", "{}", 201);
	want("PUT", PROV "?Qualifier=1", "{\"ProvisionedConcurrentExecutions\":2}", 202);
	wait_get(PROV "?Qualifier=1", "Status", "READY");
	host_kill();
	host_start(NULL);
	assert_string_equal(get("/2019-09-30/functions/f/concurrency", "ReservedConcurrentExecutions"), "7");
	assert_string_equal(get(TAGS, "Tags"), "{\"b\":\"2\"}");
	assert_string_equal(get(URL, "InvokeMode"), "RESPONSE_STREAM");
	assert_non_null(strstr(get(FN "/policy", "Policy"), "\"Sid\":\"s\""));
	assert_string_equal(get(EVI, "MaximumRetryAttempts"), "1");
	wait_get(PROV "?Qualifier=1", "Status", "READY");
	o = call("GET", PROV "?List=ALL", NULL, NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "ProvisionedConcurrencyConfigs")), 1);
	json_decref(o);
	want("DELETE", PROV "?Qualifier=1", NULL, 204);
	host_wait_metric("\nstoker_pool_vms{function=\"f:1\",state=\"warm\"} ", -1);
	want("GET", PROV "?Qualifier=1", NULL, 404);
	want("DELETE", CONC, NULL, 204);
	want("DELETE", URL, NULL, 204);
	want("GET", URL, NULL, 404);
	want("DELETE", FN "/policy/s", NULL, 204);
	want("GET", FN "/policy", NULL, 404);
	want("DELETE", EVI, NULL, 204);
	want("GET", EVI, NULL, 404);
}

/* A policy's revision is that of what it is for; each change of it gives another one, and a revision that the client names
 * must be that of now. */
static void policies_have_revisions(void **state)
{
	static const struct { const char *what, *shown; } subjects[] = {
		{"", FN "/configuration"}, {"?Qualifier=1", FN "/configuration?Qualifier=1"}, {"?Qualifier=live", FN "/aliases/live"},
	};
	char path[128], body[256], was[64], first[64];

	host_start(NULL);
	create("f");
	want("POST", FN "/versions", "{}", 201);
	want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	for (size_t i = 0; i < STK_ARRAY_LEN(subjects); i++) {
		snprintf(was, sizeof(was), "%s", get(subjects[i].shown, "RevisionId"));
		snprintf(path, sizeof(path), FN "/policy%s", subjects[i].what);
		snprintf(body, sizeof(body), "{\"StatementId\":\"s\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"*\","
			 "\"RevisionId\":\"%s\"}", was);
		want("POST", path, body, 201);
		snprintf(first, sizeof(first), "%s", get(path, "RevisionId"));
		assert_string_not_equal(first, was);
		assert_string_equal(get(subjects[i].shown, "RevisionId"), first);
		body[16] = 't'; /* another statement, the revision before */
		want("POST", path, body, 412);
		snprintf(path, sizeof(path), FN "/policy/s%s%sRevisionId=%s", subjects[i].what, *subjects[i].what ? "&" : "?", was);
		want("DELETE", path, NULL, 412);
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(subjects); i++) {
		snprintf(path, sizeof(path), FN "/policy%s", subjects[i].what);
		snprintf(was, sizeof(was), "%s", get(path, "RevisionId"));
		if (i == 0) {
			host_kill();
			host_start(NULL);
			assert_string_equal(get(path, "RevisionId"), was);
		}
		snprintf(path, sizeof(path), FN "/policy/s%s%sRevisionId=%s", subjects[i].what, *subjects[i].what ? "&" : "?", was);
		want("DELETE", path, NULL, 204);
		assert_string_not_equal(get(subjects[i].shown, "RevisionId"), was);
	}
	want("POST", FN "/policy?Qualifier=$LATEST",
	     "{\"StatementId\":\"s\",\"Action\":\"lambda:*\",\"Principal\":\"*\"}", 400);
}

/* --- settings that the Lambda API does not have ------------------------------------------------------------- */

static unsigned versions_seen;

static int note_settings(void *ctx, const struct store_version *v)
{
	static const char secret[] = "PASS=word", env[] = "A1=b";

	versions_seen++;
	assert_int_equal(v->settings.reuse, FN_RESET);
	assert_int_equal(v->settings.secrets_len, sizeof(secret));
	assert_memory_equal(v->settings.secrets, secret, sizeof(secret));
	assert_int_equal(v->settings.env_len, sizeof(env));
	assert_memory_equal(v->settings.env, env, sizeof(env));
	assert_int_equal(v->settings.memory_mib, 256);
	return 0;
}

/* What a function was deployed with over the host's own API stays through updates that do not name it. */
static void settings_of_the_host_survive(void **state)
{
	static const struct store_sink sink = {.name = count_name, .version = note_settings, .function = count_function,
		.alias = count_alias, .note = count_note};
	char path[128];
	struct stk_err err = {0};
	struct store *st;

	host_start(NULL);
	deploy("f", "&memory=256&reuse=reset&env=A1%3Db&secret=PASS%3Dword", 201);
	want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_2 "\"}", 200);
	wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	assert_string_equal(get("/v1/functions/f", "reuse"), "reset");
	want("PUT", FN "/configuration", "{\"Timeout\":5}", 200);
	want("PUT", FN "/configuration", "{\"Handler\":\"a.c\"}", 200);
	wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	want("POST", FN "/versions", "{}", 201);
	want("POST", TAGS, "{\"Tags\":{\"a\":\"1\"}}", 204);
	want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_1 "\",\"Publish\":true}", 200);
	wait_get(FN "/configuration?Qualifier=2", "State", "Active");
	assert_string_equal(get("/v1/functions/f", "reuse"), "reset");
	host_term();
	assert_int_equal(host_wait(), 0);
	versions_seen = 0;
	snprintf(path, sizeof(path), "%s/stoker.db", host_root);
	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(store_load(st, &sink, NULL, &err), 0);
	store_close(st);
	assert_int_equal(versions_seen, 3);
}

/* The tag counts from the moment it is there, and until it goes; a deploy that says otherwise has the last word. */
static void reuse_by_tag(void **state)
{
	host_start(NULL);
	want("POST", FNS, creation("f", "x", ",\"Tags\":{\"stoker:reuse\":\"reset\",\"a\":\"1\"}"), 201);
	wait_get(FN "/configuration", "State", "Active");
	assert_string_equal(get("/v1/functions/f", "reuse"), "reset");
	want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"destroy\"}}", 204);
	assert_string_equal(get("/v1/functions/f", "reuse"), "destroy");
	want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 204);
	update_mode("y", "Successful");
	host_kill();
	host_start(NULL);
	assert_string_equal(get("/v1/functions/f", "reuse"), "reset");
	want("DELETE", TAGS "?tagKeys=stoker:reuse", NULL, 204);
	assert_string_equal(get("/v1/functions/f", "reuse"), "destroy");
	update_mode("z", "Successful");
	assert_string_equal(get("/v1/functions/f", "reuse"), "destroy");
	want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 204);
	host_kill();
	host_start(NULL);
	assert_string_equal(get("/v1/functions/f", "reuse"), "reset");
	deploy("f", "&reuse=destroy", 200);
	for (int life = 0; life < 2; life++) {
		assert_string_equal(get("/v1/functions/f", "reuse"), "destroy");
		assert_string_equal(get(TAGS, "Tags"), "{\"a\":\"1\"}");
		if (life == 0) {
			host_kill();
			host_start(NULL);
		}
	}
	update_mode("be-held", "InProgress"); /* whoever builds writes the version */
	want("POST", TAGS, "{\"Tags\":{\"b\":\"1\"}}", 204);
	want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 409);
	host_touch("go");
	wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 204);
	invoke(FN "/invocations", "{}", 200, "{}");
}

/* --- calls ---------------------------------------------------------------------------------------------------- */

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
	invoke(FN "/invocations", "\"be-dead\"", 200, "errorType");
	invoke(FN "/invocations", "{no json", 400, "Could not parse request body");
	memset(large, 'a', 300000);
	large[0] = large[299999] = '"';
	large[300000] = '\0';
	assert_int_equal(host_request("POST", FN "/invocations", NULL, large, &r), 0);
	assert_int_equal(r.status, 200);
	http_client_resp_fini(&r);
	large[299999] = 'a'; /* looked at by another thread */
	invoke(FN "/invocations", large, 400, "Could not parse request body");
	free(large);
	json_decref(call("POST", FN "/invocations", "X-Amz-Invocation-Type: DryRun\r\n", "{}", 204));
	json_decref(call("POST", FN "/invocations", "X-Amz-Invocation-Type: Event\r\n", "{}", 202));
	json_decref(call("POST", FN "/invocations", "X-Amz-Invocation-Type: Later\r\n", "{}", 400));
	json_decref(call("POST", FN "/invocations", "X-Amz-Client-Context: e30=\r\n", "{}", 200));
	json_decref(call("POST", FN "/invocations", "X-Amz-Client-Context: nope!\r\n", "{}", 400));
	want("POST", "/2014-11-13/functions/f/invoke-async", "{}", 202);
	invoke(FN "/invocations?Qualifier=none", "{}", 404, "Function not found");
	host_wait_metric("\nstoker_invocations_total{function=\"f\",outcome=\"ok\"} ", 5);
	want("PUT", CONC, "{\"ReservedConcurrentExecutions\":0}", 200);
	invoke(FN "/invocations", "{}", 429, "ReservedFunctionConcurrentInvocationLimitExceeded");
	want("DELETE", CONC, NULL, 204);
	invoke(FN "/invocations", "{}", 200, "{}");
}

/* What of a time-out is in the tail: the lines as Lambda has them, and the log's own. */
static void tail_of_a_timeout(void **state)
{
	char id[64], tail[8192], text[256];
	const char *end;
	char *at;

	host_add_function("f"); /* 3 s */
	host_start(NULL);
	invoke_tail("\"be-slow\"", id, tail, sizeof(tail));
	snprintf(text, sizeof(text), "Z %s Task timed out after 3.00 seconds\nEND RequestId: ", id);
	at = strstr(tail, text);
	assert_non_null(at);
	end = at;
	while (at > tail && at[-1] != '\n')
		at--;
	assert_int_equal(end - at, strlen("2026-01-02T03:04:05.678"));
	assert_int_equal(strspn(at, "0123456789-T:."), end - at);
	snprintf(text, sizeof(text), "Z %s Task timed out after 3.00 seconds\n", id);
	at = strstr(wait_log(text, "REPORT"), "Task");
	assert_null(strstr(at + 1, "Task timed out")); /* once, and with one stamp */
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
	invoke(FN "/invocations", "\"be-tenant\"", 200, "null");
	json_decref(call("POST", FN "/invocations", "X-Amz-Tenant-Id: \r\n", "{}", 200));
	json_decref(call("POST", FN "/invocations", "X-Amz-Tenant-Id: a\tb\r\n", "{}", 400));
	json_decref(call("POST", FN "/invocations", "X-Amz-Tenant-Id: \xc3\xa4\r\n", "{}", 400));
	snprintf(headers, sizeof(headers), "X-Amz-Tenant-Id: %sx\r\n", longest);
	json_decref(call("POST", FN "/invocations", headers, "{}", 400));
	json_decref(call("POST", FN "/invocations", "X-Amz-Invocation-Type: Event\r\nX-Amz-Tenant-Id: later\r\n", "\"be-tenant\"", 202));
	wait_log("lambda-runtime-aws-tenant-id \"later\"\n", "REPORT");
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
	json_decref(call("POST", URL, NULL, "{\"AuthType\":\"NONE\"}", 201));
	by_url("/function/f", "be-error", id, 502, "Internal Server Error");
	snprintf(text, sizeof(text), "Z %s START ", id);
	wait_log(text, "REPORT");
	snprintf(text, sizeof(text), "Z %s {\"errorType\":\"E\",\"errorMessage\":\"m \xc3\xbc \xe6\xbc\xa2\"}\n", id);
	wait_log(text, "END");
	by_url("/function/f", "be-dead", id, 502, "Internal Server Error");
	snprintf(text, sizeof(text), "Z %s {\"errorType\":\"Sandbox.Died\"", id);
	wait_log(text, "END");
	by_url("/function/f", "be-slow", id, 502, "Internal Server Error"); /* until its time limit */
	by_url("/function/f", "", id, 200, "rawPath");
	by_url("/function/f:$LATEST", "be-error", id, 502, "\"code\":\"E\""); /* not what the URL is for */
	want("PUT", CONC, "{\"ReservedConcurrentExecutions\":0}", 200);
	by_url("/function/f", "", id, 429, "TooManyRequests");
	want("DELETE", CONC, NULL, 204);
	want("DELETE", URL, NULL, 204);
	by_url("/function/f", "be-error", id, 502, "\"code\":\"E\"");
}

/* --- ends ------------------------------------------------------------------------------------------------------ */

/* Stopped or killed while a first version, an update and a version to be published are built: all of it is done in the
 * next life. */
static void builds_go_on_after_an_end(void **state)
{
	for (int killed = 0; killed < 2; killed++) {
		host_unlink("go");
		host_start(NULL);
		want("POST", FNS, creation("f", "be-held", ",\"Publish\":true"), 201);
		want("POST", FNS, creation("g", "x", ""), 201);
		wait_get(FNS "/g/configuration", "State", "Active");
		want("PUT", FNS "/g/configuration", new_mode("be-held"), 200);
		if (killed) {
			host_kill();
		} else {
			host_term();
			assert_int_equal(host_wait(), 0);
		}
		host_start(NULL);
		assert_string_equal(get(FN "/configuration", "State"), "Pending");
		assert_string_equal(get(FNS "/g/configuration", "LastUpdateStatus"), "InProgress");
		/* as before it ended, nobody changes what is being made */
		want("PUT", FNS "/g/configuration", new_mode("x"), 409);
		want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_2 "\"}", 409);
		host_touch("go");
		wait_get(FN "/configuration", "State", "Active");
		wait_get(killed ? FN "/configuration?Qualifier=2" : FN "/configuration?Qualifier=1", "State", "Active");
		wait_get(FNS "/g/configuration", "LastUpdateStatus", "Successful");
		invoke(FN "/invocations", "{}", 200, "{}");
		invoke(FNS "/g/invocations", "{}", 200, "{}");
		wait_delete(FN);
		wait_delete(FNS "/g");
		host_term();
		assert_int_equal(host_wait(), 0);
		assert_int_equal(stored_rows(), 0);
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
	create("f");
	want("POST", FN "/versions", "{}", 201);
	want("POST", FN "/aliases", ALIAS("live"), 201);
	update_mode("be-held", "InProgress");
	want("PUT", FN "/configuration", new_mode("y"), 409);
	want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_2 "\"}", 409);
	want("POST", FN "/versions", "{}", 409);
	want("POST", FN "/aliases", ALIAS("next"), 201);
	want("PUT", FN "/aliases/live", "{\"Description\":\"d\"}", 200);
	want("PUT", CONC, "{\"ReservedConcurrentExecutions\":7}", 200);
	want("DELETE", CONC, NULL, 204);
	want("PUT", CONC, "{\"ReservedConcurrentExecutions\":5}", 200);
	want("PUT", PROV "?Qualifier=1", "{\"ProvisionedConcurrentExecutions\":1}", 202);
	wait_get(PROV "?Qualifier=1", "Status", "READY");
	want("DELETE", PROV "?Qualifier=1", NULL, 204);
	want("POST", FN "/policy", "{\"StatementId\":\"s\",\"Action\":\"lambda:*\",\"Principal\":\"*\"}", 201);
	invoke(FNS "/f:next/invocations", "{}", 200, "{}");
	want("DELETE", FN "/aliases/next", NULL, 204);
	host_touch("go");
	wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	host_unlink("go");
	assert_int_equal(pthread_create(&t, NULL, publish, NULL), 0);
	host_child("stoker-snapshot", 0);
	want("POST", FN "/aliases", "{\"Name\":\"next\",\"FunctionVersion\":\"2\"}", 201);
	want("PUT", FN "/configuration", new_mode("y"), 409);
	host_touch("go");
	pthread_join(t, &status);
	assert_int_equal((intptr_t)status, 201);
	for (int life = 0; life < 2; life++) {
		assert_string_equal(get("/2019-09-30/functions/f/concurrency", "ReservedConcurrentExecutions"), "5");
		assert_string_equal(get(FN "/aliases/live", "Description"), "d");
		assert_string_equal(get(FN "/configuration", "State"), "Active");
		assert_string_equal(get(FN "/configuration", "LastUpdateStatus"), "Successful");
		want("GET", FN "/policy", NULL, 200);
		invoke(FNS "/f:next/invocations", "{}", 200, "{}");
		invoke(FN "/invocations", "{}", 200, "{}");
		if (life == 0) {
			host_kill();
			host_start(NULL);
		}
	}
}

static void *deploy_held(void *arg)
{
	deploy("f", "&env=MODE%3Dbe-held", 200);
	return NULL;
}

/* The same of a deploy over /v1, whose client waits. */
static void changes_while_a_function_is_deployed(void **state)
{
	pthread_t t;

	host_start(NULL);
	create("f");
	want("POST", FN "/versions", "{}", 201);
	assert_int_equal(pthread_create(&t, NULL, deploy_held, NULL), 0);
	host_child("stoker-snapshot", 0);
	want("POST", FN "/aliases", ALIAS("live"), 201);
	want("PUT", CONC, "{\"ReservedConcurrentExecutions\":5}", 200);
	want("POST", TAGS, "{\"Tags\":{\"a\":\"1\"}}", 204);
	want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 409);
	want("PUT", FN "/configuration", new_mode("y"), 409);
	want("POST", FN "/versions", "{}", 409);
	want("DELETE", FN, NULL, 409);
	want("DELETE", "/v1/functions/f", NULL, 409);
	host_touch("go");
	pthread_join(t, NULL);
	host_kill();
	host_start(NULL);
	assert_string_equal(get("/2019-09-30/functions/f/concurrency", "ReservedConcurrentExecutions"), "5");
	assert_string_equal(get(TAGS, "Tags"), "{\"a\":\"1\"}");
	want("GET", FN "/aliases/live", NULL, 200);
	assert_non_null(strstr(get(FN "/configuration", "Environment"), "be-held"));
	wait_delete(FN);
}

static void update_and_wait(const char *path)
{
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;
	struct http_client_resp r;
	int status;

	do { /* until what was given up has ended */
		assert_int_equal(host_request("PUT", path, NULL, new_mode("y"), &r), 0);
		status = r.status;
		http_client_resp_fini(&r);
		assert_true(stk_now_ns() < until);
		usleep(5000);
	} while (status == 409);
	assert_int_equal(status, 200);
	wait_get(path, "LastUpdateStatus", "Successful");
}

/* A function is deleted while its versions are built: that is given up, nothing of it comes back, and the name is free. */
static void deleted_while_it_is_built(void **state)
{
	char name[16], path[64];
	int fd;

	host_start(NULL);
	want("POST", FNS, creation("f", "be-held", ",\"Publish\":true"), 201);
	fd = host_request_begin("POST", FN "/invocations", "{}");
	host_child("stoker-snapshot", 0);
	want("DELETE", FN, NULL, 204);
	want("GET", FN, NULL, 404);
	host_await(false, "functions/f/1"); /* though nobody lets its init phase end */
	host_await(false, "functions/f/2");
	close(fd);
	create("f");
	update_and_wait(FN "/configuration");
	update_mode("be-held", "InProgress"); /* an update */
	want("DELETE", "/v1/functions/f", NULL, 204);
	create("f");
	update_and_wait(FN "/configuration");
	want("POST", FNS, creation("g", "be-held", ",\"Publish\":true"), 201);
	want("DELETE", FNS "/g?Qualifier=1", NULL, 204); /* one that waits for its turn, and the function stays */
	want("GET", FNS "/g?Qualifier=1", NULL, 404);
	host_touch("go");
	wait_get(FNS "/g/configuration", "State", "Active");
	host_unlink("go");
	for (int i = 0; i < 40; i++) { /* most of them wait */
		snprintf(name, sizeof(name), "f%d", i);
		want("POST", FNS, creation(name, "be-held", ""), 201);
	}
	for (int i = 39; i >= 0; i--) {
		snprintf(path, sizeof(path), FNS "/f%d", i);
		want("DELETE", path, NULL, 204);
	}
	create("f0");
	host_kill();
	host_start(NULL);
	want("GET", FNS "/f1", NULL, 404);
	invoke(FNS "/f0/invocations", "{}", 200, "{}");
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(stored_rows(), 3); /* $LATEST of f, f0 and g */
}

/* Whoever stops the host may signal what it has started as well, and before it: Ctrl-C does not reach it, a service manager
 * does. What is being built has not failed by that. */
static void builds_that_are_signalled(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM};
	pid_t child;

	host_start(NULL);
	for (size_t i = 0; i < STK_ARRAY_LEN(signals); i++) {
		want("POST", FNS, creation("f", "be-held", ""), 201);
		child = host_child("stoker-snapshot", 0);
		assert_int_equal(getpgid(child), child);
		assert_int_equal(kill(child, signals[i]), 0);
		host_child("stoker-snapshot", child); /* once more: it could have been a mistake */
		host_term();
		assert_int_equal(host_wait(), 0);
		host_start(NULL);
		assert_string_equal(get(FN "/configuration", "State"), "Pending");
		kill(host_child("stoker-snapshot", 0), signals[i]);
		host_touch("go");
		wait_get(FN "/configuration", "State", "Active");
		invoke(FN "/invocations", "{}", 200, "{}");
		wait_delete(FN);
		host_unlink("go");
	}
	want("POST", FNS, creation("f", "be-held", ""), 201);
	child = host_child("stoker-snapshot", 0);
	kill(child, SIGTERM);
	kill(host_child("stoker-snapshot", child), SIGTERM); /* somebody means it */
	wait_get(FN "/configuration", "State", "Failed");
}

/* A damaged version that is being made again does not come back when it is deleted meanwhile. */
static void deleted_while_it_is_made_again(void **state)
{
	char path[128];
	int fd;

	host_start(NULL);
	host_touch("go");
	want("POST", FNS, creation("f", "be-held", ",\"Publish\":true"), 201);
	wait_get(FN "/configuration?Qualifier=1", "State", "Active");
	host_term();
	assert_int_equal(host_wait(), 0);
	snprintf(path, sizeof(path), "%s/functions/f/2/code.img", host_root);
	assert_int_equal(truncate(path, 100), 0);
	host_unlink("go");
	host_start(NULL);
	fd = host_request_begin("POST", FN "/invocations?Qualifier=1", "{}");
	host_await(true, "tmp/rebuild-f-2-0");
	wait_delete(FN);
	close(fd);
	host_touch("go");
	host_await(false, "functions/f/2");
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(stored_rows(), 0);
}

/* A folder that nobody knows is removed, and its number is not used while that goes on. */
static void folders_without_a_version(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/functions/f/7/snapshot", host_root);
	assert_int_equal(fsx_mkdirs(path, 0755), 0);
	host_start(NULL);
	create("f");
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
		want("POST", FNS, creation(name, "be-held", ""), 201);
	}
	host_kill();
	host_start(NULL);
	host_touch("go");
	for (int i = 0; i < 72; i++) {
		snprintf(path, sizeof(path), FNS "/f%d/configuration", i);
		wait_get(path, "State", "Active");
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
		fd = host_request_begin("POST", FNS, creation(name, "x", ""));
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
		wait_get(path, "State", "Active");
		snprintf(path, sizeof(path), FNS "/f%d/invocations", i);
		invoke(path, "{}", 200, "{}");
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(functions_are_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(region_of_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(made_changed_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(builds_that_fail, setup, teardown),
		cmocka_unit_test_setup_teardown(init_phases_are_logged, setup, teardown),
		cmocka_unit_test_setup_teardown(versions_and_aliases, setup, teardown),
		cmocka_unit_test_setup_teardown(names_take_along_what_is_theirs, setup, teardown),
		cmocka_unit_test_setup_teardown(configurations_without_a_subject, setup, teardown),
		cmocka_unit_test_setup_teardown(settings_beside, setup, teardown),
		cmocka_unit_test_setup_teardown(policies_have_revisions, setup, teardown),
		cmocka_unit_test_setup_teardown(settings_of_the_host_survive, setup, teardown),
		cmocka_unit_test_setup_teardown(reuse_by_tag, setup, teardown),
		cmocka_unit_test_setup_teardown(calls_in_all_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(tail_of_a_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(tenant_ids_go_through, setup, teardown),
		cmocka_unit_test_setup_teardown(failures_behind_a_url, setup, teardown),
		cmocka_unit_test_setup_teardown(builds_go_on_after_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_while_a_version_is_built, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_while_a_function_is_deployed, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_while_it_is_built, setup, teardown),
		cmocka_unit_test_setup_teardown(builds_that_are_signalled, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_while_it_is_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(folders_without_a_version, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_are_built_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_while_functions_are_made, setup, teardown),
	};

	host_play(argc, argv);
	if (access("/usr/bin/mkfs.erofs", X_OK)) {
		fprintf(stderr, "mkfs.erofs is not there\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
