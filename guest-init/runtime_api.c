/* The Runtime API's routes and states: see runtime_api.h. */
#include "guest-init/runtime_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "guest-init/base64.h"

static const struct api_refusal bad_id = {400, "InvalidRequestID", "not the running invocation's request id"};
static const struct api_refusal bad_mode = {400, "InvalidFunctionResponseMode", "unknown response mode"};
static const struct api_refusal too_large = {413, "RequestEntityTooLarge", "the answer exceeds 6 MiB"};
static const struct api_refusal stream_too_large = {413, "RequestEntityTooLarge", "the streamed answer exceeds 20 MiB"};
static const struct api_refusal error_too_large = {
	413, "RequestEntityTooLarge", "the error report exceeds 64 KiB"};

static const char base[] = "/2018-06-01/runtime/";
static const char truncated_body[] =
	"{\"errorType\":\"Runtime.TruncatedResponse\","
	"\"errorMessage\":\"the runtime's answer was cut off\"}";
static const char report_too_large_body[] =
	"{\"errorType\":\"Runtime.ErrorReportTooLarge\","
	"\"errorMessage\":\"the function failed and its error report was larger than 64 KiB\"}";

/* What a request is; those from FORWARDED on carry a body that is forwarded or collected. */
enum action {
	ACT_NONE,
	ACT_REFUSE, /* body is skipped, then `refusal` is sent */
	ACT_NEXT,
	ACT_RESTORE,
	ACT_FORWARDED,
	ACT_RESPONSE = ACT_FORWARDED,
	ACT_ERROR,
	ACT_INIT_ERROR,
	ACT_RESTORE_ERROR,
	ACT_EXTENSION, /* extensions.h deals with it */
};

/* --- next ----------------------------------------------------------------------------------- */

static void send_event(struct runtime_api *api, struct api_conn *c)
{
	api_send(&api->server, c, api->next_head, api->next_head_len, api->event, api->event_len);
}

/* The first connection whose request of this kind waits, or NULL. */
static struct api_conn *parked(struct runtime_api *api, enum action action)
{
	for (unsigned i = 0; i < API_CONNS; i++) {
		struct api_conn *c = &api->server.conn[i];

		if (c->fd >= 0 && c->state == API_PARKED && c->action == (int)action)
			return c;
	}
	return NULL;
}

static void check_ready(struct runtime_api *api)
{
	if (api->ready || !api->runtime_ready || !extensions_ready(&api->ext))
		return;
	api->ready = true;
	api->ops->ready(api->ctx);
}

void runtime_api_ready(struct runtime_api *api)
{
	if (api->state != RUNTIME_API_STARTED)
		return;
	api->state = RUNTIME_API_READY;
	api->runtime_ready = true;
	check_ready(api);
}

/* The client is back from what it was sent to do. */
static void client_back(struct runtime_api *api)
{
	api->hooks = false;
	if (!api->resuming)
		return;
	api->resuming = false;
	api->ops->resumed(api->ctx);
}

static void do_next(struct runtime_api *api, struct api_conn *c)
{
	switch (api->state) {
	case RUNTIME_API_RUNNING:
		api->hooks = false;
		send_event(api, c);
		return;
	case RUNTIME_API_STARTED:
	case RUNTIME_API_RESTORED:
		api->state = RUNTIME_API_READY;
		/* fall through */
	case RUNTIME_API_READY:
	case RUNTIME_API_ANSWERED:
		api_park(&api->server, c);
		if (!api->runtime_ready) {
			api->runtime_ready = true;
			check_ready(api);
		}
		client_back(api);
		return;
	default:
		api_refuse(&api->server, c, &api_bad_state);
	}
}

static void do_restore_next(struct runtime_api *api, struct api_conn *c)
{
	if (api->state != RUNTIME_API_STARTED) {
		api_refuse(&api->server, c, &api_bad_state);
		return;
	}
	api->state = RUNTIME_API_RESTORING;
	api_park(&api->server, c);
	api->runtime_ready = true;
	check_ready(api);
}

/* A clone: the hooks run now. */
static void release_restore(struct runtime_api *api)
{
	struct api_conn *c = parked(api, ACT_RESTORE);

	api->state = RUNTIME_API_RESTORED;
	api->hooks = true;
	if (c)
		api_answer(&api->server, c, 200, "", "");
}

static bool warm_up(struct runtime_api *api)
{
	static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
	struct api_conn *c = parked(api, ACT_NEXT);

	if (!c || !c->warmable)
		return false;
	api->resuming = true;
	api_send(&api->server, c, answer, sizeof(answer) - 1, NULL, 0);
	return true;
}

