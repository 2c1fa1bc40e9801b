/* How long the pauses between a function's requests are: a small histogram that forgets, and from it the
 * part of a pause during which a warm VM pays. Pure arithmetic.
 *
 * Bins: one up to a second, then 16 to each power of two (6 % or less) up to 16,384 s, and one beyond. A
 * byte each: with the 255th sample all counts are halved, so that old pauses fade and no count overflows. */
#ifndef SCHEDULER_POLICY_IDLE_HIST_H
#define SCHEDULER_POLICY_IDLE_HIST_H

#include <stdbool.h>
#include <stdint.h>

#define IDLE_HIST_SUB     16
#define IDLE_HIST_OCTAVES 14
#define IDLE_HIST_BINS    (1 + IDLE_HIST_OCTAVES * IDLE_HIST_SUB)
#define IDLE_HIST_FULL    255
#define IDLE_HIST_ENOUGH  8 /* fewer samples tell nothing */

struct idle_hist {
	uint8_t count[IDLE_HIST_BINS];
	uint8_t beyond;
	uint8_t total; /* of count and beyond */
};

/* Counted from the last request: before `from` and after `to` no VM should wait. */
struct idle_window {
	uint64_t from_ns, to_ns;
};

/* A zeroed struct is an empty histogram. */
void idle_hist_add(struct idle_hist *h, uint64_t gap_ns);
/* The window with the greatest gain, when a cold start avoided is worth a VM that waits for worth_ns: a bin
 * is worth having when its share of the pauses outweighs the waiting that it costs on average. False when
 * the histogram is not representative: too few samples, or so spread that no window that pays catches half
 * of them. */
bool idle_hist_window(const struct idle_hist *h, uint64_t worth_ns, struct idle_window *ret_window);
/* How much of a pause lies between these two, on average, in seconds. */
double idle_hist_wait(const struct idle_hist *h, struct idle_window window);
/* Of the recorded pauses longer than since_ns (*ret_left), those that ended within ahead_ns more. */
double idle_hist_due(const struct idle_hist *h, uint64_t since_ns, uint64_t ahead_ns, double *ret_left);

/* Limits of a bin in seconds; bin == IDLE_HIST_BINS gives the upper end of the last one. */
double idle_hist_edge(unsigned bin);
unsigned idle_hist_bin(uint64_t gap_ns); /* IDLE_HIST_BINS: beyond */

#endif
