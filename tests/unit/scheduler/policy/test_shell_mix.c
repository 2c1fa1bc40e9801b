/* Sizes of shells: where they are wanted, there they are; and they are not thrown away for nothing. */
#include "tests/unit/unit.h"

#include "scheduler/policy/shell_mix.h"

static struct shell_mix m;
static unsigned missing, excess;

static int clear(void **state)
{
	m = (struct shell_mix){0};
	return 0;
}

/* Follows what is said until nothing is; returns the number of shells started. */
static unsigned settle(unsigned total)
{
	unsigned started = 0, have = 0;

	for (unsigned i = 0; i < m.count; i++)
		have += m.size[i].have;
	for (unsigned guard = 0; guard < 50; guard++) {
		shell_mix_next(&m, total, &missing, &excess);
		if (excess && (missing || have > total)) {
			shell_mix_find(&m, excess)->have--;
			have--;
		} else if (missing) {
			shell_mix_find(&m, missing)->have++;
			have++;
			started++;
			assert_in_range(have, 0, total);
		} else {
			return started;
		}
	}
	fail();
	return 0;
}

static unsigned have(unsigned mib)
{
	struct shell_mix_size *s = shell_mix_find(&m, mib);

	return s ? s->have : 0;
}

static void test_nothing_known(void **state)
{
	shell_mix_next(&m, 2, &missing, &excess);
	assert_int_equal(missing, 0);
	assert_int_equal(excess, 0);
}

static void test_deployed_only(void **state)
{
	shell_mix_offer(&m, 160);
	shell_mix_offer(&m, 544);
	settle(2);
	assert_int_equal(have(160), 1);
	assert_int_equal(have(544), 1);
	assert_int_equal(settle(2), 0);
	settle(3);
	assert_int_equal(have(160), 2);
}

static void test_follows_the_requests(void **state)
{
	for (int i = 0; i < 1000; i++)
		shell_mix_offer(&m, 160);
	shell_mix_offer(&m, 544);
	settle(2);
	assert_int_equal(have(160), 2);
	shell_mix_want(&m, 544);
	settle(2);
	assert_int_equal(have(544), 1);
	for (int i = 0; i < 20; i++)
		shell_mix_want(&m, 544);
	settle(2);
	assert_int_equal(have(544), 2);
	for (int i = 0; i < 100; i++)
		shell_mix_want(&m, 160);
	settle(2);
	assert_int_equal(have(160), 2);
}

/* Two sizes in turn, and one shell: it is not made anew each time. */
static void test_stays(void **state)
{
	unsigned started = 0;

	for (int i = 0; i < 200; i++) {
		shell_mix_want(&m, i % 2 ? 160 : 544);
		started += settle(1);
	}
	assert_in_range(started, 1, 3);
}

static void test_bounded(void **state)
{
	for (unsigned mib = 100; mib < 200; mib++) {
		shell_mix_want(&m, mib);
		settle(4);
	}
	assert_int_equal(m.count, SHELL_MIX_SIZES);
	assert_int_equal(have(199) + have(198) + have(197) + have(196), 4);
	shell_mix_offer(&m, 300); /* no room, and nobody asked for one */
	assert_null(shell_mix_find(&m, 300));
	settle(0);
	for (unsigned i = 0; i < m.count; i++)
		assert_int_equal(m.size[i].have, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing_known, clear), cmocka_unit_test_setup(test_deployed_only, clear),
		cmocka_unit_test_setup(test_follows_the_requests, clear), cmocka_unit_test_setup(test_stays, clear),
		cmocka_unit_test_setup(test_bounded, clear),
	};

	unit_time_limit(20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
