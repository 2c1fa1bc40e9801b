/* Function URLs by the name of a host: their ids, and calls of a real stokerd without KVM, whose scripted guest answers with its
 * event. */
#include "scheduler/furl_host.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/fd.h"
#include "scheduler/furl_config.h"
#include "scheduler/registry.h"
#include "scheduler/store.h"
#include "tests/unit/scheduler/host_fixture.h"
#include "tests/unit/unit.h"

/* Of function f, of its alias blue, and of tenant acme's f. They must never change. */
#define F_ID    "4mgcpgpggp47n7mqnoti2glzhq3yjen6"
#define BLUE_ID "4mgcpgozl6qqb6kg3bqybvf3b6ysqrzi"
#define ACME_ID "ru6d574vm4howrip3eyoyccn4f64ckaw"

/* --- ids ------------------------------------------------------------------------------------------- */

static void ids_stay(void **state)
{
	char id[FURL_ID_LEN + 1], long_name[FN_NAME_MAX + 1], long_alias[129];

	assert_int_equal(furl_id("f", "", id), 0);
	assert_string_equal(id, F_ID);
	assert_int_equal(furl_id("f", "blue", id), 0);
	assert_string_equal(id, BLUE_ID);
	assert_int_equal(furl_id("f.acme", "", id), 0);
	assert_string_equal(id, ACME_ID);
	memset(long_name, 'n', FN_NAME_MAX);
	memset(long_alias, 'a', 128);
	long_name[FN_NAME_MAX] = long_alias[128] = '\0';
	assert_int_equal(furl_id(long_name, long_alias, id), 0);
}

static void hosts(void **state)
{
	static const char *const good[] = {F_ID ".lambda-url.x", F_ID ".lambda-url.eu-west-1.on.aws:443",
					   F_ID ".LAMBDA-URL.localhost:1",
					   "4MGCPGPGGP47N7MQNOTI2GLZHQ3YJEN6.Lambda-Url.x", F_ID ".lambda-url."};
	static const char *const bad[] = {".lambda-url.x", "x.lambda-url.x", "x" F_ID ".lambda-url.x", F_ID "x.lambda-url.x",
					  "a." F_ID ".lambda-url.x", "4mgcpgpggp47n7mqnoti2glzhq3yjen1.lambda-url.x",
					  "4mgcpgpggp47n7mqnoti2glzhq3yjen.lambda-url.x"};
	static const char *const others[] = {"", "h", "127.0.0.1:8080", F_ID, F_ID ".lambda-urls.x", "lambda-url.x",
					     F_ID "lambda-url.x"};
	char id[FURL_ID_LEN + 1];

	for (size_t i = 0; i < STK_ARRAY_LEN(good); i++) {
		assert_true(furl_host_is(good[i]));
		assert_true(furl_host_id(good[i], id));
		assert_string_equal(id, F_ID);
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		assert_true(furl_host_is(bad[i]));
		assert_false(furl_host_id(bad[i], id));
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(others); i++) {
		assert_false(furl_host_is(others[i]));
		assert_false(furl_host_id(others[i], id));
	}
	assert_false(furl_host_is(NULL));
}

static void domains(void **state)
{
	static const char *const good[] = {"localhost", "localhost:8080", "a-b.example.org", "10.0.0.1:1", "x:65535"};
	static const char *const bad[] = {"", ":1", "x:", "x:0", "x:65536", "x:1x", "x/", "x y", ".x", "-x", "[::1]",
					  "http://x", "x\n"};
	char text[FURL_DOMAIN_MAX + 2];

	for (size_t i = 0; i < STK_ARRAY_LEN(good); i++)
		assert_true(furl_domain_valid(good[i]));
	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++)
		assert_false(furl_domain_valid(bad[i]));
	memset(text, 'x', sizeof(text));
	text[FURL_DOMAIN_MAX + 1] = '\0';
	assert_false(furl_domain_valid(text));
	text[FURL_DOMAIN_MAX] = '\0';
	assert_true(furl_domain_valid(text));
}

static void no_version(void *ctx, struct fn_version *v)
{
}

