/* Which VM is started and which is given up, with made-up pools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scheduler/policy/planner.h"

#define S     1000000000ull
#define POOLS 4

struct fake {
	struct plan_flow flow;
	struct plan_view view;
	struct pool_policy policy;
	unsigned started;
};

static struct fake pool[POOLS];
static struct plan plan;
static struct plan_tenant tenant, neighbour;
static struct plan_host host;
static uint64_t now;

static void look(const struct plan_flow *flow, uint64_t now_ns, struct plan_view *ret_view)
{
	*ret_view = STK_CONTAINER_OF(flow, struct fake, flow)->view;
}

static int setup(void **state)
{
	plan_init(&plan, 100, 2, look);
	tenant = neighbour = (struct plan_tenant){0};
	host = (struct plan_host){0};
	now = 1000 * S;
	for (unsigned i = 0; i < POOLS; i++) {
		struct fake *f = &pool[i];

		*f = (struct fake){.view = {.may_start = true, .mib = 10, .policy = &f->policy}};
		pool_policy_init(&f->policy, 0, 16, 60 * S, true, false);
		plan_add(&plan, &tenant, &f->flow);
	}
	return 0;
}

static void all_changed(void)
{
	for (unsigned i = 0; i < POOLS; i++)
		plan_changed(&plan, &pool[i].flow, now);
}

static struct fake *of(const struct plan_step *step)
{
	return STK_CONTAINER_OF(step->flow, struct fake, flow);
}

/* Carries out starts only; each ends at once. */
static void run(unsigned steps)
{
	struct plan_step step;

	while (steps-- && plan_next(&plan, &host, now, &step)) {
		assert_int_equal(step.what, PLAN_START);
		of(&step)->started++;
		if (step.urgent)
			of(&step)->view.urgent--;
		else
			of(&step)->view.refill--;
	}
}

static void requests_before_refills(void **state)
{
	struct plan_step step;

	pool[0].view.refill = 5;
	pool[3].view.urgent = 2;
	all_changed();
	run(2);
	assert_int_equal(pool[3].started, 2);
	run(100);
	assert_int_equal(pool[0].started, 5);
	assert_false(plan_next(&plan, &host, now, &step));
}

/* What belongs to nobody goes before waiting VMs do, but only if that is enough. */
static void what_is_to_spare_goes_first(void **state)
{
	struct plan_step step;

	pool[0].view.spare = 3;
	pool[1].view.urgent = 1;
	all_changed();
	host.vms = 3;
	host.charged_mib = 100;
	host.spare_mib = 10;
	assert_true(plan_next(&plan, &host, now, &step));
	assert_int_equal(step.what, PLAN_SHED);
	host.spare_mib = 8;
	assert_true(plan_next(&plan, &host, now, &step));
	assert_int_equal(step.what, PLAN_EVICT);
	assert_ptr_equal(of(&step), &pool[0]);
	host.charged_mib = host.dying_mib = 100; /* enough is on its way out */
	host.spare_mib = 0;
	assert_false(plan_next(&plan, &host, now, &step));
	pool[1].view.urgent = 0;
	pool[1].view.refill = 1;
	all_changed();
	host.dying_mib = 0;
	host.spare_mib = 20;
	assert_true(plan_next(&plan, &host, now, &step));
	assert_int_equal(step.what, PLAN_SHED);
}

/* A request that insists on a VM of its own is not kept out by the one that waits for others. */
static void a_pool_gives_up_its_own_vm_for_a_request(void **state)
{
	struct plan_step step;

	pool[0].view.spare = 1;
	pool[0].view.urgent = 1;
	all_changed();
	host.vms = 1;
	host.charged_mib = 100;
	assert_true(plan_next(&plan, &host, now, &step));
	assert_int_equal(step.what, PLAN_EVICT);
	assert_ptr_equal(of(&step), &pool[0]);
}

static void a_flood_leaves_others_their_share(void **state)
{
	pool[0].view.urgent = 1000;
	plan_changed(&plan, &pool[0].flow, now);
	run(500);
	pool[1].view.urgent = 50;
	pool[2].view.urgent = 50;
	all_changed();
	run(150);
	assert_int_equal(pool[1].started, 50);
	assert_int_equal(pool[2].started, 50);
	assert_int_equal(pool[0].started, 550);
}

/* Gives it to the other tenant, alone. */
static void move(unsigned i)
{
	plan_remove(&plan, &pool[i].flow);
	plan_add(&plan, &neighbour, &pool[i].flow);
}

