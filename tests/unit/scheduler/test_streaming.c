/* Streamed answers from a VM to an HTTP client, and what is told around a call: real daemon, real sockets; in the place of
 * stoker-vmm this program itself, which speaks the guest's side of guestwire. The event says what it does. */
#include "tests/unit/scheduler/host_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "scheduler/eventstream.h"
#include "tests/unit/unit.h"

/* --- the guest's side ------------------------------------------------------------------------- */

static const char integration[] = "application/vnd.awslambda.http-integration-response";

static void stream_20_mb(void)
{
	static char piece[65536];
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/progress", host_root);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	host_guest_send(GW_STREAM, 0, "", 0);
	for (unsigned i = 0; i < GW_MAX_STREAM / sizeof(piece); i++) {
		memset(piece, 'a' + (int)(i % 26), sizeof(piece));
		host_guest_send(GW_RESPONSE, 0, piece, sizeof(piece));
		(void)!write(fd, "x", 1);
	}
	host_guest_send(GW_RESPONSE, GW_F_FIN, "", 0);
}

static void be_guest(int argc, char **argv)
{
	static const char prelude[] = "{\"statusCode\":202,\"headers\":{\"x-a\":\"b\"},\"cookies\":[\"c=d\"]}\0\0\0\0\0\0\0\0";
	struct gw_header h;
	struct gw_invoke inv;
	uint8_t *p;
	char text[4096] = "";

	stk_write_full(4, "running 1\n", 10);
	free(host_guest_read(&h));
	host_guest_send(GW_RESUMED, 0, "", 0);
	p = host_guest_read(&h);
	if (h.type != GW_INVOKE || gw_invoke_decode(p, h.length, &inv))
		_exit(2);
	memcpy(text, inv.event, inv.event_len < sizeof(text) - 1 ? inv.event_len : sizeof(text) - 1);
	host_guest_send(GW_LOG, 0, "\1a line of output\n", 18);
	if (strstr(text, "held")) {
		host_touch("running");
		host_await(true, "begin");
	}
	if (strstr(text, "do-two")) {
		host_guest_send(GW_STREAM, 0, "text/x", 6);
		host_guest_send(GW_RESPONSE, 0, "one", 3);
		host_await(true, "go");
		host_guest_send(GW_RESPONSE, GW_F_FIN, "two", 3);
	} else if (strstr(text, "do-prelude")) {
		host_guest_send(GW_STREAM, 0, integration, sizeof(integration) - 1);
		host_guest_send(GW_RESPONSE, 0, prelude, 10);
		host_guest_send(GW_RESPONSE, 0, prelude + 10, sizeof(prelude) - 14);
		host_guest_send(GW_RESPONSE, 0, prelude + sizeof(prelude) - 4, 3);
		host_guest_send(GW_RESPONSE, GW_F_FIN, "the body", 8);
	} else if (strstr(text, "do-no-prelude")) {
		host_guest_send(GW_STREAM, 0, integration, sizeof(integration) - 1);
		host_guest_send(GW_RESPONSE, 0, "{\0x", 3);
		host_guest_send(GW_RESPONSE, GW_F_FIN, "the body", 8);
	} else if (strstr(text, "do-half-prelude")) {
		host_guest_send(GW_STREAM, 0, integration, sizeof(integration) - 1);
		host_guest_send(GW_RESPONSE, GW_F_FIN, "{}\0\0", 4);
	} else if (strstr(text, "do-bad-header")) {
		static const char bad[] = "{\"headers\":{\"a\":\"b\\r\\nc: d\"}}\0\0\0\0\0\0\0\0";

		host_guest_send(GW_STREAM, 0, integration, sizeof(integration) - 1);
		host_guest_send(GW_RESPONSE, GW_F_FIN, bad, sizeof(bad) - 1);
	} else if (strstr(text, "do-early-error")) {
		host_guest_send(GW_STREAM, 0, integration, sizeof(integration) - 1);
		host_guest_send(GW_RESPONSE, 0, "{", 1);
		host_guest_error(GW_ERR_FUNCTION, 0, "{\"errorType\":\"Early\",\"errorMessage\":\"m\"}");
	} else if (strstr(text, "do-late-error")) {
		host_guest_send(GW_STREAM, 0, "", 0);
		host_guest_send(GW_RESPONSE, 0, "some", 4);
		host_guest_error(GW_ERR_FUNCTION, 0, "{\"errorType\":\"Late\",\"errorMessage\":\"m\"}");
	} else if (strstr(text, "do-hang")) {
		host_guest_send(GW_STREAM, 0, "", 0);
		host_guest_send(GW_RESPONSE, 0, "some", 4);
		pause();
	} else if (strstr(text, "do-20")) {
		stream_20_mb();
	} else if (strstr(text, "do-7")) { /* more than a collected answer may be */
		static char piece[65536];

		host_guest_send(GW_STREAM, 0, "", 0);
		for (unsigned i = 0; i < 112; i++)
			host_guest_send(GW_RESPONSE, 0, piece, sizeof(piece));
		host_guest_send(GW_RESPONSE, GW_F_FIN, "", 0);
	} else if (strstr(text, "do-too-large")) {
		host_guest_error(GW_ERR_TOO_LARGE, 0, "");
	} else if (strstr(text, "do-trace")) {
		const char *trace = "none";
		size_t len = 4;

		for (unsigned i = 0; i < inv.kv_count; i++) {
			if (inv.kv[i].key_len == 23 && memcmp(inv.kv[i].key, "lambda-runtime-trace-id", 23) == 0)
				trace = inv.kv[i].value, len = inv.kv[i].value_len;
		}
		host_guest_send(GW_RESPONSE, GW_F_FIN, trace, len);
	} else if (strstr(text, "do-linger")) {
		host_guest_send(GW_RESPONSE, GW_F_FIN | GW_F_LINGER | 57u << GW_F_PEAK_SHIFT, "{}", 2);
		if (strstr(text, "do-linger-for-ever"))
			pause();
		host_await(true, "go");
		host_touch("lingered");
		_exit(0);
	} else {
		host_guest_send(GW_RESPONSE, GW_F_FIN | 57u << GW_F_PEAK_SHIFT, "{\"plain\":1}", 11);
	}
	pause();
}

