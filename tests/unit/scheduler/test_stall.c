/* Stalls of the event loop: the arithmetic on a made-up clock, and a loop that stalls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/host/metrics.h"
#include "scheduler/stall.h"

#define MS STK_NS_PER_MS

static void waiting_is_not_counted(void **state)
{
	struct stall_meter m = {0};

	assert_int_equal(stall_round(&m, 1000 * MS, 900 * MS), 0); /* the first: nothing to compare with */
	assert_int_equal(stall_round(&m, 1100 * MS, 999 * MS), 1 * MS);
	assert_int_equal(stall_round(&m, 1150 * MS, 999 * MS), 50 * MS);
	assert_int_equal(stall_round(&m, 1160 * MS, 1009 * MS), 0);
	/* The two clocks are read one after the other. */
	assert_int_equal(stall_round(&m, 1170 * MS, 1020 * MS), 0);
}

static void causes_are_told_apart(void **state)
{
	assert_int_equal(stall_cause(2 * MS, 5, true), STALL_WORK);
	assert_int_equal(stall_cause(MS, 2, true), STALL_WAIT);
	assert_int_equal(stall_cause(MS, 1, false), STALL_WAIT);
	assert_int_equal(stall_cause(MS, 1, true), STALL_PREEMPTED);
	assert_int_equal(stall_cause(MS, 0, false), STALL_PREEMPTED);
}

#define WORK      "\nstoker_loop_stalls_total{cause=\"work\"} "
#define PREEMPTED "\nstoker_loop_stalls_total{cause=\"preempted\"} "

static double value(const struct metrics *m, const char *line_start)
{
	size_t len;
	char *text = metrics_text(m, &len), *p = strstr(text, line_start);
	double v;

	assert_non_null(p);
	v = strtod(p + strlen(line_start), NULL);
	free(text);
	return v;
}

static void stall_of_5_ms(uv_timer_t *t)
{
	uint64_t end = stk_now_ns() + 5 * MS;

	while (stk_now_ns() < end)
		;
}

static void the_end(uv_timer_t *t)
{
	struct stall *s = t->data;

	stall_close(s, NULL);
	uv_close((uv_handle_t *)t, NULL);
}

static void counts_a_real_stall(void **state)
{
	struct metrics *m = metrics_new();
	struct stall s;
	uv_timer_t stalling, end;
	uv_loop_t loop;

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(stall_init(&s, &loop, m), 0);
	assert_true(value(m, WORK) == 0);
	uv_run(&loop, UV_RUN_NOWAIT); /* a first round, to compare with */
	uv_timer_init(&loop, &stalling);
	uv_timer_init(&loop, &end);
	end.data = &s;
	uv_timer_start(&stalling, stall_of_5_ms, 1, 0);
	uv_timer_start(&end, the_end, 40, 0); /* a wait, which is no stall */
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&stalling, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	/* On a machine that is busy most of the 5 ms may be others'. */
	assert_true(value(m, WORK) + value(m, PREEMPTED) >= 1);
	assert_true(s.longest_ns[STALL_WORK] >= 5 * MS || s.longest_ns[STALL_PREEMPTED] >= 5 * MS);
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiting_is_not_counted),
		cmocka_unit_test(causes_are_told_apart),
		cmocka_unit_test(counts_a_real_stall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
