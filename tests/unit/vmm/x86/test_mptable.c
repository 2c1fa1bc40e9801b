/* MP table as a kernel reads it: signature, checksums, one entry per processor. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "vmm/x86/layout.h"
#include "vmm/x86/mptable.h"

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static void check(unsigned vcpus)
{
	struct gmem mem;
	const uint8_t *fp, *t, *p;
	unsigned cpus = 0, ints = 0, ioapics = 0, others = 0, boot = 0;
	uint16_t len, entries;
	uint32_t addr;

	assert_int_equal(gmem_init_anon(&mem, 1 << 20, NULL), 0);
	assert_int_equal(mptable_write(&mem, vcpus, NULL), 0);
	fp = mem.base + LAYOUT_MPTABLE;
	assert_memory_equal(fp, "_MP_", 4);
	assert_int_equal(sum(fp, 16), 0);
	memcpy(&addr, fp + 4, 4);
	t = mem.base + addr;
	assert_memory_equal(t, "PCMP", 4);
	memcpy(&len, t + 4, 2);
	memcpy(&entries, t + 34, 2);
	assert_int_equal(sum(t, len), 0);
	assert_true(addr + len <= LAYOUT_MPTABLE + LAYOUT_MPTABLE_MAX);
	p = t + 44;
	for (unsigned i = 0; i < entries; i++) {
		if (p[0] == 0) {
			assert_int_equal(p[1], cpus); /* APIC ids in order */
			boot += (p[3] & 2) != 0;
			cpus++;
			p += 20;
			continue;
		}
		ioapics += p[0] == 2;
		ints += p[0] == 3;
		others += p[0] == 1 || p[0] == 4;
		p += 8;
	}
	assert_ptr_equal(p, t + len);
	assert_int_equal(cpus, vcpus);
	assert_int_equal(boot, 1);
	assert_int_equal(ioapics, 1);
	assert_int_equal(ints, 16);
	assert_int_equal(others, 3);
	gmem_fini(&mem);
}

static void test_tables(void **state)
{
	for (unsigned n = 1; n <= 32; n++)
		check(n);
}

static void test_refused(void **state)
{
	struct stk_err err = {0};
	struct gmem mem;

	assert_int_equal(gmem_init_anon(&mem, 0x9f000, NULL), 0);
	assert_int_equal(mptable_write(&mem, 1, &err), -EINVAL); /* no memory there */
	gmem_fini(&mem);
	assert_int_equal(gmem_init_anon(&mem, 1 << 20, NULL), 0);
	assert_int_equal(mptable_write(&mem, 200, &err), -ENOSPC);
	gmem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_refused),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
