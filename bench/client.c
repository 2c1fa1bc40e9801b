#include "bench/client.h"

#include <errno.h>
#include <llhttp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"

enum conn_state { CONN_NONE, CONN_CONNECTING, CONN_UP };

/* A connection is its own object: after an error the old handle closes in its own time while the
 * client already opens the next one. */
struct conn {
	struct client *owner; /* NULL once abandoned */
	uv_tcp_t tcp;
	uv_connect_t connect;
	uv_write_t write;
	char buf[16384];
};

struct client {
	uv_loop_t *loop;
	struct sockaddr_in addr;
	client_done done;
	void *ctx;

	struct conn *conn;
	enum conn_state state;
	uv_timer_t timer;

	bool busy;
	const char *request;
	size_t request_len;

	llhttp_t parser;
	llhttp_settings_t settings;
	char header[32];
	size_t header_len;
	char *value; /* where the current header's value goes, or NULL */
	size_t value_cap, value_len;
	bool keep_alive, complete;
	char body[CLIENT_BODY_KEEP + 1];
	struct client_result result;
};

static void on_conn_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void drop_conn(struct client *c)
{
	if (!c->conn)
		return;
	c->conn->owner = NULL;
	uv_close((uv_handle_t *)&c->conn->tcp, on_conn_closed);
	c->conn = NULL;
	c->state = CONN_NONE;
}

static void finish(struct client *c, int err)
{
	uv_timer_stop(&c->timer);
	if (err || !c->keep_alive)
		drop_conn(c);
	if (!c->busy)
		return;
	c->busy = false;
	c->result.err = err;
	c->result.done_ns = stk_now_ns();
	size_t kept = c->result.body_len < CLIENT_BODY_KEEP ? c->result.body_len : CLIENT_BODY_KEEP;
	c->body[kept] = '\0';
	c->result.body = c->body;
	c->done(c->ctx, c, &c->result);
}

/* --- llhttp --------------------------------------------------------------------------------- */

static int on_header_field(llhttp_t *p, const char *at, size_t len)
{
	struct client *c = p->data;

	if (c->header_len + len < sizeof(c->header)) {
		memcpy(c->header + c->header_len, at, len);
		c->header_len += len;
	} else {
		c->header_len = sizeof(c->header); /* too long to be one of ours */
	}
	return 0;
}

static int on_header_field_complete(llhttp_t *p)
{
	struct client *c = p->data;

	c->value = NULL;
	c->value_len = 0;
	if (c->header_len < sizeof(c->header)) {
		c->header[c->header_len] = '\0';
		if (strcasecmp(c->header, "x-stoker-start") == 0) {
			c->value = c->result.start;
			c->value_cap = sizeof(c->result.start);
		} else if (strcasecmp(c->header, "x-stoker-error") == 0) {
			c->value = c->result.error_kind;
			c->value_cap = sizeof(c->result.error_kind);
		} else if (strcasecmp(c->header, "server-timing") == 0) {
			c->value = c->result.server_timing;
			c->value_cap = sizeof(c->result.server_timing);
		}
	}
	c->header_len = 0;
	return 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t len)
{
	struct client *c = p->data;

	if (!c->value)
		return 0;
	if (len > c->value_cap - 1 - c->value_len)
		len = c->value_cap - 1 - c->value_len;
	memcpy(c->value + c->value_len, at, len);
	c->value_len += len;
	c->value[c->value_len] = '\0';
	return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
	struct client *c = p->data;

	if (c->result.body_len < CLIENT_BODY_KEEP) {
		size_t n = CLIENT_BODY_KEEP - c->result.body_len;

		memcpy(c->body + c->result.body_len, at, len < n ? len : n);
	}
	c->result.body_len += len;
	return 0;
}

static int on_message_complete(llhttp_t *p)
{
	struct client *c = p->data;

	c->complete = true;
	c->keep_alive = llhttp_should_keep_alive(p) != 0;
	c->result.status = p->status_code;
	return HPE_PAUSED;
}

