/* One microVM seen from outside: see sandbox.h. */
#include "scheduler/sandbox_internal.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/child.h"
#include "scheduler/cpushare.h"
#include "scheduler/daemon.h"
#include "scheduler/invlog.h"
#include "scheduler/launch.h"
#include "scheduler/pool.h"
#include "scheduler/secrets.h"
#include "scheduler/shells.h"

#define RESTORE_LIMIT_MS 30000
#define BOOT_LIMIT_MS    120000 /* beside the init phase's own limit */
#define LARGE_HEAD    8192 /* of an INVOKE frame with a client context */
#define EXIT_LIMIT_MS    2000 /* from the end of the stream to the end of the process */
#define LINGER_LIMIT_MS  2500 /* extensions: Lambda's 2 s, and a machine's way */
#define TRACE_ID_MAX     512
#define LOG_LIMIT        (1u << 20) /* bytes of output kept per VM */

/* One buffer for all reads: parsed before the next read of any stream. */
static char read_buf[128 * 1024];

static const char *const state_names[] = {"starting", "resuming", "warm", "busy", "resetting", "dying", "dead"};

/* The moves of the diagram in sandbox.h; everything else is our own mistake. */
static const unsigned char moves[SB_DEAD + 1] = {
	[SB_STARTING] = 1 << SB_RESUMING | 1 << SB_WARM | 1 << SB_DYING | 1 << SB_DEAD,
	[SB_RESUMING] = 1 << SB_WARM | 1 << SB_DYING | 1 << SB_DEAD,
	[SB_WARM] = 1 << SB_BUSY | 1 << SB_DYING | 1 << SB_DEAD,
	[SB_BUSY] = 1 << SB_RESETTING | 1 << SB_DYING | 1 << SB_DEAD,
	[SB_RESETTING] = 1 << SB_WARM | 1 << SB_DYING | 1 << SB_DEAD,
	[SB_DYING] = 1 << SB_DEAD,
	[SB_DEAD] = 0,
};

void sandbox_charge(struct sandbox *sb, unsigned mib)
{
	struct dispatch *ds = &sb->pool->d->dispatch;

	ds->charged_mib += mib;
	ds->charged_mib -= sb->charged_mib;
	sb->charged_mib = mib;
}

static void count(struct sandbox *sb, enum sandbox_state state, int by)
{
	struct pool *p = sb->pool;
	struct dispatch *ds = &p->d->dispatch;
	unsigned *field = NULL;

	switch (state) {
	case SB_STARTING:
	case SB_RESUMING:
		field = sb->for_one ? &p->reserved : &p->starting;
		ds->starting += (unsigned)by;
		break;
	case SB_WARM:
		field = &p->warm_count;
		break;
	case SB_BUSY:
		field = &p->busy;
		break;
	case SB_RESETTING:
		field = &p->resetting;
		break;
	case SB_DYING:
		field = &p->dying;
		if (by > 0)
			ds->dying_mib += sb->charged_mib;
		else
			ds->dying_mib -= sb->charged_mib;
		break;
	case SB_DEAD:
		return;
	}
	*field += (unsigned)by;
}

void sandbox_move(struct sandbox *sb, enum sandbox_state state)
{
	struct pool *p = sb->pool;

	assert(moves[sb->state] & (1 << state));
	stk_debug("%s: VM %d %s -> %s", p->ver->fn->name, sb->child ? (int)child_pid(sb->child) : 0,
		  state_names[sb->state], state_names[state]);
	count(sb, sb->state, -1);
	sb->state = state;
	count(sb, state, 1);
	stk_list_del(&sb->node);
	if (p->recording == sb)
		p->recording = NULL;
	if (state == SB_WARM && sb->record_fd >= 0)
		p->recording = sb;
	if (state == SB_WARM)
		stk_list_add_tail(&p->warm, &sb->node);
	else if (state != SB_DEAD)
		stk_list_add_tail(&p->others, &sb->node);
}

bool sandbox_starting(const struct sandbox *sb)
{
	return sb->state == SB_STARTING || sb->state == SB_RESUMING;
}

