/* Who is let in: requests through a served connection, with the two looks that front.c takes. */
#include "scheduler/auth/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/http_internal.h"
#include "common/host/metrics.h"
#include "common/host/workers.h"
#include "scheduler/auth/sigv4.h"
#include "tests/unit/unit.h"

#define TOKEN  "tokentokentoken1"
#define BEARER "Bearer tokentokentoken1"
#define FORGED(key, list)                                                                                      \
	"AWS4-HMAC-SHA256 Credential=" key "/20260102/r/lambda/aws4_request, SignedHeaders=" list ", Signature="  \
	"0000000000000000000000000000000000000000000000000000000000000000"
#define NOW   1767323045 /* 20260102T030405Z */

static uv_loop_t loop;
static struct http_server *server;
static struct metrics *metrics;
static struct auth *auth;
static int64_t now = NOW;
static bool streamed;
static unsigned served, seen_headers;
static char key_path[] = "/tmp/stoker-auth-XXXXXX", log_path[] = "/tmp/stoker-auth-log-XXXXXX";
static int log_fd;

static const char keys_text[] =
	"{\"tenants\": [{\"name\": \"acme\", \"account\": \"123456789012\"}], \"keys\": ["
	"{\"name\": \"sdk\", \"accessKeyId\": \"AKIDEXAMPLE\", \"secretAccessKey\": \"secretexample\"},"
	"{\"name\": \"ci\", \"tenant\": \"acme\", \"tokens\": [\"" TOKEN "\"]}]}";

static int64_t test_clock(void)
{
	return now;
}

static int discard(void *ptr, const uint8_t *data, size_t len)
{
	return 0;
}

static void on_headers(void *ctx, struct http_req *req)
{
	if (!auth_headers(auth, req, auth_route(http_req_path(req)), streamed))
		return;
	seen_headers++;
	if (streamed)
		http_req_stream_body(req, discard);
}

static void on_request(void *ctx, struct http_req *req)
{
	const struct auth_principal *who;
	char text[200];

	if (!auth_body(auth, req)) {
		auth_refuse(auth, req, auth_route(http_req_path(req)));
		return;
	}
	who = auth_of(req);
	served++;
	snprintf(text, sizeof(text), "served %s %s %s %s%s", who->tenant, who->account, *who->key ? who->key : "-",
		 who->anonymous ? "anonymous" : "known", who->unbound ? " unbound" : "");
	http_respond(req, 200, NULL, text, strlen(text));
}

/* Sends text and `more` bytes behind it; returns the answer (static). */
static const char *talk(const char *text, const char *more)
{
	static char answer[4096];
	uint64_t end = stk_now_ns() + 20 * STK_NS_PER_S;
	size_t have = 0;
	int p[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p), 0);
	assert_int_equal(http_server_adopt(server, p[1], true), 0);
	assert_int_equal(send(p[0], text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	uv_run(&loop, UV_RUN_NOWAIT);
	send(p[0], more, strlen(more), MSG_NOSIGNAL);
	answer[0] = '\0';
	while (stk_now_ns() < end) {
		ssize_t n;
		char *body;

		uv_run(&loop, UV_RUN_NOWAIT);
		n = read(p[0], answer + have, sizeof(answer) - 1 - have);
		if (n > 0) {
			have += (size_t)n;
			answer[have] = '\0';
		}
		body = strstr(answer, "\r\n\r\n");
		if (n == 0 || (body && (body[4] || strstr(answer, "Content-Length: 0"))))
			break;
	}
	close(p[0]);
	while (http_server_connections(server))
		uv_run(&loop, UV_RUN_NOWAIT);
	return answer;
}

static void expect(const char *answer, int status, const char *needle)
{
	char want[32];

	snprintf(want, sizeof(want), "HTTP/1.1 %d ", status);
	if (strncmp(answer, want, strlen(want)) != 0 || !strstr(answer, needle))
		fail_msg("expected %d with \"%s\", got: %s", status, needle, answer);
}

static const char *ask(const char *method, const char *target, const char *authorization)
{
	char text[2048];

	assert_int_equal(stk_snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\n%s%s%sContent-Length: 2\r\n\r\n",
				      method, target, authorization ? "Authorization: " : "",
				      authorization ? authorization : "", authorization ? "\r\n" : ""), 0);
	return talk(text, "{}");
}

