/* guestwire, host side: see session.h. */
#include "snapshots/tool/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "snapshots/tool/tool.h"

#define LOG_MAX (1024u * 1024) /* output of one init phase that is passed on */

int session_init(struct session *s, struct monitor *m, struct stk_err *err)
{
	memset(s, 0, sizeof(*s));
	s->m = m;
	s->payload = malloc(GW_MAX_CHUNK + 1);
	return s->payload ? 0 : stk_err_sys(err, -ENOMEM, "session");
}

void session_fini(struct session *s)
{
	free(s->payload);
	s->payload = NULL;
}

/* Until the stream is ready for `events`; the console is emptied and the monitor watched meanwhile. */
static int wait_stream(struct session *s, short events, uint64_t until, struct stk_err *err)
{
	struct monitor *m = s->m;

	for (;;) {
		struct pollfd p[3] = {{.fd = m->stream, .events = events},
				      {.fd = m->pidfd, .events = POLLIN},
				      {.fd = m->console, .events = POLLIN}};
		uint64_t limit = until < m->deadline_ns ? until : m->deadline_ns, now = stk_now_ns();
		char doing[80];
		int r = -ETIMEDOUT;

		if (signals_caught())
			return stk_err_set(err, -EINTR, "ended by signal %d", signals_caught());
		if (now >= limit) {
			if (limit == m->deadline_ns && limit != until)
				r = -ETIME; /* not the guest's limit but that of the whole command */
			if (r == -ETIME)
				return stk_err_set(err, r, "the time limit is over");
			monitor_activity(m, doing, sizeof(doing));
			return stk_err_set(err, r, "no answer in time: %s", doing);
		}
		r = poll(p, 3, (int)((limit - now) / STK_NS_PER_MS % 1000000) + 1);
		if (r < 0 && errno != EINTR)
			return stk_err_sys(err, -errno, "poll");
		if (r <= 0)
			continue;
		if (p[2].revents)
			monitor_drain(m);
		if (p[0].revents)
			return 0; /* what the guest said before the monitor died is still read */
		if (p[1].revents && (r = monitor_check(m, err)) < 0)
			return r;
	}
}

static int closed(struct session *s, struct stk_err *err)
{
	struct pollfd p = {.fd = s->m->pidfd, .events = POLLIN};
	int r = 0;

	if (poll(&p, 1, 1000) > 0) /* usually because the monitor is about to end */
		r = monitor_check(s->m, err);
	return r < 0 ? r : stk_err_set(err, -EPIPE, "the guest agent closed its connection");
}

static int read_exact(struct session *s, uint8_t *buf, size_t len, uint64_t until, struct stk_err *err)
{
	while (len > 0) {
		ssize_t n = read(s->m->stream, buf, len);

		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		} else if (n == 0 || errno == ECONNRESET) {
			return closed(s, err);
		} else if (errno == EAGAIN) {
			int r = wait_stream(s, POLLIN, until, err);

			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return stk_err_sys(err, -errno, "connection to the guest");
		}
	}
	return 0;
}

static int violation(const struct session *s, struct stk_err *err)
{
	return stk_err_set(err, -EPROTO, "the guest agent broke the protocol (frame of type %u, %u bytes)",
			   s->hdr.type, s->hdr.length);
}

static int next_frame(struct session *s, uint64_t until, struct stk_err *err)
{
	int r = read_exact(s, s->head, GW_HEADER_LEN, until, err);

	if (r < 0)
		return r;
	memset(&s->hdr, 0, sizeof(s->hdr));
	if (gw_header_decode(s->head, &s->hdr) < 0 || s->hdr.length > GW_MAX_CHUNK)
		return violation(s, err);
	s->payload[s->hdr.length] = '\0';
	return read_exact(s, s->payload, s->hdr.length, until, err);
}

static uint64_t after_ms(unsigned ms)
{
	return stk_now_ns() + ms * STK_NS_PER_MS;
}

int session_hello(struct session *s, unsigned timeout_ms, char *ret_agent, size_t cap, struct stk_err *err)
{
	struct stk_rd rd;
	uint8_t state = 0;
	size_t len;
	int r = next_frame(s, after_ms(timeout_ms), err);

	if (r == -ETIMEDOUT)
		return stk_err_prefix(err, "the guest did not report within %u s of its start", timeout_ms / 1000);
	if (r < 0)
		return r;
	if (s->hdr.type != GW_HELLO || s->hdr.stream != 0 ||
	    gw_hello_decode(s->payload, s->hdr.length, &state) < 0 || state != 0)
		return violation(s, err);
	rd = stk_rd_init(s->payload, s->hdr.length);
	stk_rd_u8(&rd);
	len = stk_rd_u16(&rd);
	if (len > rd.left || len >= cap)
		return violation(s, err);
	for (size_t i = 0; i < len; i++)
		ret_agent[i] = rd.p[i] >= 0x20 && rd.p[i] < 0x7f ? (char)rd.p[i] : '?';
	ret_agent[len] = '\0';
	return 0;
}

int session_send(struct session *s, const uint8_t *frame, size_t len, unsigned timeout_ms, struct stk_err *err)
{
	uint64_t until = after_ms(timeout_ms);

	while (len > 0) {
		ssize_t n = write(s->m->stream, frame, len);

		if (n >= 0) {
			frame += n;
			len -= (size_t)n;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return closed(s, err);
		} else if (errno == EAGAIN) {
			int r = wait_stream(s, POLLOUT, until, err);

			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return stk_err_sys(err, -errno, "connection to the guest");
		}
	}
	return 0;
}

/* The function's output, as it is, to a file or pipe; made harmless for a terminal. */
static void pass_log(struct session *s)
{
	const uint8_t *p = s->payload + 1;
	size_t len = s->hdr.length - 1;

	if (s->log_bytes >= LOG_MAX)
		return;
	s->log_bytes += len;
	progress_clear();
	if (s->log_bytes >= LOG_MAX) {
		fprintf(stderr, "\nstoker-snapshot: more than %u KiB of output: the rest is not shown\n",
			LOG_MAX / 1024);
		return;
	}
	if (!isatty(STDERR_FILENO)) {
		fwrite(p, 1, len, stderr);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\n' || p[i] == '\t' || (p[i] >= 0x20 && p[i] != 0x7f && (p[i] < 0x80 || p[i] > 0x9f)))
			fputc(p[i], stderr);
		else if (p[i] != '\r')
			fprintf(stderr, "\\x%02x", p[i]);
	}
}

int session_wait(struct session *s, enum gw_type want, unsigned timeout_ms, uint64_t *ret_value,
		 struct gw_error *ret_error, struct stk_err *err)
{
	uint64_t until = after_ms(timeout_ms);

	for (;;) {
		int r = next_frame(s, until, err);

		if (r < 0)
			return r;
		if (s->hdr.type == GW_LOG && s->hdr.length >= 1) {
			pass_log(s);
			continue;
		}
		if (s->hdr.type == GW_ERROR && gw_error_decode(s->payload, s->hdr.length, ret_error) == 0)
			return 1;
		if (s->hdr.type == want && s->hdr.stream == 0 && (ret_value ?
		    gw_u64_decode(s->payload, s->hdr.length, ret_value) == 0 : s->hdr.length == 0))
			return 0;
		return violation(s, err);
	}
}
