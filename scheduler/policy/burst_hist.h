/* How many requests of a function come at once: a small histogram that forgets, as idle_hist.h. Pure. */
#ifndef SCHEDULER_POLICY_BURST_HIST_H
#define SCHEDULER_POLICY_BURST_HIST_H

#include <stdint.h>

#define BURST_HIST_BINS 20

struct burst_hist {
	uint8_t count[BURST_HIST_BINS];
	uint8_t total;
};

/* A zeroed struct is an empty histogram. */
void burst_hist_add(struct burst_hist *h, unsigned size);
/* The smallest size that at most this part of the bursts exceeded (to the precision of the bins, upwards); 1 when
 * it is empty. */
unsigned burst_hist_size(const struct burst_hist *h, double exceeded);

#endif