/* By id among those whose names the registry keeps in one place. */
static void looked_up(void **state)
{
	static struct registry r;
	struct function *f, *g = NULL;
	const char *qualifier = NULL;
	char name[16], id[FURL_ID_LEN + 1];

	registry_init(&r, no_version, NULL);
	f = registry_add(&r, "f");
	for (unsigned i = 0; !g; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		if (registry_hash(name) % REGISTRY_BUCKETS == registry_hash("f") % REGISTRY_BUCKETS)
			g = registry_add(&r, name);
	}
	assert_null(furl_by_id(&r, F_ID, &qualifier)); /* it has no URL */
	assert_int_equal(registry_note_set(f, "other", "", "{}"), 0);
	assert_null(furl_by_id(&r, F_ID, &qualifier));
	assert_int_equal(registry_note_set(f, FURL_NOTE, "blue", "{}"), 0);
	assert_int_equal(registry_note_set(g, FURL_NOTE, "", "{}"), 0);
	assert_null(furl_by_id(&r, F_ID, &qualifier)); /* its alias has */
	assert_ptr_equal(furl_by_id(&r, BLUE_ID, &qualifier), f);
	assert_string_equal(qualifier, "blue");
	assert_int_equal(registry_note_set(f, FURL_NOTE, "", "{}"), 0);
	assert_ptr_equal(furl_by_id(&r, F_ID, &qualifier), f);
	assert_string_equal(qualifier, "");
	assert_int_equal(furl_id(g->name, "", id), 0);
	assert_ptr_equal(furl_by_id(&r, id, &qualifier), g);
	id[FURL_ID_LEN - 1] = id[FURL_ID_LEN - 1] == 'a' ? 'b' : 'a';
	assert_null(furl_by_id(&r, id, &qualifier));
	registry_fini(&r);
}

/* --- calls ------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
	unit_time_limit(120);
	return host_make();
}

static int teardown(void **state)
{
	return host_remove();
}

static void add_url(const char *name, const char *json)
{
	struct store_tx *tx = store_tx_new();

	store_tx_note(tx, name, FURL_NOTE, "", json);
	host_commit(tx);
}

/* A request with this Host header; the answer as it came, heap, and its status. */
static int ask(const char *host, const char *method, const char *path, const char *headers, char **ret_text)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char head[2048], *text = calloc(1, 65536);
	size_t len = 0;
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_non_null(text);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/http", host_root);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_true((size_t)snprintf(head, sizeof(head),
				     "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%sContent-Length: 2\r\n\r\n{}",
				     method, path, host, headers) < sizeof(head));
	assert_int_equal(stk_write_full(fd, head, strlen(head)), 0);
	while (len < 65535 && (n = read(fd, text + len, 65535 - len)) > 0)
		len += (size_t)n;
	close(fd);
	assert_int_equal(strncmp(text, "HTTP/1.1 ", 9), 0);
	*ret_text = text;
	return atoi(text + 9);
}

static void expect(const char *host, const char *path, const char *headers, int status, const char *part)
{
	char *text;
	int got = ask(host, "POST", path, headers, &text);

	if (got != status || !strstr(text, part))
		fail_msg("%s%s: not %d, %s: %s", host, path, status, part, text);
	free(text);
}

/* What the function sees: the whole path is its own, also one that is the host's or Lambda's elsewhere. */
static void whole_path(void **state)
{
	static const char *const paths[] = {"/", "/a/b%20c", "/function/g/x", "/v1/functions", "/healthz", "/metrics",
					    "/2015-03-31/functions/f/invocations", "//", "/%"};
	char target[128];

	host_add_function("f");
	host_add_function("g");
	add_url("f", "{\"Iam\":false}");
	host_start(NULL);
	for (size_t i = 0; i < STK_ARRAY_LEN(paths); i++) {
		char *text;
		json_t *event, *context;

		snprintf(target, sizeof(target), "%s?q=1", paths[i]);
		assert_int_equal(ask(F_ID ".lambda-url.here.example:8080", "POST", target, "", &text), 200);
		event = json_loads(strstr(text, "\r\n\r\n"), 0, NULL);
		assert_non_null(event);
		context = json_object_get(event, "requestContext");
		assert_string_equal(json_string_value(json_object_get(event, "rawPath")), paths[i]);
		assert_string_equal(json_string_value(json_object_get(json_object_get(context, "http"), "path")), paths[i]);
		assert_string_equal(json_string_value(json_object_get(event, "rawQueryString")), "q=1");
		assert_string_equal(json_string_value(json_object_get(context, "domainName")),
				    F_ID ".lambda-url.here.example:8080");
		assert_string_equal(json_string_value(json_object_get(context, "domainPrefix")), F_ID);
		assert_string_equal(json_string_value(json_object_get(context, "apiId")), F_ID);
		json_decref(event);
		free(text);
	}
	/* By path as before. */
	expect("h", "/function/f/a", "", 200, "\"rawPath\":\"/a\"");
	expect("h", "/function/f/a", "", 200, "\"domainPrefix\":\"f\"");
}

