/* Child processes on a libuv loop: started without copying the parent's page tables (vfork-style
 * clone on a pool thread, so that the loop never waits for a fork or exec), watched by pidfd. */
#ifndef COMMON_HOST_CHILD_H
#define COMMON_HOST_CHILD_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "common/base/err.h"

struct child;

#define CHILD_MAX_FDS 8

struct child_spec {
	const char *const *argv; /* argv[0] is the path; NULL-terminated */
	const char *const *envp; /* NULL: empty environment */
	/* In the child, descriptor target[i] is a copy of fd[i]; everything else is closed.
	 * 0, 1, 2 not named here become /dev/null. The caller's descriptors stay the caller's.
	 * Targets are distinct and below 64. */
	struct { int fd, target; } fds[CHILD_MAX_FDS];
	unsigned fd_count;
	const char *cwd; /* NULL: "/" */
	int cgroup_fd;   /* 0, or a cgroup.procs: the child's group. Open until on_start. */
};

/* The child starts with default signal dispositions and nothing blocked, in a process group of its own. A parent-death signal it
 * asks for is bound to a pool thread, which lives as long as the process.
 * argv, envp and fds are copied (fds duplicated) before return. on_start(err 0 or negative errno)
 * is called on the loop, then, if it was 0, on_exit once: status as WIFEXITED/WTERMSIG of wait(2).
 * Either may be NULL. The child is freed after on_exit (or a failed on_start) returns. */
int child_spawn(uv_loop_t *loop, const struct child_spec *spec, void (*on_start)(void *ctx, int err),
		void (*on_exit)(void *ctx, int status), void *ctx, struct child **ret_child);
/* Into another control group, by a cgroup.procs that stays open until the loop's end; on a pool thread, once. -ENOMEM. */
int child_move(struct child *c, int cgroup_fd);
/* SIGKILL (or another signal) by pidfd: never hits a recycled pid. Before the start it is
 * remembered and carried out then. */
void child_kill(struct child *c, int sig);
pid_t child_pid(const struct child *c); /* 0 before the start */
/* From now on these are told of the end, of a child whose start was told already. */
void child_hand_over(struct child *c, void (*on_exit)(void *ctx, int status), void *ctx);
/* How a child ended, for people: "killed by signal N (NAME)", or "ended with status N" and behind a colon its last
 * words, if it had any. status is on_exit's; buf gets a cut text when it is too small. Any thread. */
void child_status_text(int status, const char *words, size_t words_len, char *buf, size_t cap);
/* No more callbacks; the child (killed first if kill_it) is reaped in the background. */
void child_detach(struct child *c, bool kill_it);

#endif
