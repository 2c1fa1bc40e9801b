/* Layers of a real stokerd that several tenants use, without KVM: each has its own, under names that others have as well, in
 * both APIs, and none sees, uses or deletes another's. */
#include "tests/unit/scheduler/host_fixture.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "tests/unit/unit.h"

#define LAYERS    "/2018-10-31/layers"
#define FNS       "/2015-03-31/functions"
#define ARN(a)    "arn:aws:lambda:us-east-1:" a ":layer:tools"
#define CONTENT   "{\"Content\":{\"ZipFile\":\"" HOST_ZIP "\"}}"

static int setup(void **state)
{
	unit_time_limit(120);
	return host_make();
}

static int teardown(void **state)
{
	return host_remove();
}

static json_t *read_answer(const char *method, const char *path, const struct http_client_resp *r, int status)
{
	json_t *o = r->body_len ? json_loadb((char *)r->body, r->body_len, 0, NULL) : NULL;

	if (r->status != status || (r->body_len && !o))
		fail_msg("%s %s: %d, not %d: %s", method, path, r->status, status, (char *)r->body);
	return o;
}

/* By Lambda's API: the answer's body (json_decref it), NULL when it has none. */
static json_t *call(const struct host_who *who, const char *method, const char *path, const char *body, int status)
{
	struct http_client_resp r;
	json_t *o;

	assert_int_equal(host_request_signed(method, path, who->id, who->secret, body, &r), 0);
	o = read_answer(method, path, &r, status);
	http_client_resp_fini(&r);
	return o;
}

static void want(const struct host_who *who, const char *method, const char *path, const char *body, int status)
{
	json_decref(call(who, method, path, body, status));
}

/* By the plain API. */
static json_t *plain(const struct host_who *who, const char *method, const char *path, int status)
{
	struct http_client_resp r;
	char header[128];
	json_t *o;

	snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", who->token);
	assert_int_equal(host_request(method, path, header, NULL, &r), 0);
	o = read_answer(method, path, &r, status);
	http_client_resp_fini(&r);
	return o;
}

/* Compact text of one of its members, or of all; the object is gone then. */
static const char *text_of(json_t *o, const char *member)
{
	static char text[4096];
	char *dump = json_dumps(member ? json_object_get(o, member) : o, JSON_ENCODE_ANY | JSON_COMPACT);

	snprintf(text, sizeof(text), "%s", dump ? dump : "");
	free(dump);
	json_decref(o);
	return text;
}

static void refused(const struct host_who *who, const char *method, const char *path, const char *operation, const char *arn)
{
	char want_text[512];

	snprintf(want_text, sizeof(want_text),
		 "\"User: arn:aws:iam::%s:user/%s is not authorized to perform: lambda:%s on resource: "
		 "%s because no resource-based policy allows the lambda:%s action\"", who->account, who->key, operation, arn,
		 operation);
	assert_string_equal(text_of(call(who, method, path, strcmp(method, "POST") == 0 ? CONTENT : NULL, 403),
				    "Message"), want_text);
}

static void each_tenant_has_its_own(void **state)
{
	host_start_tenants();
	assert_string_equal(text_of(call(&host_acme, "POST", LAYERS "/tools/versions", CONTENT, 201), "LayerVersionArn"),
			    "\"" ARN("111122223333") ":1\"");
	want(&host_acme, "POST", LAYERS "/tools/versions", CONTENT, 201);
	assert_string_equal(text_of(call(&host_bolt, "POST", LAYERS "/tools/versions", CONTENT, 201), "LayerVersionArn"),
			    "\"" ARN("444455556666") ":1\"");
	want(&host_bolt, "GET", LAYERS "/tools/versions/2", NULL, 404);
	want(&host_owner, "GET", LAYERS "/tools/versions/1", NULL, 404);
	assert_string_equal(text_of(call(&host_acme, "GET", LAYERS "/tools/versions/2", NULL, 200), "LayerArn"),
			    "\"" ARN("111122223333") "\"");
	assert_string_equal(text_of(call(&host_owner, "GET", LAYERS, NULL, 200), NULL), "{\"Layers\":[]}");
	assert_string_equal(text_of(call(&host_owner, "GET", LAYERS "/tools/versions", NULL, 200), NULL),
			    "{\"LayerVersions\":[]}");

	json_t *o = call(&host_bolt, "GET", LAYERS, NULL, 200), *one = json_array_get(json_object_get(o, "Layers"), 0);

	assert_int_equal(json_array_size(json_object_get(o, "Layers")), 1);
	assert_string_equal(json_string_value(json_object_get(one, "LayerName")), "tools");
	assert_string_equal(json_string_value(json_object_get(one, "LayerArn")), ARN("444455556666"));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(one, "LatestMatchingVersion"), "Version")), 1);
	json_decref(o);
	o = call(&host_acme, "GET", LAYERS "/tools/versions", NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "LayerVersions")), 2);
	json_decref(o);

	/* Nobody deletes another's. */
	want(&host_owner, "DELETE", LAYERS "/tools/versions/1", NULL, 204);
	want(&host_bolt, "DELETE", LAYERS "/tools/versions/2", NULL, 204);
	want(&host_acme, "GET", LAYERS "/tools/versions/1", NULL, 200);
	want(&host_acme, "GET", LAYERS "/tools/versions/2", NULL, 200);
	want(&host_bolt, "DELETE", LAYERS "/tools/versions/1", NULL, 204);
	want(&host_bolt, "GET", LAYERS "/tools/versions/1", NULL, 404);
	want(&host_acme, "GET", LAYERS "/tools/versions/1", NULL, 200);

	/* The plain API has the same layers. */
	assert_string_equal(text_of(plain(&host_acme, "GET", "/v1/layers", 200), NULL),
			    "{\"layers\":[{\"name\":\"tools\",\"version\":1,\"codeSize\":131},"
			    "{\"name\":\"tools\",\"version\":2,\"codeSize\":131}]}");
	assert_string_equal(text_of(plain(&host_bolt, "GET", "/v1/layers", 200), NULL), "{\"layers\":[]}");
	json_decref(plain(&host_bolt, "DELETE", "/v1/layers/tools/2", 404));
	json_decref(plain(&host_bolt, "DELETE", "/v1/layers/tools.acme/2", 403));
	json_decref(plain(&host_acme, "DELETE", "/v1/layers/tools/2", 204));
	want(&host_acme, "GET", LAYERS "/tools/versions/2", NULL, 404);
}

