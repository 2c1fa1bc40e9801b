/* The stoker-vmm process of one snapshot being made: started, driven over its REST API, ended. */
#ifndef SNAPSHOTS_TOOL_MONITOR_H
#define SNAPSHOTS_TOOL_MONITOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"

#define MONITOR_TAIL 4096u

struct monitor {
	pid_t pid;    /* 0: not running */
	int status;   /* of wait(2), when it was reaped */
	bool reaped;
	int pidfd;
	int dir_fd;   /* private folder: socket, later the snapshot's files */
	int stream;   /* our end of the guest's connection to GW_PORT; non-blocking */
	int console;  /* what the guest writes to its serial port; non-blocking */
	uint64_t deadline_ns;
	char tail[MONITOR_TAIL]; /* the console's last bytes */
	size_t tail_len;
};

/* -1s and zeros, so that monitor_end is always right. */
void monitor_init(struct monitor *m);
/* Starts `program` with its API socket in the folder `dir` (0700) and waits until it answers.
 * Everything has to be over at deadline_ns (monotonic). */
int monitor_start(struct monitor *m, const char *program, const char *dir, uint64_t deadline_ns,
		  struct stk_err *err);
/* One REST request; body is taken over (may be NULL: -ENOMEM). Anything but 2xx is an error with the
 * monitor's own text. */
int monitor_call(struct monitor *m, const char *method, const char *path, json_t *body, struct stk_err *err);
/* Reads what the console has; keeps its end. */
void monitor_drain(struct monitor *m);
/* When the process has ended: -EIO with text that says how, and the end of the console. 0 when it runs. */
int monitor_check(struct monitor *m, struct stk_err *err);
/* What a microVM that does not answer is doing, for an error text: whether it computes or sleeps, and how much CPU time it
 * has used. Watches it for a moment. */
void monitor_activity(const struct monitor *m, char *ret, size_t cap);
/* Bytes of memory that the process has, nearly all of it the guest's; 0: not known. */
uint64_t monitor_resident(const struct monitor *m);
/* Prints the console's last lines to stderr, made harmless for a terminal. */
void monitor_show_tail(const struct monitor *m);
/* Kills, reaps, closes, removes the socket. */
void monitor_end(struct monitor *m);

#endif
