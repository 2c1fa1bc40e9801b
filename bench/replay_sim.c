/* A simulated host: see replay_sim.h. */
#include "bench/replay_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/replay_heap.h"
#include "common/base/cleanup.h"
#include "scheduler/policy/planner.h"

#define TICK_US 100000ull /* stokerd looks at its pools so often */
#define NO_CALL SIZE_MAX

struct sim_fn {
	struct plan_flow plan;
	struct pool_policy policy;
	unsigned warm, starting, busy, queued, target;
	unsigned idle_mib, busy_mib;
	uint64_t check_us;     /* time of the CHECK that counts; others are stale */
	uint64_t changed_us;   /* up to here its memory was added up */
	size_t first, last;    /* calls that wait, linked by sim.next */
	uint64_t calls, cold, refused;
	uint64_t *expiry;      /* SIM_FIXED: when each waiting VM ends, the earliest first */
	unsigned expiry_cap;
};

enum event { EV_COLD_READY, EV_REFILL_READY, EV_END, EV_CHECK, EV_EXPIRE };

struct sim {
	const struct trace *t;
	const struct sim_spec *spec;
	struct sim_result *res;
	struct sim_fn *fn;
	size_t *next;          /* for each call the one that waits behind it */
	struct replay_heap heap;
	struct plan plan;
	struct plan_tenant tenant; /* traces are of one */
	struct plan_host host;
	unsigned waiting;
	uint64_t now_us;
	bool over;             /* the last call has come: memory is not added up any more */
};

/* The policies take time 0 for "never". */
static uint64_t ns(uint64_t us)
{
	return (us + 1000000) * 1000;
}

static unsigned number(const struct sim *s, const struct sim_fn *f)
{
	return (unsigned)(f - s->fn);
}

static int at(struct sim *s, uint64_t when_us, const struct sim_fn *f, enum event what)
{
	return replay_heap_push(&s->heap, when_us, number(s, f), what);
}

/* Before each change of a function's VMs: what they held since the last one. */
static void account(struct sim *s, struct sim_fn *f)
{
	if (s->over)
		return;

	double seconds = (double)(s->now_us - f->changed_us) / 1e6;

	s->res->waiting_mib_s += seconds * (f->warm + f->starting) * f->idle_mib;
	s->res->busy_mib_s += seconds * f->busy * f->busy_mib;
	f->changed_us = s->now_us;
}

static void charge(struct sim *s, unsigned mib)
{
	s->host.charged_mib += mib;
	if (s->host.charged_mib > s->res->peak_mib)
		s->res->peak_mib = s->host.charged_mib;
}

static void look(const struct plan_flow *flow, uint64_t now_ns, struct plan_view *ret_view)
{
	const struct sim_fn *f = STK_CONTAINER_OF(flow, struct sim_fn, plan);
	unsigned have = f->warm + f->starting;

	ret_view->urgent = f->queued > f->starting ? f->queued - f->starting : 0;
	ret_view->refill = f->target > have ? f->target - have : 0;
	ret_view->spare = f->queued ? 0 : f->warm;
	ret_view->may_start = have + f->busy < f->policy.ceiling;
	ret_view->mib = f->idle_mib;
	ret_view->policy = &f->policy;
}

static void end_waiting_vm(struct sim *s, struct sim_fn *f)
{
	account(s, f);
	f->warm--;
	if (f->expiry)
		memmove(f->expiry, f->expiry + 1, f->warm * sizeof(*f->expiry));
	s->host.charged_mib -= f->idle_mib;
	s->host.vms--;
}

static int start_vm(struct sim *s, struct sim_fn *f, bool urgent)
{
	account(s, f);
	f->starting++;
	s->host.starting++;
	s->host.vms++;
	s->res->starts++;
	charge(s, f->idle_mib);
	return at(s, s->now_us + (urgent ? s->spec->cold_us : s->spec->refill_us), f,
		  urgent ? EV_COLD_READY : EV_REFILL_READY);
}

static int pump(struct sim *s)
{
	struct plan_step step;
	int rc = 0;

	while (rc == 0 && plan_next(&s->plan, &s->host, ns(s->now_us), &step)) {
		struct sim_fn *f = STK_CONTAINER_OF(step.flow, struct sim_fn, plan);

		if (step.what == PLAN_START) {
			rc = start_vm(s, f, step.urgent);
		} else {
			s->res->evictions++;
			end_waiting_vm(s, f);
		}
	}
	return rc;
}

static int changed(struct sim *s, struct sim_fn *f)
{
	plan_changed(&s->plan, &f->plan, ns(s->now_us));
	return pump(s);
}

