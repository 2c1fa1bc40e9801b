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
	assert_true(value(m, "\nstoker_loop_stalls_total ") == 0);
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
	assert_true(value(m, "\nstoker_loop_stalls_total ") >= 1);
	assert_true(value(m, "\nstoker_loop_stall_longest_seconds ") >= 0.005);
	assert_true(s.longest_ns >= 5 * MS);
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiting_is_not_counted),
		cmocka_unit_test(counts_a_real_stall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
