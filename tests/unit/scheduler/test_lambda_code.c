/* The packages of functions and layers, as a client gets them back from a real stokerd: GetFunction and GetLayerVersion give a
 * link, which needs no key, and is good for that package alone. Without KVM. */
#include "tests/unit/scheduler/host_fixture.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "tests/unit/unit.h"

#define FNS    "/2015-03-31/functions"
#define LAYERS "/2018-10-31/layers"
#define LARGE  ((5u << 20) + 77)

static const struct host_who nobody;

static int setup(void **state)
{
	unit_time_limit(120);
	return host_make();
}

static int teardown(void **state)
{
	return host_remove();
}

static json_t *call(const struct host_who *who, const char *method, const char *path, const char *body, int status)
{
	struct http_client_resp r;
	json_t *o;

	assert_int_equal(who->id ? host_request_signed(method, path, who->id, who->secret, body, &r)
				 : host_request(method, path, NULL, body, &r), 0);
	o = r.body_len ? json_loadb((char *)r.body, r.body_len, 0, NULL) : NULL;
	if (r.status != status)
		fail_msg("%s %s: %d, not %d: %s", method, path, r.status, status, (char *)r.body);
	http_client_resp_fini(&r);
	return o;
}

static void create(const struct host_who *who, const char *name)
{
	char body[2048];

	snprintf(body, sizeof(body),
		 "{\"FunctionName\":\"%s\",\"Runtime\":\"python3\",\"Handler\":\"a.b\",\"Role\":\"arn:aws:iam::000000000000:role/r\","
		 "\"Publish\":true,\"Code\":{\"ZipFile\":\"" HOST_ZIP "\"}}", name);
	json_decref(call(who, "POST", FNS, body, 201));
}

/* Until a version's files are there. */
static void wait_active(const char *name)
{
	uint64_t end = stk_now_ns() + 30 * STK_NS_PER_S;
	bool active = false;
	char path[128];

	snprintf(path, sizeof(path), FNS "/%s", name);
	while (!active) {
		json_t *o = call(&nobody, "GET", path, NULL, 200);
		const char *now = json_string_value(json_object_get(json_object_get(o, "Configuration"), "State"));

		active = now && strcmp(now, "Active") == 0;
		json_decref(o);
		assert_true(active || stk_now_ns() < end);
		usleep(2000);
	}
}

/* Path and query of the link to a function's code. */
static const char *link_to(const struct host_who *who, const char *name)
{
	static const char begin[] = "http://localhost/v1/code/";
	static char link[4][512];
	static unsigned turn;
	char path[128];
	json_t *o, *code;

	snprintf(path, sizeof(path), FNS "/%s", name);
	o = call(who, "GET", path, NULL, 200);
	code = json_object_get(o, "Code");
	assert_string_equal(json_string_value(json_object_get(code, "RepositoryType")), "S3");
	turn = (turn + 1) % 4;
	snprintf(link[turn], sizeof(link[turn]), "%s", json_string_value(json_object_get(code, "Location")));
	json_decref(o);
	if (strncmp(link[turn], begin, strlen(begin)) != 0)
		fail_msg("%s", link[turn]);
	return link[turn] + strlen("http://localhost");
}

/* Without any key. want: 200 for this content; else a status. */
static void fetch(const char *link, int status, const void *want, size_t len)
{
	struct http_client_resp r;
	char type[64];

	assert_int_equal(host_request("GET", link, NULL, NULL, &r), 0);
	if (r.status != status)
		fail_msg("%s: %d, not %d: %s", link, r.status, status, (char *)r.body);
	if (status == 200) {
		assert_int_equal(http_client_header(&r, "content-type", type, sizeof(type)), 0);
		assert_string_equal(type, "application/zip");
		assert_int_equal(r.body_len, len);
		assert_memory_equal(r.body, want, len);
	}
	http_client_resp_fini(&r);
}

/* Without any key, too. */
static int status_of(const char *method, const char *link)
{
	struct http_client_resp r;
	int status;

	assert_int_equal(host_request(method, link, NULL, NULL, &r), 0);
	status = r.status;
	http_client_resp_fini(&r);
	return status;
}

static const uint8_t *package(void)
{
	static uint8_t zip[sizeof(HOST_ZIP)];

	EVP_DecodeBlock(zip, (const unsigned char *)HOST_ZIP, sizeof(HOST_ZIP) - 1);
	return zip;
}

