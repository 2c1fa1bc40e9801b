/* Session with the host and event loop: see agent.h. */
#include "guest-init/agent_internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "guest-init/kernel_abi.h"

#ifndef STOKER_VERSION
#define STOKER_VERSION "0"
#endif

#define CONNECT_BACKOFF_MAX_MS 50u

/* --- to the host ------------------------------------------------------------------------------ */

bool agent_has_room(void *ctx)
{
	const struct agent *a = ctx;

	return a->tx_len - a->tx_off <= AGENT_QUEUE / 2;
}

static void session_arm(struct agent *a)
{
	bool out = a->tx_len > a->tx_off;
	struct epoll_event ev = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.u64 = AGENT_TAG_SESSION};

	if (a->session < 0 || out == a->session_out)
		return;
	if (epoll_ctl(a->epfd, EPOLL_CTL_MOD, a->session, &ev) < 0)
		a->lost = true;
	a->session_out = out;
}

/* Writes as much as the stream takes now; what is left goes into the queue. */
void agent_send(struct agent *a, const void *p1, size_t n1, const void *p2, size_t n2)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)p1, n1}, {(void *)(uintptr_t)p2, n2}};
	size_t sent = 0;

	if (a->session < 0 || a->lost)
		return;
	if (a->tx_len == a->tx_off) {
		ssize_t n;

		a->tx_len = a->tx_off = 0;
		do
			n = writev(a->session, iov, 2);
		while (n < 0 && errno == EINTR);
		if (n < 0 && errno != EAGAIN) {
			a->lost = true;
			return;
		}
		sent = n < 0 ? 0 : (size_t)n;
		if (sent == n1 + n2)
			return;
	}
	if (sizeof(a->tx) - a->tx_len < n1 + n2 - sent) {
		memmove(a->tx, a->tx + a->tx_off, a->tx_len - a->tx_off);
		a->tx_len -= a->tx_off;
		a->tx_off = 0;
	}
	if (sizeof(a->tx) - a->tx_len < n1 + n2 - sent) {
		stk_error("queue to the host overflows");
		a->lost = true;
		return;
	}
	for (int i = 0; i < 2; i++) {
		size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		if (iov[i].iov_len > skip)
			memcpy(a->tx + a->tx_len, (uint8_t *)iov[i].iov_base + skip,
			       iov[i].iov_len - skip);
		a->tx_len += iov[i].iov_len - skip;
		sent -= skip;
	}
	session_arm(a);
}

static void session_writable(struct agent *a)
{
	bool full = !agent_has_room(a);

	while (a->tx_off < a->tx_len) {
		ssize_t n = write(a->session, a->tx + a->tx_off, a->tx_len - a->tx_off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			a->lost = true;
			return;
		}
		a->tx_off += (size_t)n;
	}
	session_arm(a);
	if (full && agent_has_room(a)) {
		logs_resume(&a->logs);
		runtime_api_resume(&a->api);
		web_resume(&a->web);
	}
}

void agent_send_small(struct agent *a, const uint8_t *buf, int len)
{
	if (len > 0)
		agent_send(a, buf, (size_t)len, NULL, 0);
}

static void emit_log(void *ctx, int descriptor, const uint8_t *data, size_t len)
{
	struct agent *a = ctx;
	struct gw_header h = {.type = GW_LOG,
			      .stream = a->state == AGENT_RUNNING ? 1 : 0,
			      .length = (uint32_t)len + 1};
	uint8_t head[GW_HEADER_LEN + 1];

	gw_header_encode(head, &h);
	head[GW_HEADER_LEN] = (uint8_t)descriptor;
	agent_send(a, head, sizeof(head), data, len);
}

static const struct logs_ops logs_ops = {.room = agent_has_room, .emit = emit_log};

/* --- the stream ------------------------------------------------------------------------------- */

static int session_readable(struct agent *a)
{
	ssize_t n = read(a->session, a->rx + a->rx_len, sizeof(a->rx) - a->rx_len);

	if (n < 0)
		a->lost = errno != EAGAIN && errno != EINTR;
	else if (n == 0)
		a->lost = true;
	else
		a->rx_len += (size_t)n;
	return n > 0 ? agent_input(a) : 0;
}

