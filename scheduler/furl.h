/* Lambda function-URL events (payload format 2.0) and answers. Pure: bytes in, bytes out. */
#ifndef SCHEDULER_FURL_H
#define SCHEDULER_FURL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/host/http_server.h"

struct furl_request {
	const char *method;
	const char *path;  /* below the function: "/" or "/a/b", raw */
	const char *query; /* raw, "" when none */
	const char *protocol;
	const char *peer; /* "ADDRESS:PORT" or "unix" */
	const char *request_id;
	const char *function; /* what it is called, where the Host header has no URL's id */
	const struct http_header *headers;
	size_t header_count;
	bool drop_authorization; /* it is the host's affair, not the function's */
	const uint8_t *body;
	size_t body_len;
	uint64_t wall_ms;
};

/* The event as JSON (heap, caller frees). -EMSGSIZE over max bytes, -ENOMEM. */
int furl_event(const struct furl_request *r, size_t max, uint8_t **ret_event, size_t *ret_len);

#define FURL_MAX_HEADERS 60
#define FURL_MAX_TYPE    4096u /* characters of a content type */

struct furl_answer {
	int status;
	const char *type; /* content type; into `text`, or static */
	struct { char *name, *value; } header[FURL_MAX_HEADERS]; /* heap; content type not among them */
	unsigned header_count;
	bool passthrough; /* the body is the function's answer as it is */
	uint8_t *body;    /* heap, unless passthrough */
	size_t body_len;
	char *type_text;
};

/* 0, -EPROTO with err (an object with statusCode that is not usable), -ENOMEM. */
int furl_answer_parse(const uint8_t *data, size_t len, struct furl_answer *ret_answer, struct stk_err *err);
/* The prelude of a streamed answer, as above: {statusCode, headers, cookies}, each may be missing. */
int furl_prelude_parse(const uint8_t *data, size_t len, struct furl_answer *ret_answer, struct stk_err *err);
void furl_answer_fini(struct furl_answer *a);

/* Base64 with padding; NUL-terminated text is not made. dst holds ((len + 2) / 3) * 4 bytes. */
size_t furl_base64_encode(const uint8_t *src, size_t len, char *dst);
/* Returns the length, or -EINVAL. dst holds len / 4 * 3 bytes. */
long furl_base64_decode(const char *src, size_t len, uint8_t *dst);

#endif
