/* Child processes: what they inherit, how their end is told, kill and detach at any moment. */
#include "common/host/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/fd.h"
#include "tests/unit/unit.h"

static uv_loop_t loop;
static struct { int starts, start_err, exits, status; } seen;
static struct child *child;
static unsigned fds_before;

static void on_start(void *ctx, int err)
{
	seen.starts++;
	seen.start_err = err;
	if (err == 0)
		assert_true(child_pid(child) > 0);
}

static void on_exit_(void *ctx, int status)
{
	seen.exits++;
	seen.status = status;
	child_kill(child, SIGKILL); /* too late: must be harmless */
}

static int setup(void **state)
{
	memset(&seen, 0, sizeof(seen));
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD); /* no zombie */
	assert_int_equal(unit_count_fds(), fds_before);
	return 0;
}

/* Runs sh -c script with out as its descriptor `target`; returns what it wrote there. */
static void run(const char *script, const char *const *envp, int target, char *out, size_t cap)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	struct child_spec spec = {.argv = argv, .envp = envp, .fd_count = 1};
	ssize_t n;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	spec.fds[0].fd = p[1];
	spec.fds[0].target = target;
	assert_int_equal(child_spawn(&loop, &spec, on_start, on_exit_, NULL, &child), 0);
	close(p[1]); /* the copy is enough */
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(seen.starts, 1);
	assert_int_equal(seen.start_err, 0);
	assert_int_equal(seen.exits, 1);
	n = read(p[0], out, cap - 1);
	assert_true(n >= 0);
	out[n] = '\0';
	close(p[0]);
}

static void test_output_and_status(void **state)
{
	char out[64];

	run("echo hello; exit 7", NULL, 1, out, sizeof(out));
	assert_string_equal(out, "hello\n");
	assert_true(WIFEXITED(seen.status));
	assert_int_equal(WEXITSTATUS(seen.status), 7);
}

static void test_signal_status(void **state)
{
	char out[64];

	run("kill -TERM $$", NULL, 1, out, sizeof(out));
	assert_true(WIFSIGNALED(seen.status));
	assert_int_equal(WTERMSIG(seen.status), SIGTERM);
}

static void test_environment_and_folder(void **state)
{
	static const char *const env[] = {"A=1", "B=two words", NULL};
	char out[256];

	setenv("STK_SECRET", "x", 1);
	run("echo \"$A|$B|$STK_SECRET|$(pwd)\"", env, 1, out, sizeof(out));
	assert_string_equal(out, "1|two words||/\n");
}

/* Only what was asked for is open; 0, 1, 2 are /dev/null where not named. */
static void test_descriptors(void **state)
{
	int leak = dup(2); /* without close-on-exec, as a careless library would */
	char out[512];

	/* Builtins only, so that the shell opens nothing itself. */
	run("i=0; while [ $i -lt 300 ]; do if [ -e /proc/self/fd/$i ]; then echo $i >&5; fi; i=$((i+1)); done;"
	    "for f in 0 1 2; do [ /proc/self/fd/$f -ef /dev/null ] && echo null >&5; done",
	    NULL, 5, out, sizeof(out));
	close(leak);
	assert_string_equal(out, "0\n1\n2\n5\nnull\nnull\nnull\n");
}

/* The parent's ignored and blocked signals are not the child's. */
static void test_signals_are_reset(void **state)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM};
	char out[4096];
	sigset_t set, old;
	const char *p;

	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL); /* whatever who started us ignores */
	for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	run("cat /proc/self/status", NULL, 1, out, sizeof(out));
	sigprocmask(SIG_SETMASK, &old, NULL);
	for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_DFL);
	p = strstr(out, "SigBlk:");
	assert_non_null(p);
	assert_int_equal(strtoull(p + 7, NULL, 16), 0);
	p = strstr(out, "SigIgn:");
	assert_non_null(p);
	/* 32 and 33 are glibc's own and without effect on what is executed. */
	assert_int_equal(strtoull(p + 7, NULL, 16) & 0x7fffffff, 0);
}

static void test_group_of_its_own(void **state)
{
	char out[64] = "";

	run("set -- $(cat /proc/$$/stat); [ $1 = $5 ] && echo leader", NULL, 1, out, sizeof(out));
	assert_string_equal(out, "leader\n");
}

