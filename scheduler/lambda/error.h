/* Errors as Lambda's API gives them: a status, the header x-amzn-ErrorType, and an object with Type and Message.
 *
 * Checks that may run on any thread fill a struct lambda_err; the loop's thread answers with it. In the manner of
 * stk_err the setters return a negative errno, so that `return lambda_err_set(err, ...)` works. */
#ifndef SCHEDULER_LAMBDA_ERROR_H
#define SCHEDULER_LAMBDA_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "scheduler/ids.h"

struct http_req;

/* The name clients see, the status, and which of "Message" and "message" the model gives the shape. The one table. */
#define LAMBDA_ERRORS(X)                                                                        \
	X(ACCESS_DENIED, "AccessDeniedException", 403, "Message")                               \
	X(CODE_STORAGE_EXCEEDED, "CodeStorageExceededException", 400, "message")                \
	X(CODE_VERIFICATION_FAILED, "CodeVerificationFailedException", 400, "Message")          \
	X(INVALID_PARAMETER, "InvalidParameterValueException", 400, "message")                  \
	X(INVALID_REQUEST_CONTENT, "InvalidRequestContentException", 400, "message")            \
	X(INVALID_RUNTIME, "InvalidRuntimeException", 502, "Message")                           \
	X(INVALID_ZIP, "InvalidZipFileException", 502, "Message")                               \
	X(METHOD_NOT_ALLOWED, "MethodNotAllowedException", 405, "message")                      \
	X(POLICY_TOO_LONG, "PolicyLengthExceededException", 400, "message")                     \
	X(PRECONDITION_FAILED, "PreconditionFailedException", 412, "message")                   \
	X(NO_PROVISIONED_CONFIG, "ProvisionedConcurrencyConfigNotFoundException", 404, "message") \
	X(ENTITY_TOO_LARGE, "RequestEntityTooLargeException", 413, "message")                   \
	X(REQUEST_TOO_LARGE, "RequestTooLargeException", 413, "message")                        \
	X(RESOURCE_CONFLICT, "ResourceConflictException", 409, "message")                       \
	X(RESOURCE_IN_USE, "ResourceInUseException", 400, "Message")                            \
	X(RESOURCE_NOT_FOUND, "ResourceNotFoundException", 404, "Message")                      \
	X(RESOURCE_NOT_READY, "ResourceNotReadyException", 502, "message")                      \
	X(SERIALIZATION, "SerializationException", 400, "message")                              \
	X(SERVICE, "ServiceException", 500, "Message")                                          \
	X(SERVICE_UNAVAILABLE, "ServiceUnavailableException", 503, "message")                   \
	X(SNAPSTART, "SnapStartException", 400, "Message")                                      \
	X(SNAPSTART_NOT_READY, "SnapStartNotReadyException", 409, "Message")                    \
	X(SNAPSTART_TIMEOUT, "SnapStartTimeoutException", 408, "Message")                       \
	X(TOO_MANY_REQUESTS, "TooManyRequestsException", 429, "message")                        \
	X(UNKNOWN_OPERATION, "UnknownOperationException", 404, "message")                       \
	X(UNSUPPORTED_MEDIA, "UnsupportedMediaTypeException", 415, "message")                   \
	X(VALIDATION, "ValidationException", 400, "message")

enum lambda_error_type {
#define X(id, name, status, member) LAMBDA_##id,
	LAMBDA_ERRORS(X)
#undef X
	LAMBDA_ERROR_TYPES,
};

/* Why a 429 was given: the member Reason. LAMBDA_REASON_NONE: any other error, or no member. */
enum lambda_reason {
	LAMBDA_REASON_NONE,
	LAMBDA_REASON_CONCURRENCY,          /* ConcurrentInvocationLimitExceeded: the host has no room */
	LAMBDA_REASON_RESERVED_CONCURRENCY, /* ReservedFunctionConcurrentInvocationLimitExceeded: the function's */
	LAMBDA_REASON_RATE,                 /* FunctionInvocationRateLimitExceeded */
	LAMBDA_REASON_RESERVED_RATE,        /* ReservedFunctionInvocationRateLimitExceeded */
	LAMBDA_REASON_CALLER_RATE,          /* CallerRateLimitExceeded */
	LAMBDA_REASON_SNAPSHOTS,            /* ConcurrentSnapshotCreateLimitExceeded */
	LAMBDA_REASONS,
};

#define LAMBDA_MESSAGE_MAX 1536

struct lambda_err {
	enum lambda_error_type type;
	char message[LAMBDA_MESSAGE_MAX]; /* UTF-8 as far as the caller gave UTF-8; cut at a character's border */
};

const char *lambda_error_name(enum lambda_error_type type);
int lambda_error_status(enum lambda_error_type type);
const char *lambda_reason_name(enum lambda_reason reason); /* NULL for LAMBDA_REASON_NONE */
/* The type that fits an error which the HTTP server answers itself (a body that is too large, a bad header). */
enum lambda_error_type lambda_error_of_status(int status);

/* Fills err and returns -EINVAL (for LAMBDA_SERVICE and LAMBDA_SERVICE_UNAVAILABLE: -EIO). Any thread. */
int lambda_err_set(struct lambda_err *err, enum lambda_error_type type, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The host is out of memory. Returns -ENOMEM. */
int lambda_err_nomem(struct lambda_err *err);

/* The answer's body. Bytes of message that are no UTF-8 become '?'. Returns the length, below cap; never cut inside
 * the JSON when cap is at least LAMBDA_BODY_MAX. */
#define LAMBDA_BODY_MAX (LAMBDA_MESSAGE_MAX * 6 + 256)
size_t lambda_error_body(char *buf, size_t cap, enum lambda_error_type type, enum lambda_reason reason,
			 const char *message);

/* Loop thread. To be called once, at the start of each request under Lambda's paths, whatever becomes of it: makes the
 * request's id and adds it as x-amzn-RequestId and X-Request-Id. On failure the id is "". */
int lambda_request_id(struct http_req *req, char ret_id[IDS_UUID_LEN + 1]);

/* Answers with an error. */
void lambda_error(struct http_req *req, enum lambda_error_type type, const char *message);
void lambda_error_err(struct http_req *req, const struct lambda_err *err);
/* 429, with Reason and Retry-After. */
void lambda_error_throttled(struct http_req *req, enum lambda_reason reason, unsigned retry_after_s);

#endif
