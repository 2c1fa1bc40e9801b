/* Answers in the host's shapes: error objects, and what an invocation's outcome becomes. */
#ifndef SCHEDULER_ANSWER_H
#define SCHEDULER_ANSWER_H

#include <jansson.h>

#include "scheduler/invocation.h"

struct http_req;

/* {"error":{"code","message","requestId"}}. id may be NULL. */
void answer_error(struct http_req *req, int status, const char *code, const char *message, const char *id);
/* Takes the reference over. */
void answer_json(struct http_req *req, int status, json_t *value);
/* Callers that answer an HTTP client: with the function's answer as it is; or (answer_furl.c) taken as a function URL's
 * answer, or as the answer to a CloudEvent, which may be one itself. */
extern const struct inv_caller answer_plain, answer_furl, answer_cloud;
/* The failed call's {"errorType","errorMessage"} as text into buf, for outcomes other than INV_OK and
 * INV_FUNCTION_ERROR; *ret_status is the HTTP status that goes with it. Returns its length. */
#define ANSWER_FAILURE_MAX 1024
size_t answer_failure(const struct invocation *inv, enum inv_outcome outcome, const char *text, int *ret_status,
		      char *buf, size_t cap);
/* The same sent to a client; furl: in the shape of an error of the host's own. */
void answer_send_failure(struct http_req *req, const struct invocation *inv, enum inv_outcome outcome, bool furl,
			 const char *text);
/* Its errorType. host: the host's fault or decision, and no failure of the function. */
const char *answer_failure_type(enum inv_outcome outcome, bool *ret_host);
/* Parts of answer_furl. A header that the server refuses (line breaks, too many) makes the answer invalid: false. */
struct furl_answer;
#define ANSWER_BAD_HEADER "the function's answer has a header that cannot be sent"
bool answer_furl_headers(struct http_req *req, const struct furl_answer *a);
void answer_furl_failure(struct http_req *req, struct invocation *inv, enum inv_outcome outcome, const char *text);
/* The error object as text into buf; returns its length. */
size_t answer_error_text(char *buf, size_t cap, const char *code, const char *message, const char *id);

/* {"errorType", "errorMessage": "RequestId: ID Error: TEXT"} into buf; returns its length. */
int answer_function_error(char *buf, size_t cap, const char *type, const char *id, const char *text);

#endif
