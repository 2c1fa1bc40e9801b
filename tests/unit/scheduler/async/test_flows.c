/* Turns: nobody is starved, neither by a long queue nor by calls that take long. */
#include "scheduler/async/flows.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct flows fs;

static struct flow *flow(const char *name, unsigned count, int64_t next_ms)
{
	struct flow *f = flows_get(&fs, name, name[0] == '/' ? FLOW_SENDS : FLOW_CALLS);

	assert_non_null(f);
	flows_count(&fs, f, (int)count, count * 100);
	flows_due(&fs, f, next_ms);
	return f;
}

static void end(void)
{
	flows_fini(&fs);
	memset(&fs, 0, sizeof(fs));
}

static void turns_are_taken(void **state)
{
	struct flow *big, *f;
	unsigned n = 0, turns[2] = {0};

	flows_init(&fs, 8, 8);
	big = flow("big", 100000, 10);
	flow("small", 3, 5000); /* came much later */
	flows_wake(&fs, 9000);
	for (unsigned i = 0; i < 10; i++) {
		f = flows_pick(&fs, FLOW_CALLS, 8, &n);
		assert_non_null(f);
		turns[f == big]++;
		flows_took(&fs, f, n, f == big ? 10 : 5000); /* its oldest is always older */
		flows_wake(&fs, 9000);
	}
	assert_int_equal(turns[0], 5);
	assert_int_equal(turns[1], 5);
	end();
}

static void slots_are_left_for_others(void **state)
{
	struct flow *a, *b, *c;
	unsigned n = 0;

	flows_init(&fs, 16, 8);
	a = flow("a", 1000, 1);
	flows_wake(&fs, 1);
	assert_ptr_equal(flows_pick(&fs, FLOW_CALLS, 16, &n), a);
	assert_int_equal(n, 12);
	flows_took(&fs, a, n, 1);
	flows_run(&fs, a, 12);
	flows_wake(&fs, 1);
	assert_null(flows_pick(&fs, FLOW_CALLS, 4, &n)); /* it has its share */
	b = flow("b", 1000, 1);
	flows_wake(&fs, 1);
	assert_ptr_equal(flows_pick(&fs, FLOW_CALLS, 4, &n), b);
	assert_int_equal(n, 3);
	flows_took(&fs, b, n, 1);
	flows_run(&fs, b, 3);
	c = flow("c", 1, 1);
	flows_wake(&fs, 1);
	assert_ptr_equal(flows_pick(&fs, FLOW_CALLS, 1, &n), c);
	assert_int_equal(n, 1);
	assert_null(flows_pick(&fs, FLOW_CALLS, 0, &n));
	flows_took(&fs, c, 1, INT64_MAX);
	/* an address has a quarter at most, though it is alone */
	flow("//h:80", 100, 1);
	flows_wake(&fs, 1);
	assert_non_null(flows_pick(&fs, FLOW_SENDS, 8, &n));
	assert_int_equal(n, 2);
	end();
}

static unsigned room_for_a;

static unsigned room(void *ctx, const struct flow *f)
{
	return strcmp(f->name, ctx) == 0 ? room_for_a : 100;
}

static void times(void **state)
{
	struct flow *a, *b;
	unsigned n = 0;

	flows_init(&fs, 4, 4);
	assert_int_equal(flows_next_ms(&fs), INT64_MAX);
	a = flow("a", 2, 500);
	b = flow("b", 1, 300);
	assert_int_equal(flows_next_ms(&fs), 300);
	flows_wake(&fs, 299);
	assert_null(flows_pick(&fs, FLOW_CALLS, 4, &n));
	flows_wake(&fs, 300);
	assert_int_equal(flows_next_ms(&fs), 500);
	assert_ptr_equal(flows_pick(&fs, FLOW_CALLS, 4, &n), b);
	/* what becomes due while it is being taken is not forgotten */
	flows_due(&fs, b, 800);
	flows_took(&fs, b, n, INT64_MAX);
	flows_due(&fs, a, 900); /* later than what it has */
	assert_int_equal(flows_next_ms(&fs), 500);
	flows_wake(&fs, 600);
	fs.room = room;
	fs.ctx = (void *)(uintptr_t)"a";
	assert_null(flows_pick(&fs, FLOW_CALLS, 4, &n));
	room_for_a = 2;
	assert_ptr_equal(flows_pick(&fs, FLOW_CALLS, 4, &n), a);
	assert_int_equal(n, 2);
	flows_took(&fs, a, n, 500);
	assert_int_equal(flows_next_ms(&fs), 500);
	/* one with nothing left goes */
	flows_count(&fs, b, -1, -100);
	flows_drop_empty(&fs, b);
	assert_null(flows_find(&fs, "b"));
	flows_drop_empty(&fs, a);
	assert_ptr_equal(flows_find(&fs, "a"), a);
	assert_int_equal(fs.count, 2);
	assert_int_equal(fs.bytes, 200);
	end();
}

static void many(void **state)
{
	char name[16];
	unsigned n = 0, got = 0;

	flows_init(&fs, 4, 4);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		flow(name, 1, 20000 - i);
	}
	flows_wake(&fs, 30000);
	for (struct flow *f; (f = flows_pick(&fs, FLOW_CALLS, 4, &n)); got++) {
		flows_took(&fs, f, n, INT64_MAX);
		flows_count(&fs, f, -1, -100);
		flows_drop_empty(&fs, f);
	}
	assert_int_equal(got, 20000);
	assert_int_equal(fs.count, 0);
	assert_int_equal(fs.due.count, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_are_taken), cmocka_unit_test(slots_are_left_for_others), cmocka_unit_test(times),
		cmocka_unit_test(many),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