static int connect_host(void)
{
	struct abi_sockaddr_vm vm = {.family = AF_VSOCK, .port = GW_PORT, .cid = ABI_CID_HOST};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&vm, sizeof(vm)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* Until the host listens. Nothing else is to be done meanwhile. */
static int session_open(struct agent *a)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = AGENT_TAG_SESSION};
	uint8_t buf[64];
	unsigned wait_ms = 1;
	int rc;

	a->rx_off = a->rx_len = a->tx_off = a->tx_len = 0;
	a->lost = a->session_out = false;
	a->session = a->conf.session_fd;
	while (a->session < 0) {
		struct timespec ts = {0, (long)(wait_ms * STK_NS_PER_MS)};

		a->session = connect_host();
		if (a->session >= 0)
			break;
		if (a->session == -EAFNOSUPPORT)
			return a->session;
		nanosleep(&ts, NULL);
		wait_ms = wait_ms < CONNECT_BACKOFF_MAX_MS ? wait_ms * 2 : wait_ms;
	}
	a->conf.session_fd = -1;
	rc = stk_set_nonblock(a->session);
	if (rc < 0)
		return rc;
	if (epoll_ctl(a->epfd, EPOLL_CTL_ADD, a->session, &ev) < 0)
		return -errno;
	agent_send_small(a, buf, gw_hello_encode(buf, sizeof(buf), a->state == AGENT_READY, STOKER_VERSION));
	return 0;
}

/* The stream has ended. 0 when a new one has been made. */
static int session_lost(struct agent *a)
{
	close(a->session);
	a->session = -1;
	if (!a->conf.guest || (a->state != AGENT_BOOTED && a->state != AGENT_READY))
		return -EPIPE;
	return session_open(a);
}

/* --- life ----------------------------------------------------------------------------------------- */

int agent_init(struct agent *a, const struct agent_conf *conf)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = AGENT_TAG_SIGNAL};
	int rc;

	a->conf = *conf;
	a->session = -1;
	a->state = AGENT_BOOTED;
	a->output[0] = a->output[1] = -1;
	a->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (a->epfd < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	logs_init(&a->logs, a->epfd, &logs_ops, a);
	rc = reap_init(&a->reap);
	if (rc < 0)
		return rc;
	if (epoll_ctl(a->epfd, EPOLL_CTL_ADD, a->reap.signal_fd, &ev) < 0)
		return -errno;
	if (conf->guest) {
		rc = resume_prepare(&a->resume);
		if (rc < 0)
			return rc;
	}
	return agent_runtime_open(a);
}

static void collect(struct agent *a)
{
	int status;
	pid_t pid;

	reap_clear(&a->reap);
	while ((pid = reap_next(&status)) > 0) {
		if (pid == a->pid) {
			a->dead = true;
			a->status = status;
		} else if (extensions_exited(&a->api.ext, pid)) {
			agent_extensions_exited(a, status);
		}
	}
}

static int dispatch(struct agent *a, const struct epoll_event *ev)
{
	uint64_t tag = ev->data.u64;
	int rc = 0;

	if (tag >= AGENT_TAG_API) {
		runtime_api_event(&a->api, tag - AGENT_TAG_API, ev->events);
	} else if (tag == AGENT_TAG_WEB) {
		web_event(&a->web);
	} else if (tag >= AGENT_TAG_LOGS) {
		logs_readable(&a->logs, (int)(tag - AGENT_TAG_LOGS));
	} else if (tag == AGENT_TAG_SIGNAL) {
		collect(a);
	} else {
		if (ev->events & EPOLLOUT)
			session_writable(a);
		if (ev->events & ~(uint32_t)EPOLLOUT)
			rc = session_readable(a);
	}
	return rc;
}

static int wait_ms(const struct agent *a)
{
	uint64_t until = a->init_deadline_ns, now;

	if (a->linger != LINGER_NONE)
		until = a->linger_ns;
	if (a->web.timer_ns && (!until || a->web.timer_ns < until))
		until = a->web.timer_ns;
	if (!until)
		return -1;
	now = stk_now_ns();
	return now >= until ? 0 : (int)((until - now + STK_NS_PER_MS - 1) / STK_NS_PER_MS);
}

int agent_run(struct agent *a)
{
	int rc = session_open(a);

	while (rc == 0 && !a->bye) {
		struct epoll_event ev[8];
		int n = epoll_wait(a->epfd, ev, 8, wait_ms(a));

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n && rc == 0; i++)
			rc = dispatch(a, &ev[i]);
		if (rc < 0)
			break;
		agent_runtime_check(a);
		if (a->web.timer_ns && stk_now_ns() >= a->web.timer_ns)
			web_timer(&a->web);
		if (a->state == AGENT_DONE && a->api.ext.count)
			agent_linger(a);
		if (a->lost && !a->bye)
			rc = session_lost(a);
	}
	return rc;
}

void agent_fini(struct agent *a)
{
	agent_runtime_close(a);
	logs_close(&a->logs);
	if (a->session >= 0)
		close(a->session);
	reap_fini(&a->reap);
	if (a->epfd >= 0)
		close(a->epfd);
}
