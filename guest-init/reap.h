/* PID 1's children, and how the function's process ended. */
#ifndef GUEST_INIT_REAP_H
#define GUEST_INIT_REAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct reap {
	int signal_fd; /* readable when a child has ended */
	int64_t oom_kills; /* the kernel's count when the function was started */
};

/* Blocks SIGCHLD and opens the descriptor for it. 0 or negative errno. */
int reap_init(struct reap *r);

/* Empties the descriptor and collects every child that has ended. True when `watched` is among
 * them: *ret_status is then as from waitpid. */
bool reap_collect(struct reap *r, pid_t watched, int *ret_status);

/* Remembers the count of kills for lack of memory. */
void reap_mark(struct reap *r);

/* Whether the kernel has killed for lack of memory since reap_mark; a kernel that does not count
 * is taken to have: nobody else in a guest sends SIGKILL. */
bool reap_oom_killed(const struct reap *r);

#endif
