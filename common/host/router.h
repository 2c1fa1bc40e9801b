/* Route tables: method, path pattern, handler. Patterns are '/'-separated; ":name" matches one
 * segment (percent-decoded), a trailing "*" the rest (raw). Routes are data. */
#ifndef COMMON_HOST_ROUTER_H
#define COMMON_HOST_ROUTER_H

#include "common/host/http_server.h"

#define ROUTER_MAX_PARAMS 4
#define ROUTER_PARAM_MAX  272

struct router_match {
	unsigned count;
	char value[ROUTER_MAX_PARAMS][ROUTER_PARAM_MAX]; /* decoded, in pattern order */
	const char *rest; /* what "*" matched, "" when nothing; points into the request's path */
};

struct router_route {
	const char *method; /* "*" = any */
	const char *pattern;
	void (*handler)(void *ctx, struct http_req *req, const struct router_match *m);
	unsigned flags; /* the program's own */
};

/* Returns the route; NULL with *ret_status 404 (no such path), 405 (path known, method not; then
 * allow gets the comma-separated list) or 400 (bad escape). */
const struct router_route *router_find(const struct router_route *routes, unsigned count,
				       const char *method, const char *path,
				       struct router_match *ret_match, int *ret_status, char *allow,
				       size_t allow_cap);

#endif
