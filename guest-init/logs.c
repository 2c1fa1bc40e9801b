/* The function's output: see logs.h. */
#include "guest-init/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/clock.h"

/* Needs no timer: the bucket is refilled by the clock when output comes. */
static uint64_t take_tokens(struct logs *l, uint64_t want)
{
	uint64_t now = stk_now_ns();
	uint64_t fresh = (now - l->refilled_ns) / 1000 * LOGS_PER_SECOND / 1000000;

	if (fresh) {
		l->tokens = fresh > LOGS_BURST - l->tokens ? LOGS_BURST : l->tokens + fresh;
		l->refilled_ns = now;
	}
	if (want > l->tokens)
		want = l->tokens;
	l->tokens -= want;
	return want;
}

static void arm(struct logs *l, int which, bool on)
{
	struct epoll_event ev = {.events = on ? EPOLLIN : 0};

	if (l->fd[which] < 0 || l->armed[which] == on)
		return;
	ev.data.u64 = l->tag + (uint64_t)which;
	if (epoll_ctl(l->epfd, EPOLL_CTL_MOD, l->fd[which], &ev) == 0)
		l->armed[which] = on;
}

static void close_one(struct logs *l, int which)
{
	if (l->fd[which] >= 0)
		close(l->fd[which]); /* leaves the epoll set with it */
	l->fd[which] = -1;
}

static void note_dropped(struct logs *l, int which)
{
	char note[96];
	int n;

	if (!l->dropped[which])
		return;
	n = snprintf(note, sizeof(note), "\n[stoker] %llu bytes of output dropped\n",
		     (unsigned long long)l->dropped[which]);
	l->dropped[which] = 0;
	l->ops->emit(l->ctx, which + 1, (const uint8_t *)note, (size_t)n);
}

/* Reads one piece. Returns its length, 0 when there is none now or the pipe has ended. */
static size_t read_piece(struct logs *l, int which)
{
	ssize_t n;
	uint64_t allowed;

	if (l->fd[which] < 0)
		return 0;
	do
		n = read(l->fd[which], l->buf, sizeof(l->buf));
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		note_dropped(l, which);
		close_one(l, which);
		return 0;
	}
	allowed = take_tokens(l, (uint64_t)n);
	if (allowed) {
		note_dropped(l, which);
		l->ops->emit(l->ctx, which + 1, l->buf, (size_t)allowed);
	}
	l->dropped[which] += (uint64_t)n - allowed;
	return (size_t)n;
}

void logs_init(struct logs *l, int epfd, const struct logs_ops *ops, void *ctx)
{
	l->ops = ops;
	l->ctx = ctx;
	l->epfd = epfd;
	l->fd[0] = l->fd[1] = -1;
	l->tokens = LOGS_BURST;
	l->refilled_ns = stk_now_ns();
	l->dropped[0] = l->dropped[1] = 0;
}

int logs_open(struct logs *l, uint64_t tag, int ret_child[2])
{
	int child[2] = {-1, -1};
	int rc;

	l->tag = tag;
	for (int i = 0; i < 2; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u64 = tag + (uint64_t)i};
		int p[2];

		if (pipe2(p, O_CLOEXEC) < 0) {
			rc = -errno;
			goto undo;
		}
		l->fd[i] = p[0];
		child[i] = p[1];
		if (fcntl(p[0], F_SETFL, O_NONBLOCK) < 0 ||
		    epoll_ctl(l->epfd, EPOLL_CTL_ADD, p[0], &ev) < 0) {
			rc = -errno;
			goto undo;
		}
		l->armed[i] = true;
	}
	ret_child[0] = child[0];
	ret_child[1] = child[1];
	return 0;
undo:
	for (int i = 0; i < 2; i++) {
		if (child[i] >= 0)
			close(child[i]);
	}
	logs_close(l);
	return rc;
}

void logs_readable(struct logs *l, int which)
{
	if (!l->ops->room(l->ctx)) {
		arm(l, which, false);
		return;
	}
	read_piece(l, which);
}

void logs_resume(struct logs *l)
{
	arm(l, 0, true);
	arm(l, 1, true);
}

void logs_drain(struct logs *l)
{
	for (int i = 0; i < 2; i++) {
		size_t total = 0, n;

		while (total < LOGS_DRAIN_MAX && (n = read_piece(l, i)) > 0)
			total += n;
		note_dropped(l, i);
	}
}

void logs_close(struct logs *l)
{
	close_one(l, 0);
	close_one(l, 1);
}