/* stokerd looks with its next tick at a function of which something is new. */
static int check_at(struct sim *s, struct sim_fn *f, uint64_t when_us)
{
	when_us = (when_us + TICK_US - 1) / TICK_US * TICK_US;
	if (when_us <= s->now_us)
		when_us += TICK_US;
	if (f->check_us > s->now_us && f->check_us <= when_us)
		return 0;
	f->check_us = when_us;
	return at(s, when_us, f, EV_CHECK);
}

static int serve(struct sim *s, struct sim_fn *f, size_t call)
{
	const struct trace_call *c = &s->t->call[call];

	f->busy++;
	charge(s, f->busy_mib);
	hist_record(&s->res->delay, (s->now_us - c->at_us + s->spec->warm_us) * 1000);
	return at(s, s->now_us + s->spec->warm_us + c->duration_us, f, EV_END);
}

static size_t unqueue(struct sim *s, struct sim_fn *f)
{
	size_t call = f->first;

	f->first = s->next[call];
	f->queued--;
	s->waiting--;
	return call;
}

static int enqueue(struct sim *s, struct sim_fn *f, size_t call)
{
	s->next[call] = NO_CALL;
	if (f->queued)
		s->next[f->last] = call;
	else
		f->first = call;
	f->last = call;
	f->queued++;
	s->waiting++;
	return f->queued == 1 ? at(s, s->now_us + s->spec->queue_timeout_us, f, EV_EXPIRE) : 0;
}

static void refuse(struct sim *s, struct sim_fn *f)
{
	s->res->refused++;
	s->res->refused_functions += f->refused++ == 0;
}

/* --- events ---------------------------------------------------------------------------------------- */

static int on_call(struct sim *s, size_t call)
{
	struct sim_fn *f = &s->fn[s->t->call[call].fn];
	int rc = 0;

	s->res->calls++;
	f->calls++;
	pool_policy_arrival(&f->policy, ns(s->now_us), f->busy + f->queued + 1);
	if (s->spec->kind != SIM_FIXED)
		rc = check_at(s, f, s->now_us);
	if (rc)
		return rc;
	if (f->warm && !f->queued) {
		account(s, f);
		f->warm--; /* SIM_FIXED: the one that ends last, as platforms do */
		s->host.charged_mib -= f->idle_mib;
		return serve(s, f, call);
	}
	f->cold++;
	s->res->cold++;
	if (!plan_admit(s->spec->queue_limit, s->waiting, f->queued)) {
		refuse(s, f);
		return 0;
	}
	rc = enqueue(s, f, call);
	return rc ? rc : changed(s, f);
}

