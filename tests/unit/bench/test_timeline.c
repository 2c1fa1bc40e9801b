#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/timeline.h"

static void pieces_keep_what_happened_in_them(void **state)
{
	struct timeline t = {0};

	assert_int_equal(timeline_used(&t), 0);
	timeline_add(&t, 0, true, 30);
	timeline_add(&t, 999999, true, 10);
	timeline_add(&t, 1000000, false, 0);
	timeline_add(&t, 3000000, true, 50);
	assert_int_equal(timeline_used(&t), 4);
	assert_int_equal(t.piece[0].ok, 2);
	assert_int_equal(t.piece[0].min, 10);
	assert_int_equal(t.piece[0].max, 30);
	assert_true(t.piece[0].sum == 40);
	assert_int_equal(t.piece[1].ok, 0);
	assert_int_equal(t.piece[1].failed, 1);
	assert_int_equal(t.piece[3].max, 50);
}

/* A long run is kept in the same space, and nothing is lost. */
static void long_runs_are_joined(void **state)
{
	struct timeline t = {0};
	uint64_t ok = 0, failed = 0, max = 0, min = UINT64_MAX;

	for (uint64_t i = 0; i < 100000; i++)
		timeline_add(&t, i * 500000, i % 10 != 3, 1000 + i); /* 50 s */
	assert_true(t.width_ns * TIMELINE_PIECES >= 50000000000ULL);
	assert_true(t.width_ns * TIMELINE_PIECES <= 2 * 50000000000ULL);
	for (unsigned i = 0; i < timeline_used(&t); i++) {
		const struct timeline_piece *p = &t.piece[i];

		ok += p->ok;
		failed += p->failed;
		max = p->max > max ? p->max : max;
		min = p->min < min ? p->min : min;
		assert_true(p->min >= 1000 + i * (t.width_ns / 500000));
		assert_true(p->max < 1000 + (i + 1) * (t.width_ns / 500000));
	}
	assert_int_equal(ok, 90000);
	assert_int_equal(failed, 10000);
	assert_int_equal(min, 1000);
	assert_int_equal(max, 1000 + 99999);
	timeline_add(&t, UINT64_MAX, true, 1);
	assert_true(timeline_used(&t) <= TIMELINE_PIECES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_keep_what_happened_in_them),
		cmocka_unit_test(long_runs_are_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
