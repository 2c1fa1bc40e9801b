/* One keep-alive HTTP/1.1 connection on a libuv loop, one request at a time. Connects at the first
 * request and again when the server closed. Single thread: the loop's. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define CLIENT_BODY_KEEP 4096

struct client;

struct client_result {
	int err;    /* 0, or: -ETIMEDOUT, -ECONNRESET (closed too early), -EPROTO, a connect error */
	int status; /* HTTP status when err is 0 */
	uint64_t done_ns; /* CLOCK_MONOTONIC at the last byte or the failure */
	char start[24];          /* X-Stoker-Start */
	char error_kind[48];     /* X-Stoker-Error */
	char server_timing[512]; /* Server-Timing */
	const char *body; /* first CLIENT_BODY_KEEP bytes, NUL-terminated; valid during the callback */
	size_t body_len;  /* length of the whole body */
};

typedef void (*client_done)(void *ctx, struct client *c, const struct client_result *result);

/* addr is copied. 0 or negative errno. */
int client_new(uv_loop_t *loop, const struct sockaddr_in *addr, client_done done, void *ctx,
	       struct client **ret_client);
/* Sends a whole prepared request; it stays the caller's and must live until done. done is called
 * exactly once, from the loop, never from within this call. */
void client_send(struct client *c, const char *request, size_t len, uint64_t timeout_ms);
/* Closes; freed by the loop. A request under way gets no callback. NULL is allowed. */
void client_free(struct client *c);

#endif
