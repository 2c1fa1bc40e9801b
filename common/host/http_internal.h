/* Shared by http_server.c (listeners), http_conn.c (one connection's life), http_input.c (what comes
 * in), http_req.c and http_resp.c (what the handler asks and answers). Nothing else includes it,
 * except tests that hand in a socket of their own.
 *
 * A connection:
 *
 *   IDLE --first byte--> HEAD --blank line--> BODY --end--> HANDLER --answer written--> IDLE
 *                                                     any, answer says close --> LINGER --> closed
 *
 * The answer has a state of its own beside that (none, stream, ended), because it may begin before
 * the body has been read. http_conn_update derives from both what to read and which deadline runs. */
#ifndef COMMON_HOST_HTTP_INTERNAL_H
#define COMMON_HOST_HTTP_INTERNAL_H

#include <llhttp.h>

#include "common/base/list.h"
#include "common/host/http_server.h"

#define HTTP_READ_CHUNK      65536u   /* one read(2); shared by all connections of a server */
#define HTTP_PENDING_MAX     65536u   /* pipelined bytes kept before reading stops */
#define HTTP_DISCARD_KEEP    65536u   /* unread body up to this is skipped, the connection kept */
#define HTTP_BODY_FREE       65536u   /* a connection may keep so much for bodies, uncounted */
#define HTTP_LINGER_BYTES    1048576u /* swallowed after an answer with `close`, so that it arrives */
#define HTTP_LINGER_MS       2000u
#define HTTP_OVERFLOW_MAX    32u /* connections beyond the limit that get a 503; then just closed */
#define HTTP_EXTRA_MAX       32768u
#define HTTP_EXTRA_HEADERS   64u
#define HTTP_MAX_LISTENERS   4u

struct http_buf {
	char *p;
	size_t len, cap;
};

union http_handle {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_pipe_t pipe;
};

enum conn_phase { CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_HANDLER, CONN_LINGER };
enum resp_state { RESP_NONE, RESP_STREAM, RESP_ENDED };

/* Where the scanner for the end of the header block is. */
enum http_scan { SCAN_BLANK, SCAN_BLANK_LF, SCAN_LINE, SCAN_LF, SCAN_BOL, SCAN_END_LF };

struct http_req {
	const char *method;
	const char *path;
	const char *query;
	unsigned header_count;
	void *ptr;
	uint64_t start_ns, parsed_ns;
	size_t max_body;
	int (*sink)(void *ptr, const uint8_t *data, size_t len);
	bool body_paused;
	const void *who;
	void (*tap)(void *ctx, const uint8_t *data, size_t len);
	void (*tap_fini)(void *ctx);
	void *tap_ctx;
};

struct http_conn {
	struct http_server *server;
	struct stk_list link; /* in server->conns */
	union http_handle io;
	uv_timer_t timer;
	unsigned handles_open;
	bool is_tcp, closing, overflow;
	bool reading;
	bool broken;   /* a write failed inside a call of the handler's; the timer's next turn ends it */
	bool eof;      /* the client will send no more */
	bool in_input; /* inside http_conn_consume */
	bool deferred; /* pending input waits for the timer's next turn */

	enum conn_phase phase;
	enum http_scan scan;
	size_t line_len; /* of the request line, once it is complete */
	llhttp_t parser;
	struct http_buf head;    /* the header block; names and values of the request point into it */
	struct http_header *headers; /* max_headers of them */
	struct http_req req;
	bool req_live; /* the handler knows req and has not finished its answer */
	bool head_ok;  /* llhttp reached the end of the headers */
	bool msg_done; /* the whole request has been read */
	bool is_head, http10, want_keep, expect_continue, chunked;
	bool has_length;
	uint64_t content_length;
	struct http_buf body;
	uint64_t body_got;  /* body bytes without framing */
	uint64_t body_raw;  /* with framing */
	int body_status;    /* why the body was refused, 0 */
	size_t body_charged; /* what of body.cap counts in server->buffered */
	const char *version; /* "HTTP/1.1\r\n" in head */
	const char *last_field;
	size_t last_field_len;