/* --- fixture ------------------------------------------------------------------------------------ */

static int dial(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/http", host_root);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int setup(void **state)
{
	unit_time_limit(240);
	if (host_make())
		return -1;
	host_add_function_of("f", 128, 2);
	host_add_function_of("patient", 128, 30);
	host_start(NULL);
	return 0;
}

static int teardown(void **state)
{
	return host_remove();
}

#define PLAIN   "/v1/functions/f/invoke"
#define URL     "/function/f"
#define EVENTS  "/2021-11-15/functions/f/response-streaming-invocations"

static int post(const char *path, const char *headers, const char *event)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: text/plain\r\n%sContent-Length: %zu\r\n\r\n\"%s\"",
			 path, headers, strlen(event) + 2, event);
	int fd = dial();

	assert_true(fd >= 0);
	assert_int_equal(stk_write_full(fd, text, (size_t)n), 0);
	return fd;
}

static char got[24u << 20];
static size_t got_len;

/* Until `what` has come, or (NULL) the connection has ended. */
static void receive(int fd, const char *what)
{
	uint64_t until = stk_now_ns() + 20 * STK_NS_PER_S;

	got_len = 0;
	while (!what || !memmem(got, got_len, what, strlen(what))) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (stk_now_ns() > until)
			fail_msg("not within 20 s: %s", what ? what : "end of the answer");
		if (poll(&p, 1, 100) <= 0)
			continue;
		n = read(fd, got + got_len, sizeof(got) - 1 - got_len);
		if (n <= 0) {
			if (what)
				fail_msg("ended before \"%s\": %.*s", what, (int)got_len, got);
			break;
		}
		got_len += (size_t)n;
	}
	got[got_len] = '\0';
}

static bool has(const char *text)
{
	return memmem(got, got_len, text, strlen(text));
}

static void expect_all(const char *path, const char *headers, const char *event, const char *const *parts)
{
	int fd = post(path, headers, event);

	receive(fd, NULL);
	for (; *parts; parts++) {
		if (!has(*parts))
			fail_msg("%s %s: no \"%s\" in %.*s", path, event, *parts, (int)got_len, got);
	}
	close(fd);
}

