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
#include "common/host/child.h"
#include "scheduler/cpushare.h"
#include "scheduler/daemon.h"
#include "scheduler/launch.h"
#include "scheduler/pool.h"
#include "scheduler/secrets.h"
#include "scheduler/shells.h"

#define RESTORE_LIMIT_MS 30000
#define BOOT_LIMIT_MS    120000 /* beside the init phase's own limit */

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

const char *sandbox_log_id(const struct sandbox *sb)
{
	return sb->inv ? sb->inv->id : sb->lingers ? sb->served_id : "-";
}

/* Whatever the cause: what waits for this VM learns why, the process is killed, handles close. */
void sandbox_die(struct sandbox *sb, enum inv_outcome outcome, const char *why)
{
	struct invocation *inv = sb->inv;
	bool was_starting = sandbox_starting(sb), was_busy = sb->state == SB_BUSY, was_resetting = sb->state == SB_RESETTING;
	struct fn_version *ver = sb->pool->ver;

	if (sb->state == SB_DYING || sb->state == SB_DEAD)
		return;
	logs_flush_line(ver->fn->log, &sb->logline, sandbox_log_id(sb));
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

void sandbox_set_aside(struct sandbox *sb, struct stk_list *list)
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
	sandbox_set_aside(sb, &sb->pool->d->dispatch.doomed);
}

void sandbox_reap_doomed(struct stk_list *doomed)
{
	while (!stk_list_empty(doomed)) {
		struct sandbox *sb = STK_CONTAINER_OF(doomed->next, struct sandbox, doomed_node);

		stk_list_del(&sb->doomed_node);
		sandbox_die(sb, INV_SHUTDOWN, NULL);
	}
}

static void on_timer(uv_timer_t *t)
{
	struct sandbox *sb = t->data;

	if (sb->lingers)
		sandbox_die(sb, INV_SHUTDOWN, NULL);
	else if (sb->hung_up)
		sandbox_die(sb, INV_VM_DIED, "the guest closed its connection to the host");
	else if (sb->state == SB_BUSY)
		sandbox_call_expired(sb);
	else if (sb->state == SB_RESETTING)
		sandbox_die(sb, INV_VM_DIED, "it did not become ready in time");
	else
		sandbox_die(sb, INV_START_FAILED, "the VM did not become ready in time");
}

void sandbox_arm_timer(struct sandbox *sb, uint64_t ms)
{
	uv_timer_start(&sb->timer, on_timer, ms, 0);
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
		sandbox_last_words(sb);
	child_status_text(status, sb->control_line, sb->control_len, how, sizeof(how));
	snprintf(text, sizeof(text), "stoker-vmm %s%s", WIFSIGNALED(status) ? "was " : "", how);
	sandbox_die(sb, INV_VM_DIED, text);
	maybe_free(sb);
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
	sandbox_charge(sb, boot ? pool_busy_mib(p) : pool_idle_mib(p));
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
		rc = sandbox_read_start(sb);
	}
	sandbox_arm_timer(sb, boot ? BOOT_LIMIT_MS + d->opt->init_timeout_ms : RESTORE_LIMIT_MS);
	if (ends.stream_fd >= 0)
		close(ends.stream_fd);
	if (ends.control_fd >= 0)
		close(ends.control_fd);
	if (rc)
		sandbox_die(sb, INV_START_FAILED, "the stream to the VM could not be set up");
	return 0;
}

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
		sandbox_charge(sb, pool_idle_mib(sb->pool));
	sandbox_move(sb, SB_WARM);
	dispatch_ready(sb);
}
