/* Socket device (virtio 1.2 section 5.10), stream sockets only: three queues between the guest and
 * the muxer in vmm/backends/vsock_unix.h. Packets go straight between guest buffers and sockets. */
#ifndef VMM_DEVICES_VIRTIO_VSOCK_H
#define VMM_DEVICES_VIRTIO_VSOCK_H

#include "vmm/devices/device.h"

/* Takes host->port_fd[] over (on success). uds_path may be "". */
int virtio_vsock_create(struct device_host *host, unsigned mmio_index, uint32_t guest_cid,
			const char *uds_path, struct device **ret_dev, struct stk_err *err);

/* See devtable_vsock_prepare; dev may be any device. Only while quiesced. */
void virtio_vsock_prepare(struct device *dev, int keep);
/* vsock_unix_lent_bytes, 0 for any other device. */
uint64_t virtio_vsock_lent_bytes(const struct device *dev);

#endif
