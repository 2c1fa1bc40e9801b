/* HTTP server: what a handler may ask of a request. See http_server.h. */
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/host/http_internal.h"

const char *http_req_method(const struct http_req *req)
{
	return req->method;
}

const char *http_req_path(const struct http_req *req)
{
	return req->path;
}

const char *http_req_query(const struct http_req *req)
{
	return req->query;
}

const char *http_req_header(const struct http_req *req, const char *name)
{
	const struct http_conn *c = http_conn_of(req);

	for (unsigned i = 0; i < req->header_count; i++) {
		if (strcasecmp(c->headers[i].name, name) == 0)
			return c->headers[i].value;
	}
	return NULL;
}

size_t http_req_headers(const struct http_req *req, const struct http_header **ret_headers)
{
	*ret_headers = http_conn_of(req)->headers;
	return req->header_count;
}

const uint8_t *http_req_body(const struct http_req *req, size_t *ret_len)
{
	const struct http_conn *c = http_conn_of(req);

	*ret_len = c->body.len;
	return (const uint8_t *)c->body.p;
}

uint8_t *http_req_take_body(struct http_req *req, size_t *ret_len)
{
	struct http_conn *c = http_conn_of(req);
	uint8_t *p = (uint8_t *)c->body.p;

	*ret_len = c->body.len;
	c->body = (struct http_buf){0};
	http_body_charge(c);
	return p;
}

void http_body_charge(struct http_conn *c)
{
	size_t now = c->body.cap > HTTP_BODY_FREE ? c->body.cap : 0;

	c->server->buffered += now - c->body_charged;
	c->body_charged = now;
}

uint64_t http_req_start_ns(const struct http_req *req)
{
	return req->start_ns;
}

uint64_t http_req_parsed_ns(const struct http_req *req)
{
	return req->parsed_ns;
}

void http_req_expect_silence(struct http_req *req, unsigned seconds)
{
	struct http_conn *c = http_conn_of(req);
	int on = 1, idle = (int)(seconds + 1) / 2, interval = (int)(seconds + 7) / 8, count = 4, fd;

	/* For the rest of the connection; where it cannot be set, a client that vanished stays until something is sent. */
	if (!c->is_tcp || uv_fileno(&c->io.handle, &fd))
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

const char *http_req_peer(const struct http_req *req)
{
	struct http_conn *c = http_conn_of(req);
	struct sockaddr_storage addr;
	int len = sizeof(addr);
	char ip[48];

	if (!c->is_tcp)
		return "unix";
	if (c->peer[0])
		return c->peer;
	if (uv_tcp_getpeername(&c->io.tcp, (struct sockaddr *)&addr, &len) < 0)
		return "unknown"; /* it has gone already */
	if (addr.ss_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&addr;

		uv_ip6_name(a, ip, sizeof(ip));
		snprintf(c->peer, sizeof(c->peer), "[%s]:%u", ip, ntohs(a->sin6_port));
	} else {
		const struct sockaddr_in *a = (const struct sockaddr_in *)&addr;

		uv_ip4_name(a, ip, sizeof(ip));
		snprintf(c->peer, sizeof(c->peer), "%s:%u", ip, ntohs(a->sin_port));
	}
	return c->peer;
}

void http_req_set_ptr(struct http_req *req, void *ptr)
{
	req->ptr = ptr;
}

void *http_req_ptr(const struct http_req *req)
{
	return req->ptr;
}

void http_req_set_who(struct http_req *req, const void *who)
{
	req->who = who;
}

const void *http_req_who(const struct http_req *req)
{
	return req->who;
}

void http_req_tap_body(struct http_req *req, void (*tap)(void *ctx, const uint8_t *data, size_t len),
		       void (*fini)(void *ctx), void *ctx)
{
	assert(http_conn_of(req)->body_got == 0);
	http_req_over(req);
	req->tap = tap;
	req->tap_fini = fini;
	req->tap_ctx = ctx;
}

void *http_req_tap(const struct http_req *req)
{
	return req->tap_ctx;
}

void http_req_over(struct http_req *req)
{
	void (*fini)(void *ctx) = req->tap_fini;
	void *ctx = req->tap_ctx;

	req->tap = NULL;
	req->tap_fini = NULL;
	req->tap_ctx = NULL;
	if (fini)
		fini(ctx);
}

void http_req_set_max_body(struct http_req *req, size_t max)
{
	req->max_body = max;
}

void http_req_stream_body(struct http_req *req,
			  int (*sink)(void *ptr, const uint8_t *data, size_t len))
{
	assert(http_conn_of(req)->body_got == 0);
	req->sink = sink;
}

void http_req_pause_body(struct http_req *req)
{
	req->body_paused = true;
	http_conn_update(http_conn_of(req));
}

void http_req_resume_body(struct http_req *req)
{
	struct http_conn *c = http_conn_of(req);

	req->body_paused = false;
	c->body_since = uv_now(c->server->loop);
	http_conn_update(c);
}
