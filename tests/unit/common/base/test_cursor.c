/* Bounded readers and writers: nothing beyond the range, bad stays bad. */
#include "common/base/cursor.h"

#include "tests/unit/unit.h"

static void test_round_trip(void **state)
{
	uint8_t buf[32];
	struct stk_wr w = stk_wr_init(buf, sizeof(buf));
	struct stk_rd r;
	uint8_t text[3];

	stk_wr_u8(&w, 0x12);
	stk_wr_u16(&w, 0x3456);
	stk_wr_u32(&w, 0x789abcde);
	stk_wr_u64(&w, 0x0123456789abcdefULL);
	stk_wr_bytes(&w, "abc", 3);
	assert_false(w.bad);
	assert_int_equal(w.len, 18);
	assert_int_equal(w.left, 14);
	assert_int_equal(buf[1], 0x56); /* little-endian */
	r = stk_rd_init(buf, w.len);
	assert_int_equal(stk_rd_u8(&r), 0x12);
	assert_int_equal(stk_rd_u16(&r), 0x3456);
	assert_int_equal(stk_rd_u32(&r), 0x789abcde);
	assert_true(stk_rd_u64(&r) == 0x0123456789abcdefULL);
	stk_rd_copy(&r, text, 3);
	assert_memory_equal(text, "abc", 3);
	assert_false(r.bad);
	assert_int_equal(r.left, 0);
}

static void test_short_reads(void **state)
{
	uint8_t buf[3] = {1, 2, 3}, out[4] = {9, 9, 9, 9};
	struct stk_rd r = stk_rd_init(buf, sizeof(buf));

	assert_int_equal(stk_rd_u32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(stk_rd_u8(&r), 0); /* although a byte is there */
	assert_null(stk_rd_bytes(&r, 0));
	stk_rd_copy(&r, out, sizeof(out));
	assert_memory_equal(out, "\0\0\0\0", 4);
	r = stk_rd_init(buf, sizeof(buf));
	assert_null(stk_rd_bytes(&r, SIZE_MAX));
	assert_true(r.bad);
	r = stk_rd_init(buf, sizeof(buf));
	assert_ptr_equal(stk_rd_bytes(&r, 3), buf);
	assert_false(r.bad);
}

static void test_short_writes(void **state)
{
	uint8_t buf[4] = {9, 9, 9, 9};
	struct stk_wr w = stk_wr_init(buf, 3);

	stk_wr_u16(&w, 0);
	stk_wr_u16(&w, 0); /* one byte of room: nothing is written */
	assert_true(w.bad);
	assert_int_equal(w.len, 2);
	stk_wr_u8(&w, 1);
	assert_int_equal(w.len, 2);
	assert_memory_equal(buf, "\0\0\x09\x09", 4);
	w = stk_wr_init(buf, sizeof(buf));
	stk_wr_bytes(&w, buf, SIZE_MAX);
	assert_true(w.bad);
	w = stk_wr_init(NULL, 0);
	stk_wr_bytes(&w, NULL, 0);
	assert_false(w.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_short_reads),
		cmocka_unit_test(test_short_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
