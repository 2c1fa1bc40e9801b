/* Blocking HTTP client: see http_client.h. */
#include "common/host/http_client.h"

#include <errno.h>
#include <limits.h>
#include <llhttp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/err.h"

#define MAX_HEADERS 65536u

struct http_client {
	int fd; /* -1: not connected */
	bool patient; /* waits without a limit */
	bool used; /* fd has carried a request: its server may have closed it meanwhile */
	unsigned timeout_ms;
	uint64_t end_ns; /* 0: none */
	const struct http_client_stream *stream;
	bool (*allowed)(const struct sockaddr *addr); /* or NULL */
	bool is_unix;
	char host[256]; /* or the socket's path */
	char port[8];
	char name[300]; /* for errors */
};

/* A response being read. */
struct reader {
	llhttp_t parser;
	struct http_client_resp resp;
	size_t headers_len, headers_cap, body_cap, max_body;
	bool is_head, done, keep;
	int (*sink)(void *ctx, const void *data, size_t len); /* of a 2xx answer's body, or NULL */
	void *ctx;
	bool begun; /* the sink is what its body goes to */
	int fail; /* negative errno from a callback */
};

/* --- connection ------------------------------------------------------------------------------ */

static int parse_target(struct http_client *c, const char *target, struct stk_err *err)
{
	const char *colon, *host = target;
	size_t len;

	if (strncmp(target, "unix:", 5) == 0) {
		c->is_unix = true;
		if (!target[5] || strlen(target + 5) >= sizeof(((struct sockaddr_un *)0)->sun_path))
			return stk_err_set(err, -EINVAL, "bad socket path in %.200s", target);
		strcpy(c->host, target + 5);
		return 0;
	}
	if (strncmp(host, "http://", 7) == 0)
		host += 7;
	len = strcspn(host, "/");
	if (host[len] && strcmp(host + len, "/") != 0)
		return stk_err_set(err, -EINVAL, "%.200s: no path is allowed in the host's address", target);
	colon = memrchr(host, ':', len);
	if (colon && memchr(colon, ']', (size_t)(host + len - colon)))
		colon = NULL; /* inside [v6] */
	snprintf(c->port, sizeof(c->port), "80");
	if (colon) {
		size_t plen = (size_t)(host + len - colon - 1);

		if (plen < 1 || plen > 5 || strspn(colon + 1, "0123456789") < plen)
			return stk_err_set(err, -EINVAL, "bad port in %.200s", target);
		memcpy(c->port, colon + 1, plen);
		c->port[plen] = '\0';
		len = (size_t)(colon - host);
	}
	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len < 1 || len >= sizeof(c->host) || strcspn(host, "@?# \r\n") < len)
		return stk_err_set(err, -EINVAL, "bad host in %.200s", target);
	memcpy(c->host, host, len);
	c->host[len] = '\0';
	return 0;
}

/* Waits until fd is ready; 0, -ETIMEDOUT or another negative errno. */
static int wait_fd(const struct http_client *c, int fd, short events)
{
	uint64_t end = c->patient ? UINT64_MAX : stk_now_ns() + (uint64_t)c->timeout_ms * STK_NS_PER_MS;
	struct pollfd p = {.fd = fd, .events = events};

	if (c->end_ns && c->end_ns < end)
		end = c->end_ns;
	/* A peer that always has another byte for us is not let go on for ever. */
	if (stk_now_ns() >= end)
		return -ETIMEDOUT;
	for (;;) {
		uint64_t now = stk_now_ns();
		uint64_t left = now >= end ? 0 : (end - now) / STK_NS_PER_MS + 1;
		int r = poll(&p, 1, left < INT_MAX ? (int)left : INT_MAX);

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0 && stk_now_ns() >= end)
			return -ETIMEDOUT;
	}
}

