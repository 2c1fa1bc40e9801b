/* HTTP server: listeners, limits on connections, orderly end. See http_server.h. */
#include "common/host/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/host/http_internal.h"

#define ACCEPTS_PER_ROUND 4

void http_limits_default(struct http_limits *limits)
{
	*limits = (struct http_limits){
		.max_connections = 1024,
		.max_header_bytes = 32768,
		.max_headers = 100,
		.max_body_bytes = 1048576,
		.max_buffered_bytes = 256u << 20,
		.header_timeout_ms = 10000,
		.body_timeout_ms = 30000,
		.idle_timeout_ms = 60000,
		.write_timeout_ms = 30000,
	};
}

int http_buf_reserve(struct http_buf *b, size_t need, size_t max)
{
	size_t cap = b->cap ? b->cap : 1024;
	char *p;

	if (need > max)
		return -EMSGSIZE;
	if (need <= b->cap)
		return 0;
	while (cap < need)
		cap *= 2;
	if (cap > max)
		cap = max;
	p = realloc(b->p, cap);
	if (!p)
		return -ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

int http_buf_add(struct http_buf *b, const void *data, size_t len, size_t max)
{
	int r;

	if (len > max - b->len)
		return -EMSGSIZE;
	r = http_buf_reserve(b, b->len + len, max);
	if (r < 0)
		return r;
	if (len)
		memcpy(b->p + b->len, data, len);
	b->len += len;
	return 0;
}

/* Writing to a client that has gone must give EPIPE, not end the process; libuv does not see to it. */
static void ignore_sigpipe(void)
{
	struct sigaction sa;

	if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

int http_server_new(uv_loop_t *loop, const struct http_limits *limits,
		    const struct http_callbacks *cb, void *ctx, struct http_server **ret_server)
{
	struct http_server *s;
	int r;

	if (!cb->on_request || limits->max_header_bytes < 64 || limits->max_headers == 0)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->limits = *limits;
	s->cb = *cb;
	s->ctx = ctx;
	stk_list_init(&s->conns);
	r = uv_timer_init(loop, &s->close_timer);
	if (r < 0) {
		free(s);
		return r;
	}
	uv_idle_init(loop, &s->round);
	s->close_timer.data = s->round.data = s;
	s->handles_open = 2;
	ignore_sigpipe();
	*ret_server = s;
	return 0;
}

static void on_connection(uv_stream_t *stream, int status);

static void accept_stuck(struct http_server *s)
{
	for (unsigned i = 0; i < s->listener_count; i++) {
		struct http_listener *l = &s->listener[i];

		if (l->stuck && !uv_is_closing(&l->io.handle)) {
			l->stuck = false;
			on_connection(&l->io.stream, 0);
		}
	}
}

static void refuse_closed(uv_handle_t *h)
{
	struct http_server *s = h->data;

	s->refusing = false;
	s->handles_open--;
	accept_stuck(s);
	http_server_conn_closed(s, NULL);
}

static void on_next_round(uv_idle_t *idle)
{
	struct http_server *s = idle->data;

	s->accepted = 0;
	accept_stuck(s);
	if (s->accepted == 0)
		uv_idle_stop(idle);
}

/* No memory for a connection: take it with the one spare handle and close it. libuv stops listening
 * until an accepted descriptor is fetched, so one that cannot be fetched now is fetched later. */
static void refuse(struct http_listener *l)
{
	struct http_server *s = l->server;

	if (s->refusing) {
		l->stuck = true;
		return;
	}
	if (l->is_tcp)
		uv_tcp_init(s->loop, &s->refuse_io.tcp);
	else
		uv_pipe_init(s->loop, &s->refuse_io.pipe, 0);
	s->refuse_io.handle.data = s;
	s->refusing = true;
	s->handles_open++;
	uv_accept(&l->io.stream, &s->refuse_io.stream);
	uv_close(&s->refuse_io.handle, refuse_closed);
}

/* Beyond the limit some connections are still taken, to be told 503; the rest is just closed. */
static void on_connection(uv_stream_t *stream, int status)
{
	struct http_listener *l = stream->data;
	struct http_server *s = l->server;
	bool overflow = s->conn_count >= s->limits.max_connections;
	struct http_conn *c;

	if (status < 0 || s->closing)
		return;
	/* Many clients that come at once do not hold up those that are there. */
	if (s->accepted == ACCEPTS_PER_ROUND) {
		l->stuck = true;
		return;
	}
	s->accepted++;
	uv_idle_start(&s->round, on_next_round);
	if (http_conn_new(s, l->is_tcp, overflow, &c) < 0) {
		refuse(l);
		return;
	}
	if (uv_accept(stream, &c->io.stream) < 0 ||
	    (overflow && s->overflow_count > HTTP_OVERFLOW_MAX)) {
		http_conn_close(c);
		return;
	}
	if (l->is_tcp)
		uv_tcp_nodelay(&c->io.tcp, 1);
	http_conn_start(c);
}

int http_server_adopt(struct http_server *s, int fd, bool is_tcp)
{
	struct http_conn *c;
	int r;

	r = http_conn_new(s, is_tcp, false, &c);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = is_tcp ? uv_tcp_open(&c->io.tcp, fd) : uv_pipe_open(&c->io.pipe, fd);
	if (r < 0) {
		close(fd);
		http_conn_close(c);
		return r;
	}
	http_conn_start(c);
	return 0;
}

static void listener_closed(uv_handle_t *h)
{
	struct http_listener *l = h->data;
	struct http_server *s = l->server;

	s->handles_open--;
	http_server_conn_closed(s, NULL);
}

/* Reserves the next listener; it counts once its handle is open. */
static struct http_listener *listener_next(struct http_server *s, bool is_tcp)
{
	struct http_listener *l;

	if (s->listener_count >= HTTP_MAX_LISTENERS || s->closing)
		return NULL;
	l = &s->listener[s->listener_count];
	*l = (struct http_listener){.server = s, .is_tcp = is_tcp};
	return l;
}

static void listener_open(struct http_server *s, struct http_listener *l)
{
	l->io.handle.data = l;
	s->listener_count++;
	s->handles_open++;
}

/* A failed listener keeps its slot until the server is closed. */
static void listener_fail(struct http_listener *l)
{
	if (!uv_is_closing(&l->io.handle))
		uv_close(&l->io.handle, listener_closed);
}

static int parse_addr(const char *host, unsigned port, struct sockaddr_storage *ret_addr)
{
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	else if (strcmp(host, "*") == 0 || !*host)
		host = "0.0.0.0";
	if (port > 65535)
		return -EINVAL;
	if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)ret_addr) == 0 ||
	    uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)ret_addr) == 0)
		return 0;
	return -EINVAL;
}

