/* The public HTTP listener: handlers of its routes (routes.h), and who is told when a client goes away. */
#ifndef SCHEDULER_FRONT_H
#define SCHEDULER_FRONT_H

#include "common/host/http_server.h"
#include "common/host/router.h"

struct daemon;
struct fn_version;

/* What http_req_ptr points to while an answer is owed. `gone` is called once when the client has
 * closed (or was cut off by the server) before the answer; the request must not be used after it. */
struct front_owner {
	void (*gone)(struct front_owner *owner);
};

extern const struct http_callbacks front_callbacks; /* ctx: struct daemon */

/* Handlers, one file per family: api_invoke.c, async/async_api.c, api_functions.c, api_logs.c, api_code.c, api_admin.c, scrape.c,
 * deploy.c. */
void api_invoke_event(void *ctx, struct http_req *req, const struct router_match *m);
void api_invoke_furl(void *ctx, struct http_req *req, const struct router_match *m);
void api_async_function(void *ctx, struct http_req *req, const struct router_match *m);
void api_functions_list(void *ctx, struct http_req *req, const struct router_match *m);
void api_functions_show(void *ctx, struct http_req *req, const struct router_match *m);
void api_functions_delete(void *ctx, struct http_req *req, const struct router_match *m);
void api_code(void *ctx, struct http_req *req, const struct router_match *m);
void api_layer_code(void *ctx, struct http_req *req, const struct router_match *m);
void api_logs(void *ctx, struct http_req *req, const struct router_match *m);
/* The keys have changed: who may not read any more is told the end. */
void api_logs_check(struct daemon *d);
void api_admin_health(void *ctx, struct http_req *req, const struct router_match *m);
void api_admin_runtimes(void *ctx, struct http_req *req, const struct router_match *m);
void api_admin_metrics(void *ctx, struct http_req *req, const struct router_match *m);
void api_admin_root(void *ctx, struct http_req *req, const struct router_match *m);
/* At the end of the headers: checks, then the body goes to a file. */
void deploy_begin(void *ctx, struct http_req *req, const struct router_match *m);
/* The whole body is there. */
void deploy_body(void *ctx, struct http_req *req, const struct router_match *m);
/* Likewise, for a layer. */
void api_layers_begin(void *ctx, struct http_req *req, const struct router_match *m);
void api_layers_body(void *ctx, struct http_req *req, const struct router_match *m);
void api_layers_list(void *ctx, struct http_req *req, const struct router_match *m);
void api_layers_delete(void *ctx, struct http_req *req, const struct router_match *m);
/* Adds X-Request-Id and returns the id in ret_id (37 bytes). */
int front_request_id(struct http_req *req, char *ret_id);
/* The version that NAME[:QUALIFIER] leads to now; ret_qualifier as of resolve_name. NULL: answered, with 404. */
struct fn_version *front_function(struct daemon *d, struct http_req *req, const char *name, const char *id,
				  const char **ret_qualifier);

#endif
