/* What two records make of a function's working set, and how a waiting clone is told. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "scheduler/learn.h"

#define PAGES  100000u
#define R      1 /* read */
#define W      2 /* written */
#define GIB(n) ((n) << (30 - 12))

static uint8_t a[PAGES], b[PAGES];

static struct snap_workingset merge(void)
{
	struct snap_workingset ws;

	assert_int_equal(learn_merge(a, b, PAGES, &ws), 0);
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	return ws;
}

static unsigned pages_in(const struct snap_page_list *list)
{
	unsigned n = 0;

	for (unsigned i = 0; i < list->count; i++)
		n += list->range[i].count;
	return n;
}

static void test_both_records_count(void **state)
{
	struct snap_workingset ws;

	a[1] = b[1] = W;
	a[2] = b[2] = W;
	a[5] = b[5] = R;
	a[6] = W, b[6] = R; /* read at least, both times */
	a[8] = W;           /* once: no */
	b[9] = R;
	ws = merge();
	assert_int_equal(ws.written.count, 1);
	assert_int_equal(ws.written.range[0].first, 1);
	assert_int_equal(ws.written.range[0].count, 2);
	assert_int_equal(ws.read.count, 1);
	assert_int_equal(ws.read.range[0].first, 5);
	assert_int_equal(ws.read.range[0].count, 2);
	snap_workingset_fini(&ws);
}

/* A function that goes over all of its memory does not make each waiting VM that large. */
static void test_bounds(void **state)
{
	struct snap_workingset ws;
	uint8_t *frame;
	size_t len;

	memset(a, W, sizeof(a));
	memset(b, W, sizeof(b));
	ws = merge();
	assert_int_equal(pages_in(&ws.written), 4096);
	assert_int_equal(pages_in(&ws.read), 0); /* most is memory that was free: there is nothing to read */
	snap_workingset_fini(&ws);
	memset(a, R, sizeof(a));
	memset(b, R, sizeof(b));
	ws = merge();
	assert_int_equal(pages_in(&ws.written), 0);
	assert_int_equal(pages_in(&ws.read), 16384);
	snap_workingset_fini(&ws);
	for (unsigned i = 0; i < PAGES; i += 2)
		a[i] = b[i] = i % 4 ? R : W; /* more ranges than a set and a frame hold */
	ws = merge();
	assert_int_equal(learn_frame(&ws, NULL, 0, &frame, &len), 0);
	assert_true(len <= GW_HEADER_LEN + GW_MAX_RANGES * sizeof(struct gw_page_range));
	free(frame);
	snap_workingset_fini(&ws);
}

/* RAM above 3 GiB lies above 4 GiB in the guest. */
static void test_frame_leaves_the_hole_out(void **state)
{
	struct snap_page_range written[] = {{10, 3}, {GIB(3) - 2, 4}}, read[] = {{GIB(5), 7}};
	static const struct gw_page_range want[] = {{10, 3}, {GIB(3) - 2, 2}, {GIB(4), 2}, {GIB(6), 7}};
	struct snap_workingset ws = {.written = {.range = written, .count = 2}, .read = {.range = read, .count = 1}};
	struct gw_header h;
	unsigned count;
	uint8_t *frame;
	size_t len;

	assert_int_equal(learn_frame(&ws, NULL, 0, &frame, &len), 0);
	assert_int_equal(gw_header_decode(frame, &h), 0);
	assert_int_equal(h.type, GW_PREFAULT);
	assert_int_equal(h.length, len - GW_HEADER_LEN);
	assert_int_equal(gw_prefault_decode(frame + GW_HEADER_LEN, h.length, &count), 0);
	assert_int_equal(count, 4);
	for (unsigned i = 0; i < count; i++) {
		struct gw_page_range r = gw_prefault_range(frame + GW_HEADER_LEN, i);

		assert_int_equal(r.first, want[i].first);
		assert_int_equal(r.count, want[i].count);
	}
	free(frame);
}

static void test_frame_has_one_page_of_a_shared_block(void **state)
{
	struct snap_page_range written[] = {{10, 3}}, read[] = {{500, 20}, {600, 5}, {1020, 10}, {GIB(4), 600}};
	static const struct block_use shared[] = {{1, 7}, {2048, 8}};
	static const struct gw_page_range want[] = {{10, 3}, {500, 12}, {1024, 6}, {GIB(5) + 512, 88}, {512, 1}, {GIB(5), 1}};
	struct snap_workingset ws = {.written = {.range = written, .count = 1}, .read = {.range = read, .count = 4}};
	unsigned count;
	uint8_t *frame;
	size_t len;

	assert_int_equal(learn_frame(&ws, shared, 2, &frame, &len), 0);
	assert_int_equal(gw_prefault_decode(frame + GW_HEADER_LEN, len - GW_HEADER_LEN, &count), 0);
	assert_int_equal(count, STK_ARRAY_LEN(want));
	for (unsigned i = 0; i < count; i++) {
		struct gw_page_range r = gw_prefault_range(frame + GW_HEADER_LEN, i);

		assert_int_equal(r.first, want[i].first);
		assert_int_equal(r.count, want[i].count);
	}
	free(frame);
}

/* Blocks of 512 pages of which some are read and none is written. */
static void test_blocks_worth_sharing(void **state)
{
	struct snap_page_range written[] = {{511, 1}, {2048, 1}}, read[] = {
		{480, 31},   /* 0: read, and written */
		{520, 15},   /* 1 */
		{1024, 8}, {1100, 8},	  /* 2 */
		{1530, 6 + 512 + 2}, /* 2, all of 3, 4, which is written as well */
		{3072 + 500, 24}, /* 6 and 7 */
		{4096, 2048}, /* 8 to 11 */
		{(65536u + 1) * 512, 1}, /* out of reach */
	};
	struct snap_workingset ws = {.written = {.range = written, .count = 2},
				     .read = {.range = read, .count = STK_ARRAY_LEN(read)}};
	static const struct block_want all[] = {{1, 15}, {2, 22}, {3, 512}, {6, 12}, {7, 12},
						{8, 512}, {9, 512}, {10, 512}, {11, 512}};
	static const struct block_want most[] = {{2, 22}, {3, 512}, {8, 512}, {9, 512}, {10, 512}, {11, 512}};
	static const struct block_want first[] = {{1, 15}, {2, 22}, {3, 512}, {6, 12}, {7, 12}};
	struct block_want got[16];

	assert_int_equal(learn_blocks(&ws, got, 16), STK_ARRAY_LEN(all));
	assert_memory_equal(got, all, sizeof(all));
	assert_int_equal(learn_blocks(&ws, got, STK_ARRAY_LEN(most)), STK_ARRAY_LEN(most));
	assert_memory_equal(got, most, sizeof(most));
	ws.written.range[1].first = 4096; /* 4 is read only, and from 8 on all is written */
	ws.written.range[1].count = 4096;
	assert_int_equal(learn_blocks(&ws, got, 16), STK_ARRAY_LEN(first) + 1);
	assert_memory_equal(got, first, 3 * sizeof(*first));
	assert_memory_equal(&got[3], (&(struct block_want){4, 2}), sizeof(*got));
	assert_memory_equal(&got[4], first + 3, 2 * sizeof(*first));
	ws.read.count = 0;
	assert_int_equal(learn_blocks(&ws, got, 16), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_records_count),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_frame_leaves_the_hole_out),
		cmocka_unit_test(test_frame_has_one_page_of_a_shared_block),
		cmocka_unit_test(test_blocks_worth_sharing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
