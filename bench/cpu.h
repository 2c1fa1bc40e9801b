/* CPU time of the whole machine. */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stdint.h>

/* What all processors have spent on anything since the machine started, in ns; waiting is not counted. From
 * /proc/stat, in steps of 10 ms. 0 when it cannot be read. */
uint64_t cpu_machine_busy_ns(void);

#endif
