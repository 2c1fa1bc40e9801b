/* The Runtime API's routes and states: see runtime_api.h. */
#include "guest-init/runtime_api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct runtime_api_refusal {
	int status;
	const char *type, *message;
};

static const struct runtime_api_refusal not_found = {404, "ResourceNotFound", "no such resource"};
static const struct runtime_api_refusal bad_method = {
	405, "MethodNotAllowed", "method not allowed here"};
static const struct runtime_api_refusal bad_id = {
	400, "InvalidRequestID", "not the running invocation's request id"};
static const struct runtime_api_refusal bad_state = {
	403, "InvalidStateTransition", "not possible in the present state"};
static const struct runtime_api_refusal bad_mode = {
	400, "InvalidFunctionResponseMode", "unknown response mode"};
static const struct runtime_api_refusal too_large = {
	413, "RequestEntityTooLarge", "the answer exceeds 6 MiB"};
static const struct runtime_api_refusal error_too_large = {
	413, "RequestEntityTooLarge", "the error report exceeds 64 KiB"};
static const struct runtime_api_refusal malformed = {
	400, "InvalidRequest", "malformed HTTP request"};

static const char base[] = "/2018-06-01/runtime/";
static const char truncated_body[] =
	"{\"errorType\":\"Runtime.TruncatedResponse\","
	"\"errorMessage\":\"the runtime's answer was cut off\"}";
static const char midstream_body[] =
	"{\"errorType\":\"Runtime.StreamError\","
	"\"errorMessage\":\"the function failed while it was answering\"}";
static const char report_too_large_body[] =
	"{\"errorType\":\"Runtime.ErrorReportTooLarge\","
	"\"errorMessage\":\"the function failed and its error report was larger than 64 KiB\"}";

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 202:
		return "Accepted";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	default:
		return "Error";
	}
}

/* --- connections ---------------------------------------------------------------------------- */

static uint64_t conn_tag(const struct runtime_api *api, const struct runtime_api_conn *c)
{
	return api->tag + 1 + (uint64_t)(c - api->conn);
}

/* Listens for what the connection's state waits for. */
static void conn_arm(struct runtime_api *api, struct runtime_api_conn *c)
{
	struct epoll_event ev = {.data.u64 = conn_tag(api, c)};

	if (c->state == RUNTIME_API_WRITING)
		ev.events = EPOLLOUT;
	else if (c == api->answering && !api->ops->room(api->ctx))
		ev.events = 0;
	else
		ev.events = EPOLLIN | EPOLLRDHUP;
	if (ev.events == c->events)
		return;
	/* Taken out of the set to wait for room: else a reset by the peer would be reported for ever. */
	if (epoll_ctl(api->epfd,
		      !ev.events    ? EPOLL_CTL_DEL
		      : c->events ? EPOLL_CTL_MOD
				    : EPOLL_CTL_ADD,
		      c->fd, &ev) == 0)
		c->events = ev.events;
}

static void listen_arm(struct runtime_api *api, bool on)
{
	struct epoll_event ev = {.events = on ? EPOLLIN : 0, .data.u64 = api->tag};

	if (api->accepting == on)
		return;
	if (epoll_ctl(api->epfd, EPOLL_CTL_MOD, api->listen_fd, &ev) == 0)
		api->accepting = on;
}

static void conn_close(struct runtime_api *api, struct runtime_api_conn *c)
{
	close(c->fd);
	c->fd = -1;
	listen_arm(api, true);
	if (c != api->answering)
		return;
	api->answering = NULL;
	if (c->action == RUNTIME_API_ACT_RESPONSE && c->total > 0) {
		/* Part of it is on its way to the client already. */
		api->state = RUNTIME_API_ANSWERED;
		api->ops->error(api->ctx, GW_ERR_FUNCTION, truncated_body, sizeof(truncated_body) - 1);
	} else {
		api->state = c->action == RUNTIME_API_ACT_INIT_ERROR ? RUNTIME_API_STARTED
								       : RUNTIME_API_RUNNING;
	}
}

