/* Results on their way to addresses: see async.h. A thread takes a batch for one address and posts them one after the
 * other; their ends then go to the disk together. A batch of one each would wait for the disk after each result. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/host/workers.h"
#include "scheduler/async/async_internal.h"
#include "scheduler/async/deliver.h"
#include "scheduler/daemon.h"

#define TURN (STK_NS_PER_S / 10) /* ns; a batch that takes longer is cut short: who answers slowly does not hold up others */

struct post {
	struct event *e;
	int rc, status;
	struct stk_err err;
};

struct batch {
	uv_work_t work;
	struct async *a;
	struct flow *flow;
	struct post post[ASYNC_BATCH];
	unsigned count, made;
};

/* On a thread. */
static void work(uv_work_t *w)
{
	struct batch *b = w->data;
	uint64_t end = stk_now_ns() + TURN;
	struct post *p;

	do {
		p = &b->post[b->made++];
		p->rc = deliver_post(p->e->target, p->e->context, p->e->payload, p->e->payload_len, &p->status, &p->err);
		if (p->rc)
			p->status = 0;
	} while (b->made < b->count && stk_now_ns() < end);
}

static void given_up(const struct post *p)
{
	const struct event *e = p->e;
	static struct stk_log_limit limit = {.burst = 10};

	if (!stk_log_allow(&limit))
		return;
	if (p->rc)
		stk_warn("%s: the result of %s is given up after %u tries: %s", e->function, e->id, e->errors,
			 p->err.text);
	else
		stk_warn("%s: the result of %s is given up: %s answered %d", e->function, e->id, e->flow + 2, p->status);
}

static void posted(struct async *a, const struct post *p)
{
	struct event *e = p->e;
	struct retry_step step = retry_send(p->rc == -EACCES ? RETRY_SENDS : e->errors + 1, p->status, async_now_ms());

	e->errors++;
	if (step.verdict == RETRY_AGAIN) {
		async_count(a, COUNT_SEND_RETRY, 1);
		e->next_ms = step.at_ms;
		async_end(a, e, async_op_new(OP_RETRY));
		return;
	}
	async_count(a, step.verdict == RETRY_DONE ? COUNT_SENT : COUNT_SEND_DROPPED, 1);
	if (step.verdict != RETRY_DONE)
		given_up(p);
	async_end(a, e, async_op_new(OP_FINISH));
}

/* Its row is as it was, and its turn comes again. */
static void put_back(struct async *a, struct event *e, int64_t at_ms)
{
	flows_due(&a->flows, e->in, at_ms);
	async_let_go(a, e);
}

static void after(uv_work_t *w, int unused)
{
	struct batch *b = w->data;
	struct async *a = b->a;

	a->sends -= b->count;
	flows_run(&a->flows, b->flow, -1);
	for (unsigned i = 0; i < b->made; i++)
		posted(a, &b->post[i]);
	for (unsigned i = b->made; i < b->count; i++)
		put_back(a, b->post[i].e, b->post[i].e->next_ms);
	free(b);
	async_kick(a);
	if (a->draining && !async_busy(a))
		daemon_drained(a->d);
	daemon_job_done(a->d);
}

void async_send(struct async *a, struct flow *f, struct event *const *e, unsigned count)
{
	struct batch *b = calloc(1, sizeof(*b));

	for (unsigned i = 0; i < count; i++) {
		if (b)
			b->post[b->count++].e = e[i];
		else
			put_back(a, e[i], async_now_ms() + 1000);
	}
	if (!b)
		return;
	b->a = a;
	b->flow = f;
	b->work.data = b;
	flows_run(&a->flows, f, 1);
	a->sends += count;
	a->d->jobs++;
	workers_push(a->senders, &b->work, work, after);
}
