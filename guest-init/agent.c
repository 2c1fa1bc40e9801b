/* Session with the host and event loop: see agent.h. */
#include "guest-init/agent_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "guest-init/kernel_abi.h"
#include "guest-init/secrets.h"
#include "guest-init/trim.h"

#ifndef STOKER_VERSION
#define STOKER_VERSION "0"
#endif

enum { TAG_SESSION, TAG_SIGNAL, TAG_LOGS, TAG_WEB = 8, TAG_API = 16 };

#define CONNECT_BACKOFF_MAX_MS 50u

/* --- to the host ------------------------------------------------------------------------------ */

static bool has_room(void *ctx)
{
	const struct agent *a = ctx;

	return a->tx_len - a->tx_off <= AGENT_QUEUE / 2;
}

static void session_arm(struct agent *a)
{
	bool out = a->tx_len > a->tx_off;
	struct epoll_event ev = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.u64 = TAG_SESSION};

	if (a->session < 0 || out == a->session_out)
		return;
	if (epoll_ctl(a->epfd, EPOLL_CTL_MOD, a->session, &ev) < 0)
		a->lost = true;
	a->session_out = out;
}

/* Writes as much as the stream takes now; what is left goes into the queue. */
static void send_parts(struct agent *a, const void *p1, size_t n1, const void *p2, size_t n2)
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
	bool full = !has_room(a);

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
	if (full && has_room(a)) {
		logs_resume(&a->logs);
		runtime_api_resume(&a->api);
		web_resume(&a->web);
	}
}

static void send_small(struct agent *a, const uint8_t *buf, int len)
{
	if (len > 0)
		send_parts(a, buf, (size_t)len, NULL, 0);
}

/* For the frame that ends the invocation. */
static uint32_t end_flags(const struct agent *a)
{
	return reap_peak_mib(&a->reap) << GW_F_PEAK_SHIFT | (a->api.ext.count ? GW_F_LINGER : 0);
}

void agent_report(struct agent *a, enum gw_error_kind kind, int detail, const char *body, size_t len)
{
	struct gw_error error = {
		.kind = (uint16_t)kind, .detail = detail, .body = body, .body_len = (uint32_t)len};
	int n;

	if (a->state != AGENT_INIT && a->state != AGENT_RUNNING && a->state != AGENT_READY)
		return; /* it has ended already */
	logs_drain(&a->logs);
	n = gw_error_encode(a->frame, sizeof(a->frame), &error);
	if (n < 0) {
		stk_error("error report of %zu bytes does not fit", len);
		a->lost = true;
		return;
	}
	if (a->state == AGENT_RUNNING)
		gw_set_flags(a->frame, end_flags(a));
	send_parts(a, a->frame, (size_t)n, NULL, 0);
	a->crashed = kind == GW_ERR_EXIT || kind == GW_ERR_SIGNAL || kind == GW_ERR_OOM;
	a->state = a->state == AGENT_INIT ? AGENT_FAILED : AGENT_DONE;
	a->init_deadline_ns = 0;
}

static void report_text(struct agent *a, enum gw_error_kind kind, int detail, const char *text)
{
	agent_report(a, kind, detail, text, strlen(text));
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
	send_parts(a, head, sizeof(head), data, len);
}

static const struct logs_ops logs_ops = {.room = has_room, .emit = emit_log};

/* --- the runtime's side ------------------------------------------------------------------------ */

static void on_ready(void *ctx)
{
	struct agent *a = ctx;
	uint8_t buf[GW_HEADER_LEN + 8];

	if (a->state != AGENT_INIT)
		return;
	logs_drain(&a->logs);
	a->state = AGENT_READY;
	a->init_deadline_ns = 0;
	send_small(a, buf, gw_u64_encode(buf, sizeof(buf), GW_READY, stk_now_ns() - a->started_ns));
}

static void on_resumed(void *ctx)
{
	struct agent *a = ctx;
	uint8_t buf[GW_HEADER_LEN];

	if (a->state == AGENT_READY && !a->quiet)
		send_small(a, buf, gw_empty_encode(buf, sizeof(buf), GW_RESUMED));
}

static void on_stream(void *ctx, const char *type)
{
	struct agent *a = ctx;
	uint8_t buf[GW_HEADER_LEN + GW_MAX_TYPE];
	bool clean = true;

	for (const char *p = type; *p; p++)
		clean &= *p >= ' ' && *p <= '~';
	if (a->state == AGENT_RUNNING)
		send_small(a, buf, gw_stream_encode(buf, sizeof(buf), clean ? type : ""));
}

