/* Free memory of a snapshot: the longest stretches of zeros are found, and a section that cannot be right is refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "snapshots/empty.h"
#include "snapshots/memfile.h"

#define BLOCK ((uint64_t)SNAP_EMPTY_BLOCK)

/* expected: pairs of first block and number of blocks, up to a pair without any. */
static void expect_empty(const struct snap_runs *runs, uint64_t ram, const unsigned *expected)
{
	struct snap_empty e, got;
	uint8_t buf[4 + 16 * SNAP_EMPTY_MAX];
	struct stk_wr w = stk_wr_init(buf, sizeof(buf));
	struct stk_rd rd;
	unsigned n = 0;

	snap_empty_find(runs, ram, &e);
	for (; expected[2 * n + 1]; n++) {
		assert_true(n < e.count);
		assert_int_equal(e.stretch[n].offset, (uint64_t)expected[2 * n] * BLOCK);
		assert_int_equal(e.stretch[n].length, (uint64_t)expected[2 * n + 1] * BLOCK);
	}
	assert_int_equal(e.count, n);
	assert_int_equal(snap_empty_check(&e, runs, NULL), 0);
	snap_empty_encode(&e, &w);
	rd = stk_rd_init(buf, w.len);
	assert_int_equal(snap_empty_decode(&rd, ram, &got, NULL), 0);
	assert_int_equal(got.count, n);
	assert_memory_equal(got.stretch, e.stretch, n * sizeof(e.stretch[0]));
}

#define EXPECT_EMPTY(runs, ram, ...) expect_empty(runs, ram, (const unsigned[]){__VA_ARGS__, 0, 0})

/* The longest stretches of zeros that RAM has: in whole blocks, and not beyond it, where drives are. */
static void test_find(void **state)
{
	struct snap_run r[6] = {{4096, 4096, 0}, {6 * BLOCK, 4096, 0}, {40 * BLOCK - 4096, 8192, 0}};
	struct snap_runs runs = {.run = r, .count = 3};

	EXPECT_EMPTY(&runs, 64 * BLOCK, 1, 5, 7, 32, 41, 23);
	EXPECT_EMPTY(&runs, 39 * BLOCK, 1, 5, 7, 32);
	EXPECT_EMPTY(&runs, 20 * BLOCK + 4096, 1, 5, 7, 13);
	EXPECT_EMPTY(&runs, 4 * BLOCK, 1, 3);
	EXPECT_EMPTY(&runs, BLOCK, 0, 0);
	runs.count = 0;
	EXPECT_EMPTY(&runs, 64 * BLOCK, 0, 64);
	for (unsigned i = 0; i < 6; i++) /* 2, 1, 3, 4, 5, 6 blocks, and the 40 behind them: two too many, the shortest */
		r[i] = (struct snap_run){(i == 0 ? 2 : i == 1 ? 4 : r[i - 1].offset / BLOCK + i + 2) * BLOCK, BLOCK, 0};
	runs.count = 6;
	EXPECT_EMPTY(&runs, 68 * BLOCK, 9, 4, 14, 5, 20, 6, 27, 41);
}

static void test_section(void **state)
{
	static const struct snap_empty wrong[] = {
		{1, {{BLOCK, 64 * BLOCK}}}, {1, {{65 * BLOCK, BLOCK}}}, {1, {{4096, BLOCK}}}, {1, {{0, 4096}}}, {1, {{BLOCK, 0}}},
		{1, {{BLOCK, UINT64_MAX - BLOCK + 1}}}, {2, {{BLOCK, 2 * BLOCK}, {2 * BLOCK, BLOCK}}}};
	struct snap_run run = {4 * BLOCK, 4096, 0};
	struct snap_runs runs = {.run = &run, .count = 1};
	struct snap_empty e = {2, {{0, BLOCK}, {2 * BLOCK, 3 * BLOCK}}};
	struct stk_err err = {0};
	uint8_t buf[4 + 16 * (SNAP_EMPTY_MAX + 1)] = {1};
	struct stk_rd rd = stk_rd_init(buf, 19);

	assert_int_equal(snap_empty_decode(&rd, 64 * BLOCK, &e, NULL), -EINVAL); /* cut short */
	buf[0] = SNAP_EMPTY_MAX + 1;
	rd = stk_rd_init(buf, sizeof(buf));
	assert_int_equal(snap_empty_decode(&rd, 64 * BLOCK, &e, NULL), -EINVAL); /* too many */
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct stk_wr w = stk_wr_init(buf, sizeof(buf));

		snap_empty_encode(&wrong[i], &w);
		rd = stk_rd_init(buf, w.len);
		assert_int_equal(snap_empty_decode(&rd, 64 * BLOCK, &e, NULL), -EINVAL);
	}
	e = (struct snap_empty){2, {{0, BLOCK}, {2 * BLOCK, 3 * BLOCK}}};
	assert_int_equal(snap_empty_check(&e, &runs, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "EMPTY"));
	e = (struct snap_empty){2, {{0, 4 * BLOCK}, {5 * BLOCK, BLOCK}}};
	assert_int_equal(snap_empty_check(&e, &runs, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_section),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