/* A VM of f, counted as starting or busy so far, has nothing to do. */
static int wait_for_call(struct sim *s, struct sim_fn *f)
{
	if (s->spec->kind == SIM_FIXED) {
		if (f->warm == f->expiry_cap) {
			unsigned cap = f->expiry_cap ? f->expiry_cap * 2 : 4;
			uint64_t *grown = realloc(f->expiry, cap * sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			f->expiry = grown;
			f->expiry_cap = cap;
		}
		f->expiry[f->warm] = s->now_us + s->spec->idle_us;
		if (f->warm == 0 && check_at(s, f, f->expiry[0]))
			return -ENOMEM;
	}
	f->warm++;
	charge(s, f->idle_mib);
	return 0;
}

static int on_ready(struct sim *s, struct sim_fn *f, uint64_t took_us)
{
	int rc;

	account(s, f);
	f->starting--;
	s->host.starting--;
	s->host.charged_mib -= f->idle_mib;
	pool_policy_started(&f->policy, took_us * 1000);
	rc = f->queued ? serve(s, f, unqueue(s, f)) : wait_for_call(s, f);
	return rc ? rc : changed(s, f);
}

static int on_end(struct sim *s, struct sim_fn *f)
{
	int rc;

	account(s, f);
	f->busy--;
	s->host.charged_mib -= f->busy_mib;
	if (s->spec->kind == SIM_FIXED) {
		rc = f->queued ? serve(s, f, unqueue(s, f)) : wait_for_call(s, f);
	} else {
		s->host.vms--;
		rc = check_at(s, f, s->now_us);
	}
	return rc ? rc : changed(s, f);
}

static int on_check(struct sim *s, struct sim_fn *f)
{
	uint64_t next;

	if (f->check_us != s->now_us)
		return 0;
	if (s->spec->kind == SIM_FIXED) {
		while (f->warm && f->expiry[0] <= s->now_us)
			end_waiting_vm(s, f);
		return f->warm ? check_at(s, f, f->expiry[0]) : 0;
	}
	f->target = pool_policy_target(&f->policy, ns(s->now_us), f->busy);
	while (f->warm > f->target)
		end_waiting_vm(s, f);
	next = pool_policy_next(&f->policy, ns(s->now_us));
	if (next != POOL_POLICY_NEVER && check_at(s, f, next / 1000 - 1000000))
		return -ENOMEM;
	/* For want of memory it is passed over until something changes: stokerd's next tick. */
	plan_changed(&s->plan, &f->plan, ns(s->now_us));
	if (pump(s))
		return -ENOMEM;
	return f->target > f->warm + f->starting ? check_at(s, f, s->now_us) : 0;
}

static int on_expire(struct sim *s, struct sim_fn *f)
{
	uint64_t timeout = s->spec->queue_timeout_us;

	while (f->queued && s->t->call[f->first].at_us + timeout <= s->now_us) {
		unqueue(s, f);
		refuse(s, f);
	}
	return f->queued ? at(s, s->t->call[f->first].at_us + timeout, f, EV_EXPIRE) : 0;
}

static int handle(struct sim *s, const struct replay_event *e)
{
	struct sim_fn *f = &s->fn[e->fn];

	switch ((enum event)e->what) {
	case EV_COLD_READY:
		return on_ready(s, f, s->spec->cold_us);
	case EV_REFILL_READY:
		return on_ready(s, f, s->spec->refill_us);
	case EV_END:
		return on_end(s, f);
	case EV_CHECK:
		return on_check(s, f);
	case EV_EXPIRE:
		return on_expire(s, f);
	}
	return 0;
}

/* --- the whole ------------------------------------------------------------------------------------- */

static int run(struct sim *s)
{
	const struct trace *t = s->t;
	struct replay_event e;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < t->call_count; i++) {
		while (rc == 0 && replay_heap_pop(&s->heap, t->call[i].at_us, &e)) {
			s->now_us = e.at_us;
			rc = handle(s, &e);
		}
		s->now_us = t->call[i].at_us;
		if (rc == 0)
			rc = on_call(s, i);
	}
	for (unsigned i = 0; i < trace_functions(t); i++)
		account(s, &s->fn[i]);
	s->res->seconds = (double)s->now_us / 1e6;
	s->over = true;
	/* What waits at the end is served too: the simulation goes on without more calls. */
	while (rc == 0 && s->waiting && replay_heap_pop(&s->heap, UINT64_MAX, &e)) {
		s->now_us = e.at_us;
		rc = handle(s, &e);
	}
	return rc;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int quantiles(const struct sim *s)
{
	unsigned n = 0, count = trace_functions(s->t);
	stk_autofree double *share = calloc(count, sizeof(*share));

	if (!share)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		if (s->fn[i].calls)
			share[n++] = (double)s->fn[i].cold / (double)s->fn[i].calls;
	}
	qsort(share, n, sizeof(*share), by_value);
	s->res->cold_p50 = n ? share[(n - 1) / 2] : 0;
	s->res->cold_p75 = n ? share[(n - 1) * 3 / 4] : 0;
	return 0;
}

int sim_run(const struct trace *t, const struct sim_spec *spec, struct sim_result *ret_result)
{
	unsigned count = trace_functions(t);
	struct sim s = {.t = t, .spec = spec, .res = ret_result};
	int rc = -ENOMEM;

	s.fn = calloc(count, sizeof(*s.fn));
	s.next = malloc(t->call_count * sizeof(*s.next));
	plan_init(&s.plan, spec->budget_mib, spec->max_starts, look);
	for (unsigned i = 0; s.fn && i < count; i++) {
		struct sim_fn *f = &s.fn[i];

		pool_policy_init(&f->policy, spec->kind == SIM_FIXED ? 0 : spec->floor, spec->ceiling,
				 spec->idle_us * 1000, spec->kind == SIM_HISTOGRAM, false);
		f->idle_mib = spec->idle_mib ? spec->idle_mib : plan_idle_mib(t->fn[i].memory_mib);
		f->busy_mib = plan_busy_mib(t->fn[i].memory_mib, f->idle_mib);
		plan_add(&s.plan, &s.tenant, &f->plan);
		if (spec->floor && spec->kind != SIM_FIXED && check_at(&s, f, 0))
			break;
	}
	if (s.fn && s.next)
		rc = run(&s);
	if (rc == 0)
		rc = quantiles(&s);
	for (unsigned i = 0; s.fn && i < count; i++) {
		pool_policy_fini(&s.fn[i].policy);
		free(s.fn[i].expiry);
	}
	replay_heap_fini(&s.heap);
	free(s.next);
	free(s.fn);
	return rc;
}
