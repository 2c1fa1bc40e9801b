/* What became of an invocation, apart from the client that gets it: it may be sent to none, one or several. */
#ifndef SCHEDULER_LAMBDA_RESULT_H
#define SCHEDULER_LAMBDA_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/invocation.h"
#include "scheduler/lambda/error.h"

struct lambda_result {
	enum { RESULT_ANSWER, RESULT_ERROR, RESULT_THROTTLED } kind;
	bool function_error;       /* RESULT_ANSWER: X-Amz-Function-Error ... */
	const char *failure;       /* ... which a stream calls by this name */
	enum lambda_error_type type;
	enum lambda_reason reason;
	char version[FN_VERSION_TEXT];
	char message[512];         /* RESULT_ERROR */
	char *tail;                /* heap: X-Amz-Log-Result, in base64; or NULL */
	uint8_t *body;             /* heap, RESULT_ANSWER */
	size_t len;
};

/* Takes the answer out of inv. For the arguments see struct inv_caller. */
void lambda_result_of(struct invocation *inv, enum inv_outcome outcome, const char *text, struct lambda_result *ret);
/* Answers; last: nobody else gets it, the body is taken out of r. */
void lambda_result_send(struct http_req *req, struct lambda_result *r, bool last);
/* The same as an event stream, to a client that has got nothing yet. stream.c */
void lambda_result_stream(struct http_req *req, struct lambda_result *r);
/* To an asynchronous call whose event is on disk, or is not: rc as in async_done. old: of InvokeAsync. */
void lambda_result_accepted(struct http_req *req, int rc, bool old);
void lambda_result_fini(struct lambda_result *r);

/* The caller of InvokeWithResponseStream: streamed answers go out as they come, others in one piece; then InvokeComplete,
 * which says how it ended. Errors of the host before that are ordinary ones. stream.c */
extern const struct inv_caller lambda_stream_caller;

#endif
