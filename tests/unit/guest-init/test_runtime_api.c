/* The Runtime API over real sockets: routes, states, answers in every form, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "guest-init/runtime_api.h"

#define ID   "8f5e6c1a-0000-4000-8000-000000000001"
#define PATH "/2018-06-01/runtime/"

/* What the owner is told. */
static struct {
	unsigned ready, chunks, fin, errors, resumed, streams, news;
	char type[256];
	enum gw_error_kind kind;
	char body[8u << 20];
	size_t body_len;
	char error[65536];
	size_t error_len;
	bool room;
} seen;

static void on_ready(void *ctx)
{
	seen.ready++;
}

static bool on_room(void *ctx)
{
	return seen.room;
}

static void on_response(void *ctx, const uint8_t *data, size_t len, bool fin)
{
	assert_true(len <= GW_MAX_CHUNK);
	assert_int_equal(seen.fin, 0);
	assert_true(seen.body_len + len <= sizeof(seen.body));
	if (len)
		memcpy(seen.body + seen.body_len, data, len);
	seen.body_len += len;
	seen.chunks++;
	seen.fin += fin;
}

static void on_error(void *ctx, enum gw_error_kind kind, const char *body, size_t len)
{
	seen.errors++;
	seen.kind = kind;
	assert_true(len <= sizeof(seen.error));
	memcpy(seen.error, body, len);
	seen.error_len = len;
}

static void on_resumed(void *ctx)
{
	seen.resumed++;
}

static void on_stream(void *ctx, const char *type)
{
	assert_int_equal(seen.chunks, 0);
	seen.streams++;
	snprintf(seen.type, sizeof(seen.type), "%s", type);
}

static void on_extension(void *ctx)
{
	seen.news++;
}

static const struct runtime_api_ops ops = {.ready = on_ready, .room = on_room, .response = on_response,
	.error = on_error, .stream = on_stream, .resumed = on_resumed, .extension = on_extension};
static struct runtime_api api;
static int epfd;
static uint16_t port;

static int set_up(void **state)
{
	memset(&seen, 0, sizeof(seen));
	seen.room = true;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	return runtime_api_open(&api, epfd, 100, 0, &ops, NULL, &port);
}

static int tear_down(void **state)
{
	runtime_api_close(&api);
	close(epfd);
	return 0;
}

/* Runs the server until nothing has happened for a moment (all work is local and prompt). */
static void pump_for(int idle_ms)
{
	struct epoll_event ev[8];
	int n;

	while ((n = epoll_wait(epfd, ev, 8, idle_ms)) > 0) {
		for (int i = 0; i < n; i++)
			runtime_api_event(&api, ev[i].data.u64 - 100, ev[i].events);
	}
}

static int dial(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/* Sends all, running the server meanwhile. */
static void put(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0) {
			assert_true(errno == EAGAIN);
			pump_for(1);
			continue;
		}
		data += n;
		len -= (size_t)n;
	}
}

static char got[8u << 20];

/* Reads one whole answer (head and Content-Length bytes). Returns its status, 0 for a closed
 * connection. *ret_body points behind the head. */
