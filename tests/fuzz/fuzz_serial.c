/* The console and the reset line: any port access. */
#include "tests/fuzz/device_fuzz.h"

#include <fcntl.h>

#include "vmm/devices/i8042.h"
#include "vmm/devices/serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stk_rd r = stk_rd_init(data, size);
	struct device *dev = NULL, *kbd = NULL;
	static int null = -1;
	struct stk_err err;
	uint8_t buf[8];

	if (null < 0)
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fuzz_begin();
	fuzz_rig.host.serial_out_fd = null;
	if (serial_create(&fuzz_rig.host, &dev, &err) != 0 ||
	    i8042_create(&fuzz_rig.host, &kbd, &err) != 0)
		abort();
	while (r.left && !r.bad) {
		uint8_t op = stk_rd_u8(&r);
		unsigned len = 1u << (op >> 4 & 3);
		uint64_t port = (op & 8 ? 0x60u : 0x3f8u) + (op & 7);

		if (op & 0x80) {
			stk_rd_copy(&r, buf, len);
			bus_write(&fuzz_rig.pio, port, buf, len);
		} else {
			bus_read(&fuzz_rig.pio, port, buf, len);
		}
		if (op == 0x7f) {
			uint8_t blob[64];
			struct stk_wr w = stk_wr_init(blob, sizeof(blob));
			struct stk_rd back;

			dev->ops->quiesce(dev);
			if (dev->ops->save(dev, &w) != 0)
				abort();
			back = stk_rd_init(blob, w.len);
			if (dev->ops->restore(dev, &back, dev->ops->version, &err) != 0)
				abort();
			dev->ops->resume(dev);
		}
	}
	kbd->ops->fini(kbd);
	fuzz_end(dev);
	return 0;
}
