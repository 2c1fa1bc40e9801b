/* CloudEvents 1.0 over HTTP: an event in binary mode (ce-* headers and a body) or structured mode (all of it JSON) becomes
 * the JSON that the function gets. https://github.com/cloudevents/spec, HTTP protocol binding and JSON event format 1.0.
 * Pure: bytes in, bytes out. */
#ifndef SCHEDULER_CLOUDEVENTS_H
#define SCHEDULER_CLOUDEVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/host/http_server.h"

#define CLOUDEVENTS_MEDIA "application/cloudevents+json; charset=utf-8" /* of an answer */

enum cloudevents_mode {
	CLOUDEVENTS_NONE, /* an ordinary request */
	CLOUDEVENTS_BINARY,
	CLOUDEVENTS_STRUCTURED,
	CLOUDEVENTS_UNKNOWN, /* a batch, or a format that is not JSON: 415 */
};

/* By the media type, else by the header ce-specversion. */
enum cloudevents_mode cloudevents_mode(const struct http_header *headers, size_t count);
/* The event as JSON (heap). -EINVAL with err: it is none; -EMSGSIZE over max bytes; -ENOMEM. mode: BINARY or
 * STRUCTURED. */
int cloudevents_event(enum cloudevents_mode mode, const struct http_header *headers, size_t count, const uint8_t *body,
		      size_t body_len, size_t max, uint8_t **ret_event, size_t *ret_len, struct stk_err *err);
/* A function's answer that is an event itself. */
bool cloudevents_is_event(const uint8_t *data, size_t len);

#endif
