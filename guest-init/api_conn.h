/* HTTP connections of the function's processes on loopback: the part of the Runtime API's server that knows nothing of
 * functions. Keep-alive, several connections, no time limits of its own, no allocation. Single-threaded, driven by the
 * owner's epoll loop. Which requests there are and what they mean: runtime_api.h, extensions.h. */
#ifndef GUEST_INIT_API_CONN_H
#define GUEST_INIT_API_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-init/http1.h"

#define API_CONNS 24u    /* the runtime's and those of ten extensions */
#define API_RX    65536u /* = GW_MAX_CHUNK: one read is at most one RESPONSE frame */

/* Type and message of the JSON body {"errorMessage", "errorType"}. */
struct api_refusal {
	int status;
	const char *type, *message;
};

extern const struct api_refusal api_not_found, api_bad_method, api_bad_state;

/* What a connection needs to read; a page of it that was never used is never there. */
struct api_conn_buf {
	struct http1 http;
	char out[2048];
	uint8_t rx[API_RX];
};

struct api_conn {
	int fd; /* -1: free slot */
	enum { API_READING, API_PARKED, API_WRITING } state;
	int action; /* the owner's: what the request is; 0 before its head is complete */
	const struct api_refusal *refusal;
	bool close_after;
	bool warmable; /* its `next` may be answered by "warm up and ask again" */
	uint8_t extension; /* whose event it waits for */
	uint32_t events;
	uint64_t total; /* the owner's: body bytes so far */
	/* being sent: head, then body (the event, in the owner's buffer) */
	const uint8_t *head, *body;
	size_t head_left, body_left;
	size_t rx_off, rx_len;
	struct api_conn_buf *buf;
};

struct api_server;

struct api_ops {
	/* Request line and headers are there. True: the body is wanted soon. */
	bool (*head)(void *ctx, struct api_conn *c);
	/* A piece of the body; with the last one fin. A body may end with an empty piece. */
	void (*body)(void *ctx, struct api_conn *c, const uint8_t *data, size_t len, bool fin);
	/* The request is complete: api_answer, api_refuse, api_send or api_park, now. */
	void (*complete)(void *ctx, struct api_conn *c);
	/* The rest of a request will not come. */
	void (*cut)(void *ctx, struct api_conn *c);
	/* False: this connection is not to be read now (api_conn_arm when that has changed). */
	bool (*readable)(void *ctx, const struct api_conn *c);
};

struct api_server {
	const struct api_ops *ops;
	void *ctx;
	int epfd;
	int listen_fd;
	uint64_t tag;
	bool accepting;
	struct api_conn conn[API_CONNS];
	struct api_conn_buf buf[API_CONNS];
};

/* Listens on 127.0.0.1:port (0: any; *ret_port tells which). epoll data: tag for the listener,
 * tag + 1 + i for connection i. 0 or negative errno. */
int api_server_open(struct api_server *s, int epfd, uint64_t tag, uint16_t port, const struct api_ops *ops, void *ctx,
		    uint16_t *ret_port);
/* index = epoll data minus tag. */
void api_server_event(struct api_server *s, uint64_t index, uint32_t events);
/* For when the clients are dead: takes in what they still sent. False: ops.readable held it back. */
bool api_server_settle(struct api_server *s);
void api_server_close(struct api_server *s);

/* A JSON answer; headers are whole lines. Afterwards c may be closed (fd -1). */
void api_answer(struct api_server *s, struct api_conn *c, int status, const char *headers, const char *body);
void api_refuse(struct api_server *s, struct api_conn *c, const struct api_refusal *r);
/* Sends both parts, which must stay where they are until the connection reads again. */
void api_send(struct api_server *s, struct api_conn *c, const void *head, size_t head_len, const void *body,
	      size_t body_len);
/* The request waits; only a close is listened for. */
void api_park(struct api_server *s, struct api_conn *c);
/* Listens for what the connection's state waits for. */
void api_conn_arm(struct api_server *s, struct api_conn *c);

#endif
