/* The line to the starter: see control.h. */
#include "vmm/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/base/list.h"
#include "common/base/log.h"

enum control_word control_take(struct control_lines *l, const char *data, size_t len, size_t *ret_used)
{
	for (size_t i = 0; i < len; i++) {
		*ret_used = i + 1;
		if (data[i] == '\n') {
			bool reset = l->len == 5 && memcmp(l->text, "reset", 5) == 0;

			l->len = 0;
			return reset ? CONTROL_RESET : CONTROL_BAD;
		}
		if (l->len == sizeof(l->text))
			return CONTROL_BAD;
		l->text[l->len++] = data[i];
	}
	*ret_used = len;
	return CONTROL_NONE;
}

void control_init(struct control *c, int fd)
{
	*c = (struct control){.fd = fd};
}

void control_say(struct control *c, const char *word, const char *text)
{
	char line[512];
	int n;

	if (c->fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%s %s\n", word, text);
	if (n > 0 && (size_t)n >= sizeof(line)) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	if (stk_write_full(c->fd, line, (size_t)n) < 0)
		stk_warn("cannot write to descriptor %d of --control-fd", c->fd);
}

void control_close(struct control *c)
{
	if (c->fd > STDERR_FILENO)
		close(c->fd);
	c->fd = -1;
}

static void gone(struct control *c)
{
	uv_poll_stop(&c->poll);
	c->on_gone(c->ctx);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct control *c = STK_CONTAINER_OF(poll, struct control, poll);
	char buf[CONTROL_LINE_MAX];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	size_t used;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		gone(c);
		return;
	}
	for (size_t at = 0; at < (size_t)n; at += used) {
		switch (control_take(&c->lines, buf + at, (size_t)n - at, &used)) {
		case CONTROL_NONE:
			break;
		case CONTROL_RESET:
			c->on_reset(c->ctx);
			break;
		case CONTROL_BAD:
			stk_error("--control-fd: not a command");
			gone(c);
			return;
		}
	}
}

static int start_polling(struct control *c, uv_loop_t *loop, uv_poll_cb cb, struct stk_err *err)
{
	int r = uv_poll_init_socket(loop, &c->poll, c->fd);

	if (r < 0)
		return stk_err_sys(err, r, "--control-fd");
	c->polled = true;
	r = uv_poll_start(&c->poll, UV_READABLE, cb);
	return r < 0 ? stk_err_sys(err, r, "--control-fd") : 0;
}

int control_listen(struct control *c, uv_loop_t *loop, void (*on_reset)(void *ctx), void (*on_gone)(void *ctx),
		   void *ctx, struct stk_err *err)
{
	c->on_reset = on_reset;
	c->on_gone = on_gone;
	c->ctx = ctx;
	return start_polling(c, loop, on_readable, err);
}

static void on_fill_there(uv_poll_t *poll, int status, int events)
{
	struct control *c = STK_CONTAINER_OF(poll, struct control, poll);

	control_stop(c);
	c->on_fill(c->ctx);
}

int control_await_fill(struct control *c, uv_loop_t *loop, void (*on_fill)(void *ctx), void *ctx, struct stk_err *err)
{
	c->on_fill = on_fill;
	c->ctx = ctx;
	return start_polling(c, loop, on_fill_there, err);
}

void control_stop(struct control *c)
{
	if (c->polled)
		uv_close((uv_handle_t *)&c->poll, NULL);
	c->polled = false;
}
