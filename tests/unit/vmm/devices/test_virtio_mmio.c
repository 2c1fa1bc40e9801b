/* The transport's registers, seen by a driver: initialisation in order, refusals, reset, state. The
 * entropy device stands for all. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/ring_builder.h"
#include "vmm/devices/virtio_mmio.h"
#include "vmm/devices/virtio_rng.h"

static struct rig rig;
static struct device *dev;
static struct ring ring;

static int setup(void **state)
{
	struct stk_err err;

	rig_init(&rig, 1 << 20);
	assert_int_equal(virtio_rng_create(&rig.host, 0, &dev, &err), 0);
	ring_init(&ring, &rig, 16);
	return 0;
}

static int teardown(void **state)
{
	dev->ops->fini(dev);
	rig_fini(&rig);
	return 0;
}

static void ask(uint32_t len)
{
	ring_add(&ring, &(struct ring_seg){0x80000, len, true}, 1);
	rig_notify(&rig, 0, 0);
}

static void test_identity(void **state)
{
	uint8_t byte[2];

	assert_int_equal(rig_get(&rig, 0, 0x00), 0x74726976);
	assert_int_equal(rig_get(&rig, 0, 0x04), 2);
	assert_int_equal(rig_get(&rig, 0, 0x08), 4);
	assert_int_equal(rig_get(&rig, 0, 0x34), 256);
	rig_set(&rig, 0, 0x30, 1);
	assert_int_equal(rig_get(&rig, 0, 0x34), 0); /* there is one queue */
	rig_set(&rig, 0, 0x14, 1);
	assert_int_equal(rig_get(&rig, 0, 0x10), 1);
	rig_set(&rig, 0, 0x14, 7);
	assert_int_equal(rig_get(&rig, 0, 0x10), 0);
	assert_int_equal(rig_get(&rig, 0, 0xb0), 0xffffffff);
	assert_int_equal(rig_get(&rig, 0, 0x100), 0);
	/* Odd widths read as zero and change nothing. */
	bus_read(&rig.mmio, DEVICE_MMIO_BASE, byte, 2);
	assert_int_equal(byte[0] | byte[1], 0);
	bus_write(&rig.mmio, DEVICE_MMIO_BASE + 0x70, (uint8_t[]){1}, 1);
	assert_int_equal(rig_status(&rig, 0), 0);
}

static void test_order_is_enforced(void **state)
{
	rig_set(&rig, 0, 0x70, 15);
	assert_int_equal(rig_status(&rig, 0), 0);
	rig_set(&rig, 0, 0x70, 2);
	assert_int_equal(rig_status(&rig, 0), 0);
	rig_set(&rig, 0, 0x70, 1);
	rig_set(&rig, 0, 0x70, 3);
	rig_set(&rig, 0, 0x70, 7); /* DRIVER_OK before FEATURES_OK */
	assert_int_equal(rig_status(&rig, 0), 3);
	assert_false(rig_set_queue(&rig, 0, 0, &ring)); /* nor queues */
	rig_set(&rig, 0, 0x70, 11); /* VERSION_1 was not accepted */
	assert_int_equal(rig_status(&rig, 0), 3);
	rig_set(&rig, 0, 0x24, 1);
	rig_set(&rig, 0, 0x20, 3); /* a feature that was not offered */
	rig_set(&rig, 0, 0x70, 11);
	assert_int_equal(rig_status(&rig, 0), 3);
	rig_set(&rig, 0, 0x20, 1);
	rig_set(&rig, 0, 0x70, 11);
	assert_int_equal(rig_status(&rig, 0), 11);
	rig_set(&rig, 0, 0x20, 0); /* too late: ignored */
	assert_true(rig_set_queue(&rig, 0, 0, &ring));
	rig_set(&rig, 0, 0x70, 15);
	rig_set(&rig, 0, 0x70, 1); /* bits are not taken back */
	assert_int_equal(rig_status(&rig, 0), 15);
	ask(32);
	assert_int_equal(ring_used_idx(&ring), 1);
}

static void test_failed_stops_the_device(void **state)
{
	assert_true(rig_start(&rig, 0, 0, &ring, 1));
	rig_set(&rig, 0, 0x70, 15 | 128);
	ask(32);
	assert_int_equal(ring_used_idx(&ring), 0);
}

static void test_bad_queue(void **state)
{
	struct ring bad = ring;

	bad.used = 1 << 20;
	assert_false(rig_start(&rig, 0, 0, &bad, 1));
	assert_true(rig_status(&rig, 0) & RIG_STATUS_NEEDS_RESET);
	bad = ring;
	bad.size = 0;
	assert_false(rig_start(&rig, 0, 0, &bad, 1));
	assert_true(rig_start(&rig, 0, 0, &ring, 1)); /* a reset repairs it */
}

static void test_interrupts(void **state)
{
	assert_true(rig_start(&rig, 0, 0, &ring, 1));
	assert_int_equal(rig_take_irq(&rig, 0), 0);
	ask(32);
	assert_int_equal(rig_get(&rig, 0, 0x60), 1);
	rig_set(&rig, 0, 0x64, 1);
	assert_int_equal(rig_get(&rig, 0, 0x60), 0);
	ring_set_avail_flags(&ring, 1); /* no interrupts, please */
	ask(32);
	assert_int_equal(ring_used_idx(&ring), 2);
	assert_int_equal(rig_take_irq(&rig, 0), 0);
	virtio_mmio_config_changed((struct virtio_mmio *)dev);
	assert_int_equal(rig_get(&rig, 0, 0xfc), 1);
	assert_int_equal(rig_take_irq(&rig, 0), 2);
}

