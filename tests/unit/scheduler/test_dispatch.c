/* stokerd as a whole without KVM: real daemon, HTTP, pools and processes; in the place of
 * stoker-vmm this program itself, which then speaks the guest's side of guestwire. What a client
 * sees for each way a VM can behave, and that nothing is left behind. */
#include "tests/unit/scheduler/host_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "scheduler/fsx.h"
#include "tests/unit/unit.h"

#define SLOW_SHELLS   "-slow"   /* beside stoker-vmm */
#define SLOW_SHELL_NS 60000000 /* several times the pause between two looks at what is missing */

/* --- the guest's side ------------------------------------------------------------------------- */

/* --shell: the stream comes in a message on the control socket. Slow where a file beside the program says so. */
static void be_shell(const char *program)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(16 * sizeof(int))];
	} control;
	char line[1024];
	struct iovec iov = {line, sizeof(line) - 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	const struct timespec slow = {.tv_nsec = SLOW_SHELL_NS};
	unsigned at = 0;
	char path[256];
	ssize_t n;

	snprintf(path, sizeof(path), "%s" SLOW_SHELLS, program);
	if (access(path, F_OK) == 0)
		nanosleep(&slow, NULL);
	stk_write_full(3, "ready\n", 6);
	n = recvmsg(3, &msg, 0);
	if (n <= 0)
		_exit(0);
	line[n] = '\0';
	for (char *word = strtok(line, " "); strncmp(word, "stream=", 7) != 0; word = strtok(NULL, " "))
		at++;
	dup2(3, 4);
	memcpy(&at, CMSG_DATA(CMSG_FIRSTHDR(&msg)) + (at - 1) * sizeof(int), sizeof(at));
	dup2((int)at, 3);
	close((int)at);
}

static void be_guest(int argc, char **argv)
{
	struct gw_header h;
	struct gw_invoke inv;
	static char text[65536];
	uint8_t *p;

	for (int i = 1; i < argc; i++) {
		if (strstr(argv[i], "/nores/")) {
			stk_write_full(4, "error no way\n", 13);
			_exit(1);
		}
	}
	if (argc > 1 && strcmp(argv[1], "--shell") == 0)
		be_shell(argv[0]);
	stk_write_full(4, "running 1\n", 10);
	free(host_guest_read(&h));
	host_guest_send(GW_RESUMED, 0, NULL, 0);
	p = host_guest_read(&h);
	if (h.type != GW_INVOKE || gw_invoke_decode(p, h.length, &inv))
		_exit(2);
	memcpy(text, inv.event, inv.event_len < 200 ? inv.event_len : 200);
	host_guest_send(GW_LOG, 0, "\1a line of output\n", 18);
	if (strstr(text, "loop"))
		pause();
	else if (strstr(text, "error"))
		host_guest_error(GW_ERR_FUNCTION, 0, "{\"errorType\":\"E\",\"errorMessage\":\"m\"}");
	else if (strstr(text, "exit"))
		host_guest_error(GW_ERR_EXIT, 7, "");
	else if (strstr(text, "oom"))
		host_guest_error(GW_ERR_OOM, 9, "");
	else if (strstr(text, "die"))
		raise(SIGKILL);
	else if (strstr(text, "rubbish"))
		stk_write_full(3, text, 100);
	else if (strstr(text, "endless"))
		for (;;)
			host_guest_send(GW_RESPONSE, 0, text, 60000);
	else
		host_guest_send(GW_RESPONSE, GW_F_FIN, inv.event, inv.event_len < 60000 ? inv.event_len : 60000);
	pause();
}

/* --- fixture ------------------------------------------------------------------------------------ */