/* A signed request with `body`; with_hash: the body's hash is a header. sent: what goes out instead of body. */
static const char *ask_signed(const char *method, const char *path, const char *query, const char *body,
			      bool with_hash, const char *secret, const char *sent)
{
	char text[4096], authorization[600], hash_hex[65], signature[65];
	const char *list = with_hash ? "host;x-amz-content-sha256;x-amz-date" : "host;x-amz-date";
	struct http_header headers[4] = {{"host", "h"}, {"x-amz-date", "20260102T030405Z"}, {"authorization", authorization},
					 {"x-amz-content-sha256", hash_hex}};
	struct sigv4_request r = {method, path, query, headers, with_hash ? 4 : 3};
	uint8_t key[SIGV4_HASH], hash[SIGV4_HASH], canonical[SIGV4_HASH], raw[SIGV4_HASH];
	struct sigv4 sig;

	sigv4_hash(body, strlen(body), hash);
	for (unsigned i = 0; i < SIGV4_HASH; i++)
		sprintf(hash_hex + 2 * i, "%02x", hash[i]);
	memset(signature, '0', 64);
	signature[64] = '\0';
	for (int round = 0; round < 2; round++) {
		snprintf(authorization, sizeof(authorization), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/r/lambda/"
			 "aws4_request, SignedHeaders=%s, Signature=%s", list, signature);
		assert_int_equal(sigv4_read(&r, &sig), SIGV4_OK);
		sigv4_signing_key(secret, sig.day, sig.region, key);
		assert_int_equal(sigv4_canonical(&r, &sig, hash, canonical), SIGV4_OK);
		sigv4_sign(&sig, key, canonical, raw);
		for (unsigned i = 0; i < SIGV4_HASH; i++)
			sprintf(signature + 2 * i, "%02x", raw[i]);
	}
	sent = sent ? sent : body;
	snprintf(text, sizeof(text), "%s %s%s%s HTTP/1.1\r\nHost: h\r\nX-Amz-Date: 20260102T030405Z\r\nAuthorization: %s\r\n"
		 "%s%s%sContent-Length: %zu\r\n\r\n", method, path, *query ? "?" : "", query, authorization,
		 with_hash ? "X-Amz-Content-SHA256: " : "", with_hash ? hash_hex : "", with_hash ? "\r\n" : "", strlen(sent));
	return talk(text, sent);
}

static double failures(const char *reason)
{
	char *text, *at, line[100];
	size_t len;
	double v = -1;

	text = metrics_text(metrics, &len);
	snprintf(line, sizeof(line), "\nstoker_auth_failures_total{reason=\"%s\"} ", reason);
	at = strstr(text, line);
	if (at)
		v = atof(at + strlen(line));
	free(text);
	return v;
}

/* --- tests ------------------------------------------------------------------------------------------- */

static void routes(void **state)
{
	static const struct { const char *path; enum auth_route want; } paths[] = {
		{"/healthz", AUTH_OPEN}, {"/healthz/", AUTH_PLAIN}, {"/", AUTH_PLAIN}, {"/metrics", AUTH_PLAIN},
		{"/v1/functions", AUTH_PLAIN}, {"/v1/functions/f", AUTH_PLAIN}, {"/v1/functions/f/invoke", AUTH_INVOKE},
		{"/v1/functions/f/logs", AUTH_PLAIN}, {"/v1/functions/f/x/invoke", AUTH_PLAIN},
		{"/v1/functions//invoke", AUTH_INVOKE}, {"/function/f", AUTH_INVOKE}, {"/function/f/a/b", AUTH_INVOKE},
		{"/async-function/f", AUTH_INVOKE}, {"/async-function/f/a", AUTH_INVOKE}, {"/async-functions/f", AUTH_PLAIN},
		{"/functions", AUTH_PLAIN}, {"/2015-03-31/functions", AUTH_LAMBDA}, {"/2015-03-31", AUTH_LAMBDA},
		{"/2015-03-31x/functions", AUTH_PLAIN}, {"/2015-3-31/functions", AUTH_PLAIN}, {"/2020-06-30/x", AUTH_LAMBDA},
		{"//2015-03-31/", AUTH_PLAIN}, {"*", AUTH_PLAIN}, {"/2", AUTH_PLAIN},
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(paths); i++) {
		if (auth_route(paths[i].path) != paths[i].want)
			fail_msg("%s", paths[i].path);
	}
}

