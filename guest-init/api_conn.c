/* Connections of the Runtime API: see api_conn.h. */
#include "guest-init/api_conn.h"

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

const struct api_refusal api_not_found = {404, "ResourceNotFound", "no such resource"};
const struct api_refusal api_bad_method = {405, "MethodNotAllowed", "method not allowed here"};
const struct api_refusal api_bad_state = {403, "InvalidStateTransition", "not possible in the present state"};
static const char malformed_type[] = "InvalidRequest", malformed[] = "malformed HTTP request";
static const struct api_refusal truncated = {400, "TruncatedHTTPRequest", "the request ended before its body did"};

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

static uint64_t conn_tag(const struct api_server *s, const struct api_conn *c)
{
	return s->tag + 1 + (uint64_t)(c - s->conn);
}

void api_conn_arm(struct api_server *s, struct api_conn *c)
{
	struct epoll_event ev = {.data.u64 = conn_tag(s, c)};

	if (c->state == API_WRITING)
		ev.events = EPOLLOUT;
	else if (!s->ops->readable(s->ctx, c))
		ev.events = 0;
	else
		ev.events = EPOLLIN | EPOLLRDHUP;
	if (ev.events == c->events)
		return;
	/* Taken out of the set to wait for room: else a reset by the peer would be reported for ever. */
	if (epoll_ctl(s->epfd,
		      !ev.events    ? EPOLL_CTL_DEL
		      : c->events ? EPOLL_CTL_MOD
				    : EPOLL_CTL_ADD,
		      c->fd, &ev) == 0)
		c->events = ev.events;
}

static void listen_arm(struct api_server *s, bool on)
{
	struct epoll_event ev = {.events = on ? EPOLLIN : 0, .data.u64 = s->tag};

	if (s->accepting == on)
		return;
	if (epoll_ctl(s->epfd, EPOLL_CTL_MOD, s->listen_fd, &ev) == 0)
		s->accepting = on;
}

static void conn_close(struct api_server *s, struct api_conn *c)
{
	close(c->fd);
	c->fd = -1;
	listen_arm(s, true);
	s->ops->cut(s->ctx, c);
}

/* Sends what is pending. Afterwards the connection is closed, WRITING, or READING. */
static void conn_flush(struct api_server *s, struct api_conn *c)
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
			c->state = API_WRITING;
			api_conn_arm(s, c);
			return;
		}
		if (n < 0) {
			conn_close(s, c);
			return;
		}
		sent = (size_t)n < c->head_left ? (size_t)n : c->head_left;
		c->head += sent;
		c->head_left -= sent;
		n -= (ssize_t)sent;
		if (n) {
			c->body += n;
			c->body_left -= (size_t)n;
		}
	}
	if (c->close_after) {
		conn_close(s, c);
		return;
	}
	c->state = API_READING;
	c->action = 0;
	http1_reset(&c->buf->http);
	api_conn_arm(s, c);
}

void api_send(struct api_server *s, struct api_conn *c, const void *head, size_t head_len, const void *body,
	      size_t body_len)
{
	c->head = head;
	c->head_left = head_len;
	c->body = body;
	c->body_left = body_len;
	conn_flush(s, c);
}

void api_answer(struct api_server *s, struct api_conn *c, int status, const char *headers, const char *body)
{
	int n = snprintf(c->buf->out, sizeof(c->buf->out),
			 "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
			 "Content-Length: %zu\r\n%s%s\r\n%s",
			 status, reason(status), strlen(body), headers,
			 c->close_after ? "Connection: close\r\n" : "", body);

	api_send(s, c, c->buf->out, (size_t)n < sizeof(c->buf->out) ? (size_t)n : sizeof(c->buf->out) - 1, NULL, 0);
}

void api_refuse(struct api_server *s, struct api_conn *c, const struct api_refusal *r)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}", r->message, r->type);
	api_answer(s, c, r->status, "", body);
}

void api_park(struct api_server *s, struct api_conn *c)
{
	c->state = API_PARKED;
	api_conn_arm(s, c);
}

static void head_complete(struct api_server *s, struct api_conn *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	bool wanted = s->ops->head(s->ctx, c);
	int one = 1;

	/* A full send buffer is impossible here: nothing else is under way on this connection. A
	 * client that does not get it sends its body after a while (RFC 9110 section 10.1.1). */
	if (c->buf->http.expect_continue && !http1_body_complete(&c->buf->http))
		(void)!send(c->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL);
	/* A client that sends head and body in two writes, with Nagle's algorithm on, waits for the
	 * acknowledgement of the first: it is given at once, not 40 ms later. */
	if (wanted && c->rx_off == c->rx_len && !http1_body_complete(&c->buf->http))
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}

static void conn_malformed(struct api_server *s, struct api_conn *c)
{
	const struct api_refusal r = {c->buf->http.error_status, malformed_type, malformed};

	c->close_after = true;
	s->ops->cut(s->ctx, c);
	api_refuse(s, c, &r);
}

/* Works through what has been read, as far as the connection's state allows. A piece of the body is held back until it
 * is known whether it is the last one. */