static void each_tenants_own(void **state)
{
	const char *a, *b, *name;
	char forged[512], *at;

	host_start_tenants();
	create(&host_acme, "f");
	create(&host_bolt, "f");
	a = link_to(&host_acme, "f");
	b = link_to(&host_bolt, "f");
	fetch(a, 200, package(), HOST_ZIP_LEN);
	fetch(b, 200, package(), HOST_ZIP_LEN);
	assert_int_equal(status_of("HEAD", a), 200);
	/* One tenant's link made into one to another's code, and other inventions: whether it is there is not told. */
	name = strstr(a, "f.acme");
	assert_non_null(name);
	snprintf(forged, sizeof(forged), "/v1/code/f.bolt%s", name + 6);
	fetch(forged, 403, NULL, 0);
	snprintf(forged, sizeof(forged), "/v1/code/none.acme%s", name + 6);
	fetch(forged, 403, NULL, 0);
	fetch("/v1/code/f.acme/1", 403, NULL, 0);
	fetch("/v1/code/f.acme/1?expires=99999999999&sig=00", 403, NULL, 0);
	fetch("/v1/code/f.acme/x", 403, NULL, 0);
	snprintf(forged, sizeof(forged), "%s", a);
	at = strstr(forged, "expires=") + 8;
	*at += 1; /* for longer */
	fetch(forged, 403, NULL, 0);
	snprintf(forged, sizeof(forged), "%s", a);
	at = forged + strlen(forged) - 1;
	*at = *at == '0' ? '1' : '0';
	fetch(forged, 403, NULL, 0);
	/* Nothing else is open by that. */
	fetch("/v1/code", 401, NULL, 0);
	fetch("/v1/code/f.acme/1/x", 401, NULL, 0);
	assert_int_equal(status_of("DELETE", a), 401);
	/* A link does not outlive the process. */
	host_kill();
	host_start_tenants();
	fetch(a, 403, NULL, 0);
	fetch(link_to(&host_acme, "f"), 200, package(), HOST_ZIP_LEN);
}