static unsigned open_fds(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static int setup(void **state)
{
	unit_time_limit(240);
	if (host_make())
		return -1;
	host_add_function_of("f", 128, 1);
	return 0;
}

/* Ends by SIGTERM with status 0 and leaves no process: the test's own reaper would show one. */
static int teardown(void **state)
{
	return host_remove();
}

static void expect(const char *event, int status, const char *part)
{
	struct http_client_resp r;

	assert_int_equal(host_request("POST", "/v1/functions/f/invoke", NULL, event, &r), 0);
	if (r.status != status || !strstr((char *)r.body, part))
		fail_msg("event %s: status %d, body %s", event, r.status, (char *)r.body);
	http_client_resp_fini(&r);
}

#define WARM "\nstoker_pool_vms{function=\"f\",state=\"warm\"} "

/* --- tests ---------------------------------------------------------------------------------------- */

static void answers_for_every_behaviour(void **state)
{
	host_start(NULL);
	expect("{\"x\":1}", 200, "{\"x\":1}");
	expect("error", 502, "\"errorType\":\"E\"");
	expect("exit", 502, "Runtime exited with error: exit status 7");
	expect("oom", 502, "Runtime.OutOfMemory");
	expect("die", 502, "Sandbox.Died");
	expect("rubbish", 502, "Sandbox.ProtocolError");
	expect("endless", 502, "Function.ResponseSizeTooLarge");
	expect("after all that", 200, "after all that");
	assert_true(host_metric("\nstoker_loop_stalls_total{cause=\"work\"} ") >= 0);
	assert_true(host_metric("\nstoker_loop_stall_longest_seconds{cause=\"wait\"} ") >= 0);
	host_wait_metric("\nstoker_invocations_total{function=\"f\",outcome=\"vm_died\"} ", 1);
}

static void timeout_at_the_deadline(void **state)
{
	uint64_t begin, took;

	host_start(NULL);
	host_wait_metric(WARM, 1);
	begin = stk_now_ns();
	expect("loop", 504, "Task timed out after 1.00 seconds");
	took = stk_now_ns() - begin;
	assert_true(took >= STK_NS_PER_S);
	assert_true(took < 3 * STK_NS_PER_S); /* a loaded machine; the design's bound is tested elsewhere */
}

static void *one_call(void *arg)
{
	struct http_client_resp r;
	char event[32];

	snprintf(event, sizeof(event), "{\"n\":%d}", (int)(intptr_t)arg);
	if (host_request("POST", "/v1/functions/f/invoke", NULL, event, &r))
		return (void *)(intptr_t)-1;
	arg = (void *)(intptr_t)(strcmp((char *)r.body, event) == 0 ? r.status : -2);
	http_client_resp_fini(&r);
	return arg;
}

static void many_at_once_leave_nothing(void **state)
{
	pthread_t t[40];
	unsigned before, after;

	host_start((const char *[]){"pool-ceiling", "6", "pool-floor", "0", "pool-idle", "1", NULL});
	expect("warm up", 200, "warm up");
	host_wait_metric("\nstoker_vms ", 0);
	before = open_fds(host_pid);
	for (int i = 0; i < 40; i++)
		assert_int_equal(pthread_create(&t[i], NULL, one_call, (void *)(intptr_t)i), 0);
	for (int i = 0; i < 40; i++) {
		void *status;

		pthread_join(t[i], &status);
		assert_int_equal((intptr_t)status, 200);
	}
	host_wait_metric("\nstoker_vms ", 0); /* idle: shrinks to the floor, here zero */
	host_wait_metric("\nstoker_memory_charged_bytes ", 0);
	host_wait_metric("\nstoker_queue_length ", 0);
	after = open_fds(host_pid);
	assert_in_range(after, 0, before + 1);
}

static void full_queue_is_429(void **state)
{
	pthread_t t[8];
	unsigned ok = 0, refused = 0;

	host_start((const char *[]){"queue", "1", "pool-ceiling", "1", "max-restores", "1", NULL});
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, one_call, (void *)(intptr_t)i), 0);
	for (int i = 0; i < 8; i++) {
		void *status;

		pthread_join(t[i], &status);
		ok += (intptr_t)status == 200;
		refused += (intptr_t)status == -2; /* another body: the error */
	}
	assert_int_equal(ok + refused, 8);
	assert_true(ok >= 1);
	if (refused)
		assert_true(host_metric("\nstoker_invocations_total{function=\"f\",outcome=\"queue_full\"} ") == refused);
}

static void client_that_leaves_takes_its_vm_along(void **state)
{
	struct http_client *c = NULL;
	struct http_client_resp r;
	struct stk_err err;

	host_start((const char *[]){"pool-floor", "0", "pool-idle", "1", NULL});
	assert_int_equal(http_client_connect(host_target, 200, &c, &err), 0);
	assert_true(http_client_request(c, "POST", "/v1/functions/f/invoke", NULL, "loop", 4, 1000, &r, &err) != 0);
	http_client_free(c);
	host_wait_metric("\nstoker_invocations_total{function=\"f\",outcome=\"client_gone\"} ", 1);
	host_wait_metric("\nstoker_vms ", 0);
}

