/* The transport: register accesses of any kind in any order, on the entropy device; its saved state
 * is always one that can be restored. */
#include "tests/fuzz/device_fuzz.h"

#include "vmm/devices/virtio_rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void save_and_restore(struct device *dev)
{
	uint8_t blob[512];
	struct stk_wr w = stk_wr_init(blob, sizeof(blob));
	struct stk_err err;
	struct stk_rd r;

	dev->ops->quiesce(dev);
	if (dev->ops->save(dev, &w) != 0)
		abort();
	r = stk_rd_init(blob, w.len);
	if (dev->ops->restore(dev, &r, dev->ops->version, &err) != 0)
		abort();
	dev->ops->resume(dev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stk_rd r = stk_rd_init(data, size);
	struct device *dev = NULL;
	struct stk_err err;

	fuzz_begin();
	if (virtio_rng_create(&fuzz_rig.host, 0, &dev, &err) != 0)
		abort();
	for (unsigned i = 0; i < FUZZ_MAX_ACTS && r.left && !r.bad; i++) {
		uint8_t op = stk_rd_u8(&r);

		if (op % 16 == 15)
			save_and_restore(dev);
		else if (op % 16 == 14)
			rig_set(&fuzz_rig, 0, 0x70, stk_rd_u8(&r));
		else
			fuzz_act(&r, op, 1);
	}
	fuzz_end(dev);
	return 0;
}
