/* Waiting monitor processes: see shells.h. */
#include "scheduler/shells.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/host/child.h"
#include "scheduler/daemon.h"
#include "scheduler/policy/shell_mix.h"
#include "scheduler/pool.h"
#include "snapshots/funcenv.h"

#define REFILL_MS      20 /* from the use of one to the making of the next: not in the way of that call */
#define START_LIMIT_MS 30000
#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS   30000
#define SHED_PAUSE_MS  5000

enum shell_state { SHELL_STARTING, SHELL_READY, SHELL_DYING };

struct shell {
	struct stk_list node; /* of shells.list */
	struct shells *all;
	enum shell_state state;
	unsigned mib;         /* of the VM */
	struct child *child;  /* NULL: handed over, or reaped */
	int control_fd;       /* our end, while it is ours */
	uv_poll_t poll;       /* on it, until it is READY */
	bool poll_open;       /* not closed yet */
	uint64_t limit_ns;    /* of STARTING */
	char line[256];       /* what it wrote on its control socket */
	unsigned line_len;
};

struct shells {
	struct daemon *d;
	struct stk_list list; /* STARTING, READY and DYING; READY ones oldest first */
	unsigned starting, ready, dying;
	struct shell_mix mix;
	uv_timer_t timer;
	uint64_t retry_ns;
	unsigned fails; /* in a row */
	bool stopped;
	struct metrics_series *starts_ok, *starts_failed, *lost, *start_times;
};

static void refill_in(struct shells *s, uint64_t ms);

static unsigned vm_mib(unsigned memory_mib)
{
	return memory_mib + SNAP_GUEST_OVERHEAD_MIB;
}

/* --- one shell -------------------------------------------------------------------------------- */

/* From the counts; the process is charged until it is gone. */
static void uncount(struct shell *sh)
{
	struct shells *s = sh->all;
	struct shell_mix_size *size = shell_mix_find(&s->mix, sh->mib);

	if (sh->state == SHELL_STARTING)
		s->starting--;
	else if (sh->state == SHELL_READY)
		s->ready--;
	else
		return;
	if (size)
		size->have--;
}

static void maybe_free(struct shell *sh)
{
	if (!sh->child && !sh->poll_open)
		free(sh);
}

static void on_poll_closed(uv_handle_t *h)
{
	struct shell *sh = h->data;

	sh->poll_open = false;
	maybe_free(sh);
}

static void close_poll(struct shell *sh)
{
	if (sh->poll_open && !uv_is_closing((uv_handle_t *)&sh->poll))
		uv_close((uv_handle_t *)&sh->poll, on_poll_closed);
}

static void kill_shell(struct shell *sh)
{
	if (sh->state == SHELL_DYING)
		return;
	uncount(sh);
	sh->state = SHELL_DYING;
	sh->all->dying++;
	sh->all->d->dispatch.dying_mib += SHELLS_MIB;
	close_poll(sh);
	child_kill(sh->child, SIGKILL);
}

/* Its process is no more, or not ours any more. */
static void leave(struct shell *sh)
{
	struct shells *s = sh->all;
	struct dispatch *ds = &s->d->dispatch;

	if (sh->state == SHELL_DYING) {
		s->dying--;
		ds->dying_mib -= SHELLS_MIB;
	} else {
		uncount(sh);
	}
	stk_list_del(&sh->node);
	ds->charged_mib -= SHELLS_MIB;
	sh->child = NULL;
	close_poll(sh);
	if (sh->control_fd >= 0)
		close(sh->control_fd);
	sh->control_fd = -1;
	daemon_job_done(s->d);
	maybe_free(sh);
}

static void start_failed(struct shells *s, const char *why)
{
	static struct stk_log_limit limit = {.burst = 5};
	uint64_t ms = RETRY_FIRST_MS << (s->fails < 10 ? s->fails : 10);

	s->fails++;
	metrics_add(s->starts_failed, 1);
	s->retry_ns = stk_now_ns() + (ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS) * STK_NS_PER_MS;
	if (stk_log_allow(&limit))
		stk_warn("a shell did not start: %s", why);
}

