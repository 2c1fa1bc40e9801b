/* Child processes: see child.h. posix_spawn (glibc: CLONE_VM | CLONE_VFORK) on a pool thread; the
 * exit arrives as a readable pidfd. */
#include "common/host/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/host/workers.h"

/* Copies of the caller's descriptors live from here up, targets below: dup2 never hits a source. */
#define HIGH_FD 64

struct child {
	uv_work_t work;
	uv_poll_t poll; /* on pidfd */
	uv_loop_t *loop;
	void (*on_start)(void *ctx, int err);
	void (*on_exit)(void *ctx, int status);
	void *ctx;

	char **argv, **envp; /* in blob */
	char *cwd;           /* in blob */
	struct { int fd, target; } fds[CHILD_MAX_FDS];
	unsigned fd_count;

	int cgroup_fd;
	int pending_sig;  /* asked for before the start */
	int pending_move; /* likewise: a cgroup.procs, or 0 */
	bool started, exited;
	bool moving;     /* a pool thread uses its pid: not to be reaped */
	pid_t pid;
	int pidfd;
	int start_err; /* written by the pool thread, read after it */
	char blob[];
};

static size_t list_size(const char *const *list, size_t *ret_count)
{
	size_t bytes = 0, n = 0;

	for (; list && list[n]; n++)
		bytes += strlen(list[n]) + 1;
	*ret_count = n;
	return bytes;
}

static char **list_copy(char **slots, char **text, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(list[i]) + 1;

		slots[i] = memcpy(*text, list[i], n);
		*text += n;
	}
	slots[count] = NULL;
	return slots;
}

static void close_copies(struct child *c)
{
	for (unsigned i = 0; i < c->fd_count; i++)
		close(c->fds[i].fd);
	c->fd_count = 0;
}

static bool is_target(const struct child *c, int fd)
{
	for (unsigned i = 0; i < c->fd_count; i++) {
		if (c->fds[i].target == fd)
			return true;
	}
	return false;
}

static int add_file_actions(const struct child *c, posix_spawn_file_actions_t *fa)
{
	int top = 2, r;

	for (unsigned i = 0; i < c->fd_count; i++) {
		r = posix_spawn_file_actions_adddup2(fa, c->fds[i].fd, c->fds[i].target);
		if (r)
			return r;
		if (c->fds[i].target > top)
			top = c->fds[i].target;
	}
	for (int fd = 0; fd <= top; fd++) {
		if (is_target(c, fd))
			continue;
		r = fd <= 2 ? posix_spawn_file_actions_addopen(fa, fd, "/dev/null", O_RDWR, 0)
			    : posix_spawn_file_actions_addclose(fa, fd);
		if (r)
			return r;
	}
	r = posix_spawn_file_actions_addclosefrom_np(fa, top + 1);
	return r ? r : posix_spawn_file_actions_addchdir_np(fa, c->cwd);
}

/* A child that has just ended, or a group that somebody removed, is no reason to fail: it runs with less of a share, or not. */
static void enter_group(const struct child *c)
{
	static struct stk_log_limit limit = {.burst = 3};
	char pid[16];
	int len = snprintf(pid, sizeof(pid), "%d", (int)c->pid);

	if (write(c->cgroup_fd, pid, (size_t)len) < 0 && errno != ESRCH && stk_log_allow(&limit))
		stk_warn("process %s cannot be put into its control group: %s", pid, strerror(errno));
}

static int spawn_now(struct child *c)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	/* What a parent may have ignored; handlers end with the exec. A whole set costs a system call for each of 64. */
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGCHLD};
	sigset_t none, defaults;
	int r;

	r = posix_spawn_file_actions_init(&fa);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r) {
		posix_spawn_file_actions_destroy(&fa);
		return -r;
	}
	sigemptyset(&none);
	sigemptyset(&defaults);
	for (unsigned i = 0; i < STK_ARRAY_LEN(ignored); i++)
		sigaddset(&defaults, ignored[i]);
	/* A group of its own: Ctrl-C is for the parent, which decides what becomes of its children. */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	r = add_file_actions(c, &fa);
	if (!r)
		r = posix_spawn(&c->pid, c->argv[0], &fa, &attr, c->argv, c->envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fa);
	if (r)
		return -r;
	/* Nobody else waits for it, so that the pid cannot have been recycled. */
	if (c->cgroup_fd)
		enter_group(c);
	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd < 0) {
		r = -errno;
		kill(c->pid, SIGKILL);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {
		}
		return r;
	}
	return 0;
}

static void work_cb(uv_work_t *w)
{
	struct child *c = STK_CONTAINER_OF(w, struct child, work);

	c->start_err = spawn_now(c);
	close_copies(c);
}

static void poll_closed(uv_handle_t *h)
{
	struct child *c = h->data;

	close(c->pidfd);
	free(c);
}

