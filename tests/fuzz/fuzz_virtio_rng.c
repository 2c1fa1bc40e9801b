/* The entropy device with a running driver and rings from the input. */
#include "tests/fuzz/device_fuzz.h"

#include "vmm/devices/virtio_rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stk_rd r = stk_rd_init(data, size);
	struct device *dev = NULL;
	struct stk_err err;

	fuzz_begin();
	if (virtio_rng_create(&fuzz_rig.host, 0, &dev, &err) != 0)
		abort();
	fuzz_start(&r, 0, 1);
	for (unsigned i = 0; i < FUZZ_MAX_ACTS && r.left && !r.bad; i++)
		fuzz_act(&r, stk_rd_u8(&r), 1);
	rig_notify(&fuzz_rig, 0, 0);
	fuzz_end(dev);
	return 0;
}
