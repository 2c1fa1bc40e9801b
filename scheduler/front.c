/* The life of a request before and after its handler: see front.h. */
#include "scheduler/front.h"

#include <errno.h>
#include <string.h>

#include "common/base/guestwire.h"
#include "common/base/str.h"
#include "scheduler/answer.h"
#include "scheduler/async/event.h"
#include "scheduler/auth/auth.h"
#include "scheduler/daemon.h"
#include "scheduler/furl_config.h"
#include "scheduler/furl_host.h"
#include "scheduler/ids.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/names.h"
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

/* Is it for a function URL, whatever its path? */
static bool by_host(const struct http_req *req)
{
	return furl_host_is(http_req_header(req, "host"));
}

static void refuse_route(struct http_req *req, const struct route_none *why)
{
	if (by_host(req)) {
		refuse(req, 404, "NotFound", "no function URL has the id in this Host header");
	} else if (why->status == 405) {
		http_resp_header(req, "Allow", why->allow);
		refuse(req, 405, "MethodNotAllowed", "this path does not know the method");
	} else if (why->status == 400) {
		refuse(req, 400, "BadRequest", "the path has a bad percent escape");
	} else {
		refuse(req, 404, "NotFound", "no such path");
	}
}

/* Where a request leads: as its Host header says, or its path. */
struct target {
	const struct router_route *route; /* NULL: nowhere */
	struct route_none why;      /* by its path */
	struct router_match m;
	const struct function *url; /* whose URL the Host header names, or NULL */
};

static bool for_lambda(const struct http_req *req)
{
	return lambda_path(http_req_path(req)) && !by_host(req);
}

_Static_assert(ROUTER_PARAM_MAX > FN_NAME_MAX + 1 + LAMBDA_QUALIFIER_MAX, "the longest name with tenant and alias fits");

/* All of the path is the function's. */
static void find_url(const struct daemon *d, const struct http_req *req, struct target *t)
{
	static const struct router_route route = {"*", "/*", api_invoke_furl, ROUTE_EVENT | ROUTE_URL};
	const char *qualifier;
	char id[FURL_ID_LEN + 1];

	t->m.count = 1;
	t->m.rest = http_req_path(req);
	if (t->m.rest[0] == '/' && furl_host_id(http_req_header(req, "host"), id))
		t->url = furl_by_id(&d->registry, id, &qualifier);
	if (t->url && stk_snprintf(t->m.value[0], ROUTER_PARAM_MAX, "%s%s%s", t->url->name, *qualifier ? ":" : "",
				   qualifier) == 0)
		t->route = &route;
}

static void find(const struct daemon *d, const struct http_req *req, struct target *t)
{
	t->route = NULL;
	t->url = NULL;
	if (by_host(req))
		find_url(d, req, t);
	else
		t->route = routes_find(http_req_method(req), http_req_path(req), &t->m, &t->why);
}

static bool is_open(const struct daemon *d, const struct target *t)
{
	return (t->route->flags & ROUTE_URL) && furl_is_open(&d->registry, t->m.value[0]);
}

static enum auth_route kind_of_path(const struct http_req *req)
{
	return by_host(req) ? AUTH_INVOKE : auth_route(http_req_path(req));
}

/* A function URL may be there for everybody, whoever waits for the answer. */
static enum auth_route route_kind(const struct daemon *d, const struct http_req *req, const struct target *t)
{
	if (t->route && is_open(d, t))
		return AUTH_ANYONE;
	if (t->route && (t->route->flags & ROUTE_LINK))
		return AUTH_OPEN;
	return kind_of_path(req);
}

/* Names in paths are those of the tenant that sends the request; an open URL is anyone's, whoever has the function. What a
 * Host header leads to is known by the host's own name already.
 * False: refused and answered. */
static bool scope(const struct daemon *d, struct http_req *req, struct target *t)
{
	const struct auth_principal *who = auth_of(req);
	char *text = t->m.value[0], name[ROUTER_PARAM_MAX];
	int rc;

	if (!t->m.count || (t->route->flags & ROUTE_LINK))
		return true;
	if (t->url) {
		rc = tenants_shows(who, t->url->name) || is_open(d, t) ? 0 : -EACCES;
	} else {
		if (who->anonymous && !who->unbound && strchr(text, '.') && is_open(d, t))
			who = NULL;
		rc = tenants_scope(who, text, name, sizeof(name));
		if (rc == 0)
			memcpy(text, name, sizeof(name));
	}
	if (rc == -EACCES)
		refuse(req, 403, "AccessDenied", "what belongs to another tenant cannot be used");
	else if (rc)
		refuse(req, 400, "BadRequest", "the name is too long");
	return rc == 0;
}

static void on_headers(void *ctx, struct http_req *req)
{
	struct daemon *d = ctx;
	struct target t;
	unsigned flags;

	http_req_set_ptr(req, NULL);
	if (for_lambda(req)) {
		if (auth_headers(d->auth, req, AUTH_LAMBDA, false))
			lambda_on_headers(d, req);
		return;
	}
	find(d, req, &t);
	flags = t.route ? t.route->flags : 0;
	if (!auth_headers(d->auth, req, route_kind(d, req, &t), flags & (ROUTE_ZIP | ROUTE_LAYER)))
		return;
	if (!t.route) {
		/* While nobody knows who it is, the body comes first. */
		if (auth_of(req))
			refuse_route(req, &t.why);
		return;
	}
	if (auth_of(req) && !scope(d, req, &t))
		return;
	if (d->draining && (flags & ROUTE_BODY)) {
		refuse(req, 503, "ShuttingDown", "the host is shutting down");
		return;
	}
	if (flags & ROUTE_ZIP) {
		http_req_set_max_body(req, ZIPREAD_MAX_ZIP);
		deploy_begin(ctx, req, &t.m);
	} else if (flags & ROUTE_LAYER) {
		http_req_set_max_body(req, ZIPREAD_MAX_ZIP);
		api_layers_begin(ctx, req, &t.m);
	} else if (flags & (ROUTE_EVENT | ROUTE_ASYNC)) {
		const char *qualifier;

		/* Known before the body is read; told to those who have shown who they are. */
		if (auth_of(req) && !resolve_name(&d->registry, t.m.value[0], &qualifier)) {
			refuse(req, 404, "FunctionNotFound", no_function);
			return;
		}
		http_req_set_max_body(req, flags & ROUTE_EVENT ? GW_MAX_EVENT : EVENT_MAX_PAYLOAD);
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
	struct target t;

	if (!auth_body(d->auth, req)) {
		/* For a handler that took the body in already, it is as if the client had gone. */
		on_close(ctx, req);
		auth_refuse(d->auth, req, kind_of_path(req));
		return;
	}
	if (for_lambda(req)) {
		lambda_on_request(d, req);
		return;
	}
	find(d, req, &t);
	if (!t.route)
		refuse_route(req, &t.why);
	else if (http_req_ptr(req) || scope(d, req, &t)) /* a handler that took the body in has its name already */
		t.route->handler(ctx, req, &t.m);
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
	if (req && for_lambda(req))
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