static void off(void **state)
{
	expect(ask("GET", "/v1/functions", NULL), 200, "served default 000000000000 - anonymous unbound");
	expect(ask("POST", "/2015-03-31/functions", "Bearer whatever"), 200, "served default");
}

static void tokens(void **state)
{
	/* user:tokentokentoken1, :tokentokentoken1, user, user:tokentokentoken2 */
	static const char *const good[] = {BEARER, "bearer  tokentokentoken1", "BASIC dXNlcjp0b2tlbnRva2VudG9rZW4x",
					   "Basic OnRva2VudG9rZW50b2tlbjE="};
	static const char *const bad[] = {"Bearer tokentokentoken2", "Bearer", "Bearer ", "Basic", "Basic dXNlcg==",
					  "Basic dXNlcjp0b2tlbnRva2VudG9rZW4y", "Basic !!!!", "Basic ====",
					  "Basic dXNlcjp0b2tlbnRva2VudG9rZW4x=x", TOKEN, "Digest x", "",
					  "Bearertokentokentoken1"};
	double before = failures("token"), missing = failures("missing");

	for (size_t i = 0; i < STK_ARRAY_LEN(good); i++)
		expect(ask("GET", "/v1/functions", good[i]), 200, "served acme 123456789012 ci known");
	served = seen_headers = 0;
	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		const char *answer = ask("PUT", "/v1/functions/f", bad[i]);

		expect(answer, 401, "\r\nWWW-Authenticate: Bearer realm=\"stoker\"\r\n");
		expect(answer, 401, "\"code\":\"Unauthorized\"");
		expect(answer, 401, "X-Request-Id: ");
	}
	assert_true(failures("token") - before == (double)STK_ARRAY_LEN(bad));
	expect(ask("GET", "/metrics", NULL), 401, "needs a token");
	expect(ask("POST", "/function/f", NULL), 401, "needs a token");
	assert_true(failures("missing") - missing == 2);
	assert_int_equal(served + seen_headers, 0); /* no handler saw any of it */
	expect(ask("GET", "/healthz", NULL), 200, "served");
	/* Lambda's routes take no tokens. */
	expect(ask("GET", "/2015-03-31/functions", BEARER), 403,
	       "x-amzn-ErrorType: MissingAuthenticationTokenException\r\n");
}

static void signatures(void **state)
{
	const char *answer;

	expect(ask_signed("POST", "/2015-03-31/functions/f%3Aal/invocations", "Qualifier=a%20b", "{}", false, "secretexample",
			  NULL), 200, "served default 000000000000 sdk known");
	expect(ask_signed("POST", "/2015-03-31/functions", "", "body", true, "secretexample", NULL), 200, "sdk known");
	expect(ask_signed("GET", "/v1/functions", "", "", false, "secretexample", NULL), 200, "sdk known");
	served = 0;
	answer = ask_signed("POST", "/2015-03-31/functions", "", "{}", false, "secretexampl2", NULL);
	expect(answer, 403, "x-amzn-ErrorType: InvalidSignatureException\r\n");
	expect(answer, 403, "x-amzn-RequestId: ");
	expect(answer, 403, "{\"Type\":\"User\",\"Message\":\"the signature does not fit");
	expect(ask_signed("POST", "/2015-03-31/functions", "", "{}", false, "secretexample", "[]"), 403, "does not fit");
	expect(ask_signed("POST", "/2015-03-31/functions", "", "{}", true, "secretexample", "[]"), 403,
	       "the body is not the one that was signed");
	/* On plain routes the error has the host's shape. */
	expect(ask_signed("GET", "/v1/functions", "", "", false, "secretexampl2", NULL), 403,
	       "\"code\":\"InvalidSignatureException\"");
	expect(ask_signed("GET", "/function/f/../g", "", "", false, "secretexample", NULL), 403, "InvalidSignature");
	expect(ask_signed("GET", "/function/f//g", "", "", false, "secretexample", NULL), 403, "InvalidSignature");
	assert_int_equal(served, 0);
	assert_true(failures("signature") >= 4);
	assert_true(failures("body") == 1);
}