static void a_flood_of_one_tenant_leaves_others_their_refills(void **state)
{
	struct plan_step step;

	move(3);
	pool[0].view.urgent = pool[1].view.urgent = pool[2].view.urgent = 1000;
	pool[3].view.refill = 10;
	for (unsigned i = 0; i < POOLS; i++)
		pool[i].policy.restore_s = 0.1;
	all_changed();
	run(20);
	assert_int_equal(pool[3].started, 10);
	assert_int_equal(pool[0].started + pool[1].started + pool[2].started, 10);
	run(1000);
	assert_int_equal(pool[0].started + pool[1].started + pool[2].started, 1010);
	/* It comes back after a while: not for what it did not use meanwhile. */
	pool[3].view.urgent = 100;
	plan_changed(&plan, &pool[3].flow, now);
	run(20);
	assert_in_range(pool[3].started, 19, 21);
	/* Within a tenant requests go first as ever. */
	pool[3].view.urgent = 0;
	pool[2].view.refill = 100;
	plan_changed(&plan, &pool[2].flow, now);
	run(10);
	plan_remove(&plan, &pool[3].flow);
	assert_true(plan_next(&plan, &host, now, &step));
	assert_true(step.urgent);
	plan_add(&plan, &tenant, &pool[3].flow);
}

static void never_more_starts_than_allowed(void **state)
{
	struct plan_step step;

	pool[0].view.urgent = 5;
	all_changed();
	host.starting = 2;
	assert_false(plan_next(&plan, &host, now, &step));
	host.starting = 1;
	assert_true(plan_next(&plan, &host, now, &step));
}

static void pools_that_may_not_start_are_passed_over(void **state)
{
	struct plan_step step;

	pool[0].view.urgent = 5;
	pool[1].view.urgent = 1;
	all_changed();
	pool[0].view.may_start = false;
	run(10);
	assert_int_equal(pool[0].started, 0);
	assert_int_equal(pool[1].started, 1);
	pool[0].view.may_start = true;
	assert_false(plan_next(&plan, &host, now, &step)); /* not before it is told */
	plan_changed(&plan, &pool[0].flow, now);
	assert_true(plan_next(&plan, &host, now, &step));
}

/* Pool 0 is called each second, pool 1 was called 10 minutes ago, pool 2 never. All have spare VMs. */
static void spare_vms(void)
{
	for (unsigned i = 0; i < 20; i++)
		pool_policy_arrival(&pool[0].policy, now - (20 - i) * S, 1);
	pool_policy_arrival(&pool[1].policy, now - 600 * S, 1);
	pool[0].view.spare = pool[1].view.spare = pool[2].view.spare = 1;
}

static void least_value_is_given_up_for_a_request(void **state)
{
	static const unsigned order[] = {2, 1, 0};
	struct plan_step step;

	spare_vms();
	host = (struct plan_host){.charged_mib = 95, .vms = 9};
	pool[3].view.urgent = 1;
	all_changed();
	for (unsigned i = 0; i < 3; i++) {
		assert_true(plan_next(&plan, &host, now, &step));
		assert_int_equal(step.what, PLAN_EVICT);
		assert_ptr_equal(of(&step), &pool[order[i]]);
		of(&step)->view.spare = 0;
	}
	/* Nothing left to give up: it waits. */
	assert_false(plan_next(&plan, &host, now, &step));
	/* Nobody else gets the memory meanwhile. */
	pool[0].view.refill = 1;
	pool[0].view.mib = 1;
	all_changed();
	assert_false(plan_next(&plan, &host, now, &step));
	/* One is ending and that is enough. */
	pool[1].view.spare = 1;
	host.dying_mib = 10;
	assert_false(plan_next(&plan, &host, now, &step));
	host = (struct plan_host){.charged_mib = 85, .vms = 8};
	assert_true(plan_next(&plan, &host, now, &step));
	assert_int_equal(step.what, PLAN_START);
	assert_ptr_equal(of(&step), &pool[3]);
	for (unsigned i = 0; i < POOLS; i++)
		pool_policy_fini(&pool[i].policy);
}

static void a_refill_takes_only_from_much_lower_value(void **state)
{
	struct plan_step step;

	spare_vms();
	host = (struct plan_host){.charged_mib = 95, .vms = 9};
	/* The least valuable function cannot push anyone out, and does not evict its own VM. */
	pool[2].view.refill = 1;
	all_changed();
	assert_false(plan_next(&plan, &host, now, &step));
	pool[0].view.refill = 1;
	pool[0].view.spare = 0;
	all_changed();
	assert_true(plan_next(&plan, &host, now, &step));
	assert_int_equal(step.what, PLAN_EVICT);
	assert_ptr_equal(of(&step), &pool[2]);
	for (unsigned i = 0; i < POOLS; i++)
		pool_policy_fini(&pool[i].policy);
}

