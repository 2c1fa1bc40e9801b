/* The function's own web server: see web.h. */
#include "guest-init/web.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "guest-init/bootstrap.h"

#define RETRY_MS   10u
#define CUT_MS     200u   /* for a process that ends to be noticed */
#define CONNECT_US 500000 /* its queue of connections may be full */

static const char media[] = "application/vnd.awslambda.http-integration-response";

void web_init(struct web *w, int epfd, uint64_t tag, const struct runtime_api_ops *ops, void (*ready)(void *ctx),
	      void *ctx)
{
	w->ops = ops;
	w->ready = ready;
	w->ctx = ctx;
	w->epfd = epfd;
	w->tag = tag;
	w->state = WEB_OFF;
	w->fd = -1;
	w->port = 0;
	w->timer_ns = 0;
}

static void hang_up(struct web *w)
{
	if (w->fd >= 0)
		close(w->fd); /* leaves the epoll set with it */
	w->fd = -1;
	w->events = 0;
}

static void later(struct web *w, enum web_state state, unsigned ms)
{
	hang_up(w);
	w->state = state;
	w->timer_ns = stk_now_ns() + ms * STK_NS_PER_MS;
}

static void fail(struct web *w, enum gw_error_kind kind, const char *type, const char *text)
{
	char body[300];
	int n = snprintf(body, sizeof(body), "{\"errorType\":\"%s\",\"errorMessage\":\"%s\"}", type, text);

	hang_up(w);
	w->state = WEB_DONE;
	w->timer_ns = 0;
	w->ops->error(w->ctx, kind, body, kind == GW_ERR_TOO_LARGE ? 0 : (size_t)n);
}

static void arm(struct web *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = w->tag};

	if (w->fd < 0 || w->events == events)
		return;
	/* Taken out of the set to wait for room: else the peer's end would be reported for ever. */
	if (epoll_ctl(w->epfd, !events ? EPOLL_CTL_DEL : w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w->fd, &ev) == 0)
		w->events = events;
}

