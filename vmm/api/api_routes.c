/* The table of the control interface, and how a request goes through it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/host/router.h"
#include "vmm/api/api_internal.h"

/* Firecracker's resources that are not here yet are named as such, not as unknown. */
static int not_supported(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	return stk_err_set(err, -EOPNOTSUPP, "This resource is not supported by this version.");
}

#define BOTH (API_PRE | API_POST)
#define BOOT (API_PRE | API_BOOTS)

const struct api_route api_routes[] = {
	{"GET", "/", BOTH, api_state_get},
	{"GET", "/version", BOTH, api_state_version},
	{"GET", "/vm/config", BOTH, api_config_get},
	{"PATCH", "/vm", API_POST, api_state_patch},
	{"PUT", "/actions", BOTH, api_actions_put},
	{"GET", "/machine-config", BOTH, api_machine_get},
	{"PUT", "/machine-config", BOOT, api_machine_put},
	{"PATCH", "/machine-config", BOOT, api_machine_patch},
	{"PUT", "/boot-source", BOOT, api_boot_put},
	{"PUT", "/drives/:id", BOOT, api_drives_put},
	{"PUT", "/vsock", BOOT, api_vsock_put},
	{"PUT", "/entropy", BOOT, api_entropy_put},
	{"PUT", "/snapshot/create", API_POST, api_snapshot_create},
	{"PUT", "/snapshot/load", API_PRE, api_snapshot_load},

	{"PATCH", "/drives/:id", BOTH, not_supported},
	{"DELETE", "/drives/:id", BOTH, not_supported},
	{"PUT", "/cpu-config", BOTH, not_supported},
	{"*", "/pmem/*", BOTH, not_supported},
	{"*", "/network-interfaces/*", BOTH, not_supported},
	{"PUT", "/serial", BOTH, not_supported},
	{"*", "/balloon/*", BOTH, not_supported},
	{"*", "/hotplug/memory", BOTH, not_supported},
	{"PUT", "/logger", BOTH, not_supported},
	{"PUT", "/metrics", BOTH, not_supported},
	{"*", "/mmds/*", BOTH, not_supported},
};
const unsigned api_route_count = STK_ARRAY_LEN(api_routes);

const struct vmconfig *api_current(const struct api_server *s)
{
	return vm_get_state(s->vm) == VM_NEW || s->failed ? &s->cfg : vm_get_config(s->vm);
}

/* Takes body. */
static void answer(struct http_req *req, int status, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);

	json_decref(body);
	if (!text)
		http_respond(req, 500, NULL, NULL, 0);
	else
		http_respond_take(req, status, "application/json", text, strlen(text));
}

void api_fault(struct http_req *req, const char *text)
{
	json_t *body = json_pack("{s:s}", "fault_message", text);

	/* A text cut in the middle of a character is not UTF-8. */
	answer(req, 400, body ? body : json_pack("{s:s}", "fault_message", "invalid request"));
}

/* The same rows for the router, which wants its own shape; flags is the place in our table. */
static const struct api_route *find_route(const struct http_req *req, struct router_match *m)
{
	static struct router_route rows[STK_ARRAY_LEN(api_routes)];
	const struct router_route *row;
	char allow[64];
	int status;

	if (!rows[0].method) {
		for (unsigned i = 0; i < api_route_count; i++)
			rows[i] = (struct router_route){api_routes[i].method, api_routes[i].pattern, NULL, i};
	}
	row = router_find(rows, api_route_count, http_req_method(req), http_req_path(req), m, &status, allow,
			  sizeof(allow));
	return row ? &api_routes[row->flags] : NULL;
}

static int check_phase(const struct api_server *s, const struct api_route *route, struct stk_err *err)
{
	bool started = vm_get_state(s->vm) != VM_NEW;

	if (s->failed && strcmp(route->method, "GET") != 0)
		return stk_err_set(err, -ESHUTDOWN, "loading a snapshot has failed: this process can only end");
	if (started && !(route->phases & API_POST))
		return stk_err_set(err, -EBUSY,
				   "The requested operation is not supported after starting the microVM.");
	if (!started && !(route->phases & API_PRE))
		return stk_err_set(err, -EBUSY,
				   "The requested operation is not supported before starting the microVM.");
	return 0;
}

/* 0 with *ret_body NULL for methods without a body. */
static int parse_body(const struct http_req *req, json_t **ret_body, struct stk_err *err)
{
	const char *method = http_req_method(req);
	size_t len;
	const uint8_t *data = http_req_body(req, &len);
	int r;

	if (strcmp(method, "GET") == 0 || strcmp(method, "DELETE") == 0) {
		if (len > 0)
			return stk_err_set(err, -EINVAL, "%s request cannot have a body.", method);
		return 0;
	}
	if (len == 0)
		return stk_err_set(err, -EINVAL, "Empty %s request.", method);
	r = json_get_parse(data, len, ret_body, err);
	if (r < 0)
		stk_err_prefix(err, "An error occurred when deserializing the json body of a request");
	return r;
}

static int run(struct api_server *s, const struct api_route *route, struct api_call *call,
	       const struct http_req *req, json_t **ret_body, struct stk_err *err)
{
	int r = 0;

	if (route->handler == not_supported)
		return not_supported(s, call, ret_body, err);
	if (call->id && !api_id_valid(call->id))
		return stk_err_set(err, -EINVAL, "API Resource IDs can only contain letters, digits, `_` and `-`.");
	r = parse_body(req, &call->body, err);
	if (r == 0)
		r = check_phase(s, route, err);
	if (r == 0)
		r = route->handler(s, call, ret_body, err);
	if (r == 0 && (route->phases & API_BOOTS))
		s->configured = true;
	return r;
}

void api_dispatch(struct api_server *s, struct http_req *req)
{
	static struct stk_log_limit refusals = {.burst = 20};
	struct router_match m = {0};
	const struct api_route *route = find_route(req, &m);
	struct api_call call = {.id = m.count ? m.value[0] : NULL};
	struct stk_err err = {0};
	json_t *body = NULL;
	bool was_failed = s->failed;

	http_resp_header(req, "Server", "Stoker API");
	if (!route) {
		stk_err_set(&err, -EINVAL, "Invalid request method and/or path: %s %.200s.",
			    http_req_method(req), http_req_path(req));
		api_fault(req, err.text);
		return;
	}
	stk_debug("API %s %.200s", http_req_method(req), http_req_path(req));
	if (run(s, route, &call, req, &body, &err) < 0) {
		if (stk_log_allow(&refusals))
			stk_info("API %s %.200s: %s", http_req_method(req), http_req_path(req),
				 err.text);
		api_fault(req, err.text);
	} else {
		if (call.deprecated)
			http_resp_header(req, "Deprecation", "true");
		if (body)
			answer(req, 200, body);
		else
			http_respond(req, 204, NULL, NULL, 0);
	}
	json_decref(call.body);
	/* The answer is in the kernel's hands: it is small. */
	if (s->failed && !was_failed && s->on_fatal)
		s->on_fatal(s->fatal_ctx);
}
