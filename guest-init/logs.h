/* What the function writes to stdout and stderr: two pipes, turned into bounded pieces for the
 * session. A function that writes without measure loses output (and is told so in its log), never
 * its life; one that writes faster than the host reads waits in write(2). Single-threaded. */
#ifndef GUEST_INIT_LOGS_H
#define GUEST_INIT_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGS_PIECE      16384u            /* largest piece handed to emit */
#define LOGS_DRAIN_MAX  (64u * 1024)      /* taken from one pipe by logs_drain: what a pipe holds */
#define LOGS_BURST      (4u * 1024 * 1024) /* bytes that may come at once */
#define LOGS_PER_SECOND (1024u * 1024)    /* and from then on */

struct logs_ops {
	/* False while the session's queue is too full for a piece. */
	bool (*room)(void *ctx);
	/* descriptor is 1 or 2. */
	void (*emit)(void *ctx, int descriptor, const uint8_t *data, size_t len);
};

struct logs {
	const struct logs_ops *ops;
	void *ctx;
	int epfd;
	uint64_t tag;
	int fd[2]; /* read ends, -1 when closed */
	bool armed[2];
	uint64_t tokens;
	uint64_t refilled_ns;
	uint64_t dropped[2];
	uint8_t buf[LOGS_PIECE];
};

void logs_init(struct logs *l, int epfd, const struct logs_ops *ops, void *ctx);

/* Makes the two pipes and watches their read ends with epoll data tag + 0 and tag + 1.
 * ret_child[0], [1] are the write ends for the function's descriptors 1 and 2: the caller's.
 * 0 or negative errno, with nothing left open. */
int logs_open(struct logs *l, uint64_t tag, int ret_child[2]);

/* The pipe `which` (0 or 1) has something to read, or has ended. */
void logs_readable(struct logs *l, int which);

/* The session's queue was emptied: listen again. */
void logs_resume(struct logs *l);

/* Hands over what is in the pipes now. For the moment before the last frame of an invocation. */
void logs_drain(struct logs *l);

void logs_close(struct logs *l);

#endif
