/* The paths of the public listener: see routes.h. */
#include "scheduler/routes.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "scheduler/front.h"

static const struct router_route routes[] = {
	{"POST", "/v1/functions/:name/invoke", api_invoke_event, ROUTE_EVENT},
	{"*", "/function/:name/*", api_invoke_furl, ROUTE_EVENT | ROUTE_URL},
	{"POST", "/async-function/:name/*", api_async_function, ROUTE_ASYNC | ROUTE_URL},
	{"GET", "/v1/functions", api_functions_list, 0},
	{"PUT", "/v1/functions/:name", deploy_body, ROUTE_ZIP},
	{"GET", "/v1/functions/:name", api_functions_show, 0},
	{"DELETE", "/v1/functions/:name", api_functions_delete, 0},
	{"GET", "/v1/functions/:name/logs", api_logs, 0},
	{"GET", "/v1/code/:name/:number", api_code, ROUTE_LINK},
	{"GET", "/v1/layers", api_layers_list, 0},
	{"PUT", "/v1/layers/:name", api_layers_body, ROUTE_LAYER},
	{"DELETE", "/v1/layers/:name/:version", api_layers_delete, 0},
	{"GET", "/v1/layers/:name/:version/code", api_layer_code, ROUTE_LINK},
	{"GET", "/v1/runtimes", api_admin_runtimes, 0},
	{"GET", "/healthz", api_admin_health, 0},
	{"GET", "/metrics", api_admin_metrics, 0},
	{"GET", "/", api_admin_root, 0},
};

const struct router_route *routes_find(const char *method, const char *path, struct router_match *m, struct route_none *ret_why)
{
	const struct router_route *route;

	route = router_find(routes, STK_ARRAY_LEN(routes), method, path, m, &ret_why->status, ret_why->allow,
			    sizeof(ret_why->allow));
	if (!route && ret_why->status == 405 && strcmp(method, "HEAD") == 0)
		route = router_find(routes, STK_ARRAY_LEN(routes), "GET", path, m, &ret_why->status, ret_why->allow,
				    sizeof(ret_why->allow));
	return route;
}