static void on_extension(void *ctx)
{
	agent_extensions_changed(ctx);
}

static void on_response(void *ctx, const uint8_t *data, size_t len, bool fin)
{
	struct agent *a = ctx;
	struct gw_header h = {.type = GW_RESPONSE,
			      .flags = fin ? GW_F_FIN : 0,
			      .stream = 1,
			      .length = (uint32_t)len};
	uint8_t head[GW_HEADER_LEN];

	if (a->state != AGENT_RUNNING)
		return;
	if (fin) {
		logs_drain(&a->logs);
		h.flags |= end_flags(a);
	}
	gw_header_encode(head, &h);
	send_parts(a, head, sizeof(head), data, len);
	if (fin)
		a->state = AGENT_DONE;
}

static void on_error(void *ctx, enum gw_error_kind kind, const char *body, size_t len)
{
	struct agent *a = ctx;

	if ((kind == GW_ERR_INIT) == (a->state == AGENT_INIT))
		agent_report(a, kind, 0, body, len);
}

static const struct runtime_api_ops api_ops = {
	.ready = on_ready, .room = has_room, .response = on_response, .error = on_error,
	.stream = on_stream, .resumed = on_resumed, .extension = on_extension};

static void on_web_ready(void *ctx)
{
	struct agent *a = ctx;

	runtime_api_ready(&a->api);
}

static void report_death(struct agent *a)
{
	if (WIFEXITED(a->status))
		report_text(a, GW_ERR_EXIT, WEXITSTATUS(a->status), "");
	else if (WTERMSIG(a->status) == SIGKILL && reap_oom_killed(&a->reap))
		report_text(a, GW_ERR_OOM, SIGKILL, "");
	else
		report_text(a, GW_ERR_SIGNAL, WTERMSIG(a->status), "");
}

/* The runtime is gone: everything it still said counts first. */
static void check_death(struct agent *a)
{
	if (a->dead && (a->state == AGENT_INIT || a->state == AGENT_RUNNING) &&
	    runtime_api_settle(&a->api) && web_settle(&a->web))
		report_death(a);
}

static void check_init_deadline(struct agent *a)
{
	if (!a->init_deadline_ns || stk_now_ns() < a->init_deadline_ns)
		return;
	a->init_deadline_ns = 0;
	if (a->state != AGENT_INIT)
		return;
	if (a->pid > 0)
		kill(-a->pid, SIGKILL); /* its session: also what it started */
	report_text(a, GW_ERR_INIT_TIMEOUT, 0, "");
}

/* --- frames from the host ----------------------------------------------------------------------- */

/* Clock and entropy of the frame. The generator of a clone must not give what another one gave; once it was reseeded,
 * what comes with an event is for its next time. */
static void become_unique(struct agent *a, uint64_t wall_ns, const uint8_t *entropy)
{
	int rc;

	if (!a->conf.guest)
		return;
	rc = resume_clock(wall_ns);
	if (rc < 0)
		stk_error("clock: %s", strerror(-rc));
	rc = resume_entropy(&a->resume, entropy, !a->unique);
	if (rc < 0)
		stk_error("entropy: %s", strerror(-rc));
	a->unique = rc == 0;
}

static void become_named(struct agent *a, const char *name, size_t len)
{
	int rc;

	if (!a->conf.guest)
		return;
	rc = resume_hostname(name, len);
	if (rc < 0)
		stk_error("host name: %s", strerror(-rc));
	rc = resume_boot_id(&a->resume);
	if (rc < 0)
		stk_error("boot id: %s", strerror(-rc));
}

static void output_close(struct agent *a)
{
	for (int i = 0; i < 2; i++) {
		if (a->output[i] >= 0)
			close(a->output[i]);
		a->output[i] = -1;
	}
}

static void cannot_start(struct agent *a, int rc)
{
	char text[160];

	output_close(a);
	snprintf(text, sizeof(text), "cannot start %s: %s", a->runtime, strerror(-rc));
	report_text(a, GW_ERR_ENTRYPOINT, -rc, text);
}

