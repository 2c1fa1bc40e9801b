/* HTTP/1.x server on libuv and llhttp, for TCP and Unix sockets. Bounded in everything: open
 * connections, header bytes, body bytes, time for headers, for the body, idle and for writing.
 * One request at a time per connection (pipelined ones wait, reading stops); keep-alive.
 *
 * Threads: the loop's only. Lifetime: a struct http_req is valid from on_request until the handler
 * has called http_respond* (whole answer) or http_stream_end, or until on_close says that the
 * client has gone; after that it must not be touched. Malformed input is answered by the server
 * itself (400, 408, 413, 414, 417, 431, 501, 503, 505) with the body that error_body makes; the
 * connection is then closed after what is still coming in has been swallowed for a while.
 *
 * A client that ends its side of the connection while it waits for an answer counts as gone.
 * http_server_new makes the process ignore SIGPIPE where it had its default action. */
#ifndef COMMON_HOST_HTTP_SERVER_H
#define COMMON_HOST_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"

struct http_server;
struct http_req;

struct http_header {
	const char *name; /* as received; compare without case */
	const char *value;
};

struct http_limits {
	unsigned max_connections;   /* further ones get 503 and are closed */
	size_t max_header_bytes;    /* request line and all header lines; 431 beyond (414 for the URL) */
	unsigned max_headers;
	size_t max_body_bytes;      /* default; http_req_set_max_body changes it in on_headers */
	size_t max_buffered_bytes;  /* of bodies over 64 KiB that are being read, all connections together: 503 */
	unsigned header_timeout_ms; /* from first byte to end of headers: 408 */
	unsigned body_timeout_ms;   /* no progress of the body for this long: 408 */
	unsigned idle_timeout_ms;   /* keep-alive between requests: close */
	unsigned write_timeout_ms;  /* client takes nothing for this long (to twice that): close */
};

struct http_callbacks {
	/* Headers complete, body not read yet. May answer at once (then the body is discarded, bounded,
	 * or the connection closed), may call http_req_set_max_body or http_req_stream_body. Optional. */
	void (*on_headers)(void *ctx, struct http_req *req);
	/* Whole request there. Must answer now or later. */
	void (*on_request)(void *ctx, struct http_req *req);
	/* No answer is wanted any more: the client has gone, or the server has refused the rest of the
	 * request itself (body malformed, too large, too slow, sink failed). Forget req. Called at most
	 * once, only between on_headers/on_request and the end of the answer. */
	void (*on_close)(void *ctx, struct http_req *req);
	/* Fills the body for an error that the server itself answers; sets *ret_type to a static string.
	 * Returns the length written (at most cap). req: what had come of it, for its path and for http_resp_header, not to
	 * be answered; NULL when its headers were not complete. Optional: plain text then. */
	size_t (*error_body)(void *ctx, struct http_req *req, int status, const char *text, char *buf, size_t cap,
			     const char **ret_type);
};

void http_limits_default(struct http_limits *limits);

/* Listeners (at most 4). host: numeric address, "localhost" or "*". A Unix socket file that nobody
 * answers on is replaced, any other file is not; it is removed when the server is closed. */
int http_server_new(uv_loop_t *loop, const struct http_limits *limits,
		    const struct http_callbacks *cb, void *ctx, struct http_server **ret_server);
int http_server_listen_tcp(struct http_server *s, const char *host, unsigned port,
			   unsigned *ret_port, struct stk_err *err);
int http_server_listen_unix(struct http_server *s, const char *path, struct stk_err *err);
/* Stops accepting, lets answers under way finish, then (or after timeout_ms) closes all and calls
 * done. The server is freed after done returns. */
void http_server_close(struct http_server *s, unsigned timeout_ms, void (*done)(void *ctx), void *ctx);
unsigned http_server_connections(const struct http_server *s);