static void test_malformed_needs_reset(void **state)
{
	for (unsigned how = 0; how < RING_BAD_COUNT; how++) {
		struct ring r;

		ring_init(&r, &rig, 16);
		assert_true(rig_start(&rig, 0, 0, &r, 1));
		ring_add_bad(&r, how);
		rig_notify(&rig, 0, 0);
		if (how == RING_BAD_HUGE)
			continue; /* takes more memory than this guest has: see test_virtq */
		if (rig_status(&rig, 0) != (15 | RIG_STATUS_NEEDS_RESET))
			fail_msg("%s: status %x", ring_bad_name(how), rig_status(&rig, 0));
		assert_int_equal(rig_take_irq(&rig, 0), 2); /* configuration interrupt */
		assert_int_equal(ring_used_idx(&r), 0);
	}
	assert_true(((struct virtio_mmio *)dev)->malformed >= RING_BAD_COUNT - 1);
	assert_true(rig_start(&rig, 0, 0, &ring, 1));
	ask(32);
	assert_int_equal(ring_used_idx(&ring), 1);
}

static void test_reset_clears(void **state)
{
	assert_true(rig_start(&rig, 0, 0, &ring, 1));
	ask(32);
	rig_set(&rig, 0, 0x70, 0);
	assert_int_equal(rig_status(&rig, 0), 0);
	assert_int_equal(rig_get(&rig, 0, 0x60), 0);
	rig_set(&rig, 0, 0x30, 0);
	assert_int_equal(rig_get(&rig, 0, 0x44), 0);
	ask(32); /* nobody looks */
	assert_int_equal(ring_used_idx(&ring), 1);
}

static void test_state(void **state)
{
	uint8_t blob[256];
	struct stk_wr w = stk_wr_init(blob, sizeof(blob));
	struct bus mmio2 = {0};
	struct device *clone;
	struct stk_err err;
	struct stk_rd r;

	assert_true(rig_start(&rig, 0, 0, &ring, 1));
	ask(32);
	dev->ops->quiesce(dev);
	ask(32); /* arrives in the pause: stays in the queue */
	assert_int_equal(ring_used_idx(&ring), 1);
	assert_int_equal(dev->ops->save(dev, &w), 0);

	rig.host.mmio = &mmio2;
	assert_int_equal(virtio_rng_create(&rig.host, 0, &clone, &err), 0);
	for (size_t cut = 0; cut < w.len; cut++) { /* too short by any length */
		r = stk_rd_init(blob, cut);
		assert_true(clone->ops->restore(clone, &r, 1, &err) < 0);
	}
	r = stk_rd_init(blob, w.len);
	assert_int_equal(clone->ops->restore(clone, &r, 99, &err), -ENOTSUP);
	r = stk_rd_init(blob, w.len);
	assert_int_equal(clone->ops->restore(clone, &r, 1, &err), 0);
	rig_turn(&rig);
	assert_int_equal(ring_used_idx(&ring), 1);
	clone->ops->resume(clone); /* what was waiting is served, the old interrupt still shows */
	assert_int_equal(ring_used_idx(&ring), 2);
	clone->ops->fini(clone);
	rig.host.mmio = &rig.mmio;
}

static void test_hostile_state(void **state)
{
	uint8_t blob[256], bad[256];
	struct stk_wr w = stk_wr_init(blob, sizeof(blob));
	const struct { unsigned off; uint8_t val; } change[] = {
		{0, 4},     /* status: DRIVER_OK alone */
		{2, 1},     /* status: unknown bit */
		{8, 0},     /* VERSION_1 not agreed */
		{4, 1},     /* feature not offered */
		{24, 8},    /* interrupt status */
		{32, 2},    /* queue count */
		{33, 1},    /* descriptor table unaligned */
		{36, 0xff}, /* ... and outside memory */
		{57, 17},   /* size not a power of two */
		{59, 2},    /* ready is 0 or 1 */
		{61, 7},    /* more in flight than there can be */
	};
	struct stk_err err;
	struct stk_rd r;

	assert_true(rig_start(&rig, 0, 0, &ring, 1));
	dev->ops->quiesce(dev);
	assert_int_equal(dev->ops->save(dev, &w), 0);
	for (unsigned i = 0; i < STK_ARRAY_LEN(change); i++) {
		memcpy(bad, blob, sizeof(bad));
		bad[change[i].off] = change[i].val;
		r = stk_rd_init(bad, w.len);
		if (dev->ops->restore(dev, &r, 1, &err) == 0)
			fail_msg("change %u accepted", i);
		assert_true(err.text[0] != 0);
	}
	r = stk_rd_init(blob, w.len);
	assert_int_equal(dev->ops->restore(dev, &r, 1, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_is_enforced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_stops_the_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed_needs_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_clears, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_state, setup, teardown),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