int http_server_listen_tcp(struct http_server *s, const char *host, unsigned port,
			   unsigned *ret_port, struct stk_err *err)
{
	struct sockaddr_storage addr = {0};
	int len = sizeof(addr), r;
	struct http_listener *l;

	if (parse_addr(host, port, &addr) < 0)
		return stk_err_set(err, -EINVAL,
				   "cannot listen on %s:%u: give a numeric address and a port", host, port);
	l = listener_next(s, true);
	if (!l)
		return stk_err_set(err, -ENOSPC, "too many listeners");
	r = uv_tcp_init(s->loop, &l->io.tcp);
	if (r < 0)
		return stk_err_sys(err, r, "cannot listen on %s:%u", host, port);
	listener_open(s, l);
	/* libuv sets SO_REUSEADDR; an address in use is reported by uv_listen. */
	r = uv_tcp_bind(&l->io.tcp, (struct sockaddr *)&addr, 0);
	if (r == 0)
		r = uv_listen(&l->io.stream, 1024, on_connection);
	if (r == 0)
		r = uv_tcp_getsockname(&l->io.tcp, (struct sockaddr *)&addr, &len);
	if (r < 0) {
		listener_fail(l);
		return stk_err_sys(err, r, "cannot listen on %s:%u", host, port);
	}
	if (ret_port)
		*ret_port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
							     : ((struct sockaddr_in *)&addr)->sin_port);
	return 0;
}

/* Removes the socket file of a server that has ended without doing so; one that answers stays. */
static int remove_stale(const char *path, const struct sockaddr_un *addr)
{
	struct stat st;
	stk_autofd fd = -1;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int http_server_listen_unix(struct http_server *s, const char *path, struct stk_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct http_listener *l;
	int r;

	if (!*path || strlen(path) >= sizeof(addr.sun_path))
		return stk_err_set(err, -ENAMETOOLONG,
				   "cannot listen on %s: a socket's path has 1 to %zu bytes", path,
				   sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	r = remove_stale(path, &addr);
	if (r < 0)
		return stk_err_sys(err, r, "cannot listen on %s", path);
	l = listener_next(s, false);
	if (!l)
		return stk_err_set(err, -ENOSPC, "too many listeners");
	r = uv_pipe_init(s->loop, &l->io.pipe, 0);
	if (r < 0)
		return stk_err_sys(err, r, "cannot listen on %s", path);
	listener_open(s, l);
	r = uv_pipe_bind(&l->io.pipe, path);
	if (r == 0)
		r = uv_listen(&l->io.stream, 1024, on_connection);
	if (r < 0) {
		listener_fail(l);
		return stk_err_sys(err, r, "cannot listen on %s", path);
	}
	return 0;
}

unsigned http_server_connections(const struct http_server *s)
{
	return s->conn_count;
}

static void own_closed(uv_handle_t *h)
{
	struct http_server *s = h->data;

	s->handles_open--;
	http_server_conn_closed(s, NULL);
}

void http_server_conn_closed(struct http_server *s, struct http_conn *c)
{
	if (c) {
		stk_list_del(&c->link);
		if (c->overflow)
			s->overflow_count--;
		else
			s->conn_count--;
	}
	if (!s->closing || !stk_list_empty(&s->conns))
		return;
	if (!uv_is_closing((uv_handle_t *)&s->close_timer)) {
		uv_close((uv_handle_t *)&s->close_timer, own_closed);
		uv_close((uv_handle_t *)&s->round, own_closed);
	}
	if (s->handles_open == 0) {
		if (s->done)
			s->done(s->done_ctx);
		free(s);
	}
}

static void on_close_timeout(uv_timer_t *t)
{
	struct http_server *s = t->data;

	STK_LIST_FOREACH_SAFE(it, tmp, &s->conns)
		http_conn_gone(STK_CONTAINER_OF(it, struct http_conn, link));
}

void http_server_close(struct http_server *s, unsigned timeout_ms, void (*done)(void *ctx), void *ctx)
{
	if (s->closing)
		return;
	s->closing = true;
	s->done = done;
	s->done_ctx = ctx;
	for (unsigned i = 0; i < s->listener_count; i++)
		listener_fail(&s->listener[i]);
	/* Closing is never finished inside http_conn_close, so that the list stays walkable. */
	STK_LIST_FOREACH_SAFE(it, tmp, &s->conns) {
		struct http_conn *c = STK_CONTAINER_OF(it, struct http_conn, link);

		if (http_conn_is_waiting(c))
			http_conn_close(c);
	}
	uv_timer_start(&s->close_timer, on_close_timeout, timeout_ms, 0);
	http_server_conn_closed(s, NULL);
}
