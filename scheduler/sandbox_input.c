/* What a VM says: its monitor in lines on the control socket, its guest in frames on the stream. */
#include "scheduler/sandbox_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "scheduler/invlog.h"
#include "scheduler/launch.h"
#include "scheduler/pool.h"
#include "scheduler/secrets.h"

#define LOG_LIMIT (1u << 20) /* bytes of output kept per VM */

/* One buffer for all reads: parsed before the next read of any stream. */
static char read_buf[128 * 1024];

/* --- the monitor --------------------------------------------------------------------------- */

/* What stoker-vmm writes on its control socket, line by line. The last words of one that fails stay. */
static void control_bytes(struct sandbox *sb, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = data[i];

		if (c != '\n') {
			if (sb->control_len + 1 < sizeof(sb->control_line))
				sb->control_line[sb->control_len++] = c >= ' ' && c < 0x7f ? c : '?';
			sb->control_line[sb->control_len] = '\0';
			continue;
		}
		if (strncmp(sb->control_line, "running", 7) != 0)
			continue;
		sb->control_len = 0;
		sb->running_ns = stk_now_ns();
		if (sb->state == SB_STARTING)
			sandbox_move(sb, SB_RESUMING);
		else if (sb->state == SB_RESETTING)
			sandbox_reset_line(sb, sb->control_line);
	}
}

/* The exit may be seen before the line that explains it. */
void sandbox_last_words(struct sandbox *sb)
{
	char buf[256];
	uv_os_fd_t fd;
	ssize_t n;

	if (sb->closing || uv_fileno((uv_handle_t *)&sb->control, &fd))
		return;
	n = read(fd, buf, sizeof(buf)); /* non-blocking */
	if (n > 0)
		control_bytes(sb, buf, (size_t)n);
}

/* --- the guest ------------------------------------------------------------------------------- */

static void write_all(struct sandbox *sb, const void *frame, int len)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)frame, (unsigned)len);

	/* Small and first on the stream: the socket's buffer always has room. */
	if (len < 0 || uv_try_write((uv_stream_t *)&sb->stream, &buf, 1) != len)
		sandbox_die(sb, INV_VM_DIED, "the stream to the guest does not take the first frame");
}

static int agent_state(void *ctx, enum gw_type type)
{
	struct sandbox *sb = ctx;

	if (type == GW_BYE) {
		sandbox_lingered(sb);
		return 0;
	}
	if (type == GW_HELLO) {
		static uint8_t frame[16384];
		int n = launch_start_frame(sb->pool, frame, sizeof(frame));

		agent_started(&sb->agent);
		write_all(sb, frame, n);
		memset(frame, 0, sizeof(frame)); /* it holds the function's environment */
		return 0;
	}
	if (type == GW_READY && sb->pool->ver->settings.secrets_len) {
		uint8_t *frame = NULL;
		int n = secrets_frame(&sb->pool->ver->settings, &frame);

		write_all(sb, frame, n);
		secrets_free(frame, n > 0 ? (size_t)n : 0);
		if (sb->closing)
			return 0;
	}
	sandbox_become_warm(sb);
	return 0;
}

static void agent_log(void *ctx, unsigned fd, const uint8_t *data, size_t len)
{
	struct sandbox *sb = ctx;
	struct logsink *sink = sb->pool->ver->fn->log;
	const char *id = sandbox_log_id(sb);

	if (!sink || sb->log_bytes > LOG_LIMIT)
		return;
	sb->log_bytes += len;
	if (sb->inv && sb->state == SB_BUSY)
		invlog_start(sb->inv);
	if (sb->inv)
		invocation_logged(sb->inv, data, len);
	logs_feed(sink, &sb->logline, id, data, len);
	if (sb->log_bytes > LOG_LIMIT) {
		static const char note[] = "[further output of this invocation is not kept]";

		logs_flush_line(sink, &sb->logline, id);
		logs_line(sink, id, note, sizeof(note) - 1);
	}
}

