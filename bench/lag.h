/* The load generator's own lag: how much later than intended requests of an open loop were sent. */
#ifndef BENCH_LAG_H
#define BENCH_LAG_H

#include <stdbool.h>

#include "bench/hist.h"

#define LAG_MAX_SHARE 0.01

/* p99.9 of the lag as a share of p99.9 of the latency; 0 when there is no latency. */
double lag_share(const struct hist *lag, const struct hist *latency);
/* Above LAG_MAX_SHARE: the figures say more about the generator than about the host. */
bool lag_suspect(const struct hist *lag, const struct hist *latency);

#endif
