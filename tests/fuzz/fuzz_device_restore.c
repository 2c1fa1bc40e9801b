/* Saved device state from the input, over guest memory from the input: it is refused with a message,
 * or the device runs on with it and hurts nobody. Input: device | lent socket | state length | state
 * | guest memory from the rings on. */
#include "tests/fuzz/device_fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/devices/serial.h"
#include "vmm/devices/virtio_blk.h"
#include "vmm/devices/virtio_rng.h"
#include "vmm/devices/virtio_vsock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int create(unsigned which, struct device **ret_dev, struct stk_err *err)
{
	struct vmconfig_drive drive = {.id = "rootfs", .copy_on_write = which & 1};
	static int image = -1;

	switch (which % 6) {
	case 0:
		return virtio_rng_create(&fuzz_rig.host, 0, ret_dev, err);
	case 1:
	case 2:
		if (image < 0)
			image = memfd_create("image", 0);
		if (ftruncate(image, 64 * 512) != 0)
			abort();
		snprintf(drive.path, sizeof(drive.path), "/proc/self/fd/%d", image);
		return virtio_blk_create(&fuzz_rig.host, 0, &drive, ret_dev, err);
	case 3:
		return serial_create(&fuzz_rig.host, ret_dev, err);
	default:
		return virtio_vsock_create(&fuzz_rig.host, 0, 3, "", ret_dev, err);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stk_rd r = stk_rd_init(data, size), state;
	struct device *dev = NULL;
	unsigned which = stk_rd_u8(&r), lent = stk_rd_u8(&r) & 1;
	struct stk_err err = {0, ""};
	uint16_t len = stk_rd_u16(&r);
	const uint8_t *p;
	int sv[2] = {-1, -1};

	if (len > r.left)
		len = (uint16_t)r.left;
	p = stk_rd_bytes(&r, len);
	if (!p)
		return 0;
	fuzz_begin();
	memcpy(fuzz_rig.mem.base + FUZZ_RING, r.p, r.left < 0x20000 ? r.left : 0x20000);
	if (which % 6 >= 4 && lent && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0) {
		fuzz_rig.host.port_fd[0].port = 1024;
		fuzz_rig.host.port_fd[0].fd = sv[1];
		fuzz_rig.host.port_fd_count = 1;
	}
	if (create(which, &dev, &err) != 0)
		abort();
	state = stk_rd_init(p, len);
	if (dev->ops->restore(dev, &state, dev->ops->version, &err) != 0) {
		if (!err.text[0])
			abort();
	} else {
		uint8_t blob[16384];
		struct stk_wr w = stk_wr_init(blob, sizeof(blob));

		dev->ops->resume(dev);
		if (sv[0] >= 0)
			(void)!send(sv[0], blob, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		rig_turn(&fuzz_rig);
		dev->ops->quiesce(dev);
		if (dev->ops->save(dev, &w) != 0)
			abort();
	}
	fuzz_end(dev);
	if (sv[0] >= 0)
		close(sv[0]);
	return 0;
}
