/* Stalls of the event loop: see stall.h. */
#include "scheduler/stall.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/host/metrics.h"

#define ASLEEP_NS 20000u /* less is epoll_wait with events at hand */

uint64_t stall_round(struct stall_meter *m, uint64_t now_ns, uint64_t idle_ns)
{
	uint64_t whole = now_ns - m->last_ns, idle = idle_ns - m->last_idle_ns;
	bool first = m->last_ns == 0;

	m->last_ns = now_ns;
	m->last_idle_ns = idle_ns;
	return first || idle > whole ? 0 : whole - idle;
}

enum stall_cause stall_cause(uint64_t cpu_ns, uint64_t switches, bool slept)
{
	if (cpu_ns >= STALL_NS)
		return STALL_WORK;
	return switches > (slept ? 1 : 0) ? STALL_WAIT : STALL_PREEMPTED;
}

static uint64_t of_timeval(struct timeval t)
{
	return (uint64_t)t.tv_sec * STK_NS_PER_S + (uint64_t)t.tv_usec * 1000;
}

/* All callbacks of a round, those for events as well, run between two of these. */
static void on_prepare(uv_prepare_t *h)
{
	struct stall *s = h->data;
	uint64_t idle_before = s->meter.last_idle_ns;
	uint64_t busy = stall_round(&s->meter, stk_now_ns(), uv_metrics_idle_time(h->loop));
	uint64_t cpu_before = s->cpu_ns, switches_before = s->switches;
	struct rusage use;
	enum stall_cause cause;

	getrusage(RUSAGE_THREAD, &use); /* cannot fail */
	s->cpu_ns = of_timeval(use.ru_utime) + of_timeval(use.ru_stime);
	s->switches = (uint64_t)use.ru_nvcsw;
	if (busy < STALL_NS)
		return;
	cause = stall_cause(s->cpu_ns - cpu_before, s->switches - switches_before,
			    s->meter.last_idle_ns - idle_before > ASLEEP_NS);
	metrics_add(s->count[cause], 1);
	if (busy > s->longest_ns[cause]) {
		s->longest_ns[cause] = busy;
		metrics_set(s->longest[cause], (double)busy / 1e9);
	}
}

int stall_init(struct stall *s, uv_loop_t *loop, struct metrics *m)
{
	static const char *const causes[] = {"cause=\"work\"", "cause=\"wait\"", "cause=\"preempted\""};
	int rc = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);

	memset(s, 0, sizeof(*s));
	for (unsigned c = 0; c < STALL_CAUSES; c++) {
		s->count[c] = metrics_get(m, METRICS_COUNTER, "stoker_loop_stalls_total",
					  "Rounds of the event loop whose callbacks took 2 ms or longer, by cause",
					  causes[c]);
		s->longest[c] = metrics_get(m, METRICS_GAUGE, "stoker_loop_stall_longest_seconds",
					    "The longest of these since the start", causes[c]);
		if (!s->count[c] || !s->longest[c])
			return -ENOMEM;
	}
	if (rc == 0)
		rc = uv_prepare_init(loop, &s->prepare);
	s->prepare.data = s;
	return rc ? rc : uv_prepare_start(&s->prepare, on_prepare);
}

void stall_close(struct stall *s, uv_close_cb on_closed)
{
	uv_close((uv_handle_t *)&s->prepare, on_closed);
}
