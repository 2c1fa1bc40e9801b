/* The socket device: connections from either side, how they end, and what is refused. */
#include "tests/unit/vmm/devices/vsock_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void test_config(void **state)
{
	vr_plug("");
	assert_int_equal(rig_get(&vr_rig, 0, 8), 19);
	assert_int_equal(rig_get(&vr_rig, 0, 0x100), CID);
	assert_int_equal(rig_get(&vr_rig, 0, 0x104), 0);
}

static void test_host_connects(void **state)
{
	struct vsock_hdr h;
	int fd;

	vr_plug(vr_uds);
	fd = vr_client(vr_uds);
	/* The line comes in pieces, the first bytes of the stream right behind it. */
	assert_int_equal(write(fd, "CONN", 4), 4);
	rig_turn(&vr_rig);
	assert_int_equal(write(fd, "ECT 5000", 8), 8);
	rig_turn(&vr_rig);
	vr_expect_nothing();
	assert_int_equal(write(fd, "\nearly", 6), 6);
	h = vr_expect_op(5000, 0, VSOCK_OP_REQUEST);
	assert_int_equal(h.src_port, 1073741824);
	assert_int_equal(h.buf_alloc, 65536);
	vr_expect_nothing();
	vr_send_op(5000, h.src_port, VSOCK_OP_RESPONSE);
	vr_expect_read(fd, "OK 1073741824\n");
	vr_expect_data("early");
	vr_send_data(5000, h.src_port, "answer", 6, 5);
	vr_expect_read(fd, "answer");
	assert_int_equal(write(fd, "more", 4), 4);
	vr_expect_data("more");
	assert_int_equal(rig_take_irq(&vr_rig, 0), 1);
	close(fd);
	h = vr_expect_op(5000, h.src_port, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 3);
	vr_send_op(5000, h.src_port, VSOCK_OP_RST);
}

static void test_refused(void **state)
{
	struct vsock_hdr h;
	int fd;

	vr_plug(vr_uds);
	fd = vr_client(vr_uds);
	assert_int_equal(write(fd, "connect 9\r\n", 11), 11);
	h = vr_expect_op(9, 0, VSOCK_OP_REQUEST);
	vr_send_op(9, h.src_port, VSOCK_OP_RST);
	vr_expect_closed(fd);
	close(fd);
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		"\n", "CONNECT\n", "CONNECT \n", "CONNECT x\n", "CONNECT -1\n", "CONNECT 4294967296\n",
		"CONNECT 12x\n", "GET / HTTP/1.1\n", "CONNECT 1 2\n",
		"CONNECT 000000000000000000000000000000000000000012\n",
	};

	vr_plug(vr_uds);
	for (unsigned i = 0; i < STK_ARRAY_LEN(bad); i++) {
		int fd = vr_client(vr_uds);

		assert_int_equal(write(fd, bad[i], strlen(bad[i])), strlen(bad[i]));
		vr_expect_closed(fd);
		close(fd);
	}
	vr_expect_nothing();
}

static void test_silent_client_is_dropped(void **state)
{
	int fd;
	bool gone;

	vr_plug(vr_uds);
	fd = vr_client(vr_uds);
	assert_int_equal(write(fd, "CONNECT", 7), 7);
	gone = rig_until(&vr_rig, vr_closed, &fd, 8000);
	assert_true(gone);
	close(fd);
}

static void test_guest_connects(void **state)
{
	char path[128];
	int l, fd;

	vr_plug(vr_uds);
	snprintf(path, sizeof(path), "%s_77", vr_uds);
	l = vr_server(path);
	vr_send_op(4000, 77, VSOCK_OP_REQUEST);
	vr_expect_op(4000, 77, VSOCK_OP_RESPONSE);
	fd = accept(l, NULL, NULL);
	assert_true(fd >= 0);
	vr_send_data(4000, 77, "hello", 5, 0);
	vr_expect_read(fd, "hello");
	assert_int_equal(write(fd, "you", 3), 3);
	vr_expect_data("you");
	/* The guest closes: host sees the end, the guest gets its RST. */
	struct vsock_hdr h = vr_hdr(4000, 77, VSOCK_OP_SHUTDOWN);
	h.flags = 3;
	vr_send_hdr(h, NULL);
	vr_expect_op(4000, 77, VSOCK_OP_RST);
	vr_expect_closed(fd);
	close(fd);
	close(l);
	/* Nobody listens there. */
	vr_send_op(4001, 78, VSOCK_OP_REQUEST);
	vr_expect_op(4001, 78, VSOCK_OP_RST);
}

