/* The socket device between a hand-made guest and real Unix sockets. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/lib/ring_builder.h"
#include "vmm/backends/vsock_unix.h"
#include "vmm/devices/virtio_vsock.h"

#define CID      3u
#define RX_BUF   4096u
#define RX_COUNT 32u
#define LENT     1024u

enum { RX, TX, EV };

static struct rig rig;
static struct ring ring[3];
static struct device *dev;
static char dir[64], uds[96];
static uint64_t rx_buf[256], tx_buf;
static unsigned fds_before;

static void give_rx(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint16_t at = ring[RX].next_desc;

		/* Header and data apart, as older kernels do, or in one piece, as newer ones. */
		if (i & 1)
			ring_add(&ring[RX], &(struct ring_seg){rx_buf[at], 44 + RX_BUF, true}, 1);
		else
			ring_add(&ring[RX], (struct ring_seg[]){{rx_buf[at], 44, true},
								{rx_buf[at] + 44, RX_BUF, true}}, 2);
	}
}

static void init_rings(void)
{
	ring_init(&ring[RX], &rig, 256);
	ring_init(&ring[TX], &rig, 64);
	ring_init(&ring[EV], &rig, 8);
	for (unsigned i = 0; i < 256; i++)
		rx_buf[i] = rig_alloc(&rig, 44 + RX_BUF, 8);
	tx_buf = rig_alloc(&rig, 44 + 262144, 8);
	for (unsigned i = 0; i < 4; i++)
		ring_add(&ring[EV], &(struct ring_seg){rig_alloc(&rig, 4, 4), 4, true}, 1);
}

static void plug(const char *path)
{
	struct stk_err err;

	if (virtio_vsock_create(&rig.host, 0, CID, path, &dev, &err) != 0)
		fail_msg("%s", err.text);
	init_rings();
	assert_true(rig_start(&rig, 0, 0, ring, 3));
	give_rx(RX_COUNT);
	rig_notify(&rig, 0, RX);
}

static int setup(void **state)
{
	fds_before = unit_count_fds();
	rig_init(&rig, 16 << 20);
	snprintf(dir, sizeof(dir), "/tmp/stoker-test-vsock.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(uds, sizeof(uds), "%s/v", dir);
	dev = NULL;
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	if (dev)
		dev->ops->fini(dev);
	rig_fini(&rig);
	assert_int_equal(access(uds, F_OK), -1); /* the listener's file is gone */
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(unit_count_fds(), fds_before);
	return 0;
}

/* --- the guest's side --- */

static struct vsock_hdr hdr(uint32_t guest_port, uint32_t host_port, uint16_t op)
{
	return (struct vsock_hdr){
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = 1,
		.op = op,
		.buf_alloc = 262144,
	};
}

static void send_hdr(struct vsock_hdr h, const void *data)
{
	uint8_t *p = rig_ptr(&rig, tx_buf, 44 + 262144);
	uint32_t head, len;

	memcpy(p, &h, 44);
	if (h.len)
		memcpy(p + 44, data, h.len);
	if (h.len)
		ring_add(&ring[TX], (struct ring_seg[]){{tx_buf, 44, false}, {tx_buf + 44, h.len, false}},
			 2);
	else
		ring_add(&ring[TX], &(struct ring_seg){tx_buf, 44, false}, 1);
	rig_notify(&rig, 0, TX);
	assert_true(ring_take(&ring[TX], &head, &len));
}

static void send_op(uint32_t guest_port, uint32_t host_port, uint16_t op)
{
	send_hdr(hdr(guest_port, host_port, op), NULL);
}

static void send_data(uint32_t guest_port, uint32_t host_port, const void *data, uint32_t len,
		      uint32_t fwd_cnt)
{
	struct vsock_hdr h = hdr(guest_port, host_port, VSOCK_OP_RW);

	h.len = len;
	h.fwd_cnt = fwd_cnt;
	send_hdr(h, data);
}

/* Next packet for the guest; waits up to ms. */
static bool have_rx(void *ctx)
{
	return ring_used_idx(&ring[RX]) != ring[RX].used_seen;
}

static bool recv_pkt(struct vsock_hdr *h, uint8_t *data)
{
	uint32_t head, len;
	uint8_t *p;

	if (!rig_until(&rig, have_rx, NULL, 2000))
		return false;
	assert_true(ring_take(&ring[RX], &head, &len));
	p = rig_ptr(&rig, rx_buf[head], 44 + RX_BUF);
	memcpy(h, p, 44);
	assert_int_equal(len, 44 + h->len);
	assert_int_equal(h->src_cid, 2);
	assert_int_equal(h->dst_cid, CID);
	if (data)
		memcpy(data, p + 44, h->len);
	return true;
}

static struct vsock_hdr expect_op(uint32_t guest_port, uint32_t host_port, unsigned op)
{
	struct vsock_hdr h;

	if (!recv_pkt(&h, NULL))
		fail_msg("no packet; expected op %u", op);
	assert_int_equal(h.op, op);
	assert_int_equal(h.dst_port, guest_port);
	if (host_port)
		assert_int_equal(h.src_port, host_port);
	return h;
}

static void expect_data(const char *text)
{
	uint8_t data[RX_BUF];
	struct vsock_hdr h;

	assert_true(recv_pkt(&h, data));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.len, strlen(text));
	assert_memory_equal(data, text, h.len);
}

