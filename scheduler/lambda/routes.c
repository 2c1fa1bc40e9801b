/* Paths of the Lambda API: see api.h. */
#include <ctype.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/guestwire.h"
#include "common/base/str.h"
#include "scheduler/daemon.h"
#include "scheduler/lambda/api.h"
#include "scheduler/routes.h"

enum { F_CODE = 1, F_EVENT = 2 };

#define FN  "/2015-03-31/functions/:name"
#define LAYERS "/2018-10-31/layers"
#define URL "/2021-10-31/functions/:name"
#define EV  "/2019-09-25/functions/:name/event-invoke-config"
#define PC  "/2019-09-30/functions/:name/provisioned-concurrency"

static const struct router_route routes[] = {
	{"POST", FN "/invocations", lambda_invoke, F_EVENT},
	{"POST", "/2021-11-15/functions/:name/response-streaming-invocations", lambda_invoke_stream, F_EVENT},
	{"POST", "/2014-11-13/functions/:name/invoke-async", lambda_invoke_async, F_EVENT},
	{"POST", "/2015-03-31/functions", lambda_create_function, F_CODE},
	{"GET", "/2015-03-31/functions", lambda_list_functions, 0},
	{"GET", FN, lambda_get_function, 0},
	{"DELETE", FN, lambda_delete_function, 0},
	{"GET", FN "/configuration", lambda_get_configuration, 0},
	{"PUT", FN "/configuration", lambda_update_configuration, 0},
	{"PUT", FN "/code", lambda_update_code, F_CODE},
	{"POST", FN "/versions", lambda_publish_version, 0},
	{"GET", FN "/versions", lambda_list_versions, 0},
	{"POST", FN "/aliases", lambda_create_alias, 0},
	{"GET", FN "/aliases", lambda_list_aliases, 0},
	{"GET", FN "/aliases/:alias", lambda_get_alias, 0},
	{"PUT", FN "/aliases/:alias", lambda_update_alias, 0},
	{"DELETE", FN "/aliases/:alias", lambda_delete_alias, 0},
	{"POST", FN "/policy", lambda_add_permission, 0},
	{"GET", FN "/policy", lambda_get_policy, 0},
	{"DELETE", FN "/policy/:sid", lambda_remove_permission, 0},
	{"PUT", "/2017-10-31/functions/:name/concurrency", lambda_put_concurrency, 0},
	{"DELETE", "/2017-10-31/functions/:name/concurrency", lambda_delete_concurrency, 0},
	{"GET", "/2019-09-30/functions/:name/concurrency", lambda_get_concurrency, 0},
	{"PUT", PC, lambda_put_provisioned, 0},
	{"GET", PC, lambda_get_provisioned, 0},
	{"DELETE", PC, lambda_delete_provisioned, 0},
	{"PUT", EV, lambda_put_event_invoke, 0},
	{"POST", EV, lambda_update_event_invoke, 0},
	{"GET", EV, lambda_get_event_invoke, 0},
	{"DELETE", EV, lambda_delete_event_invoke, 0},
	{"GET", EV "/list", lambda_list_event_invoke, 0},
	{"POST", URL "/url", lambda_create_url, 0},
	{"GET", URL "/url", lambda_get_url, 0},
	{"PUT", URL "/url", lambda_update_url, 0},
	{"DELETE", URL "/url", lambda_delete_url, 0},
	{"GET", URL "/urls", lambda_list_urls, 0},
	{"GET", "/2017-03-31/tags/:arn", lambda_list_tags, 0},
	{"POST", "/2017-03-31/tags/:arn", lambda_tag, 0},
	{"DELETE", "/2017-03-31/tags/:arn", lambda_untag, 0},
	{"GET", LAYERS, lambda_list_layers, 0},
	{"POST", LAYERS "/:name/versions", lambda_publish_layer_version, F_CODE},
	{"GET", LAYERS "/:name/versions", lambda_list_layer_versions, 0},
	{"GET", LAYERS "/:name/versions/:version", lambda_get_layer_version, 0},
	{"DELETE", LAYERS "/:name/versions/:version", lambda_delete_layer_version, 0},
	{"GET", "/2016-08-19/account-settings", lambda_account_settings, 0},
};

bool lambda_path(const char *path)
{
	static const char form[] = "/dddd-dd-dd/";

	for (size_t i = 0; form[i]; i++) {
		if (form[i] == 'd' ? !isdigit((unsigned char)path[i]) : path[i] != form[i])
			return false;
	}
	return true;
}

const struct router_route *lambda_route(const char *method, const char *path, struct router_match *m, struct route_none *ret_why)
{
	char without[2048];
	size_t n = strlen(path);

	if (n > 1 && n < sizeof(without) && path[n - 1] == '/') {
		memcpy(without, path, n - 1);
		without[n - 1] = '\0';
		path = without;
	}
	return router_find(routes, STK_ARRAY_LEN(routes), method, path, m, &ret_why->status, ret_why->allow,
			   sizeof(ret_why->allow));
}

/* NULL: answered. */
static const struct router_route *find(struct http_req *req, struct router_match *m)
{
	const struct router_route *route;
	struct route_none why;
	char id[IDS_UUID_LEN + 1];

	route = lambda_route(http_req_method(req), http_req_path(req), m, &why);
	if (route)
		return route;
	lambda_request_id(req, id);
	if (why.status == 405) {
		http_resp_header(req, "Allow", why.allow);
		lambda_error(req, LAMBDA_METHOD_NOT_ALLOWED, "this path does not know the method");
	} else if (why.status == 400) {
		lambda_error(req, LAMBDA_VALIDATION, "the path has a bad percent escape, or a part of it is too long");
	} else {
		lambda_error(req, LAMBDA_UNKNOWN_OPERATION, "no operation of this API has such a path");
	}
	return NULL;
}

void lambda_on_headers(struct daemon *d, struct http_req *req)
{
	struct router_match m;
	const struct router_route *route = find(req, &m);
	char id[IDS_UUID_LEN + 1];

	if (!route)
		return;
	if (d->draining) {
		lambda_request_id(req, id);
		lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, "the host is shutting down");
		return;
	}
	http_req_set_max_body(req, route->flags == F_CODE    ? LAMBDA_BODY_CODE
				   : route->flags == F_EVENT ? GW_MAX_EVENT
							     : LAMBDA_BODY_SMALL);
}

void lambda_on_request(struct daemon *d, struct http_req *req)
{
	struct router_match m;
	const struct router_route *route = find(req, &m);

	if (route)
		route->handler(d, req, &m);
}

size_t lambda_server_error(struct http_req *req, int status, const char *text, char *buf, size_t cap, const char **ret_type)
{
	enum lambda_error_type type = lambda_error_of_status(status);
	char id[IDS_UUID_LEN + 1];

	*ret_type = "application/json";
	lambda_request_id(req, id);
	http_resp_header(req, "x-amzn-ErrorType", lambda_error_name(type));
	return lambda_error_body(buf, cap, type, LAMBDA_REASON_NONE, text);
}
