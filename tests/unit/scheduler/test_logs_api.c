/* Logs over HTTP, of a real stokerd without KVM: what is kept, and followers: through rotation, beside clients that do not read,
 * to the end of the function and of the host. */
#include "tests/unit/scheduler/host_fixture.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "tests/unit/unit.h"

/* With sanitizers, what is freed stays with their allocators for a while. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GROWTH_KIB 1048576
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GROWTH_KIB 1048576
#endif
#endif
#ifndef GROWTH_KIB
#define GROWTH_KIB 16384
#endif

#define WAIT_NS (30 * STK_NS_PER_S)
#define CALL    "/v1/functions/f/invoke"
#define LOGS    "/v1/functions/f/logs"

static int setup(void **state)
{
	unit_time_limit(240);
	return host_make();
}

static int teardown(void **state)
{
	return host_remove();
}

/* Returns the answer's body, until the next call; with its status and request id. */
static const char *ask(const char *method, const char *path, const char *headers, const char *body, int status, char *ret_id)
{
	static struct http_client_resp r;

	http_client_resp_fini(&r);
	assert_int_equal(host_request(method, path, headers, body, &r), 0);
	if (r.status != status)
		fail_msg("%s %s: %d, not %d: %s", method, path, r.status, status, (char *)r.body);
	if (ret_id)
		assert_int_equal(http_client_header(&r, "x-request-id", ret_id, 64), 0);
	return (const char *)r.body;
}

static void call(const char *event, char ret_id[64])
{
	ask("POST", CALL, NULL, event, 200, ret_id);
}

static unsigned count(const char *text, const char *word)
{
	unsigned n = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		n++;
	return n;
}

/* --- followers: the client of the stoker command, in a process of its own -------------------------------------- */

struct follower {
	pid_t pid;
	int fd; /* what it gets */
	char *text;
	size_t len, cap;
};

static int to_pipe(void *ctx, const void *data, size_t len)
{
	return stk_write_full(*(int *)ctx, data, len);
}

static void follow(struct follower *f, const char *path, const char *headers)
{
	char target[96];
	int fds[2];

	memset(f, 0, sizeof(*f));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	snprintf(target, sizeof(target), "unix:%s/http", host_root);
	f->pid = fork();
	if (f->pid == 0) {
		struct http_client *c = NULL;
		struct http_client_resp r = {0};
		struct stk_err err = {0};
		int rc = http_client_connect(target, 10000, &c, &err);

		rc = rc ? rc : http_client_follow(c, path, headers, 65536, to_pipe, &fds[1], &r, &err);
		_exit(rc ? 1 : r.status == 200 ? 0 : 2);
	}
	close(fds[1]);
	f->fd = fds[0];
	f->cap = 8u << 20;
	f->text = calloc(1, f->cap);
	assert_non_null(f->text);
}

/* False: the end. */
static bool more(struct follower *f, uint64_t until)
{
	struct pollfd p = {.fd = f->fd, .events = POLLIN};
	uint64_t now = stk_now_ns();
	ssize_t n;

	if (now > until || poll(&p, 1, (int)((until - now) / STK_NS_PER_MS) + 1) == 0)
		fail_msg("nothing comes any more; so far: %.2000s", f->text + (f->len > 2000 ? f->len - 2000 : 0));
	n = read(f->fd, f->text + f->len, f->cap - f->len - 1);
	assert_true(n >= 0);
	f->len += (size_t)n;
	f->text[f->len] = '\0';
	return n > 0;
}

/* Until this has come so often. */
static void await(struct follower *f, const char *text, unsigned times)
{
	uint64_t until = stk_now_ns() + WAIT_NS;
	size_t from = 0;

	while (times) {
		const char *found = strstr(f->text + from, text);

		if (found) {
			times--;
			from = (size_t)(found - f->text) + strlen(text);
		} else if (!more(f, until)) {
			fail_msg("the log has ended without \"%s\"", text);
		}
	}
}

