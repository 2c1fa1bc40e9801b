/* The simulated host: small traces whose outcome can be worked out by hand, and that the policy keeps what it
 * promises against fixed keep-alive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/replay_heap.h"
#include "bench/replay_sim.h"
#include "bench/trace_gen.h"

#define SEC 1000000ull

static struct sim_result res;

static const struct sim_spec plain = {.kind = SIM_FIXED, .idle_us = 600 * SEC, .ceiling = 100, .budget_mib = 1 << 20,
	.max_starts = 8, .queue_limit = 1000, .queue_timeout_us = 30 * SEC, .warm_us = 1000, .cold_us = 30000,
	.refill_us = 60000, .idle_mib = 10};

static void init(struct trace *t)
{
	struct trace_limits l;

	trace_limits_default(&l);
	trace_init(t, &l);
}

static void call_for(struct trace *t, const char *name, uint64_t at_us, uint32_t duration_us)
{
	unsigned fn = 0;

	assert_int_equal(trace_function(t, name, 1, &fn, NULL), 0);
	assert_int_equal(trace_add_call(t, fn, at_us, duration_us, NULL), 0);
}

static void call(struct trace *t, const char *name, uint64_t at_us)
{
	call_for(t, name, at_us, SEC);
}

static void run(struct trace *t, const struct sim_spec *spec)
{
	memset(&res, 0, sizeof(res));
	assert_int_equal(sim_run(t, spec, &res), 0);
}

static void finish(struct trace *t)
{
	assert_int_equal(trace_finish(t, NULL), 0);
}

static bool about(double value, double expected)
{
	return value > expected * 0.98 && value < expected * 1.02;
}

static void fixed_keep_alive_by_hand(void **state)
{
	struct trace t;

	init(&t);
	call(&t, "a", 0);          /* cold */
	call(&t, "a", 100 * SEC);  /* warm: 99 s idle */
	call(&t, "a", 1000 * SEC); /* cold: 600 s idle */
	finish(&t);
	run(&t, &plain);
	assert_int_equal(res.calls, 3);
	assert_int_equal(res.cold, 2);
	assert_int_equal(res.starts, 2);
	assert_int_equal(res.delay.min, 1000000);
	assert_int_equal(res.delay.max, 31000000);
	assert_true(about(res.waiting_mib_s, (99 + 600) * 10));
	trace_fini(&t);
}

static void memory_of_the_baseline_is_of_all_its_vms(void **state)
{
	struct trace t;

	init(&t);
	for (unsigned i = 0; i < 5; i++)
		call(&t, "a", 0);
	call(&t, "b", 2000 * SEC);
	finish(&t);
	run(&t, &plain);
	assert_int_equal(res.cold, 6);
	assert_true(about(res.waiting_mib_s, 5 * 600 * 10));
	trace_fini(&t);
}

static void production_policy_idles_as_told(void **state)
{
	struct sim_spec s = plain;
	struct trace t;

	s.kind = SIM_IDLE;
	s.idle_us = 300 * SEC;
	init(&t);
	call(&t, "a", 0);
	call(&t, "a", 100 * SEC);
	call(&t, "a", 1000 * SEC);
	finish(&t);
	run(&t, &s);
	assert_int_equal(res.cold, 2);
	assert_int_equal(res.starts, 4); /* each VM serves one call */
	assert_true(about(res.waiting_mib_s, (99 + 300) * 10));
	s.floor = 1;
	run(&t, &s);
	assert_int_equal(res.cold, 1); /* the first comes at the very beginning */
	trace_fini(&t);
}

static void few_starts_make_a_queue_and_deadlines_end_it(void **state)
{
	struct sim_spec s = plain;
	struct trace t;

	s.max_starts = 1;
	init(&t);
	for (unsigned i = 0; i < 10; i++)
		call(&t, "a", 0);
	finish(&t);
	run(&t, &s);
	assert_int_equal(res.refused, 0);
	assert_int_equal(res.delay.max, 10 * 30000000ull + 1000000);
	s.queue_timeout_us = 100000; /* three are ready in time */
	run(&t, &s);
	assert_int_equal(res.refused, 7);
	s = plain;
	s.queue_limit = 4;
	run(&t, &s);
	assert_int_equal(res.refused, 6);
	trace_fini(&t);
}

