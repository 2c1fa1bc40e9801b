/* Bytes of a hostile client into a served connection: through a socketpair into the real loop. The
 * first byte chooses how the input is cut into writes and how the handler behaves. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/host/http_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct http_server *server;
static uint8_t mode;
static unsigned live; /* requests whose handler waits for the end */

static int sink(void *ptr, const uint8_t *data, size_t len)
{
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	return len > 5000 ? -28 : 0;
}

static void on_headers(void *ctx, struct http_req *req)
{
	live++;
	if (mode & 4)
		http_req_stream_body(req, sink);
	if (mode & 8)
		http_req_set_max_body(req, 50);
	if ((mode & 0x30) == 0x30) {
		live--;
		http_respond(req, 403, NULL, "no", 2);
	}
}

/* Reads every string it can get, as a handler would. */
static void on_request(void *ctx, struct http_req *req)
{
	const struct http_header *h;
	size_t n = http_req_headers(req, &h), len, sum = 0;
	const char *q = http_req_query(req);
	char key[32], value[32];
	const uint8_t *body;

	for (size_t i = 0; i < n; i++)
		sum += strlen(h[i].name) + strlen(h[i].value);
	sum += strlen(http_req_path(req)) + strlen(http_req_method(req));
	while (http_query_next(&q, key, sizeof(key), value, sizeof(value)) != 0)
		sum++;
	http_url_decode(http_req_path(req), strlen(http_req_path(req)), false, value, sizeof(value));
	body = http_req_body(req, &len);
	for (size_t i = 0; i < len; i++)
		sum += body[i];
	if (n)
		http_resp_header(req, h[0].name, h[0].value);
	live--;
	if (mode & 0x40) {
		http_stream_begin(req, 200, "text/plain", NULL);
		http_stream_write(req, &sum, sizeof(sum));
		http_stream_end(req);
	} else {
		http_respond(req, 200, "text/plain", &sum, sizeof(sum));
	}
}

static void on_close(void *ctx, struct http_req *req)
{
	live--;
}

static void start(void)
{
	static const struct http_callbacks cb = {on_headers, on_request, on_close, NULL};
	struct http_limits l;

	http_limits_default(&l);
	l.max_body_bytes = 10000;
	l.max_header_bytes = 2000;
	l.max_headers = 16;
	if (uv_loop_init(&loop) < 0 || http_server_new(&loop, &l, &cb, NULL, &server) < 0)
		abort();
}

static void drain(int fd)
{
	static char buf[65536];

	while (read(fd, buf, sizeof(buf)) > 0) {
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int p[2];
	size_t step;

	if (!server)
		start();
	if (size < 1)
		return 0;
	mode = *data++;
	size--;
	step = mode & 1 ? size : mode & 2 ? 1u + (mode >> 4) : 64u;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) < 0)
		abort();
	if (http_server_adopt(server, p[1], mode & 0x80) < 0)
		abort();
	while (size > 0) {
		size_t n = size < step ? size : step;

		if (send(p[0], data, n, MSG_NOSIGNAL) != (ssize_t)n)
			break; /* closed on us */
		data += n;
		size -= n;
		uv_run(&loop, UV_RUN_NOWAIT);
		drain(p[0]);
	}
	shutdown(p[0], SHUT_WR);
	for (int i = 0; i < 200 && http_server_connections(server) > 0; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		drain(p[0]);
	}
	close(p[0]);
	for (int i = 0; i < 200 && http_server_connections(server) > 0; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	/* A closed client leaves neither a connection nor a request behind. */
	if (http_server_connections(server) != 0 || live != 0)
		abort();
	return 0;
}