/* Waits for its end. 0: as it should; 1: the connection broke; 2: refused. */
static int ended(struct follower *f)
{
	uint64_t until = stk_now_ns() + WAIT_NS;
	int status;

	while (more(f, until))
		;
	close(f->fd);
	free(f->text);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void leave(struct follower *f)
{
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	close(f->fd);
	free(f->text);
}

/* --- tests ------------------------------------------------------------------------------------------------------ */

static void what_is_kept(void **state)
{
	char one[64], two[64], path[160];
	const char *text;

	host_add_function("f");
	host_start(NULL);
	assert_string_equal(ask("GET", LOGS, NULL, NULL, 200, NULL), "");
	call("{}", one);
	call("{}", two);
	/* Whatever was answered is in the log, at once. */
	text = ask("GET", LOGS, NULL, NULL, 200, NULL);
	assert_int_equal(count(text, "a line of output\n"), 2);
	assert_int_equal(count(text, " REPORT RequestId: "), 2);
	assert_int_equal(count(text, "\n"), 8);
	text = ask("GET", LOGS "?lines=1", NULL, NULL, 200, NULL);
	assert_int_equal(count(text, "\n"), 1);
	assert_int_equal(count(text, two), 2);
	assert_string_equal(ask("GET", LOGS "?lines=0", NULL, NULL, 200, NULL), "");
	snprintf(path, sizeof(path), LOGS "?request-id=%s&since=1h&follow=no", one);
	text = ask("GET", path, NULL, NULL, 200, NULL);
	assert_int_equal(count(text, "\n"), 4);
	assert_null(strstr(text, two));
	assert_string_equal(ask("GET", LOGS "?since=2099-01-01T00:00:00Z", NULL, NULL, 200, NULL), "");
	ask("HEAD", LOGS "?follow=yes", NULL, NULL, 200, NULL);
	/* Another life of the host. */
	host_term();
	assert_int_equal(host_wait(), 0);
	host_start(NULL);
	assert_int_equal(count(ask("GET", LOGS, NULL, NULL, 200, NULL), "\n"), 8);
}

/* Behind the report of their call, with its id; and what ended without a line's end as well. */
static void what_extensions_say_at_the_end(void **state)
{
	char id[64], line[128];
	struct follower f;

	host_add_function("f");
	host_start(NULL);
	follow(&f, LOGS "?follow=yes", NULL);
	call("\"be-extended\"", id);
	snprintf(line, sizeof(line), " %s and the last\n", id);
	await(&f, line, 1);
	snprintf(line, sizeof(line), " %s behind the answer\n", id);
	assert_non_null(strstr(f.text, line));
	assert_true(strstr(f.text, line) > strstr(f.text, "REPORT RequestId: "));
	leave(&f);
	host_wait_metric("\nstoker_pool_vms{function=\"f\",state=\"busy\"} ", 0);
}

static void bad_questions(void **state)
{
	static const char *const bad[] = {"lines=x", "lines=-1", "lines=100001", "since=then", "request-id=", "request-id=a%20b",
					  "follow=1", "follow", "other=1", "lines=%zz", "follow=yes&lines=1&x=y"};

	host_add_function("f");
	host_start(NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), LOGS "?%s", bad[i]);
		ask("GET", path, NULL, NULL, 400, NULL);
	}
	ask("GET", "/v1/functions/g/logs", NULL, NULL, 404, NULL);
	ask("GET", "/v1/functions/f:nobody/logs", NULL, NULL, 404, NULL);
	ask("GET", "/v1/functions/f:7/logs?follow=yes", NULL, NULL, 404, NULL);
}

static void followers_see_what_happens(void **state)
{
	struct follower all, late, one;
	char id[64], path[128];

	host_add_function("f");
	host_start(NULL);
	call("{}", id);
	follow(&all, LOGS "?follow=yes", NULL);
	await(&all, "REPORT RequestId: ", 1);
	follow(&late, LOGS "?follow=yes&lines=0", NULL);
	snprintf(path, sizeof(path), LOGS "?follow=yes&request-id=%s", id);
	follow(&one, path, NULL);
	await(&one, "REPORT RequestId: ", 1);
	host_wait_metric("\nstoker_log_readers ", 3);
	for (unsigned i = 2; i < 5; i++) {
		call("{}", NULL);
		await(&all, "REPORT RequestId: ", i);
		await(&late, "REPORT RequestId: ", i - 1);
	}
	assert_int_equal(count(all.text, "a line of output\n"), 4);
	assert_int_equal(count(late.text, "a line of output\n"), 3);
	leave(&late);
	host_wait_metric("\nstoker_log_readers ", 2);
	/* What is written goes to those who are left; the end of the function is the end of its log. */
	call("{}", NULL);
	await(&all, "REPORT RequestId: ", 5);
	assert_int_equal(count(one.text, "\n"), 4);
	ask("DELETE", "/v1/functions/f", NULL, NULL, 204, NULL);
	assert_int_equal(ended(&all), 0);
	assert_int_equal(ended(&one), 0);
	ask("GET", LOGS, NULL, NULL, 404, NULL);
	host_wait_metric("\nstoker_log_readers ", 0);
}

