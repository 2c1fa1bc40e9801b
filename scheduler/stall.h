/* Stalls of the event loop: rounds in which callbacks took so long that other requests had to wait. Time
 * in which the loop waits for events does not count (libuv keeps it: UV_METRICS_IDLE_TIME); time in which
 * the machine ran something else does, as it delays requests just the same. */
#ifndef SCHEDULER_STALL_H
#define SCHEDULER_STALL_H

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

struct stall {
	struct stall_meter meter;
	uint64_t longest_ns;
	uv_prepare_t prepare; /* runs just before the loop waits */
	struct metrics_series *count, *longest;
};

/* Before the loop's first run. 0 or negative errno. */
int stall_init(struct stall *s, uv_loop_t *loop, struct metrics *m);
void stall_close(struct stall *s, uv_close_cb on_closed);

#endif
