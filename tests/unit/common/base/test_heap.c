/* Order of a heap under joins, moves and leaves, against a plain search. */
#include "tests/unit/unit.h"

#include "common/base/heap.h"

#define NODES 500

static void the_smallest_comes_first(void **state)
{
	struct stk_heap h = {0};
	struct stk_heap_node n[3] = {0};

	assert_null(stk_heap_first(&h));
	assert_int_equal(stk_heap_join(&h, &n[0], 20), 0);
	assert_int_equal(stk_heap_join(&h, &n[1], 10), 0);
	assert_int_equal(stk_heap_join(&h, &n[2], UINT64_MAX), 0);
	assert_ptr_equal(stk_heap_first(&h), &n[1]);
	stk_heap_set(&h, &n[1], 30);
	assert_ptr_equal(stk_heap_first(&h), &n[0]);
	stk_heap_set(&h, &n[2], 0);
	assert_ptr_equal(stk_heap_first(&h), &n[2]);
	stk_heap_leave(&h, &n[2]);
	stk_heap_leave(&h, &n[2]); /* it has left already */
	stk_heap_leave(&h, &n[0]);
	assert_ptr_equal(stk_heap_first(&h), &n[1]);
	assert_int_equal(stk_heap_join(&h, &n[0], 5), 0); /* and comes back */
	assert_ptr_equal(stk_heap_first(&h), &n[0]);
	stk_heap_fini(&h);
	assert_null(stk_heap_first(&h));
}

static void any_sequence_keeps_the_order(void **state)
{
	static struct stk_heap_node n[NODES];
	struct stk_heap h = {0};
	uint64_t x = 88172645463325252ull;

	for (unsigned round = 0; round < 20000; round++) {
		struct stk_heap_node *it;
		uint64_t least = UINT64_MAX, key;
		size_t in = 0;

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		it = &n[x % NODES];
		key = (x >> 20) % 1000;
		if (!it->at)
			assert_int_equal(stk_heap_join(&h, it, key), 0);
		else if ((x >> 40) % 3 == 0)
			stk_heap_leave(&h, it);
		else
			stk_heap_set(&h, it, key);
		if (round % 16)
			continue;
		for (unsigned i = 0; i < NODES; i++) {
			in += n[i].at != 0;
			if (n[i].at && n[i].key < least)
				least = n[i].key;
		}
		assert_int_equal(h.count, in);
		if (in)
			assert_int_equal(stk_heap_first(&h)->key, least);
	}
	stk_heap_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_comes_first),
		cmocka_unit_test(any_sequence_keeps_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