	struct http_buf pending; /* pipelined input; the part from pending_off on is unread */
	size_t pending_off;

	enum resp_state resp;
	bool keep;            /* what the answer promised */
	bool resp_chunked, resp_no_body, resp_has_date, resp_has_type;
	struct http_buf extra; /* header lines added by the handler */
	unsigned extra_count;
	struct http_buf out; /* head under construction */
	unsigned writes;     /* uv_write requests under way */
	void (*on_drain)(void *ctx, struct http_req *req);

	uint64_t head_since, body_since, idle_since, write_since, linger_until; /* uv_now, ms */
	size_t write_seen;   /* what was outstanding when a writer was last looked at, plus what was added since */
	size_t linger_bytes;
	uint64_t armed_at; /* when the timer will fire; 0 = stopped */
	char peer[64];
};

struct http_listener {
	struct http_server *server;
	union http_handle io;
	bool is_tcp;
	bool stuck; /* an accepted connection waits in libuv for want of memory, or for the next round */
};

struct http_server {
	uv_loop_t *loop;
	struct http_limits limits;
	struct http_callbacks cb;
	void *ctx;
	struct http_listener listener[HTTP_MAX_LISTENERS];
	unsigned listener_count;
	struct stk_list conns;
	unsigned conn_count, overflow_count;
	unsigned handles_open; /* listeners, timer, round, refuse_io */
	unsigned accepted;     /* connections in this round of the loop */
	size_t buffered;       /* memory of bodies over HTTP_BODY_FREE */
	bool closing;
	bool refusing; /* refuse_io is in use */
	union http_handle refuse_io;
	uv_timer_t close_timer;
	uv_idle_t round; /* active after a round in which connections were accepted */
	void (*done)(void *ctx);
	void *done_ctx;
	time_t date_time;
	char date[40];
	char read_buf[HTTP_READ_CHUNK];
};

static inline struct http_conn *http_conn_of(const struct http_req *req)
{
	return STK_CONTAINER_OF(req, struct http_conn, req);
}

/* Doubles up to max; 0, -ENOMEM or -EMSGSIZE. */
int http_buf_reserve(struct http_buf *b, size_t need, size_t max);
int http_buf_add(struct http_buf *b, const void *data, size_t len, size_t max);

/* http_server.c */
void http_server_conn_closed(struct http_server *s, struct http_conn *c);
/* Serves a connected stream socket as if it had been accepted; takes fd. */
int http_server_adopt(struct http_server *s, int fd, bool is_tcp);

/* http_conn.c */
int http_conn_new(struct http_server *s, bool is_tcp, bool overflow, struct http_conn **ret_conn);
void http_conn_start(struct http_conn *c);
void http_conn_close(struct http_conn *c);
/* The client is lost (or refused in mid-request): tells the handler, closes. */
void http_conn_gone(struct http_conn *c);
/* Ready for the next request; arenas stay, big ones go. */
void http_conn_reset(struct http_conn *c);
/* Goes on after the answer has ended and been written. */
void http_conn_settle(struct http_conn *c);
/* Bytes that the client has not taken yet: those queued here, and those in the kernel's hands. That empties long before it
 * takes more from the queue when the client is a slow one. */
size_t http_conn_outstanding(const struct http_conn *c);
/* Reading on or off and timer, from the state. */
void http_conn_update(struct http_conn *c);
bool http_conn_is_waiting(const struct http_conn *c); /* no request under way */

/* http_input.c */
/* Takes what was read: parses, calls the handler, keeps what must wait. */
void http_conn_consume(struct http_conn *c, const char *data, size_t n);

static inline size_t http_conn_pending(const struct http_conn *c)
{
	return c->pending.len - c->pending_off;
}

/* http_req.c */
/* Before memory of c->body changes hands or size, and after: keeps server->buffered true. */
void http_body_charge(struct http_conn *c);
/* The request is over: what was attached to it ends. */
void http_req_over(struct http_req *req);

/* http_resp.c */
/* Answers with the server's own error text and closes afterwards; tells the handler. */
void http_resp_error(struct http_conn *c, int status, const char *text);
void http_resp_continue(struct http_conn *c);

#endif
