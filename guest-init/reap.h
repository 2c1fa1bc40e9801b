/* PID 1's children, how the function's process ended, and how much memory its group has used. */
#ifndef GUEST_INIT_REAP_H
#define GUEST_INIT_REAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct reap {
	int signal_fd; /* readable when a child has ended */
	int peak_fd;   /* the group's memory.peak; -1: none */
	int64_t oom_kills; /* the kernel's count when the function was started */
};

/* Blocks SIGCHLD and opens the descriptor for it. 0 or negative errno. */
int reap_init(struct reap *r);

/* Empties the descriptor. */
void reap_clear(struct reap *r);

/* Collects a child that has ended: its pid, and *ret_status as from waitpid. 0: none (more) has. */
pid_t reap_next(int *ret_status);

/* Remembers the count of kills for lack of memory, and opens what reap_peak_mib reads. */
void reap_mark(struct reap *r);

/* Whether the kernel has killed for lack of memory since reap_mark; a kernel that does not count
 * is taken to have: nobody else in a guest sends SIGKILL. */
bool reap_oom_killed(const struct reap *r);

/* Memory that the function's group has used at most, in MiB, at most 65535; 0: not known. */
unsigned reap_peak_mib(const struct reap *r);

void reap_fini(struct reap *r);

#endif
