/* Shares of something scarce. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scheduler/policy/fair.h"

static struct fair_flow *first(const struct fair *f)
{
	assert_false(stk_list_empty(&f->active));
	return STK_CONTAINER_OF(f->active.next, struct fair_flow, node);
}

static struct fair_flow *serve(struct fair *f, uint64_t cost)
{
	struct fair_flow *flow = first(f);

	fair_served(f, flow, cost);
	return flow;
}

static void equal_flows_take_turns(void **state)
{
	struct fair_flow flow[3];
	struct fair f;

	fair_init(&f);
	for (unsigned i = 0; i < 3; i++) {
		fair_flow_init(&flow[i], 1);
		fair_enter(&f, &flow[i]);
		fair_enter(&f, &flow[0]); /* no effect */
	}
	for (unsigned i = 0; i < 30; i++)
		assert_ptr_equal(serve(&f, 10), &flow[i % 3]);
}

static void a_flood_delays_a_newcomer_by_one_service(void **state)
{
	struct fair_flow flood, late;
	struct fair f;

	fair_init(&f);
	fair_flow_init(&flood, 1);
	fair_flow_init(&late, 1);
	fair_enter(&f, &flood);
	for (unsigned i = 0; i < 1000; i++)
		serve(&f, 10);
	fair_enter(&f, &late);
	assert_ptr_equal(serve(&f, 10), &late);
}

static void nothing_is_saved_up(void **state)
{
	struct fair_flow busy, idle;
	struct fair f;
	unsigned idle_served = 0;

	fair_init(&f);
	fair_flow_init(&busy, 1);
	fair_flow_init(&idle, 1);
	fair_enter(&f, &busy);
	fair_enter(&f, &idle);
	serve(&f, 10);
	fair_leave(&idle);
	assert_false(fair_is_active(&idle));
	for (unsigned i = 0; i < 1000; i++)
		serve(&f, 10);
	fair_enter(&f, &idle);
	for (unsigned i = 0; i < 100; i++)
		idle_served += serve(&f, 10) == &idle;
	assert_in_range(idle_served, 50, 51);
}

static void leaving_and_coming_back_gains_nothing(void **state)
{
	struct fair_flow stays, hops;
	struct fair f;
	unsigned hops_served = 0;

	fair_init(&f);
	fair_flow_init(&stays, 1);
	fair_flow_init(&hops, 1);
	fair_enter(&f, &stays);
	for (unsigned i = 0; i < 100; i++) {
		fair_leave(&hops);
		fair_enter(&f, &hops);
		hops_served += serve(&f, 10) == &hops;
	}
	assert_in_range(hops_served, 49, 51);
}

static void shares_are_of_cost_and_by_weight(void **state)
{
	struct fair_flow flow[3];
	uint64_t got[3] = {0};
	struct fair f;

	fair_init(&f);
	for (unsigned i = 0; i < 3; i++) {
		fair_flow_init(&flow[i], i == 2 ? 2 : 1);
		fair_enter(&f, &flow[i]);
	}
	for (unsigned i = 0; i < 10000; i++) {
		unsigned who = (unsigned)(first(&f) - flow);
		uint64_t cost = who == 0 ? 100 : 10; /* the first one's services are long */

		got[who] += cost;
		serve(&f, cost);
	}
	assert_in_range(got[0], got[1] - 200, got[1] + 200);
	assert_in_range(got[2], 2 * got[1] - 200, 2 * got[1] + 200);
}

static void a_service_without_cost_still_moves_on(void **state)
{
	struct fair_flow a, b;
	struct fair f;

	fair_init(&f);
	fair_flow_init(&a, 0);
	fair_flow_init(&b, 1);
	fair_enter(&f, &a);
	fair_enter(&f, &b);
	assert_ptr_equal(serve(&f, 0), &a);
	assert_ptr_equal(serve(&f, 0), &b);
	assert_ptr_equal(serve(&f, 0), &a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_flows_take_turns),
		cmocka_unit_test(a_flood_delays_a_newcomer_by_one_service),
		cmocka_unit_test(nothing_is_saved_up),
		cmocka_unit_test(leaving_and_coming_back_gains_nothing),
		cmocka_unit_test(shares_are_of_cost_and_by_weight),
		cmocka_unit_test(a_service_without_cost_still_moves_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
