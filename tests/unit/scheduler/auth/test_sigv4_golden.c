/* Requests that real clients sent (tests/golden/sigv4, made by record.py there), through the HTTP server's parser into
 * the verifier with the clock at each request's own time: all are accepted, and none with one thing changed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/base/fd.h"
#include "common/base/str.h"
#include "common/host/http_internal.h"
#include "scheduler/auth/sigv4.h"
#include "tests/unit/unit.h"

#define HEADERS 40

static uv_loop_t loop;
static struct http_server *server;
static unsigned seen, presigned_seen, session_seen, ops_seen;
static const char *failed; /* asserts must not jump out of the loop's callbacks */
static char where[600];

/* Paths and methods that have to be among the requests. */
static const struct { const char *method, *part; } ops[] = {
	{"POST", "/2015-03-31/functions"},       {"GET", "/2015-03-31/functions/"},   {"GET", "/configuration"},
	{"PUT", "/configuration"},               {"PUT", "/code"},                    {"DELETE", "/2015-03-31/functions/"},
	{"POST", "/invocations"},                {"POST", "/versions"},               {"GET", "/versions"},
	{"POST", "/aliases"},                    {"GET", "/aliases/"},                {"PUT", "/aliases/"},
	{"DELETE", "/aliases/"},                 {"GET", "/aliases"},                 {"PUT", "/concurrency"},
	{"DELETE", "/concurrency"},              {"GET", "/concurrency"},             {"POST", "/2017-03-31/tags/arn%3A"},
	{"GET", "/2017-03-31/tags/arn%3A"},      {"DELETE", "/2017-03-31/tags/arn%3A"}, {"GET", "/account-settings"},
	{"POST", "/response-streaming-invocations"}, {"POST", "/invoke-async"},       {"POST", "f%3A"},
};

static enum sigv4_reason check(const struct sigv4_request *r, const char *secret, const uint8_t *body, size_t len)
{
	uint8_t key[SIGV4_HASH], hash[SIGV4_HASH];
	enum sigv4_reason reason;
	struct sigv4 sig;

	reason = sigv4_read(r, &sig);
	if (reason == SIGV4_OK && strcmp(sig.key_id, "AKIDEXAMPLE") != 0)
		reason = SIGV4_UNKNOWN_KEY;
	if (reason == SIGV4_OK)
		reason = sigv4_check_time(&sig, sig.time_s);
	if (reason == SIGV4_OK && (sigv4_signing_key(secret, sig.day, sig.region, key) || sigv4_hash(body, len, hash)))
		reason = SIGV4_INTERNAL;
	return reason == SIGV4_OK ? sigv4_verify(r, &sig, key, hash) : reason;
}

static void bad(const struct sigv4_request *r, const char *what)
{
	if (failed)
		return;
	snprintf(where, sizeof(where), "%s %s: %s", r->method, r->path, what);
	failed = where;
}

static void must_fail(const struct sigv4_request *r, const char *secret, const uint8_t *body, size_t len,
		      const char *what)
{
	if (check(r, secret, body, len) == SIGV4_OK)
		bad(r, what);
}

static bool is_signed(const struct sigv4 *sig, const char *name)
{
	char list[SIGV4_SIGNED_MAX + 3], one[200];

	snprintf(list, sizeof(list), ";%s;", sig->signed_headers);
	snprintf(one, sizeof(one), ";%s;", name);
	return strcasestr(list, one);
}

/* Every header in turn: other value, and left out. Those that are not signed may change. */
static void change_headers(const struct sigv4_request *good, const struct sigv4 *sig, const uint8_t *body, size_t len)
{
	struct http_header changed[HEADERS];
	struct sigv4_request r = *good;
	char value[4096];

	r.headers = changed;
	for (size_t i = 0; i < good->header_count; i++) {
		const struct http_header *h = &good->headers[i];
		bool matters = is_signed(sig, h->name) || (!sig->presigned && strcasecmp(h->name, "authorization") == 0);

		memcpy(changed, good->headers, good->header_count * sizeof(*changed));
		if (stk_snprintf(value, sizeof(value), "%s1", h->value))
			continue;
		changed[i].value = value;
		if (matters)
			must_fail(&r, "secretexample", body, len, h->name);
		else if (check(&r, "secretexample", body, len) != SIGV4_OK)
			bad(&r, "an unsigned header was changed");
		changed[i].name = "x-left-out";
		if (matters)
			must_fail(&r, "secretexample", body, len, h->name);
	}
}