static int connect_addr(const struct http_client *c, int family, const struct sockaddr *addr,
			socklen_t len, int *ret_fd)
{
	stk_autofd fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int soerr = 0, one = 1, r;
	socklen_t sl = sizeof(soerr);

	if (fd < 0)
		return -errno;
	if (connect(fd, addr, len) < 0) {
		if (errno != EINPROGRESS)
			return -errno; /* also EAGAIN: a Unix socket whose backlog is full */
		r = wait_fd(c, fd, POLLOUT);
		if (r < 0)
			return r;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &soerr, &sl) < 0)
			return -errno;
		if (soerr)
			return -soerr;
	}
	if (family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*ret_fd = stk_take_fd(&fd);
	return 0;
}

/* One after the other, all in the time of one: a name may have many addresses. */
static int connect_any(struct http_client *c, const struct addrinfo *list)
{
	uint64_t limit = stk_now_ns() + (uint64_t)c->timeout_ms * STK_NS_PER_MS, end = c->end_ns;
	int r = -EADDRNOTAVAIL;

	if (!end || end > limit)
		c->end_ns = limit;
	for (const struct addrinfo *a = list; a && r < 0 && stk_now_ns() < c->end_ns; a = a->ai_next) {
		if (c->allowed && !c->allowed(a->ai_addr))
			r = r == -EADDRNOTAVAIL ? -EACCES : r;
		else
			r = connect_addr(c, a->ai_family, a->ai_addr, a->ai_addrlen, &c->fd);
	}
	c->end_ns = end;
	return r;
}

static int do_connect(struct http_client *c, struct stk_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
	int r = -EADDRNOTAVAIL, g;

	c->used = false;
	if (c->is_unix) {
		struct sockaddr_un addr = {.sun_family = AF_UNIX};

		strcpy(addr.sun_path, c->host);
		r = connect_addr(c, AF_UNIX, (struct sockaddr *)&addr, sizeof(addr), &c->fd);
	} else {
		g = getaddrinfo(c->host, c->port, &hints, &list);
		if (g == EAI_ADDRFAMILY || g == EAI_NONAME) { /* numeric loopback without an interface up */
			hints.ai_flags = 0;
			g = getaddrinfo(c->host, c->port, &hints, &list);
		}
		if (g)
			return stk_err_set(err, -EHOSTUNREACH, "cannot resolve %s: %s", c->host,
					   gai_strerror(g));
		r = connect_any(c, list);
		freeaddrinfo(list);
	}
	return r < 0 ? stk_err_sys(err, r, "cannot connect to %s", c->name) : 0;
}

