/* Stalls of the event loop: rounds in which callbacks took so long that other requests had to wait. Time
 * in which the loop waits for events does not count (libuv keeps it: UV_METRICS_IDLE_TIME); time in which
 * the machine ran something else does, as it delays requests just the same, but is told apart. */
#ifndef SCHEDULER_STALL_H
#define SCHEDULER_STALL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define STALL_NS 2000000ull

struct metrics;
struct metrics_series;

/* Pure: time of the round that ends now, of which the loop has waited since it began (both clocks only
 * grow). */
struct stall_meter {
	uint64_t last_ns, last_idle_ns; /* 0: no round yet */
};
uint64_t stall_round(struct stall_meter *m, uint64_t now_ns, uint64_t idle_ns);

enum stall_cause {
	STALL_WORK,      /* the callbacks' own work */
	STALL_WAIT,      /* a callback waited in the kernel */
	STALL_PREEMPTED, /* neither: others had the processor */
	STALL_CAUSES
};
/* Pure: of a round in which the thread had cpu_ns of a processor and gave it up `switches` times by itself; `slept`:
 * one of them to wait for events. */
enum stall_cause stall_cause(uint64_t cpu_ns, uint64_t switches, bool slept);

struct stall {
	struct stall_meter meter;
	uint64_t cpu_ns, switches; /* of the thread, at the end of the last round */
	uint64_t longest_ns[STALL_CAUSES];
	uv_prepare_t prepare; /* runs just before the loop waits */
	struct metrics_series *count[STALL_CAUSES], *longest[STALL_CAUSES];
};

/* Before the loop's first run. 0 or negative errno. */
int stall_init(struct stall *s, uv_loop_t *loop, struct metrics *m);
void stall_close(struct stall *s, uv_close_cb on_closed);

#endif