void agent_start_runtime(struct agent *a)
{
	int rc = bootstrap_spawn(a->conf.bootstrap, a->runtime, a->output[0], a->output[1], &a->pid);

	if (rc < 0)
		cannot_start(a, rc);
	else if (a->web.port)
		web_start(&a->web);
	output_close(a);
}

/* Extensions first, where there are any: the runtime starts when they have registered. */
static void start_programs(struct agent *a, const struct gw_start *start)
{
	int rc;

	reap_mark(&a->reap);
	a->runtime = "bootstrap";
	rc = logs_open(&a->logs, TAG_LOGS, a->output);
	if (rc == 0)
		rc = bootstrap_prepare(a->conf.bootstrap, start, &a->runtime);
	if (rc < 0)
		cannot_start(a, rc);
	else if (!agent_extensions_start(a) && a->state == AGENT_INIT)
		agent_start_runtime(a);
}

static int on_start(struct agent *a, const uint8_t *p, size_t len)
{
	struct gw_start start;

	if (gw_start_decode(p, len, &start) < 0)
		return -EPROTO;
	become_unique(a, start.wall_ns, start.entropy);
	for (unsigned i = 0; i < start.kv_count; i++) {
		if (start.kv[i].key_len == 9 && memcmp(start.kv[i].key, ".hostname", 9) == 0)
			become_named(a, start.kv[i].value, start.kv[i].value_len);
	}
	a->state = AGENT_INIT;
	a->started_ns = stk_now_ns();
	if (start.init_timeout_ms)
		a->init_deadline_ns = a->started_ns + start.init_timeout_ms * STK_NS_PER_MS;
	web_configure(&a->web, &start);
	a->api.snapstart = bootstrap_option(&start, ".snapstart", 0) == 1;
	start_programs(a, &start);
	return 0;
}

/* The snapshot point: after the answer nothing runs until the host's next frame. */
static int on_trim(struct agent *a, const uint8_t *p, size_t len)
{
	uint8_t buf[GW_HEADER_LEN + 8];
	uint64_t used;

	if (a->dead) /* no use in a snapshot of this */
		report_death(a);
	if (a->dead || agent_extensions_failed(a))
		return 0;
	used = a->conf.guest ? trim_memory() : 0;
	a->unique = false;
	send_small(a, buf, gw_u64_encode(buf, sizeof(buf), GW_TRIMMED, used));
	return 0;
}

static int on_prefault(struct agent *a, const uint8_t *p, size_t len)
{
	uint64_t left = AGENT_PREFAULT_MAX;
	unsigned count;

	if (gw_prefault_decode(p, len, &count) < 0)
		return -EPROTO;
	for (unsigned i = 0; a->conf.guest && i < count; i++) {
		struct gw_page_range range = gw_prefault_range(p, i);
		uint64_t n = range.count < left ? range.count : left;

		resume_touch(&a->resume, range.first, n);
		left -= n;
	}
	return 0;
}

static int on_secrets(struct agent *a, const uint8_t *p, size_t len)
{
	static struct gw_secrets secrets;
	uid_t uid = a->conf.guest ? BOOTSTRAP_UID : (uid_t)-1;
	int rc;

	if (gw_secrets_decode(p, len, &secrets) < 0)
		return -EPROTO;
	rc = secrets_write(a->conf.secrets_folder, &secrets, uid, BOOTSTRAP_GID);
	if (rc < 0)
		stk_error("secrets: %s", strerror(-rc));
	a->no_secrets = rc < 0;
	return 0;
}

static int on_resume(struct agent *a, const uint8_t *p, size_t len)
{
	struct gw_resume resume;
	uint8_t buf[GW_HEADER_LEN];

	if (gw_resume_decode(p, len, &resume) < 0)
		return -EPROTO;
	become_unique(a, resume.wall_ns, resume.entropy);
	become_named(a, resume.hostname, resume.hostname_len);
	a->quiet = resume.how == GW_RESUME_QUIET;
	if (!runtime_api_resumed(&a->api, resume.how == GW_RESUME_WARM_UP) && !a->quiet)
		send_small(a, buf, gw_empty_encode(buf, sizeof(buf), GW_RESUMED));
	return 0;
}

