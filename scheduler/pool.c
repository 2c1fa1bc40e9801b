/* The VMs of one function version: see pool.h. */
#include "scheduler/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/base/utf8.h"
#include "scheduler/daemon.h"
#include "scheduler/invocation.h"
#include "scheduler/sandbox.h"
#include "scheduler/shells.h"

#define BACKOFF_FIRST_NS (200 * STK_NS_PER_MS)
#define BACKOFF_MAX_NS   (30 * STK_NS_PER_S)

struct pool *pool_new(struct daemon *d, struct fn_version *ver)
{
	const struct options *o = d->opt;
	unsigned floor = ver->published ? 0 : o->pool_floor; /* of published versions: what is provisioned */
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->d = d;
	p->ver = ver;
	stk_list_init(&p->warm);
	stk_list_init(&p->others);
	stk_list_init(&p->queue);
	stk_list_init(&p->forced);
	pool_policy_init(&p->policy, floor, o->pool_ceiling, o->idle_s * STK_NS_PER_S,
			 o->pool_history, ver->settings.reuse == FN_RESET);
	p->idle_mib = plan_idle_mib(ver->settings.memory_mib);
	p->target = floor;
	p->review_ns = POOL_POLICY_NEVER; /* the first request tells more */
	if (dispatch_add(p)) {
		free(p);
		return NULL;
	}
	return p;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	assert(stk_list_empty(&p->warm) && stk_list_empty(&p->others));
	assert(stk_list_empty(&p->queue) && stk_list_empty(&p->forced));
	dispatch_remove(p);
	pool_policy_fini(&p->policy);
	learn_fini(&p->learn);
	free(p);
}

void pool_close(struct pool *p, struct fn_version *heir)
{
	p->closed = true;
	p->target = 0;
	dispatch_note(p);
	pool_shrink(p);
	STK_LIST_FOREACH_SAFE(it, tmp, &p->others) {
		struct sandbox *sb = STK_CONTAINER_OF(it, struct sandbox, node);

		if ((sandbox_starting(sb) || sb->state == SB_RESETTING) && !sb->inv)
			sandbox_kill(sb, "its function version is no longer used");
	}
	if (heir) {
		pool_policy_inherit(&heir->pool->policy, &p->policy);
		dispatch_move_queue(&p->d->dispatch, p, heir);
	}
	pool_fail_queue(p, INV_DELETED, "the function was deleted while the request waited");
}

void pool_set_floor(struct pool *p, unsigned floor)
{
	p->policy.floor = floor;
	p->review_ns = 0;
	dispatch_touch(p, stk_now_ns());
}

static void end_used(struct stk_list *list)
{
	STK_LIST_FOREACH_SAFE(it, tmp, list) {
		struct sandbox *sb = STK_CONTAINER_OF(it, struct sandbox, node);

		if (!sb->inv && (sb->state == SB_RESETTING || (sb->state == SB_WARM && sb->resets)))
			sandbox_kill(sb, NULL);
	}
}

void pool_set_reuse(struct pool *p, enum fn_reuse reuse)
{
	if (p->ver->settings.reuse == reuse)
		return;
	p->ver->settings.reuse = reuse;
	p->policy.reused = reuse == FN_RESET;
	if (reuse == FN_DESTROY) {
		end_used(&p->warm);
		end_used(&p->others);
	}
	dispatch_touch(p, stk_now_ns());
}

struct sandbox *pool_take(struct pool *p)
{
	if (p->recording)
		return p->recording;
	return stk_list_empty(&p->warm) ? NULL : STK_CONTAINER_OF(p->warm.prev, struct sandbox, node);
}

void pool_shrink(struct pool *p)
{
	unsigned guard = p->warm_count;

	while (guard-- && p->warm_count > p->target)
		sandbox_kill(STK_CONTAINER_OF(p->warm.next, struct sandbox, node), NULL);
}

