/* CPU time of the machine: what we use is in it, and it is never more than there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/cpu.h"
#include "common/base/clock.h"

#define USED_NS 300000000ull
#define STEP_NS 40000000ull /* the kernel counts in ticks, for each processor */

static uint64_t cpu_time_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * STK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void counts_what_is_used(void **state)
{
	uint64_t processors = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t wall = stk_now_ns(), before = cpu_machine_busy_ns(), own = cpu_time_ns(), busy;

	assert_true(before > 0);
	while (cpu_time_ns() - own < USED_NS)
		;
	busy = cpu_machine_busy_ns() - before;
	wall = stk_now_ns() - wall;
	assert_true(busy + STEP_NS * processors >= USED_NS);
	assert_true(busy <= (wall + STEP_NS) * processors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(counts_what_is_used)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
