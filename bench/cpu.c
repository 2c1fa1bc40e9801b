#include "bench/cpu.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"

/* proc_stat(5): user, nice, system, idle, iowait, ... The kernel knows the idle time to the microsecond, the
 * rest only by ticks: so busy is what is not idle. */
uint64_t cpu_machine_busy_ns(void)
{
	unsigned long long idle = 0, iowait = 0;
	uint64_t tick_ns = STK_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t all = stk_now_ns() * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN), waited;
	FILE *f = fopen("/proc/stat", "re");
	int n;

	if (!f)
		return 0;
	n = fscanf(f, "cpu %*u %*u %*u %llu %llu", &idle, &iowait);
	fclose(f);
	waited = (idle + iowait) * tick_ns;
	return n == 2 && all > waited ? all - waited : 0;
}
