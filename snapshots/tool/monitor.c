/* stoker-vmm as a child process: see monitor.h. */
#include "snapshots/tool/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/guestwire.h"
#include "common/base/str.h"
#include "common/host/http_client.h"
#include "snapshots/tool/tool.h"

#define SOCKET_NAME "api.sock"
#define STREAM_FD   3
#define MAX_ANSWER  65536u
#define WATCH_NS    200000000L

void monitor_init(struct monitor *m)
{
	memset(m, 0, sizeof(*m));
	m->pidfd = m->dir_fd = m->stream = m->console = -1;
}

static unsigned left_ms(const struct monitor *m)
{
	uint64_t now = stk_now_ns();

	if (now >= m->deadline_ns)
		return 0;
	now = (m->deadline_ns - now) / STK_NS_PER_MS + 1;
	return now > 1000000 ? 1000000 : (unsigned)now;
}

/* In the child: only async-signal-safe calls. */
static void __attribute__((noreturn)) exec_child(const char *program, char *parent, int dir_fd, int stream,
						 int console, int report)
{
	char *argv[] = {(char *)(uintptr_t)program, "--api-sock", SOCKET_NAME, "--vsock-fd", "1024:3",
			"--die-with-parent", parent, "--log-level", "warn", NULL};
	int null = open("/dev/null", O_RDWR), e;
	sigset_t none;

	_Static_assert(GW_PORT == 1024 && STREAM_FD == 3, "--vsock-fd above");
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* All of ours are above the targets, so that no dup2 hits one that is still needed. */
	stream = fcntl(stream, F_DUPFD, 16);
	console = fcntl(console, F_DUPFD, 16);
	report = fcntl(report, F_DUPFD_CLOEXEC, 16);
	if (null >= 0 && stream >= 0 && console >= 0 && report >= 0 && fchdir(dir_fd) == 0 &&
	    dup2(null, STDIN_FILENO) >= 0 && dup2(console, STDOUT_FILENO) >= 0 &&
	    dup2(stream, STREAM_FD) >= 0 && dup2(report, 4) >= 0 && fcntl(4, F_SETFD, FD_CLOEXEC) == 0 &&
	    syscall(SYS_close_range, 5U, ~0U, 0U) == 0) {
		report = 4;
		execv(program, argv);
	}
	e = errno;
	while (write(report, &e, sizeof(e)) < 0 && errno == EINTR)
		;
	_exit(127);
}

static int spawn(struct monitor *m, const char *program, struct stk_err *err)
{
	int sv[2], con[2], rep[2], e = 0, r;
	char parent[16];
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return stk_err_sys(err, -errno, "socketpair");
	m->stream = sv[0];
	stk_autofd child_stream = sv[1];

	if (pipe2(con, O_CLOEXEC) < 0)
		return stk_err_sys(err, -errno, "pipe");
	m->console = con[0];
	stk_autofd child_console = con[1];

	if (pipe2(rep, O_CLOEXEC) < 0)
		return stk_err_sys(err, -errno, "pipe");
	stk_autofd report = rep[0];
	stk_autofd child_report = rep[1];

	r = stk_set_nonblock(m->stream);
	if (r == 0)
		r = stk_set_nonblock(m->console);
	if (r < 0)
		return stk_err_sys(err, r, "fcntl");
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	m->pid = fork();
	if (m->pid < 0) {
		m->pid = 0;
		return stk_err_sys(err, -errno, "fork");
	}
	if (m->pid == 0)
		exec_child(program, parent, m->dir_fd, child_stream, child_console, child_report);
	signals_watch(m->pid);
	close(stk_take_fd(&child_report));
	do
		n = read(report, &e, sizeof(e));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(e))
		return stk_err_sys(err, -e, "cannot start %s", program);
	m->pidfd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	return m->pidfd < 0 ? stk_err_sys(err, -errno, "pidfd_open") : 0;
}