static int dial(struct web *w)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)w->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_usec = CONNECT_US};
	int one = 1, rc;

	w->events = 0;
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->fd < 0)
		return -errno;
	if (setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    connect(w->fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		rc = -errno;
	else
		rc = stk_set_nonblock(w->fd);
	if (rc < 0)
		hang_up(w);
	return rc;
}

/* --- request ---------------------------------------------------------------------------------- */

static void write_on(struct web *w)
{
	size_t head = w->request.head_len, total = head + w->request.body_len;

	while (w->sent < total) {
		size_t body_at = w->sent > head ? w->sent - head : 0;
		struct iovec iov[2] = {
			{w->out + (w->sent < head ? w->sent : head), w->sent < head ? head - w->sent : 0},
			{(void *)(uintptr_t)(w->request.body_len ? w->request.body + body_at : (const uint8_t *)""),
			 w->request.body_len - body_at},
		};
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
		ssize_t n = sendmsg(w->fd, &msg, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			arm(w, EPOLLIN | EPOLLOUT); /* it may answer before it has read all */
			return;
		}
		if (n < 0)
			break; /* it reads no more, but may have answered */
		w->sent += (size_t)n;
	}
	w->state = w->state == WEB_SENDING ? WEB_HEAD : w->state;
	arm(w, EPOLLIN);
}

static void begin_request(struct web *w)
{
	w->sent = 0;
	w->in_len = 0;
	w->total = 0;
	w->chunks = (struct webmsg_chunks){0};
	write_on(w);
}

void web_invoke(struct web *w, uint8_t *event, size_t len, const char *request_id)
{
	int rc;

	w->timer_ns = 0;
	rc = webmsg_request(event, len, request_id, w->port, w->out, sizeof(w->out), &w->request);
	if (rc < 0) {
		fail(w, GW_ERR_FUNCTION, "Web.BadEvent", rc == -EMSGSIZE ? "the event's headers are too large"
									  : "the event is not JSON");
		return;
	}
	rc = dial(w);
	if (rc < 0) {
		later(w, WEB_CUT, CUT_MS);
		return;
	}
	w->state = WEB_SENDING;
	begin_request(w);
}

static void probe(struct web *w)
{
	int n = snprintf(w->out, sizeof(w->out), "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n",
			 w->path, w->port);

	w->request = (struct webmsg_request){.head_len = (size_t)n};
	w->state = WEB_PROBING;
	w->timer_ns = 0;
	begin_request(w);
}

void web_configure(struct web *w, const struct gw_start *start)
{
	unsigned long port = bootstrap_option(start, ".http_port", 0);

	w->port = port < 65536 ? (unsigned)port : 0;
	w->path[0] = '\0';
	for (unsigned i = 0; i < start->kv_count; i++) {
		const struct gw_kv *kv = &start->kv[i];

		if (kv->key_len != 11 || memcmp(kv->key, ".http_ready", 11) != 0 || kv->value_len > WEB_READY_MAX)
			continue;
		memcpy(w->path, kv->value, kv->value_len);
		w->path[kv->value_len] = '\0';
	}
}

void web_start(struct web *w)
{
	later(w, WEB_STARTING, RETRY_MS);
}

static void become_ready(struct web *w)
{
	hang_up(w);
	w->state = WEB_READY;
	w->timer_ns = 0;
	w->ready(w->ctx);
}

void web_timer(struct web *w)
{
	if (w->state == WEB_CUT) {
		fail(w, GW_ERR_FUNCTION, "Runtime.TruncatedResponse", "the function's web server closed the connection "
		     "before its answer was complete");
	} else if (w->state == WEB_STARTING) {
		if (dial(w) < 0)
			later(w, WEB_STARTING, RETRY_MS);
		else if (w->path[0])
			probe(w);
		else
			become_ready(w);
	}
}

/* --- answer ----------------------------------------------------------------------------------- */

static void finish(struct web *w)
{
	hang_up(w);
	w->state = WEB_DONE;
	w->ops->response(w->ctx, (const uint8_t *)"", 0, true);
}

/* A piece of the body; false: it was too much. */
static bool pass(struct web *w, const uint8_t *data, size_t len)
{
	w->total += len;
	if (w->total > (w->request.http ? GW_MAX_STREAM : GW_MAX_RESPONSE)) {
		fail(w, GW_ERR_TOO_LARGE, "", "");
		return false;
	}
	if (len)
		w->ops->response(w->ctx, data, len, false);
	return true;
}

static void cut(struct web *w)
{
	if (w->state == WEB_PROBING)
		later(w, WEB_STARTING, RETRY_MS);
	else
		later(w, WEB_CUT, CUT_MS);
}

static void take_chunks(struct web *w, const uint8_t *data, size_t len)
{
	while (w->state == WEB_BODY && len) {
		const uint8_t *piece = NULL;
		size_t piece_len;
		long n = webmsg_chunk(&w->chunks, data, len, &piece, &piece_len);

		if (n < 0) {
			cut(w);
			return;
		}
		data += n;
		len -= (size_t)n;
		if (piece_len && !pass(w, piece, piece_len))
			return;
		if (w->chunks.state == WEBMSG_END)
			finish(w);
	}
}

static void take_body(struct web *w, const uint8_t *data, size_t len)
{
	if (w->response.chunked) {
		take_chunks(w, data, len);
		return;
	}
	if (w->response.has_length && len > w->left)
		len = (size_t)w->left;
	if (!pass(w, data, len))
		return;
	w->left -= w->response.has_length ? len : 0;
	if (w->response.has_length && w->left == 0)
		finish(w);
}

/* The head of the final response is there: in[0..head). */
static void take_head(struct web *w, size_t head)
{
	long n = webmsg_response(w->in, head, w->out, sizeof(w->out), &w->response);
	int status = w->response.status;

	if (n < 0) {
		fail(w, GW_ERR_FUNCTION, "Web.BadAnswer", "the function's web server does not answer in HTTP/1.1");
		return;
	}
	w->left = w->response.length;
	w->state = WEB_BODY;
	if (w->request.http) {
		w->ops->stream(w->ctx, media);
		w->ops->response(w->ctx, (const uint8_t *)w->out, (size_t)n, false);
	} else if (status >= 400) {
		fail(w, GW_ERR_FUNCTION, "Web.Status", "the function's web server answered the event with an error");
		return;
	}
	if (w->request.is_head || status == 204 || status == 304 || (w->response.has_length && !w->left))
		finish(w);
	else
		take_body(w, (const uint8_t *)w->in + head, w->in_len - head);
}

static bool is_interim(const struct web *w)
{
	return w->in_len > 10 && memcmp(w->in, "HTTP/1.", 7) == 0 && w->in[9] == '1';
}

static void try_head(struct web *w)
{
	size_t head;

	while ((head = webmsg_head_len(w->in, w->in_len)) > 0 && is_interim(w)) {
		memmove(w->in, w->in + head, w->in_len - head);
		w->in_len -= head;
	}
	if (head == 0 && w->in_len < sizeof(w->in))
		return;
	if (head == 0) {
		fail(w, GW_ERR_FUNCTION, "Web.BadAnswer", "the head of the web server's answer is larger than 64 KiB");
	} else if (w->state == WEB_PROBING) {
		if (w->in_len > 10 && (w->in[9] == '2' || w->in[9] == '3'))
			become_ready(w);
		else
			later(w, WEB_STARTING, RETRY_MS);
	} else {
		take_head(w, head);
	}
}

/* Reads once; false when nothing came. */
static bool read_once(struct web *w)
{
	size_t at = w->state == WEB_BODY ? 0 : w->in_len;
	ssize_t n;

	do
		n = recv(w->fd, w->in + at, sizeof(w->in) - at, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		if (n == 0 && w->state == WEB_BODY && !w->response.chunked && !w->response.has_length)
			finish(w);
		else
			cut(w);
		return false;
	}
	if (w->state == WEB_BODY) {
		take_body(w, (const uint8_t *)w->in, (size_t)n);
	} else {
		w->in_len += (size_t)n;
		if (w->state == WEB_SENDING)
			w->state = WEB_HEAD; /* it answers before it has read all */
		try_head(w);
	}
	return true;
}

static void readable(struct web *w)
{
	if (w->state == WEB_BODY && !w->ops->room(w->ctx))
		arm(w, 0);
	else
		read_once(w);
}

void web_event(struct web *w)
{
	if (w->fd < 0)
		return;
	if (w->sent < w->request.head_len + w->request.body_len && (w->events & EPOLLOUT))
		write_on(w);
	if (w->fd >= 0)
		readable(w);
}

void web_resume(struct web *w)
{
	if (w->state == WEB_BODY)
		arm(w, EPOLLIN);
}

bool web_settle(struct web *w)
{
	while (w->fd >= 0) {
		if (w->state == WEB_BODY && !w->ops->room(w->ctx))
			return false;
		if (!read_once(w))
			break;
	}
	return true;
}

void web_close(struct web *w)
{
	hang_up(w);
}