static void restores_that_fail_back_off(void **state)
{
	struct http_client_resp r;

	host_add_function_of("nores", 128, 1);
	host_start(NULL);
	assert_int_equal(host_request("POST", "/v1/functions/nores/invoke", NULL, "1", &r), 0);
	assert_int_equal(r.status, 503);
	if (!strstr((char *)r.body, "error no way"))
		fail_msg("%s", (char *)r.body);
	http_client_resp_fini(&r);
	usleep(500000);
	/* 200 ms, doubling: a host that spins would be far beyond this */
	assert_true(host_metric("\nstoker_vm_starts_total{result=\"failed\"} ") < 10);
	expect("others go on", 200, "others go on");
}

static void forced_start_and_refusals(void **state)
{
	struct http_client_resp r;
	char value[300];

	host_start(NULL);
	host_wait_metric(WARM, 1);
	assert_int_equal(host_request("POST", "/v1/functions/f/invoke", "X-Stoker-Start: cold-restore\r\n", "1", &r), 0);
	assert_int_equal(r.status, 200);
	assert_int_equal(http_client_header(&r, "x-stoker-start", value, sizeof(value)), 0);
	assert_string_equal(value, "cold-restore");
	assert_int_equal(http_client_header(&r, "server-timing", value, sizeof(value)), 0);
	assert_non_null(strstr(value, "function;dur="));
	http_client_resp_fini(&r);
	assert_true(host_metric(WARM) == 1); /* the warm one was not touched */
	assert_int_equal(host_request("POST", "/v1/functions/f/invoke", "X-Stoker-Start: hot\r\n", "1", &r), 0);
	assert_int_equal(r.status, 400);
	http_client_resp_fini(&r);
	assert_int_equal(host_request("GET", "/function/none", NULL, NULL, &r), 0);
	assert_int_equal(r.status, 404);
	http_client_resp_fini(&r);
	assert_int_equal(host_request("PATCH", "/v1/functions/f", NULL, NULL, &r), 0);
	assert_int_equal(r.status, 405);
	assert_int_equal(http_client_header(&r, "allow", value, sizeof(value)), 0);
	http_client_resp_fini(&r);
	assert_int_equal(host_request("PUT", "/v1/functions/f?runtime=nope&handler=a", NULL, "x", &r), 0);
	assert_int_equal(r.status, 400);
	http_client_resp_fini(&r);
}

/* --- shells ---------------------------------------------------------------------------------------- */

/* What a shell is given: stokerd opens it, the stand-in for stoker-vmm does not look. */
static void add_snapshot_of(const char *name)
{
	static const char *const leaves[] = {"snapshot/state", "snapshot/memory", "code.img"};
	char path[160];

	snprintf(path, sizeof(path), "%s/functions/%s/1/snapshot", host_root, name);
	assert_int_equal(fsx_mkdirs(path, 0755), 0);
	for (size_t i = 0; i < STK_ARRAY_LEN(leaves); i++) {
		snprintf(path, sizeof(path), "functions/%s/1/%s", name, leaves[i]);
		host_touch(path);
	}
	host_touch("python3.img");
}

static void add_snapshot(void)
{
	add_snapshot_of("f");
}

#define SHELLS "\nstoker_shells "

static void call_of(const char *name, const char *start, int status, const char *by)
{
	struct http_client_resp r;
	char headers[64], value[64] = "", path[64];

	snprintf(headers, sizeof(headers), "X-Stoker-Start: %s\r\n", start);
	snprintf(path, sizeof(path), "/v1/functions/%s/invoke", name);
	assert_int_equal(host_request("POST", path, headers, "7", &r), 0);
	http_client_header(&r, "x-stoker-start", value, sizeof(value));
	if (r.status != status || strcmp(value, by) != 0)
		fail_msg("%s: status %d by \"%s\", not %d by \"%s\": %s", start, r.status, value, status, by,
			 (char *)r.body);
	http_client_resp_fini(&r);
}

static void call_by(const char *start, int status, const char *by)
{
	call_of("f", start, status, by);
}