static void others_arns_are_refused(void **state)
{
	static const char mine[] = LAYERS "?find=LayerVersion&Arn=" ARN("111122223333") ":1";

	host_start_tenants();
	want(&host_acme, "POST", LAYERS "/tools/versions", CONTENT, 201);
	assert_string_equal(text_of(call(&host_acme, "GET", mine, NULL, 200), "LayerVersionArn"),
			    "\"" ARN("111122223333") ":1\"");
	want(&host_acme, "GET", LAYERS "/" ARN("111122223333") "/versions", NULL, 200);
	refused(&host_bolt, "GET", mine, "GetLayerVersion", ARN("111122223333") ":1");
	refused(&host_bolt, "GET", LAYERS "/" ARN("111122223333") "/versions/1", "GetLayerVersion", ARN("111122223333") ":1");
	refused(&host_bolt, "GET", LAYERS "/" ARN("111122223333") "/versions", "ListLayerVersions", ARN("111122223333"));
	refused(&host_bolt, "DELETE", LAYERS "/" ARN("111122223333") "/versions/1", "DeleteLayerVersion",
		ARN("111122223333") ":1");
	refused(&host_owner, "POST", LAYERS "/" ARN("111122223333") "/versions", "PublishLayerVersion", ARN("111122223333"));
	want(&host_acme, "GET", LAYERS "/arn:aws:lambda:eu-west-1:111122223333:layer:tools/versions/1", NULL, 404);
	want(&host_acme, "GET", mine, NULL, 200);
}

/* --- functions with layers -------------------------------------------------------------------------------- */

static char body[2048];

static const char *creation(const char *name, const char *arn)
{
	snprintf(body, sizeof(body),
		 "{\"FunctionName\":\"%s\",\"Runtime\":\"python3\",\"Handler\":\"a.b\",\"Role\":\"arn:aws:iam::000000000000:role/r\","
		 "\"Layers\":[\"%s\"],\"Code\":{\"ZipFile\":\"" HOST_ZIP "\"}}", name, arn);
	return body;
}

static void wait_active(const struct host_who *who)
{
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;
	bool active;

	do {
		json_t *o = call(who, "GET", FNS "/f/configuration", NULL, 200);
		const char *update = json_string_value(json_object_get(o, "LastUpdateStatus"));

		active = update && strcmp(update, "Successful") == 0;
		json_decref(o);
		assert_true(stk_now_ns() < until);
		usleep(5000);
	} while (!active);
}

/* What the guest of the snapshot that was made last was told as the account of its ARN. */
static void expect_account(const char *expected)
{
	char path[128], *text = NULL;
	size_t len = 0;

	snprintf(path, sizeof(path), "%s/account", host_root);
	assert_int_equal(stk_read_file(path, 64, &text, &len), 0);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(text, expected, len);
	free(text);
}

static const char *layers_of(const struct host_who *who)
{
	return text_of(call(who, "GET", FNS "/f/configuration", NULL, 200), "Layers");
}

static const char one_of_acme[] = "[{\"Arn\":\"" ARN("111122223333") ":1\",\"CodeSize\":131}]";

