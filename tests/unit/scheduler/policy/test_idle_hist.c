/* Pauses between requests: bins, forgetting, and the window that pays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "scheduler/policy/idle_hist.h"

#define S 1000000000ull

static void add_times(struct idle_hist *h, unsigned n, uint64_t gap_ns)
{
	while (n--)
		idle_hist_add(h, gap_ns);
}

static void bins_follow_each_other_without_gaps(void **state)
{
	unsigned last = 0;

	for (unsigned i = 0; i < IDLE_HIST_BINS; i++) {
		uint64_t edge = (uint64_t)(idle_hist_edge(i) * 1e9);

		assert_int_equal(idle_hist_bin(edge), i);
		if (i)
			assert_int_equal(idle_hist_bin(edge - 1), i - 1);
		assert_true(i < 2 || idle_hist_edge(i + 1) / idle_hist_edge(i) < 1.07);
	}
	assert_int_equal(idle_hist_bin((uint64_t)(idle_hist_edge(IDLE_HIST_BINS) * 1e9)), IDLE_HIST_BINS);
	assert_int_equal(idle_hist_bin(UINT64_MAX), IDLE_HIST_BINS);
	for (uint64_t gap = 0; gap < 20000 * S; gap += S / 3) {
		unsigned bin = idle_hist_bin(gap);

		assert_true(bin >= last);
		last = bin;
	}
}

static void stays_small(void **state)
{
	assert_true(sizeof(struct idle_hist) <= 256);
}

static void old_pauses_fade(void **state)
{
	struct idle_hist h = {0};
	struct idle_window w;

	add_times(&h, 200, 100 * S);
	for (unsigned i = 0; i < 100000; i++)
		idle_hist_add(&h, (i % 1000) * 20 * S); /* also those beyond the last bin */
	assert_true(h.total < IDLE_HIST_FULL);
	add_times(&h, 2000, 10 * S);
	assert_true(idle_hist_window(&h, 300 * S, &w));
	assert_in_range(w.from_ns, 9 * S, 10 * S);
	assert_in_range(w.to_ns, 10 * S, 12 * S);
}

static void halving_keeps_the_spread(void **state)
{
	struct idle_hist h = {0};
	unsigned used = 0;

	for (unsigned i = 0; i < IDLE_HIST_BINS; i++)
		idle_hist_add(&h, (uint64_t)(idle_hist_edge(i) * 1e9));
	add_times(&h, IDLE_HIST_FULL - IDLE_HIST_BINS, S);
	assert_in_range(h.total, 120, 135);
	for (unsigned i = 20; i < IDLE_HIST_BINS; i++)
		used += h.count[i];
	assert_in_range(used, 95, 110); /* half of the lone ones, not none */
}

static void timer_gets_a_narrow_window(void **state)
{
	struct idle_hist h = {0};
	struct idle_window w;

	add_times(&h, 20, 600 * S);
	assert_true(idle_hist_window(&h, 300 * S, &w));
	assert_in_range(w.from_ns, 500 * S, 600 * S);
	assert_in_range(w.to_ns, 601 * S, 700 * S);
}

static void short_pauses_are_waited_for(void **state)
{
	struct idle_hist h = {0};
	struct idle_window w;

	for (unsigned i = 0; i < 100; i++)
		idle_hist_add(&h, i % 20 * S);
	assert_true(idle_hist_window(&h, 300 * S, &w));
	assert_int_equal(w.from_ns, 0);
	assert_in_range(w.to_ns, 19 * S, 25 * S);
}

static void a_rare_long_pause_is_not_waited_for(void **state)
{
	struct idle_hist h = {0};
	struct idle_window w;

	add_times(&h, 99, 5 * S);
	add_times(&h, 1, 4000 * S);
	assert_true(idle_hist_window(&h, 300 * S, &w));
	assert_in_range(w.to_ns, 5 * S, 7 * S);
	/* It is when a cold start is worth that much. */
	assert_true(idle_hist_window(&h, 100000 * S, &w));
	assert_in_range(w.to_ns, 4000 * S, 5000 * S);
}

static void too_few_or_too_spread_is_no_answer(void **state)
{
	struct idle_hist h = {0};
	struct idle_window w;

	add_times(&h, IDLE_HIST_ENOUGH - 1, 600 * S);
	assert_false(idle_hist_window(&h, 300 * S, &w));
	add_times(&h, 1, 600 * S);
	assert_true(idle_hist_window(&h, 300 * S, &w));
	h = (struct idle_hist){0};
	for (unsigned i = 0; i < 100; i++)
		idle_hist_add(&h, i * 150 * S);
	assert_false(idle_hist_window(&h, 300 * S, &w));
	h = (struct idle_hist){0};
	add_times(&h, 100, 100000 * S);
	assert_false(idle_hist_window(&h, 300 * S, &w));
}

static void due_counts_what_is_left(void **state)
{
	struct idle_hist h = {0};
	double left;

	add_times(&h, 10, 10 * S);
	add_times(&h, 30, 1000 * S);
	assert_true(idle_hist_due(&h, 0, 60 * S, &left) == 10 && left == 40);
	assert_true(idle_hist_due(&h, 20 * S, 60 * S, &left) == 0 && left == 30);
	assert_true(idle_hist_due(&h, 950 * S, 120 * S, &left) == 30 && left == 30);
	assert_true(idle_hist_due(&h, 2000 * S, 60 * S, &left) == 0 && left == 0);
	add_times(&h, 1, 50000 * S);
	assert_true(idle_hist_due(&h, 20000 * S, 60 * S, &left) == 0 && left == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bins_follow_each_other_without_gaps),
		cmocka_unit_test(stays_small),
		cmocka_unit_test(old_pauses_fade),
		cmocka_unit_test(halving_keeps_the_spread),
		cmocka_unit_test(timer_gets_a_narrow_window),
		cmocka_unit_test(short_pauses_are_waited_for),
		cmocka_unit_test(a_rare_long_pause_is_not_waited_for),
		cmocka_unit_test(too_few_or_too_spread_is_no_answer),
		cmocka_unit_test(due_counts_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