/* --- request ------------------------------------------------------------------------------- */
const char *http_req_method(const struct http_req *req); /* "GET", ... */
const char *http_req_path(const struct http_req *req);   /* raw, still percent-encoded, no query */
const char *http_req_query(const struct http_req *req);  /* raw, "" when none */
const char *http_req_header(const struct http_req *req, const char *name); /* first, or NULL */
size_t http_req_headers(const struct http_req *req, const struct http_header **ret_headers);
const uint8_t *http_req_body(const struct http_req *req, size_t *ret_len); /* in on_request */
/* Takes the body's buffer away from req (caller frees); later http_req_body gives NULL. */
uint8_t *http_req_take_body(struct http_req *req, size_t *ret_len);
uint64_t http_req_start_ns(const struct http_req *req); /* monotonic, first byte of the request */
uint64_t http_req_parsed_ns(const struct http_req *req); /* monotonic, last byte parsed */
const char *http_req_peer(const struct http_req *req);  /* "127.0.0.1:1234", "[::1]:1", "unix" */
void http_req_set_ptr(struct http_req *req, void *ptr); /* the handler's own */
void *http_req_ptr(const struct http_req *req);
/* Little may be sent for long: a client that vanishes without a word meanwhile is found out in about so many seconds. */
void http_req_expect_silence(struct http_req *req, unsigned seconds);
/* Who sends it, as the program found out: its own, NULL until set. */
void http_req_set_who(struct http_req *req, const void *who);
const void *http_req_who(const struct http_req *req);

/* Only in on_headers. */
void http_req_set_max_body(struct http_req *req, size_t max);
/* Body goes to sink in pieces instead of memory; sink returns 0 or negative errno (answered 507 or
 * 500, and on_close tells). http_req_pause/resume_body hold back the client; after a pause the rest
 * of what had been read (at most 64 KiB) still arrives. ptr is http_req_ptr's at that time. */
void http_req_stream_body(struct http_req *req, int (*sink)(void *ptr, const uint8_t *data, size_t len));
/* Each piece of the body is shown to tap(ctx) before it is kept, or given to the sink. fini(ctx) is called once, when the
 * request is over, in whatever way, and its answer written; a second call ends the first tap. */
void http_req_tap_body(struct http_req *req, void (*tap)(void *ctx, const uint8_t *data, size_t len),
		       void (*fini)(void *ctx), void *ctx);
void *http_req_tap(const struct http_req *req); /* its ctx, or NULL; at any time */
void http_req_pause_body(struct http_req *req);
void http_req_resume_body(struct http_req *req);

/* --- answer -------------------------------------------------------------------------------- */
/* Headers to add before http_respond or http_stream_begin; copied. Names and values with CR, LF or
 * other control characters are refused with -EINVAL, so are Content-Length, Transfer-Encoding,
 * Connection, Keep-Alive, Upgrade and Trailer: framing is the server's affair. -ENOSPC over 64
 * headers or 32 KiB. A Content-Type given here wins over the type of http_respond. */
int http_resp_header(struct http_req *req, const char *name, const char *value);
/* Whole answer. body is copied; type may be NULL. HEAD requests get no body. */
void http_respond(struct http_req *req, int status, const char *type, const void *body, size_t len);
/* As above, but takes ownership of a malloc'ed body. */
void http_respond_take(struct http_req *req, int status, const char *type, void *body, size_t len);
/* Chunked answer. http_stream_write copies and returns the bytes now waiting for the client, for
 * back pressure; on_drain (set with http_stream_begin) is called when that is zero again. When the
 * client has just been found gone the result is not zero either: on_close follows. */
void http_stream_begin(struct http_req *req, int status, const char *type,
		       void (*on_drain)(void *ctx, struct http_req *req));
size_t http_stream_write(struct http_req *req, const void *data, size_t len);
void http_stream_end(struct http_req *req);
/* The answer cannot be completed: what was written is sent, then the connection is closed without the last chunk, which
 * tells the client so. */
void http_stream_abort(struct http_req *req);

const char *http_status_text(int status);
/* Percent-decodes [src, src+len) into dst (NUL-terminated, cap incl.). -EINVAL for bad escapes or
 * %00, -ENAMETOOLONG. plus_is_space for query strings. */
int http_url_decode(const char *src, size_t len, bool plus_is_space, char *dst, size_t cap);
/* Walks a query string: copies the next decoded key and value; 1 = got one, 0 = end, negative
 * errno. *cursor starts at the query string. */
int http_query_next(const char **cursor, char *key, size_t key_cap, char *value, size_t value_cap);

#endif