bool runtime_api_resumed(struct runtime_api *api, bool warm)
{
	if (api->state == RUNTIME_API_RESTORING) {
		api->resuming = true;
		release_restore(api);
		return true;
	}
	if (api->hooks) { /* told a second time, before the first was done */
		api->resuming = true;
		return true;
	}
	return warm && api->state == RUNTIME_API_READY && !api->resuming && warm_up(api);
}

static bool header_text_ok(const char *s, size_t len, bool name)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)s[i];

		if (ch < ' ' || ch == 0x7f || (name && (ch == ' ' || ch == ':' || ch >= 0x80)))
			return false;
	}
	return true;
}

/* The head of the answer to `next`. */
static int build_head(struct runtime_api *api, const struct gw_invoke *inv)
{
	char *p = api->next_head;
	size_t left = sizeof(api->next_head);
	int n = snprintf(p, left,
			 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
			 "Lambda-Runtime-Aws-Request-Id: %s\r\n"
			 "Lambda-Runtime-Deadline-Ms: %llu\r\nContent-Length: %u\r\n",
			 api->request_id, (unsigned long long)inv->deadline_ms, inv->event_len);

	p += n;
	left -= (size_t)n;
	for (unsigned i = 0; i < inv->kv_count; i++) {
		const struct gw_kv *kv = &inv->kv[i];

		if (!header_text_ok(kv->key, kv->key_len, true) ||
		    !header_text_ok(kv->value, kv->value_len, false) ||
		    (size_t)kv->key_len + kv->value_len + 6 > left)
			return -EPROTO;
		if (!kv->value_len)
			continue; /* clients tell "empty" from "absent" */
		memcpy(p, kv->key, kv->key_len);
		p += kv->key_len;
		memcpy(p, ": ", 2);
		p += 2;
		memcpy(p, kv->value, kv->value_len);
		p += kv->value_len;
		memcpy(p, "\r\n", 2);
		p += 2;
		left -= (size_t)kv->key_len + kv->value_len + 4;
	}
	memcpy(p, "\r\n", 2);
	api->next_head_len = (size_t)(p + 2 - api->next_head);
	return 0;
}

int runtime_api_invoke(struct runtime_api *api, const struct gw_invoke *inv)
{
	struct api_conn *c;
	int rc;

	if (!api->ready || (api->state != RUNTIME_API_READY && api->state != RUNTIME_API_RESTORING &&
			    api->state != RUNTIME_API_RESTORED && api->state != RUNTIME_API_RESTORE_FAILED))
		return -EALREADY;
	memcpy(api->request_id, inv->request_id, inv->request_id_len);
	api->request_id[inv->request_id_len] = '\0';
	rc = build_head(api, inv);
	if (rc < 0)
		return rc;
	if (api->state == RUNTIME_API_RESTORE_FAILED) { /* told now that there is somebody to tell */
		api->state = RUNTIME_API_ANSWERED;
		api->ops->error(api->ctx, GW_ERR_FUNCTION, api->error, api->error_len);
		return 0;
	}
	api->event = inv->event;
	api->event_len = inv->event_len;
	if (api->state == RUNTIME_API_RESTORING) /* a machine that was never a snapshot */
		release_restore(api);
	api->state = RUNTIME_API_RUNNING;
	if (api->ext.count)
		extensions_invoke(&api->ext, &api->server, inv);
	for (unsigned i = 0; i < API_CONNS; i++) {
		c = &api->server.conn[i];
		if (c->fd >= 0 && c->state == API_PARKED && c->action == ACT_NEXT) {
			send_event(api, c);
			if (c->fd >= 0)
				break;
		}
	}
	return 0;
}

/* --- response, error, init/error, restore/error ------------------------------------------------ */

static void answer_ended(struct runtime_api *api, struct api_conn *c, enum runtime_api_state state)
{
	if (api->answering == c)
		api->answering = NULL;
	api->state = state;
}

static void answer_too_large(struct runtime_api *api, struct api_conn *c)
{
	c->action = ACT_REFUSE;
	c->refusal = api->streamed ? &stream_too_large : &too_large;
	answer_ended(api, c, RUNTIME_API_ANSWERED);
	api->ops->error(api->ctx, GW_ERR_TOO_LARGE, "", 0);
}

static uint64_t answer_limit(const struct runtime_api *api)
{
	return api->streamed ? GW_MAX_STREAM : GW_MAX_RESPONSE;
}

static void take_response(struct runtime_api *api, struct api_conn *c, const uint8_t *data, size_t len, bool fin)
{
	if (c->total + len > answer_limit(api)) {
		answer_too_large(api, c);
		return;
	}
	c->total += len;
	fin = fin && !c->buf->http.failed; /* else the end is an error */
	if (fin)
		answer_ended(api, c, RUNTIME_API_ANSWERED);
	if (fin || len)
		api->ops->response(api->ctx, data, len, fin);
}