static int on_invoke(struct agent *a, const uint8_t *p, size_t len)
{
	struct gw_invoke inv;
	int rc;

	if (gw_invoke_decode(p, len, &inv) < 0)
		return -EPROTO;
	become_unique(a, inv.wall_ns, inv.entropy);
	a->state = AGENT_RUNNING;
	if (a->no_secrets) {
		report_text(a, GW_ERR_AGENT, 0, "the function's secrets could not be written");
		return 0;
	}
	a->held = true;
	a->deadline_ms = inv.deadline_ms;
	if (agent_extensions_failed(a))
		return 0;
	rc = runtime_api_invoke(&a->api, &inv);
	if (rc == -EPROTO)
		return rc;
	if (rc < 0)
		report_text(a, GW_ERR_AGENT, 0, "the runtime is not ready for an event");
	else if (a->web.port && a->state == AGENT_RUNNING)
		web_invoke(&a->web, (uint8_t *)(uintptr_t)inv.event, inv.event_len, a->api.request_id);
	return 0;
}

static int on_bye(struct agent *a, const uint8_t *p, size_t len)
{
	a->bye = true;
	return 0;
}

static const struct {
	uint16_t type;
	unsigned states; /* in which it may come */
	int (*take)(struct agent *a, const uint8_t *payload, size_t len);
} frames[] = {
	{GW_START, 1u << AGENT_BOOTED, on_start},
	{GW_TRIM, 1u << AGENT_READY, on_trim},
	{GW_PREFAULT, 1u << AGENT_READY, on_prefault},
	{GW_SECRETS, 1u << AGENT_READY, on_secrets},
	{GW_RESUME, 1u << AGENT_READY, on_resume},
	{GW_INVOKE, 1u << AGENT_READY, on_invoke},
	{GW_BYE, ~0u, on_bye},
};

static int frame_index(const struct agent *a, const struct gw_header *h)
{
	for (unsigned i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		if (frames[i].type == h->type && (frames[i].states & 1u << a->state))
			return (int)i;
	}
	stk_error("frame of type %u not expected in state %d", h->type, (int)a->state);
	return -EPROTO;
}

int agent_input(struct agent *a)
{
	while (!a->bye && a->rx_len - a->rx_off >= GW_HEADER_LEN) {
		const uint8_t *p = a->rx + a->rx_off;
		struct gw_header h;
		int i, rc;

		if (gw_header_decode(p, &h) < 0) {
			stk_error("malformed frame from the host");
			return -EPROTO;
		}
		i = frame_index(a, &h);
		if (i < 0)
			return i;
		if (a->rx_len - a->rx_off < GW_HEADER_LEN + h.length)
			break;
		a->rx_off += GW_HEADER_LEN + h.length;
		rc = frames[i].take(a, p + GW_HEADER_LEN, h.length);
		if (rc < 0) {
			stk_error("malformed frame of type %u from the host", h.type);
			return rc;
		}
	}
	if (a->held) /* an event stays where it is */
		return a->rx_len < sizeof(a->rx) ? 0 : -EPROTO;
	if (a->rx_off) {
		memmove(a->rx, a->rx + a->rx_off, a->rx_len - a->rx_off);
		a->rx_len -= a->rx_off;
		a->rx_off = 0;
	}
	return 0;
}

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

/* --- life ----------------------------------------------------------------------------------------- */

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
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TAG_SESSION};
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
	send_small(a, buf, gw_hello_encode(buf, sizeof(buf), a->state == AGENT_READY, STOKER_VERSION));
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

int agent_init(struct agent *a, const struct agent_conf *conf)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TAG_SIGNAL};
	uint16_t port;
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
	web_init(&a->web, a->epfd, TAG_WEB, &api_ops, on_web_ready, a);
	return runtime_api_open(&a->api, a->epfd, TAG_API, conf->api_port, &api_ops, a, &port);
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

	if (tag >= TAG_API) {
		runtime_api_event(&a->api, tag - TAG_API, ev->events);
	} else if (tag == TAG_WEB) {
		web_event(&a->web);
	} else if (tag >= TAG_LOGS) {
		logs_readable(&a->logs, (int)(tag - TAG_LOGS));
	} else if (tag == TAG_SIGNAL) {
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
		until = a->linger == LINGER_FLUSH ? 0 : a->linger_ns;
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
		check_death(a);
		check_init_deadline(a);
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
	runtime_api_close(&a->api);
	web_close(&a->web);
	logs_close(&a->logs);
	if (a->session >= 0)
		close(a->session);
	output_close(a);
	reap_fini(&a->reap);
	if (a->epfd >= 0)
		close(a->epfd);
}