static void expect_nothing(void)
{
	rig_turn(&rig);
	assert_false(have_rx(NULL));
}

/* --- the host's side --- */

static int client(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int server(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void expect_read(int fd, const char *text)
{
	char buf[256] = {0};
	ssize_t n;

	rig_turn(&rig);
	n = read(fd, buf, sizeof(buf) - 1);
	assert_int_equal(n, strlen(text));
	assert_string_equal(buf, text);
}

static bool closed(void *ctx)
{
	char c;

	return recv(*(int *)ctx, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0 ||
	       (errno != EAGAIN && errno != EWOULDBLOCK);
}

static void expect_closed(int fd)
{
	assert_true(rig_until(&rig, closed, &fd, 2000));
}

/* A guest-initiated stream on a lent socket; returns the host's end. */
static int lent_stream(uint32_t guest_port)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	fcntl(sv[0], F_SETFL, O_NONBLOCK);
	rig.host.port_fd[0].port = LENT;
	rig.host.port_fd[0].fd = sv[1];
	rig.host.port_fd_count = 1;
	plug("");
	send_op(guest_port, LENT, VSOCK_OP_REQUEST);
	expect_op(guest_port, LENT, VSOCK_OP_RESPONSE);
	return sv[0];
}

/* --- tests --- */

static void test_config(void **state)
{
	plug("");
	assert_int_equal(rig_get(&rig, 0, 8), 19);
	assert_int_equal(rig_get(&rig, 0, 0x100), CID);
	assert_int_equal(rig_get(&rig, 0, 0x104), 0);
}

static void test_host_connects(void **state)
{
	struct vsock_hdr h;
	int fd;

	plug(uds);
	fd = client(uds);
	/* The line comes in pieces, the first bytes of the stream right behind it. */
	assert_int_equal(write(fd, "CONN", 4), 4);
	rig_turn(&rig);
	assert_int_equal(write(fd, "ECT 5000", 8), 8);
	rig_turn(&rig);
	expect_nothing();
	assert_int_equal(write(fd, "\nearly", 6), 6);
	h = expect_op(5000, 0, VSOCK_OP_REQUEST);
	assert_int_equal(h.src_port, 1073741824);
	assert_int_equal(h.buf_alloc, 65536);
	expect_nothing();
	send_op(5000, h.src_port, VSOCK_OP_RESPONSE);
	expect_read(fd, "OK 1073741824\n");
	expect_data("early");
	send_data(5000, h.src_port, "answer", 6, 5);
	expect_read(fd, "answer");
	assert_int_equal(write(fd, "more", 4), 4);
	expect_data("more");
	assert_int_equal(rig_take_irq(&rig, 0), 1);
	close(fd);
	h = expect_op(5000, h.src_port, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 3);
	send_op(5000, h.src_port, VSOCK_OP_RST);
}

static void test_refused(void **state)
{
	struct vsock_hdr h;
	int fd;

	plug(uds);
	fd = client(uds);
	assert_int_equal(write(fd, "connect 9\r\n", 11), 11);
	h = expect_op(9, 0, VSOCK_OP_REQUEST);
	send_op(9, h.src_port, VSOCK_OP_RST);
	expect_closed(fd);
	close(fd);
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		"\n", "CONNECT\n", "CONNECT \n", "CONNECT x\n", "CONNECT -1\n", "CONNECT 4294967296\n",
		"CONNECT 12x\n", "GET / HTTP/1.1\n", "CONNECT 1 2\n",
		"CONNECT 000000000000000000000000000000000000000012\n",
	};

	plug(uds);
	for (unsigned i = 0; i < STK_ARRAY_LEN(bad); i++) {
		int fd = client(uds);

		assert_int_equal(write(fd, bad[i], strlen(bad[i])), strlen(bad[i]));
		expect_closed(fd);
		close(fd);
	}
	expect_nothing();
}

static void test_silent_client_is_dropped(void **state)
{
	int fd;
	bool gone;

	plug(uds);
	fd = client(uds);
	assert_int_equal(write(fd, "CONNECT", 7), 7);
	gone = rig_until(&rig, closed, &fd, 8000);
	assert_true(gone);
	close(fd);
}

static void test_guest_connects(void **state)
{
	char path[128];
	int l, fd;

	plug(uds);
	snprintf(path, sizeof(path), "%s_77", uds);
	l = server(path);
	send_op(4000, 77, VSOCK_OP_REQUEST);
	expect_op(4000, 77, VSOCK_OP_RESPONSE);
	fd = accept(l, NULL, NULL);
	assert_true(fd >= 0);
	send_data(4000, 77, "hello", 5, 0);
	expect_read(fd, "hello");
	assert_int_equal(write(fd, "you", 3), 3);
	expect_data("you");
	/* The guest closes: host sees the end, the guest gets its RST. */
	struct vsock_hdr h = hdr(4000, 77, VSOCK_OP_SHUTDOWN);
	h.flags = 3;
	send_hdr(h, NULL);
	expect_op(4000, 77, VSOCK_OP_RST);
	expect_closed(fd);
	close(fd);
	close(l);
	/* Nobody listens there. */
	send_op(4001, 78, VSOCK_OP_REQUEST);
	expect_op(4001, 78, VSOCK_OP_RST);
}

static void test_lent_once(void **state)
{
	int fd = lent_stream(700);

	send_data(700, LENT, "event?", 6, 0);
	expect_read(fd, "event?");
	assert_int_equal(write(fd, "invoke", 6), 6);
	expect_data("invoke");
	send_op(701, LENT, VSOCK_OP_REQUEST);
	expect_op(701, LENT, VSOCK_OP_RST);
	close(fd);
}

static bool have_irq(void *ctx)
{
	(void)ctx;
	return rig_take_irq(&rig, 0) == 1;
}

/* That a message was taken is no reason to disturb the guest, but it learns of it: with the next message for it, when
 * many were taken, and after a while. */
static void test_sent_is_told_later(void **state)
{
	int fd = lent_stream(700);

	rig_take_irq(&rig, 0);
	for (unsigned i = 0; i < 5; i++)
		send_data(700, LENT, "answer", 6, 0);
	expect_read(fd, "answeransweransweransweranswer");
	assert_int_equal(rig_take_irq(&rig, 0), 0);
	assert_int_equal(write(fd, "event", 5), 5);
	expect_data("event");
	assert_int_equal(rig_take_irq(&rig, 0), 1);

	for (unsigned i = 0; i < 64 / 4 - 1; i++) /* its ring has 64 */
		send_data(700, LENT, "a", 1, 5);
	assert_int_equal(rig_take_irq(&rig, 0), 0);
	send_data(700, LENT, "a", 1, 5);
	assert_int_equal(rig_take_irq(&rig, 0), 1);
	expect_read(fd, "aaaaaaaaaaaaaaaa");

	send_data(700, LENT, "b", 1, 5);
	assert_int_equal(rig_take_irq(&rig, 0), 0);
	assert_true(rig_until(&rig, have_irq, NULL, 5000));
	expect_read(fd, "b");

	/* A pause that is longer does not swallow it. */
	send_data(700, LENT, "c", 1, 5);
	dev->ops->quiesce(dev);
	assert_false(rig_until(&rig, have_irq, NULL, 2 * VSOCK_UNIX_TICK_MS));
	dev->ops->resume(dev);
	assert_true(rig_until(&rig, have_irq, NULL, 5000));
	expect_read(fd, "c");
	close(fd);
}

static void test_half_close(void **state)
{
	struct vsock_hdr h;
	int fd = lent_stream(700);

	/* The host ends its direction; the guest still answers. */
	assert_int_equal(write(fd, "question", 8), 8);
	shutdown(fd, SHUT_WR);
	expect_data("question");
	h = expect_op(700, LENT, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, VSOCK_SHUTDOWN_SEND);
	send_data(700, LENT, "answer", 6, 8);
	expect_read(fd, "answer");
	h = hdr(700, LENT, VSOCK_OP_SHUTDOWN);
	h.flags = VSOCK_SHUTDOWN_SEND;
	send_hdr(h, NULL);
	expect_closed(fd);
	h = expect_op(700, LENT, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 3);
	close(fd);
}

static void test_guest_half_close(void **state)
{
	struct vsock_hdr h;
	int fd = lent_stream(700);

	send_data(700, LENT, "request", 7, 0);
	h = hdr(700, LENT, VSOCK_OP_SHUTDOWN);
	h.flags = VSOCK_SHUTDOWN_SEND;
	send_hdr(h, NULL);
	expect_read(fd, "request");
	expect_closed(fd); /* end of file */
	assert_int_equal(write(fd, "reply", 5), 5);
	expect_data("reply");
	/* Data after that is against the protocol. */
	send_data(700, LENT, "x", 1, 5);
	expect_op(700, LENT, VSOCK_OP_RST);
	close(fd);
}

/* What the host wrote before it closed arrives, although the guest was writing meanwhile. */
static void test_last_words(void **state)
{
	struct vsock_hdr h;
	int fd = lent_stream(700);

	rig.host.port_fd_count = 0;
	assert_int_equal(write(fd, "bye", 3), 3);
	close(fd);
	send_data(700, LENT, "into the void", 13, 0);
	expect_data("bye");
	h = expect_op(700, LENT, VSOCK_OP_SHUTDOWN);
	if (h.flags != 3)
		h = expect_op(700, LENT, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 3);
}

/* Bytes in both directions, more than any buffer holds, compared. */
static void test_bulk_to_guest(void **state)
{
	enum { TOTAL = 3000000 };
	int fd = lent_stream(700);
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
		rig_turn(&rig);
		while (have_rx(NULL)) {
			assert_true(recv_pkt(&h, data));
			give_rx(1);
			if (h.op == VSOCK_OP_CREDIT_REQUEST)
				continue;
			assert_int_equal(h.op, VSOCK_OP_RW);
			for (uint32_t i = 0; i < h.len; i++)
				assert_int_equal(data[i], (uint8_t)((got + i) * 31 >> 3));
			got += h.len;
		}
		h = hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
		h.buf_alloc = 65536;
		h.fwd_cnt = got;
		send_hdr(h, NULL);
		rig_notify(&rig, 0, RX);
	}
	assert_int_equal(got, TOTAL);
	close(fd);
}

