/* What a function gets for a request to /function/NAME or /async-function/NAME: a CloudEvent when the request is one, a
 * function URL's event otherwise. */
#ifndef SCHEDULER_HTTPEVENT_H
#define SCHEDULER_HTTPEVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_req;
struct router_match;

/* False: it was no usable event, or larger than max bytes, and the client has been answered. True: *ret_event is heap. */
bool httpevent_make(struct http_req *req, const struct router_match *m, const char *id, size_t max, uint8_t **ret_event,
		    size_t *ret_len, bool *ret_cloud);

#endif