/* All lines, each once and in their order. */
static void check_loud(const char *text, unsigned calls)
{
	char *line;

	for (unsigned i = 0; i < calls * HOST_LOUD_LINES; i++) {
		line = strstr(text, " loud ");
		assert_non_null(line);
		assert_int_equal(atoi(line + 6), i % HOST_LOUD_LINES);
		text = line + HOST_LOUD_LEN;
	}
	assert_null(strstr(text, " loud "));
}

static void rotation(void **state)
{
	enum { CALLS = 9 };
	struct follower f;
	const char *text;

	host_add_function("f");
	host_start(NULL);
	follow(&f, LOGS "?follow=yes&lines=100000", NULL); /* from the first line on, also when it comes late */
	for (unsigned i = 1; i <= CALLS; i++) {
		call("\"be-loud\"", NULL);
		await(&f, "REPORT RequestId: ", i);
	}
	assert_true(host_has("logs/f.log.1"));
	check_loud(f.text, CALLS);
	assert_null(strstr(f.text, "missing"));
	leave(&f);
	/* What is on disk is bounded, and comes to who asks for more than that. */
	text = ask("GET", LOGS "?lines=100000", NULL, NULL, 200, NULL);
	assert_true(strlen(text) > 1u << 20 && strlen(text) < 3u << 20);
	assert_non_null(strstr(text + strlen(text) - 400, "REPORT RequestId: "));
	text = ask("GET", LOGS "?lines=2000", NULL, NULL, 200, NULL);
	assert_true(count(text, "\n") <= 2000);
}

static long memory_kib(void)
{
	char path[64], *text = NULL, *at;
	long kib = 0;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)host_pid);
	assert_int_equal(stk_read_file(path, 65536, &text, &len), 0);
	at = strstr(text, "VmRSS:");
	if (at)
		kib = strtol(at + 6, NULL, 10);
	free(text);
	return kib;
}

/* They cost little, and hold up nobody. Who comes back to read is told what is missing. */
static void clients_that_do_not_read(void **state)
{
	enum { CLIENTS = 40, CALLS = 18 };
	struct follower f;
	int fd[CLIENTS];
	bool cut;
	char buf[65536], *seen = calloc(1, 8u << 20);
	uint64_t begin;
	size_t len = 0;
	ssize_t n;
	long before;

	assert_non_null(seen);
	host_add_function("f");
	host_start(NULL);
	follow(&f, LOGS "?follow=yes", NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		fd[i] = host_request_begin("GET", LOGS "?follow=yes", "");
	host_wait_metric("\nstoker_log_readers ", CLIENTS + 1);
	call("\"be-loud\"", NULL);
	await(&f, "REPORT RequestId: ", 1);
	begin = stk_now_ns();
	before = memory_kib();
	for (unsigned i = 2; i <= CALLS; i++) {
		call("\"be-loud\"", NULL);
		await(&f, "REPORT RequestId: ", i);
	}
	check_loud(f.text, CALLS);
	/* Who reads nothing for half a minute is given up. */
	cut = stk_now_ns() - begin > 25 * STK_NS_PER_S;
	assert_true(cut || host_metric("\nstoker_log_readers ") == CLIENTS + 1);
	if (memory_kib() - before > GROWTH_KIB)
		fail_msg("the host has grown by %ld KiB", memory_kib() - before);
	/* Until the newest line; chunks' sizes stand in between. */
	while (!cut && (!strstr(seen, "missing here") || count(seen, "REPORT RequestId: ") < 4)) {
		struct pollfd p = {.fd = fd[0], .events = POLLIN};

		assert_int_equal(poll(&p, 1, 20000), 1);
		n = read(fd[0], buf, sizeof(buf));
		assert_true(n > 0 && len + (size_t)n < 8u << 20);
		memcpy(seen + len, buf, (size_t)n);
		len += (size_t)n;
	}
	free(seen);
	for (unsigned i = 0; i < CLIENTS; i++)
		close(fd[i]);
	host_wait_metric("\nstoker_log_readers ", 1);
	leave(&f);
}

static void readers_are_counted(void **state)
{
	enum { MAX = 64 };
	int fd[MAX];

	host_add_function("f");
	host_start(NULL);
	for (unsigned i = 0; i < MAX; i++)
		fd[i] = host_request_begin("GET", LOGS "?follow=yes", "");
	host_wait_metric("\nstoker_log_readers ", MAX);
	assert_non_null(strstr(ask("GET", LOGS "?follow=yes", NULL, NULL, 429, NULL), "TooManyReaders"));
	ask("GET", LOGS, NULL, NULL, 429, NULL);
	call("{}", NULL);
	close(fd[0]);
	host_wait_metric("\nstoker_log_readers ", MAX - 1);
	assert_int_equal(count(ask("GET", LOGS, NULL, NULL, 200, NULL), "\n"), 4);
	for (unsigned i = 1; i < MAX; i++)
		close(fd[i]);
	host_wait_metric("\nstoker_log_readers ", 0);
}

/* The end of the host is told as the end of the answer; nobody holds it up. */
static void the_host_ends(void **state)
{
	struct follower f, killed;
	uint64_t start;

	host_add_function("f");
	host_start(NULL);
	follow(&f, LOGS "?follow=yes", NULL);
	call("{}", NULL);
	await(&f, "REPORT RequestId: ", 1);
	start = stk_now_ns();
	host_term();
	assert_int_equal(ended(&f), 0);
	assert_int_equal(host_wait(), 0);
	assert_true(stk_now_ns() - start < 10 * STK_NS_PER_S);
	host_start(NULL);
	follow(&killed, LOGS "?follow=yes", NULL);
	await(&killed, "REPORT RequestId: ", 1);
	host_kill();
	assert_int_equal(ended(&killed), 1);
}

/* more_tokens: further tokens of acme's key. */
static void write_keys(char *ret_path, size_t cap, const char *more_tokens)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"tenants\":[{\"name\":\"acme\",\"account\":\"111122223333\"},{\"name\":\"bolt\",\"account\":\"444455556666\"}],"
		 "\"keys\":[{\"name\":\"a\",\"tenant\":\"acme\",\"accessKeyId\":\"AKACME\",\"secretAccessKey\":\"secret-of-acme\","
		 "\"tokens\":[\"token-of-acme-0123456789\"%s]},"
		 "{\"name\":\"b\",\"tenant\":\"bolt\",\"tokens\":[\"token-of-bolt-0123456789\"]},"
		 "{\"name\":\"o\",\"tokens\":[\"token-of-the-owner-012345\"]}]}", more_tokens);
	host_write("keys.json", text, 0600, ret_path, cap);
}