/* Sends what is pending. Afterwards the connection is closed, WRITING, or READING. */
static void conn_flush(struct runtime_api *api, struct runtime_api_conn *c)
{
	while (c->head_left || c->body_left) {
		struct iovec iov[2] = {
			{(void *)(uintptr_t)c->head, c->head_left},
			{(void *)(uintptr_t)c->body, c->body_left},
		};
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
		ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
		size_t sent;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			c->state = RUNTIME_API_WRITING;
			conn_arm(api, c);
			return;
		}
		if (n < 0) {
			conn_close(api, c);
			return;
		}
		sent = (size_t)n < c->head_left ? (size_t)n : c->head_left;
		c->head += sent;
		c->head_left -= sent;
		c->body += (size_t)n - sent;
		c->body_left -= (size_t)n - sent;
	}
	if (c->close_after) {
		conn_close(api, c);
		return;
	}
	c->state = RUNTIME_API_READING;
	c->action = RUNTIME_API_ACT_NONE;
	http1_reset(&c->http);
	conn_arm(api, c);
}

static void conn_answer(struct runtime_api *api, struct runtime_api_conn *c, int status,
			const char *body)
{
	int n = snprintf(c->out, sizeof(c->out),
			 "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
			 "Content-Length: %zu\r\n%s\r\n%s",
			 status, reason(status), strlen(body),
			 c->close_after ? "Connection: close\r\n" : "", body);

	c->head = (const uint8_t *)c->out;
	c->head_left = (size_t)n;
	c->body_left = 0;
	conn_flush(api, c);
}

static void conn_refuse(struct runtime_api *api, struct runtime_api_conn *c,
			const struct runtime_api_refusal *r, int status)
{
	char body[160];

	snprintf(body, sizeof(body), "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}", r->message, r->type);
	conn_answer(api, c, status, body);
}

/* --- next ----------------------------------------------------------------------------------- */

static void send_event(struct runtime_api *api, struct runtime_api_conn *c)
{
	c->head = (const uint8_t *)api->next_head;
	c->head_left = api->next_head_len;
	c->body = api->event;
	c->body_left = api->event_len;
	conn_flush(api, c);
}

static void do_next(struct runtime_api *api, struct runtime_api_conn *c)
{
	switch (api->state) {
	case RUNTIME_API_RUNNING:
		send_event(api, c);
		return;
	case RUNTIME_API_STARTED:
		api->state = RUNTIME_API_READY;
		c->state = RUNTIME_API_PARKED;
		conn_arm(api, c);
		api->ops->ready(api->ctx);
		return;
	case RUNTIME_API_READY:
	case RUNTIME_API_ANSWERED:
		c->state = RUNTIME_API_PARKED;
		conn_arm(api, c);
		if (api->warming) {
			api->warming = false;
			api->ops->warmed(api->ctx);
		}
		return;
	default:
		conn_refuse(api, c, &bad_state, bad_state.status);
	}
}