static void test_missing_program(void **state)
{
	const char *argv[] = {"/no/such/program", NULL};
	struct child_spec spec = {.argv = argv};

	assert_int_equal(child_spawn(&loop, &spec, on_start, on_exit_, NULL, &child), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(seen.starts, 1);
	assert_int_equal(seen.start_err, -ENOENT);
	assert_int_equal(seen.exits, 0);
}

static void test_bad_spec(void **state)
{
	const char *argv[] = {"/bin/true", NULL}, *none[] = {NULL};
	struct child_spec spec = {.argv = argv, .fds = {{1, 1}, {2, 1}}, .fd_count = 2};

	assert_int_equal(child_spawn(&loop, &spec, NULL, NULL, NULL, &child), -EINVAL); /* same target */
	spec.fd_count = 1;
	spec.fds[0].fd = 9999;
	assert_int_equal(child_spawn(&loop, &spec, NULL, NULL, NULL, &child), -EBADF);
	spec.fd_count = CHILD_MAX_FDS + 1;
	assert_int_equal(child_spawn(&loop, &spec, NULL, NULL, NULL, &child), -EINVAL);
	spec = (struct child_spec){.argv = none};
	assert_int_equal(child_spawn(&loop, &spec, NULL, NULL, NULL, &child), -EINVAL);
}

static void kill_on_start(void *ctx, int err)
{
	assert_int_equal(err, 0);
	child_kill(child, SIGKILL);
}

static void test_kill(void **state)
{
	const char *argv[] = {"/bin/sleep", "1000", NULL};
	struct child_spec spec = {.argv = argv};

	assert_int_equal(child_spawn(&loop, &spec, kill_on_start, on_exit_, NULL, &child), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(WTERMSIG(seen.status), SIGKILL);
	/* Before the start: remembered. */
	assert_int_equal(child_spawn(&loop, &spec, NULL, on_exit_, NULL, &child), 0);
	assert_int_equal(child_pid(child), 0);
	child_kill(child, SIGTERM);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(seen.exits, 2);
	assert_int_equal(WTERMSIG(seen.status), SIGTERM);
}

static void test_detach(void **state)
{
	const char *argv[] = {"/bin/sleep", "1000", NULL};
	struct child_spec spec = {.argv = argv};

	assert_int_equal(child_spawn(&loop, &spec, on_start, on_exit_, NULL, &child), 0);
	child_detach(child, true);
	uv_run(&loop, UV_RUN_DEFAULT); /* ends, because the child is killed and reaped */
	assert_int_equal(seen.starts, 0);
	assert_int_equal(seen.exits, 0);
}

static int group[2]; /* stands for a group's cgroup.procs */

static void move_on_start(void *ctx, int err)
{
	on_start(ctx, err);
	assert_int_equal(child_move(child, group[1]), 0);
}

/* What was written to the group, and which pid was to be. */
static void check_group(pid_t pid)
{
	char text[64] = "", expected[16];

	assert_true(read(group[0], text, sizeof(text) - 1) > 0);
	snprintf(expected, sizeof(expected), "%d", (int)pid);
	assert_string_equal(text, expected);
}

static pid_t pid_at_exit;

static void keep_pid(void *ctx, int status)
{
	pid_at_exit = child_pid(child);
	seen.exits++;
}

static void test_control_group(void **state)
{
	const char *argv[] = {"/bin/true", NULL};
	struct child_spec spec = {.argv = argv};

	assert_int_equal(pipe2(group, O_CLOEXEC), 0);
	spec.cgroup_fd = group[1];
	assert_int_equal(child_spawn(&loop, &spec, on_start, keep_pid, NULL, &child), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	check_group(pid_at_exit);
	spec.cgroup_fd = 0;
	/* It ends while it is moved, or before: its end is told all the same, once. */
	for (int i = 1; i <= 50; i++) {
		assert_int_equal(child_spawn(&loop, &spec, i % 2 ? move_on_start : on_start, keep_pid, NULL, &child), 0);
		if (i % 2 == 0)
			assert_int_equal(child_move(child, group[1]), 0); /* before the start: remembered */
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(seen.exits, i + 1);
		check_group(pid_at_exit);
	}
	/* A group that is not there any more is no reason to fail. */
	close(group[0]);
	close(group[1]);
	spec.cgroup_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(child_spawn(&loop, &spec, on_start, on_exit_, NULL, &child), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(seen.exits, 52);
	assert_int_equal(seen.start_err, 0);
	close(spec.cgroup_fd);
}

static int many_exits;

static void count_exit(void *ctx, int status)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	many_exits++;
}

static void test_many_at_once(void **state)
{
	const char *argv[] = {"/bin/true", NULL};
	struct child_spec spec = {.argv = argv, .fds = {{1, 3}, {2, 4}}, .fd_count = 2};

	for (int i = 0; i < 100; i++)
		assert_int_equal(child_spawn(&loop, &spec, NULL, count_exit, NULL, &child), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(many_exits, 100);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void nothing(uv_work_t *w)
{
}

static void nothing_after(uv_work_t *w, int status)
{
}

static void test_status_text(void **state)
{
	char text[64];

	child_status_text(SIGKILL, "unheard", 7, text, sizeof(text));
	assert_string_equal(text, "killed by signal 9 (Killed)");
	child_status_text(3 << 8, "", 0, text, sizeof(text));
	assert_string_equal(text, "ended with status 3");
	child_status_text(3 << 8, "no room here", 7, text, sizeof(text));
	assert_string_equal(text, "ended with status 3: no room");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_text),
		T(test_output_and_status), T(test_signal_status), T(test_environment_and_folder),
		T(test_descriptors),	   T(test_signals_are_reset), T(test_group_of_its_own),
		T(test_missing_program),
		T(test_bad_spec),	   T(test_kill),	  T(test_detach),	  T(test_control_group),
		T(test_many_at_once),
	};
	uv_work_t w;

	unit_time_limit(120);
	/* libuv's own descriptors are made once and stay. */
	uv_loop_init(&loop);
	uv_queue_work(&loop, &w, nothing, nothing_after);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	fds_before = unit_count_fds();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
