/* The socket device: how much of a stream is sent, and when the other side is told. */
#include "tests/unit/vmm/devices/vsock_rig.h"

#include <string.h>
#include <sys/socket.h>

static bool have_irq(void *ctx)
{
	(void)ctx;
	return rig_take_irq(&vr_rig, 0) == 1;
}

/* That a message was taken is no reason to disturb the guest, but it learns of it: with the next message for it, when
 * many were taken, and after a while. */
static void test_sent_is_told_later(void **state)
{
	int fd = vr_lent_stream(700);

	rig_take_irq(&vr_rig, 0);
	for (unsigned i = 0; i < 5; i++)
		vr_send_data(700, LENT, "answer", 6, 0);
	vr_expect_read(fd, "answeransweransweransweranswer");
	assert_int_equal(rig_take_irq(&vr_rig, 0), 0);
	assert_int_equal(write(fd, "event", 5), 5);
	vr_expect_data("event");
	assert_int_equal(rig_take_irq(&vr_rig, 0), 1);

	for (unsigned i = 0; i < 64 / 4 - 1; i++) /* its ring has 64 */
		vr_send_data(700, LENT, "a", 1, 5);
	assert_int_equal(rig_take_irq(&vr_rig, 0), 0);
	vr_send_data(700, LENT, "a", 1, 5);
	assert_int_equal(rig_take_irq(&vr_rig, 0), 1);
	vr_expect_read(fd, "aaaaaaaaaaaaaaaa");

	vr_send_data(700, LENT, "b", 1, 5);
	assert_int_equal(rig_take_irq(&vr_rig, 0), 0);
	assert_true(rig_until(&vr_rig, have_irq, NULL, 5000));
	vr_expect_read(fd, "b");

	/* A pause that is longer does not swallow it. */
	vr_send_data(700, LENT, "c", 1, 5);
	vr_dev->ops->quiesce(vr_dev);
	assert_false(rig_until(&vr_rig, have_irq, NULL, 2 * VSOCK_UNIX_TICK_MS));
	vr_dev->ops->resume(vr_dev);
	assert_true(rig_until(&vr_rig, have_irq, NULL, 5000));
	vr_expect_read(fd, "c");
	close(fd);
}

/* Bytes in both directions, more than any buffer holds, compared. */
static void test_bulk_to_guest(void **state)
{
	enum { TOTAL = 3000000 };
	int fd = vr_lent_stream(700);
	uint32_t sent = 0, got = 0;

	while (got < TOTAL) {
		uint8_t buf[8192], data[RX_BUF];
		struct vsock_hdr h;
		uint32_t k = TOTAL - sent < sizeof(buf) ? TOTAL - sent : (uint32_t)sizeof(buf);

		for (uint32_t i = 0; i < k; i++)
			buf[i] = (uint8_t)((sent + i) * 31 >> 3);
		if (k) {
			ssize_t r = write(fd, buf, k);

			if (r > 0)
				sent += (uint32_t)r;
		}
		rig_turn(&vr_rig);
		while (vr_have_rx(NULL)) {
			assert_true(vr_recv_pkt(&h, data));
			vr_give_rx(1);
			if (h.op == VSOCK_OP_CREDIT_REQUEST)
				continue;
			assert_int_equal(h.op, VSOCK_OP_RW);
			for (uint32_t i = 0; i < h.len; i++)
				assert_int_equal(data[i], (uint8_t)((got + i) * 31 >> 3));
			got += h.len;
		}
		h = vr_hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
		h.buf_alloc = 65536;
		h.fwd_cnt = got;
		vr_send_hdr(h, NULL);
		rig_notify(&vr_rig, 0, RX);
	}
	assert_int_equal(got, TOTAL);
	close(fd);
}

/* Never more than the credit; none left: a request for it, and on it goes with the update. */
static void test_credit_to_guest(void **state)
{
	struct vsock_hdr h;
	uint8_t data[RX_BUF];
	int fd = vr_lent_stream(700);
	uint32_t got = 0;
	char buf[20000];

	h = vr_hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
	h.buf_alloc = 10000;
	vr_send_hdr(h, NULL);
	memset(buf, 'b', sizeof(buf));
	assert_int_equal(write(fd, buf, sizeof(buf)), sizeof(buf));
	while (got < 10000) {
		assert_true(vr_recv_pkt(&h, data));
		assert_int_equal(h.op, VSOCK_OP_RW);
		got += h.len;
	}
	assert_int_equal(got, 10000);
	vr_expect_op(700, LENT, VSOCK_OP_CREDIT_REQUEST);
	vr_expect_nothing();
	h = vr_hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
	h.buf_alloc = 10000;
	h.fwd_cnt = 4000;
	vr_send_hdr(h, NULL);
	assert_true(vr_recv_pkt(&h, data));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.len, 4000);
	/* A guest that claims to have read more than it got has no credit. */
	h = vr_hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
	h.buf_alloc = 10000;
	h.fwd_cnt = 50000;
	vr_expect_op(700, LENT, VSOCK_OP_CREDIT_REQUEST);
	vr_send_hdr(h, NULL);
	vr_expect_nothing();
	close(fd);
}