/* --- the end ------------------------------------------------------------------------------- */

static void maybe_free(struct sandbox *sb)
{
	struct daemon *d = sb->pool->d;
	struct fn_version *ver = sb->pool->ver;

	if (sb->handles || sb->child)
		return;
	assert(!sb->inv);
	if (sb->state != SB_DEAD)
		sandbox_move(sb, SB_DEAD);
	sandbox_charge(sb, 0);
	if (sb->record_fd >= 0)
		learn_end(sb->pool, sb->record_fd, sb->use);
	stk_list_del(&sb->doomed_node);
	d->dispatch.vms--;
	agent_fini(&sb->agent);
	free(sb->event);
	free(sb->large_head);
	free(sb->logline.buf);
	free(sb);
	dispatch_changed(ver->pool);
	fn_version_put(&d->registry, ver);
	daemon_job_done(d);
}

static void on_closed(uv_handle_t *h)
{
	struct sandbox *sb = h->data;

	sb->handles--;
	maybe_free(sb);
}

static void close_handles(struct sandbox *sb)
{
	if (sb->closing)
		return;
	sb->closing = true;
	agent_close(&sb->agent);
	uv_close((uv_handle_t *)&sb->stream, on_closed);
	uv_close((uv_handle_t *)&sb->control, on_closed);
	uv_close((uv_handle_t *)&sb->timer, on_closed);
}

/* Whatever the cause: what waits for this VM learns why, the process is killed, handles close. */
void sandbox_die(struct sandbox *sb, enum inv_outcome outcome, const char *why)
{
	struct invocation *inv = sb->inv;
	bool was_starting = sandbox_starting(sb), was_busy = sb->state == SB_BUSY, was_resetting = sb->state == SB_RESETTING;
	struct fn_version *ver = sb->pool->ver;

	if (sb->state == SB_DYING || sb->state == SB_DEAD)
		return;
	logs_flush_line(ver->fn->log, &sb->logline, inv ? inv->id : "-");
	sandbox_move(sb, SB_DYING);
	if (sb->child)
		child_kill(sb->child, SIGKILL);
	close_handles(sb);
	if (was_starting && why && outcome != INV_SHUTDOWN)
		dispatch_start_failed(sb, why);
	if (was_busy && why && inv && outcome != INV_SHUTDOWN) {
		static struct stk_log_limit limit = {.burst = 20};

		if (outcome != INV_TIMEOUT && stk_log_allow(&limit))
			stk_warn("%s: VM ended in mid-invocation: %s", ver->fn->name, why);
	}
	if (was_resetting && why && outcome != INV_SHUTDOWN) {
		static struct stk_log_limit limit = {.burst = 20};

		if (stk_log_allow(&limit))
			stk_warn("%s: a VM was not reset, but ended: %s", ver->fn->name, why);
	}
	inv = sb->inv;
	if (inv) {
		sb->inv = NULL;
		inv->sb = NULL;
		invocation_finish(inv, outcome, why ? why : "the microVM was ended");
	}
	dispatch_changed(sb->pool);
}

void sandbox_kill(struct sandbox *sb, const char *why)
{
	sandbox_die(sb, INV_SHUTDOWN, why);
}

static void set_aside(struct sandbox *sb, struct stk_list *list)
{
	if (sb->inv) {
		sb->inv->sb = NULL;
		sb->inv = NULL;
	}
	agent_close(&sb->agent);
	uv_timer_stop(&sb->timer);
	if (stk_list_empty(&sb->doomed_node))
		stk_list_add_tail(list, &sb->doomed_node);
}

void sandbox_doom(struct sandbox *sb)
{
	set_aside(sb, &sb->pool->d->dispatch.doomed);
}

void sandbox_reap_doomed(struct stk_list *doomed)
{
	while (!stk_list_empty(doomed)) {
		struct sandbox *sb = STK_CONTAINER_OF(doomed->next, struct sandbox, doomed_node);

		stk_list_del(&sb->doomed_node);
		sandbox_die(sb, INV_SHUTDOWN, NULL);
	}
}

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
static void read_last_words(struct sandbox *sb)
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

