/* Asynchronous calls through stokerd as a whole, without KVM: in the place of stoker-vmm this program, which notes each
 * call in a file before it answers, so that the test sees what ran, how often, and what was lost: nothing, whenever
 * stokerd is killed. STOKER_ASYNC_EVENTS and STOKER_ASYNC_KILLS make a long run of killed_again_and_again. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/guestwire.h"
#include "common/host/http_client.h"
#include "scheduler/async/async.h"
#include "scheduler/async/eventdb.h"
#include "scheduler/daemon.h"
#include "scheduler/fsx.h"
#include "scheduler/store.h"
#include "tests/unit/unit.h"

/* --- the guest's side ----------------------------------------------------------------------------------- */

static void send_frame(unsigned type, uint32_t flags, const void *payload, uint32_t len)
{
	struct gw_header h = {.type = (uint16_t)type, .flags = flags, .stream = type == GW_RESUMED ? 0 : 1, .length = len};
	uint8_t head[GW_HEADER_LEN];

	gw_header_encode(head, &h);
	if (stk_write_full(3, head, sizeof(head)) || stk_write_full(3, payload, len))
		_exit(0);
}

static uint8_t *read_frame(struct gw_header *h)
{
	uint8_t head[GW_HEADER_LEN], *payload;

	if (stk_read_full(3, head, sizeof(head)) || gw_header_decode(head, h))
		_exit(0);
	payload = calloc(1, h->length + 1);
	if (!payload || stk_read_full(3, payload, h->length))
		_exit(0);
	return payload;
}