static pid_t a_shell(void)
{
	struct dirent *e;
	DIR *d = opendir("/proc");
	pid_t found = 0;

	while ((e = readdir(d))) {
		char path[300], *text = NULL;
		size_t len = 0;

		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		if (e->d_name[0] < '0' || e->d_name[0] > '9' || stk_read_file(path, 65536, &text, &len))
			continue;
		if (strncmp(text, host_root, strlen(host_root)) == 0 && memmem(text, len, "\0--shell", 9) && len > 20)
			found = (pid_t)atoi(e->d_name);
		free(text);
	}
	closedir(d);
	return found;
}

static void shells_serve(void **state)
{
	unsigned before;

	add_snapshot();
	host_start((const char *[]){"shells", "2", "pool-floor", "0", "pool-idle", "1", NULL});
	host_wait_metric(SHELLS, 2);
	assert_true(host_metric("\nstoker_memory_charged_bytes ") == 4 * 1048576.0);
	before = open_fds(host_pid);
	call_by("any", 200, "shell");
	call_by("shell", 200, "shell");
	for (int i = 0; i < 6; i++) /* each waits for its own */
		call_by("shell", 200, "shell");
	call_by("cold-restore", 200, "cold-restore");
	host_wait_metric(SHELLS, 2);
	host_wait_metric("\nstoker_vms ", 0);
	host_wait_metric("\nstoker_memory_charged_bytes ", 4 * 1048576.0);
	assert_true(host_metric("\nstoker_vm_start_seconds_count{start=\"shell\"} ") == 8);
	assert_true(host_metric("\nstoker_shell_starts_total{result=\"ok\"} ") == 10);
	assert_in_range(open_fds(host_pid), 0, before + 1);
}

static void many_at_once_use_what_there_is(void **state)
{
	pthread_t t[20];

	add_snapshot();
	host_start((const char *[]){"shells", "3", "pool-floor", "0", "pool-idle", "1", NULL});
	host_wait_metric(SHELLS, 3);
	for (int i = 0; i < 20; i++)
		assert_int_equal(pthread_create(&t[i], NULL, one_call, (void *)(intptr_t)i), 0);
	for (int i = 0; i < 20; i++) {
		void *status;

		pthread_join(t[i], &status);
		assert_int_equal((intptr_t)status, 200);
	}
	assert_true(host_metric("\nstoker_vm_start_seconds_count{start=\"shell\"} ") >= 1);
	host_wait_metric(SHELLS, 3);
	host_wait_metric("\nstoker_memory_charged_bytes ", 6 * 1048576.0);
}

static void a_shell_that_dies_is_replaced(void **state)
{
	add_snapshot();
	host_start((const char *[]){"shells", "1", "pool-floor", "0", "pool-idle", "1", NULL});
	host_wait_metric(SHELLS, 1);
	for (int i = 0; i < 3; i++) {
		pid_t pid = a_shell();

		assert_true(pid > 0);
		kill(pid, SIGKILL);
		if (i == 2) /* before anyone can have noticed, perhaps: then it is a start that fails */
			expect("2", 200, "2");
		else
			host_wait_metric("\nstoker_shells_lost_total ", i + 1);
		host_wait_metric(SHELLS, 1);
	}
	call_by("shell", 200, "shell");
	assert_true(host_metric("\nstoker_shell_starts_total{result=\"failed\"} ") == 0);
}

/* One shell, and more sizes than are remembered: who insists on one gets it. */
static void each_size_in_its_turn(void **state)
{
	char name[8];

	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		host_add_function_of(name, 128 + 16 * i, 1);
		add_snapshot_of(name);
	}
	host_start((const char *[]){"shells", "1", "pool-floor", "0", "pool-idle", "1", "queue-timeout", "10000", NULL});
	for (unsigned i = 0; i < 24; i++) {
		snprintf(name, sizeof(name), "g%u", i < 14 ? i % 2 : i - 14);
		call_of(name, "shell", 200, "shell");
	}
	host_wait_metric("\nstoker_vms ", 0);
	host_wait_metric("\nstoker_memory_charged_bytes ", 2 * 1048576.0);
}

static void *two_calls_by_shell(void *name)
{
	struct http_client_resp r;
	intptr_t answered = 0;
	char path[64];

	snprintf(path, sizeof(path), "/v1/functions/%s/invoke", (const char *)name);
	for (unsigned i = 0; i < 2; i++) {
		if (host_request("POST", path, "X-Stoker-Start: shell\r\n", "7", &r) == 0)
			answered += r.status == 200;
		http_client_resp_fini(&r);
	}
	return (void *)answered;
}

