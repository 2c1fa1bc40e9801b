/* Between function-URL events and HTTP, for functions that are web servers of their own (web.h). Pure: bytes in, bytes
 * out; fuzzed. */
#ifndef GUEST_INIT_WEBMSG_H
#define GUEST_INIT_WEBMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEBMSG_HEAD 65536u /* of a request, of a response, or of what becomes of it */

/* The HTTP/1.1 request for an event of payload format 2.0: its head into buf (at most cap bytes), the body decoded in
 * place, inside the event. Any other event becomes POST /events with the event as its body (*ret_http false).
 * 0, or -EPROTO (not JSON), -EMSGSIZE. */
struct webmsg_request {
	size_t head_len;
	const uint8_t *body;
	size_t body_len;
	bool http, is_head; /* is_head: the answer has no body */
};
int webmsg_request(uint8_t *event, size_t len, const char *request_id, unsigned port, char *buf, size_t cap,
		   struct webmsg_request *ret);

/* The head of a response: text ends behind its empty line. The prelude of an HTTP integration's streamed answer, JSON and
 * eight NUL bytes, into buf; returns its length, or -EPROTO, -EMSGSIZE. */
struct webmsg_response {
	int status;
	bool chunked, has_length;
	uint64_t length;
};
long webmsg_response(const char *text, size_t len, char *buf, size_t cap, struct webmsg_response *ret);
/* Length of the head that text begins with, its empty line included; 0: it is not complete. */
size_t webmsg_head_len(const char *text, size_t len);

/* Chunked bodies, in pieces. Zeroed is ready. */
struct webmsg_chunks {
	enum { WEBMSG_SIZE, WEBMSG_LINE, WEBMSG_DATA, WEBMSG_DATA_END, WEBMSG_TRAILER, WEBMSG_END } state;
	uint64_t left;
	unsigned digits, line;
};
/* Takes from data; a piece of the body is *ret_piece, *ret_len (0: none). The bytes taken, or -EPROTO. At state
 * WEBMSG_END it is complete. */
long webmsg_chunk(struct webmsg_chunks *c, const uint8_t *data, size_t len, const uint8_t **ret_piece, size_t *ret_len);

#endif