bool runtime_api_warm_up(struct runtime_api *api)
{
	static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";

	if (api->state != RUNTIME_API_READY || api->warming)
		return false;
	for (unsigned i = 0; i < RUNTIME_API_CONNS; i++) {
		struct runtime_api_conn *c = &api->conn[i];

		if (c->fd < 0 || c->state != RUNTIME_API_PARKED || !c->warmable)
			continue;
		api->warming = true;
		c->head = (const uint8_t *)answer;
		c->head_left = sizeof(answer) - 1;
		c->body_left = 0;
		conn_flush(api, c);
		return true;
	}
	return false;
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

int runtime_api_invoke(struct runtime_api *api, const struct gw_invoke *inv)
{
	char *p = api->next_head;
	size_t left = sizeof(api->next_head);
	int n;

	if (api->state != RUNTIME_API_READY)
		return -EALREADY;
	memcpy(api->request_id, inv->request_id, inv->request_id_len);
	api->request_id[inv->request_id_len] = '\0';
	n = snprintf(p, left,
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
	api->event = inv->event;
	api->event_len = inv->event_len;
	api->state = RUNTIME_API_RUNNING;
	for (unsigned i = 0; i < RUNTIME_API_CONNS; i++) {
		struct runtime_api_conn *c = &api->conn[i];

		if (c->fd >= 0 && c->state == RUNTIME_API_PARKED) {
			send_event(api, c);
			if (c->fd >= 0)
				break;
		}
	}
	return 0;
}

/* --- response, error, init/error --------------------------------------------------------------- */

/* Decodes in place; the number of bytes, or -1. */
static int base64_decode(char *s)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t acc = 0;
	unsigned bits = 0;
	int n = 0;

	for (const char *p = s; *p && *p != '='; p++) {
		const char *at = strchr(alphabet, *p);

		if (!at)
			return -1;
		acc = acc << 6 | (uint32_t)(at - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			s[n++] = (char)(acc >> bits);
		}
	}
	return n;
}

static void answer_ended(struct runtime_api *api, struct runtime_api_conn *c,
			 enum runtime_api_state state)
{
	if (api->answering == c)
		api->answering = NULL;
	api->state = state;
}

static void answer_too_large(struct runtime_api *api, struct runtime_api_conn *c)
{
	c->action = RUNTIME_API_ACT_REFUSE;
	c->refusal = &too_large;
	answer_ended(api, c, RUNTIME_API_ANSWERED);
	api->ops->error(api->ctx, GW_ERR_TOO_LARGE, "", 0);
}

/* A piece of a response or error report. */
static void take_body(struct runtime_api *api, struct runtime_api_conn *c, const uint8_t *data,
		      size_t len, bool fin)
{
	switch (c->action) {
	case RUNTIME_API_ACT_RESPONSE:
		if (c->total + len > GW_MAX_RESPONSE) {
			answer_too_large(api, c);
			return;
		}
		c->total += len;
		if (fin)
			answer_ended(api, c, RUNTIME_API_ANSWERED);
		if (fin || len)
			api->ops->response(api->ctx, data, len, fin);
		return;
	case RUNTIME_API_ACT_ERROR:
	case RUNTIME_API_ACT_INIT_ERROR:
		c->total += len;
		if (c->total <= sizeof(api->error)) {
			memcpy(api->error + api->error_len, data, len);
			api->error_len += len;
		}
		return;
	default: /* skipped */
		return;
	}
}

/* The request is complete: what is answered. */
static void finish(struct runtime_api *api, struct runtime_api_conn *c)
{
	enum gw_error_kind kind = GW_ERR_FUNCTION;

	c->close_after = !c->http.keep_alive;
	switch (c->action) {
	case RUNTIME_API_ACT_NEXT:
		do_next(api, c);
		return;
	case RUNTIME_API_ACT_RESPONSE:
		break;
	case RUNTIME_API_ACT_INIT_ERROR:
		kind = GW_ERR_INIT;
		/* fall through */
	case RUNTIME_API_ACT_ERROR:
		answer_ended(api, c, kind == GW_ERR_INIT ? RUNTIME_API_INIT_FAILED : RUNTIME_API_ANSWERED);
		if (c->total > sizeof(api->error)) {
			api->ops->error(api->ctx, kind, report_too_large_body,
					sizeof(report_too_large_body) - 1);
			conn_refuse(api, c, &error_too_large, error_too_large.status);
			return;
		}
		api->ops->error(api->ctx, kind, api->error, api->error_len);
		break;
	default:
		conn_refuse(api, c, c->refusal, c->refusal->status);
		return;
	}
	conn_answer(api, c, 202, "{\"status\":\"OK\"}\n");
}

/* A streamed answer that ended with a failure in its trailers: the client is told so. */
static void finish_midstream(struct runtime_api *api, struct runtime_api_conn *c)
{
	int n = base64_decode(c->http.error_body);

	answer_ended(api, c, RUNTIME_API_ANSWERED);
	if (n > 0)
		api->ops->error(api->ctx, GW_ERR_FUNCTION, c->http.error_body, (size_t)n);
	else
		api->ops->error(api->ctx, GW_ERR_FUNCTION, midstream_body, sizeof(midstream_body) - 1);
}

/* --- routes --------------------------------------------------------------------------------- */

/* invocation/ID/response and invocation/ID/error */
static enum runtime_api_action route_invocation(const struct runtime_api *api,
						const struct runtime_api_conn *c, const char *path,
						const struct runtime_api_refusal **ret_refusal)
{
	size_t id_len = strcspn(path, "/");
	bool response = strcmp(path + id_len, "/response") == 0;

	if (!response && strcmp(path + id_len, "/error") != 0) {
		*ret_refusal = &not_found;
		return RUNTIME_API_ACT_REFUSE;
	}
	if (strcmp(c->http.method, "POST") != 0)
		*ret_refusal = &bad_method;
	else if (api->state < RUNTIME_API_RUNNING || api->state == RUNTIME_API_INIT_FAILED)
		*ret_refusal = &bad_state;
	else if (api->state == RUNTIME_API_ANSWERED || strlen(api->request_id) != id_len ||
		 memcmp(api->request_id, path, id_len) != 0)
		*ret_refusal = &bad_id;
	else if (api->state == RUNTIME_API_ANSWERING)
		*ret_refusal = &bad_state;
	else if (response && c->http.mode == HTTP1_MODE_OTHER)
		*ret_refusal = &bad_mode;
	else
		return response ? RUNTIME_API_ACT_RESPONSE : RUNTIME_API_ACT_ERROR;
	return RUNTIME_API_ACT_REFUSE;
}

static enum runtime_api_action route(const struct runtime_api *api, struct runtime_api_conn *c,
				     const struct runtime_api_refusal **ret_refusal)
{
	const char *path = c->http.target;

	*ret_refusal = &not_found;
	if (strncmp(path, base, sizeof(base) - 1) != 0)
		return RUNTIME_API_ACT_REFUSE;
	path += sizeof(base) - 1;
	c->warmable = strcmp(path, "invocation/next?warm=1") == 0;
	if (c->warmable || strcmp(path, "invocation/next") == 0) {
		if (strcmp(c->http.method, "GET") == 0)
			return RUNTIME_API_ACT_NEXT;
		*ret_refusal = &bad_method;
	} else if (strcmp(path, "init/error") == 0) {
		if (strcmp(c->http.method, "POST") != 0)
			*ret_refusal = &bad_method;
		else if (api->state != RUNTIME_API_STARTED || api->answering)
			*ret_refusal = &bad_state;
		else
			return RUNTIME_API_ACT_INIT_ERROR;
	} else if (strncmp(path, "invocation/", 11) == 0) {
		return route_invocation(api, c, path + 11, ret_refusal);
	}
	return RUNTIME_API_ACT_REFUSE;
}

static void head_complete(struct runtime_api *api, struct runtime_api_conn *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	c->total = 0;
	c->action = route(api, c, &c->refusal);
	if (c->action >= RUNTIME_API_ACT_RESPONSE) {
		api->answering = c;
		api->error_len = 0;
		if (c->action != RUNTIME_API_ACT_INIT_ERROR)
			api->state = RUNTIME_API_ANSWERING;
		if (c->action == RUNTIME_API_ACT_RESPONSE && c->http.has_length &&
		    c->http.length > GW_MAX_RESPONSE)
			answer_too_large(api, c);
	}
	/* A full send buffer is impossible here: nothing else is under way on this connection. A
	 * client that does not get it sends its body after a while (RFC 9110 section 10.1.1). */
	if (c->http.expect_continue && !http1_body_complete(&c->http))
		(void)!send(c->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL);
}

/* A client that sends head and body in two writes, with Nagle's algorithm on, waits for the
 * acknowledgement of the first: it is given at once, not 40 ms later. */
static void want_rest(const struct runtime_api_conn *c)
{
	int one = 1;

	if (c->action >= RUNTIME_API_ACT_RESPONSE && c->total == 0)
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}

/* Works through what has been read, as far as the connection's state allows. A piece of an
 * answer's body is held back until it is known whether it is the last one. */
static void conn_process(struct runtime_api *api, struct runtime_api_conn *c)
{
	const uint8_t *held = NULL;
	size_t held_len = 0;

	while (c->fd >= 0 && c->state == RUNTIME_API_READING) {
		const uint8_t *data = c->rx + c->rx_off, *piece = NULL;
		size_t left = c->rx_len - c->rx_off, piece_len = 0;
		int rc = http1_next(&c->http, &data, &left, &piece, &piece_len);

		c->rx_off = c->rx_len - left;
		if (held && rc != HTTP1_DONE) {
			take_body(api, c, held, held_len, false);
			held = NULL;
		}
		if (rc == HTTP1_MORE) {
			want_rest(c);
			break;
		}
		if (rc == HTTP1_HEAD) {
			head_complete(api, c);
		} else if (rc == HTTP1_BODY) {
			held = piece;
			held_len = piece_len;
		} else if (rc == HTTP1_DONE) {
			bool failed = c->http.chunked && c->http.has_error_body &&
				      c->action == RUNTIME_API_ACT_RESPONSE;

			if (held || c->action == RUNTIME_API_ACT_RESPONSE)
				take_body(api, c, held, held_len, !failed);
			held = NULL;
			held_len = 0;
			if (failed && c->action == RUNTIME_API_ACT_RESPONSE)
				finish_midstream(api, c);
			finish(api, c);
		} else {
			c->close_after = true;
			c->action = c->action == RUNTIME_API_ACT_NONE ? RUNTIME_API_ACT_REFUSE : c->action;
			conn_refuse(api, c, &malformed, c->http.error_status);
		}
	}
	if (c->rx_off == c->rx_len)
		c->rx_off = c->rx_len = 0;
}

/* Reads once. False when nothing came. */
static bool conn_read(struct runtime_api *api, struct runtime_api_conn *c)
{
	ssize_t n;

	if (c->rx_len == sizeof(c->rx)) {
		if (c->rx_off == 0) { /* only a client that sends on while its `next` waits */
			conn_close(api, c);
			return true;
		}
		memmove(c->rx, c->rx + c->rx_off, c->rx_len - c->rx_off);
		c->rx_len -= c->rx_off;
		c->rx_off = 0;
	}
	do
		n = recv(c->fd, c->rx + c->rx_len, sizeof(c->rx) - c->rx_len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		conn_close(api, c);
		return true;
	}
	c->rx_len += (size_t)n;
	conn_process(api, c);
	return true;
}

static void accept_one(struct runtime_api *api)
{
	struct runtime_api_conn *c = NULL;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
	int one = 1;
	int fd;

	for (unsigned i = 0; i < RUNTIME_API_CONNS && !c; i++) {
		if (api->conn[i].fd < 0)
			c = &api->conn[i];
	}
	if (!c) {
		listen_arm(api, false);
		return;
	}
	fd = accept4(api->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	ev.data.u64 = conn_tag(api, c);
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    epoll_ctl(api->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		close(fd);
		return;
	}
	c->fd = fd;
	c->state = RUNTIME_API_READING;
	c->action = RUNTIME_API_ACT_NONE;
	c->close_after = false;
	c->events = ev.events;
	c->rx_off = c->rx_len = 0;
	c->head_left = c->body_left = 0;
	http1_reset(&c->http);
}

/* --- life ----------------------------------------------------------------------------------- */

int runtime_api_open(struct runtime_api *api, int epfd, uint64_t tag, uint16_t port,
		     const struct runtime_api_ops *ops, void *ctx, uint16_t *ret_port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = tag};
	socklen_t len = sizeof(sin);
	int one = 1;
	int rc;

	api->ops = ops;
	api->ctx = ctx;
	api->epfd = epfd;
	api->tag = tag;
	api->state = RUNTIME_API_STARTED;
	api->answering = NULL;
	api->accepting = true;
	for (unsigned i = 0; i < RUNTIME_API_CONNS; i++)
		api->conn[i].fd = -1;
	api->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (api->listen_fd < 0)
		return -errno;
	if (setsockopt(api->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(api->listen_fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    listen(api->listen_fd, 16) < 0 ||
	    getsockname(api->listen_fd, (struct sockaddr *)&sin, &len) < 0 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, api->listen_fd, &ev) < 0) {
		rc = -errno;
		close(api->listen_fd);
		api->listen_fd = -1;
		return rc;
	}
	*ret_port = ntohs(sin.sin_port);
	return 0;
}

void runtime_api_event(struct runtime_api *api, uint64_t index, uint32_t events)
{
	struct runtime_api_conn *c;

	if (index == 0) {
		accept_one(api);
		return;
	}
	if (index > RUNTIME_API_CONNS || api->conn[index - 1].fd < 0)
		return; /* closed earlier in the same round */
	c = &api->conn[index - 1];
	if (c->state == RUNTIME_API_WRITING) {
		if (events & (EPOLLERR | EPOLLHUP))
			conn_close(api, c);
		else
			conn_flush(api, c);
		if (c->fd >= 0)
			conn_process(api, c); /* what came behind the answered request */
		return;
	}
	if (c == api->answering && !api->ops->room(api->ctx)) {
		conn_arm(api, c);
		return;
	}
	conn_read(api, c);
}

void runtime_api_resume(struct runtime_api *api)
{
	if (api->answering)
		conn_arm(api, api->answering);
}

bool runtime_api_settle(struct runtime_api *api)
{
	for (unsigned i = 0; i < RUNTIME_API_CONNS; i++)
		accept_one(api);
	for (unsigned i = 0; i < RUNTIME_API_CONNS; i++) {
		struct runtime_api_conn *c = &api->conn[i];

		while (c->fd >= 0 && c->state != RUNTIME_API_WRITING) {
			if (c == api->answering && !api->ops->room(api->ctx)) {
				conn_arm(api, c);
				return false;
			}
			if (!conn_read(api, c))
				break;
		}
	}
	return true;
}

void runtime_api_close(struct runtime_api *api)
{
	for (unsigned i = 0; i < RUNTIME_API_CONNS; i++) {
		if (api->conn[i].fd >= 0)
			close(api->conn[i].fd);
		api->conn[i].fd = -1;
	}
	if (api->listen_fd >= 0)
		close(api->listen_fd);
	api->listen_fd = -1;
}
