/* A function URL's answer that the function streams: what answer_furl does while it comes; or, when the URL has InvokeMode
 * BUFFERED, when all of it is there.
 *
 * With the media type application/vnd.awslambda.http-integration-response the stream begins with a prelude, the JSON
 * object {statusCode, headers, cookies} and eight NUL bytes; else all of it is the body. Nothing is sent before the
 * prelude is complete. A failure behind that cuts the connection, as there is no status left to tell it with. What is
 * collected is sent in one piece, and may be as large as other answers: a failure is told like theirs. */
#ifndef SCHEDULER_FURL_STREAM_H
#define SCHEDULER_FURL_STREAM_H

#include "scheduler/invocation.h"

#define FURL_PRELUDE_MAX  65536u /* bytes of the JSON object */
#define FURL_PRELUDE_ZERO 8u

bool furl_stream_collect(struct invocation *inv, const char *type);
void furl_stream_begin(struct invocation *inv, struct http_req *req, const char *type);
size_t furl_stream_data(struct invocation *inv, struct http_req *req, const uint8_t *data, size_t len);
/* Of an answer that has begun, or is collected: inv->stream is there, or inv->streaming. */
void furl_stream_done(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text);

/* A prelude in pieces. Pure. */
struct furl_prelude {
	uint8_t *buf; /* heap */
	size_t len;
	unsigned zeros; /* so many in a row at the end */
};
/* Takes bytes up to the prelude's end, *ret_used of them. 1: it is complete (buf, len: the JSON), 0: more is wanted,
 * -EPROTO: no such prelude, -EMSGSIZE, -ENOMEM. */
int furl_prelude_take(struct furl_prelude *p, const uint8_t *data, size_t len, size_t *ret_used);
void furl_prelude_fini(struct furl_prelude *p);

#endif