void monitor_drain(struct monitor *m)
{
	char buf[4096];

	while (m->console >= 0) {
		ssize_t n = read(m->console, buf, sizeof(buf));
		size_t len = n > 0 ? (size_t)n : 0, keep;

		if (n <= 0) {
			if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
				close(m->console);
				m->console = -1;
			}
			return;
		}
		keep = m->tail_len + len > MONITOR_TAIL ? MONITOR_TAIL - len : m->tail_len;
		memmove(m->tail, m->tail + m->tail_len - keep, keep);
		memcpy(m->tail + keep, buf, len);
		m->tail_len = keep + len;
	}
}

void monitor_show_tail(const struct monitor *m)
{
	size_t start = m->tail_len > 1500 ? m->tail_len - 1500 : 0;

	if (m->tail_len == start)
		return;
	progress_clear();
	fprintf(stderr, "--- last output of the guest's console ---\n");
	for (size_t i = start; i < m->tail_len; i++) {
		unsigned char c = (unsigned char)m->tail[i];

		if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f))
			fputc(c, stderr);
		else if (c != '\r')
			fprintf(stderr, "\\x%02x", c);
	}
	fprintf(stderr, "\n---\n");
}

/* CPU time of all its threads, in ms; -1: it has gone. */
static long long cpu_ms(pid_t pid)
{
	unsigned long user, system;
	char path[64], text[512], *end;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	end = strrchr(text, ')'); /* a name may hold anything */
	if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		return -1;
	return (long long)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

void monitor_activity(const struct monitor *m, char *ret, size_t cap)
{
	struct timespec ts = {.tv_nsec = WATCH_NS};
	long long before = m->pid > 0 && !m->reaped ? cpu_ms(m->pid) : -1, after;

	nanosleep(&ts, NULL);
	after = before < 0 ? -1 : cpu_ms(m->pid);
	if (after < 0)
		snprintf(ret, cap, "the microVM has ended");
	else
		snprintf(ret, cap, "the microVM %s, after %lld ms of CPU time",
			 (after - before) * STK_NS_PER_MS > WATCH_NS / 4 ? "computes" : "sleeps", after);
}

uint64_t monitor_resident(const struct monitor *m)
{
	unsigned long pages = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)m->pid);
	f = m->pid > 0 && !m->reaped ? fopen(path, "re") : NULL;
	if (!f)
		return 0;
	if (fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

int monitor_check(struct monitor *m, struct stk_err *err)
{
	if (m->pid > 0 && !m->reaped) {
		pid_t p;

		/* No signal may reach a pid that is reaped and perhaps somebody else's. */
		signals_watch(0);
		do
			p = waitpid(m->pid, &m->status, WNOHANG);
		while (p < 0 && errno == EINTR);
		if (p == 0) {
			signals_watch(m->pid);
			return 0;
		}
		m->reaped = true;
	}
	monitor_drain(m);
	if (signals_caught())
		return stk_err_set(err, -EINTR, "ended by signal %d", signals_caught());
	if (WIFSIGNALED(m->status) && WTERMSIG(m->status) == SIGSYS)
		return stk_err_set(err, -EIO, "stoker-vmm was stopped by its own system call filter");
	if (WIFSIGNALED(m->status))
		return stk_err_set(err, -EIO, "stoker-vmm was killed by signal %d", WTERMSIG(m->status));
	if (WEXITSTATUS(m->status) == 0)
		return stk_err_set(err, -EIO, "the guest switched its machine off");
	return stk_err_set(err, -EIO, "stoker-vmm ended with status %d", WEXITSTATUS(m->status));
}

static void socket_target(const struct monitor *m, char *buf, size_t cap)
{
	/* Short, however long the folder's path is. */
	snprintf(buf, cap, "unix:/proc/self/fd/%d/%s", m->dir_fd, SOCKET_NAME);
}

/* The socket shows up when the monitor is ready to serve it. */
static int wait_api(struct monitor *m, struct stk_err *err)
{
	char target[64];

	socket_target(m, target, sizeof(target));
	for (;;) {
		struct pollfd p = {.fd = m->pidfd, .events = POLLIN};
		struct http_client *c = NULL;
		unsigned ms = left_ms(m);
		int r;

		if (ms == 0)
			return stk_err_set(err, -ETIMEDOUT, "stoker-vmm did not open its API socket in time");
		r = http_client_connect(target, ms, &c, err);
		http_client_free(c);
		if (r == 0 || (r != -ENOENT && r != -ECONNREFUSED))
			return r;
		if (poll(&p, 1, 2) > 0) {
			r = monitor_check(m, err);
			return r < 0 ? r : stk_err_set(err, -EIO, "stoker-vmm ended");
		}
		if (signals_caught())
			return stk_err_set(err, -EINTR, "ended by signal %d", signals_caught());
	}
}

int monitor_start(struct monitor *m, const char *program, const char *dir, uint64_t deadline_ns,
		  struct stk_err *err)
{
	int r;

	m->deadline_ns = deadline_ns;
	m->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->dir_fd < 0)
		return stk_err_sys(err, -errno, "%s", dir);
	r = spawn(m, program, err);
	return r < 0 ? r : wait_api(m, err);
}

