/* The block device: copy-on-write, writable or read-only image, requests from the input. */
#include "tests/fuzz/device_fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/devices/virtio_blk.h"

#define IMAGE (64u * 512 + 100)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A request with well-formed frame: type, sector, data segments and a place for the status. */
static void request(struct stk_rd *r)
{
	struct ring ring = fuzz_ring(0);
	uint8_t *h = rig_ptr(&fuzz_rig, 0x20000, 16);
	uint16_t head = stk_rd_u8(r) % 12;
	uint32_t type = stk_rd_u8(r) % 10;
	uint64_t sector = stk_rd_u8(r);
	unsigned pieces = stk_rd_u8(r) % 3;
	uint16_t at = head;

	if (sector == 255)
		sector = stk_rd_u64(r);
	memset(h, 0, 16);
	memcpy(h, &type, 4);
	memcpy(h + 8, &sector, 8);
	ring_set_desc(&ring, at, 0x20000, 16, RIG_DESC_NEXT, (uint16_t)(at + 1));
	for (unsigned i = 0; i < pieces; i++) {
		uint32_t len = stk_rd_u16(r);

		at++;
		ring_set_desc(&ring, at, 0x10000, len & 1 ? (len & 0x7e00) + 512 : len,
			      (uint16_t)(RIG_DESC_NEXT | (type == 1 ? 0 : RIG_DESC_WRITE)),
			      (uint16_t)(at + 1));
	}
	at++;
	ring_set_desc(&ring, at, 0x21000, 1, RIG_DESC_WRITE, 0);
	memcpy(&ring.avail_idx, rig_ptr(&fuzz_rig, ring.avail + 2, 2), 2);
	ring_publish(&ring, head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stk_rd r = stk_rd_init(data, size);
	struct vmconfig_drive drive = {.id = "rootfs"};
	struct device *dev = NULL;
	struct stk_err err;
	static int image = -1;
	uint8_t how = stk_rd_u8(&r);

	if (image < 0)
		image = memfd_create("image", 0);
	if (ftruncate(image, IMAGE) != 0)
		abort();
	fuzz_begin();
	drive.read_only = how & 1;
	drive.copy_on_write = how & 2;
	snprintf(drive.path, sizeof(drive.path), "/proc/self/fd/%d", image);
	if (virtio_blk_create(&fuzz_rig.host, 0, &drive, &dev, &err) != 0)
		abort();
	fuzz_start(&r, 0, 1);
	for (unsigned i = 0; i < FUZZ_MAX_ACTS && r.left && !r.bad; i++) {
		uint8_t op = stk_rd_u8(&r);

		if (op % 16 >= 12)
			request(&r);
		else
			fuzz_act(&r, op, 1);
	}
	rig_notify(&fuzz_rig, 0, 0);
	fuzz_end(dev);
	return 0;
}
