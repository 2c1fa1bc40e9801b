/* Entropy device (virtio 1.2 section 5.4): one queue, each buffer filled from getrandom(2). Nothing
 * is saved but the queue, so clones of one snapshot never get the same bytes. */
#ifndef VMM_DEVICES_VIRTIO_RNG_H
#define VMM_DEVICES_VIRTIO_RNG_H

#include "vmm/devices/device.h"

#define VIRTIO_RNG_REQUEST_MAX 65536u /* bytes given per request; the guest asks again for more */

int virtio_rng_create(struct device_host *host, unsigned mmio_index, struct device **ret_dev,
		      struct stk_err *err);

#endif