static int get(int fd, char **ret_body)
{
	uint64_t deadline = stk_now_ns() + 5 * STK_NS_PER_S;
	size_t len = 0;

	while (stk_now_ns() < deadline) {
		char *end, *cl;
		ssize_t n;

		pump_for(1);
		n = recv(fd, got + len, sizeof(got) - len - 1, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return 0;
		if (n > 0)
			len += (size_t)n;
		got[len] = '\0';
		end = strstr(got, "\r\n\r\n");
		if (!end)
			continue;
		cl = strstr(got, "Content-Length: ");
		if (!cl || len - (size_t)(end + 4 - got) < strtoul(cl + 16, NULL, 10))
			continue;
		if (ret_body)
			*ret_body = end + 4;
		return atoi(got + 9);
	}
	fail_msg("no answer");
	return -1;
}

static int ask(int fd, const char *request, char **ret_body)
{
	put(fd, request, strlen(request));
	return get(fd, ret_body);
}

static bool nothing_comes(int fd)
{
	char c;

	pump_for(20);
	return recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static const char next[] = "GET " PATH "invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";

static int ask_next(void)
{
	int fd = dial();

	put(fd, next, sizeof(next) - 1);
	pump_for(10);
	return fd;
}

static void invoke(const char *event)
{
	struct gw_invoke inv = {.deadline_ms = 1700000000123, .request_id = ID,
				.request_id_len = sizeof(ID) - 1, .event = (const uint8_t *)event,
				.event_len = (uint32_t)strlen(event)};

	assert_int_equal(gw_kv_add(inv.kv, GW_MAX_KV, &inv.kv_count, "lambda-runtime-invoked-function-arn", "arn:x"), 0);
	assert_int_equal(runtime_api_invoke(&api, &inv), 0);
}

/* Brings the API to RUNNING; returns the runtime's connection. */
static int running(void)
{
	int fd = ask_next();
	char *body;

	invoke("{}");
	assert_int_equal(get(fd, &body), 200);
	return fd;
}

#define POST(path, headers, body) "POST " PATH path " HTTP/1.1\r\nHost: x\r\n" headers "\r\n" body

static void test_next_waits_and_gets_the_event(void **state)
{
	int fd = ask_next();
	char *body;

	assert_int_equal(seen.ready, 1);
	assert_true(nothing_comes(fd));
	invoke("{\"k\": 1}");
	assert_int_equal(get(fd, &body), 200);
	assert_string_equal(body, "{\"k\": 1}");
	assert_non_null(strstr(got, "Lambda-Runtime-Aws-Request-Id: " ID "\r\n"));
	assert_non_null(strstr(got, "Lambda-Runtime-Deadline-Ms: 1700000000123\r\n"));
	assert_non_null(strstr(got, "lambda-runtime-invoked-function-arn: arn:x\r\n"));
	/* A second next gets the same event again, and ready was told once. */
	assert_int_equal(ask(fd, "GET " PATH "invocation/next HTTP/1.1\r\n\r\n", &body), 200);
	assert_string_equal(body, "{\"k\": 1}");
	assert_int_equal(seen.ready, 1);
	close(fd);
}

static void test_large_event(void **state)
{
	static char event[6u << 20];
	int fd = ask_next();
	char *body;

	memset(event, 'e', sizeof(event) - 1);
	invoke(event);
	assert_int_equal(get(fd, &body), 200);
	assert_int_equal(strlen(body), sizeof(event) - 1);
	close(fd);
}

static void test_event_waits_for_a_lost_next(void **state)
{
	int fd = ask_next();
	char *body;

	close(fd); /* the runtime dials anew */
	pump_for(10);
	invoke("[1]");
	fd = ask_next();
	assert_int_equal(get(fd, &body), 200);
	assert_string_equal(body, "[1]");
	close(fd);
}

static void test_response(void **state)
{
	int fd = running();
	char *body;

	assert_int_equal(ask(fd, POST("invocation/" ID "/response", "Content-Length: 5\r\n", "hello"), &body), 202);
	assert_string_equal(body, "{\"status\":\"OK\"}\n");
	assert_int_equal(seen.fin, 1);
	assert_int_equal(seen.chunks, 1); /* one frame for a small answer */
	assert_int_equal(seen.body_len, 5);
	assert_memory_equal(seen.body, "hello", 5);
	/* Answered: its id is not valid any more, and next waits. */
	assert_int_equal(ask(fd, POST("invocation/" ID "/response", "Content-Length: 1\r\n", "x"), &body), 400);
	assert_non_null(strstr(body, "InvalidRequestID"));
	put(fd, next, sizeof(next) - 1);
	assert_true(nothing_comes(fd));
	assert_int_equal(seen.fin, 1);
	assert_int_equal(seen.errors, 0);
	close(fd);
}

static void test_empty_response(void **state)
{
	int fd = running();

	assert_int_equal(ask(fd, POST("invocation/" ID "/response", "Content-Length: 0\r\n", ""), NULL), 202);
	assert_int_equal(seen.fin, 1);
	assert_int_equal(seen.body_len, 0);
	close(fd);
}

static void test_chunked_response_is_forwarded_as_it_comes(void **state)
{
	int fd = running();
	static const char first[] = POST("invocation/" ID "/response",
					 "Transfer-Encoding: chunked\r\nContent-Type: text/x-test\r\n"
					 "Lambda-Runtime-Function-Response-Mode: streaming\r\n",
					 "4\r\none,\r\n");

	put(fd, first, sizeof(first) - 1);
	pump_for(20);
	assert_int_equal(seen.streams, 1);
	assert_string_equal(seen.type, "text/x-test");
	assert_int_equal(seen.body_len, 4);
	assert_int_equal(seen.fin, 0);
	assert_int_equal(ask(fd, "3\r\ntwo\r\n0\r\n\r\n", NULL), 202);
	assert_int_equal(seen.fin, 1);
	assert_memory_equal(seen.body, "one,two", 7);
	close(fd);
}

static void test_midstream_error(void **state)
{
	int fd = running();

	assert_int_equal(ask(fd,
			     POST("invocation/" ID "/response",
				  "Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n",
				  "4\r\nhalf\r\n0\r\nLambda-Runtime-Function-Error-Type: E\r\n"
				  "Lambda-Runtime-Function-Error-Body: eyJlIjoxfQ==\r\n\r\n"),
			     NULL),
			 202);
	assert_int_equal(seen.fin, 0);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.kind, GW_ERR_FUNCTION);
	assert_int_equal(seen.error_len, 7);
	assert_memory_equal(seen.error, "{\"e\":1}", 7);
	close(fd);
}

/* The type alone says that it has failed; a report that is larger than what is kept is no reason to lose that. */
static void test_midstream_error_without_report(void **state)
{
	static char large[HTTP1_MAX_REPORT + 500];
	static const char *const trailer[] = {"Lambda-Runtime-Function-Error-Type: My.Type\r\n",
		"Lambda-Runtime-Function-Error-Body: %%%\r\n", large};
	int n = sprintf(large, "Lambda-Runtime-Function-Error-Body: ");

	memset(large + n, 'A', HTTP1_MAX_REPORT + 1);
	memcpy(large + n + HTTP1_MAX_REPORT + 1, "\r\n", 3);
	for (unsigned i = 0; i < 3; i++) {
		int fd = running();
		static const char head[] = POST("invocation/" ID "/response", "Transfer-Encoding: chunked\r\n"
						"Lambda-Runtime-Function-Response-Mode: streaming\r\n", "1\r\nx\r\n0\r\n");

		put(fd, head, sizeof(head) - 1);
		put(fd, trailer[i], strlen(trailer[i]));
		assert_int_equal(ask(fd, "\r\n", NULL), 202);
		assert_int_equal(seen.errors, 1);
		assert_int_equal(seen.fin, 0);
		assert_non_null(strstr(seen.error,
				       i == 0 ? "\"errorType\":\"My.Type\"" : "\"errorType\":\"Runtime.StreamError\""));
		close(fd);
		tear_down(NULL);
		set_up(NULL);
	}
}

/* What was named a failure with the request's own headers is none: only trailers are. */
static void test_error_headers_do_not_fail_an_answer(void **state)
{
	int fd = running();

	assert_int_equal(ask(fd, POST("invocation/" ID "/response", "Transfer-Encoding: chunked\r\n"
				      "Lambda-Runtime-Function-Error-Body: e30=\r\n"
				      "Lambda-Runtime-Function-Error-Type: E\r\n", "2\r\nok\r\n0\r\n\r\n"), NULL), 202);
	assert_int_equal(seen.fin, 1);
	assert_int_equal(seen.errors, 0);
	close(fd);
}

static void test_stream_may_be_larger(void **state)
{
	static char data[1u << 20];
	static const char head[] = POST("invocation/" ID "/response", "Transfer-Encoding: chunked\r\n"
					"Lambda-Runtime-Function-Response-Mode: streaming\r\n", "");
	int fd = running();
	char *body;

	put(fd, head, sizeof(head) - 1);
	for (unsigned i = 0; i < GW_MAX_STREAM >> 20; i++) {
		seen.body_len = 0; /* of all of it there is no need to be kept */
		put(fd, "100000\r\n", 8);
		put(fd, data, sizeof(data));
		put(fd, "\r\n", 2);
		pump_for(1);
	}
	assert_int_equal(seen.errors, 0);
	put(fd, "1\r\nx\r\n0\r\n\r\n", 11);
	assert_int_equal(get(fd, &body), 413);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.kind, GW_ERR_TOO_LARGE);
	close(fd);
}