/* A host that does not read: 64 KiB are buffered, the guest is told its credit, more is a breach. */
static void test_credit_from_guest(void **state)
{
	static uint8_t data[65536];
	int fd = vr_lent_stream(700), small = 4096;
	struct vsock_hdr h;
	uint32_t sent = 0, fwd = 0, got = 0;
	uint8_t buf[65536];
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	/* Send as the credit allows, until it is used up. */
	for (unsigned i = 0; i < 200; i++) {
		uint32_t room = 65536 - (sent - fwd), k = room < 16384 ? room : 16384;

		if (k) {
			vr_send_data(700, LENT, data + sent % 16384, k, 0);
			sent += k;
		}
		rig_turn(&vr_rig);
		while (vr_have_rx(NULL)) {
			assert_true(vr_recv_pkt(&h, NULL));
			assert_int_equal(h.op, VSOCK_OP_CREDIT_UPDATE);
			fwd = h.fwd_cnt;
			vr_give_rx(1);
		}
	}
	assert_int_equal(sent - fwd, 65536);
	/* Read it all: the buffered bytes follow, in order, with credit updates. */
	while (got < sent) {
		rig_turn(&vr_rig);
		n = read(fd, buf, sizeof(buf));
		if (n < 0)
			continue;
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], data[(got + (uint32_t)i) % 16384]);
		got += (uint32_t)n;
	}
	rig_turn(&vr_rig);
	while (vr_have_rx(NULL)) {
		assert_true(vr_recv_pkt(&h, NULL));
		fwd = h.fwd_cnt;
	}
	assert_true(sent - fwd <= 32768);
	/* Asked for explicitly, the state comes at once. */
	vr_send_op(700, LENT, VSOCK_OP_CREDIT_REQUEST);
	h = vr_expect_op(700, LENT, VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(h.fwd_cnt, sent);
	close(fd);
}

static void test_credit_breach(void **state)
{
	static uint8_t data[65536];
	int fd = vr_lent_stream(700);
	struct vsock_hdr h = {0};

	for (unsigned i = 0; i < 100 && h.op != VSOCK_OP_RST; i++) {
		vr_send_data(700, LENT, data, sizeof(data), 0);
		while (h.op != VSOCK_OP_RST && vr_have_rx(NULL)) {
			assert_true(vr_recv_pkt(&h, NULL));
			vr_give_rx(1);
		}
	}
	assert_int_equal(h.op, VSOCK_OP_RST);
	close(fd);
}

/* No receive buffers: nothing is lost, nothing spins, and the first refill brings it. */
static void test_no_rx_buffers(void **state)
{
	int fd = vr_lent_stream(700);
	uint32_t sent = 0, got = 0;
	uint8_t data[RX_BUF], buf[4096] = {0};
	struct vsock_hdr h;

	while (write(fd, buf, sizeof(buf)) > 0) {
		sent += sizeof(buf);
		rig_turn(&vr_rig);
	}
	rig_turn(&vr_rig);
	assert_int_equal(uv_backend_timeout(&vr_rig.loop) != 0, 1);
	while (vr_have_rx(NULL)) {
		assert_true(vr_recv_pkt(&h, data));
		got += h.len;
	}
	assert_true(got < sent);
	assert_int_equal(ring_used_flags(&vr_ring[RX]), 0); /* it asks to be told of new buffers */
	while (got < sent) {
		vr_give_rx(8);
		rig_notify(&vr_rig, 0, RX);
		while (vr_have_rx(NULL)) {
			assert_true(vr_recv_pkt(&h, data));
			if (h.op == VSOCK_OP_RW)
				got += h.len;
		}
		h = vr_hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
		h.fwd_cnt = got;
		vr_send_hdr(h, NULL);
	}
	assert_int_equal(got, sent);
	close(fd);
}

/* One busy stream does not keep the others waiting. */
static void test_fairness(void **state)
{
	struct vsock_hdr h;
	int busy, quiet;
	uint32_t busy_port, quiet_port;
	uint8_t data[RX_BUF];
	static uint8_t much[200000];
	unsigned packets = 0;

	vr_plug(vr_uds);
	busy = vr_client(vr_uds);
	assert_int_equal(write(busy, "CONNECT 1\n", 10), 10);
	busy_port = vr_expect_op(1, 0, VSOCK_OP_REQUEST).src_port;
	vr_send_op(1, busy_port, VSOCK_OP_RESPONSE);
	quiet = vr_client(vr_uds);
	assert_int_equal(write(quiet, "CONNECT 2\n", 10), 10);
	quiet_port = vr_expect_op(2, 0, VSOCK_OP_REQUEST).src_port;
	vr_send_op(2, quiet_port, VSOCK_OP_RESPONSE);
	assert_int_not_equal(busy_port, quiet_port);
	assert_true(write(busy, much, sizeof(much)) > 100000);
	assert_int_equal(write(quiet, "now", 3), 3);
	for (;;) {
		assert_true(vr_recv_pkt(&h, data));
		vr_give_rx(1);
		rig_set(&vr_rig, 0, 0x50, RX);
		if (h.op != VSOCK_OP_RW)
			continue;
		if (h.dst_port == 2)
			break;
		packets++;
	}
	assert_in_range(packets, 0, 40);
	close(busy);
	close(quiet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VR_TEST(test_sent_is_told_later),
		VR_TEST(test_bulk_to_guest),
		VR_TEST(test_credit_to_guest),
		VR_TEST(test_credit_from_guest),
		VR_TEST(test_credit_breach),
		VR_TEST(test_no_rx_buffers),
		VR_TEST(test_fairness),
	};

	vr_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
