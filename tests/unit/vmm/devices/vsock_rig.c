/* The socket device under test: see vsock_rig.h. */
#include "tests/unit/vmm/devices/vsock_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct rig vr_rig;
struct ring vr_ring[3];
struct device *vr_dev;
char vr_uds[96];
uint64_t vr_tx_buf;

static char dir[64];
static uint64_t rx_buf[256];
static unsigned fds_before;

void vr_give_rx(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint16_t at = vr_ring[RX].next_desc;

		/* Header and data apart, as older kernels do, or in one piece, as newer ones. */
		if (i & 1)
			ring_add(&vr_ring[RX], &(struct ring_seg){rx_buf[at], 44 + RX_BUF, true}, 1);
		else
			ring_add(&vr_ring[RX], (struct ring_seg[]){{rx_buf[at], 44, true},
								   {rx_buf[at] + 44, RX_BUF, true}}, 2);
	}
}

void vr_init_rings(void)
{
	ring_init(&vr_ring[RX], &vr_rig, 256);
	ring_init(&vr_ring[TX], &vr_rig, 64);
	ring_init(&vr_ring[EV], &vr_rig, 8);
	for (unsigned i = 0; i < 256; i++)
		rx_buf[i] = rig_alloc(&vr_rig, 44 + RX_BUF, 8);
	vr_tx_buf = rig_alloc(&vr_rig, 44 + 262144, 8);
	for (unsigned i = 0; i < 4; i++)
		ring_add(&vr_ring[EV], &(struct ring_seg){rig_alloc(&vr_rig, 4, 4), 4, true}, 1);
}

void vr_plug(const char *path)
{
	struct stk_err err;

	if (virtio_vsock_create(&vr_rig.host, 0, CID, path, &vr_dev, &err) != 0)
		fail_msg("%s", err.text);
	vr_init_rings();
	assert_true(rig_start(&vr_rig, 0, 0, vr_ring, 3));
	vr_give_rx(RX_COUNT);
	rig_notify(&vr_rig, 0, RX);
}

int vr_setup(void **state)
{
	fds_before = unit_count_fds();
	rig_init(&vr_rig, 16 << 20);
	snprintf(dir, sizeof(dir), "/tmp/stoker-test-vsock.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(vr_uds, sizeof(vr_uds), "%s/v", dir);
	vr_dev = NULL;
	return 0;
}

int vr_teardown(void **state)
{
	char cmd[128];

	if (vr_dev)
		vr_dev->ops->fini(vr_dev);
	rig_fini(&vr_rig);
	assert_int_equal(access(vr_uds, F_OK), -1); /* the listener's file is gone */
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(unit_count_fds(), fds_before);
	return 0;
}

/* --- the guest's side --- */

struct vsock_hdr vr_hdr(uint32_t guest_port, uint32_t host_port, uint16_t op)
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

void vr_send_hdr(struct vsock_hdr h, const void *data)
{
	uint8_t *p = rig_ptr(&vr_rig, vr_tx_buf, 44 + 262144);
	uint32_t head, len;

	memcpy(p, &h, 44);
	if (h.len)
		memcpy(p + 44, data, h.len);
	if (h.len)
		ring_add(&vr_ring[TX], (struct ring_seg[]){{vr_tx_buf, 44, false},
							   {vr_tx_buf + 44, h.len, false}}, 2);
	else
		ring_add(&vr_ring[TX], &(struct ring_seg){vr_tx_buf, 44, false}, 1);
	rig_notify(&vr_rig, 0, TX);
	assert_true(ring_take(&vr_ring[TX], &head, &len));
}

void vr_send_op(uint32_t guest_port, uint32_t host_port, uint16_t op)
{
	vr_send_hdr(vr_hdr(guest_port, host_port, op), NULL);
}

void vr_send_data(uint32_t guest_port, uint32_t host_port, const void *data, uint32_t len,
		      uint32_t fwd_cnt)
{
	struct vsock_hdr h = vr_hdr(guest_port, host_port, VSOCK_OP_RW);

	h.len = len;
	h.fwd_cnt = fwd_cnt;
	vr_send_hdr(h, data);
}

bool vr_have_rx(void *ctx)
{
	return ring_used_idx(&vr_ring[RX]) != vr_ring[RX].used_seen;
}

bool vr_recv_pkt(struct vsock_hdr *h, uint8_t *data)
{
	uint32_t head, len;
	uint8_t *p;

	if (!rig_until(&vr_rig, vr_have_rx, NULL, 2000))
		return false;
	assert_true(ring_take(&vr_ring[RX], &head, &len));
	p = rig_ptr(&vr_rig, rx_buf[head], 44 + RX_BUF);
	memcpy(h, p, 44);
	assert_int_equal(len, 44 + h->len);
	assert_int_equal(h->src_cid, 2);
	assert_int_equal(h->dst_cid, CID);
	if (data)
		memcpy(data, p + 44, h->len);
	return true;
}

struct vsock_hdr vr_expect_op(uint32_t guest_port, uint32_t host_port, unsigned op)
{
	struct vsock_hdr h;

	if (!vr_recv_pkt(&h, NULL))
		fail_msg("no packet; expected op %u", op);
	assert_int_equal(h.op, op);
	assert_int_equal(h.dst_port, guest_port);
	if (host_port)
		assert_int_equal(h.src_port, host_port);
	return h;
}

void vr_expect_data(const char *text)
{
	uint8_t data[RX_BUF];
	struct vsock_hdr h;

	assert_true(vr_recv_pkt(&h, data));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.len, strlen(text));
	assert_memory_equal(data, text, h.len);
}

void vr_expect_nothing(void)
{
	rig_turn(&vr_rig);
	assert_false(vr_have_rx(NULL));
}

/* --- the host's side --- */

int vr_client(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

int vr_server(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

void vr_expect_read(int fd, const char *text)
{
	char buf[256] = {0};
	ssize_t n;

	rig_turn(&vr_rig);
	n = read(fd, buf, sizeof(buf) - 1);
	assert_int_equal(n, strlen(text));
	assert_string_equal(buf, text);
}

bool vr_closed(void *ctx)
{
	char c;

	return recv(*(int *)ctx, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0 ||
	       (errno != EAGAIN && errno != EWOULDBLOCK);
}

void vr_expect_closed(int fd)
{
	assert_true(rig_until(&vr_rig, vr_closed, &fd, 2000));
}

int vr_lent_stream(uint32_t guest_port)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	fcntl(sv[0], F_SETFL, O_NONBLOCK);
	vr_rig.host.port_fd[0].port = LENT;
	vr_rig.host.port_fd[0].fd = sv[1];
	vr_rig.host.port_fd_count = 1;
	vr_plug("");
	vr_send_op(guest_port, LENT, VSOCK_OP_REQUEST);
	vr_expect_op(guest_port, LENT, VSOCK_OP_RESPONSE);
	return sv[0];
}

void vr_begin(void)
{
	unit_time_limit(120);
	/* What libuv opens once per process is not a leak. */
	rig_init(&vr_rig, 1 << 20);
	rig_fini(&vr_rig);
}
