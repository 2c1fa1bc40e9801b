/* What every device is to the rest of the monitor: a row of operations plus a place on the bus.
 *
 * Threads: register accesses arrive on vCPU threads, queue work on the main (libuv) thread. Both
 * hold host->lock, so a device needs no lock of its own. */
#ifndef VMM_DEVICES_DEVICE_H
#define VMM_DEVICES_DEVICE_H

#include <pthread.h>
#include <stdint.h>
#include <sys/uio.h>
#include <uv.h>

#include "common/base/cursor.h"
#include "common/base/err.h"
#include "vmm/bus.h"
#include "vmm/gmem.h"
#include "vmm/irq.h"
#include "vmm/vmconfig.h"

struct device;

struct device_ops {
	const char *name; /* also the wire id in snapshots, for example "virtio-blk" */
	uint32_t version; /* of the saved state */
	/* vCPUs are parked: finish or drop everything in flight, so that save sees a still device. */
	void (*quiesce)(struct device *dev);
	/* Before vCPUs go on, after a pause or a restore: look at the queues again. */
	void (*resume)(struct device *dev);
	int (*save)(struct device *dev, struct stk_wr *w);
	/* A still device that has lived forgets all it did, so that restore finds it as after its creation. A negative
	 * errno when it cannot. May be NULL. */
	int (*rewind)(struct device *dev, struct stk_err *err);
	/* Hostile input. version = the saved one. */
	int (*restore)(struct device *dev, struct stk_rd *r, uint32_t version, struct stk_err *err);
	void (*fini)(struct device *dev); /* frees dev; accepts half-built */
};

struct device {
	const struct device_ops *ops;
	char id[VMCONFIG_ID_MAX + 1]; /* drive id, "vsock", "entropy", "serial", ... */
};

/* Bytes outside RAM that are part of the snapshot's memory file (copy-on-write drives). */
struct device_region {
	char id[VMCONFIG_ID_MAX + 1]; /* device id */
	uint8_t *base;
	uint64_t len;         /* multiple of 4096 */
	uint64_t file_offset; /* in the file behind the mapping; used at restore */
	int backing_fd;       /* from devtable_regions: that file, -1 for the snapshot's memory file */
};

#define DEVICE_MMIO_BASE 0xd0000000ULL
#define DEVICE_MMIO_LEN  0x1000ULL
#define DEVICE_MAX_MMIO  10u /* GSIs 5..15 without 8 */

/* Interrupt line of a window. Not 8: that is the real-time clock's, for which KVM wants to see each end of interrupt,
 * so that the guest has to leave for it (paravirtual EOI is off for that vector). */
static inline unsigned device_gsi(unsigned window)
{
	return window < 3 ? 5 + window : 6 + window;
}

#define DEVICE_MAX_PORT_FDS 4

/* What devices get from the VM. Lives as long as they do. */
struct device_host {
	struct gmem *mem;
	uv_loop_t *loop;
	pthread_mutex_t *lock;
	struct iovec *iov; /* VIRTQ_SIZE_MAX of them: of the request that is being served. Main thread, lock held */
	struct bus *pio;
	struct bus *mmio;
	int kvm_vm_fd; /* -1 in tests */
	int serial_out_fd; /* -1: output is dropped */
	/* vsock streams lent by the process that started us: host port -> connected socket. */
	struct { uint32_t port; int fd; } port_fd[DEVICE_MAX_PORT_FDS];
	unsigned port_fd_count;
	/* Images that are open already, of drives that are only read; the drives take them over. */
	struct { const char *id; int fd; } drive_fd[VMCONFIG_MAX_DRIVES];
	unsigned drive_fd_count;
	/* Set while restoring: the memory file and where each copy-on-write drive lies in it. */
	int restore_mem_fd; /* -1 when booting */
	const struct device_region *restore_region;
	unsigned restore_region_count;
	/* The guest asked for a reset or power off (i8042). Called on a vCPU thread, lock held. */
	void (*on_reset)(void *ctx);
	void *on_reset_ctx;
};

#define DEVICE_MAX 16

/* All devices of a VM in start order; save, restore, quiesce, teardown walk this one table. */
struct device_set {
	struct device *dev[DEVICE_MAX];
	unsigned count;
	unsigned mmio_count; /* virtio-mmio windows in use: base + i * len, GSI first + i */
};

/* devtable.c. Builds serial, i8042, then drives in order, vsock, entropy from cfg. On failure
 * everything built so far is released. Main thread. */
int devtable_create(struct device_set *set, const struct vmconfig *cfg, struct device_host *host,
		    struct stk_err *err);
void devtable_destroy(struct device_set *set);
/* Copy-on-write regions for the snapshot writer; returns their number (at most max). */
unsigned devtable_regions(const struct device_set *set, struct device_region *ret_region, unsigned max);
/* Appends " virtio_mmio.device=4K@0x...:gsi" for each window; -ENOSPC when cap is too small. */
int devtable_cmdline(const struct device_set *set, char *cmdline, size_t cap);

/* vsock: before a snapshot. keep != 0: open streams stay in the saved state (for host ports given
 * with --vsock-fd; others are reset); keep == 0: all streams end with a transport reset. */
void devtable_vsock_prepare(struct device_set *set, int keep);
/* Bytes that lent sockets have taken from the guest, in all its lives. */
uint64_t devtable_vsock_lent_bytes(const struct device_set *set);

#endif