static void do_close(struct http_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int http_client_connect(const char *target, unsigned timeout_ms, struct http_client **ret_client,
			struct stk_err *err)
{
	return http_client_connect_if(target, timeout_ms, NULL, ret_client, err);
}

int http_client_connect_if(const char *target, unsigned timeout_ms, bool (*allowed)(const struct sockaddr *addr),
			   struct http_client **ret_client, struct stk_err *err)
{
	struct http_client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return stk_err_set(err, -ENOMEM, "out of memory");
	c->fd = -1;
	c->timeout_ms = timeout_ms;
	c->allowed = allowed;
	snprintf(c->name, sizeof(c->name), "%s", target);
	r = parse_target(c, target, err);
	if (r == 0)
		r = do_connect(c, err);
	if (r < 0) {
		http_client_free(c);
		return r;
	}
	*ret_client = c;
	return 0;
}

void http_client_limit(struct http_client *c, unsigned total_ms)
{
	c->end_ns = stk_now_ns() + (uint64_t)total_ms * STK_NS_PER_MS;
}

void http_client_set_stream(struct http_client *c, const struct http_client_stream *stream)
{
	c->stream = stream;
}

int http_client_fd(const struct http_client *c)
{
	return c->fd;
}

int http_client_wait(const struct http_client *c, short events)
{
	return wait_fd(c, c->fd, events);
}

bool http_client_expired(const struct http_client *c)
{
	return c->end_ns && stk_now_ns() >= c->end_ns;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	do_close(c);
	free(c);
}

/* --- response -------------------------------------------------------------------------------- */

static int grow(void **p, size_t *cap, size_t need)
{
	size_t n = *cap ? *cap : 1024;
	void *q;

	if (need <= *cap)
		return 0;
	while (n < need)
		n *= 2;
	q = realloc(*p, n);
	if (!q)
		return -ENOMEM;
	*p = q;
	*cap = n;
	return 0;
}

static int header_text(struct reader *r, const char *at, size_t len, bool lower)
{
	if (r->headers_len + len + 2 > MAX_HEADERS) {
		r->fail = -EMSGSIZE;
		return -1;
	}
	if (grow((void **)&r->resp.headers, &r->headers_cap, r->headers_len + len + 1) < 0) {
		r->fail = -ENOMEM;
		return -1;
	}
	for (size_t i = 0; i < len; i++) {
		char c = at[i];

		if (lower && c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		if (c == '\n' || c == '\0')
			c = ' ';
		r->resp.headers[r->headers_len++] = c;
	}
	r->resp.headers[r->headers_len] = '\0';
	return 0;
}

static int on_begin(llhttp_t *p)
{
	struct reader *r = p->data;

	r->headers_len = 0; /* again after a 1xx */
	return header_text(r, "", 0, false);
}

static int on_field(llhttp_t *p, const char *at, size_t len)
{
	return header_text(p->data, at, len, true);
}

static int on_field_done(llhttp_t *p)
{
	return header_text(p->data, ": ", 2, false);
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
	return header_text(p->data, at, len, false);
}

static int on_value_done(llhttp_t *p)
{
	struct reader *r = p->data;
	char *h = r->resp.headers;

	while (r->headers_len > 2 && h[r->headers_len - 1] == ' ' && h[r->headers_len - 2] != ':')
		r->headers_len--;
	if (header_text(r, " ", 1, false) < 0)
		return -1;
	r->resp.headers[r->headers_len - 1] = '\n';
	return 0;
}

static int on_headers_done(llhttp_t *p)
{
	struct reader *r = p->data;

	r->resp.status = p->status_code;
	r->keep = llhttp_should_keep_alive(p) != 0;
	r->begun = r->sink && r->resp.status >= 200 && r->resp.status < 300;
	return r->is_head ? 1 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
	struct reader *r = p->data;

	if (r->begun) {
		r->fail = r->sink(r->ctx, at, len);
		return r->fail ? -1 : 0;
	}
	if (len > r->max_body - r->resp.body_len) {
		r->fail = -EMSGSIZE;
		return -1;
	}
	if (grow((void **)&r->resp.body, &r->body_cap, r->resp.body_len + len + 1) < 0) {
		r->fail = -ENOMEM;
		return -1;
	}
	memcpy(r->resp.body + r->resp.body_len, at, len);
	r->resp.body_len += len;
	r->resp.body[r->resp.body_len] = '\0';
	return 0;
}

static int on_done(llhttp_t *p)
{
	struct reader *r = p->data;

	if (r->resp.status >= 100 && r->resp.status < 200 && r->resp.status != 101)
		return 0; /* interim answer */
	r->done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_begin,
	.on_header_field = on_field,
	.on_header_field_complete = on_field_done,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_done,
	.on_headers_complete = on_headers_done,
	.on_body = on_body,
	.on_message_complete = on_done,
};

/* Bytes, 0 at the end, negative errno; -EAGAIN: try again. */
static ssize_t receive(struct http_client *c, void *buf, size_t len)
{
	ssize_t n;
	int w;

	if (c->stream)
		return c->stream->read(c->stream->ctx, buf, len);
	w = wait_fd(c, c->fd, POLLIN);
	if (w < 0)
		return w;
	n = read(c->fd, buf, len);
	return n < 0 ? -errno : n;
}

/* *ret_idle: the connection was closed before a byte of the answer came. */
static int read_response(struct http_client *c, struct reader *r, bool *ret_idle, struct stk_err *err)
{
	char buf[16384];
	bool any = false;

	*ret_idle = false;
	while (!r->done) {
		enum llhttp_errno e;
		ssize_t n = receive(c, buf, sizeof(buf));

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n < 0) {
			*ret_idle = !any && n == -ECONNRESET;
			return stk_err_sys(err, (int)n, n == -ETIMEDOUT ? "no answer from %s" : "answer from %s", c->name);
		}
		if (n == 0) {
			e = llhttp_finish(&r->parser); /* a body that ends with the connection */
			if (r->done)
				break;
			*ret_idle = !any;
			return stk_err_set(err, -ECONNRESET, "%s closed the connection %s", c->name,
					   any ? "in the middle of its answer" : "without an answer");
		}
		any = true;
		e = llhttp_execute(&r->parser, buf, (size_t)n);
		c->patient = r->begun;
		if (r->fail == -EMSGSIZE && !r->begun)
			return stk_err_set(err, -EMSGSIZE, "the answer of %s is too large", c->name);
		if (r->fail && r->begun)
			return stk_err_sys(err, r->fail, "the answer could not be passed on");
		if (r->fail)
			return stk_err_sys(err, r->fail, "answer from %s", c->name);
		if (r->done) {
			/* Bytes behind the answer were not asked for: do not take them for the next. */
			if (llhttp_get_error_pos(&r->parser) != buf + n)
				r->keep = false;
			break;
		}
		if (e != HPE_OK)
			return stk_err_set(err, -EPROTO, "%s did not answer in HTTP: %s", c->name,
					   llhttp_errno_name(e));
	}
	return 0;
}

/* --- request --------------------------------------------------------------------------------- */

static int send_all(struct http_client *c, struct iovec *iov, unsigned n)
{
	unsigned i = 0;

	while (i < n) {
		struct msghdr m = {.msg_iov = iov + i, .msg_iovlen = n - i};
		ssize_t k;

		if (c->stream) {
			k = c->stream->write(c->stream->ctx, iov[i].iov_base, iov[i].iov_len);
		} else {
			k = sendmsg(c->fd, &m, MSG_NOSIGNAL);
			if (k < 0)
				k = -errno;
		}
		if (k < 0) {
			int r = (int)k;

			if (r == -EINTR)
				continue;
			if (r != -EAGAIN || c->stream)
				return r;
			r = wait_fd(c, c->fd, POLLOUT);
			if (r < 0)
				return r;
			continue;
		}
		while (i < n && (size_t)k >= iov[i].iov_len)
			k -= (ssize_t)iov[i++].iov_len;
		if (i < n) {
			iov[i].iov_base = (char *)iov[i].iov_base + k;
			iov[i].iov_len -= (size_t)k;
		}
	}
	return 0;
}

static int exchange(struct http_client *c, const char *head, const void *body, size_t body_len,
		    struct reader *r, bool *ret_idle, struct stk_err *err)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)head, strlen(head)},
			       {(void *)(uintptr_t)body, body_len}};
	int s;

	llhttp_init(&r->parser, HTTP_RESPONSE, &settings);
	r->parser.data = r;
	s = send_all(c, iov, body_len ? 2 : 1);
	if (s < 0 && s != -EPIPE && s != -ECONNRESET)
		return stk_err_sys(err, s, "cannot send to %s", c->name);
	/* A server that refuses a body answers and closes while we still send: read what it said. */
	return read_response(c, r, ret_idle, err);
}

