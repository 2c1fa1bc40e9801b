/* The socket device: packets and rings from the input on one side, a lent socket on the other. */
#include "tests/fuzz/device_fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "vmm/backends/vsock_unix.h"
#include "vmm/devices/virtio_vsock.h"

#define LENT 1024u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A packet with sensible addresses, the rest from the input. */
static void packet(struct stk_rd *r)
{
	struct ring ring = fuzz_ring(1);
	uint16_t at = stk_rd_u8(r) % FUZZ_SIZE, len = stk_rd_u16(r);
	uint8_t b = stk_rd_u8(r);
	struct vsock_hdr h = {
		.src_cid = 3,
		.dst_cid = 2,
		.src_port = 700u + (b & 1),
		.dst_port = b & 2 ? 5 : LENT,
		.type = b & 4 ? stk_rd_u8(r) : 1,
		.op = stk_rd_u8(r) % 9,
		.flags = b >> 3 & 3,
		.len = b & 32 ? stk_rd_u32(r) : len,
		.buf_alloc = b & 64 ? stk_rd_u32(r) : 65536,
		.fwd_cnt = b & 128 ? stk_rd_u32(r) : 0,
	};

	memcpy(rig_ptr(&fuzz_rig, 0x20000, sizeof(h)), &h, sizeof(h));
	ring_set_desc(&ring, at, 0x20000, sizeof(h) + (uint32_t)len, 0, 0);
	memcpy(&ring.avail_idx, rig_ptr(&fuzz_rig, ring.avail + 2, 2), 2);
	ring_publish(&ring, at);
	rig_notify(&fuzz_rig, 0, 1);
}

static void receive_buffer(struct stk_rd *r)
{
	struct ring ring = fuzz_ring(0);
	uint16_t at = stk_rd_u8(r) % FUZZ_SIZE;

	ring_set_desc(&ring, at, 0x18000u + at * 0x400u, 44 + stk_rd_u16(r) % 1000, RIG_DESC_WRITE, 0);
	memcpy(&ring.avail_idx, rig_ptr(&fuzz_rig, ring.avail + 2, 2), 2);
	ring_publish(&ring, at);
	rig_notify(&fuzz_rig, 0, 0);
}

static void host_side(struct stk_rd *r, int *fd)
{
	static uint8_t buf[65536];
	uint8_t what = stk_rd_u8(r);

	if (*fd < 0)
		return;
	if (what < 100) {
		(void)!send(*fd, buf, what * 300u + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (what < 200) {
		(void)!recv(*fd, buf, sizeof(buf), MSG_DONTWAIT);
	} else if (what < 225) {
		shutdown(*fd, what & 1 ? SHUT_WR : SHUT_RD);
	} else if (what < 240) {
		close(*fd);
		*fd = -1;
	}
	uv_run(&fuzz_rig.loop, UV_RUN_NOWAIT);
}

static void snapshot(struct device *dev, int keep)
{
	uint8_t blob[8192];
	struct stk_wr w = stk_wr_init(blob, sizeof(blob));

	dev->ops->quiesce(dev);
	virtio_vsock_prepare(dev, keep);
	if (dev->ops->save(dev, &w) != 0)
		abort();
	dev->ops->resume(dev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stk_rd r = stk_rd_init(data, size);
	struct device *dev = NULL;
	struct stk_err err;
	int sv[2];

	fuzz_begin();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		abort();
	fuzz_rig.host.port_fd[0].port = LENT;
	fuzz_rig.host.port_fd[0].fd = sv[1];
	fuzz_rig.host.port_fd_count = 1;
	if (virtio_vsock_create(&fuzz_rig.host, 0, 3, "", &dev, &err) != 0)
		abort();
	fuzz_start(&r, 0, 3);
	for (unsigned i = 0; i < FUZZ_MAX_ACTS && r.left && !r.bad; i++) {
		uint8_t op = stk_rd_u8(&r);

		switch (op % 16) {
		case 11:
			packet(&r);
			break;
		case 12:
			receive_buffer(&r);
			break;
		case 13:
			host_side(&r, &sv[0]);
			break;
		case 14:
			if (op / 16 < 3) /* flushing may take a second, rarely enough */
				snapshot(dev, 0);
			break;
		default:
			fuzz_act(&r, op, 3);
			break;
		}
	}
	for (unsigned q = 0; q < 3; q++)
		rig_notify(&fuzz_rig, 0, q);
	fuzz_end(dev);
	if (sv[0] >= 0)
		close(sv[0]);
	return 0;
}
