/* 10,000 functions: lists, gets and calls are as fast as with 10, and an idle function costs little memory.
 *
 * Two hosts run at once, each held by a process of its own (this program again), which does a round of requests when it is
 * told to and says how long they took, and how much of a processor the host. Rounds alternate between the two, so that both
 * have quiet moments of the machine: the best round of each is compared, as other work can only add to one. */
#include "tests/unit/scheduler/host_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/store.h"
#include "tests/unit/unit.h"

#define FEW  10u
#define MANY 10000u

#define ROUNDS    40u
/* Times as much, or as long; what both have, a connection or a process, is most of it. */
#define MOST_REQUEST 2.0
#define MOST_CALL    3.0
#define MEMORY    4096u
#define ORDER_FD  3
#define ANSWER_FD 4

struct answer {
	uint64_t bytes;            /* of memory */
	uint64_t wait_ns, work_ns; /* of a round */
};

/* --- the process with a host ------------------------------------------------------------------------------ */

static unsigned functions;
static char marker[LAMBDA_MARKER_MAX];

static void function_name(unsigned i, char *ret, size_t cap)
{
	snprintf(ret, cap, "function-%05u", i);
}

/* In a process of its own, whose heap goes with it: the host is to begin with as little as it needs. */
static void add_functions(void)
{
	pid_t pid = fork();
	int status = -1;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct store_tx *tx = store_tx_new();

		for (unsigned i = 0; i < functions; i++) {
			struct function fn = {.reserved = -1};
			struct fn_version v = {.fn = &fn, .number = 1, .state = FN_ACTIVE, .created_ms = 1};

			function_name(i, fn.name, sizeof(fn.name));
			strcpy(v.settings.runtime, "python3");
			strcpy(v.settings.handler, "a.b");
			strcpy(v.revision, "00000000-0000-4000-8000-000000000001");
			v.settings.memory_mib = 128;
			v.settings.timeout_s = 30;
			store_tx_version(tx, &v);
			store_tx_function(tx, &fn, 1, 1, 0);
		}
		host_commit(tx);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void ask(const char *method, const char *path, const char *body, const char *part)
{
	struct http_client_resp r;

	assert_int_equal(host_request(method, path, "X-Stoker-Start: cold-restore\r\n", body, &r), 0);
	if (r.status != 200 || !strstr((char *)r.body, part))
		fail_msg("%s %s: %d %s", method, path, r.status, (char *)r.body);
	http_client_resp_fini(&r);
}

static uint64_t resident_bytes(void)
{
	char path[64], *text = NULL;
	uint64_t kib = 0;
	size_t len = 0;
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)host_pid);
	assert_int_equal(stk_read_file(path, 65536, &text, &len), 0);
	at = strstr(text, "RssAnon:");
	assert_non_null(at);
	kib = strtoull(at + strlen("RssAnon:"), NULL, 10);
	free(text);
	return kib << 10;
}

/* One round, by its letter. */
static void round_of(char what)
{
	char path[700], name[32], next[32];

	function_name(functions / 2 - 1, name, sizeof(name));
	function_name(functions / 2, next, sizeof(next));
	for (unsigned i = 0; i < 20; i++) {
		switch (what) {
		case 'L': /* a page in the middle */
			snprintf(path, sizeof(path), "/2015-03-31/functions?MaxItems=5&Marker=%s", marker);
			ask("GET", path, NULL, next);
			break;
		case 'l':
			snprintf(path, sizeof(path), "/v1/functions?limit=5&after=%s", name);
			ask("GET", path, NULL, next);
			break;
		case 'G':
			snprintf(path, sizeof(path), "/2015-03-31/functions/%s/configuration", name);
			ask("GET", path, NULL, name);
			break;
		case 'g':
			snprintf(path, sizeof(path), "/v1/functions/%s", name);
			ask("GET", path, NULL, name);
			break;
		default:
			if (i)
				break; /* it is a process: whether one waited already is not what is compared */
			snprintf(path, sizeof(path), "/v1/functions/%s/invoke", name);
			ask("POST", path, "{\"a\":1}", "{\"a\":1}");
		}
	}
}

/* What the host has had of processors, with all its threads. */
static uint64_t work_ns(void)
{
	struct timespec ts;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(host_pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &ts), 0);
	return (uint64_t)ts.tv_sec * STK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void serve(void **state)
{
	char what;

	while (read(ORDER_FD, &what, 1) == 1) {
		struct answer a = {0};

		if (what == 'm') {
			a.bytes = resident_bytes();
		} else {
			uint64_t start = stk_now_ns(), before = work_ns();

			round_of(what);
			a.wait_ns = stk_now_ns() - start;
			a.work_ns = work_ns() - before;
		}
		assert_int_equal(stk_write_full(ANSWER_FD, &a, sizeof(a)), 0);
	}
}