static void collect_error(struct runtime_api *api, struct api_conn *c, const uint8_t *data, size_t len)
{
	c->total += len;
	if (c->total <= sizeof(api->error) && len) {
		memcpy(api->error + api->error_len, data, len);
		api->error_len += len;
	}
}

static void on_body(void *ctx, struct api_conn *c, const uint8_t *data, size_t len, bool fin)
{
	struct runtime_api *api = ctx;

	if (c->action == ACT_RESPONSE)
		take_response(api, c, data, len, fin);
	else if (c->action == ACT_EXTENSION)
		extensions_body(&api->ext, c, data, len);
	else if (c->action > ACT_FORWARDED)
		collect_error(api, c, data, len);
}

/* An answer that ended with a failure in its trailers: the client is told so. */
static void finish_midstream(struct runtime_api *api, struct api_conn *c)
{
	struct http1 *http = &c->buf->http;
	long n = base64_decode(http->report);
	char body[400];
	size_t len = 0;

	answer_ended(api, c, RUNTIME_API_ANSWERED);
	if (http->report_len && n > 0 && (size_t)n <= sizeof(api->error)) {
		api->ops->error(api->ctx, GW_ERR_FUNCTION, http->report, (size_t)n);
		return;
	}
	len = (size_t)snprintf(body, sizeof(body),
			       "{\"errorType\":\"%s\",\"errorMessage\":\"the function failed while it was answering\"}",
			       extensions_type_ok(http->error_type) ? http->error_type : "Runtime.StreamError");
	api->ops->error(api->ctx, GW_ERR_FUNCTION, body, len);
}

/* The report is complete (or too large): told, or kept for the invocation to come. */
static void finish_error(struct runtime_api *api, struct api_conn *c)
{
	bool large = c->total > sizeof(api->error), waits = false;
	enum gw_error_kind kind = GW_ERR_FUNCTION;

	if (large) {
		api->error_len = sizeof(report_too_large_body) - 1;
		memcpy(api->error, report_too_large_body, api->error_len);
	}
	if (c->action == ACT_INIT_ERROR) {
		kind = GW_ERR_INIT;
		answer_ended(api, c, RUNTIME_API_INIT_FAILED);
	} else if (c->action == ACT_RESTORE_ERROR && api->state == RUNTIME_API_RESTORED) {
		waits = true;
		answer_ended(api, c, RUNTIME_API_RESTORE_FAILED);
	} else {
		answer_ended(api, c, RUNTIME_API_ANSWERED);
	}
	if (c->action == ACT_RESTORE_ERROR)
		client_back(api);
	if (!waits)
		api->ops->error(api->ctx, kind, api->error, api->error_len);
	if (large)
		api_refuse(&api->server, c, &error_too_large);
	else
		api_answer(&api->server, c, 202, "", "{\"status\":\"OK\"}\n");
}

static void on_complete(void *ctx, struct api_conn *c)
{
	struct runtime_api *api = ctx;

	switch ((enum action)c->action) {
	case ACT_NEXT:
		do_next(api, c);
		return;
	case ACT_RESTORE:
		do_restore_next(api, c);
		return;
	case ACT_RESPONSE:
		if (c->buf->http.failed)
			finish_midstream(api, c);
		api_answer(&api->server, c, 202, "", "{\"status\":\"OK\"}\n");
		return;
	case ACT_ERROR:
	case ACT_INIT_ERROR:
	case ACT_RESTORE_ERROR:
		finish_error(api, c);
		return;
	case ACT_EXTENSION:
		extensions_complete(&api->ext, &api->server, c);
		if (extensions_take_news(&api->ext))
			api->ops->extension(api->ctx);
		check_ready(api);
		return;
	default:
		api_refuse(&api->server, c, c->refusal);
	}
}

/* What was being received is over before its end. */
static void on_cut(void *ctx, struct api_conn *c)
{
	struct runtime_api *api = ctx;

	if (c != api->answering)
		return;
	api->answering = NULL;
	if (c->action == ACT_RESPONSE && (c->total > 0 || api->streamed)) {
		/* Part of it is on its way to the client already. */
		api->state = RUNTIME_API_ANSWERED;
		api->ops->error(api->ctx, GW_ERR_FUNCTION, truncated_body, sizeof(truncated_body) - 1);
	} else if (c->action == ACT_RESPONSE || c->action == ACT_ERROR) {
		api->state = RUNTIME_API_RUNNING;
	}
}

/* --- routes --------------------------------------------------------------------------------- */

/* invocation/ID/response and invocation/ID/error */
static enum action route_invocation(const struct runtime_api *api, struct api_conn *c, const char *path)
{
	size_t id_len = strcspn(path, "/");
	bool response = strcmp(path + id_len, "/response") == 0;

