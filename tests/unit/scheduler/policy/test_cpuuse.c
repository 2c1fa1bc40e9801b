/* Who counts as one who uses much of the processors (scheduler/policy/cpuuse.h), on a machine where those go last. */
#include "scheduler/policy/cpuuse.h"

#include <string.h>

#include "tests/unit/unit.h"

#define MOST 8

/* What each gets of a machine that gives those who do not use much what they want, and shares out the rest equally. */
static void run(struct cpuuse *u, const double *wants, double *ret_gets, unsigned n)
{
	double left = 1;
	unsigned running = 0;

	memset(ret_gets, 0, n * sizeof(*ret_gets));
	for (int heavy = 0; heavy < 2; heavy++) {
		for (unsigned round = 0; round < 2 * MOST && left > 1e-9; round++) {
			unsigned hungry = 0;
			double part;

			for (unsigned i = 0; i < n; i++)
				hungry += u[i].heavy == heavy && wants[i] - ret_gets[i] > 1e-9;
			if (hungry == 0)
				break;
			part = left / hungry;
			for (unsigned i = 0; i < n; i++) {
				double more = u[i].heavy == heavy ? wants[i] - ret_gets[i] : 0;

				more = more < part ? more : part;
				ret_gets[i] += more;
				left -= more;
			}
		}
	}
	for (unsigned i = 0; i < n; i++) {
		cpuuse_add(&u[i], ret_gets[i]);
		running += cpuuse_runs(&u[i]);
	}
	for (unsigned i = 0; i < n; i++)
		u[i].heavy = cpuuse_heavy(&u[i], running);
}

static void test_one_who_uses_little_is_never_heavy(void **state)
{
	struct cpuuse u[2] = {0};
	double wants[] = {1, 0.05}, gets[2];

	for (unsigned i = 0; i < 100; i++) {
		run(u, wants, gets, 2);
		assert_false(u[1].heavy);
		assert_true(i == 0 || u[0].heavy);
		assert_true(gets[1] > 0.049);
	}
}

static void test_a_single_one_gets_everything(void **state)
{
	struct cpuuse u[1] = {0};
	double wants[] = {1}, gets[1];

	for (unsigned i = 0; i < 10; i++)
		run(u, wants, gets, 1);
	assert_true(gets[0] > 0.99);
}

/* Whoever joins those who want more than there is: nobody gets less than half of an equal part for more than two rounds. */
static void test_who_joins_holds_nobody_back_for_long(void **state)
{
	for (unsigned n = 2; n <= MOST; n++) {
		struct cpuuse u[MOST] = {0};
		double wants[MOST] = {0}, gets[MOST];
		unsigned behind[MOST] = {0};

		for (unsigned round = 0; round < 20 * n; round++) {
			unsigned there = round / 20 + 1;

			wants[there - 1] = 1;
			run(u, wants, gets, n);
			for (unsigned i = 0; i < there; i++) {
				behind[i] = gets[i] < 0.5 / there ? behind[i] + 1 : 0;
				assert_in_range(behind[i], 0, 2);
			}
		}
	}
}

static void test_one_who_used_much_is_forgiven(void **state)
{
	struct cpuuse u[2] = {0};
	double wants[] = {1, 1}, gets[2];

	for (unsigned i = 0; i < 20; i++)
		run(u, wants, gets, 2);
	assert_true(u[0].heavy && u[1].heavy);
	wants[0] = 0.01;
	for (unsigned i = 0; i < 8; i++)
		run(u, wants, gets, 2);
	assert_false(u[0].heavy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_who_uses_little_is_never_heavy),
		cmocka_unit_test(test_a_single_one_gets_everything),
		cmocka_unit_test(test_who_joins_holds_nobody_back_for_long),
		cmocka_unit_test(test_one_who_used_much_is_forgiven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