/* Settled without the body: the answer comes although it never does. */
static void without_the_body(void **state)
{
	static const struct { const char *authorization, *more, *type; int status; } cases[] = {
		{NULL, "", "MissingAuthenticationTokenException", 403},
		{"AWS4-HMAC-SHA256 Credential=x", "", "IncompleteSignatureException", 400},
		{FORGED("AKIDOTHER", "host;x-amz-date"), "X-Amz-Date: 20260102T030405Z\r\n",
		 "UnrecognizedClientException", 403},
		{FORGED("AKIDEXAMPLE", "host;x-amz-date"), "X-Amz-Date: 20260102T040405Z\r\n",
		 "InvalidSignatureException", 403},
		{FORGED("AKIDEXAMPLE", "host;x-amz-content-sha256;x-amz-date"), ("X-Amz-Date: 20260102T030405Z\r\n"
		 "X-Amz-Content-Sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\r\n"),
		 "InvalidSignatureException", 403},
	};
	char text[2048];

	seen_headers = 0;
	for (size_t i = 0; i < STK_ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), "POST /2015-03-31/functions HTTP/1.1\r\nHost: h\r\n%s%s%s%sExpect: 100-continue\r\n"
			 "Content-Length: 70000000\r\n\r\n", cases[i].authorization ? "Authorization: " : "",
			 cases[i].authorization ? cases[i].authorization : "", cases[i].authorization ? "\r\n" : "",
			 cases[i].more);
		expect(talk(text, ""), cases[i].status, cases[i].type);
	}
	assert_int_equal(seen_headers, 0);
	expect(talk("GET /2015-03-31/functions HTTP/1.1\r\nHost: h\r\nX-Amz-Date: 20260102T040405Z\r\nAuthorization: "
		    FORGED("AKIDEXAMPLE", "host;x-amz-date") "\r\n\r\n", ""),
	       403, "20260102T040405Z, it is 20260102T030405Z here");
}

/* A body that goes elsewhere than to memory needs its hash among the headers. */
static void streamed_bodies(void **state)
{
	streamed = true;
	seen_headers = 0;
	expect(ask_signed("PUT", "/v1/functions/f", "", "zip", false, "secretexample", NULL), 403, "X-Amz-Content-Sha256");
	assert_int_equal(seen_headers, 0);
	expect(ask_signed("PUT", "/v1/functions/f", "", "zip", true, "secretexample", NULL), 200, "sdk known");
	expect(ask_signed("PUT", "/v1/functions/f", "", "zip", true, "secretexample", "zap"), 403, "not the one");
	streamed = false;
}

