/* The paths of the public listener, but for Lambda's, which are in lambda/routes.c: one table. Pure. */
#ifndef SCHEDULER_ROUTES_H
#define SCHEDULER_ROUTES_H

#include "common/host/router.h"

/* Flags: which body a route takes, none otherwise; and who may come. */
enum {
	ROUTE_EVENT = 1,
	ROUTE_ZIP = 2,
	ROUTE_LAYER = 4,
	ROUTE_ASYNC = 8,
	ROUTE_BODY = ROUTE_EVENT | ROUTE_ZIP | ROUTE_LAYER | ROUTE_ASYNC,
	ROUTE_URL = 16,  /* everybody, where a function URL says so */
	ROUTE_LINK = 32, /* who has the link: it is the key, and the name in it is the host's own */
};

/* Why a request has no route, as router_find says it. */
struct route_none {
	int status;
	char allow[64];
};

/* By the raw path. HEAD is GET without the body. NULL: none, see ret_why. */
const struct router_route *routes_find(const char *method, const char *path, struct router_match *m, struct route_none *ret_why);

#endif
