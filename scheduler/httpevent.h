/* What a function gets for a request to /function/NAME or /async-function/NAME: a CloudEvent when the request is one, a
 * function URL's event otherwise. */
#ifndef SCHEDULER_HTTPEVENT_H
#define SCHEDULER_HTTPEVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;
struct http_req;
struct router_match;

struct httpevent {
	uint8_t *event; /* heap */
	size_t len;
	bool cloud;
};

/* Calls done once, before this returns when the body is small. made: the event, which is done's from then on. NULL: it was no
 * usable one, or larger than max bytes, and the client has been answered; or the client has gone (req NULL). done must not rely
 * on m any more. Loop thread. */
void httpevent_make(struct daemon *d, struct http_req *req, const struct router_match *m, const char *id, size_t max,
		    void (*done)(void *ctx, struct http_req *req, const struct httpevent *made), void *ctx);

#endif