static void conn_process(struct api_server *s, struct api_conn *c)
{
	struct http1 *http = &c->buf->http;
	const uint8_t *held = NULL;
	size_t held_len = 0;

	while (c->fd >= 0 && c->state == API_READING) {
		const uint8_t *data = c->buf->rx + c->rx_off, *piece = NULL;
		size_t left = c->rx_len - c->rx_off, piece_len = 0;
		int rc = http1_next(http, &data, &left, &piece, &piece_len);

		c->rx_off = c->rx_len - left;
		if (held && rc != HTTP1_DONE) {
			s->ops->body(s->ctx, c, held, held_len, false);
			held = NULL;
		}
		if (rc == HTTP1_MORE)
			break;
		if (rc == HTTP1_HEAD) {
			head_complete(s, c);
		} else if (rc == HTTP1_BODY) {
			held = piece;
			held_len = piece_len;
		} else if (rc == HTTP1_DONE) {
			s->ops->body(s->ctx, c, held, held ? held_len : 0, true);
			held = NULL;
			c->close_after = !http->keep_alive;
			s->ops->complete(s->ctx, c);
		} else {
			conn_malformed(s, c);
		}
	}
	if (c->rx_off == c->rx_len)
		c->rx_off = c->rx_len = 0;
}

/* The client sends no more. In the middle of a request it is told so: it may have closed one direction only. */
static void conn_ended(struct api_server *s, struct api_conn *c)
{
	if (c->state != API_READING || !http1_begun(&c->buf->http)) {
		conn_close(s, c);
		return;
	}
	s->ops->cut(s->ctx, c);
	c->close_after = true;
	api_refuse(s, c, &truncated);
}

/* Reads once. False when nothing came. */
static bool conn_read(struct api_server *s, struct api_conn *c)
{
	ssize_t n;

	if (c->rx_len == sizeof(c->buf->rx)) {
		if (c->rx_off == 0) { /* only a client that sends on while its `next` waits */
			conn_close(s, c);
			return true;
		}
		memmove(c->buf->rx, c->buf->rx + c->rx_off, c->rx_len - c->rx_off);
		c->rx_len -= c->rx_off;
		c->rx_off = 0;
	}
	do
		n = recv(c->fd, c->buf->rx + c->rx_len, sizeof(c->buf->rx) - c->rx_len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0) {
		conn_close(s, c);
		return true;
	}
	if (n == 0) {
		conn_ended(s, c);
		return true;
	}
	c->rx_len += (size_t)n;
	conn_process(s, c);
	return true;
}

static void accept_one(struct api_server *s)
{
	struct api_conn *c = NULL;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
	int one = 1;
	int fd;

	for (unsigned i = 0; i < API_CONNS && !c; i++) {
		if (s->conn[i].fd < 0)
			c = &s->conn[i];
	}
	if (!c) {
		listen_arm(s, false);
		return;
	}
	fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	ev.data.u64 = conn_tag(s, c);
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		close(fd);
		return;
	}
	*c = (struct api_conn){.fd = fd, .state = API_READING, .events = ev.events, .buf = c->buf};
	http1_reset(&c->buf->http);
}

int api_server_open(struct api_server *s, int epfd, uint64_t tag, uint16_t port, const struct api_ops *ops, void *ctx,
		    uint16_t *ret_port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = tag};
	socklen_t len = sizeof(sin);
	int one = 1;
	int rc;

	s->ops = ops;
	s->ctx = ctx;
	s->epfd = epfd;
	s->tag = tag;
	s->accepting = true;
	for (unsigned i = 0; i < API_CONNS; i++) {
		s->conn[i].fd = -1;
		s->conn[i].buf = &s->buf[i];
	}
	s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listen_fd < 0)
		return -errno;
	if (setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(s->listen_fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    listen(s->listen_fd, 64) < 0 ||
	    getsockname(s->listen_fd, (struct sockaddr *)&sin, &len) < 0 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, s->listen_fd, &ev) < 0) {
		rc = -errno;
		close(s->listen_fd);
		s->listen_fd = -1;
		return rc;
	}
	*ret_port = ntohs(sin.sin_port);
	return 0;
}

void api_server_event(struct api_server *s, uint64_t index, uint32_t events)
{
	struct api_conn *c;

	if (index == 0) {
		accept_one(s);
		return;
	}
	if (index > API_CONNS || s->conn[index - 1].fd < 0)
		return; /* closed earlier in the same round */
	c = &s->conn[index - 1];
	if (c->state == API_WRITING) {
		if (events & (EPOLLERR | EPOLLHUP))
			conn_close(s, c);
		else
			conn_flush(s, c);
		if (c->fd >= 0)
			conn_process(s, c); /* what came behind the answered request */
		return;
	}
	if (!s->ops->readable(s->ctx, c)) {
		api_conn_arm(s, c);
		return;
	}
	conn_read(s, c);
}

bool api_server_settle(struct api_server *s)
{
	for (unsigned i = 0; i < API_CONNS; i++)
		accept_one(s);
	for (unsigned i = 0; i < API_CONNS; i++) {
		struct api_conn *c = &s->conn[i];

		while (c->fd >= 0 && c->state != API_WRITING) {
			if (!s->ops->readable(s->ctx, c)) {
				api_conn_arm(s, c);
				return false;
			}
			if (!conn_read(s, c))
				break;
		}
	}
	return true;
}

void api_server_close(struct api_server *s)
{
	for (unsigned i = 0; i < API_CONNS; i++) {
		if (s->conn[i].fd >= 0)
			close(s->conn[i].fd);
		s->conn[i].fd = -1;
	}
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	s->listen_fd = -1;
}
