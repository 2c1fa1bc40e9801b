/* CRC-64/XZ: known answers, and equality with the bit-by-bit definition for all lengths and splits. */
#include "common/base/crc64.h"

#include "tests/unit/unit.h"

static uint64_t slow_crc(const uint8_t *p, size_t len)
{
	uint64_t c = ~0ULL;

	while (len--) {
		c ^= *p++;
		for (int k = 0; k < 8; k++)
			c = (c & 1) ? (c >> 1) ^ 0xc96c5795d7870f42ULL : c >> 1;
	}
	return ~c;
}

static void test_known(void **state)
{
	assert_true(stk_crc64(0, "123456789", 9) == 0x995dc9bbdf1939faULL);
	assert_true(stk_crc64(0, "", 0) == 0);
}

static void test_lengths_and_splits(void **state)
{
	uint8_t data[100];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + 11);
	for (size_t off = 0; off < 8; off++) {
		for (size_t len = 0; len + off <= sizeof(data); len++) {
			uint64_t want = slow_crc(data + off, len);
			size_t cut = len / 3;

			assert_true(stk_crc64(0, data + off, len) == want);
			assert_true(stk_crc64(stk_crc64(0, data + off, cut), data + off + cut,
					      len - cut) == want);
		}
	}
}

static void test_flipped_bit_is_seen(void **state)
{
	uint8_t data[64] = {0};
	uint64_t clean = stk_crc64(0, data, sizeof(data));

	for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_true(stk_crc64(0, data, sizeof(data)) != clean);
		data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_lengths_and_splits),
		cmocka_unit_test(test_flipped_bit_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