/* --- the process ---------------------------------------------------------------------------- */

static void on_child_start(void *ctx, int err)
{
	struct sandbox *sb = ctx;
	char text[128];

	if (err == 0)
		return;
	sb->child = NULL; /* freed by child.c after this */
	snprintf(text, sizeof(text), "cannot execute stoker-vmm: %s", strerror(-err));
	sandbox_die(sb, INV_START_FAILED, text);
	maybe_free(sb);
}

static void on_child_exit(void *ctx, int status)
{
	struct sandbox *sb = ctx;
	char how[384], text[sizeof(how) + 16];

	sb->child = NULL;
	if (sandbox_starting(sb) || sb->state == SB_RESETTING)
		read_last_words(sb);
	child_status_text(status, sb->control_line, sb->control_len, how, sizeof(how));
	snprintf(text, sizeof(text), "stoker-vmm %s%s", WIFSIGNALED(status) ? "was " : "", how);
	sandbox_die(sb, INV_VM_DIED, text);
	maybe_free(sb);
}

/* --- what the VM says ------------------------------------------------------------------------ */

/* From here on its CPU time is its tenant's; the restore was not. */
static void enter_group(struct sandbox *sb)
{
	struct daemon *d = sb->pool->d;
	int fd = cpushare_fd(d->cpushare, &d->tenants, sb->pool->ver->fn->name);

	if (fd && child_move(sb->child, fd))
		stk_warn("%s: no memory to put a VM into its control group", sb->pool->ver->fn->name);
}

void sandbox_become_warm(struct sandbox *sb)
{
	if (sandbox_starting(sb) && sb->kind != INV_COLD_BOOT && sb->child)
		enter_group(sb);
	uv_timer_stop(&sb->timer);
	sb->ready_ns = stk_now_ns();
	if (sb->state == SB_RESETTING)
		sandbox_charge(sb, sb->pool->idle_mib);
	sandbox_move(sb, SB_WARM);
	dispatch_ready(sb);
}

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
	const char *id = sb->inv ? sb->inv->id : "-";

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

/* The invocation is over with an answer: first the client, then the VM. */
static struct invocation *detach(struct sandbox *sb)
{
	struct invocation *inv = sb->inv;

	logs_flush_line(sb->pool->ver->fn->log, &sb->logline, inv->id);
	sb->inv = NULL;
	inv->sb = NULL;
	return inv;
}

static void on_timer(uv_timer_t *t);

/* The guest's extensions have their time: until the call's own limit, and then their budget. It ends by itself. */
static void linger(struct sandbox *sb)
{
	sb->lingers = true;
	uv_update_time(&sb->pool->d->loop);
	uv_timer_start(&sb->timer, on_timer, uv_timer_get_due_in(&sb->timer) + LINGER_LIMIT_MS, 0);
	sandbox_read_on(sb);
}

/* Answered. A VM that records ends by itself, in order: what it has written is told then. */
static void retire(struct sandbox *sb)
{
	sb->use = LEARN_ANSWERED;
	sandbox_read_on(sb); /* the last piece may have been one too many for its client */
	if (agent_lingers(&sb->agent)) {
		linger(sb);
		return;
	}
	if (sb->record_fd < 0) {
		if (sandbox_reset_possible(sb))
			set_aside(sb, &sb->pool->d->dispatch.to_reset);
		else
			sandbox_doom(sb);
		return;
	}
	agent_close(&sb->agent);
	sb->hung_up = true;
	child_kill(sb->child, SIGTERM);
	uv_timer_start(&sb->timer, on_timer, EXIT_LIMIT_MS, 0);
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
	if (fin) {
		inv->peak_mib = agent_peak_mib(&sb->agent);
		detach(sb);
		invocation_finish(inv, INV_OK, NULL);
		retire(sb);
	}
	return 0;
}