static void log_of(const char *name, char *buf, size_t cap)
{
	char path[128], *text = NULL;
	size_t len = 0;

	buf[0] = '\0';
	snprintf(path, sizeof(path), "%s/logs/%s.log", host_root, name);
	if (stk_read_file(path, 1 << 20, &text, &len) == 0)
		snprintf(buf, cap, "%.*s", (int)len, text);
	free(text);
}

static void await_log(const char *what, char *buf, size_t cap)
{
	uint64_t until = stk_now_ns() + 20 * STK_NS_PER_S;

	do {
		if (stk_now_ns() > until)
			fail_msg("the log has no \"%s\": %s", what, buf);
		usleep(10000);
		log_of("f", buf, cap);
	} while (!strstr(buf, what));
}

/* --- tests -------------------------------------------------------------------------------------- */

static void the_first_piece_comes_while_the_function_runs(void **state)
{
	int fd = post(URL, "", "do-two");

	receive(fd, "3\r\none\r\n");
	assert_true(has("HTTP/1.1 200 OK\r\n"));
	assert_true(has("Content-Type: text/x\r\n"));
	assert_true(has("Transfer-Encoding: chunked\r\n"));
	assert_true(has("X-Stoker-Start: "));
	host_touch("go");
	receive(fd, "3\r\ntwo\r\n0\r\n\r\n");
	close(fd);
}

static void preludes_make_the_head(void **state)
{
	expect_all(URL, "", "do-prelude", (const char *[]){"HTTP/1.1 202 ", "x-a: b\r\n", "Set-Cookie: c=d\r\n",
		   "8\r\nthe body\r\n0\r\n\r\n", NULL});
	expect_all(URL, "", "do-no-prelude", (const char *[]){"HTTP/1.1 502 ", "BadFunctionAnswer", NULL});
	expect_all(URL, "", "do-bad-header", (const char *[]){"HTTP/1.1 502 ", "BadFunctionAnswer", NULL});
	expect_all(URL, "", "do-early-error", (const char *[]){"HTTP/1.1 502 ", "\"Early\"", NULL});
}

static void failures_in_mid_stream(void **state)
{
	expect_all(URL, "", "do-late-error", (const char *[]){"HTTP/1.1 200 ", "4\r\nsome\r\n", NULL});
	assert_false(has("0\r\n\r\n")); /* cut off: the client's library says so */
	expect_all(URL, "", "do-hang", (const char *[]){"HTTP/1.1 200 ", "4\r\nsome\r\n", NULL});
	assert_false(has("0\r\n\r\n"));
	expect_all(EVENTS, "", "do-late-error",
		   (const char *[]){"PayloadChunk", "some", "InvokeComplete", "{\"ErrorCode\":\"Unhandled\",\"ErrorDetails\":"
				    "\"{\\\"errorType\\\":\\\"Late\\\",\\\"errorMessage\\\":\\\"m\\\"}\"}",
				    "\r\n0\r\n\r\n", NULL});
	expect_all(EVENTS, "", "do-hang", (const char *[]){"some", "\"ErrorCode\":\"Sandbox.Timedout\"",
		   "Task timed out after 2.00 seconds", "\r\n0\r\n\r\n", NULL});
}

static void event_streams(void **state)
{
	uint8_t frame[256];
	long n;

	host_touch("go");
	expect_all(EVENTS, "", "do-two", (const char *[]){"HTTP/1.1 200 OK\r\n", "Content-Type: " EVENTSTREAM_MEDIA "\r\n",
		   "X-Amz-Executed-Version: $LATEST\r\n", "InvokeComplete", "\r\n0\r\n\r\n", NULL});
	n = eventstream_encode(frame, sizeof(frame), "PayloadChunk", "one", 3);
	assert_non_null(memmem(got, got_len, frame, (size_t)n));
	/* Answers that are not streamed come as one piece, with the end of the log where it is wanted. */
	expect_all(EVENTS, "X-Amz-Log-Type: Tail\r\n", "do-plain", (const char *[]){"{\"plain\":1}", "{\"LogResult\":\"", NULL});
	n = eventstream_encode(frame, sizeof(frame), "PayloadChunk", "{\"plain\":1}", 11);
	assert_non_null(memmem(got, got_len, frame, (size_t)n));
	expect_all("/2021-11-15/functions/none/response-streaming-invocations", "", "x", (const char *[]){"HTTP/1.1 404 ", NULL});
}