static void test_long_header_lines(void **state)
{
	static char cause[1u << 20];
	static const char head[] = "POST " PATH "invocation/" ID "/error HTTP/1.1\r\nLambda-Runtime-Function-XRay-Error-Cause: ";
	int fd = running();

	memset(cause, 'c', sizeof(cause));
	put(fd, head, sizeof(head) - 1);
	put(fd, cause, sizeof(cause));
	assert_int_equal(ask(fd, "\r\nContent-Length: 2\r\n\r\n{}", NULL), 202);
	assert_int_equal(seen.errors, 1);
	close(fd);
}

static void test_half_closed_in_the_body(void **state)
{
	static const char half[] = POST("invocation/" ID "/response", "Content-Length: 10\r\n", "");
	int fd = running();
	char *body;

	put(fd, half, sizeof(half) - 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(get(fd, &body), 400);
	assert_non_null(strstr(body, "TruncatedHTTPRequest"));
	assert_int_equal(seen.errors, 0);
	close(fd);
}

static const char restore_next[] = "GET " PATH "restore/next HTTP/1.1\r\n\r\n";

static void test_restore(void **state)
{
	int fd = dial();
	char *body;

	api.snapstart = true;
	put(fd, restore_next, sizeof(restore_next) - 1);
	assert_true(nothing_comes(fd));
	assert_int_equal(seen.ready, 1); /* the snapshot point */
	assert_true(runtime_api_resumed(&api, true));
	assert_int_equal(get(fd, &body), 200);
	assert_string_equal(body, "");
	assert_int_equal(seen.resumed, 0); /* hooks run */
	put(fd, next, sizeof(next) - 1);
	assert_true(nothing_comes(fd));
	assert_int_equal(seen.resumed, 1);
	invoke("[7]");
	assert_int_equal(get(fd, &body), 200);
	assert_string_equal(body, "[7]");
	assert_int_equal(seen.ready, 1);
	/* Too late for both. */
	assert_int_equal(ask(fd, restore_next, &body), 403);
	assert_int_equal(ask(fd, POST("restore/error", "Content-Length: 2\r\n", "{}"), &body), 403);
	close(fd);
}

/* An invocation that finds the runtime in its hooks waits for their end. */
static void test_restore_with_an_event_waiting(void **state)
{
	int fd = dial();
	char *body;

	api.snapstart = true;
	put(fd, restore_next, sizeof(restore_next) - 1);
	assert_true(nothing_comes(fd));
	invoke("[8]"); /* as in a machine that was never a snapshot */
	assert_int_equal(get(fd, &body), 200);
	assert_string_equal(body, "");
	assert_int_equal(ask(fd, next, &body), 200);
	assert_string_equal(body, "[8]");
	close(fd);
}

static void test_restore_error(void **state)
{
	static const char report[] = POST("restore/error", "Lambda-Runtime-Function-Error-Type: Runtime.AfterRestoreError\r\n"
					  "Content-Length: 13\r\n", "{\"hook\": \"x\"}");
	char *body;
	int fd;

	for (int early = 0; early < 2; early++) {
		fd = dial();
		api.snapstart = true;
		put(fd, restore_next, sizeof(restore_next) - 1);
		assert_true(nothing_comes(fd));
		if (early) {
			assert_true(runtime_api_resumed(&api, false));
		} else {
			invoke("{}");
		}
		assert_int_equal(get(fd, &body), 200);
		assert_int_equal(ask(fd, report, NULL), 202);
		if (early) { /* told to the invocation that comes */
			assert_int_equal(seen.resumed, 1);
			assert_int_equal(seen.errors, 0);
			invoke("{}");
		}
		assert_int_equal(seen.errors, 1);
		assert_int_equal(seen.kind, GW_ERR_FUNCTION);
		assert_memory_equal(seen.error, "{\"hook\": \"x\"}", 13);
		close(fd);
		tear_down(NULL);
		set_up(NULL);
	}
}

#define EXT "/2020-01-01/extension/"

static char ext_id[37];

/* Registers on a connection of its own; returns it. */
static int register_extension(const char *name, const char *body, int status)
{
	char text[600], *answer, *at;
	int fd = dial();

	snprintf(text, sizeof(text),
		 "POST " EXT "register HTTP/1.1\r\nLambda-Extension-Name: %s\r\nContent-Length: %zu\r\n\r\n%s",
		 name, strlen(body), body);
	assert_int_equal(ask(fd, text, &answer), status);
	at = strstr(got, "Lambda-Extension-Identifier: ");
	if (status == 200) {
		assert_non_null(at);
		memcpy(ext_id, at + 29, 36);
	}
	return fd;
}

/* For one that asks for it, 12 digits and nothing else. */
static void test_account_of_extensions(void **state)
{
	static const char ask_for_it[] = "POST " EXT "register HTTP/1.1\r\nLambda-Extension-Name: %s\r\n"
					 "Lambda-Extension-Accept-Feature: accountId\r\nContent-Length: 2\r\n\r\n{}";
	static const struct {
		const char *name, *given, *told;
	} cases[] = {{"a", NULL, "000000000000"}, {"b", "111122223333", "111122223333"}, {"c", "1111", "111122223333"},
		     {"d", "44445555666\"", "111122223333"}, {"e", "4444555566667", "111122223333"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[400], expected[64], *answer;
		int fd = dial();

		if (cases[i].given)
			extensions_account(&api.ext, cases[i].given, strlen(cases[i].given));
		snprintf(text, sizeof(text), ask_for_it, cases[i].name);
		assert_int_equal(ask(fd, text, &answer), 200);
		snprintf(expected, sizeof(expected), ",\"accountId\":\"%s\"}", cases[i].told);
		assert_non_null(strstr(answer, expected));
		close(fd);
	}
}

static void ext_next(int fd, const char *id)
{
	char text[300];

	snprintf(text, sizeof(text), "GET " EXT "event/next HTTP/1.1\r\nLambda-Extension-Identifier: %s\r\n\r\n", id);
	put(fd, text, strlen(text));
	pump_for(10);
}

static void test_extensions(void **state)
{
	int external, internal, fd;
	char *body, id[37];

	api.ext.function = "f\"n";
	api.ext.version = "3";
	api.ext.handler = "a.b";
	assert_int_equal(extensions_launched(&api.ext, "ext-a", 1234), 0);
	external = register_extension("ext-a", "{\"events\": [\"INVOKE\", \"SHUTDOWN\"]}", 200);
	assert_string_equal(strstr(got, "\r\n\r\n") + 4,
			    "{\"functionName\":\"f\\\"n\",\"functionVersion\":\"3\",\"handler\":\"a.b\"}");
	memcpy(id, ext_id, sizeof(id));
	internal = register_extension("inner", "{\"events\": null, \"x\": [{}, 1.5e3, \"y\\\"\"]}", 200);
	assert_true(seen.news >= 2);
	assert_true(extensions_registered(&api.ext));
	/* The init phase lasts until all wait for their first event. */
	fd = ask_next();
	assert_int_equal(seen.ready, 0);
	ext_next(internal, ext_id);
	assert_int_equal(seen.ready, 0);
	ext_next(external, id);
	assert_int_equal(seen.ready, 1);
	invoke("{}");
	assert_int_equal(get(fd, NULL), 200);
	assert_int_equal(get(external, &body), 200);
	assert_non_null(strstr(got, "Lambda-Extension-Event-Identifier: "));
	assert_string_equal(body, "{\"eventType\":\"INVOKE\",\"deadlineMs\":1700000000123,\"requestId\":\"" ID "\","
			    "\"invokedFunctionArn\":\"arn:x\",\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":\"\"}}");
	assert_true(nothing_comes(internal));
	assert_false(extensions_idle(&api.ext));
	ext_next(external, id);
	assert_true(extensions_idle(&api.ext));
	close(register_extension("late", "{\"events\": []}", 403));
	extensions_shutdown(&api.ext, &api.server, "SPINDOWN", 77);
	assert_int_equal(get(external, &body), 200);
	assert_string_equal(body, "{\"eventType\":\"SHUTDOWN\",\"deadlineMs\":77,\"shutdownReason\":\"SPINDOWN\"}");
	assert_true(nothing_comes(internal));
	assert_true(extensions_running(&api.ext));
	assert_true(extensions_exited(&api.ext, 1234));
	assert_false(extensions_exited(&api.ext, 1234));
	assert_false(extensions_running(&api.ext));
	close(external);
	close(internal);
	close(fd);
}

static void test_extension_refusals(void **state)
{
	static const struct {
		const char *name, *body;
		int status;
		const char *type;
	} cases[] = {
		{"", "{}", 403, "Extension.InvalidExtensionName"},
		{"a", "{\"events\": [\"NONE\"]}", 403, "Extension.InvalidEventType"},
		{"a", "{\"events\": [\"INVOKE\"", 400, "InvalidRequestFormat"},
		{"a", "[]", 400, "InvalidRequestFormat"},
		{"a", "", 400, "InvalidRequestFormat"},
		{"a", "{\"events\": [\"SHUTDOWN\"]}", 403, "Extension.ShutdownEventNotSupportedForInternalExtension"},
		{"a", "{\"events\": [\"INVOKE\"]}", 200, ""},
		{"a", "{\"events\": [\"INVOKE\"]}", 403, "Extension.AlreadyRegistered"},
	};
	char *body, text[200];
	int fd;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		close(register_extension(cases[i].name, cases[i].body, cases[i].status));
		assert_non_null(strstr(got, cases[i].type));
	}
	for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
		snprintf(text, sizeof(text), "n%u", i);
		close(register_extension(text, "{}", i < EXTENSIONS_MAX - 1 ? 200 : 403));
	}
	assert_non_null(strstr(got, "Extension.TooManyExtensions"));
	fd = dial();
	assert_int_equal(ask(fd, "GET " EXT "event/next HTTP/1.1\r\n\r\n", &body), 403);
	assert_non_null(strstr(body, "Extension.MissingExtensionIdentifier"));
	assert_int_equal(ask(fd, "GET " EXT "event/next HTTP/1.1\r\nLambda-Extension-Identifier: x\r\n\r\n", &body), 403);
	assert_non_null(strstr(body, "Extension.InvalidExtensionIdentifier"));
	assert_int_equal(ask(fd, "POST " EXT "init/error HTTP/1.1\r\nLambda-Extension-Identifier: "
			     "00000000-0000-4000-8000-000000000000\r\nContent-Length: 0\r\n\r\n", &body), 403);
	assert_non_null(strstr(body, "Extension.UnknownExtensionIdentifier"));
	snprintf(text, sizeof(text),
		 "POST " EXT "init/error HTTP/1.1\r\nLambda-Extension-Identifier: %s\r\nContent-Length: 0\r\n\r\n",
		 ext_id);
	assert_int_equal(ask(fd, text, &body), 403);
	assert_non_null(strstr(body, "Extension.MissingHeader"));
	snprintf(text, sizeof(text), "POST " EXT "init/error HTTP/1.1\r\nLambda-Extension-Identifier: %s\r\n"
		 "Lambda-Extension-Function-Error-Type: Extension.Mine\r\nContent-Length: 2\r\n\r\n{}", ext_id);
	assert_int_equal(ask(fd, text, NULL), 202);
	assert_string_equal(api.ext.failure, "Extension.Mine");
	assert_int_equal(ask(fd, "GET " EXT "register HTTP/1.1\r\n\r\n", &body), 405);
	assert_int_equal(ask(fd, "GET " EXT "other HTTP/1.1\r\n\r\n", &body), 404);
	close(fd);
}