static void agent_error(void *ctx, const struct gw_error *e)
{
	struct sandbox *sb = ctx;
	char text[384];

	/* In a call, or in the init phase of a boot that is for one request alone. */
	if (sb->inv && (sb->state == SB_BUSY || sandbox_starting(sb))) {
		bool called = sb->state == SB_BUSY;

		if (!called)
			invlog_init_failed(sb, e);
		sb->inv->peak_mib = agent_peak_mib(&sb->agent);
		invocation_finish_error(detach(sb), e);
		if (called && agent_lingers(&sb->agent))
			linger(sb);
		else
			sandbox_doom(sb);
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
		uv_timer_start(&sb->timer, on_timer, EXIT_LIMIT_MS, 0);
		return;
	}
	if (n < 0) {
		sandbox_die(sb, INV_VM_DIED, sb->state == SB_RESETTING ? "it closed its connection to the host" : NULL); /* idle: nobody is told but the pool */
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

static void on_timer(uv_timer_t *t)
{
	struct sandbox *sb = t->data;

	if (sb->lingers)
		sandbox_die(sb, INV_SHUTDOWN, NULL);
	else if (sb->hung_up)
		sandbox_die(sb, INV_VM_DIED, "the guest closed its connection to the host");
	else if (sb->state == SB_BUSY)
		sandbox_die(sb, INV_TIMEOUT, "timed out");
	else if (sb->state == SB_RESETTING)
		sandbox_die(sb, INV_VM_DIED, "it did not become ready in time");
	else
		sandbox_die(sb, INV_START_FAILED, "the VM did not become ready in time");
}

/* --- start ------------------------------------------------------------------------------------ */

int sandbox_send_resume(int fd, const struct pool *p, enum gw_resume_how how)
{
	bool prefault = how == GW_RESUME_WARM_UP && p->learn.prefault; /* the better way to warm up */
	struct gw_resume resume = {.wall_ns = stk_wall_ns(), .how = prefault ? GW_RESUME_TELL : how};
	uint8_t frame[512];
	char name[64], tag[4];
	struct iovec parts[3];
	unsigned count = 0;
	uint8_t *secrets = NULL;
	int secrets_len = 0;
	ssize_t total = 0;
	int n = ids_random(resume.entropy, sizeof(resume.entropy));

	if (n == 0)
		n = ids_random(tag, sizeof(tag));
	if (n)
		return n;
	/* Each clone its own host name: the function's, shortened, and eight random digits. */
	snprintf(name, sizeof(name), "%.40s-%02x%02x%02x%02x", p->ver->fn->name, (uint8_t)tag[0],
		 (uint8_t)tag[1], (uint8_t)tag[2], (uint8_t)tag[3]);
	for (char *c = name; *c; c++)
		*c = *c == '_' ? '-' : *c;
	resume.hostname = name;
	resume.hostname_len = (uint16_t)strlen(name);
	n = gw_resume_encode(frame, sizeof(frame), &resume);
	if (n < 0)
		return n;
	if (p->ver->settings.secrets_len) {
		secrets_len = secrets_frame(&p->ver->settings, &secrets);
		if (secrets_len < 0)
			return secrets_len;
		parts[count++] = (struct iovec){secrets, (size_t)secrets_len};
	}
	if (prefault)
		parts[count++] = (struct iovec){p->learn.prefault, p->learn.prefault_len};
	parts[count++] = (struct iovec){frame, (size_t)n};
	for (unsigned i = 0; i < count; i++)
		total += (ssize_t)parts[i].iov_len;
	/* A process that has ended already: its exit, with the reason, is on its way. */
	n = writev(fd, parts, (int)count) == total || errno == EPIPE ? 0 : -EIO;
	secrets_free(secrets, (size_t)secrets_len);
	return n;
}

void sandbox_arm_timer(struct sandbox *sb, uint64_t ms)
{
	uv_timer_start(&sb->timer, on_timer, ms, 0);
}

static void init_handle(struct sandbox *sb, uv_handle_t *h)
{
	h->data = sb;
	sb->handles++;
}

int sandbox_start(struct pool *p, enum inv_start kind, struct invocation *inv)
{
	struct daemon *d = p->d;
	struct launch_ends ends = {-1, -1};
	struct sandbox *sb = calloc(1, sizeof(*sb));
	bool boot = kind == INV_COLD_BOOT;
	int rc;

	if (!sb)
		return -ENOMEM;
	sb->kind = kind;
	sb->pool = p;
	sb->for_one = inv != NULL;
	sb->started_ns = stk_now_ns();
	stk_list_init(&sb->node);
	stk_list_init(&sb->doomed_node);
	agent_init(&sb->agent, boot ? AGENT_WANT_HELLO : AGENT_WANT_RESUMED, &sandbox_agent_ops, sb);
	sb->record_fd = kind == INV_COLD_RESTORE ? learn_begin(p) : -1;
	sb->reusable = kind == INV_COLD_RESTORE && !inv && sb->record_fd < 0 && p->ver->settings.reuse == FN_RESET;
	if (kind == INV_SHELL)
		rc = shells_fill(d->shells, p, on_child_exit, sb, &ends, &sb->child);
	else
		rc = launch_vmm(p, kind, sb->record_fd, sb->reusable, on_child_start, on_child_exit, sb, &ends,
				&sb->child);
	if (rc) {
		if (sb->record_fd >= 0)
			learn_end(p, sb->record_fd, LEARN_UNUSED);
		free(sb);
		return rc;
	}
	/* From here on errors arrive like those of a running VM. */
	sb->inv = inv;
	if (inv)
		inv->sb = sb;
	fn_version_get(p->ver);
	d->dispatch.vms++;
	d->jobs++;
	sb->state = SB_STARTING;
	sandbox_charge(sb, boot ? pool_busy_mib(p) : p->idle_mib);
	count(sb, SB_STARTING, 1);
	stk_list_add_tail(&p->others, &sb->node);

	uv_pipe_init(&d->loop, &sb->stream, 0);
	init_handle(sb, (uv_handle_t *)&sb->stream);
	uv_pipe_init(&d->loop, &sb->control, 0);
	init_handle(sb, (uv_handle_t *)&sb->control);
	uv_timer_init(&d->loop, &sb->timer);
	init_handle(sb, (uv_handle_t *)&sb->timer);
	/* A clone finds its RESUME waiting: one round trip less. INVOKE sets the clock again. */
	if (!boot)
		rc = sandbox_send_resume(ends.stream_fd, p, !inv && !p->queued && sb->record_fd < 0 ? GW_RESUME_WARM_UP
											     : GW_RESUME_TELL);
	if (rc == 0)
		rc = uv_pipe_open(&sb->stream, ends.stream_fd);
	if (rc == 0) {
		ends.stream_fd = -1;
		rc = uv_pipe_open(&sb->control, ends.control_fd);
	}
	if (rc == 0) {
		ends.control_fd = -1;
		rc = uv_read_start((uv_stream_t *)&sb->stream, on_alloc, on_stream);
	}
	if (rc == 0)
		rc = uv_read_start((uv_stream_t *)&sb->control, on_alloc, on_control);
	uv_timer_start(&sb->timer, on_timer,
		       boot ? BOOT_LIMIT_MS + d->opt->init_timeout_ms : RESTORE_LIMIT_MS, 0);
	if (ends.stream_fd >= 0)
		close(ends.stream_fd);
	if (ends.control_fd >= 0)
		close(ends.control_fd);
	if (rc)
		sandbox_die(sb, INV_START_FAILED, "the stream to the VM could not be set up");
	return 0;
}

/* --- call ------------------------------------------------------------------------------------- */

static void event_taken(struct sandbox *sb)
{
	free(sb->event);
	sb->event = NULL;
	free(sb->large_head);
	sb->large_head = NULL;
}

static void on_written(uv_write_t *req, int status)
{
	struct sandbox *sb = req->data;

	if (status == 0 && sb->inv)
		sb->inv->sent_ns = stk_now_ns();
	event_taken(sb);
}

/* Header and event in one writev; what the socket does not take at once goes on in the loop. */
static int send_frames(struct sandbox *sb, int head_len, size_t event_len)
{
	uv_buf_t bufs[2] = {uv_buf_init((char *)(sb->large_head ? sb->large_head : sb->head), (unsigned)head_len),
			    uv_buf_init((char *)sb->event, (unsigned)event_len)};
	unsigned count_bufs = event_len ? 2 : 1, first = 0;
	int n = uv_try_write((uv_stream_t *)&sb->stream, bufs, count_bufs);
	size_t done = n > 0 ? (size_t)n : 0;

	if (n < 0 && n != UV_EAGAIN)
		return n;
	if (done == (size_t)head_len + event_len) {
		sb->inv->sent_ns = stk_now_ns();
		event_taken(sb);
		return 0;
	}
	for (; first < count_bufs && done >= bufs[first].len; first++)
		done -= bufs[first].len;
	bufs[first].base += done;
	bufs[first].len -= done;
	sb->write.data = sb;
	return uv_write(&sb->write, (uv_stream_t *)&sb->stream, bufs + first, count_bufs - first, on_written);
}

/* Into head, or for a large client context into memory of its own. */
static int frame_head(struct sandbox *sb, const struct gw_invoke *msg)
{
	int n = gw_invoke_encode(sb->head, sizeof(sb->head), msg);

	if (n != -ENOBUFS)
		return n;
	sb->large_head = malloc(LARGE_HEAD);
	return sb->large_head ? gw_invoke_encode(sb->large_head, LARGE_HEAD, msg) : -ENOMEM;
}

/* The caller's X-Amzn-Trace-Id, for the runtime; NULL: none, or none that can be a header line. */
static const char *trace_id(const struct invocation *inv)
{
	const char *text = inv->req ? http_req_header(inv->req, "x-amzn-trace-id") : NULL;
	size_t n = 0;

	for (; text && text[n]; n++) {
		if (n == TRACE_ID_MAX || text[n] < ' ' || text[n] > '~')
			return NULL;
	}
	return text;
}

void sandbox_invoke(struct sandbox *sb, struct invocation *inv)
{
	struct fn_version *ver = sb->pool->ver;
	struct gw_invoke msg = {.wall_ns = stk_wall_ns(), .event_len = (uint32_t)inv->event_len};
	const char *trace = trace_id(inv);
	char arn[FN_ARN_MAX];
	int n;

	sb->inv = inv;
	inv->sb = sb;
	sb->use = LEARN_FAILED; /* until it answers */
	learn_invoked(&sb->pool->learn);
	sandbox_move(sb, SB_BUSY);
	sandbox_charge(sb, pool_busy_mib(sb->pool));
	msg.deadline_ms = msg.wall_ns / STK_NS_PER_MS + ver->settings.timeout_s * 1000ull;
	msg.request_id = inv->id;
	msg.request_id_len = IDS_UUID_LEN;
	fn_arn(ver->fn->tenant->account, ver->fn->name, inv->qualifier, arn);
	n = ids_random(msg.entropy, sizeof(msg.entropy));
	if (n == 0)
		n = gw_kv_add(msg.kv, GW_MAX_KV, &msg.kv_count, "lambda-runtime-invoked-function-arn", arn);
	if (n == 0 && inv->client_context)
		n = gw_kv_add(msg.kv, GW_MAX_KV, &msg.kv_count, "lambda-runtime-client-context", inv->client_context);
	if (n == 0 && trace)
		n = gw_kv_add(msg.kv, GW_MAX_KV, &msg.kv_count, "lambda-runtime-trace-id", trace);
	if (n == 0)
		n = frame_head(sb, &msg);
	memset(msg.entropy, 0, sizeof(msg.entropy));
	if (n < 0) {
		sandbox_die(sb, INV_INTERNAL, "the event could not be framed");
		return;
	}
	agent_call(&sb->agent);
	sb->log_bytes = 0;
	sb->paused = false;
	sb->event = inv->event;
	inv->event = NULL;
	uv_update_time(&sb->pool->d->loop); /* the loop's clock may be as old as its round */
	/* The loop counts whole milliseconds, rounded down: one more, so that it is never too early. */
	uv_timer_start(&sb->timer, on_timer, ver->settings.timeout_s * 1000ull + 1, 0);
	n = send_frames(sb, n, inv->event_len);
	if (n)
		sandbox_die(sb, INV_VM_DIED, "the microVM ended before it took the event");
}