static void others_get_it_collected(void **state)
{
	host_touch("go");
	expect_all(PLAIN, "", "do-two", (const char *[]){"HTTP/1.1 200 ", "Content-Length: 6\r\n", "onetwo", NULL});
	expect_all(PLAIN, "", "do-7", (const char *[]){"HTTP/1.1 502 ", "Function.ResponseSizeTooLarge", NULL});
	expect_all(PLAIN, "", "do-late-error", (const char *[]){"HTTP/1.1 502 ", "\"Late\"", NULL});
}

static void set_url(const char *method, const char *mode)
{
	char body[128], text[512];
	int fd = dial();
	int n = snprintf(body, sizeof(body), "{\"AuthType\":\"NONE\"%s}", mode);

	n = snprintf(text, sizeof(text), "%s /2021-10-31/functions/f/url HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
		     "Content-Length: %d\r\n\r\n%s", method, n, body);
	assert_true(fd >= 0);
	assert_int_equal(stk_write_full(fd, text, (size_t)n), 0);
	receive(fd, NULL);
	assert_true(has("\"InvokeMode\":"));
	close(fd);
}

/* A function URL has InvokeMode BUFFERED unless it says RESPONSE_STREAM. */
static void the_invoke_mode_of_a_url(void **state)
{
	set_url("POST", "");
	host_touch("go");
	expect_all(URL, "", "do-two", (const char *[]){"HTTP/1.1 200 ", "Content-Type: text/x\r\n", "Content-Length: 6\r\n",
		   "\r\n\r\nonetwo", "X-Stoker-Start: ", NULL});
	expect_all(URL, "", "do-prelude", (const char *[]){"HTTP/1.1 202 ", "x-a: b\r\n", "Set-Cookie: c=d\r\n",
		   "Content-Length: 8\r\n", "\r\n\r\nthe body", NULL});
	expect_all(URL, "", "do-no-prelude", (const char *[]){"HTTP/1.1 502 ", "BadFunctionAnswer", NULL});
	expect_all(URL, "", "do-half-prelude", (const char *[]){"HTTP/1.1 502 ", "ended in its prelude", NULL});
	expect_all(URL, "", "do-bad-header", (const char *[]){"HTTP/1.1 502 ", "BadFunctionAnswer", NULL});
	/* A failure in mid-stream has a status now; what has failed is not told, as by any URL. */
	expect_all(URL, "", "do-late-error", (const char *[]){"HTTP/1.1 502 ", "\r\n\r\nInternal Server Error", NULL});
	expect_all(URL, "", "do-7", (const char *[]){"HTTP/1.1 502 ", "\r\n\r\nInternal Server Error", NULL});
	expect_all(URL, "", "do-hang", (const char *[]){"HTTP/1.1 502 ", "\r\n\r\nInternal Server Error", NULL});
	expect_all(URL, "", "do-plain", (const char *[]){"HTTP/1.1 200 ", "\r\n\r\n{\"plain\":1}", NULL});
	/* Not by the URL: the host's own routes are as they are. */
	expect_all("/function/f:$LATEST", "", "do-two", (const char *[]){"Transfer-Encoding: chunked\r\n", NULL});
	expect_all(EVENTS, "", "do-two", (const char *[]){"PayloadChunk", "InvokeComplete", NULL});
	set_url("PUT", ",\"InvokeMode\":\"RESPONSE_STREAM\"");
	expect_all(URL, "", "do-two", (const char *[]){"Transfer-Encoding: chunked\r\n", "3\r\none\r\n", NULL});
	expect_all(URL, "", "do-7", (const char *[]){"HTTP/1.1 200 ", "\r\n0\r\n\r\n", NULL});
	set_url("PUT", ",\"InvokeMode\":\"BUFFERED\"");
	expect_all(URL, "", "do-two", (const char *[]){"Content-Length: 6\r\n", NULL});
}

/* The client of a collected answer leaves. */
static void a_collected_answer_that_nobody_waits_for(void **state)
{
	char log[8192];
	int fd;

	set_url("POST", "");
	fd = post(URL, "", "do-two");
	await_log("a line of output", log, sizeof(log));
	close(fd);
	await_log("Status: error", log, sizeof(log));
	assert_null(strstr(log, "timed out"));
}