/* Never more than the credit; none left: a request for it, and on it goes with the update. */
static void test_credit_to_guest(void **state)
{
	struct vsock_hdr h;
	uint8_t data[RX_BUF];
	int fd = lent_stream(700);
	uint32_t got = 0;
	char buf[20000];

	h = hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
	h.buf_alloc = 10000;
	send_hdr(h, NULL);
	memset(buf, 'b', sizeof(buf));
	assert_int_equal(write(fd, buf, sizeof(buf)), sizeof(buf));
	while (got < 10000) {
		assert_true(recv_pkt(&h, data));
		assert_int_equal(h.op, VSOCK_OP_RW);
		got += h.len;
	}
	assert_int_equal(got, 10000);
	expect_op(700, LENT, VSOCK_OP_CREDIT_REQUEST);
	expect_nothing();
	h = hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
	h.buf_alloc = 10000;
	h.fwd_cnt = 4000;
	send_hdr(h, NULL);
	assert_true(recv_pkt(&h, data));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.len, 4000);
	/* A guest that claims to have read more than it got has no credit. */
	h = hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
	h.buf_alloc = 10000;
	h.fwd_cnt = 50000;
	expect_op(700, LENT, VSOCK_OP_CREDIT_REQUEST);
	send_hdr(h, NULL);
	expect_nothing();
	close(fd);
}

