/* The paths of the public listener, but for Lambda's, which are in lambda/routes.c: one table. Pure. */
#ifndef SCHEDULER_ROUTES_H
#define SCHEDULER_ROUTES_H

#include "common/host/router.h"

enum { ROUTE_EVENT = 1, ROUTE_ZIP, ROUTE_LAYER, ROUTE_ASYNC }; /* flags: which body a route takes; none otherwise */

/* Why a request has no route, as router_find says it. */
struct route_none {
	int status;
	char allow[64];
};

/* By the raw path. HEAD is GET without the body. NULL: none, see ret_why. */
const struct router_route *routes_find(const char *method, const char *path, struct router_match *m, struct route_none *ret_why);

#endif