/* One shell, two that insist on different sizes, and the third size is what is wanted otherwise: a shell that one waits
 * for is finished, however long it takes. */
static void shells_that_are_waited_for_are_finished(void **state)
{
	static char names[][4] = {"g0", "g1"};
	pthread_t t[2];

	for (unsigned i = 0; i < 2; i++) {
		host_add_function_of(names[i], 256 + 128 * i, 1);
		add_snapshot_of(names[i]);
	}
	add_snapshot();
	host_touch("stoker-vmm" SLOW_SHELLS);
	host_start((const char *[]){"shells", "1", "pool-floor", "0", "pool-idle", "1", "queue-timeout", "10000", NULL});
	for (unsigned i = 0; i < 3; i++)
		call_by("shell", 200, "shell");
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, two_calls_by_shell, names[i]), 0);
	for (unsigned i = 0; i < 2; i++) {
		void *answered;

		pthread_join(t[i], &answered);
		assert_int_equal((intptr_t)answered, 2);
	}
	host_wait_metric("\nstoker_vms ", 0);
	host_wait_metric(SHELLS, 1);
}

/* What a shell cannot restore, a process of its own is tried with, and says why. */
static void shells_are_no_way_around_a_fault(void **state)
{
	host_start((const char *[]){"shells", "1", "pool-floor", "0", "pool-idle", "1", NULL}); /* no snapshot files */
	host_wait_metric(SHELLS, 1);
	expect("by another way", 200, "by another way");
	call_by("shell", 503, "");
	host_wait_metric(SHELLS, 1);
	teardown(NULL);
	setup(NULL);
	host_start(NULL); /* none are kept */
	call_by("shell", 400, "");
	assert_true(host_metric(SHELLS) == 0);
}

static void requests_come_before_shells(void **state)
{
	add_snapshot();
	/* 16 MiB are counted for a waiting VM, 64 for a working one; shells take what is left, and give it back. */
	host_start((const char *[]){"shells", "4", "pool-floor", "0", "pool-idle", "1", "memory-budget", "24", NULL});
	host_wait_metric(SHELLS, 4);
	call_by("any", 200, "shell");
	call_by("cold-restore", 200, "cold-restore");
	host_wait_metric("\nstoker_vms ", 0);
	teardown(NULL);
	setup(NULL);
	add_snapshot();
	host_start((const char *[]){"shells", "8", "pool-floor", "1", "pool-idle", "1", "memory-budget", "16", NULL});
	call_by("cold-restore", 200, "cold-restore");
	host_wait_metric(WARM, 1);
	assert_true(host_metric("\nstoker_memory_charged_bytes ") <= 16 * 1048576.0);
}

static void deleted_means_gone(void **state)
{
	struct http_client_resp r;
	char path[128];

	host_start(NULL);
	expect("1", 200, "1");
	assert_int_equal(host_request("DELETE", "/v1/functions/f", NULL, NULL, &r), 0);
	assert_int_equal(r.status, 204);
	http_client_resp_fini(&r);
	assert_int_equal(host_request("POST", "/v1/functions/f/invoke", NULL, "1", &r), 0);
	assert_int_equal(r.status, 404);
	http_client_resp_fini(&r);
	host_wait_metric("\nstoker_vms ", 0);
	snprintf(path, sizeof(path), "%s/functions/f/1", host_root);
	for (int i = 0; i < 500 && access(path, F_OK) == 0; i++)
		usleep(10000);
	assert_int_not_equal(access(path, F_OK), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_for_every_behaviour, setup, teardown),
		cmocka_unit_test_setup_teardown(timeout_at_the_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(many_at_once_leave_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(full_queue_is_429, setup, teardown),
		cmocka_unit_test_setup_teardown(client_that_leaves_takes_its_vm_along, setup, teardown),
		cmocka_unit_test_setup_teardown(restores_that_fail_back_off, setup, teardown),
		cmocka_unit_test_setup_teardown(forced_start_and_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(shells_serve, setup, teardown),
		cmocka_unit_test_setup_teardown(many_at_once_use_what_there_is, setup, teardown),
		cmocka_unit_test_setup_teardown(a_shell_that_dies_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(each_size_in_its_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(shells_that_are_waited_for_are_finished, setup, teardown),
		cmocka_unit_test_setup_teardown(shells_are_no_way_around_a_fault, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_come_before_shells, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_means_gone, setup, teardown),
	};

	host_play_guest(argc, argv, be_guest);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