static void test_largest_response(void **state)
{
	static char data[GW_MAX_RESPONSE + 1];
	char head[200];
	int fd = running();

	memset(data, 'r', sizeof(data));
	sprintf(head, POST("invocation/" ID "/response", "Content-Length: %u\r\n", ""), GW_MAX_RESPONSE);
	put(fd, head, strlen(head));
	put(fd, data, GW_MAX_RESPONSE);
	assert_int_equal(get(fd, NULL), 202);
	assert_int_equal(seen.body_len, GW_MAX_RESPONSE);
	assert_int_equal(seen.fin, 1);
	close(fd);
}

static void test_too_large(void **state)
{
	static char data[GW_MAX_RESPONSE + 1];
	char head[200], *body;
	int fd = running();

	sprintf(head, POST("invocation/" ID "/response", "Content-Length: %u\r\n", ""), GW_MAX_RESPONSE + 1);
	put(fd, head, strlen(head));
	pump_for(20);
	assert_int_equal(seen.errors, 1); /* the host is told before the bytes have come */
	assert_int_equal(seen.kind, GW_ERR_TOO_LARGE);
	put(fd, data, sizeof(data));
	assert_int_equal(get(fd, &body), 413);
	assert_int_equal(seen.chunks, 0);
	close(fd);
}

