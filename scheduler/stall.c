/* Stalls of the event loop: see stall.h. */
#include "scheduler/stall.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/host/metrics.h"

uint64_t stall_round(struct stall_meter *m, uint64_t now_ns, uint64_t idle_ns)
{
	uint64_t whole = now_ns - m->last_ns, idle = idle_ns - m->last_idle_ns;
	bool first = m->last_ns == 0;

	m->last_ns = now_ns;
	m->last_idle_ns = idle_ns;
	return first || idle > whole ? 0 : whole - idle;
}

/* All callbacks of a round, those for events as well, run between two of these. */
static void on_prepare(uv_prepare_t *h)
{
	struct stall *s = h->data;
	uint64_t busy = stall_round(&s->meter, stk_now_ns(), uv_metrics_idle_time(h->loop));

	if (busy < STALL_NS)
		return;
	metrics_add(s->count, 1);
	if (busy > s->longest_ns) {
		s->longest_ns = busy;
		metrics_set(s->longest, (double)busy / 1e9);
	}
}

int stall_init(struct stall *s, uv_loop_t *loop, struct metrics *m)
{
	int rc = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);

	memset(s, 0, sizeof(*s));
	s->count = metrics_get(m, METRICS_COUNTER, "stoker_loop_stalls_total",
			       "Rounds of the event loop whose callbacks took 2 ms or longer", "");
	s->longest = metrics_get(m, METRICS_GAUGE, "stoker_loop_stall_longest_seconds",
				 "The longest of these since the start", "");
	if (!s->count || !s->longest)
		return -ENOMEM;
	if (rc == 0)
		rc = uv_prepare_init(loop, &s->prepare);
	s->prepare.data = s;
	return rc ? rc : uv_prepare_start(&s->prepare, on_prepare);
}

void stall_close(struct stall *s, uv_close_cb on_closed)
{
	uv_close((uv_handle_t *)&s->prepare, on_closed);
}