	if (!response && strcmp(path + id_len, "/error") != 0) {
		c->refusal = &api_not_found;
		return ACT_REFUSE;
	}
	if (strcmp(c->buf->http.method, "POST") != 0)
		c->refusal = &api_bad_method;
	else if (api->state < RUNTIME_API_RUNNING || api->state == RUNTIME_API_INIT_FAILED)
		c->refusal = &api_bad_state;
	else if (api->state == RUNTIME_API_ANSWERED || strlen(api->request_id) != id_len ||
		 memcmp(api->request_id, path, id_len) != 0)
		c->refusal = &bad_id;
	else if (api->state == RUNTIME_API_ANSWERING || api->answering)
		c->refusal = &api_bad_state;
	else if (response && c->buf->http.mode == HTTP1_MODE_OTHER)
		c->refusal = &bad_mode;
	else
		return response ? ACT_RESPONSE : ACT_ERROR;
	return ACT_REFUSE;
}

/* init/error, restore/next, restore/error */
static enum action route_phase(const struct runtime_api *api, struct api_conn *c, const char *path)
{
	bool get = strcmp(path, "restore/next") == 0, init = strcmp(path, "init/error") == 0;

	if (strcmp(c->buf->http.method, get ? "GET" : "POST") != 0)
		c->refusal = &api_bad_method;
	else if (get)
		return ACT_RESTORE;
	else if (api->answering || (init ? api->state != RUNTIME_API_STARTED : !api->hooks))
		c->refusal = &api_bad_state;
	else
		return init ? ACT_INIT_ERROR : ACT_RESTORE_ERROR;
	return ACT_REFUSE;
}

static enum action route(struct runtime_api *api, struct api_conn *c)
{
	const char *path = c->buf->http.target;

	c->refusal = &api_not_found;
	if (strncmp(path, base, sizeof(base) - 1) != 0)
		return extensions_route(&api->ext, c) ? ACT_EXTENSION : ACT_REFUSE;
	path += sizeof(base) - 1;
	c->warmable = strcmp(path, "invocation/next?warm=1") == 0;
	if (c->warmable || strcmp(path, "invocation/next") == 0) {
		if (strcmp(c->buf->http.method, "GET") == 0)
			return ACT_NEXT;
		c->refusal = &api_bad_method;
		return ACT_REFUSE;
	}
	if (strncmp(path, "invocation/", 11) == 0)
		return route_invocation(api, c, path + 11);
	if (strcmp(path, "init/error") == 0 ||
	    (api->snapstart && (strcmp(path, "restore/next") == 0 || strcmp(path, "restore/error") == 0)))
		return route_phase(api, c, path);
	return ACT_REFUSE;
}

static bool on_head(void *ctx, struct api_conn *c)
{
	struct runtime_api *api = ctx;
	const struct http1 *http = &c->buf->http;

	c->total = 0;
	c->action = (int)route(api, c);
	if (c->action < ACT_FORWARDED || c->action == ACT_EXTENSION)
		return false;
	api->answering = c;
	api->error_len = 0;
	if (c->action != ACT_RESPONSE) {
		if (c->action == ACT_ERROR)
			api->state = RUNTIME_API_ANSWERING;
		return true;
	}
	api->state = RUNTIME_API_ANSWERING;
	api->streamed = http->mode == HTTP1_MODE_STREAMING;
	if (api->streamed)
		api->ops->stream(api->ctx, http->content_type);
	if (http->has_length && http->length > answer_limit(api))
		answer_too_large(api, c);
	return true;
}

static bool on_readable(void *ctx, const struct api_conn *c)
{
	const struct runtime_api *api = ctx;

	return c != api->answering || api->ops->room(api->ctx);
}

/* --- life ----------------------------------------------------------------------------------- */

static const struct api_ops conn_ops = {
	.head = on_head, .body = on_body, .complete = on_complete, .cut = on_cut, .readable = on_readable};

int runtime_api_open(struct runtime_api *api, int epfd, uint64_t tag, uint16_t port,
		     const struct runtime_api_ops *ops, void *ctx, uint16_t *ret_port)
{
	api->ops = ops;
	api->ctx = ctx;
	api->state = RUNTIME_API_STARTED;
	api->answering = NULL;
	api->snapstart = api->hooks = api->resuming = api->runtime_ready = api->ready = api->streamed = false;
	extensions_init(&api->ext);
	return api_server_open(&api->server, epfd, tag, port, &conn_ops, api, ret_port);
}

void runtime_api_event(struct runtime_api *api, uint64_t index, uint32_t events)
{
	api_server_event(&api->server, index, events);
}

void runtime_api_resume(struct runtime_api *api)
{
	if (api->answering)
		api_conn_arm(&api->server, api->answering);
}

bool runtime_api_settle(struct runtime_api *api)
{
	return api_server_settle(&api->server);
}

void runtime_api_close(struct runtime_api *api)
{
	api_server_close(&api->server);
}
