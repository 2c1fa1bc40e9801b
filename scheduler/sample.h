/* Measures what an idle warm VM really costs: the anonymous memory of its process (pages of the
 * snapshot that were only read are the page cache's, common to all clones), from
 * /proc/PID/smaps_rollup, on a pool thread. */
#ifndef SCHEDULER_SAMPLE_H
#define SCHEDULER_SAMPLE_H

#include <stdint.h>

struct pool;

/* Starts a measurement of one warm VM when the pool's last one is old (1 s at first, then 30 s). The pool is touched
 * when it is over. */
void sample_maybe(struct pool *p, uint64_t now_ns);
/* When that may be, if the pool's VMs stay as they are; UINT64_MAX. */
uint64_t sample_next(const struct pool *p);

#endif
