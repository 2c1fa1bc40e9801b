/* A function's kept output, read from its files in pieces: what passes a filter of the last lines there are, and then, if it
 * is wanted, what is written later. Rotation (logs.h) is followed: a file that was begun is read to its end, wherever it has
 * been moved, then the next one. Who is slower than two files is told that some is missing. Lines come whole.
 *
 * All of it blocks: one worker thread at a time. Memory: a few KiB, with a version 64 more, and the caller's buffer. */
#ifndef SCHEDULER_LOGREAD_H
#define SCHEDULER_LOGREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOGREAD_LINES_MAX 100000u
#define LOGREAD_ID_MAX    64
#define LOGREAD_TIME_LEN  24
#define LOGREAD_VERSIONS  2
#define LOGREAD_PIECE     65536u /* a buffer for logread_next has at least so much */

struct logread_filter {
	char since[LOGREAD_TIME_LEN + 1];         /* as lines begin, 2026-01-02T03:04:05.678Z; "": any */
	char id[LOGREAD_ID_MAX + 1];              /* of the request; "": any */
	char version[LOGREAD_VERSIONS][12];       /* of calls that one of these served, as START says; [0] "": any line */
	unsigned lines;                           /* of those that pass and are there at the start, the last so many */
	bool follow;                              /* and what comes later */
};

struct logread;

/* Of DIR/NAME.log and NAME.log.1. rotations: how often it was rotated in this process; counted by whoever does it, behind
 * each time and before the next file begins. No file is as good as an empty one. -ENOMEM, -EIO and others. */
int logread_open(const char *dir, const char *name, const unsigned *rotations, const struct logread_filter *filter,
		 struct logread **ret_reader);
void logread_close(struct logread *r); /* any thread; NULL is fine */
/* The next lines that pass, cap at least LOGREAD_PIECE. 0: there are no more for now. Negative errno. */
ssize_t logread_next(struct logread *r, char *buf, size_t cap);

#endif
