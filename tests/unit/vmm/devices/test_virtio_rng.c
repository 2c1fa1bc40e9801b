/* The entropy device fills what it is given, with different bytes each time. */
#include "tests/unit/unit.h"

#include <string.h>

#include "tests/lib/ring_builder.h"
#include "vmm/devices/virtio_rng.h"

static struct rig rig;
static struct device *dev;
static struct ring ring;

static int setup(void **state)
{
	struct stk_err err;

	rig_init(&rig, 4 << 20);
	assert_int_equal(virtio_rng_create(&rig.host, 0, &dev, &err), 0);
	ring_init(&ring, &rig, 64);
	assert_true(rig_start(&rig, 0, 0, &ring, 1));
	return 0;
}

static int teardown(void **state)
{
	dev->ops->fini(dev);
	rig_fini(&rig);
	return 0;
}

static void test_fills(void **state)
{
	uint64_t at = rig_alloc(&rig, 8192, 16);
	uint8_t *p = rig_ptr(&rig, at, 8192);
	uint32_t head, len;

	ring_add(&ring, (struct ring_seg[]){{at, 64, true}, {at + 100, 64, true}}, 2);
	rig_notify(&rig, 0, 0);
	assert_true(ring_take(&ring, &head, &len));
	assert_int_equal(len, 128);
	assert_memory_not_equal(p, p + 100, 64);
	for (unsigned i = 64; i < 100; i++)
		assert_int_equal(p[i], 0);
	for (unsigned i = 164; i < 8192; i++)
		assert_int_equal(p[i], 0);
}

static void test_cap(void **state)
{
	uint64_t at = rig_alloc(&rig, 1 << 20, 16);
	uint8_t *p = rig_ptr(&rig, at, 1 << 20);
	uint32_t head, len;

	ring_add(&ring, &(struct ring_seg){at, 1 << 20, true}, 1);
	rig_notify(&rig, 0, 0);
	assert_true(ring_take(&ring, &head, &len));
	assert_int_equal(len, VIRTIO_RNG_REQUEST_MAX);
	for (unsigned i = VIRTIO_RNG_REQUEST_MAX; i < 1 << 20; i++)
		assert_int_equal(p[i], 0);
}

static void test_many(void **state)
{
	uint64_t at = rig_alloc(&rig, 64, 16);
	uint32_t head, len;

	for (unsigned i = 0; i < 64; i++)
		ring_add(&ring, &(struct ring_seg){at, 8, true}, 1);
	rig_set(&rig, 0, 0x50, 0);
	for (unsigned i = 0; i < 8; i++)
		rig_turn(&rig);
	for (unsigned i = 0; i < 64; i++) {
		assert_true(ring_take(&ring, &head, &len));
		assert_int_equal(head, i);
		assert_int_equal(len, 8);
	}
}

static void test_readable_is_refused(void **state)
{
	ring_add(&ring, &(struct ring_seg){0x80000, 64, false}, 1);
	rig_notify(&rig, 0, 0);
	assert_true(rig_status(&rig, 0) & RIG_STATUS_NEEDS_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fills, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readable_is_refused, setup, teardown),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