static void a_function_uses_its_own_accounts_only(void **state)
{
	host_start_tenants();
	want(&host_acme, "POST", LAYERS "/tools/versions", CONTENT, 201);
	assert_string_equal(text_of(call(&host_bolt, "POST", FNS, creation("f", ARN("111122223333") ":1"), 403),
				    "Type"), "\"User\"");
	want(&host_bolt, "GET", FNS "/f", NULL, 404);
	/* The same name of its own: not there. */
	assert_string_equal(text_of(call(&host_bolt, "POST", FNS, creation("f", ARN("444455556666") ":1"), 400), "message"),
			    "\"layer: there is no version 1 of \\\"tools\\\"\"");
	assert_string_equal(text_of(call(&host_acme, "POST", FNS, creation("f", ARN("111122223333") ":1"), 201),
				    "Layers"), one_of_acme);
	wait_active(&host_acme);
	expect_account("111122223333");
	assert_string_equal(layers_of(&host_acme), one_of_acme);
	want(&host_acme, "PUT", FNS "/f/configuration", "{\"Layers\":[\"" ARN("444455556666") ":1\"]}", 403);
	assert_string_equal(layers_of(&host_acme), one_of_acme);
	assert_string_equal(text_of(plain(&host_acme, "GET", "/v1/functions/f", 200), "layers"), "[\"tools:1\"]");
	/* An update of something else, and another life of the host. */
	want(&host_acme, "DELETE", LAYERS "/tools/versions/1", NULL, 204);
	want(&host_acme, "PUT", FNS "/f/configuration", "{\"MemorySize\":256}", 200);
	wait_active(&host_acme);
	assert_string_equal(layers_of(&host_acme), one_of_acme);
	host_term();
	assert_int_equal(host_wait(), 0);
	host_start_tenants();
	assert_string_equal(layers_of(&host_acme), one_of_acme);
	want(&host_acme, "PUT", FNS "/f/configuration", "{\"Layers\":[]}", 200);
	wait_active(&host_acme);
	assert_string_equal(layers_of(&host_acme), "");
}

static void put(const struct host_who *who, const char *path, int status)
{
	uint8_t zip[sizeof(HOST_ZIP)];
	struct http_client_resp r;
	char header[128];

	EVP_DecodeBlock(zip, (const unsigned char *)HOST_ZIP, sizeof(HOST_ZIP) - 1);
	snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", who->token);
	assert_int_equal(host_send("PUT", path, header, zip, HOST_ZIP_LEN, &r), 0);
	if (r.status != status)
		fail_msg("PUT %s: %d, not %d: %s", path, r.status, status, (char *)r.body);
	http_client_resp_fini(&r);
}

/* The plain API refuses what belongs to others in the same way, and what it made is shown alike. */
static void the_plain_api_agrees(void **state)
{
	host_start_tenants();
	want(&host_acme, "POST", LAYERS "/tools/versions", CONTENT, 201);
	put(&host_bolt, "/v1/functions/f?runtime=python3&handler=a.b&layers=" ARN("111122223333") ":1", 403);
	put(&host_bolt, "/v1/functions/f?runtime=python3&handler=a.b&layers=tools.acme:1", 403);
	put(&host_owner, "/v1/functions/f?runtime=python3&handler=a.b&layers=tools.acme:1", 403);
	put(&host_bolt, "/v1/functions/f?runtime=python3&handler=a.b&layers=tools", 400);
	json_decref(plain(&host_bolt, "GET", "/v1/functions/f", 404));
	put(&host_acme, "/v1/functions/f?runtime=python3&handler=a.b&layers=" ARN("111122223333") ":1", 201);
	assert_string_equal(text_of(plain(&host_acme, "GET", "/v1/functions/f", 200), "layers"), "[\"tools:1\"]");
	assert_string_equal(layers_of(&host_acme), one_of_acme);
	/* Lambda's API takes them away only when it is told to. */
	want(&host_acme, "PUT", FNS "/f/configuration", "{\"MemorySize\":256}", 200);
	wait_active(&host_acme);
	assert_string_equal(layers_of(&host_acme), one_of_acme);
	want(&host_acme, "PUT", FNS "/f/configuration", "{\"Layers\":[]}", 200);
	wait_active(&host_acme);
	assert_string_equal(text_of(plain(&host_acme, "GET", "/v1/functions/f", 200), "layers"), "");
}

/* Layers that a host had before they were of tenants, and without keys, are the default tenant's. */
static void old_layers_are_the_default_tenants(void **state)
{
	host_start_tenants();
	want(&host_owner, "POST", LAYERS "/tools/versions", CONTENT, 201);
	assert_true(host_has("layers/tools/1/layer.zip"));
	want(&host_acme, "GET", LAYERS "/tools/versions/1", NULL, 404);
	want(&host_acme, "DELETE", LAYERS "/tools/versions/1", NULL, 204);
	assert_string_equal(text_of(call(&host_owner, "POST", FNS, creation("f", ARN("000000000000") ":1"), 201), "Layers"),
			    "[{\"Arn\":\"" ARN("000000000000") ":1\",\"CodeSize\":131}]");
	wait_active(&host_owner);
	host_term();
	assert_int_equal(host_wait(), 0);
	host_start(NULL);

	struct http_client_resp r;

	assert_int_equal(host_request("GET", LAYERS "/tools/versions/1", NULL, NULL, &r), 0);
	assert_int_equal(r.status, 200);
	http_client_resp_fini(&r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_tenant_has_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(others_arns_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_function_uses_its_own_accounts_only, setup, teardown),
		cmocka_unit_test_setup_teardown(the_plain_api_agrees, setup, teardown),
		cmocka_unit_test_setup_teardown(old_layers_are_the_default_tenants, setup, teardown),
	};

	host_play(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