/* A package of many pieces, in place of a stored one. */
static uint8_t *store_large(const char *where)
{
	uint8_t *data = malloc(LARGE);
	char path[256];

	for (size_t i = 0; i < LARGE; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	snprintf(path, sizeof(path), "%s/%s", host_root, where);
	assert_int_equal(stk_write_file_atomic(path, data, LARGE, 0640), 0);
	return data;
}

static void large_ones_and_clients_that_go(void **state)
{
	uint8_t *data;
	const char *link;
	char text[100];
	int fd[8];

	host_add_function("f");
	host_start(NULL);
	link = link_to(&nobody, "f");
	fetch(link, 404, NULL, 0); /* there is no such file yet */
	data = store_large("functions/f/1/code.zip");
	fetch(link, 200, data, LARGE);
	for (size_t i = 0; i < STK_ARRAY_LEN(fd); i++) {
		fd[i] = host_request_begin("GET", link, "");
		assert_int_equal(stk_read_full(fd[i], text, sizeof(text)), 0); /* it is being sent */
		assert_memory_equal(text, "HTTP/1.1 200 ", 13);
	}
	json_decref(call(&nobody, "DELETE", FNS "/f", NULL, 204));
	fetch(link, 404, NULL, 0);
	for (size_t i = 0; i < STK_ARRAY_LEN(fd); i++)
		close(fd[i]);
	host_wait_metric("\nstoker_connections ", 1);
	host_term();
	assert_int_equal(host_wait(), 0);
	free(data);
}

/* A link is to the code that was shown, not to what the function has later. */
static void versions(void **state)
{
	const char *latest, *first;
	uint8_t *data;

	host_start(NULL);
	create(&nobody, "f");
	latest = link_to(&nobody, "f");
	first = link_to(&nobody, "f:1");
	assert_string_not_equal(latest, first);
	wait_active("f");
	wait_active("f:1");
	data = store_large("functions/f/2/code.zip");
	fetch(latest, 200, package(), HOST_ZIP_LEN);
	fetch(first, 200, data, LARGE);
	json_decref(call(&nobody, "DELETE", FNS "/f", NULL, 204));
	fetch(latest, 404, NULL, 0);
	fetch(first, 404, NULL, 0);
	create(&nobody, "f");
	fetch(latest, 404, NULL, 0);
	free(data);
}

/* Path and query of what Content.Location says in an answer, which is given up. */
static const char *layer_link(json_t *answer)
{
	static const char begin[] = "http://localhost/v1/layers/";
	static char link[4][512];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(link[turn], sizeof(link[turn]), "%s",
		 json_string_value(json_object_get(json_object_get(answer, "Content"), "Location")));
	json_decref(answer);
	if (strncmp(link[turn], begin, strlen(begin)) != 0)
		fail_msg("%s", link[turn]);
	return link[turn] + strlen("http://localhost");
}

static void layers(void **state)
{
	static const char body[] = "{\"Content\":{\"ZipFile\":\"" HOST_ZIP "\"}}";
	const char *path = LAYERS "/l/versions", *first, *second, *others;
	char forged[512];
	uint8_t *data;
	json_t *o;

	host_start_tenants();
	first = layer_link(call(&host_acme, "POST", path, body, 201));
	second = layer_link(call(&host_acme, "POST", path, body, 201));
	others = layer_link(call(&host_bolt, "POST", path, body, 201));
	fetch(first, 200, package(), HOST_ZIP_LEN);
	fetch(others, 200, package(), HOST_ZIP_LEN);
	fetch(layer_link(call(&host_acme, "GET", LAYERS "/l/versions/1", NULL, 200)), 200, package(), HOST_ZIP_LEN);
	fetch(layer_link(call(&host_acme, "GET", LAYERS "?find=LayerVersion&Arn=arn%3Aaws%3Alambda%3Aus-east-1%3A111122223333%3A"
			      "layer%3Al%3A1", NULL, 200)), 200, package(), HOST_ZIP_LEN);
	o = call(&host_acme, "GET", path, NULL, 200);
	assert_null(json_object_get(json_array_get(json_object_get(o, "LayerVersions"), 0), "Content")); /* not in lists */
	json_decref(o);
	data = store_large("layers/l.acme/2/layer.zip");
	fetch(second, 200, data, LARGE);
	free(data);

	/* One link made into another. */
	snprintf(forged, sizeof(forged), "/v1/layers/l.bolt/1%s", strstr(first, "/code?"));
	fetch(forged, 403, NULL, 0);
	snprintf(forged, sizeof(forged), "/v1/layers/l.acme/2%s", strstr(first, "/code?"));
	fetch(forged, 403, NULL, 0);
	snprintf(forged, sizeof(forged), "/v1/code/l.acme/1%s", strchr(first, '?'));
	fetch(forged, 403, NULL, 0);
	fetch("/v1/layers/l.acme/1/code", 403, NULL, 0);
	fetch("/v1/layers/l.acme/1", 401, NULL, 0);

	assert_int_equal(status_of("HEAD", first), 200);
	json_decref(call(&host_acme, "DELETE", LAYERS "/l/versions/1", NULL, 204));
	fetch(first, 404, NULL, 0);
	assert_int_equal(status_of("HEAD", first), 404);
	fetch(others, 200, package(), HOST_ZIP_LEN);
}

/* The address is the one by which the client has come, if it is one. */
static void where_it_is(void **state)
{
	static const char odd[] = "GET " FNS "/f HTTP/1.1\r\nHost: a/b@c\\\"\r\n\r\n";
	char text[8192];
	size_t len = 0;
	ssize_t n = 1;
	int fd;

	host_add_function("f");
	host_start(NULL);
	fd = host_request_begin("GET", FNS "/f", "");
	assert_int_equal(stk_write_full(fd, odd, sizeof(odd) - 1), 0);
	memset(text, 0, sizeof(text));
	while (n > 0 && !strstr(text, "http://localhost/v1/code/f/1?") && len < sizeof(text) - 1) {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (!strstr(text, "\"http://h/v1/code/f/1?expires=") || !strstr(text, "\"http://localhost/v1/code/f/1?"))
		fail_msg("%s", text);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_tenants_own, setup, teardown),
		cmocka_unit_test_setup_teardown(large_ones_and_clients_that_go, setup, teardown),
		cmocka_unit_test_setup_teardown(versions, setup, teardown),
		cmocka_unit_test_setup_teardown(layers, setup, teardown),
		cmocka_unit_test_setup_teardown(where_it_is, setup, teardown),
	};

	host_play(argc, argv);
	if (access("/usr/bin/mkfs.erofs", X_OK)) {
		fprintf(stderr, "mkfs.erofs is not there\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