/* A host that does not read: 64 KiB are buffered, the guest is told its credit, more is a breach. */
static void test_credit_from_guest(void **state)
{
	static uint8_t data[65536];
	int fd = lent_stream(700), small = 4096;
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
			send_data(700, LENT, data + sent % 16384, k, 0);
			sent += k;
		}
		rig_turn(&rig);
		while (have_rx(NULL)) {
			assert_true(recv_pkt(&h, NULL));
			assert_int_equal(h.op, VSOCK_OP_CREDIT_UPDATE);
			fwd = h.fwd_cnt;
			give_rx(1);
		}
	}
	assert_int_equal(sent - fwd, 65536);
	/* Read it all: the buffered bytes follow, in order, with credit updates. */
	while (got < sent) {
		rig_turn(&rig);
		n = read(fd, buf, sizeof(buf));
		if (n < 0)
			continue;
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], data[(got + (uint32_t)i) % 16384]);
		got += (uint32_t)n;
	}
	rig_turn(&rig);
	while (have_rx(NULL)) {
		assert_true(recv_pkt(&h, NULL));
		fwd = h.fwd_cnt;
	}
	assert_true(sent - fwd <= 32768);
	/* Asked for explicitly, the state comes at once. */
	send_op(700, LENT, VSOCK_OP_CREDIT_REQUEST);
	h = expect_op(700, LENT, VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(h.fwd_cnt, sent);
	close(fd);
}