static void test_lent_once(void **state)
{
	int fd = vr_lent_stream(700);

	vr_send_data(700, LENT, "event?", 6, 0);
	vr_expect_read(fd, "event?");
	assert_int_equal(write(fd, "invoke", 6), 6);
	vr_expect_data("invoke");
	vr_send_op(701, LENT, VSOCK_OP_REQUEST);
	vr_expect_op(701, LENT, VSOCK_OP_RST);
	close(fd);
}

static void test_half_close(void **state)
{
	struct vsock_hdr h;
	int fd = vr_lent_stream(700);

	/* The host ends its direction; the guest still answers. */
	assert_int_equal(write(fd, "question", 8), 8);
	shutdown(fd, SHUT_WR);
	vr_expect_data("question");
	h = vr_expect_op(700, LENT, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, VSOCK_SHUTDOWN_SEND);
	vr_send_data(700, LENT, "answer", 6, 8);
	vr_expect_read(fd, "answer");
	h = vr_hdr(700, LENT, VSOCK_OP_SHUTDOWN);
	h.flags = VSOCK_SHUTDOWN_SEND;
	vr_send_hdr(h, NULL);
	vr_expect_closed(fd);
	h = vr_expect_op(700, LENT, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 3);
	close(fd);
}

static void test_guest_half_close(void **state)
{
	struct vsock_hdr h;
	int fd = vr_lent_stream(700);

	vr_send_data(700, LENT, "request", 7, 0);
	h = vr_hdr(700, LENT, VSOCK_OP_SHUTDOWN);
	h.flags = VSOCK_SHUTDOWN_SEND;
	vr_send_hdr(h, NULL);
	vr_expect_read(fd, "request");
	vr_expect_closed(fd); /* end of file */
	assert_int_equal(write(fd, "reply", 5), 5);
	vr_expect_data("reply");
	/* Data after that is against the protocol. */
	vr_send_data(700, LENT, "x", 1, 5);
	vr_expect_op(700, LENT, VSOCK_OP_RST);
	close(fd);
}

/* What the host wrote before it closed arrives, although the guest was writing meanwhile. */
static void test_last_words(void **state)
{
	struct vsock_hdr h;
	int fd = vr_lent_stream(700);

	vr_rig.host.port_fd_count = 0;
	assert_int_equal(write(fd, "bye", 3), 3);
	close(fd);
	vr_send_data(700, LENT, "into the void", 13, 0);
	vr_expect_data("bye");
	h = vr_expect_op(700, LENT, VSOCK_OP_SHUTDOWN);
	if (h.flags != 3)
		h = vr_expect_op(700, LENT, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 3);
}

static void test_odd_packets(void **state)
{
	struct vsock_hdr h;
	uint32_t head, len;
	int fd = vr_lent_stream(700);

	h = vr_hdr(800, 5, VSOCK_OP_REQUEST);
	h.type = 2; /* seqpacket */
	vr_send_hdr(h, NULL);
	vr_expect_op(800, 5, VSOCK_OP_RST);
	h = vr_hdr(800, 5, VSOCK_OP_REQUEST);
	h.dst_cid = 7; /* not us: dropped */
	vr_send_hdr(h, NULL);
	h = vr_hdr(800, 5, VSOCK_OP_REQUEST);
	h.src_cid = 9; /* not it */
	vr_send_hdr(h, NULL);
	vr_expect_nothing();
	vr_send_op(801, 5, VSOCK_OP_RW); /* no such stream */
	vr_expect_op(801, 5, VSOCK_OP_RST);
	vr_send_op(801, 5, VSOCK_OP_RST);
	vr_expect_nothing();
	/* Length beyond the buffer: dropped, the device goes on. */
	h = vr_hdr(700, LENT, VSOCK_OP_RW);
	h.len = 1u << 31;
	memcpy(rig_ptr(&vr_rig, vr_tx_buf, 44), &h, 44);
	ring_add(&vr_ring[TX], &(struct ring_seg){vr_tx_buf, 44, false}, 1);
	ring_add(&vr_ring[TX], &(struct ring_seg){vr_tx_buf, 43, false}, 1);
	rig_notify(&vr_rig, 0, TX);
	assert_true(ring_take(&vr_ring[TX], &head, &len));
	assert_true(ring_take(&vr_ring[TX], &head, &len));
	assert_int_equal(rig_status(&vr_rig, 0), RIG_STATUS_RUNNING);
	vr_send_op(700, LENT, 99); /* unknown operation ends the stream */
	vr_expect_op(700, LENT, VSOCK_OP_RST);
	vr_expect_closed(fd);
	close(fd);
}