static void larger_than_the_budget_runs_alone(void **state)
{
	struct plan_step step;

	pool[0].view.urgent = 1;
	pool[0].view.mib = 1000;
	all_changed();
	host = (struct plan_host){.charged_mib = 10, .vms = 1};
	assert_false(plan_next(&plan, &host, now, &step));
	host = (struct plan_host){0};
	assert_true(plan_next(&plan, &host, now, &step));
}

static void removed_pools_are_forgotten(void **state)
{
	struct plan_step step;

	pool[0].view.urgent = 1;
	pool[0].view.refill = 1;
	all_changed();
	plan_remove(&plan, &pool[0].flow);
	assert_false(plan_next(&plan, &host, now, &step));
}

static void what_found_no_memory_is_tried_again(void **state)
{
	struct plan_step step;

	host = (struct plan_host){.charged_mib = 95, .vms = 9};
	pool[0].view.refill = pool[1].view.refill = 1;
	all_changed();
	assert_false(plan_next(&plan, &host, now, &step));
	host.charged_mib = 80;
	assert_false(plan_next(&plan, &host, now, &step)); /* not before it is told */
	plan_retry(&plan, now, 1);
	assert_true(plan_next(&plan, &host, now, &step));
	assert_ptr_equal(of(&step), &pool[0]);
	pool[0].view.refill = 0;
	assert_false(plan_next(&plan, &host, now, &step));
	plan_retry(&plan, now, 100);
	assert_true(plan_next(&plan, &host, now, &step));
	assert_ptr_equal(of(&step), &pool[1]);
	plan_remove(&plan, &pool[1].flow);
	plan_retry(&plan, now, 100);
	assert_false(plan_next(&plan, &host, now, &step));
}

/* Of many pools with spare VMs the least valuable ones go, though not all are compared each time. */
static void many_pools_are_compared_in_turn(void **state)
{
	enum { MANY = 600 };
	static struct fake many[MANY];
	struct plan_step step;
	unsigned called_lately = 0;

	host = (struct plan_host){.charged_mib = 100, .vms = MANY};
	for (unsigned i = 0; i < MANY; i++) {
		struct fake *f = &many[i];

		*f = (struct fake){.view = {.may_start = true, .mib = 10, .spare = 1, .policy = &f->policy}};
		pool_policy_init(&f->policy, 0, 16, 60 * S, true, false);
		pool_policy_arrival(&f->policy, now - (i % 10 ? 1 : 900) * S, 1);
		plan_add(&plan, &tenant, &f->flow);
		plan_changed(&plan, &f->flow, now);
	}
	pool[3].view.urgent = 1;
	all_changed();
	for (unsigned i = 0; i < MANY / 20; i++) {
		assert_true(plan_next(&plan, &host, now, &step));
		assert_int_equal(step.what, PLAN_EVICT);
		called_lately += (of(&step) - many) % 10 != 0;
		of(&step)->view.spare = 0;
		plan_changed(&plan, step.flow, now);
	}
	assert_int_equal(called_lately, 0);
	for (unsigned i = 0; i < MANY; i++) {
		plan_remove(&plan, &many[i].flow);
		pool_policy_fini(&many[i].policy);
	}
	assert_int_equal(plan.spare_count, 0);
}

static void queue_is_bounded_and_has_room_for_others(void **state)
{
	unsigned own = 0, other = 0;

	assert_true(plan_admit(1, 0, 0));
	assert_false(plan_admit(1, 1, 1));
	assert_false(plan_admit(0, 0, 0));
	while (plan_admit(1000, own, own))
		own++;
	assert_in_range(own, 800, 950);
	while (plan_admit(1000, own + other, other))
		other++;
	assert_in_range(other, 60, 200);
	assert_true(plan_admit(1000, own + other, 0));
	assert_false(plan_admit(1000, 1000, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(requests_before_refills, setup),
		cmocka_unit_test_setup(what_is_to_spare_goes_first, setup),
		cmocka_unit_test_setup(a_pool_gives_up_its_own_vm_for_a_request, setup),
		cmocka_unit_test_setup(a_flood_leaves_others_their_share, setup),
		cmocka_unit_test_setup(a_flood_of_one_tenant_leaves_others_their_refills, setup),
		cmocka_unit_test_setup(never_more_starts_than_allowed, setup),
		cmocka_unit_test_setup(pools_that_may_not_start_are_passed_over, setup),
		cmocka_unit_test_setup(least_value_is_given_up_for_a_request, setup),
		cmocka_unit_test_setup(a_refill_takes_only_from_much_lower_value, setup),
		cmocka_unit_test_setup(larger_than_the_budget_runs_alone, setup),
		cmocka_unit_test_setup(removed_pools_are_forgotten, setup),
		cmocka_unit_test_setup(what_found_no_memory_is_tried_again, setup),
		cmocka_unit_test_setup(many_pools_are_compared_in_turn, setup),
		cmocka_unit_test(queue_is_bounded_and_has_room_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
