/* A request's body on its way to a file: collected in memory, written by a pool thread; the client
 * is held back when the disk is slower. */
#ifndef SCHEDULER_SPOOL_H
#define SCHEDULER_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_req;

struct spool {
	uv_loop_t *loop;
	uv_work_t work;
	struct http_req *req; /* held back; NULL when not */
	int fd;
	uint8_t *buf, *writing;
	size_t len, writing_len;
	uint64_t total;
	bool busy, ending;
	int write_err; /* the pool thread's */
	int err;       /* first error; later data is thrown away */
	void (*done)(void *ctx, int err);
	void *ctx;
};

/* Opens path (new). Blocks as little as open(2) does. */
int spool_open(struct spool *s, uv_loop_t *loop, const char *path);
/* From the body's sink. 0, the write error, or -ENOMEM. */
int spool_add(struct spool *s, struct http_req *req, const uint8_t *data, size_t len);
/* No more data: done(ctx, err) is called, later or at once, when all is written and the file closed. */
void spool_end(struct spool *s, void (*done)(void *ctx, int err), void *ctx);
/* The request is gone: no calls on it any more. Follow with spool_end. */
void spool_abort(struct spool *s);

#endif