static void change_pieces(const struct sigv4_request *good, const uint8_t *body, size_t len)
{
	uint8_t *other = malloc(len + 1);
	struct sigv4_request r = *good;
	char text[4096];

	memcpy(other, len ? body : other, len);
	other[len] = 'x';
	must_fail(good, "secretexample", other, len + 1, "longer body");
	if (len) {
		other[len / 2] ^= 1;
		must_fail(good, "secretexample", other, len, "changed body");
		must_fail(good, "secretexample", body, len - 1, "shorter body");
	}
	free(other);
	must_fail(good, "secretexamples", body, len, "other secret");
	r.method = strcmp(r.method, "GET") == 0 ? "PUT" : "GET";
	must_fail(&r, "secretexample", body, len, "method");
	r = *good;
	snprintf(text, sizeof(text), "%sx", good->path);
	r.path = text;
	must_fail(&r, "secretexample", body, len, "path");
	r = *good;
	snprintf(text, sizeof(text), "%s&Qualifier=x", good->query);
	r.query = text;
	must_fail(&r, "secretexample", body, len, "query");
	if (*good->query) {
		r.query = "";
		must_fail(&r, "secretexample", body, len, "no query");
	}
}

static void on_request(void *ctx, struct http_req *req)
{
	struct sigv4_request r = {http_req_method(req), http_req_path(req), http_req_query(req), NULL, 0};
	struct sigv4 sig;
	const uint8_t *body;
	size_t len;

	r.header_count = http_req_headers(req, &r.headers);
	body = http_req_body(req, &len);
	seen++;
	if (r.header_count > HEADERS) {
		bad(&r, "more headers than this test has room for");
	} else if (check(&r, "secretexample", body, len) != SIGV4_OK) {
		bad(&r, "refused");
	} else {
		sigv4_read(&r, &sig);
		presigned_seen += sig.presigned;
		session_seen += is_signed(&sig, "x-amz-security-token");
		change_headers(&r, &sig, body, len);
		change_pieces(&r, body, len);
	}
	for (unsigned i = 0; i < STK_ARRAY_LEN(ops); i++) {
		if (strcmp(r.method, ops[i].method) == 0 && strstr(r.path, ops[i].part))
			ops_seen |= 1u << i;
	}
	http_respond(req, 200, NULL, NULL, 0);
}

/* One capture as a connection. */
static void replay(const char *client, unsigned least)
{
	char path[600], sink[4096];
	const char *src = getenv("STOKER_SRC");
	stk_autofree char *data = NULL;
	size_t len = 0, at = 0;
	unsigned want = 0, before = seen;
	int p[2];

	assert_int_equal(stk_snprintf(path, sizeof(path), "%s/tests/golden/sigv4/%s.http", src ? src : ".", client), 0);
	assert_int_equal(stk_read_file(path, 1 << 20, &data, &len), 0);
	for (size_t i = 0; i + 16 < len; i++)
		want += memcmp(data + i, "AWS4-HMAC-SHA256", 16) == 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p), 0);
	assert_int_equal(http_server_adopt(server, p[1], true), 0);
	while (seen - before < want && !failed) {
		ssize_t n = at < len ? send(p[0], data + at, len - at, MSG_NOSIGNAL) : 0;

		assert_true(n >= 0 || errno == EAGAIN);
		at += n > 0 ? (size_t)n : 0;
		uv_run(&loop, UV_RUN_NOWAIT);
		while (read(p[0], sink, sizeof(sink)) > 0) {
		}
	}
	close(p[0]);
	while (http_server_connections(server))
		uv_run(&loop, UV_RUN_NOWAIT);
	if (failed)
		fail_msg("%s: %s", client, failed);
	assert_true(want >= least);
}

static void captures(void **state)
{
	replay("aws-cli", 27);
	replay("boto3", 45);
	replay("sdk-js", 16);
	replay("sdk-go", 13);
	assert_true(seen >= 52);
	assert_true(presigned_seen >= 3);
	assert_true(session_seen >= 1);
	for (unsigned i = 0; i < STK_ARRAY_LEN(ops); i++) {
		if (!(ops_seen & 1u << i))
			fail_msg("no client sent %s ...%s", ops[i].method, ops[i].part);
	}
}

static int set_up(void **state)
{
	static const struct http_callbacks cb = {.on_request = on_request};
	struct http_limits limits;

	http_limits_default(&limits);
	return uv_loop_init(&loop) || http_server_new(&loop, &limits, &cb, NULL, &server);
}

static int tear_down(void **state)
{
	http_server_close(server, 0, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(captures)};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
