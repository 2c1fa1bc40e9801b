/* Block device (virtio 1.2 section 5.2): one queue, requests done one after the other on the main
 * thread, straight between the guest's memory and the page cache. */
#ifndef VMM_DEVICES_VIRTIO_BLK_H
#define VMM_DEVICES_VIRTIO_BLK_H

#include <stdbool.h>

#include "vmm/devices/device.h"

/* Opens the image, unless host->drive_fd has it. While host->restore_mem_fd is set, a copy-on-write drive is taken from the
 * memory file as host->restore_region says; its image file is not opened. */
int virtio_blk_create(struct device_host *host, unsigned mmio_index,
		      const struct vmconfig_drive *drive, struct device **ret_dev, struct stk_err *err);

/* True when dev is a copy-on-write drive: then *ret_region is its content; file_offset is where the
 * mapping begins in the memory file it was restored from (0 after a boot). */
bool virtio_blk_region(const struct device *dev, struct device_region *ret_region);

#endif