/* A kept connection that has become readable between requests has been closed by the server. */
static bool is_stale(const struct http_client *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};

	return c->used && poll(&p, 1, 0) != 0;
}

static int make_head(const struct http_client *c, const char *method, const char *path,
		     const char *headers, size_t body_len, char **ret_head)
{
	bool v6 = !c->is_unix && strchr(c->host, ':') != NULL;
	char host[300], length[48] = "";

	if (c->is_unix)
		snprintf(host, sizeof(host), "localhost");
	else
		snprintf(host, sizeof(host), "%s%s%s:%s", v6 ? "[" : "", c->host, v6 ? "]" : "", c->port);
	if (body_len > 0 || (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
			     strcmp(method, "DELETE") != 0))
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n", body_len);
	if (asprintf(ret_head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", method, path, host, length,
		     headers ? headers : "") < 0) {
		*ret_head = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* how: max_body, and a sink perhaps. */
static int request(struct http_client *c, const char *method, const char *path, const char *headers, const void *body,
		   size_t body_len, const struct reader *how, struct http_client_resp *ret_resp, struct stk_err *err)
{
	/* Sent twice they do no harm; a POST is not repeated once bytes of it have gone out. */
	bool repeatable = strcmp(method, "POST") != 0 && strcmp(method, "PATCH") != 0;
	stk_autofree char *head = NULL;
	struct reader r;
	bool idle = false, was_used;
	int k;

	if (!*method || strpbrk(method, " \r\n") || path[0] != '/' || strpbrk(path, " \r\n"))
		return stk_err_set(err, -EINVAL, "bad request target");
	if (make_head(c, method, path, headers, body_len, &head) < 0)
		return stk_err_set(err, -ENOMEM, "out of memory");
	if (c->fd >= 0 && !c->stream && is_stale(c))
		do_close(c);
	for (bool again = false;; again = true) {
		if (c->fd < 0) {
			if (c->stream)
				return stk_err_set(err, -ECONNRESET, "%s has closed the connection", c->name);
			k = do_connect(c, err);
			if (k < 0)
				return k;
		}
		was_used = c->used;
		c->used = true;
		r = *how;
		r.is_head = strcmp(method, "HEAD") == 0;
		k = exchange(c, head, body, body_len, &r, &idle, err);
		c->patient = false;
		if (k == 0 && grow((void **)&r.resp.body, &r.body_cap, r.resp.body_len + 1) < 0)
			k = stk_err_set(err, -ENOMEM, "out of memory");
		if (k == 0)
			break;
		http_client_resp_fini(&r.resp);
		do_close(c);
		if (!idle || !was_used || !repeatable || again)
			return k;
	}
	r.resp.body[r.resp.body_len] = '\0';
	if (!r.keep)
		do_close(c);
	*ret_resp = r.resp;
	return 0;
}

int http_client_request(struct http_client *c, const char *method, const char *path,
			const char *headers, const void *body, size_t body_len, size_t max_body,
			struct http_client_resp *ret_resp, struct stk_err *err)
{
	const struct reader how = {.max_body = max_body};

	return request(c, method, path, headers, body, body_len, &how, ret_resp, err);
}

int http_client_follow(struct http_client *c, const char *path, const char *headers, size_t max_body,
		       int (*sink)(void *ctx, const void *data, size_t len), void *ctx, struct http_client_resp *ret_resp,
		       struct stk_err *err)
{
	static const int on = 1, idle_s = 20, interval_s = 5, count = 4;
	const struct reader how = {.max_body = max_body, .sink = sink, .ctx = ctx};

	if (!c->is_unix && c->fd >= 0) {
		setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
		setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
		setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	}
	return request(c, "GET", path, headers, NULL, 0, &how, ret_resp, err);
}

void http_client_resp_fini(struct http_client_resp *r)
{
	free(r->headers);
	free(r->body);
	*r = (struct http_client_resp){0};
}

int http_client_header(const struct http_client_resp *r, const char *name, char *buf, size_t cap)
{
	size_t nlen = strlen(name);

	for (const char *p = r->headers; p && *p;) {
		const char *end = strchrnul(p, '\n');

		if (strncmp(p, name, nlen) == 0 && p[nlen] == ':') {
			const char *v = p + nlen + 1;
			size_t len;

			if (*v == ' ')
				v++;
			len = (size_t)(end - v);
			if (len >= cap)
				return -ENAMETOOLONG;
			memcpy(buf, v, len);
			buf[len] = '\0';
			return 0;
		}
		p = *end ? end + 1 : end;
	}
	return -ENOENT;
}
