/* Clocks, in nanoseconds. */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define STK_NS_PER_MS 1000000ULL
#define STK_NS_PER_S  1000000000ULL

static inline uint64_t stk_clock_ns(clockid_t id)
{
	struct timespec ts = {0, 0};

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * STK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Monotonic time, for durations and deadlines. */
static inline uint64_t stk_now_ns(void)
{
	return stk_clock_ns(CLOCK_MONOTONIC);
}

/* Wall clock since the epoch. */
static inline uint64_t stk_wall_ns(void)
{
	return stk_clock_ns(CLOCK_REALTIME);
}

#endif
