/* Working set: what goes in comes out; anything else is refused with its reason. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/crc64.h"
#include "snapshots/workingset.h"

#define PAGES 1000u

static void encoded(const struct snap_page_range *range, unsigned n, uint8_t **ret, size_t *ret_len)
{
	struct snap_workingset ws = {.written = {.range = (struct snap_page_range *)(uintptr_t)range, .count = n}};

	assert_int_equal(snap_workingset_encode(&ws, ret, ret_len), 0);
}

static void refused(const struct snap_page_range *range, unsigned n, const char *why)
{
	struct snap_workingset ws;
	struct stk_err err = {0, ""};
	uint8_t *data;
	size_t len;

	encoded(range, n, &data, &len);
	assert_int_equal(snap_workingset_decode(data, len, PAGES, &ws, &err), -EBADMSG);
	if (!strstr(err.text, why))
		fail_msg("%s", err.text);
	free(data);
}

static void test_round_trip(void **state)
{
	static const uint32_t pages[] = {0, 1, 2, 7, 9, 10, 999};
	static const struct snap_page_range want[] = {{0, 3}, {7, 1}, {9, 2}, {999, 1}};
	struct snap_workingset ws = {0}, back;
	struct stk_err err = {0, ""};
	uint8_t *data;
	size_t len;

	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(snap_page_list_add(&ws.written, pages[i]), 0);
	assert_int_equal(ws.written.count, 4);
	assert_int_equal(snap_page_list_add(&ws.read, 4), 0);
	assert_int_equal(snap_workingset_encode(&ws, &data, &len), 0);
	assert_int_equal(snap_workingset_decode(data, len, PAGES, &back, &err), 0);
	assert_int_equal(back.written.count, 4);
	assert_memory_equal(back.written.range, want, sizeof(want));
	assert_int_equal(back.read.count, 1);
	assert_int_equal(back.read.range[0].first, 4);
	snap_workingset_fini(&ws);
	snap_workingset_fini(&back);
	free(data);
}

static void test_refused(void **state)
{
	refused((struct snap_page_range[]){{5, 2}, {3, 1}}, 2, "out of order");
	refused((struct snap_page_range[]){{5, 2}, {6, 1}}, 2, "out of order");
	refused((struct snap_page_range[]){{5, 2}, {7, 1}}, 2, "out of order");
	refused((struct snap_page_range[]){{5, 0}}, 1, "out of order");
	refused((struct snap_page_range[]){{PAGES, 1}}, 1, "beyond the end");
	refused((struct snap_page_range[]){{UINT32_MAX, UINT32_MAX}}, 1, "beyond the end");
}

static void test_flipped_and_cut(void **state)
{
	struct snap_workingset ws;
	struct stk_err err = {0, ""};
	uint8_t *data;
	size_t len;

	encoded((struct snap_page_range[]){{1, 2}, {4, 1}}, 2, &data, &len);
	for (size_t i = 0; i < len; i++) {
		data[i] ^= 1;
		assert_int_equal(snap_workingset_decode(data, len, PAGES, &ws, &err), -EBADMSG);
		data[i] ^= 1;
	}
	for (size_t n = 0; n < len; n++)
		assert_int_equal(snap_workingset_decode(data, n, PAGES, &ws, &err), -EBADMSG);
	free(data);
}

static void test_full(void **state)
{
	struct snap_workingset ws = {0};

	for (uint32_t i = 0; i < SNAP_WORKINGSET_MAX_RANGES / 2; i++)
		assert_int_equal(snap_page_list_add(&ws.read, i * 2), 0);
	assert_int_equal(snap_page_list_add(&ws.read, 1u << 20), -ENOSPC);
	assert_int_equal(ws.read.count, SNAP_WORKINGSET_MAX_RANGES / 2);
	snap_workingset_fini(&ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_flipped_and_cut),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