static void a_flood_does_not_starve_another_function(void **state)
{
	struct sim_spec s = plain;
	struct trace t;

	s.max_starts = 1;
	init(&t);
	for (unsigned i = 0; i < 100; i++)
		call_for(&t, "a", 0, 100 * SEC);
	for (unsigned i = 0; i < 5; i++)
		call_for(&t, "b", 1, 100 * SEC);
	finish(&t);
	run(&t, &s);
	assert_int_equal(res.refused, 0);
	assert_int_equal(res.delay.max, 105 * 30000000ull + 1000000);
	/* Turns are taken: the last call of b is served after 11 starts, not after 105. With time for only so
	 * many, b loses nothing. */
	s.queue_timeout_us = 11 * 30000 + 1;
	run(&t, &s);
	assert_int_equal(res.refused, 105 - 11);
	assert_int_equal(res.refused_functions, 1);
	trace_fini(&t);
}

static void budget_is_kept_by_giving_up_waiting_vms(void **state)
{
	struct sim_spec s = plain;
	struct trace t;

	s.budget_mib = 100;
	s.idle_mib = 90; /* also what a working VM counts with */
	init(&t);
	call(&t, "a", 0);
	call(&t, "b", 100 * SEC);
	call(&t, "a", 200 * SEC);
	finish(&t);
	run(&t, &s);
	assert_int_equal(res.cold, 3);
	assert_int_equal(res.evictions, 2);
	assert_in_range(res.peak_mib, 90, 100);
	trace_fini(&t);
}

/* The point of it all. Fewer cold starts than fixed keep-alive of 10 minutes for less memory that idles, on
 * the mix and on each kind but the one where nothing can be learned. */
static void beats_fixed_keep_alive(void **state)
{
	static const char *const kinds[] = {"azure", "timers", "bursts"};
	struct trace_limits l;
	struct stk_err err;

	trace_limits_default(&l);
	l.end_us = 12 * 3600 * SEC;
	for (unsigned k = 0; k < 3; k++) {
		struct sim_spec s = plain;
		uint64_t fixed_cold, cold;
		double fixed_waiting;
		struct trace t;

		s.idle_mib = 0;
		s.ceiling = 1000;
		s.max_starts = 16;
		trace_init(&t, &l);
		assert_int_equal(trace_generate(&t, kinds[k], 60, &err), 0);
		finish(&t);
		run(&t, &s);
		fixed_cold = res.cold;
		fixed_waiting = res.waiting_mib_s;
		s.kind = SIM_HISTOGRAM;
		s.idle_us = 300 * SEC;
		run(&t, &s);
		cold = res.cold;
		if (cold > fixed_cold || res.waiting_mib_s > 0.8 * fixed_waiting)
			fail_msg("%s: %llu cold starts against %llu, %.0f MiB s against %.0f", kinds[k],
				 (unsigned long long)cold, (unsigned long long)fixed_cold, res.waiting_mib_s,
				 fixed_waiting);
		trace_fini(&t);
	}
}

static void heap_keeps_time_and_order(void **state)
{
	struct replay_heap h = {0};
	struct replay_event e;
	uint64_t last = 0, state64 = 1;
	unsigned n = 0;

	for (unsigned i = 0; i < 5000; i++) {
		state64 = state64 * 6364136223846793005ull + 1;
		assert_int_equal(replay_heap_push(&h, (state64 >> 40) % 1000, i, 0), 0);
	}
	assert_false(replay_heap_pop(&h, 0, &e) && e.at_us > 0);
	for (unsigned fn = 0; replay_heap_pop(&h, 1000, &e); n++) {
		assert_true(e.at_us > last || (e.at_us == last && (n == 0 || e.fn > fn)));
		last = e.at_us;
		fn = e.fn;
	}
	assert_in_range(n, 4980, 5000);
	replay_heap_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heap_keeps_time_and_order),
		cmocka_unit_test(fixed_keep_alive_by_hand),
		cmocka_unit_test(memory_of_the_baseline_is_of_all_its_vms),
		cmocka_unit_test(production_policy_idles_as_told),
		cmocka_unit_test(few_starts_make_a_queue_and_deadlines_end_it),
		cmocka_unit_test(a_flood_does_not_starve_another_function),
		cmocka_unit_test(budget_is_kept_by_giving_up_waiting_vms),
		cmocka_unit_test(beats_fixed_keep_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