unsigned pool_missing_urgent(const struct pool *p)
{
	unsigned soon = p->starting + p->resetting, forced = p->forced_count;

	if (p->forced_shell) { /* some of them may have to wait for one */
		unsigned ready = shells_ready(p->d->shells, p->ver->settings.memory_mib);

		if (ready < p->forced_shell)
			forced -= p->forced_shell - ready;
	}
	return forced + (p->queued > soon ? p->queued - soon : 0);
}

struct invocation *pool_next_forced(const struct pool *p)
{
	bool ready = p->forced_shell && shells_ready(p->d->shells, p->ver->settings.memory_mib);

	STK_LIST_FOREACH(it, &p->forced) {
		struct invocation *inv = STK_CONTAINER_OF(it, struct invocation, node);

		if (ready || inv->force != INV_SHELL)
			return inv;
	}
	return NULL;
}

/* A clone that is to record what it touches is not made from a shell. */
bool pool_prefers_shell(const struct pool *p, uint64_t now_ns)
{
	return p->learn.state != LEARN_WANTED && now_ns >= p->no_shell_ns &&
	       shells_ready(p->d->shells, p->ver->settings.memory_mib) > 0;
}

unsigned pool_missing_refill(const struct pool *p)
{
	unsigned have = p->warm_count + p->starting;

	/* VMs that come back after their invocation need no others in their place. */
	if (p->ver->settings.reuse == FN_RESET)
		have += p->busy + p->resetting;
	return p->target > have ? p->target - have : 0;
}

bool pool_may_start(const struct pool *p, uint64_t now_ns)
{
	unsigned used = p->starting + p->reserved + p->busy + p->resetting;

	/* A request that wants a VM of its own cannot take a warm one: those do not count then. */
	if (!p->forced_count)
		used += p->warm_count;
	return !p->closed && p->ver->check == FN_GOOD && used < p->policy.ceiling && now_ns >= p->retry_ns;
}

_Static_assert(PLAN_STORAGE_DEFAULT == FN_STORAGE_MIN, "every size is counted");

unsigned pool_idle_mib(const struct pool *p)
{
	return p->idle_mib + plan_storage_mib(p->ver->settings.storage_mib);
}

unsigned pool_busy_mib(const struct pool *p)
{
	return plan_busy_mib(p->ver->settings.memory_mib, p->idle_mib) + plan_storage_mib(p->ver->settings.storage_mib);
}

void pool_start_failed(struct pool *p, const char *text, uint64_t now_ns)
{
	unsigned shift = p->fail_count < 10 ? p->fail_count : 10;
	uint64_t wait = BACKOFF_FIRST_NS << shift;

	p->fail_count++;
	p->retry_ns = now_ns + (wait < BACKOFF_MAX_NS ? wait : BACKOFF_MAX_NS);
	if (stk_snprintf(p->fail_text, sizeof(p->fail_text), "%s", text))
		p->fail_text[sizeof(p->fail_text) - 1] = '\0';
	stk_utf8_mend(p->fail_text);
	if (p->fail_count >= POOL_MAX_FAILS)
		pool_fail_queue(p, INV_START_FAILED, p->fail_text);
}

void pool_start_ok(struct pool *p, uint64_t took_ns)
{
	p->fail_count = 0;
	p->retry_ns = 0;
	pool_policy_started(&p->policy, took_ns);
}

bool pool_failing(const struct pool *p, uint64_t now_ns)
{
	return p->fail_count >= POOL_MAX_FAILS && now_ns < p->retry_ns;
}

void pool_fail_queue(struct pool *p, int outcome, const char *text)
{
	while (!stk_list_empty(&p->queue))
		invocation_finish(STK_CONTAINER_OF(p->queue.next, struct invocation, node),
				  (enum inv_outcome)outcome, text);
	while (!stk_list_empty(&p->forced))
		invocation_finish(STK_CONTAINER_OF(p->forced.next, struct invocation, node),
				  (enum inv_outcome)outcome, text);
}