/* Hosts that have no URL, or none at all: refused, and nothing of the host's own is there. */
static void no_such_url(void **state)
{
	static const char *const hosts[] = {BLUE_ID ".lambda-url.x", "x.lambda-url.x", ".lambda-url.", F_ID ".x.lambda-url.y",
					    F_ID F_ID ".lambda-url.x", "a2345672345672345672345672345672.lambda-url.x"};
	char *text, longest[1501];

	host_add_function("f");
	add_url("f", "{\"Iam\":false}");
	host_start(NULL);
	for (size_t i = 0; i < STK_ARRAY_LEN(hosts); i++) {
		expect(hosts[i], "/function/f", "", 404, "no function URL has the id");
		expect(hosts[i], "/2015-03-31/functions/f/invocations", "", 404, "no function URL has the id");
		assert_int_equal(ask(hosts[i], "GET", "/metrics", "", &text), 404);
		free(text);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	memcpy(longest + sizeof(longest) - 15, ".lambda-url.x", 14);
	expect(longest, "/", "", 404, "no function URL has the id");
	assert_int_equal(ask(F_ID ".lambda-url.x", "OPTIONS", "*", "", &text), 404);
	free(text);
	expect(F_ID, "/function/f", "", 200, "rawPath"); /* a name like any other */
	expect("h", "/2015-03-31/functions/f/invocations", "", 200, "{}");
}

#define TOKEN(t) "Authorization: Bearer " t "\r\n"

/* Who may is as by path: everybody where the URL says NONE; of others, whose function it is. */
static void who_may(void **state)
{
	static const char f[] = F_ID ".lambda-url.x", acme[] = ACME_ID ".lambda-url.x", none[] = BLUE_ID ".lambda-url.x";
	char g_id[FURL_ID_LEN + 1], g[64], signature[1024];

	host_add_function("f");
	host_add_function("g");
	host_add_function("f.acme");
	add_url("f", "{\"Iam\":false}");
	add_url("g", "{\"Iam\":true}");
	add_url("f.acme", "{\"Iam\":true}");
	assert_int_equal(furl_id("g", "", g_id), 0);
	snprintf(g, sizeof(g), "%s.lambda-url.x", g_id);
	host_start_tenants();
	expect(f, "/a", "", 200, "\"rawPath\":\"/a\"");
	expect(f, "/a", TOKEN("token-of-acme-0123456789"), 200, "\"domainPrefix\":\"" F_ID "\"");
	expect(f, "/2015-03-31/functions/f/invocations", "", 200, "rawPath"); /* not Lambda's, which needs a signature */
	expect(g, "/", "", 401, "needs a token");
	expect(none, "/", "", 401, "needs a token"); /* nobody learns what is there */
	expect(none, "/", TOKEN("token-of-the-owner-012345"), 404, "no function URL");
	expect(g, "/healthz", "", 401, "needs a token");
	expect(g, "/", TOKEN("token-of-the-owner-012345"), 200, "rawPath");
	expect(g, "/", TOKEN("token-of-acme-0123456789"), 403, "another tenant");
	expect(acme, "/", "", 401, "needs a token");
	expect(acme, "/", TOKEN("token-of-the-owner-012345"), 403, "another tenant");
	expect(acme, "/", TOKEN("token-of-acme-0123456789"), 200, "rawPath");
	/* Signed for this host, and with one signed header changed. */
	host_sign_for(acme, "POST", "/b", "AKACME", "secret-of-acme", "{}", signature, sizeof(signature));
	expect(acme, "/b", signature, 200, "\"rawPath\":\"/b\"");
	expect(g, "/b", signature, 403, "InvalidSignature");
	expect(acme, "/c", signature, 403, "InvalidSignature");
}

/* What CreateFunctionUrlConfig says, by the host's options. */
static void shown(void **state)
{
	static const char url[] = "/2021-10-31/functions/f/url";
	struct http_client_resp r;

	host_add_function("f");
	host_start(NULL);
	assert_int_equal(host_request("POST", url, NULL, "{\"AuthType\":\"NONE\"}", &r), 0);
	assert_int_equal(r.status, 201);
	assert_non_null(strstr((char *)r.body, "\"FunctionUrl\":\"http://localhost/function/f/\""));
	http_client_resp_fini(&r);
	expect(F_ID ".lambda-url.x", "/", "", 200, "rawPath");
	host_term();
	assert_int_equal(host_wait(), 0);
	host_start((const char *[]){"url-domain", "fn.example.org:8080", NULL});
	assert_int_equal(host_request("GET", url, NULL, NULL, &r), 0);
	assert_non_null(strstr((char *)r.body, "\"FunctionUrl\":\"http://" F_ID ".lambda-url.fn.example.org:8080/\""));
	http_client_resp_fini(&r);
	expect(F_ID ".lambda-url.fn.example.org:8080", "/", "", 200, "rawPath");
	assert_int_equal(host_request("DELETE", url, NULL, NULL, &r), 0);
	http_client_resp_fini(&r);
	expect(F_ID ".lambda-url.x", "/", "", 404, "no function URL has the id");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_stay),
		cmocka_unit_test(hosts),
		cmocka_unit_test(domains),
		cmocka_unit_test(looked_up),
		cmocka_unit_test_setup_teardown(whole_path, setup, teardown),
		cmocka_unit_test_setup_teardown(no_such_url, setup, teardown),
		cmocka_unit_test_setup_teardown(who_may, setup, teardown),
		cmocka_unit_test_setup_teardown(shown, setup, teardown),
	};

	host_play(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