static void test_too_large_chunked(void **state)
{
	static char data[1u << 20];
	char *body;
	int fd = running();
	static const char head[] = POST("invocation/" ID "/response", "Transfer-Encoding: chunked\r\n", "");

	put(fd, head, sizeof(head) - 1);
	for (int i = 0; i < 7; i++) {
		put(fd, "100000\r\n", 8);
		put(fd, data, sizeof(data));
		put(fd, "\r\n", 2);
	}
	put(fd, "0\r\n\r\n", 5);
	assert_int_equal(get(fd, &body), 413);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.kind, GW_ERR_TOO_LARGE);
	assert_int_equal(seen.fin, 0);
	close(fd);
}

static void test_waits_for_room(void **state)
{
	static char data[1u << 20];
	char head[200];
	int fd = running();

	sprintf(head, POST("invocation/" ID "/response", "Content-Length: %zu\r\n", ""), sizeof(data));
	put(fd, head, strlen(head));
	put(fd, data, 1000);
	pump_for(10);
	assert_int_equal(seen.body_len, 1000);
	seen.room = false;
	pump_for(10);
	assert_true(send(fd, data, 100, MSG_DONTWAIT) == 100);
	pump_for(20);
	assert_int_equal(seen.body_len, 1000);
	seen.room = true;
	runtime_api_resume(&api);
	put(fd, data, sizeof(data) - 1100);
	assert_int_equal(get(fd, NULL), 202);
	assert_int_equal(seen.body_len, sizeof(data));
	close(fd);
}

