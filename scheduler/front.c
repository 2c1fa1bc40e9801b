/* The life of a request before and after its handler: see front.h. */
#include "scheduler/front.h"

#include <errno.h>
#include <string.h>

#include "common/base/guestwire.h"
#include "scheduler/answer.h"
#include "scheduler/async/event.h"
#include "scheduler/auth/auth.h"
#include "scheduler/daemon.h"
#include "scheduler/furl_config.h"
#include "scheduler/ids.h"
#include "scheduler/lambda/api.h"
#include "scheduler/resolve.h"
#include "scheduler/routes.h"
#include "scheduler/tenants.h"
#include "scheduler/zipread.h"

static const char no_function[] = "no function of this name (or of this version or alias) is deployed";

int front_request_id(struct http_req *req, char *ret_id)
{
	int rc = ids_uuid(ret_id);

	if (rc == 0)
		http_resp_header(req, "X-Request-Id", ret_id);
	return rc;
}

struct fn_version *front_function(struct daemon *d, struct http_req *req, const char *name, const char *id,
				  const char **ret_qualifier)
{
	struct fn_version *ver = resolve_name(&d->registry, name, ret_qualifier);

	if (!ver)
		answer_error(req, 404, "FunctionNotFound", no_function, id);
	return ver;
}

static void refuse(struct http_req *req, int status, const char *code, const char *message)
{
	char id[IDS_UUID_LEN + 1];

	if (front_request_id(req, id))
		id[0] = '\0';
	answer_error(req, status, code, message, id);
}

static void refuse_route(struct http_req *req, const struct route_none *why)
{
	if (why->status == 405) {
		http_resp_header(req, "Allow", why->allow);
		refuse(req, 405, "MethodNotAllowed", "this path does not know the method");
	} else if (why->status == 400) {
		refuse(req, 400, "BadRequest", "the path has a bad percent escape");
	} else {
		refuse(req, 404, "NotFound", "no such path");
	}
}

/* A function URL may be there for everybody, whoever waits for the answer. */
static enum auth_route route_kind(const struct daemon *d, const struct http_req *req, const struct router_route *route,
				  const struct router_match *m)
{
	if (route && (route->flags & ROUTE_URL) && furl_is_open(&d->registry, m->value[0]))
		return AUTH_ANYONE;
	if (route && (route->flags & ROUTE_LINK))
		return AUTH_OPEN;
	return auth_route(http_req_path(req));
}

/* Names in paths are those of the tenant that sends the request; an open URL is anyone's, whoever has the function.
 * False: refused and answered. */
static bool scope(const struct daemon *d, struct http_req *req, const struct router_route *route, struct router_match *m)
{
	const struct auth_principal *who = auth_of(req);
	char name[ROUTER_PARAM_MAX];
	int rc;

	if (!m->count || (route->flags & ROUTE_LINK))
		return true;
	if (who->anonymous && !who->unbound && strchr(m->value[0], '.') && route_kind(d, req, route, m) == AUTH_ANYONE)
		who = NULL;
	rc = tenants_scope(who, m->value[0], name, sizeof(name));
	if (rc == 0) {
		memcpy(m->value[0], name, sizeof(name));
		return true;
	}
	if (rc == -EACCES)
		refuse(req, 403, "AccessDenied", "what belongs to another tenant cannot be used");
	else
		refuse(req, 400, "BadRequest", "the name is too long");
	return false;
}

static void on_headers(void *ctx, struct http_req *req)
{
	struct daemon *d = ctx;
	struct router_match m;
	const struct router_route *route;
	struct route_none why;
	bool streamed;

	http_req_set_ptr(req, NULL);
	if (lambda_path(http_req_path(req))) {
		if (auth_headers(d->auth, req, AUTH_LAMBDA, false))
			lambda_on_headers(d, req);
		return;
	}
	route = routes_find(http_req_method(req), http_req_path(req), &m, &why);
	streamed = route && (route->flags & (ROUTE_ZIP | ROUTE_LAYER));
	if (!auth_headers(d->auth, req, route_kind(d, req, route, &m), streamed))
		return;
	if (!route) {
		/* While nobody knows who it is, the body comes first. */
		if (auth_of(req))
			refuse_route(req, &why);
		return;
	}
	if (auth_of(req) && !scope(d, req, route, &m))
		return;
	if (d->draining && (route->flags & ROUTE_BODY)) {
		refuse(req, 503, "ShuttingDown", "the host is shutting down");
		return;
	}
	if (route->flags & ROUTE_ZIP) {
		http_req_set_max_body(req, ZIPREAD_MAX_ZIP);
		deploy_begin(ctx, req, &m);
	} else if (route->flags & ROUTE_LAYER) {
		http_req_set_max_body(req, ZIPREAD_MAX_ZIP);
		api_layers_begin(ctx, req, &m);
	} else if (route->flags & (ROUTE_EVENT | ROUTE_ASYNC)) {
		const char *qualifier;

		/* Known before the body is read; told to those who have shown who they are. */
		if (auth_of(req) && !resolve_name(&d->registry, m.value[0], &qualifier)) {
			refuse(req, 404, "FunctionNotFound", no_function);
			return;
		}
		http_req_set_max_body(req, route->flags & ROUTE_EVENT ? GW_MAX_EVENT : EVENT_MAX_PAYLOAD);
	} else {
		http_req_set_max_body(req, 65536);
	}
}

static void on_close(void *ctx, struct http_req *req)
{
	struct front_owner *owner = http_req_ptr(req);

	http_req_set_ptr(req, NULL);
	if (owner)
		owner->gone(owner);
}

static void on_request(void *ctx, struct http_req *req)
{
	struct daemon *d = ctx;
	struct router_match m;
	struct route_none why;
	const struct router_route *route;

	if (!auth_body(d->auth, req)) {
		/* For a handler that took the body in already, it is as if the client had gone. */
		on_close(ctx, req);
		auth_refuse(d->auth, req, auth_route(http_req_path(req)));
		return;
	}
	if (lambda_path(http_req_path(req))) {
		lambda_on_request(d, req);
		return;
	}
	route = routes_find(http_req_method(req), http_req_path(req), &m, &why);
	if (!route)
		refuse_route(req, &why);
	else if (http_req_ptr(req) || scope(d, req, route, &m)) /* a handler that took the body in has its name already */
		route->handler(ctx, req, &m);
}

static const char *code_of(int status)
{
	switch (status) {
	case 408:
		return "RequestTimeout";
	case 413:
		return "PayloadTooLarge";
	case 414:
		return "UriTooLong";
	case 431:
		return "HeadersTooLarge";
	case 501:
		return "NotImplemented";
	case 503:
		return "Busy";
	case 505:
		return "HttpVersionNotSupported";
	case 507:
		return "InsufficientStorage";
	default:
		return status >= 500 ? "Internal" : "BadRequest";
	}
}

static size_t error_body(void *ctx, struct http_req *req, int status, const char *text, char *buf, size_t cap,
			 const char **ret_type)
{
	if (req && lambda_path(http_req_path(req)))
		return lambda_server_error(req, status, text, buf, cap, ret_type);
	*ret_type = "application/json";
	return answer_error_text(buf, cap, code_of(status), text, NULL);
}

const struct http_callbacks front_callbacks = {
	.on_headers = on_headers,
	.on_request = on_request,
	.on_close = on_close,
	.error_body = error_body,
};
