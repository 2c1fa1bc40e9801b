/* A VM that goes back to its snapshot after an answer instead of ending (sandbox.h, state RESETTING).
 *
 *   "reset" ──► monitor ──"running NS BYTES"──► old bytes away, RESUME, warm
 *
 * It is resumed quietly, without RESUMED: the guest has resumed from this very state before, and a call that is waiting
 * already reaches it together with RESUME.
 *
 * No byte of the former life may be taken for one of the new: the parser is closed while the monitor works, and BYTES
 * tells where on the stream the new life begins. All of the old bytes are in the socket when that line comes. */
#include "scheduler/sandbox_internal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "scheduler/daemon.h"
#include "scheduler/pool.h"

#define RESET_LIMIT_MS 15000 /* the monitor gives a vCPU 10 s to stop */

bool sandbox_reset_possible(const struct sandbox *sb)
{
	const struct pool *p = sb->pool;

	return sb->reusable && p->ver->settings.reuse == FN_RESET && !p->closed && !p->d->dispatch.stopped &&
	       sb->resets < p->d->opt->max_resets &&
	       !sb->event && uv_stream_get_write_queue_size((const uv_stream_t *)&sb->stream) == 0;
}

static void reset_begin(struct sandbox *sb)
{
	char word[] = "reset\n";
	uv_buf_t buf = uv_buf_init(word, sizeof(word) - 1);

	sandbox_move(sb, SB_RESETTING);
	sb->reset_ns = stk_now_ns();
	sandbox_arm_timer(sb, RESET_LIMIT_MS);
	if (uv_try_write((uv_stream_t *)&sb->control, &buf, 1) != (int)buf.len)
		sandbox_die(sb, INV_VM_DIED, "its monitor takes no commands");
}

void sandbox_reset_due(struct stk_list *to_reset)
{
	while (!stk_list_empty(to_reset)) {
		struct sandbox *sb = STK_CONTAINER_OF(to_reset->next, struct sandbox, doomed_node);

		stk_list_del(&sb->doomed_node);
		if (sb->state == SB_BUSY) /* else it has ended meanwhile */
			reset_begin(sb);
	}
}

/* Reads away the rest of the old life. */
static int discard(struct sandbox *sb, int fd, uint64_t end)
{
	char buf[8192];

	while (sb->stream_bytes < end) {
		uint64_t left = end - sb->stream_bytes;
		ssize_t n = read(fd, buf, left < sizeof(buf) ? (size_t)left : sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPROTO;
		sb->stream_bytes += (uint64_t)n;
	}
	return sb->stream_bytes == end ? 0 : -EPROTO;
}

void sandbox_reset_line(struct sandbox *sb, const char *line)
{
	unsigned long long ns, bytes;
	uv_os_fd_t fd;
	int rc;

	if (sb->agent.phase != AGENT_OVER || sscanf(line, "running %llu %llu", &ns, &bytes) != 2 ||
	    uv_fileno((uv_handle_t *)&sb->stream, &fd)) {
		sandbox_die(sb, INV_VM_DIED, "its monitor gave no sense");
		return;
	}
	rc = discard(sb, fd, bytes);
	agent_fini(&sb->agent);
	agent_init(&sb->agent, AGENT_IDLE, &sandbox_agent_ops, sb);
	sb->resets++;
	if (rc == 0)
		rc = sandbox_send_resume(fd, sb->pool, GW_RESUME_QUIET);
	if (rc)
		sandbox_die(sb, INV_VM_DIED, "the stream to the guest was not as expected after a reset");
	else
		sandbox_become_warm(sb);
}
