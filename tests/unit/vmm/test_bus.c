/* Port and memory-mapped ranges: who answers, and what nobody answers. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "vmm/bus.h"

struct probe {
	uint64_t off;
	unsigned len, reads, writes;
	uint8_t last;
};

static void probe_read(void *ctx, uint64_t off, uint8_t *data, unsigned len)
{
	struct probe *p = ctx;

	p->off = off;
	p->len = len;
	p->reads++;
	memset(data, 0x5a, len);
}

static void probe_write(void *ctx, uint64_t off, const uint8_t *data, unsigned len)
{
	struct probe *p = ctx;

	p->off = off;
	p->len = len;
	p->writes++;
	p->last = data[0];
}

static const struct bus_ops ops = {probe_read, probe_write};

static void test_dispatch(void **state)
{
	struct bus bus = {0};
	struct probe a = {0}, b = {0};
	uint8_t d[8];

	assert_int_equal(bus_add(&bus, 0x3f8, 8, &ops, &a), 0);
	assert_int_equal(bus_add(&bus, 0x64, 1, &ops, &b), 0);
	bus_read(&bus, 0x3fd, d, 1);
	assert_int_equal(a.reads, 1);
	assert_int_equal(a.off, 5);
	assert_int_equal(d[0], 0x5a);
	d[0] = 0xfe;
	bus_write(&bus, 0x64, d, 1);
	assert_int_equal(b.writes, 1);
	assert_int_equal(b.last, 0xfe);
	assert_int_equal(a.writes, 0);
	assert_true(bus_claims(&bus, 0x3ff, 1));
	assert_false(bus_claims(&bus, 0x3ff, 2));
	assert_false(bus_claims(&bus, 0x400, 1));
}

static void test_nobody(void **state)
{
	struct bus bus = {0};
	struct probe a = {0};
	uint8_t d[4] = {1, 2, 3, 4};

	assert_int_equal(bus_add(&bus, 0x1000, 0x10, &ops, &a), 0);
	bus_read(&bus, 0x20, d, 4);
	assert_memory_equal(d, "\xff\xff\xff\xff", 4);
	memset(d, 0, sizeof(d));
	bus_read(&bus, 0x100e, d, 4); /* straddles the end */
	assert_memory_equal(d, "\xff\xff\xff\xff", 4);
	bus_write(&bus, 0x100e, d, 4);
	bus_write(&bus, 0xfff, d, 2); /* straddles the start */
	bus_write(&bus, UINT64_MAX, d, 4);
	assert_int_equal(a.reads + a.writes, 0);
}

static void test_add(void **state)
{
	struct bus bus = {0};

	assert_int_equal(bus_add(&bus, 0x100, 0x10, &ops, NULL), 0);
	assert_int_equal(bus_add(&bus, 0x10f, 1, &ops, NULL), -EEXIST);
	assert_int_equal(bus_add(&bus, 0xf0, 0x11, &ops, NULL), -EEXIST);
	assert_int_equal(bus_add(&bus, 0x110, 1, &ops, NULL), 0);
	assert_int_equal(bus_add(&bus, 0x200, 0, &ops, NULL), -EINVAL);
	assert_int_equal(bus_add(&bus, UINT64_MAX, 2, &ops, NULL), -EINVAL);
	for (unsigned i = bus.count; i < BUS_MAX_RANGES; i++)
		assert_int_equal(bus_add(&bus, 0x1000 + i, 1, &ops, NULL), 0);
	assert_int_equal(bus_add(&bus, 0x5000, 1, &ops, NULL), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dispatch),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_add),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
