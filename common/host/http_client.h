/* Small blocking HTTP/1.1 client, over a Unix socket or TCP: for the tools (stoker, stoker-snapshot,
 * stoker-bench's set-up) and for threads of stokerd, never on its loop. Responses are bounded. */
#ifndef COMMON_HOST_HTTP_CLIENT_H
#define COMMON_HOST_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"

struct http_client;

struct http_client_resp {
	int status;
	char *headers; /* "name: value\n" lines, names in lower case; heap */
	uint8_t *body; /* heap, NUL behind it */
	size_t body_len;
};

/* target: "unix:/path", "http://host:port" or "host:port". timeout_ms bounds connect and each wait. */
int http_client_connect(const char *target, unsigned timeout_ms, struct http_client **ret_client,
			struct stk_err *err);
/* Connects, now and later, only to those of a name's addresses that are allowed: -EACCES when none is. */
struct sockaddr;
int http_client_connect_if(const char *target, unsigned timeout_ms, bool (*allowed)(const struct sockaddr *addr),
			   struct http_client **ret_client, struct stk_err *err);
void http_client_free(struct http_client *c);
/* From now on all connecting, sending and receiving together takes at most so long, however busy the peer keeps us:
 * -ETIMEDOUT then. (Only looking up a name has limits of its own, the resolver's.) */
void http_client_limit(struct http_client *c, unsigned total_ms);

/* A byte stream over the client's connection, as TLS is: everything then passes through it. Both wait with
 * http_client_wait and return bytes, 0 at the end (read), or a negative errno. */
struct http_client_stream {
	void *ctx;
	ssize_t (*read)(void *ctx, void *buf, size_t len);
	ssize_t (*write)(void *ctx, const void *buf, size_t len);
};
/* stream outlives c; a connection that was closed is not opened again. */
void http_client_set_stream(struct http_client *c, const struct http_client_stream *stream);
/* The connection: the client's, non-blocking. */
int http_client_fd(const struct http_client *c);
/* Until the connection is ready for events (poll's), in the client's time limits. 0, -ETIMEDOUT. */
int http_client_wait(const struct http_client *c, short events);
/* http_client_limit's time is over. */
bool http_client_expired(const struct http_client *c);

/* path with query, already encoded. headers: "Name: value\r\n"... or NULL. Keeps the connection;
 * reconnects when the server closed it idle (a POST or PATCH is never sent twice). max_body bounds
 * the answer: -EMSGSIZE. -ETIMEDOUT, -EPROTO (no HTTP), -ECONNRESET (no or half an answer). */
int http_client_request(struct http_client *c, const char *method, const char *path,
			const char *headers, const void *body, size_t body_len, size_t max_body,
			struct http_client_resp *ret_resp, struct stk_err *err);
/* GET whose answer's body, if its status is a 2xx, goes to sink as it comes, however long that takes: once it has begun,
 * nothing but a connection that dies (found out by keep-alives) ends it before its end. sink returns 0, or a negative errno
 * that ends it. An answer of another status is as above. */
int http_client_follow(struct http_client *c, const char *path, const char *headers, size_t max_body,
		       int (*sink)(void *ctx, const void *data, size_t len), void *ctx, struct http_client_resp *ret_resp,
		       struct stk_err *err);
void http_client_resp_fini(struct http_client_resp *r);
/* Value of a header (lower-case name) copied into buf; -ENOENT. */
int http_client_header(const struct http_client_resp *r, const char *name, char *buf, size_t cap);

#endif