static void tenants_have_logs_of_their_own(void **state)
{
	static const char acme[] = "Authorization: Bearer token-of-acme-0123456789\r\n";
	static const char bolt[] = "Authorization: Bearer token-of-bolt-0123456789\r\n";
	char keys[256];
	const char *const with_keys[] = {"keys", keys, NULL};
	struct follower f, other;

	host_add_function("f.acme");
	write_keys(keys, sizeof(keys), ",\"another-of-acme-0123456789\"");
	host_start(with_keys);
	ask("GET", LOGS, NULL, NULL, 401, NULL);
	ask("GET", LOGS, bolt, NULL, 404, NULL);
	ask("GET", "/v1/functions/f.acme/logs?follow=yes", bolt, NULL, 403, NULL);
	follow(&other, LOGS "?follow=yes", bolt);
	assert_int_equal(ended(&other), 2);
	follow(&f, LOGS "?follow=yes", acme);
	ask("POST", CALL, acme, "{}", 200, NULL);
	await(&f, "REPORT RequestId: ", 1);
	assert_int_equal(count(ask("GET", LOGS, acme, NULL, 200, NULL), "\n"), 4);
	/* Who reads with a token that goes is told the end, others are not. */
	follow(&other, LOGS "?follow=yes", "Authorization: Bearer another-of-acme-0123456789\r\n");
	await(&other, "REPORT RequestId: ", 1);
	write_keys(keys, sizeof(keys), "");
	kill(host_pid, SIGHUP);
	assert_int_equal(ended(&other), 0);
	ask("POST", CALL, acme, "{}", 200, NULL);
	await(&f, "REPORT RequestId: ", 2);
	leave(&f);
}

