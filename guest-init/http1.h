/* A small HTTP/1.1 request parser for the Runtime API: incremental, bounded, no allocation, no I/O.
 * Understands Content-Length and chunked bodies with trailers; header lines of any name are
 * skipped whatever their length (up to HTTP1_MAX_HEAD in all), only the few below are kept.
 * RFC 9112. The bytes come from the function's own processes and are not trusted. */
#ifndef GUEST_INIT_HTTP1_H
#define GUEST_INIT_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP1_MAX_METHOD 15u
#define HTTP1_MAX_TARGET 511u
#define HTTP1_MAX_VALUE  8191u      /* longest value kept; longer ones of a kept header are an error */
#define HTTP1_MAX_SHORT  255u       /* longest of those that are kept as text; longer ones count as absent */
#define HTTP1_MAX_REPORT 87380u     /* longest report of a failure in mid-stream, base64 (64 KiB of JSON) */
#define HTTP1_MAX_HEAD   (4u << 20) /* request line, headers, trailers and chunk extensions together */

enum http1_event {
	HTTP1_MORE, /* all input used, the message is not complete */
	HTTP1_HEAD, /* request line and headers are complete */
	HTTP1_BODY, /* a piece of the body, inside the caller's data */
	HTTP1_DONE, /* message complete, trailers included; call http1_reset before the next */
};

enum http1_mode { HTTP1_MODE_BUFFERED, HTTP1_MODE_STREAMING, HTTP1_MODE_OTHER };

struct http1 {
	/* Valid from HTTP1_HEAD on. */
	char method[HTTP1_MAX_METHOD + 1];
	char target[HTTP1_MAX_TARGET + 1];
	bool keep_alive;
	bool expect_continue;
	bool chunked;
	bool has_length;
	uint64_t length;    /* Content-Length, when has_length */
	enum http1_mode mode; /* Lambda-Runtime-Function-Response-Mode */
	char content_type[HTTP1_MAX_SHORT + 1];
	char error_type[HTTP1_MAX_SHORT + 1]; /* Lambda-Runtime-Function-Error-Type, or the extension's; a trailer, too */
	char extension_name[HTTP1_MAX_SHORT + 1]; /* Lambda-Extension-Name */
	char extension_id[HTTP1_MAX_SHORT + 1];   /* Lambda-Extension-Identifier */
	bool extension_account;                   /* Lambda-Extension-Accept-Feature has accountId */
	/* Valid from HTTP1_DONE on: the trailers of a failure in mid-stream. */
	bool failed;      /* there is one of them */
	size_t report_len; /* 0 also when there was none that could be kept */
	char report[HTTP1_MAX_REPORT + 1]; /* Lambda-Runtime-Function-Error-Body, base64 */
	/* After an error: the status to answer with. */
	int error_status;

	/* private */
	int state;
	int header;   /* which kept header the current line is, -1 for none */
	bool trailer; /* header lines being read stand behind a chunked body */
	bool cr;      /* a CR was read, LF must follow */
	size_t used;  /* bytes of the element being read */
	uint32_t head_bytes;
	uint64_t body_left;
	unsigned size_digits;
	char name[64];
	char value[HTTP1_MAX_VALUE + 1];
};

/* Makes the parser ready for a (next) message. */
void http1_reset(struct http1 *p);

/* Consumes from *data (advancing both) up to the next event. For HTTP1_BODY the piece is
 * *ret_body, *ret_len. Negative (-EPROTO) on a malformed or oversized message: error_status says
 * how to answer, and the connection is to be closed. */
int http1_next(struct http1 *p, const uint8_t **data, size_t *len, const uint8_t **ret_body,
	       size_t *ret_len);

/* True when a message was begun: its sender cannot end here. */
bool http1_begun(const struct http1 *p);

/* True when the body has a known length and all of it has been handed out. */
bool http1_body_complete(const struct http1 *p);

#endif
