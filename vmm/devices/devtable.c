/* The list of devices: what a VM has, in which order, and nothing else. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/devices/device.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/serial.h"
#include "vmm/devices/virtio_blk.h"
#include "vmm/devices/virtio_rng.h"
#include "vmm/devices/virtio_vsock.h"

static void added(struct device_set *set, struct device *dev, bool has_window)
{
	set->dev[set->count++] = dev;
	if (has_window)
		set->mmio_count++;
}

int devtable_create(struct device_set *set, const struct vmconfig *cfg, struct device_host *host,
		    struct stk_err *err)
{
	struct device *dev = NULL;
	int r;

	_Static_assert(2 + VMCONFIG_MAX_DRIVES + 2 <= DEVICE_MAX, "room for all devices");
	_Static_assert(VMCONFIG_MAX_DRIVES + 2 <= DEVICE_MAX_MMIO, "a window for each");
	*set = (struct device_set){0};
	r = serial_create(host, &dev, err);
	if (r != 0)
		goto fail;
	added(set, dev, false);
	r = i8042_create(host, &dev, err);
	if (r != 0)
		goto fail;
	added(set, dev, false);
	for (unsigned i = 0; i < cfg->drive_count && i < VMCONFIG_MAX_DRIVES; i++) {
		r = virtio_blk_create(host, set->mmio_count, &cfg->drive[i], &dev, err);
		if (r != 0)
			goto fail;
		added(set, dev, true);
	}
	if (cfg->vsock) {
		r = virtio_vsock_create(host, set->mmio_count, cfg->guest_cid, cfg->uds_path, &dev, err);
		if (r != 0)
			goto fail;
		added(set, dev, true);
	}
	if (cfg->entropy) {
		r = virtio_rng_create(host, set->mmio_count, &dev, err);
		if (r != 0)
			goto fail;
		added(set, dev, true);
	}
	return 0;

fail:
	devtable_destroy(set);
	return r;
}

void devtable_destroy(struct device_set *set)
{
	while (set->count) {
		struct device *dev = set->dev[--set->count];

		dev->ops->fini(dev);
	}
	set->mmio_count = 0;
}

unsigned devtable_regions(const struct device_set *set, struct device_region *ret_region, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < set->count && n < max; i++)
		n += virtio_blk_region(set->dev[i], &ret_region[n]);
	return n;
}

int devtable_cmdline(const struct device_set *set, char *cmdline, size_t cap)
{
	size_t len = strnlen(cmdline, cap);

	for (unsigned i = 0; i < set->mmio_count; i++) {
		int n = snprintf(cmdline + len, cap - len, " virtio_mmio.device=4K@0x%llx:%u",
				 DEVICE_MMIO_BASE + i * DEVICE_MMIO_LEN, device_gsi(i));

		if (n < 0 || (size_t)n >= cap - len)
			return -ENOSPC;
		len += (size_t)n;
	}
	return 0;
}

void devtable_vsock_prepare(struct device_set *set, int keep)
{
	for (unsigned i = 0; i < set->count; i++)
		virtio_vsock_prepare(set->dev[i], keep);
}

uint64_t devtable_vsock_lent_bytes(const struct device_set *set)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < set->count; i++)
		sum += virtio_vsock_lent_bytes(set->dev[i]);
	return sum;
}