static void test_function_error(void **state)
{
	int fd = running();

	assert_int_equal(ask(fd,
			     POST("invocation/" ID "/error",
				  "Lambda-Runtime-Function-Error-Type: X\r\nContent-Length: 9\r\n", "{\"e\": 12}"),
			     NULL),
			 202);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.kind, GW_ERR_FUNCTION);
	assert_memory_equal(seen.error, "{\"e\": 12}", 9);
	assert_int_equal(ask(fd, POST("invocation/" ID "/response", "Content-Length: 1\r\n", "x"), NULL), 400);
	assert_int_equal(seen.chunks, 0);
	close(fd);
}

static void test_function_error_report_too_large(void **state)
{
	static char data[100000];
	char head[200];
	int fd = running();

	sprintf(head, POST("invocation/" ID "/error", "Content-Length: %zu\r\n", ""), sizeof(data));
	put(fd, head, strlen(head));
	put(fd, data, sizeof(data));
	assert_int_equal(get(fd, NULL), 413);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.kind, GW_ERR_FUNCTION);
	assert_non_null(strstr(seen.error, "Runtime.ErrorReportTooLarge"));
	close(fd);
}

static void test_init_error(void **state)
{
	int fd = dial();
	char *body;

	assert_int_equal(ask(fd, POST("init/error", "Content-Length: 2\r\n", "{}"), NULL), 202);
	assert_int_equal(seen.kind, GW_ERR_INIT);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(ask(fd, POST("init/error", "Content-Length: 2\r\n", "{}"), &body), 403);
	assert_non_null(strstr(body, "InvalidStateTransition"));
	assert_int_equal(ask(fd, "GET " PATH "invocation/next HTTP/1.1\r\n\r\n", &body), 403);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.ready, 0);
	close(fd);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *request;
		int status;
		const char *type;
	} early[] = {
		{POST("invocation/" ID "/response", "Content-Length: 2\r\n", "{}"), 403, "InvalidStateTransition"},
		{POST("invocation/" ID "/error", "Content-Length: 2\r\n", "{}"), 403, "InvalidStateTransition"},
		{"GET / HTTP/1.1\r\n\r\n", 404, "ResourceNotFound"},
		{"GET " PATH "restore/next HTTP/1.1\r\n\r\n", 404, "ResourceNotFound"},
		{"GET /2021-04-23/credentials HTTP/1.1\r\n\r\n", 404, ""},
		{POST("restore/error", "Content-Length: 2\r\n", "{}"), 404, "ResourceNotFound"},
		{POST("invocation/next", "Content-Length: 0\r\n", ""), 405, "MethodNotAllowed"},
		{"GET " PATH "init/error HTTP/1.1\r\n\r\n", 405, "MethodNotAllowed"},
	}, later[] = {
		{POST("invocation/wrong/response", "Content-Length: 2\r\n", "{}"), 400, "InvalidRequestID"},
		{POST("invocation/" ID "x/error", "Content-Length: 2\r\n", "{}"), 400, "InvalidRequestID"},
		{POST("invocation//response", "Content-Length: 2\r\n", "{}"), 400, "InvalidRequestID"},
		{"GET " PATH "invocation/" ID "/response HTTP/1.1\r\n\r\n", 405, "MethodNotAllowed"},
		{POST("invocation/" ID "/other", "Content-Length: 0\r\n", ""), 404, "ResourceNotFound"},
		{POST("init/error", "Content-Length: 2\r\n", "{}"), 403, "InvalidStateTransition"},
		{POST("invocation/" ID "/response",
		      "Lambda-Runtime-Function-Response-Mode: x\r\nContent-Length: 2\r\n", "{}"), 400,
		 "InvalidFunctionResponseMode"},
	};
	int fd = dial();
	char *body;

	for (unsigned i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
		assert_int_equal(ask(fd, early[i].request, &body), early[i].status);
		assert_non_null(strstr(body, early[i].type));
	}
	close(fd);
	fd = running();
	for (unsigned i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		assert_int_equal(ask(fd, later[i].request, &body), later[i].status);
		assert_non_null(strstr(body, later[i].type));
	}
	/* Nothing of this has ended the invocation. */
	assert_int_equal(ask(fd, POST("invocation/" ID "/response", "Content-Length: 2\r\n", "ok"), NULL), 202);
	assert_int_equal(seen.errors, 0);
	close(fd);
}