static void write_keys(const char *text)
{
	int fd = open(key_path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void reload_done(void *ctx)
{
	++*(unsigned *)ctx;
}

static void reload(unsigned times)
{
	uint64_t end = stk_now_ns() + 20 * STK_NS_PER_S;
	unsigned done = 0;

	for (unsigned i = 0; i < times; i++)
		assert_int_equal(auth_reload(auth, &loop, reload_done, &done), 0);
	while (done < times && stk_now_ns() < end)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(done, times);
}

static void reloading(void **state)
{
	static const char other[] = "{\"anonymousInvoke\": true, "
		"\"tenants\": [{\"name\": \"default\", \"account\": \"111111111111\"}], \"keys\": ["
		"{\"name\": \"new\", \"tokens\": [\"newtokennewtoken\"]}]}";

	write_keys("{\"keys\": [");
	reload(1);
	expect(ask("GET", "/metrics", BEARER), 200, "ci known"); /* the old ones stay */
	write_keys(other);
	reload(3);
	expect(ask("GET", "/metrics", BEARER), 401, "does not know the token");
	expect(ask("GET", "/metrics", "Bearer newtokennewtoken"), 200, "new known");
	expect(ask_signed("GET", "/2015-03-31/functions", "", "", false, "secretexample", NULL), 403,
	       "UnrecognizedClientException");
	/* Calls are free now, also with an Authorization that is the function's affair; nothing else is. */
	expect(ask("POST", "/function/f", NULL), 200, "default 111111111111 - anonymous");
	assert_null(strstr(ask("POST", "/function/f", NULL), "unbound"));
	expect(ask("POST", "/v1/functions/f/invoke", "Bearer of-the-function"), 200, "anonymous");
	expect(ask("POST", "/function/f", "Bearer newtokennewtoken"), 200, "new known");
	expect(ask("GET", "/v1/functions", NULL), 401, "");
	expect(ask_signed("POST", "/function/f", "", "{}", false, "secretexample", NULL), 403, "UnrecognizedClient");
	/* Equal principals are one. */
	write_keys(keys_text);
	reload(1);
	expect(ask("GET", "/metrics", BEARER), 200, "acme 123456789012 ci known");
}

/* Nothing that was sent is in the log. */
static void nothing_in_the_log(void **state)
{
	static char text[65536];
	ssize_t n;

	expect(ask("GET", "/metrics", "Bearer supersecretsuper"), 401, "");
	n = pread(log_fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "not let in"));
	assert_null(strstr(text, "supersecret"));
	assert_null(strstr(text, TOKEN));
	assert_null(strstr(text, "Credential"));
	assert_null(strstr(text, "secretexample"));
}

/* --- frame ------------------------------------------------------------------------------------------- */

static int set_up_server(void **state)
{
	static const struct http_callbacks cb = {.on_headers = on_headers, .on_request = on_request};
	struct http_limits limits;
	int fd = mkstemp(key_path);

	log_fd = mkstemp(log_path);
	stk_log_set_fd(log_fd);
	close(fd);
	write_keys(keys_text);
	metrics = metrics_new();
	http_limits_default(&limits);
	return uv_loop_init(&loop) || workers_start(&loop, 1) || http_server_new(&loop, &limits, &cb, NULL, &server);
}

static int tear_down_server(void **state)
{
	http_server_close(server, 0, NULL, NULL);
	workers_close(&loop);
	uv_run(&loop, UV_RUN_DEFAULT);
	workers_stop(&loop);
	metrics_free(metrics);
	unlink(key_path);
	unlink(log_path);
	return uv_loop_close(&loop);
}

static int with_keys(void **state)
{
	struct stk_err err;

	return auth_new(key_path, metrics, test_clock, &auth, &err);
}

static int without_keys(void **state)
{
	struct stk_err err;

	return auth_new(NULL, metrics, test_clock, &auth, &err);
}

static int end_auth(void **state)
{
	auth_free(auth);
	return 0;
}

static void bad_file_at_start(void **state)
{
	struct stk_err err = {0};
	struct auth *a = NULL;

	assert_true(auth_new("/nonexistent/keys", metrics, NULL, &a, &err) < 0);
	assert_non_null(strstr(err.text, "/nonexistent/keys"));
	assert_null(a);
}

int main(void)
{
#define KEYED(f) cmocka_unit_test_setup_teardown(f, with_keys, end_auth)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes), cmocka_unit_test_setup_teardown(off, without_keys, end_auth), KEYED(tokens),
		KEYED(signatures), KEYED(without_the_body), KEYED(streamed_bodies), KEYED(reloading),
		KEYED(nothing_in_the_log), cmocka_unit_test(bad_file_at_start),
	};

	unit_time_limit(120);
	return cmocka_run_group_tests(tests, set_up_server, tear_down_server);
}