static long resident_kib(pid_t pid)
{
	char path[64], *text = NULL;
	size_t len = 0;
	long kib = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (stk_read_file(path, 65536, &text, &len) == 0 && strstr(text, "VmRSS:"))
		kib = strtol(strstr(text, "VmRSS:") + 6, NULL, 10);
	free(text);
	return kib;
}

static off_t progress(void)
{
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "%s/progress", host_root);
	return stat(path, &st) ? 0 : st.st_size;
}

/* The function waits while its client does not read, and neither it nor the host fills memory. */
static void a_slow_client_slows_the_function(void **state)
{
	long before = resident_kib(host_pid);
	off_t last = -1;
	int fd = post("/function/patient", "", "do-20");

	for (int still = 0; still < 20;) { /* until it has been waiting for 400 ms */
		usleep(20000);
		still = progress() == last && last > 0 ? still + 1 : 0;
		last = progress();
	}
	assert_in_range(last, 1, 32); /* of 320 pieces of 64 KiB */
	assert_true(resident_kib(host_pid) - before < 4096 || getenv("ASAN_OPTIONS"));
	receive(fd, NULL);
	assert_true(got_len > GW_MAX_STREAM);
	assert_memory_equal(got + got_len - 5, "0\r\n\r\n", 5);
	assert_int_equal(progress(), 320);
	close(fd);
}

static void a_client_that_leaves_ends_the_call(void **state)
{
	char log[8192];
	int fd = post(URL, "", "do-hang");

	receive(fd, "some");
	close(fd);
	await_log("Status: error", log, sizeof(log)); /* long before its time limit it is over */
	assert_null(strstr(log, "timed out"));
}

static void lines_around_the_output(void **state)
{
	char log[16384], *at;

	expect_all(PLAIN, "X-Request-Id: x\r\n", "do-plain", (const char *[]){"HTTP/1.1 200 ", NULL});
	await_log("REPORT", log, sizeof(log));
	at = strstr(log, "START RequestId: ");
	assert_non_null(at);
	assert_non_null(strstr(at, " Version: $LATEST\n"));
	at = strstr(at, "a line of output");
	assert_non_null(at);
	at = strstr(at, "END RequestId: ");
	assert_non_null(at);
	at = strstr(at, "REPORT RequestId: ");
	assert_non_null(at);
	assert_non_null(strstr(at, "\tDuration: "));
	assert_non_null(strstr(at, " ms\tBilled Duration: "));
	assert_non_null(strstr(at, " ms\tMemory Size: 128 MB\tMax Memory Used: 57 MB\t"));
	expect_all(PLAIN, "", "do-hang", (const char *[]){"HTTP/1.1 504 ", NULL});
	await_log("Status: timeout", log, sizeof(log));
	assert_non_null(strstr(log, " Task timed out after 2.00 seconds\n"));
}

static void trace_ids_go_through(void **state)
{
	expect_all(PLAIN, "X-Amzn-Trace-Id: Root=1-5-a;Sampled=1\r\n", "do-trace",
		   (const char *[]){"\r\n\r\nRoot=1-5-a;Sampled=1", NULL});
	expect_all(PLAIN, "X-Amzn-Trace-Id: \xc3\xa4\r\n", "do-trace", (const char *[]){"\r\n\r\nnone", NULL});
	expect_all(PLAIN, "", "do-trace", (const char *[]){"\r\n\r\nnone", NULL});
}

/* Extensions have their time behind the answer, and no more than that. */
static void a_guest_may_linger(void **state)
{
	uint64_t begin = stk_now_ns();

	expect_all(PLAIN, "", "do-linger", (const char *[]){"HTTP/1.1 200 ", NULL});
	assert_false(host_has("lingered"));
	usleep(200000);
	host_touch("go");
	host_await(true, "lingered");
	assert_true(host_has("lingered"));
	begin = stk_now_ns();
	expect_all(PLAIN, "", "do-linger-for-ever", (const char *[]){"HTTP/1.1 200 ", NULL});
	assert_true(stk_now_ns() - begin < 2 * STK_NS_PER_S); /* nobody waits for that */
	for (;;) {
		int fd = post("/metrics", "", "");

		close(fd);
		fd = dial();
		assert_int_equal(stk_write_full(fd, "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n", 44), 0);
		receive(fd, NULL);
		close(fd);
		if (has("stoker_pool_vms{function=\"f\",state=\"busy\"} 0\n"))
			break;
		assert_true(stk_now_ns() - begin < 15 * STK_NS_PER_S);
		usleep(50000);
	}
}