/* Wait status as wait(2) gives it. Blocks only if the child still runs. */
static int reap(struct child *c)
{
	siginfo_t si = {0};

	while (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED) < 0) {
		if (errno != EINTR)
			return W_EXITCODE(255, 0); /* somebody else reaped it: the status is lost */
	}
	if (si.si_code == CLD_EXITED)
		return W_EXITCODE(si.si_status & 0xff, 0);
	return si.si_status | (si.si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

static void over(struct child *c)
{
	void (*on_exit)(void *, int) = c->on_exit;
	int st;

	st = reap(c);
	c->on_exit = NULL;
	c->exited = true;
	if (on_exit)
		on_exit(c->ctx, st);
	uv_close((uv_handle_t *)&c->poll, poll_closed);
}

static void poll_cb(uv_poll_t *p, int status, int events)
{
	struct child *c = p->data;

	/* An error of the poll itself cannot happen on a pidfd; waiting is right then, too. */
	uv_poll_stop(p);
	if (!c->moving) /* else moved() sees to it */
		over(c);
}

static void move_cb(uv_work_t *w)
{
	enter_group(STK_CONTAINER_OF(w, struct child, work));
}

static void moved(uv_work_t *w, int status)
{
	struct child *c = STK_CONTAINER_OF(w, struct child, work);

	c->moving = false;
	if (!uv_is_active((uv_handle_t *)&c->poll))
		over(c);
}

int child_move(struct child *c, int cgroup_fd)
{
	if (!c->started) {
		c->pending_move = cgroup_fd;
		return 0;
	}
	if (c->exited)
		return 0;
	c->cgroup_fd = cgroup_fd;
	c->moving = true;
	if (workers_queue(c->loop, &c->work, move_cb, moved)) {
		c->moving = false;
		return -ENOMEM;
	}
	return 0;
}

static void after_cb(uv_work_t *w, int status)
{
	struct child *c = STK_CONTAINER_OF(w, struct child, work);
	int err = status < 0 ? status : c->start_err;

	if (err == 0) {
		err = uv_poll_init(c->loop, &c->poll, c->pidfd);
		if (err < 0) {
			pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
			reap(c);
			close(c->pidfd);
		}
	}
	if (err < 0) {
		if (c->on_start)
			c->on_start(c->ctx, err);
		close_copies(c); /* still there when the work was cancelled */
		free(c);
		return;
	}
	c->poll.data = c;
	c->started = true;
	/* Cannot fail on a fresh handle. */
	uv_poll_start(&c->poll, UV_READABLE, poll_cb);
	if (c->pending_sig)
		child_kill(c, c->pending_sig);
	if (c->pending_move)
		child_move(c, c->pending_move); /* with less memory it stays where it is */
	if (c->on_start)
		c->on_start(c->ctx, 0);
}

static int copy_fds(struct child *c, const struct child_spec *spec)
{
	for (unsigned i = 0; i < spec->fd_count; i++) {
		int target = spec->fds[i].target, fd;

		if (target < 0 || target >= HIGH_FD || is_target(c, target))
			return -EINVAL;
		fd = fcntl(spec->fds[i].fd, F_DUPFD_CLOEXEC, HIGH_FD);
		if (fd < 0)
			return -errno;
		c->fds[i].fd = fd;
		c->fds[i].target = target;
		c->fd_count = i + 1;
	}
	return 0;
}

int child_spawn(uv_loop_t *loop, const struct child_spec *spec, void (*on_start)(void *ctx, int err),
		void (*on_exit)(void *ctx, int status), void *ctx, struct child **ret_child)
{
	const char *cwd = spec->cwd ? spec->cwd : "/";
	size_t argc, envc, bytes, slots;
	struct child *c;
	char *text;
	int r;

	if (spec->fd_count > CHILD_MAX_FDS || !spec->argv || !spec->argv[0])
		return -EINVAL;
	bytes = list_size(spec->argv, &argc) + list_size(spec->envp, &envc) + strlen(cwd) + 1;
	slots = (argc + envc + 2) * sizeof(char *);
	c = calloc(1, sizeof(*c) + slots + bytes);
	if (!c)
		return -ENOMEM;
	c->argv = (char **)(void *)c->blob;
	c->envp = c->argv + argc + 1;
	text = c->blob + slots;
	list_copy(c->argv, &text, spec->argv, argc);
	list_copy(c->envp, &text, spec->envp, envc);
	c->cwd = strcpy(text, cwd);
	c->loop = loop;
	c->on_start = on_start;
	c->on_exit = on_exit;
	c->ctx = ctx;
	c->pidfd = -1;
	c->cgroup_fd = spec->cgroup_fd;
	r = copy_fds(c, spec);
	if (r == 0)
		r = workers_queue(loop, &c->work, work_cb, after_cb);
	if (r < 0) {
		close_copies(c);
		free(c);
		return r;
	}
	*ret_child = c;
	return 0;
}

void child_kill(struct child *c, int sig)
{
	if (!c->started)
		c->pending_sig = sig; /* pid and pidfd still belong to the pool thread */
	else if (!c->exited)
		pidfd_send_signal(c->pidfd, sig, NULL, 0); /* fails only when it is dead already */
}

pid_t child_pid(const struct child *c)
{
	return c->started ? c->pid : 0;
}

void child_hand_over(struct child *c, void (*on_exit)(void *ctx, int status), void *ctx)
{
	c->on_start = NULL;
	c->on_exit = on_exit;
	c->ctx = ctx;
}

void child_status_text(int status, const char *words, size_t words_len, char *buf, size_t cap)
{
	if (WIFSIGNALED(status))
		snprintf(buf, cap, "killed by signal %d (%s)", WTERMSIG(status),
			 sigdescr_np(WTERMSIG(status)) ? sigdescr_np(WTERMSIG(status)) : "unknown");
	else
		snprintf(buf, cap, "ended with status %d%s%.*s", WEXITSTATUS(status), words_len ? ": " : "",
			 (int)words_len, words);
}

void child_detach(struct child *c, bool kill_it)
{
	c->on_start = NULL;
	c->on_exit = NULL;
	if (kill_it)
		child_kill(c, SIGKILL);
}