static void on_child_start(void *ctx, int err)
{
	struct shell *sh = ctx;
	struct shells *s = sh->all;

	if (err == 0)
		return;
	start_failed(s, strerror(-err));
	leave(sh); /* child.c frees the child */
	refill_in(s, REFILL_MS);
}

static void on_child_exit(void *ctx, int status)
{
	struct shell *sh = ctx;
	struct shells *s = sh->all;
	static struct stk_log_limit limit = {.burst = 5};
	char why[384];

	child_status_text(status, sh->line, sh->line_len, why, sizeof(why));
	if (sh->state == SHELL_STARTING) {
		start_failed(s, why);
	} else if (sh->state == SHELL_READY) {
		metrics_add(s->lost, 1);
		if (stk_log_allow(&limit))
			stk_warn("a waiting shell was lost: %s", why);
	}
	leave(sh);
	refill_in(s, 0);
}

static void become_ready(struct shell *sh)
{
	struct shells *s = sh->all;

	s->starting--;
	s->ready++;
	sh->state = SHELL_READY;
	stk_list_del(&sh->node);
	stk_list_add_tail(&s->list, &sh->node);
	s->fails = 0;
	metrics_add(s->starts_ok, 1);
	metrics_observe(s->start_times, (double)(stk_now_ns() + START_LIMIT_MS * STK_NS_PER_MS - sh->limit_ns) / 1e9);
	close_poll(sh);
	dispatch_shell_ready(&s->d->dispatch, sh->mib - SNAP_GUEST_OVERHEAD_MIB);
}