static void test_credit_breach(void **state)
{
	static uint8_t data[65536];
	int fd = lent_stream(700);
	struct vsock_hdr h = {0};

	for (unsigned i = 0; i < 100 && h.op != VSOCK_OP_RST; i++) {
		send_data(700, LENT, data, sizeof(data), 0);
		while (h.op != VSOCK_OP_RST && have_rx(NULL)) {
			assert_true(recv_pkt(&h, NULL));
			give_rx(1);
		}
	}
	assert_int_equal(h.op, VSOCK_OP_RST);
	close(fd);
}

/* No receive buffers: nothing is lost, nothing spins, and the first refill brings it. */
static void test_no_rx_buffers(void **state)
{
	int fd = lent_stream(700);
	uint32_t sent = 0, got = 0;
	uint8_t data[RX_BUF], buf[4096] = {0};
	struct vsock_hdr h;

	while (write(fd, buf, sizeof(buf)) > 0) {
		sent += sizeof(buf);
		rig_turn(&rig);
	}
	rig_turn(&rig);
	assert_int_equal(uv_backend_timeout(&rig.loop) != 0, 1);
	while (have_rx(NULL)) {
		assert_true(recv_pkt(&h, data));
		got += h.len;
	}
	assert_true(got < sent);
	assert_int_equal(ring_used_flags(&ring[RX]), 0); /* it asks to be told of new buffers */
	while (got < sent) {
		give_rx(8);
		rig_notify(&rig, 0, RX);
		while (have_rx(NULL)) {
			assert_true(recv_pkt(&h, data));
			if (h.op == VSOCK_OP_RW)
				got += h.len;
		}
		h = hdr(700, LENT, VSOCK_OP_CREDIT_UPDATE);
		h.fwd_cnt = got;
		send_hdr(h, NULL);
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

	plug(uds);
	busy = client(uds);
	assert_int_equal(write(busy, "CONNECT 1\n", 10), 10);
	busy_port = expect_op(1, 0, VSOCK_OP_REQUEST).src_port;
	send_op(1, busy_port, VSOCK_OP_RESPONSE);
	quiet = client(uds);
	assert_int_equal(write(quiet, "CONNECT 2\n", 10), 10);
	quiet_port = expect_op(2, 0, VSOCK_OP_REQUEST).src_port;
	send_op(2, quiet_port, VSOCK_OP_RESPONSE);
	assert_int_not_equal(busy_port, quiet_port);
	assert_true(write(busy, much, sizeof(much)) > 100000);
	assert_int_equal(write(quiet, "now", 3), 3);
	for (;;) {
		assert_true(recv_pkt(&h, data));
		give_rx(1);
		rig_set(&rig, 0, 0x50, RX);
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

static void test_odd_packets(void **state)
{
	struct vsock_hdr h;
	uint32_t head, len;
	int fd = lent_stream(700);

	h = hdr(800, 5, VSOCK_OP_REQUEST);
	h.type = 2; /* seqpacket */
	send_hdr(h, NULL);
	expect_op(800, 5, VSOCK_OP_RST);
	h = hdr(800, 5, VSOCK_OP_REQUEST);
	h.dst_cid = 7; /* not us: dropped */
	send_hdr(h, NULL);
	h = hdr(800, 5, VSOCK_OP_REQUEST);
	h.src_cid = 9; /* not it */
	send_hdr(h, NULL);
	expect_nothing();
	send_op(801, 5, VSOCK_OP_RW); /* no such stream */
	expect_op(801, 5, VSOCK_OP_RST);
	send_op(801, 5, VSOCK_OP_RST);
	expect_nothing();
	/* Length beyond the buffer: dropped, the device goes on. */
	h = hdr(700, LENT, VSOCK_OP_RW);
	h.len = 1u << 31;
	memcpy(rig_ptr(&rig, tx_buf, 44), &h, 44);
	ring_add(&ring[TX], &(struct ring_seg){tx_buf, 44, false}, 1);
	ring_add(&ring[TX], &(struct ring_seg){tx_buf, 43, false}, 1);
	rig_notify(&rig, 0, TX);
	assert_true(ring_take(&ring[TX], &head, &len));
	assert_true(ring_take(&ring[TX], &head, &len));
	assert_int_equal(rig_status(&rig, 0), RIG_STATUS_RUNNING);
	send_op(700, LENT, 99); /* unknown operation ends the stream */
	expect_op(700, LENT, VSOCK_OP_RST);
	expect_closed(fd);
	close(fd);
}

static void test_bad_rings(void **state)
{
	plug("");
	ring_add(&ring[TX], &(struct ring_seg){tx_buf, 44, true}, 1);
	rig_notify(&rig, 0, TX);
	assert_true(rig_status(&rig, 0) & RIG_STATUS_NEEDS_RESET);
	for (unsigned how = 0; how < RING_BAD_COUNT; how++) {
		if (how == RING_BAD_HUGE) /* takes more memory than this guest has: see test_virtq */
			continue;
		rig.heap = 0x1000;
		init_rings();
		assert_true(rig_start(&rig, 0, 0, ring, 3));
		ring_add_bad(&ring[TX], how);
		rig_notify(&rig, 0, TX);
		if (!(rig_status(&rig, 0) & RIG_STATUS_NEEDS_RESET))
			fail_msg("%s accepted", ring_bad_name(how));
	}
}

static void test_guest_reset_drops_streams(void **state)
{
	int fd = lent_stream(700);

	rig_set(&rig, 0, 0x70, 0);
	expect_closed(fd);
	close(fd);
	rig.heap = 0x1000;
	init_rings();
	assert_true(rig_start(&rig, 0, 0, ring, 3));
	give_rx(4);
	send_data(700, LENT, "x", 1, 0);
	expect_op(700, LENT, VSOCK_OP_RST);
}

static void test_table_is_bounded(void **state)
{
	static int fd[VSOCK_UNIX_MAX_CONNS + 20];
	unsigned open = 0;

	plug(uds);
	for (unsigned i = 0; i < STK_ARRAY_LEN(fd); i++) {
		fd[i] = client(uds);
		rig_turn(&rig);
	}
	for (unsigned i = 0; i < STK_ARRAY_LEN(fd); i++) {
		open += !closed(&fd[i]);
		close(fd[i]);
	}
	assert_int_equal(open, VSOCK_UNIX_MAX_CONNS);
	rig_turn(&rig);
	/* Rows come back. */
	fd[0] = client(uds);
	assert_int_equal(write(fd[0], "CONNECT 3\n", 10), 10);
	expect_op(3, 0, VSOCK_OP_REQUEST);
	close(fd[0]);
}

/* --- snapshot --- */

static size_t save(uint8_t *blob, size_t cap)
{
	struct stk_wr w = stk_wr_init(blob, cap);

	assert_int_equal(dev->ops->save(dev, &w), 0);
	return w.len;
}

/* A new device in place of the old one, over the same guest memory, as in a clone. */
static void become_clone(const uint8_t *blob, size_t len, int lent_fd)
{
	static struct bus bus;
	struct device *clone;
	struct stk_err err;
	struct stk_rd r = stk_rd_init(blob, len);

	bus = (struct bus){0};
	rig.host.mmio = &bus;
	rig.host.port_fd_count = lent_fd >= 0;
	rig.host.port_fd[0].port = LENT;
	rig.host.port_fd[0].fd = lent_fd;
	if (virtio_vsock_create(&rig.host, 0, CID, "", &clone, &err) != 0)
		fail_msg("%s", err.text);
	if (clone->ops->restore(clone, &r, 1, &err) != 0)
		fail_msg("%s", err.text);
	dev->ops->fini(dev);
	rig_turn(&rig);
	dev = clone;
	rig.mmio = bus;
	rig.host.mmio = &rig.mmio;
	dev->ops->resume(dev);
}

static void test_kept_stream(void **state)
{
	uint8_t blob[1024];
	int fd = lent_stream(700), sv[2];
	size_t len;

	send_data(700, LENT, "ready", 5, 0);
	expect_read(fd, "ready");
	assert_int_equal(write(fd, "ok", 2), 2);
	expect_data("ok");
	dev->ops->quiesce(dev);
	assert_int_equal(write(fd, "later", 5), 5); /* for the one that goes on, not for clones */
	expect_nothing();
	virtio_vsock_prepare(dev, 1);
	expect_nothing();
	len = save(blob, sizeof(blob));

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
		fcntl(sv[0], F_SETFL, O_NONBLOCK);
		assert_int_equal(write(sv[0], "event", 5), 5); /* waits already when it resumes */
		become_clone(blob, len, sv[1]);
		close(fd);
		fd = sv[0];
		expect_data("event");
		send_data(700, LENT, "result", 6, 7);
		expect_read(fd, "result");
		dev->ops->quiesce(dev);
		virtio_vsock_prepare(dev, 1);
		len = save(blob, sizeof(blob));
	}
	/* Restored without a socket for it: the guest learns that the stream is gone. */
	become_clone(blob, len, -1);
	expect_op(700, LENT, VSOCK_OP_RST);
	close(fd);
}

/* Back to the saved state in the same device: the lent socket goes on, nothing else does. */
static void test_rewind(void **state)
{
	uint8_t blob[1024];
	int fd = lent_stream(700);
	struct stk_err err = {0};
	uint8_t *mem = malloc(16 << 20);
	char rings[sizeof(ring)];
	size_t len;

	assert_non_null(mem);

	send_data(700, LENT, "ready", 5, 0);
	expect_read(fd, "ready");
	dev->ops->quiesce(dev);
	virtio_vsock_prepare(dev, 1);
	len = save(blob, sizeof(blob));
	memcpy(mem, rig.host.mem->base, 16 << 20);
	memcpy(rings, ring, sizeof(rings));
	dev->ops->resume(dev);
	for (unsigned i = 0; i < 3; i++) {
		struct stk_rd r = stk_rd_init(blob, len);

		send_data(700, LENT, "result", 6, 0);
		expect_read(fd, "result");
		assert_int_equal(virtio_vsock_lent_bytes(dev), 5 + (i + 1) * 6);
		dev->ops->quiesce(dev);
		assert_int_equal(write(fd, "of the old life", 15), 15);
		assert_int_equal(dev->ops->rewind(dev, &err), 0);
		memcpy(rig.host.mem->base, mem, rig.host.mem->size);
		memcpy(ring, rings, sizeof(rings));
		assert_int_equal(dev->ops->restore(dev, &r, 1, &err), 0);
		dev->ops->resume(dev);
		expect_nothing();
		assert_int_equal(write(fd, "event", 5), 5);
		expect_data("event");
	}
	close(fd);
	free(mem);
}

static void test_keep_resets_the_others(void **state)
{
	char path[128];
	uint8_t blob[1024];
	size_t len;
	int l, fd, fd2;

	rig.host.port_fd_count = 0;
	plug(uds);
	snprintf(path, sizeof(path), "%s_77", uds);
	l = server(path);
	send_op(4000, 77, VSOCK_OP_REQUEST);
	expect_op(4000, 77, VSOCK_OP_RESPONSE);
	fd = accept(l, NULL, NULL);
	fd2 = client(uds);
	assert_int_equal(write(fd2, "CONNECT 8", 9), 9);
	rig_turn(&rig);
	dev->ops->quiesce(dev);
	virtio_vsock_prepare(dev, 1);
	expect_op(4000, 77, VSOCK_OP_RST); /* already in the saved ring */
	len = save(blob, sizeof(blob));
	become_clone(blob, len, -1);
	expect_nothing();
	close(fd);
	close(fd2);
	close(l);
}

/* Without keeping: a transport reset event, and nothing new before the guest has acted on it. */
static void test_transport_reset(void **state)
{
	uint8_t blob[1024];
	int fd = lent_stream(700), sv[2];
	uint32_t head, len, event = 99;
	size_t n;

	dev->ops->quiesce(dev);
	virtio_vsock_prepare(dev, 0);
	expect_closed(fd);
	close(fd);
	n = save(blob, sizeof(blob));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	become_clone(blob, n, sv[1]);
	assert_true(ring_take(&ring[EV], &head, &len));
	assert_int_equal(len, 4);
	memcpy(&event, rig_ptr(&rig, ring[EV].desc + 16 * head, 8), 4);
	memcpy(&event, rig_ptr(&rig, event, 4), 4);
	assert_int_equal(event, 0);
	assert_int_equal(rig_take_irq(&rig, 0), 1);
	send_op(900, 5, VSOCK_OP_RW);
	expect_nothing(); /* held back */
	ring_add(&ring[EV], &(struct ring_seg){0x1000, 4, true}, 1);
	rig_notify(&rig, 0, EV);
	expect_op(900, 5, VSOCK_OP_RST);
	send_op(901, LENT, VSOCK_OP_REQUEST);
	expect_op(901, LENT, VSOCK_OP_RESPONSE);
	close(sv[0]);
}

static void test_hostile_state(void **state)
{
	uint8_t blob[1024], bad[1024];
	struct stk_err err;
	struct stk_rd r;
	int fd = lent_stream(700);
	size_t len;

	dev->ops->quiesce(dev);
	virtio_vsock_prepare(dev, 1);
	len = save(blob, sizeof(blob));
	dev->ops->fini(dev);
	rig_turn(&rig);
	rig.mmio = (struct bus){0};
	rig.host.port_fd_count = 0;
	assert_int_equal(virtio_vsock_create(&rig.host, 0, CID, "", &dev, &err), 0);
	for (size_t cut = 0; cut < len; cut++) {
		r = stk_rd_init(blob, cut);
		assert_true(dev->ops->restore(dev, &r, 1, &err) < 0);
	}
	for (size_t i = 0; i < len; i++) {
		memcpy(bad, blob, len);
		bad[i] ^= 0xff;
		r = stk_rd_init(bad, len);
		(void)dev->ops->restore(dev, &r, 1, &err); /* may be legal; must not hurt */
		dev->ops->resume(dev);
		rig_turn(&rig);
	}
	close(fd);
}

static void test_path_in_use(void **state)
{
	struct stk_err err;
	struct device *d;
	char longer[200];
	int l = server(uds);

	assert_int_equal(virtio_vsock_create(&rig.host, 0, CID, uds, &d, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, uds));
	assert_int_equal(access(uds, F_OK), 0); /* not ours, not removed */
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	rig.mmio = (struct bus){0};
	assert_int_equal(virtio_vsock_create(&rig.host, 0, CID, longer, &d, &err), -ENAMETOOLONG);
	unlink(uds);
	close(l);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_config), T(test_host_connects), T(test_refused), T(test_bad_lines),
		T(test_silent_client_is_dropped), T(test_guest_connects), T(test_lent_once), T(test_sent_is_told_later),
		T(test_rewind),
		T(test_half_close), T(test_guest_half_close), T(test_last_words), T(test_bulk_to_guest),
		T(test_credit_to_guest), T(test_credit_from_guest), T(test_credit_breach),
		T(test_no_rx_buffers), T(test_fairness), T(test_odd_packets), T(test_bad_rings),
		T(test_guest_reset_drops_streams), T(test_table_is_bounded), T(test_kept_stream),
		T(test_keep_resets_the_others), T(test_transport_reset), T(test_hostile_state),
		T(test_path_in_use),
	};

	unit_time_limit(120);
	/* What libuv opens once per process is not a leak. */
	rig_init(&rig, 1 << 20);
	rig_fini(&rig);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