static int agent_stream(void *ctx, const char *type)
{
	struct sandbox *sb = ctx;

	if (!sb->inv)
		return -EPROTO;
	invocation_stream(sb->inv, type);
	return 0;
}

static int agent_response(void *ctx, const uint8_t *data, size_t len, bool fin)
{
	struct sandbox *sb = ctx;
	struct invocation *inv = sb->inv;

	if (!inv)
		return -EPROTO;
	if (len) {
		int rc = invocation_data(inv, data, len);

		if (rc == -EAGAIN && !fin && !sb->paused) {
			sb->paused = true;
			uv_read_stop((uv_stream_t *)&sb->stream);
		} else if (rc && rc != -EAGAIN) {
			return rc;
		}
	}
	if (fin)
		sandbox_call_answered(sb);
	return 0;
}

static void agent_error(void *ctx, const struct gw_error *e)
{
	struct sandbox *sb = ctx;
	char text[384];

	/* In a call, or in the init phase of a boot that is for one request alone. */
	if (sb->inv && (sb->state == SB_BUSY || sandbox_starting(sb))) {
		sandbox_call_failed(sb, e);
		return;
	}
	snprintf(text, sizeof(text), "the guest reported an error before its invocation (kind %u, %d): %.*s",
		 e->kind, e->detail, (int)(e->body_len < 200 ? e->body_len : 200), e->body ? e->body : "");
	sandbox_die(sb, INV_VM_DIED, text);
}

const struct agent_ops sandbox_agent_ops = {
	.on_state = agent_state,
	.on_log = agent_log,
	.on_stream = agent_stream,
	.on_response = agent_response,
	.on_error = agent_error,
};

/* --- reading --------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret_buf)
{
	*ret_buf = uv_buf_init(read_buf, sizeof(read_buf));
}

static void on_stream(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

void sandbox_read_on(struct sandbox *sb)
{
	if (!sb->paused || sb->closing)
		return;
	sb->paused = false;
	if (uv_read_start((uv_stream_t *)&sb->stream, on_alloc, on_stream))
		sandbox_die(sb, INV_INTERNAL, "the stream from the VM cannot be read on");
}

static void on_stream(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct sandbox *sb = stream->data;
	int rc;

	if (n == 0 || sb->closing)
		return;
	if (n > 0)
		sb->stream_bytes += (uint64_t)n;
	if (n < 0 && (sandbox_starting(sb) || sb->state == SB_BUSY)) {
		/* The exit, with its reason, follows at once; if it does not, that is a failure too. */
		sb->hung_up = true;
		uv_read_stop(stream);
		sandbox_arm_timer(sb, SANDBOX_EXIT_LIMIT_MS);
		return;
	}
	if (n < 0) {
		/* idle: nobody is told but the pool */
		sandbox_die(sb, INV_VM_DIED, sb->state == SB_RESETTING ? "it closed its connection to the host" : NULL);
		return;
	}
	rc = agent_feed(&sb->agent, (const uint8_t *)buf->base, (size_t)n);
	if (rc == -ENOMEM)
		sandbox_die(sb, INV_INTERNAL, "the host ran out of memory");
	else if (rc == -EMSGSIZE)
		sandbox_die(sb, INV_TOO_LARGE, "answer larger than allowed");
	else if (rc)
		sandbox_die(sb, INV_PROTOCOL, "the guest broke the protocol");
}

static void on_control(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct sandbox *sb = stream->data;

	if (n == 0 || sb->closing)
		return;
	if (n < 0) /* closed after its line, or the process ends: on_child_exit tells */
		uv_read_stop(stream);
	else
		control_bytes(sb, buf->base, (size_t)n);
}

int sandbox_read_start(struct sandbox *sb)
{
	int rc = uv_read_start((uv_stream_t *)&sb->stream, on_alloc, on_stream);

	return rc ? rc : uv_read_start((uv_stream_t *)&sb->control, on_alloc, on_control);
}
