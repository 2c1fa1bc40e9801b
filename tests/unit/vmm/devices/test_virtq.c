/* The ring walk: good chains come out as they were built, every bad one is refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/ring_builder.h"
#include "vmm/devices/virtq.h"

#define MEM (32ULL << 20)

static struct rig rig;

static int setup(void **state)
{
	rig_init(&rig, MEM);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&rig);
	return 0;
}

static void attach(struct virtq *q, const struct ring *ring)
{
	virtq_init(q, &rig.mem);
	q->desc = ring->desc;
	q->avail = ring->avail;
	q->used = ring->used;
	q->size = ring->size;
}

static void test_chain(void **state)
{
	struct iovec iov[VIRTQ_SIZE_MAX];
	struct virtq_chain c;
	struct ring ring;
	struct virtq q;
	uint32_t head, len;
	uint16_t h;

	ring_init(&ring, &rig, 8);
	attach(&q, &ring);
	assert_int_equal(virtq_pop(&q, iov, 8, &c), 0); /* not ready */
	assert_int_equal(virtq_enable(&q), 0);
	assert_int_equal(virtq_pop(&q, iov, 8, &c), 0);
	h = ring_add(&ring, (struct ring_seg[]){{0x5000, 16, false}, {0x6000, 100, true},
						{MEM - 7, 7, true}}, 3);
	assert_true(virtq_pending(&q));
	assert_int_equal(virtq_pop(&q, iov, 8, &c), 1);
	assert_int_equal(c.head, h);
	assert_int_equal(c.n_out, 1);
	assert_int_equal(c.n_in, 2);
	assert_int_equal(c.out_len, 16);
	assert_int_equal(c.in_len, 107);
	assert_ptr_equal(c.iov[0].iov_base, rig.mem.base + 0x5000);
	assert_ptr_equal(c.iov[2].iov_base, rig.mem.base + MEM - 7);
	assert_int_equal(c.iov[2].iov_len, 7);
	assert_int_equal(virtq_pop(&q, iov, 8, &c), 0);
	virtq_push(&q, c.head, 107);
	assert_true(ring_take(&ring, &head, &len));
	assert_int_equal(head, h);
	assert_int_equal(len, 107);
}

/* The indices run over 2^16 and the rings over their end. */
static void test_wraps(void **state)
{
	struct iovec iov[4];
	struct virtq_chain c;
	struct ring ring;
	struct virtq q;
	uint32_t head, len;

	ring_init(&ring, &rig, 4);
	attach(&q, &ring);
	assert_int_equal(virtq_enable(&q), 0);
	for (uint32_t i = 0; i < 70000; i++) {
		uint16_t h = ring_add(&ring, &(struct ring_seg){0x5000, i % 4000 + 1, i & 1}, 1);

		assert_int_equal(virtq_pop(&q, iov, 4, &c), 1);
		assert_int_equal(c.head, h);
		assert_int_equal(c.out_len + c.in_len, i % 4000 + 1);
		virtq_push(&q, c.head, i);
		assert_true(ring_take(&ring, &head, &len));
		assert_int_equal(len, i);
	}
	assert_null(q.fault);
}

static void test_too_long_is_not_bad(void **state)
{
	struct ring_seg seg[8];
	struct iovec iov[8];
	struct virtq_chain c;
	struct ring ring;
	struct virtq q;

	for (unsigned i = 0; i < 8; i++)
		seg[i] = (struct ring_seg){0x5000 + i * 64, 64, true};
	ring_init(&ring, &rig, 8);
	attach(&q, &ring);
	assert_int_equal(virtq_enable(&q), 0);
	ring_add(&ring, seg, 8);
	assert_int_equal(virtq_pop(&q, iov, 7, &c), -ENOSPC);
	assert_int_equal(virtq_pop(&q, iov, 8, &c), 1);
	assert_int_equal(c.n_in, 8);
	virtq_unpop(&q, 1);
	assert_int_equal(virtq_pop(&q, iov, 8, &c), 1);
}

static void test_bad_chains(void **state)
{
	for (unsigned how = 0; how < RING_BAD_COUNT; how++) {
		struct iovec iov[VIRTQ_SIZE_MAX];
		struct virtq_chain c;
		struct ring ring;
		struct virtq q;

		ring_init(&ring, &rig, 256);
		attach(&q, &ring);
		assert_int_equal(virtq_enable(&q), 0);
		ring_add(&ring, &(struct ring_seg){0x5000, 16, false}, 1);
		assert_int_equal(virtq_pop(&q, iov, VIRTQ_SIZE_MAX, &c), 1);
		ring_add_bad(&ring, how);
		if (virtq_pop(&q, iov, VIRTQ_SIZE_MAX, &c) != -EINVAL || !q.fault)
			fail_msg("bad chain accepted: %s", ring_bad_name(how));
		/* Broken for good, whatever comes next. */
		ring_add(&ring, &(struct ring_seg){0x5000, 16, false}, 1);
		assert_int_equal(virtq_pop(&q, iov, VIRTQ_SIZE_MAX, &c), -EINVAL);
		assert_false(virtq_pending(&q));
	}
}

static void test_setup_is_checked(void **state)
{
	struct ring ring;
	struct virtq q;

	ring_init(&ring, &rig, 256);
	const struct { uint64_t desc, avail, used; uint16_t size; } bad[] = {
		{ring.desc, ring.avail, ring.used, 0},
		{ring.desc, ring.avail, ring.used, 3},
		{ring.desc, ring.avail, ring.used, 512},
		{ring.desc + 8, ring.avail, ring.used, 256},
		{ring.desc, ring.avail + 1, ring.used, 256},
		{ring.desc, ring.avail, ring.used + 2, 256},
		{MEM, ring.avail, ring.used, 256},
		{MEM - 16 * 256 + 16, ring.avail, ring.used, 256},
		{ring.desc, MEM - 512, ring.used, 256},
		{ring.desc, ring.avail, MEM - 2048, 256},
		{UINT64_MAX - 15, ring.avail, ring.used, 256},
		{ring.desc, ring.avail, 0xfffffffffffffffc, 256},
		{0xc0000000, ring.avail, ring.used, 256},
	};

	for (unsigned i = 0; i < STK_ARRAY_LEN(bad); i++) {
		virtq_init(&q, &rig.mem);
		q.desc = bad[i].desc;
		q.avail = bad[i].avail;
		q.used = bad[i].used;
		q.size = bad[i].size;
		if (virtq_enable(&q) != -EINVAL || q.ready)
			fail_msg("bad set-up %u accepted", i);
	}
	attach(&q, &ring);
	assert_int_equal(virtq_enable(&q), 0);
}

static void test_suppression(void **state)
{
	struct ring ring;
	struct virtq q;

	ring_init(&ring, &rig, 8);
	attach(&q, &ring);
	assert_int_equal(virtq_enable(&q), 0);
	assert_true(virtq_wants_interrupt(&q));
	ring_set_avail_flags(&ring, 1);
	assert_false(virtq_wants_interrupt(&q));
	virtq_set_notify(&q, false);
	assert_int_equal(ring_used_flags(&ring), 1);
	virtq_set_notify(&q, true);
	assert_int_equal(ring_used_flags(&ring), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long_is_not_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_chains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_setup_is_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_suppression, setup, teardown),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