#define PATIENT "/2021-11-15/functions/patient/response-streaming-invocations"
#define TRY     "amz-sdk-invocation-id: 1-2-3\r\n"

/* So many calls of the function were made. */
static void expect_runs(unsigned want)
{
	uint64_t until = stk_now_ns() + 20 * STK_NS_PER_S;
	unsigned n;

	do {
		char text[8192], *at = text;

		n = 0;
		for (log_of("patient", text, sizeof(text)); (at = strstr(at, "a line of output")); at++)
			n++;
	} while (n < want && stk_now_ns() < until);
	assert_int_equal(n, want);
}

static void a_later_try_gets_the_stream(void **state)
{
	int first = post(PATIENT, TRY, "held do-two"), second, third;

	host_await(true, "running");
	second = post(PATIENT, TRY, "held do-two");
	host_wait_metric("\nstoker_connections ", 3); /* the host has looked at it */
	close(first);
	host_touch("begin");
	receive(second, "one");
	third = post(PATIENT, TRY, "held do-two"); /* too late to join */
	receive(third, "one");
	host_touch("go");
	receive(second, "InvokeComplete");
	assert_true(has("two"));
	receive(third, "InvokeComplete");
	close(second);
	close(third);
	host_wait_metric("\nstoker_invocations_total{function=\"patient\",outcome=\"ok\"} ", 2);
	expect_runs(2);
}

static void a_stream_that_nobody_read_is_kept(void **state)
{
	int fd = post(PATIENT, TRY, "held do-two");

	host_await(true, "running");
	close(fd);
	host_wait_metric("\nstoker_connections ", 1); /* the one that asks */
	host_touch("go");
	host_touch("begin");
	host_wait_metric("\nstoker_invocations_total{function=\"patient\",outcome=\"ok\"} ", 1);
	expect_all(PATIENT, TRY, "held do-two",
		   (const char *[]){"HTTP/1.1 200 ", "PayloadChunk", "onetwo", "InvokeComplete", NULL});
	/* That answer was lost. */
	expect_all(PATIENT, TRY, "held do-two",
		   (const char *[]){"HTTP/1.1 200 ", "PayloadChunk", "onetwo", "InvokeComplete", NULL});
	expect_runs(1);
}

static void a_stream_too_large_to_be_kept(void **state)
{
	int fd = post(PATIENT, TRY, "held do-7");

	host_await(true, "running");
	close(fd);
	host_wait_metric("\nstoker_connections ", 1);
	host_touch("begin");
	host_wait_metric("\nstoker_invocations_total{function=\"patient\",outcome=\"response_too_large\"} ", 1);
	fd = post(PATIENT, TRY, "held do-7");
	receive(fd, NULL);
	close(fd);
	assert_true(got_len > 112 * 65536);
	assert_true(has("InvokeComplete") && !has("ErrorCode"));
	/* An answer that is too large for anybody is none that another try would help. */
	expect_all(PATIENT, TRY, "do-too-large", (const char *[]){"HTTP/1.1 200 ", "Function.ResponseSizeTooLarge", NULL});
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(the_first_piece_comes_while_the_function_runs),
		T(preludes_make_the_head),
		T(failures_in_mid_stream),
		T(event_streams),
		T(others_get_it_collected),
		T(the_invoke_mode_of_a_url),
		T(a_collected_answer_that_nobody_waits_for),
		T(a_slow_client_slows_the_function),
		T(a_client_that_leaves_ends_the_call),
		T(lines_around_the_output),
		T(trace_ids_go_through),
		T(a_guest_may_linger),
		T(a_later_try_gets_the_stream),
		T(a_stream_that_nobody_read_is_kept),
		T(a_stream_too_large_to_be_kept),
	};

	host_play_guest(argc, argv, be_guest);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
