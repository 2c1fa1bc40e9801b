/* The control socket: see api_server.h. */
#include "vmm/api/api_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "vmm/api/api_internal.h"

static void on_request(void *ctx, struct http_req *req)
{
	api_dispatch(ctx, req);
}

/* Requests that never became one (malformed, too large, too slow). The text is ours, without quotes. */
static size_t error_body(void *ctx, struct http_req *req, int status, const char *text, char *buf, size_t cap,
			 const char **ret_type)
{
	int n = snprintf(buf, cap, "{\"error\":\"%s\"}", text);

	*ret_type = "application/json";
	return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

static const struct http_callbacks callbacks = {
	.on_request = on_request,
	.error_body = error_body,
};

int api_server_start(uv_loop_t *loop, const char *sock_path, const char *id, struct vm *vm,
		     struct api_server **ret, struct stk_err *err)
{
	struct http_limits limits = {
		.max_connections = 10,
		.max_header_bytes = 8192,
		.max_headers = 64,
		.max_body_bytes = API_MAX_BODY,
		.header_timeout_ms = 10000,
		.body_timeout_ms = 10000,
		.idle_timeout_ms = 3600000, /* a manager may keep its connection as long as the VM */
		.write_timeout_ms = 10000,
	};
	struct api_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return stk_err_set(err, -ENOMEM, "out of memory");
	s->vm = vm;
	vmconfig_init(&s->cfg);
	r = stk_strcpy(s->id, sizeof(s->id), id);
	if (r < 0) {
		free(s);
		return stk_err_set(err, r, "the id is longer than %u bytes", API_ID_MAX);
	}
	r = http_server_new(loop, &limits, &callbacks, s, &s->http);
	if (r < 0) {
		free(s);
		return stk_err_sys(err, r, "control socket");
	}
	r = http_server_listen_unix(s->http, sock_path, err);
	if (r < 0) {
		api_server_stop(s);
		return r;
	}
	*ret = s;
	return 0;
}

void api_server_on_fatal(struct api_server *s, void (*on_fatal)(void *ctx), void *ctx)
{
	s->on_fatal = on_fatal;
	s->fatal_ctx = ctx;
}

/* libuv removes the socket file as soon as the listener is told to close. */
void api_server_stop(struct api_server *s)
{
	if (s)
		http_server_close(s->http, 0, free, s);
}