static void say_fault(const struct http_client_resp *resp, const char *method, const char *path,
		      struct stk_err *err)
{
	json_t *body = json_loadb((const char *)resp->body, resp->body_len, 0, NULL);
	const char *text = json_string_value(json_object_get(body, "fault_message"));

	stk_err_set(err, -EIO, "stoker-vmm refuses %s %s (%d): %.250s", method, path, resp->status,
		    text ? text : "without a reason");
	json_decref(body);
}

int monitor_call(struct monitor *m, const char *method, const char *path, json_t *body, struct stk_err *err)
{
	stk_autofree char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct http_client_resp resp = {0};
	struct http_client *c = NULL;
	struct stk_err died;
	char target[64];
	int r;

	json_decref(body);
	if (!text)
		return stk_err_set(err, -EINVAL, "%s %s: a path or name is not UTF-8", method, path);
	if (signals_caught())
		return stk_err_set(err, -EINTR, "ended by signal %d", signals_caught());
	if (left_ms(m) == 0)
		return stk_err_set(err, -ETIMEDOUT, "%s %s: the time limit is over", method, path);
	socket_target(m, target, sizeof(target));
	r = http_client_connect(target, left_ms(m), &c, err); /* a connection per call: each its own limit */
	if (r == 0)
		r = http_client_request(c, method, path, "Content-Type: application/json\r\n", text,
					strlen(text), MAX_ANSWER, &resp, err);
	http_client_free(c);
	if (r < 0) {
		stk_err_prefix(err, "%s %s", method, path);
		if (monitor_check(m, &died) < 0) /* the better explanation */
			r = stk_err_set(err, died.code, "%s", died.text);
		return r;
	}
	if (resp.status < 200 || resp.status > 299) {
		say_fault(&resp, method, path, err);
		r = -EIO;
	}
	http_client_resp_fini(&resp);
	return r;
}

void monitor_end(struct monitor *m)
{
	if (m->pid > 0 && !m->reaped) {
		kill(m->pid, SIGKILL);
		signals_watch(0);
		while (waitpid(m->pid, &m->status, 0) < 0 && errno == EINTR)
			;
		m->reaped = true;
	}
	m->pid = 0;
	stk_cleanup_fd(&m->pidfd);
	stk_cleanup_fd(&m->stream);
	stk_cleanup_fd(&m->console);
	if (m->dir_fd >= 0) {
		unlinkat(m->dir_fd, SOCKET_NAME, 0);
		close(m->dir_fd);
	}
	m->pidfd = m->stream = m->console = m->dir_fd = -1;
}