static void test_malformed_is_answered_and_closed(void **state)
{
	int fd = dial();
	char c;

	assert_int_equal(ask(fd, "GET / HTTP/1.1\r\nbad line\r\n\r\n", NULL), 400);
	pump_for(10);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
}

static void test_expect_continue(void **state)
{
	int fd = running();
	static const char head[] = POST("invocation/" ID "/response",
					"Expect: 100-continue\r\nContent-Length: 2\r\n", "");
	char line[64];
	ssize_t n;

	put(fd, head, sizeof(head) - 1);
	pump_for(20);
	n = recv(fd, line, sizeof(line) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	line[n] = '\0';
	assert_string_equal(line, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_int_equal(ask(fd, "ok", NULL), 202);
	assert_int_equal(seen.fin, 1);
	close(fd);
}

static void test_cut_answer(void **state)
{
	static const char half[] = POST("invocation/" ID "/response", "Content-Length: 10\r\n", "half");
	static const char nothing[] = POST("invocation/" ID "/response", "Content-Length: 10\r\n", "");
	int fd = running(), fd2 = dial();

	/* Nothing forwarded yet: the runtime may try again. */
	put(fd2, nothing, sizeof(nothing) - 1);
	pump_for(10);
	close(fd2);
	pump_for(10);
	assert_int_equal(seen.errors, 0);
	put(fd, half, sizeof(half) - 1);
	pump_for(10);
	assert_int_equal(seen.body_len, 4);
	close(fd);
	pump_for(10);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.kind, GW_ERR_FUNCTION);
	assert_non_null(strstr(seen.error, "Runtime.TruncatedResponse"));
}

static void test_settle_takes_what_was_sent(void **state)
{
	static const char answer[] = POST("invocation/" ID "/response", "Content-Length: 4\r\n", "last");
	int fd = running();

	assert_int_equal(send(fd, answer, sizeof(answer) - 1, 0), sizeof(answer) - 1);
	close(fd); /* as a process that exits at once */
	assert_true(runtime_api_settle(&api));
	assert_int_equal(seen.fin, 1);
	assert_memory_equal(seen.body, "last", 4);
}

static void test_many_connections(void **state)
{
	int fd[API_CONNS + 4];

	/* More than there are slots: the others wait until one is free. */
	for (unsigned i = 0; i < API_CONNS + 4; i++)
		fd[i] = dial();
	pump_for(10);
	for (unsigned i = 0; i < API_CONNS; i++)
		assert_int_equal(ask(fd[i], "GET /x HTTP/1.1\r\n\r\n", NULL), 404);
	for (unsigned i = 0; i < API_CONNS; i++)
		close(fd[i]);
	for (unsigned i = API_CONNS; i < API_CONNS + 4; i++) {
		assert_int_equal(ask(fd[i], "GET /x HTTP/1.1\r\n\r\n", NULL), 404);
		close(fd[i]);
	}
}

static void test_invoke_needs_ready_and_clean_headers(void **state)
{
	struct gw_invoke inv = {.request_id = ID, .request_id_len = sizeof(ID) - 1,
				.event = (const uint8_t *)""};
	int fd;

	assert_int_equal(runtime_api_invoke(&api, &inv), -EALREADY);
	fd = ask_next();
	assert_int_equal(gw_kv_add(inv.kv, GW_MAX_KV, &inv.kv_count, "x", "a\r\nInjected: 1"), 0);
	assert_int_equal(runtime_api_invoke(&api, &inv), -EPROTO);
	inv.kv_count = 0;
	assert_int_equal(gw_kv_add(inv.kv, GW_MAX_KV, &inv.kv_count, "x: y", "a"), 0);
	assert_int_equal(runtime_api_invoke(&api, &inv), -EPROTO);
	assert_true(nothing_comes(fd));
	close(fd);
}

static void test_warm_up(void **state)
{
	static const char offer[] = "GET " PATH "invocation/next?warm=1 HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd;

	fd = ask_next();
	assert_false(runtime_api_resumed(&api, true)); /* a client that did not offer it is left alone */
	assert_true(nothing_comes(fd));
	close(fd);
	fd = dial();
	put(fd, offer, sizeof(offer) - 1);
	assert_true(nothing_comes(fd));
	assert_true(runtime_api_resumed(&api, true));
	assert_false(runtime_api_resumed(&api, true));
	pump_for(10);
	assert_true(recv(fd, got, sizeof(got), 0) > 0);
	assert_memory_equal(got, "HTTP/1.1 204 ", 13);
	assert_int_equal(seen.resumed, 0);
	put(fd, offer, sizeof(offer) - 1);
	assert_true(nothing_comes(fd));
	assert_int_equal(seen.resumed, 1);
	assert_int_equal(seen.ready, 1);
	close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_next_waits_and_gets_the_event), T(test_large_event),
		T(test_event_waits_for_a_lost_next), T(test_response), T(test_empty_response),
		T(test_chunked_response_is_forwarded_as_it_comes), T(test_midstream_error),
		T(test_midstream_error_without_report), T(test_error_headers_do_not_fail_an_answer),
		T(test_stream_may_be_larger), T(test_long_header_lines), T(test_half_closed_in_the_body),
		T(test_restore), T(test_restore_with_an_event_waiting), T(test_restore_error),
		T(test_extensions), T(test_account_of_extensions), T(test_extension_refusals),
		T(test_largest_response), T(test_too_large), T(test_too_large_chunked),
		T(test_waits_for_room), T(test_function_error),
		T(test_function_error_report_too_large), T(test_init_error), T(test_refusals),
		T(test_malformed_is_answered_and_closed), T(test_expect_continue), T(test_cut_answer),
		T(test_settle_takes_what_was_sent), T(test_many_connections),
		T(test_invoke_needs_ready_and_clean_headers), T(test_warm_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