/* One line per call, whole, in the file beside the program: "n=12\n". */
static void note_call(const char *text, const char *self_path)
{
	const char *mark = strstr(text, "n=");
	char path[512], line[64];
	int fd, n;

	if (!mark)
		return;
	snprintf(path, sizeof(path), "%.*s/calls", (int)(strrchr(self_path, '/') - self_path), self_path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	n = snprintf(line, sizeof(line), "%.*s\n", (int)(2 + strspn(mark + 2, "0123456789")), mark);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		_exit(3);
	close(fd);
}

static int be_guest(char **argv)
{
	struct gw_header h;
	struct gw_invoke inv;
	static char text[1 << 20];
	uint8_t *p;

	stk_write_full(4, "running 1\n", 10);
	free(read_frame(&h));
	send_frame(GW_RESUMED, 0, NULL, 0);
	p = read_frame(&h);
	if (h.type != GW_INVOKE || gw_invoke_decode(p, h.length, &inv))
		return 2;
	memcpy(text, inv.event, inv.event_len < sizeof(text) - 1 ? inv.event_len : sizeof(text) - 1);
	free(p);
	note_call(text, argv[0]);
	if (strstr(text, "be=slow"))
		usleep(300000);
	if (strstr(text, "be=error")) {
		static const char body[] = "{\"errorType\":\"E\",\"errorMessage\":\"as asked\"}";
		struct gw_error e = {.kind = GW_ERR_FUNCTION, .body = body, .body_len = sizeof(body) - 1};
		uint8_t buf[512];
		int n = gw_error_encode(buf, sizeof(buf), &e);

		stk_write_full(3, buf, (size_t)n);
	} else if (strstr(text, "be=http")) {
		static const char body[] = "{\"statusCode\":203,\"headers\":{\"x-made\":\"here\"},\"body\":\"result\"}";

		send_frame(GW_RESPONSE, GW_F_FIN, body, sizeof(body) - 1);
	} else {
		send_frame(GW_RESPONSE, GW_F_FIN, text, inv.event_len < 60000 ? inv.event_len : 60000);
	}
	while (read(3, text, sizeof(text)) > 0) /* until it is killed, or its host was */
		;
	return 0;
}

/* --- fixture ---------------------------------------------------------------------------------------------- */

static char root[64], target[128], self[512];
static pid_t host;
static char extra_name[32] = "async-concurrency", extra_value[32] = "32";

/* extra: further configuration, JSON, or NULL. */
static void add_function_with(const char *name, const char *extra)
{
	struct function fn = {.reserved = -1};
	struct fn_version v = {.fn = &fn, .number = 1, .state = FN_ACTIVE, .created_ms = 1};
	struct store_tx *tx = store_tx_new();
	char path[160];
	struct stk_err err;
	struct store *st;

	snprintf(path, sizeof(path), "%s/stoker.db", root);
	assert_int_equal(store_open(path, &st, &err), 0);
	strcpy(fn.name, name);
	strcpy(v.settings.runtime, "python3");
	strcpy(v.settings.handler, "a.b");
	v.settings.memory_mib = 128;
	v.settings.storage_mib = 512;
	v.settings.timeout_s = 5;
	v.extra = (char *)(uintptr_t)extra;
	store_tx_version(tx, &v);
	store_tx_function(tx, &fn, 1, 1, 0);
	assert_int_equal(store_commit(st, tx, &err), 0);
	store_tx_free(tx);
	store_close(st);
	snprintf(path, sizeof(path), "%s/functions/%s/1", root, name);
	assert_int_equal(fsx_mkdirs(path, 0755), 0);
}

static void add_function(const char *name)
{
	add_function_with(name, NULL);
}

/* --host ROOT NAME VALUE: a process of its own, as the test has threads when it starts one. */
static int run_host(char **argv)
{
	static struct options o;
	static struct daemon d;
	struct stk_err err = {0};
	int code;

	options_default(&o);
	strcpy(o.state_dir, argv[2]);
	strcpy(o.bin_dir, argv[2]);
	strcpy(o.images_dir, argv[2]);
	o.shells = 0;
	o.pool_floor = 0;
	o.listen_unix = true;
	snprintf(o.listen_host, sizeof(o.listen_host), "%s/http", argv[2]);
	stk_log_set_level(STK_LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	if (options_set(&o, argv[3], argv[4], &err) || options_complete(&o, &err) || daemon_init(&d, &o, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 8;
	}
	REGISTRY_FOREACH(&d.registry, fn) {
		if (fn->active)
			fn->active->check = FN_GOOD; /* there are no snapshots to check here */
	}
	code = daemon_run(&d);
	daemon_fini(&d);
	return code;
}

static int request(const char *method, const char *path, const char *headers, const char *body,
		   struct http_client_resp *r)
{
	struct http_client *c = NULL;
	struct stk_err err = {0};
	int rc = http_client_connect(target, 20000, &c, &err);

	memset(r, 0, sizeof(*r));
	if (rc == 0)
		rc = http_client_request(c, method, path, headers, body, body ? strlen(body) : 0, 1 << 24, r, &err);
	http_client_free(c);
	return rc;
}

static void start_host(void)
{
	struct http_client_resp r;
	uint64_t until = stk_now_ns() + 20 * STK_NS_PER_S;

	host = fork();
	assert_true(host >= 0);
	if (host == 0) {
		execl(self, self, "--host", root, extra_name, extra_value, NULL);
		_exit(9);
	}
	while (request("GET", "/healthz", NULL, NULL, &r)) {
		assert_true(stk_now_ns() < until);
		usleep(10000);
	}
	http_client_resp_fini(&r);
}

static void kill_host(void)
{
	int status;

	kill(host, SIGKILL);
	waitpid(host, &status, 0);
	host = 0;
}

static int stop_host(void)
{
	int status = -1;
	uint64_t until = stk_now_ns() + 30 * STK_NS_PER_S;

	kill(host, SIGTERM);
	while (waitpid(host, &status, WNOHANG) == 0) {
		if (stk_now_ns() > until) {
			kill(host, SIGKILL);
			waitpid(host, &status, 0);
			fprintf(stderr, "the host did not end\n");
			return -1;
		}
		usleep(10000);
	}
	host = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "the host ended with wait status %d\n", status);
		return -1;
	}
	return 0;
}

static int setup(void **state)
{
	char path[128];

	strcpy(extra_name, "async-concurrency");
	strcpy(extra_value, "32");
	strcpy(root, "/tmp/stoker-async-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(target, sizeof(target), "unix:%s/http", root);
	snprintf(path, sizeof(path), "%s/stoker-vmm", root);
	if (symlink(self, path))
		return -1;
	add_function("f");
	return 0;
}

static int teardown(void **state)
{
	int rc = host ? stop_host() : 0;

	fsx_remove_tree(root);
	return rc;
}

static double metric(const char *line_start)
{
	struct http_client_resp r;
	double v = -1;
	char *p;

	assert_int_equal(request("GET", "/metrics", NULL, NULL, &r), 0);
	p = strstr((char *)r.body, line_start);
	if (p)
		v = strtod(p + strlen(line_start), NULL);
	http_client_resp_fini(&r);
	return v;
}

static void wait_metric(const char *line_start, double value, unsigned seconds)
{
	uint64_t until = stk_now_ns() + seconds * STK_NS_PER_S;

	while (metric(line_start) != value) {
		if (stk_now_ns() > until)
			fail_msg("%s stays %g, expected %g", line_start, metric(line_start), value);
		usleep(20000);
	}
}

#define QUEUED "\nstoker_async_queued "

/* How often each n was called; counts of 65535 and more are not told apart. */
static unsigned *read_calls(unsigned max, unsigned *ret_total)
{
	unsigned *count = calloc(max, sizeof(*count)), n;
	char path[128];
	FILE *f;

	*ret_total = 0;
	snprintf(path, sizeof(path), "%s/calls", root);
	f = fopen(path, "re");
	while (f && fscanf(f, "n=%u\n", &n) == 1) {
		assert_true(n < max);
		count[n]++;
		++*ret_total;
	}
	if (f)
		fclose(f);
	return count;
}

/* Accepted (true), or there is no host at the moment. */
static bool post_event(struct http_client *c, unsigned n, const char *be, const char *headers)
{
	struct http_client_resp r;
	struct stk_err err;
	char path[96];
	int rc;

	snprintf(path, sizeof(path), "/async-function/f?n=%u&be=%s", n, be);
	rc = http_client_request(c, "POST", path, headers, "{}", 2, 65536, &r, &err);
	if (rc)
		return false;
	if (r.status != 202)
		fail_msg("status %d: %s", r.status, (char *)r.body);
	http_client_resp_fini(&r);
	return true;
}

static void accept_events(unsigned from, unsigned to, const char *be)
{
	struct http_client *c;
	struct stk_err err;

	assert_int_equal(http_client_connect(target, 20000, &c, &err), 0);
	for (unsigned n = from; n < to; n++)
		assert_true(post_event(c, n, be, NULL));
	http_client_free(c);
}

static void configure(const char *method, const char *body, int status, const char *part)
{
	struct http_client_resp r;

	assert_int_equal(request(method, "/2019-09-25/functions/f/event-invoke-config", NULL, body, &r), 0);
	if (r.status != status || !strstr((char *)r.body, part))
		fail_msg("%s %s: status %d: %s", method, body ? body : "", r.status, (char *)r.body);
	http_client_resp_fini(&r);
}

/* --- a receiver of results --------------------------------------------------------------------------------- */

static int receiver_fd;
static unsigned receiver_port;
static atomic_uint received, fail_first, answer_ms; /* before each answer */
static atomic_bool hold_answers;
static char receiver_text[65536];

static void *receiver(void *arg)
{
	for (;;) {
		int fd = accept4(receiver_fd, NULL, NULL, SOCK_CLOEXEC);
		char buf[32768];
		size_t len = 0, want = SIZE_MAX;
		ssize_t n;

		if (fd < 0)
			return NULL;
		while (len < want && (n = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0) {
			char *end, *length;

			len += (size_t)n;
			buf[len] = '\0';
			end = strstr(buf, "\r\n\r\n");
			length = strcasestr(buf, "content-length: ");
			if (end && length)
				want = (size_t)(end + 4 - buf) + strtoul(length + 16, NULL, 10);
		}
		buf[len] = '\0';
		do
			usleep(1000 * answer_ms);
		while (hold_answers && usleep(1000) == 0);
		if (fail_first) {
			fail_first--;
			send(fd, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 38, MSG_NOSIGNAL);
		} else {
			memcpy(receiver_text, buf, sizeof(buf));
			send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, MSG_NOSIGNAL);
			received++;
		}
		close(fd);
	}
}

static void start_receiver(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	pthread_t t;

	receiver_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(receiver_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(receiver_fd, 64), 0);
	getsockname(receiver_fd, (struct sockaddr *)&a, &len);
	receiver_port = ntohs(a.sin_port);
	pthread_create(&t, NULL, receiver, NULL);
	pthread_detach(t);
}

static void wait_received(unsigned n)
{
	uint64_t until = stk_now_ns() + 20 * STK_NS_PER_S;

	while (received < n) {
		if (stk_now_ns() > until)
			fail_msg("%u results came, not %u", received, n);
		usleep(5000);
	}
}

/* --- tests -------------------------------------------------------------------------------------------------- */

static void accepted_means_it_runs(void **state)
{
	struct http_client_resp r;
	char value[64];
	unsigned total, *count;

	start_host();
	assert_int_equal(request("POST", "/async-function/f/a/b?n=0", "X-Call-Id: 11111111-2222-4333-8444-555555555555\r\n",
				 "{}", &r), 0);
	assert_int_equal(r.status, 202);
	assert_int_equal(r.body_len, 0);
	assert_int_equal(http_client_header(&r, "x-call-id", value, sizeof(value)), 0);
	assert_string_equal(value, "11111111-2222-4333-8444-555555555555");
	assert_int_equal(http_client_header(&r, "x-request-id", value, sizeof(value)), 0);
	assert_string_equal(value, "11111111-2222-4333-8444-555555555555");
	http_client_resp_fini(&r);
	accept_events(1, 50, "");
	wait_metric(QUEUED, 0, 30);
	count = read_calls(50, &total);
	assert_int_equal(total, 50);
	for (unsigned n = 0; n < 50; n++)
		assert_int_equal(count[n], 1);
	free(count);
	assert_true(metric("\nstoker_async_accepted_total ") == 50);
	assert_true(metric("\nstoker_async_done_total ") == 50);
	assert_true(metric("\nstoker_async_in_flight ") == 0);
	assert_true(metric("\nstoker_async_queued_bytes ") == 0);
	assert_true(metric("\nstoker_async_oldest_seconds ") == 0);
}

/* A host and a client, and the headers with which it asks for results to be sent to the receiver. */
static struct http_client *start_for_results(char *headers, size_t cap)
{
	struct http_client *c;
	struct stk_err err;

	start_host();
	snprintf(headers, cap, "X-Callback-Url: http://127.0.0.1:%u/back?x=y\r\n", receiver_port);
	received = 0;
	assert_int_equal(http_client_connect(target, 20000, &c, &err), 0);
	return c;
}

static void results_are_sent(void **state)
{
	char headers[96];
	struct http_client *c = start_for_results(headers, sizeof(headers));

	fail_first = 1; /* it is tried again */
	assert_true(post_event(c, 0, "http", headers));
	http_client_free(c);
	wait_received(1);
	wait_metric(QUEUED, 0, 20);
	assert_non_null(strstr(receiver_text, "POST /back?x=y HTTP/1.1\r\n"));
	assert_non_null(strstr(receiver_text, "\r\nx-made: here\r\n"));
	assert_non_null(strstr(receiver_text, "\r\nX-Function-Status: 203\r\n"));
	assert_non_null(strstr(receiver_text, "\r\nX-Duration-Seconds: "));
	assert_non_null(strstr(receiver_text, "\r\n\r\nresult"));
	assert_true(metric("\nstoker_async_sends_total{result=\"ok\"} ") == 1);
	assert_true(metric("\nstoker_async_sends_total{result=\"retry\"} ") == 1);
}

#define RESULTS 200

/* Calls whose results go to the receiver, which answers none before all are waiting. */
static void queue_results(void)
{
	char headers[96];
	struct http_client *c = start_for_results(headers, sizeof(headers));

	hold_answers = true;
	for (unsigned n = 0; n < RESULTS; n++)
		assert_true(post_event(c, n, "good", headers));
	http_client_free(c);
	wait_metric("\nstoker_async_done_total ", RESULTS, 30);
}

static void check_results(void)
{
	wait_received(RESULTS);
	wait_metric(QUEUED, 0, 20);
	assert_int_equal(received, RESULTS);
	assert_true(metric("\nstoker_async_sends_total{result=\"ok\"} ") == RESULTS);
	assert_true(metric("\nstoker_async_sends_total{result=\"retry\"} ") == 0);
	assert_true(metric("\nstoker_async_sends_in_flight ") == 0);
}

static void results_do_not_wait_for_the_disk_one_by_one(void **state)
{
	double commits;

	queue_results();
	commits = metric("\nstoker_async_commits_total ");
	hold_answers = false;
	check_results();
	commits = metric("\nstoker_async_commits_total ") - commits;
	print_message("%d results noted in %.0f transactions\n", RESULTS, commits);
	assert_true(commits < RESULTS / 3);
}

/* What a slow address has no time for is not a try that failed, and comes later. */
static void results_to_a_slow_address(void **state)
{
	queue_results();
	answer_ms = 25;
	hold_answers = false;
	check_results();
	answer_ms = 0;
}

static void destinations_and_retries(void **state)
{
	unsigned total, *count;
	char body[300];

	add_function("g"); /* which gets the same number in the record's requestPayload */
	received = 0;
	start_host();
	snprintf(body, sizeof(body), "{\"MaximumRetryAttempts\":0,\"DestinationConfig\":{\"OnSuccess\":{\"Destination\":"
		 "\"arn:aws:lambda:us-east-1:000000000000:function:g\"},"
		 "\"OnFailure\":{\"Destination\":\"http://127.0.0.1:%u/failed\"}}}", receiver_port);
	configure("PUT", body, 200, "\"MaximumRetryAttempts\":0");
	accept_events(0, 1, "good");
	wait_metric("\nstoker_async_done_total ", 2, 20);
	count = read_calls(3, &total);
	assert_int_equal(total, 2);
	assert_int_equal(count[0], 2);
	free(count);
	accept_events(1, 2, "error");
	wait_received(1);
	wait_metric(QUEUED, 0, 20);
	assert_true(metric("\nstoker_async_dropped_total{reason=\"retries_exhausted\"} ") == 1);
	assert_non_null(strstr(receiver_text, "POST /failed"));
	assert_non_null(strstr(receiver_text, "\"condition\":\"RetriesExhausted\",\"approximateInvokeCount\":1"));
	assert_non_null(strstr(receiver_text, "as asked"));
	/* Configured again, a failed call is made again, in a minute; that is on disk when it is answered. */
	configure("POST", "{\"MaximumRetryAttempts\":1}", 200, "\"MaximumRetryAttempts\":1");
	kill_host();
	start_host();
	configure("GET", NULL, 200, "/failed");
	accept_events(2, 3, "error");
	wait_metric("\nstoker_async_retries_total{cause=\"function\"} ", 1, 20);
	wait_metric("\nstoker_async_in_flight ", 0, 20);
	assert_true(metric(QUEUED) == 1);
	assert_int_equal(received, 1);
}

/* The version's own DeadLetterConfig: the event itself goes there. */
static void dead_letters(void **state)
{
	struct http_client_resp r;
	unsigned total, *count;
	uint64_t until = stk_now_ns() + 20 * STK_NS_PER_S;

	add_function("g");
	add_function_with("h", "{\"DeadLetterConfig\":{\"TargetArn\":\"arn:aws:lambda:us-east-1:000000000000:function:g\"}}");
	start_host();
	assert_int_equal(request("PUT", "/2019-09-25/functions/h/event-invoke-config", NULL,
				 "{\"MaximumRetryAttempts\":0}", &r), 0);
	assert_int_equal(r.status, 200);
	http_client_resp_fini(&r);
	assert_int_equal(request("POST", "/async-function/h?n=1&be=error", NULL, "{}", &r), 0);
	assert_int_equal(r.status, 202);
	http_client_resp_fini(&r);
	for (total = 0; total < 2;) {
		count = read_calls(2, &total);
		free(count);
		if (stk_now_ns() > until)
			fail_msg("%u calls", total);
		usleep(10000);
	}
	/* To g it is an event like others: its failure is tried again. */
	wait_metric("\nstoker_async_retries_total{cause=\"function\"} ", 1, 20);
	assert_true(metric("\nstoker_async_dropped_total{reason=\"retries_exhausted\"} ") == 1);
	assert_true(metric(QUEUED) == 1);
}

static void change_dead_letter(const char *dead_letter, int status, const char *part)
{
	struct http_client_resp r;
	char body[256];

	snprintf(body, sizeof(body), "{\"DeadLetterConfig\":{\"TargetArn\":\"%s\"}}", dead_letter);
	assert_int_equal(request("PUT", "/2015-03-31/functions/f/configuration", NULL, body, &r), 0);
	if (r.status != status || !strstr((char *)r.body, part))
		fail_msg("%s: %d, not %d: %s", body, r.status, status, (char *)r.body);
	http_client_resp_fini(&r);
}

/* Whatever the API takes as TargetArn is used. */
static void dead_letters_by_name_and_address(void **state)
{
	unsigned total, *count;
	char address[64], zip[128];

	add_function("g");
	snprintf(zip, sizeof(zip), "%s/functions/f/1/code.zip", root);
	assert_int_equal(stk_write_file_atomic(zip, "zip", 3, 0600), 0); /* an update keeps it */
	received = 0;
	start_host();
	configure("PUT", "{\"MaximumRetryAttempts\":0}", 200, "");
	change_dead_letter("arn:aws:sqs:us-east-1:000000000000:q", 400, "not to the service 'sqs'");
	change_dead_letter("arn:aws:sns:us-east-1:000000000000:t", 400, "not to the service 'sns'");
	change_dead_letter("nobody", 400, "no such function");
	snprintf(address, sizeof(address), "http://127.0.0.1:%u/dead?x=y", receiver_port);
	change_dead_letter(address, 200, address);
	accept_events(1, 2, "error");
	wait_received(1);
	assert_non_null(strstr(receiver_text, "POST /dead?x=y HTTP/1.1\r\n"));
	assert_non_null(strstr(receiver_text, "\r\nErrorMessage: as asked\r\n"));
	assert_non_null(strstr(receiver_text, "n=1"));
	change_dead_letter("g", 200, "\"TargetArn\":\"g\"");
	accept_events(2, 3, "error");
	wait_metric("\nstoker_async_retries_total{cause=\"function\"} ", 1, 20); /* g's call fails as well */
	count = read_calls(3, &total);
	assert_int_equal(count[2], 2);
	free(count);
	assert_int_equal(received, 1);
}

static void configuration(void **state)
{
	char list[] = "/2019-09-25/functions/f/event-invoke-config/list?MaxItems=1";
	struct http_client_resp r;

	start_host();
	configure("GET", NULL, 404, "The function arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST doesn't have");
	configure("POST", "{\"MaximumRetryAttempts\":1}", 404, "doesn't have");
	configure("DELETE", NULL, 404, "doesn't have");
	configure("PUT", "{}", 400, "at least one");
	configure("PUT", "{\"MaximumRetryAttempts\":3}", 400, "maximumRetryAttempts");
	configure("PUT", "{\"DestinationConfig\":{\"OnSuccess\":{\"Destination\":\"nobody\"}}}", 400, "no such function");
	configure("PUT", "{\"MaximumEventAgeInSeconds\":77}", 200, "\"MaximumEventAgeInSeconds\":77");
	configure("GET", NULL, 200, "\"FunctionArn\":\"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST\"");
	assert_int_equal(request("GET", list, NULL, NULL, &r), 0);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr((char *)r.body, "{\"FunctionEventInvokeConfigs\":[{\"LastModified\":"));
	http_client_resp_fini(&r);
	configure("DELETE", NULL, 204, "");
	configure("GET", NULL, 404, "doesn't have");
	/* goes with the function */
	configure("PUT", "{\"MaximumEventAgeInSeconds\":77}", 200, "77");
	assert_int_equal(request("DELETE", "/v1/functions/f", NULL, NULL, &r), 0);
	http_client_resp_fini(&r);
	configure("GET", NULL, 404, "Function not found");
}

static void refusals(void **state)
{
	struct http_client_resp r;
	char *big = malloc((1 << 20) + 2);
	struct {
		const char *path, *headers, *body;
		int status;
	} cases[] = {
		{"/async-function/none", NULL, "{}", 404},
		{"/async-function/f", "X-Callback-Url: ftp://h/\r\n", "{}", 400},
		{"/async-function/f", "X-Callback-Url: http://u:p@h/\r\n", "{}", 400},
		{"/async-function/f", NULL, big, 413},
		{"/async-function/f", "Content-Type: application/cloudevents-batch+json\r\n", "[]", 415},
		{"/async-function/f", "ce-specversion: 1.0\r\n", "[]", 400},
		{"/function/f", "ce-specversion: 1.0\r\n", "[]", 400},
	};

	memset(big, 'x', 1 << 20); /* with what is around it, it is too large */
	big[1 << 20] = '\0';
	start_host();
	for (size_t i = 0; i < STK_ARRAY_LEN(cases); i++) {
		assert_int_equal(request("POST", cases[i].path, cases[i].headers, cases[i].body, &r), 0);
		if (r.status != cases[i].status)
			fail_msg("case %zu: status %d: %s", i, r.status, (char *)r.body);
		http_client_resp_fini(&r);
	}
	assert_int_equal(request("GET", "/async-function/f", NULL, NULL, &r), 0);
	assert_int_equal(r.status, 405);
	http_client_resp_fini(&r);
	free(big);
	assert_true(metric(QUEUED) == 0);
	assert_true(metric("\nstoker_async_accepted_total ") == 0);
}

static void a_full_queue_is_429(void **state)
{
	struct http_client_resp r;
	char value[16];

	strcpy(extra_name, "async-events");
	strcpy(extra_value, "2");
	start_host();
	accept_events(0, 2, "error"); /* stay for minutes */
	assert_int_equal(request("POST", "/async-function/f?n=2", NULL, "{}", &r), 0);
	assert_int_equal(r.status, 429);
	assert_int_equal(http_client_header(&r, "retry-after", value, sizeof(value)), 0);
	http_client_resp_fini(&r);
	assert_true(metric("\nstoker_async_refused_total ") == 1);
	assert_true(metric(QUEUED) == 2);
}

static void cloud_events(void **state)
{
	static const char headers[] = "ce-specversion: 1.0\r\nce-id: 7\r\nce-source: /s\r\nce-type: t\r\n"
				      "Content-Type: application/json\r\n";
	static const char event[] = "{\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"/s\",\"type\":\"t\","
				    "\"datacontenttype\":\"application/json\",\"data\":{\"n\":1}}";
	struct http_client_resp r;
	char value[96];

	start_host();
	assert_int_equal(request("POST", "/function/f", headers, "{\"n\":1}", &r), 0);
	assert_int_equal(r.status, 200); /* the stand-in answers with what it got: an event */
	assert_string_equal((char *)r.body, event);
	assert_int_equal(http_client_header(&r, "content-type", value, sizeof(value)), 0);
	assert_string_equal(value, "application/cloudevents+json; charset=utf-8");
	http_client_resp_fini(&r);
	received = 0;
	snprintf(value, sizeof(value), "Content-Type: application/cloudevents+json\r\nX-Callback-Url: http://127.0.0.1:%u/\r\n",
		 receiver_port);
	assert_int_equal(request("POST", "/async-function/f", value, event, &r), 0);
	assert_int_equal(r.status, 202);
	http_client_resp_fini(&r);
	wait_received(1);
	assert_non_null(strstr(receiver_text, event));
	assert_non_null(strstr(receiver_text, "Content-Type: application/cloudevents+json\r\n"));
}

static void a_stop_loses_nothing(void **state)
{
	unsigned total, *count;

	strcpy(extra_value, "2");
	start_host();
	accept_events(0, 30, "slow");
	assert_int_equal(stop_host(), 0); /* calls under way end, the others stay */
	free(read_calls(30, &total));
	assert_in_range(total, 0, 29);
	start_host();
	wait_metric(QUEUED, 0, 60);
	count = read_calls(30, &total);
	for (unsigned n = 0; n < 30; n++)
		assert_int_equal(count[n], 1);
	free(count);
}

static void events_of_a_function_that_is_gone(void **state)
{
	struct http_client_resp r;

	start_host();
	accept_events(0, 1, "error"); /* waits for its second try */
	wait_metric("\nstoker_async_retries_total{cause=\"function\"} ", 1, 20);
	assert_int_equal(request("DELETE", "/v1/functions/f", NULL, NULL, &r), 0);
	assert_int_equal(r.status, 204);
	http_client_resp_fini(&r);
	assert_int_equal(request("POST", "/async-function/f", NULL, "{}", &r), 0);
	assert_int_equal(r.status, 404);
	http_client_resp_fini(&r);
	assert_true(metric(QUEUED) == 1);
}

static void *many_events(void *arg)
{
	unsigned from = (unsigned)(uintptr_t)arg;
	struct http_client *c;
	struct stk_err err;

	if (http_client_connect(target, 20000, &c, &err))
		return NULL;
	for (unsigned n = from; n < from + 50; n++) {
		if (!post_event(c, n, "slow", NULL))
			break;
	}
	http_client_free(c);
	return NULL;
}

/* Clients that wait for the disk at the same time wait for the same transaction. */
static void accepted_in_groups(void **state)
{
	pthread_t t[64];
	uint64_t begin;
	double commits, took;

	strcpy(extra_value, "1");
	start_host();
	begin = stk_now_ns();
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(pthread_create(&t[i], NULL, many_events, (void *)(uintptr_t)(i * 50)), 0);
	for (unsigned i = 0; i < 64; i++)
		pthread_join(t[i], NULL);
	took = (double)(stk_now_ns() - begin) / 1e9;
	assert_true(metric("\nstoker_async_accepted_total ") == 3200);
	commits = metric("\nstoker_async_commits_total ");
	print_message("3200 events in %.0f transactions, %.2f s\n", commits, took);
	assert_in_range((unsigned)commits, 1, 1600);
}

static unsigned number(const char *variable, unsigned otherwise)
{
	const char *text = getenv(variable);

	return text && atoi(text) > 0 ? (unsigned)atoi(text) : otherwise;
}

#define CLIENTS 8

static atomic_uint next_event, killed_hosts;
static unsigned events;
static uint8_t *acknowledged;

/* Goes on where it was refused, once there is a host again. */
static void *client(void *arg)
{
	struct http_client *c = NULL;
	unsigned n = next_event++;
	struct stk_err err;

	while (n < events) {
		if (!c && http_client_connect(target, 20000, &c, &err)) {
			usleep(10000);
			continue;
		}
		if (post_event(c, n, "", NULL)) {
			acknowledged[n] = 1;
			n = next_event++;
			continue;
		}
		/* Perhaps it was accepted and the answer was lost; asked again it would be another event: let it be. */
		http_client_free(c);
		c = NULL;
		n = next_event++;
	}
	http_client_free(c);
	return NULL;
}

static void killed_again_and_again(void **state)
{
	unsigned kills = number("STOKER_ASYNC_KILLS", 6), total, *count, lost = 0, twice = 0, accepted = 0, most = 0;
	uint64_t begin = stk_now_ns(), until;
	pthread_t t[CLIENTS];
	double left;

	events = number("STOKER_ASYNC_EVENTS", 1500);
	acknowledged = calloc(events, 1);
	next_event = 0;
	start_host();
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, client, NULL), 0);
	/* Half of the kills while events come, half while they are worked off. */
	for (unsigned k = 0; k < kills; k++) {
		unsigned at = events / (kills / 2 + 1) * (k + 1);

		until = stk_now_ns() + 600 * STK_NS_PER_S;
		if (k < kills / 2) {
			while (next_event < at && stk_now_ns() < until)
				usleep(1000);
		} else {
			free(read_calls(events, &total));
			while (stk_now_ns() < until) {
				unsigned now;

				free(read_calls(events, &now));
				if (now >= total + events / kills / 3 || metric(QUEUED) == 0)
					break;
				usleep(50000);
			}
		}
		usleep(k * 7919 % 20000);
		kill_host();
		killed_hosts++;
		start_host();
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(t[i], NULL);
	until = stk_now_ns() + (60 + events / 20) * STK_NS_PER_S;
	while ((left = metric(QUEUED)) != 0) {
		if (stk_now_ns() > until)
			fail_msg("%g events are left", left);
		usleep(100000);
	}
	count = read_calls(events, &total);
	for (unsigned n = 0; n < events; n++) {
		accepted += acknowledged[n];
		lost += acknowledged[n] && !count[n];
		twice += count[n] > 1;
		most = count[n] > most ? count[n] : most;
	}
	print_message("%u events, %u accepted, %u calls, %u kills: %u lost, %u called more than once (at most %u times), %.0f s\n",
		      events, accepted, total, kills, lost, twice, most, (double)(stk_now_ns() - begin) / 1e9);
	assert_int_equal(lost, 0);
	assert_true(accepted >= events - kills * CLIENTS);
	/* Only what was under way when the host was killed: its slots, and as many whose end was not on disk yet. */
	assert_in_range(twice, 0, kills * (3 * 32 + 64));
	assert_in_range(most, 1, 1 + kills);
	free(count);
	free(acknowledged);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(accepted_means_it_runs), CASE(results_are_sent), CASE(results_do_not_wait_for_the_disk_one_by_one),
		CASE(results_to_a_slow_address), CASE(destinations_and_retries), CASE(dead_letters),
		CASE(dead_letters_by_name_and_address), CASE(configuration),
		CASE(refusals),
		CASE(a_full_queue_is_429), CASE(cloud_events), CASE(a_stop_loses_nothing),
		CASE(events_of_a_function_that_is_gone), CASE(accepted_in_groups), CASE(killed_again_and_again),
	};
	const char *slash = strrchr(argv[0], '/');
	ssize_t n;

	if (strcmp(slash ? slash + 1 : argv[0], "stoker-vmm") == 0)
		return be_guest(argv);
	if (argc == 5 && strcmp(argv[1], "--host") == 0)
		return run_host(argv);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return 77;
	self[n] = '\0';
	signal(SIGPIPE, SIG_IGN);
	start_receiver();
	if (getenv("STOKER_ASYNC_EVENTS"))
		cmocka_set_test_filter("killed_again_and_again");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