static void requests_that_are_signed(void **state)
{
	char keys[256], text[512];
	const char *const with_keys[] = {"keys", keys, NULL};
	struct follower f;

	host_add_function("f.acme");
	write_keys(keys, sizeof(keys), "");
	host_start(with_keys);
	host_sign("GET", LOGS "?follow=yes", "AKACME", "secret-of-acme", "", text, sizeof(text));
	follow(&f, LOGS "?follow=yes", text);
	ask("POST", CALL, "Authorization: Bearer token-of-acme-0123456789\r\n", "{}", 200, NULL);
	await(&f, "REPORT RequestId: ", 1);
	kill(host_pid, SIGHUP);
	ask("POST", CALL, "Authorization: Bearer token-of-acme-0123456789\r\n", "{}", 200, NULL);
	await(&f, "REPORT RequestId: ", 2);
	host_write("keys.json", "{\"keys\":[{\"name\":\"o\",\"tokens\":[\"token-of-the-owner-012345\"]}]}", 0600, keys,
		   sizeof(keys));
	kill(host_pid, SIGHUP);
	assert_int_equal(ended(&f), 0);
}

static void wait_version(void)
{
	uint64_t until = stk_now_ns() + WAIT_NS;

	while (!strstr(ask("GET", "/2015-03-31/functions/f/configuration?Qualifier=1", NULL, NULL, 200, NULL),
		       "\"State\":\"Active\"")) {
		assert_true(stk_now_ns() < until);
		usleep(10000);
	}
}

static void create(void)
{
	ask("POST", "/2015-03-31/functions", NULL,
	    "{\"FunctionName\":\"f\",\"Runtime\":\"python3\",\"Handler\":\"a.b\",\"Role\":\"arn:aws:iam::000000000000:role/r\","
	    "\"Publish\":true,\"Code\":{\"ZipFile\":\"" HOST_ZIP "\"}}", 201, NULL);
	wait_version();
}

static void deleted_functions_leave_no_logs(void **state)
{
	char path[PATH_MAX], id[64], next[64];
	const char *text;

	host_add_function("f");
	host_start(NULL);
	for (uint64_t until = stk_now_ns() + WAIT_NS; !host_has("logs/f.log.1"); assert_true(stk_now_ns() < until))
		call("\"be-loud\"", id);
	ask("DELETE", "/v1/functions/f", NULL, NULL, 204, NULL);
	host_await(false, "logs/f.log");
	host_await(false, "logs/f.log.1");
	/* The next one of this name begins with nothing. */
	create();
	call("{}", next);
	text = ask("GET", LOGS, NULL, NULL, 200, NULL);
	assert_null(strstr(text, id));
	assert_non_null(strstr(text, next));
	/* What a host that was killed has left is removed at the next start; other files are not ours. */
	host_kill();
	host_write("logs/gone.log", "old\n", 0640, path, sizeof(path));
	host_write("logs/gone.log.1", "old\n", 0640, path, sizeof(path));
	host_write("logs/gone.acme.log", "old\n", 0640, path, sizeof(path));
	host_write("logs/notes", "mine\n", 0640, path, sizeof(path));
	host_start(NULL);
	host_await(false, "logs/gone.log");
	host_await(false, "logs/gone.log.1");
	host_await(false, "logs/gone.acme.log");
	assert_true(host_has("logs/notes"));
	assert_non_null(strstr(ask("GET", LOGS, NULL, NULL, 200, NULL), next));
}

static void qualifiers(void **state)
{
	char latest[64], first[64];
	struct follower f;
	const char *text;

	host_start(NULL);
	create();
	ask("GET", "/v1/functions/f:2/logs", NULL, NULL, 404, NULL);
	ask("POST", "/2015-03-31/functions/f/aliases", NULL, "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201, NULL);
	follow(&f, "/v1/functions/f%3Alive/logs?follow=yes", NULL);
	call("{}", latest);
	ask("POST", "/v1/functions/f:1/invoke", NULL, "{}", 200, first);
	await(&f, "REPORT RequestId: ", 1);
	assert_null(strstr(f.text, latest));
	leave(&f);
	text = ask("GET", "/v1/functions/f:1/logs", NULL, NULL, 200, NULL);
	assert_int_equal(count(text, "\n"), 4);
	assert_null(strstr(text, latest));
	text = ask("GET", "/v1/functions/f:%24LATEST/logs", NULL, NULL, 200, NULL);
	assert_int_equal(count(text, "\n"), 4);
	assert_null(strstr(text, first));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(what_extensions_say_at_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_questions, setup, teardown),
		cmocka_unit_test_setup_teardown(followers_see_what_happens, setup, teardown),
		cmocka_unit_test_setup_teardown(rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(clients_that_do_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(the_host_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(tenants_have_logs_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_that_are_signed, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_functions_leave_no_logs, setup, teardown),
		cmocka_unit_test_setup_teardown(qualifiers, setup, teardown),
	};

	host_play(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