static void test_bad_rings(void **state)
{
	vr_plug("");
	ring_add(&vr_ring[TX], &(struct ring_seg){vr_tx_buf, 44, true}, 1);
	rig_notify(&vr_rig, 0, TX);
	assert_true(rig_status(&vr_rig, 0) & RIG_STATUS_NEEDS_RESET);
	for (unsigned how = 0; how < RING_BAD_COUNT; how++) {
		if (how == RING_BAD_HUGE) /* takes more memory than this guest has: see test_virtq */
			continue;
		vr_rig.heap = 0x1000;
		vr_init_rings();
		assert_true(rig_start(&vr_rig, 0, 0, vr_ring, 3));
		ring_add_bad(&vr_ring[TX], how);
		rig_notify(&vr_rig, 0, TX);
		if (!(rig_status(&vr_rig, 0) & RIG_STATUS_NEEDS_RESET))
			fail_msg("%s accepted", ring_bad_name(how));
	}
}

static void test_guest_reset_drops_streams(void **state)
{
	int fd = vr_lent_stream(700);

	rig_set(&vr_rig, 0, 0x70, 0);
	vr_expect_closed(fd);
	close(fd);
	vr_rig.heap = 0x1000;
	vr_init_rings();
	assert_true(rig_start(&vr_rig, 0, 0, vr_ring, 3));
	vr_give_rx(4);
	vr_send_data(700, LENT, "x", 1, 0);
	vr_expect_op(700, LENT, VSOCK_OP_RST);
}

static void test_table_is_bounded(void **state)
{
	static int fd[VSOCK_UNIX_MAX_CONNS + 20];
	unsigned open = 0;

	vr_plug(vr_uds);
	for (unsigned i = 0; i < STK_ARRAY_LEN(fd); i++) {
		fd[i] = vr_client(vr_uds);
		rig_turn(&vr_rig);
	}
	for (unsigned i = 0; i < STK_ARRAY_LEN(fd); i++) {
		open += !vr_closed(&fd[i]);
		close(fd[i]);
	}
	assert_int_equal(open, VSOCK_UNIX_MAX_CONNS);
	rig_turn(&vr_rig);
	/* Rows come back. */
	fd[0] = vr_client(vr_uds);
	assert_int_equal(write(fd[0], "CONNECT 3\n", 10), 10);
	vr_expect_op(3, 0, VSOCK_OP_REQUEST);
	close(fd[0]);
}

static void test_path_in_use(void **state)
{
	struct stk_err err;
	struct device *d;
	char longer[200];
	int l = vr_server(vr_uds);

	assert_int_equal(virtio_vsock_create(&vr_rig.host, 0, CID, vr_uds, &d, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, vr_uds));
	assert_int_equal(access(vr_uds, F_OK), 0); /* not ours, not removed */
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	vr_rig.mmio = (struct bus){0};
	assert_int_equal(virtio_vsock_create(&vr_rig.host, 0, CID, longer, &d, &err), -ENAMETOOLONG);
	unlink(vr_uds);
	close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VR_TEST(test_config),
		VR_TEST(test_host_connects),
		VR_TEST(test_refused),
		VR_TEST(test_bad_lines),
		VR_TEST(test_silent_client_is_dropped),
		VR_TEST(test_guest_connects),
		VR_TEST(test_lent_once),
		VR_TEST(test_half_close),
		VR_TEST(test_guest_half_close),
		VR_TEST(test_last_words),
		VR_TEST(test_odd_packets),
		VR_TEST(test_bad_rings),
		VR_TEST(test_guest_reset_drops_streams),
		VR_TEST(test_table_is_bounded),
		VR_TEST(test_path_in_use),
	};

	vr_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