static void on_control(uv_poll_t *poll, int status, int events)
{
	struct shell *sh = poll->data;
	ssize_t n = read(sh->control_fd, sh->line + sh->line_len, sizeof(sh->line) - 1 - sh->line_len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		sh->line_len += (unsigned)n;
	sh->line[sh->line_len] = '\0';
	for (unsigned i = 0; i < sh->line_len; i++) {
		if (sh->line[i] == '\n' && strncmp(sh->line, "ready", 5) == 0 && i + 1 == sh->line_len) {
			sh->line_len = 0;
			become_ready(sh);
			return;
		}
		if (sh->line[i] < ' ' || sh->line[i] > '~')
			sh->line[i] = ' ';
	}
	if (n <= 0 || sh->line_len == sizeof(sh->line) - 1)
		close_poll(sh); /* its exit, or the time limit, follows */
}

static int start_shell(struct shells *s, unsigned mib)
{
	struct dispatch *ds = &s->d->dispatch;
	struct shell *sh = calloc(1, sizeof(*sh));
	struct shell_mix_size *size = shell_mix_find(&s->mix, mib);
	int rc;

	if (!sh || !size) {
		free(sh);
		return -ENOMEM;
	}
	sh->all = s;
	sh->mib = mib;
	sh->limit_ns = stk_now_ns() + START_LIMIT_MS * STK_NS_PER_MS;
	rc = launch_shell(s->d, mib, on_child_start, on_child_exit, sh, &sh->control_fd, &sh->child);
	if (rc) {
		free(sh);
		return rc;
	}
	s->starting++;
	size->have++;
	s->d->jobs++;
	ds->charged_mib += SHELLS_MIB;
	stk_list_add_tail(&s->list, &sh->node);
	rc = uv_poll_init(&s->d->loop, &sh->poll, sh->control_fd);
	if (rc == 0) {
		sh->poll.data = sh;
		sh->poll_open = true;
		rc = uv_poll_start(&sh->poll, UV_READABLE, on_control);
	}
	if (rc)
		kill_shell(sh);
	return rc;
}

/* --- how many ----------------------------------------------------------------------------------- */

/* Is a request waiting that insists on a shell of this size? */
static bool is_insisted_on(const struct shells *s, unsigned mib)
{
	const struct dispatch *ds = &s->d->dispatch;

	if (!ds->shell_forced)
		return false;
	STK_LIST_FOREACH(it, &ds->deadlines) {
		const struct invocation *inv = STK_CONTAINER_OF(it, struct invocation, deadline_node);

		if (inv->force == INV_SHELL && vm_mib(inv->ver->settings.memory_mib) == mib)
			return true;
	}
	return false;
}

/* One of this size (0: of any) that nobody waits for: a wish that changes at each look would leave none the time to get
 * ready. false: there is none. */
static bool give_up(struct shells *s, unsigned mib)
{
	struct shell *victim = NULL;

	STK_LIST_FOREACH(it, &s->list) {
		struct shell *sh = STK_CONTAINER_OF(it, struct shell, node);

		if (sh->state == SHELL_DYING || (mib && sh->mib != mib) || is_insisted_on(s, sh->mib))
			continue;
		if (!victim || sh->state == SHELL_STARTING)
			victim = sh;
	}
	if (victim)
		kill_shell(victim);
	return victim;
}

static void end_late_ones(struct shells *s, uint64_t now)
{
	STK_LIST_FOREACH_SAFE(it, tmp, &s->list) {
		struct shell *sh = STK_CONTAINER_OF(it, struct shell, node);

		if (sh->state == SHELL_STARTING && now >= sh->limit_ns) {
			start_failed(s, "it did not become ready in time");
			kill_shell(sh);
		}
	}
}

/* Requests first, except for those that want nothing but a shell. */
static bool may_start(const struct shells *s, uint64_t now)
{
	const struct dispatch *ds = &s->d->dispatch;

	if (now < s->retry_ns || s->starting > 0 || ds->charged_mib + SHELLS_MIB > ds->plan.budget_mib)
		return false;
	return ds->shell_forced > 0 || (ds->waiting == 0 && ds->starting == 0);
}

/* The size that a request insists on while no such shell is there or being made; 0: none. */
static unsigned insisted_and_missing(struct shells *s)
{
	const struct dispatch *ds = &s->d->dispatch;

	if (!ds->shell_forced)
		return 0;
	STK_LIST_FOREACH(it, &ds->deadlines) {
		const struct invocation *inv = STK_CONTAINER_OF(it, struct invocation, deadline_node);
		unsigned mib = vm_mib(inv->ver->settings.memory_mib);
		const struct shell_mix_size *size = shell_mix_find(&s->mix, mib);

		if (inv->force == INV_SHELL && (!size || !size->have))
			return mib;
	}
	return 0;
}

/* The size of the next one to make; 0: none. What is too many, or in its way, goes. */
static unsigned next_size(struct shells *s)
{
	unsigned total = s->d->opt->shells, missing, excess, needed = insisted_and_missing(s);
	unsigned have = s->starting + s->ready;

	shell_mix_next(&s->mix, total, &missing, &excess);
	if (needed) {
		if (have >= total && !give_up(s, excess) && !give_up(s, 0))
			return 0; /* those that are there are waited for, too */
		if (!shell_mix_find(&s->mix, needed)) /* there was no place for it */
			shell_mix_want(&s->mix, needed);
		return needed;
	}
	if (excess && (missing || have > total) && !give_up(s, excess) && have >= total)
		return 0;
	return missing;
}

static void on_timer(uv_timer_t *t)
{
	struct shells *s = t->data;
	uint64_t now = stk_now_ns();
	unsigned missing;

	if (s->stopped)
		return;
	end_late_ones(s, now);
	missing = next_size(s);
	if (missing && may_start(s, now)) {
		int rc = start_shell(s, missing);

		if (rc)
			start_failed(s, strerror(-rc));
	}
	if (missing || s->starting || s->d->dispatch.shell_forced)
		refill_in(s, now < s->retry_ns ? (s->retry_ns - now) / STK_NS_PER_MS + 1 : REFILL_MS);
}

static void refill_in(struct shells *s, uint64_t ms)
{
	if (s->stopped || !s->d->opt->shells)
		return;
	if (!uv_is_active((uv_handle_t *)&s->timer) || uv_timer_get_due_in(&s->timer) > ms)
		uv_timer_start(&s->timer, on_timer, ms, 0);
}

/* --- for the daemon ------------------------------------------------------------------------------- */

struct shells *shells_new(struct daemon *d)
{
	struct shells *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->d = d;
	stk_list_init(&s->list);
	s->starts_ok = metrics_get(d->metrics, METRICS_COUNTER, "stoker_shell_starts_total",
				   "Shells made, by result", "result=\"ok\"");
	s->starts_failed = metrics_get(d->metrics, METRICS_COUNTER, "stoker_shell_starts_total",
				       "Shells made, by result", "result=\"failed\"");
	s->lost = metrics_get(d->metrics, METRICS_COUNTER, "stoker_shells_lost_total",
			      "Shells that ended while they waited", "");
	s->start_times = metrics_get(d->metrics, METRICS_HISTOGRAM, "stoker_shell_start_seconds",
				     "Time to make a shell", "");
	if (!s->starts_ok || !s->starts_failed || !s->lost || !s->start_times) {
		free(s);
		return NULL;
	}
	uv_timer_init(&d->loop, &s->timer);
	s->timer.data = s;
	return s;
}

void shells_stop(struct shells *s)
{
	s->stopped = true;
	uv_timer_stop(&s->timer);
	STK_LIST_FOREACH_SAFE(it, tmp, &s->list)
		kill_shell(STK_CONTAINER_OF(it, struct shell, node));
}

void shells_close(struct shells *s)
{
	uv_close((uv_handle_t *)&s->timer, NULL);
}

void shells_free(struct shells *s)
{
	assert(!s || stk_list_empty(&s->list));
	free(s);
}

/* --- for dispatch ----------------------------------------------------------------------------------- */

void shells_offer(struct shells *s, unsigned memory_mib)
{
	shell_mix_offer(&s->mix, vm_mib(memory_mib));
	refill_in(s, REFILL_MS);
}

void shells_want(struct shells *s, unsigned memory_mib)
{
	shell_mix_want(&s->mix, vm_mib(memory_mib));
	refill_in(s, REFILL_MS);
}

static struct shell *find_ready(const struct shells *s, unsigned mib)
{
	STK_LIST_FOREACH(it, &s->list) {
		struct shell *sh = STK_CONTAINER_OF(it, struct shell, node);

		if (sh->state == SHELL_READY && sh->mib == mib)
			return sh;
	}
	return NULL;
}

unsigned shells_ready(const struct shells *s, unsigned memory_mib)
{
	unsigned n = 0;

	STK_LIST_FOREACH(it, &s->list) {
		const struct shell *sh = STK_CONTAINER_OF(it, struct shell, node);

		n += sh->state == SHELL_READY && sh->mib == vm_mib(memory_mib);
	}
	return n;
}

unsigned shells_count(const struct shells *s)
{
	return s->starting + s->ready;
}

unsigned shells_waiting(const struct shells *s)
{
	return s->ready;
}

unsigned shells_mib(const struct shells *s)
{
	return (s->starting + s->ready) * SHELLS_MIB;
}

void shells_shed(struct shells *s)
{
	s->retry_ns = stk_now_ns() + SHED_PAUSE_MS * STK_NS_PER_MS;
	give_up(s, 0);
	refill_in(s, SHED_PAUSE_MS);
}

int shells_fill(struct shells *s, struct pool *p, void (*on_exit)(void *ctx, int status), void *ctx,
		struct launch_ends *ret_ends, struct child **ret_child)
{
	struct shell *sh;
	int rc;

	while ((sh = find_ready(s, vm_mib(p->ver->settings.memory_mib)))) {
		rc = launch_fill(p, sh->control_fd, &ret_ends->stream_fd);
		if (rc == -EPIPE) { /* it has just ended */
			metrics_add(s->lost, 1);
			kill_shell(sh);
			continue;
		}
		if (rc)
			return rc;
		ret_ends->control_fd = sh->control_fd;
		sh->control_fd = -1;
		*ret_child = sh->child;
		child_hand_over(sh->child, on_exit, ctx);
		leave(sh);
		refill_in(s, REFILL_MS);
		return 0;
	}
	return -ENOENT;
}