static int start_serving(void **state)
{
	static const char *const options[] = {"pool-floor", "0", NULL}; /* else each function gets a VM that waits */
	char path[256];

	unit_time_limit(300);
	if (host_make())
		return -1;
	add_functions();
	host_start(options);
	function_name(functions / 2 - 1, path, sizeof(path));
	return lambda_page_marker('f', path, marker); /* where the second half begins */
}

static int end_serving(void **state)
{
	return host_remove();
}

/* --- the test ---------------------------------------------------------------------------------------------- */

static struct server {
	pid_t pid;
	int order, answer;
} few, many;

static int server_start(struct server *s, const char *count)
{
	int order[2], answer[2];

	if (pipe2(order, O_CLOEXEC) || pipe2(answer, O_CLOEXEC))
		return -1;
	s->pid = fork();
	if (s->pid == 0) {
		int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);

		/* The pipes' own numbers may be those that they get. */
		order[0] = fcntl(order[0], F_DUPFD_CLOEXEC, 10);
		answer[1] = fcntl(answer[1], F_DUPFD_CLOEXEC, 10);
		dup2(quiet, STDOUT_FILENO); /* its results are not this program's */
		dup2(order[0], ORDER_FD);
		dup2(answer[1], ANSWER_FD);
		execl("/proc/self/exe", "test_many", count, (char *)NULL);
		_exit(127);
	}
	close(order[0]);
	close(answer[1]);
	s->order = order[1];
	s->answer = answer[0];
	return s->pid < 0 ? -1 : 0;
}

static int server_end(struct server *s)
{
	int status = -1;

	close(s->order);
	close(s->answer);
	waitpid(s->pid, &status, 0);
	return status ? -1 : 0;
}

static struct answer order(struct server *s, char what)
{
	struct answer a;

	assert_int_equal(stk_write_full(s->order, &what, 1), 0);
	assert_int_equal(stk_read_full(s->answer, &a, sizeof(a)), 0);
	return a;
}

static int setup(void **state)
{
	unit_time_limit(300);
	signal(SIGPIPE, SIG_IGN); /* a server that fails is gone */
	return server_start(&few, "10") || server_start(&many, "10000") ? -1 : 0;
}

static int teardown(void **state)
{
	int rc = server_end(&few);

	return server_end(&many) || rc ? -1 : 0;
}

static void keep_least(uint64_t *least, uint64_t value)
{
	if (value < *least)
		*least = value;
}

static void as_fast(char what, double most)
{
	struct answer least_few = {.wait_ns = UINT64_MAX, .work_ns = UINT64_MAX}, least_many = least_few;
	double work, wait;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct answer a = order(&few, what), b = order(&many, what);

		keep_least(&least_few.work_ns, a.work_ns);
		keep_least(&least_few.wait_ns, a.wait_ns);
		keep_least(&least_many.work_ns, b.work_ns);
		keep_least(&least_many.wait_ns, b.wait_ns);
	}
	work = (double)least_many.work_ns / (double)least_few.work_ns;
	wait = (double)least_many.wait_ns / (double)least_few.wait_ns;
	print_message("%c: %.2f times the work, %.2f times as long\n", what, work, wait);
	if (work > most && wait > most) /* more work takes longer; what else the machine does may show in one of them */
		fail_msg("round %c with %u functions: %.2f times the work, %.2f times as long as with %u", what, MANY, work,
			 wait, FEW);
}

static void pages_of_lists(void **state)
{
	as_fast('L', MOST_REQUEST);
	as_fast('l', MOST_REQUEST);
}

static void gets(void **state)
{
	as_fast('G', MOST_REQUEST);
	as_fast('g', MOST_REQUEST);
}

static void calls(void **state)
{
	as_fast('i', MOST_CALL);
}

static void memory_of_an_idle_function(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* they have a heap of their own */
#else
	double each = ((double)order(&many, 'm').bytes - (double)order(&few, 'm').bytes) / (MANY - FEW);

	print_message("%.0f bytes for one more function\n", each);
	assert_true(each > 500); /* it is measured at all */
	if (each > MEMORY)
		fail_msg("a function that is idle takes %.0f bytes", each);
#endif
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_of_an_idle_function),
		cmocka_unit_test(pages_of_lists),
		cmocka_unit_test(gets),
		cmocka_unit_test(calls),
	};
	const struct CMUnitTest serving[] = {cmocka_unit_test_setup_teardown(serve, start_serving, end_serving)};

	host_play(argc, argv);
	if (argc == 2) {
		functions = (unsigned)strtoul(argv[1], NULL, 10);
		return cmocka_run_group_tests(serving, NULL, NULL);
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