/* --- connection ------------------------------------------------------------------------------ */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
	struct conn *conn = handle->data;

	(void)suggested;
	*ret_buf = uv_buf_init(conn->buf, sizeof(conn->buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct conn *conn = stream->data;
	struct client *c = conn->owner;

	if (!c || n == 0)
		return;
	if (n < 0) {
		finish(c, n == UV_EOF ? -ECONNRESET : (int)n);
		return;
	}
	if (!c->busy) { /* bytes nobody asked for: this connection is no longer in step */
		drop_conn(c);
		return;
	}
	enum llhttp_errno e = llhttp_execute(&c->parser, buf->base, (size_t)n);

	if (c->complete)
		finish(c, 0);
	else if (e != HPE_OK)
		finish(c, -EPROTO);
}

static void on_written(uv_write_t *req, int status)
{
	(void)req;
	(void)status; /* a write error shows on the read side as well */
}

/* A request that could not even be started is reported from the loop, through the timer. */
static void on_failed_start(uv_timer_t *timer)
{
	finish(timer->data, -ECONNABORTED);
}

static void write_request(struct client *c)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)c->request, (unsigned)c->request_len);

	if (uv_write(&c->conn->write, (uv_stream_t *)&c->conn->tcp, &buf, 1, on_written) < 0)
		uv_timer_start(&c->timer, on_failed_start, 0, 0);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct conn *conn = req->data;
	struct client *c = conn->owner;

	if (!c)
		return;
	if (status < 0) {
		finish(c, status);
		return;
	}
	c->state = CONN_UP;
	uv_tcp_nodelay(&conn->tcp, 1);
	uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
	if (c->busy)
		write_request(c);
}

static void on_timeout(uv_timer_t *timer)
{
	finish(timer->data, -ETIMEDOUT);
}

static int open_conn(struct client *c)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return -ENOMEM;
	int rc = uv_tcp_init(c->loop, &conn->tcp);

	if (rc < 0) {
		free(conn);
		return rc;
	}
	conn->owner = c;
	conn->tcp.data = conn;
	conn->connect.data = conn;
	c->conn = conn;
	c->state = CONN_CONNECTING;
	rc = uv_tcp_connect(&conn->connect, &conn->tcp, (const struct sockaddr *)&c->addr, on_connected);
	if (rc < 0)
		drop_conn(c);
	return rc;
}

int client_new(uv_loop_t *loop, const struct sockaddr_in *addr, client_done done, void *ctx,
	       struct client **ret_client)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->addr = *addr;
	c->done = done;
	c->ctx = ctx;
	int rc = uv_timer_init(loop, &c->timer);

	if (rc < 0) {
		free(c);
		return rc;
	}
	c->timer.data = c;
	llhttp_settings_init(&c->settings);
	c->settings.on_header_field = on_header_field;
	c->settings.on_header_field_complete = on_header_field_complete;
	c->settings.on_header_value = on_header_value;
	c->settings.on_body = on_body;
	c->settings.on_message_complete = on_message_complete;
	*ret_client = c;
	return 0;
}

void client_send(struct client *c, const char *request, size_t len, uint64_t timeout_ms)
{
	memset(&c->result, 0, sizeof(c->result));
	c->busy = true;
	c->complete = false;
	c->keep_alive = true;
	c->header_len = 0;
	c->value = NULL;
	c->request = request;
	c->request_len = len;
	llhttp_init(&c->parser, HTTP_RESPONSE, &c->settings);
	c->parser.data = c;
	uv_timer_start(&c->timer, on_timeout, timeout_ms, 0);

	if (c->state == CONN_UP) {
		write_request(c);
	} else if (open_conn(c) < 0) {
		uv_timer_start(&c->timer, on_failed_start, 0, 0);
	}
}

static void on_client_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void client_free(struct client *c)
{
	if (!c)
		return;
	c->busy = false;
	drop_conn(c);
	uv_close((uv_handle_t *)&c->timer, on_client_closed);
}
