/* A client of the Lambda API for tests: see lambda_client.h. */
#include "tests/unit/scheduler/lambda_client.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "scheduler/store.h"

int lc_setup(void **state)
{
	unit_time_limit(120);
	return host_make();
}

int lc_teardown(void **state)
{
	return host_remove();
}

bool lc_begin(int argc, char **argv)
{
	host_play(argc, argv);
	if (access("/usr/bin/mkfs.erofs", X_OK) == 0)
		return true;
	fprintf(stderr, "mkfs.erofs is not there\n");
	return false;
}

json_t *lc_call(const char *method, const char *path, const char *headers, const char *body, int status)
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

void lc_want(const char *method, const char *path, const char *body, int status)
{
	json_decref(lc_call(method, path, NULL, body, status));
}

const char *lc_get(const char *path, const char *member)
{
	static char text[4096];
	json_t *o = lc_call("GET", path, NULL, NULL, 200), *m = json_object_get(o, member);
	char *dump = m ? json_dumps(m, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	snprintf(text, sizeof(text), "%s", json_is_string(m) ? json_string_value(m) : dump ? dump : "");
	free(dump);
	json_decref(o);
	return text;
}

void lc_wait_get(const char *path, const char *member, const char *value)
{
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;

	while (strcmp(lc_get(path, member), value) != 0) {
		if (stk_now_ns() > until)
			fail_msg("%s of %s stays \"%s\", not \"%s\"", member, path, lc_get(path, member), value);
		usleep(5000);
	}
}

void lc_wait_delete(const char *path)
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

const char *lc_creation(const char *name, const char *mode, const char *more)
{
	snprintf(text_buf, sizeof(text_buf),
		 "{\"FunctionName\":\"%s\",\"Runtime\":\"python3\",\"Handler\":\"a.b\",\"Role\":\"arn:aws:iam::000000000000:role/r\","
		 "\"Environment\":{\"Variables\":{\"MODE\":\"%s\"}},\"Code\":{\"ZipFile\":\"" ZIP_1 "\"}%s}", name, mode, more);
	return text_buf;
}

const char *lc_new_mode(const char *mode)
{
	snprintf(text_buf, sizeof(text_buf), "{\"Environment\":{\"Variables\":{\"MODE\":\"%s\"}}}", mode);
	return text_buf;
}

void lc_create(const char *name)
{
	char path[128];

	lc_want("POST", FNS, lc_creation(name, "x", ""), 201);
	snprintf(path, sizeof(path), FNS "/%s/configuration", name);
	lc_wait_get(path, "State", "Active");
}

void lc_update_mode(const char *mode, const char *status)
{
	lc_want("PUT", FN "/configuration", lc_new_mode(mode), 200);
	if (status)
		lc_wait_get(FN "/configuration", "LastUpdateStatus", status);
}

json_t *lc_deploy(const char *name, const char *settings, int status)
{
	struct http_client_resp r;
	json_t *o;
	uint8_t zip[sizeof(ZIP_1)];
	char path[256];
	int len = EVP_DecodeBlock(zip, (const unsigned char *)ZIP_1, sizeof(ZIP_1) - 1);

	snprintf(path, sizeof(path), "/v1/functions/%s?runtime=python3&handler=a.b%s", name, settings);
	assert_int_equal(host_send("PUT", path, NULL, zip, (size_t)len, &r), 0);
	if (r.status != status)
		fail_msg("%s: %d, not %d: %s", path, r.status, status, (char *)r.body);
	o = json_loadb((char *)r.body, r.body_len, 0, NULL);
	http_client_resp_fini(&r);
	return o;
}

void lc_invoke(const char *path, const char *event, int status, const char *part)
{
	struct http_client_resp r;

	assert_int_equal(host_request("POST", path, NULL, event, &r), 0);
	if (r.status != status || !strstr((char *)r.body, part))
		fail_msg("%s %s: %d %s", path, event, r.status, (char *)r.body);
	http_client_resp_fini(&r);
}

void lc_invoke_tail(const char *event, char ret_id[64], char *ret, size_t cap)
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

const char *lc_wait_log(const char *from, const char *text)
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

/* --- what is in the database ------------------------------------------------------------------------------ */

static unsigned rows;
static void (*shown)(const struct store_version *v);

static int count_name(void *ctx, const char *name, unsigned last_version)
{
	return 0;
}

static int count_version(void *ctx, const struct store_version *v)
{
	rows++;
	if (shown)
		shown(v);
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

unsigned lc_stored_rows(void (*each)(const struct store_version *v))
{
	static const struct store_sink sink = {.name = count_name, .version = count_version, .function = count_function,
		.alias = count_alias, .note = count_note};
	char path[128];
	struct stk_err err = {0};
	struct store *st;

	rows = 0;
	shown = each;
	snprintf(path, sizeof(path), "%s/stoker.db", host_root);
	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(store_load(st, &sink, NULL, &err), 0);
	store_close(st);
	return rows;
}
