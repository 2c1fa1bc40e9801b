/* virtio over MMIO (virtio 1.2 section 4.2, register layout version 2): what all virtio devices
 * have in common. A device embeds struct virtio_mmio as its first member.
 *
 * Registers are served on vCPU threads with host->lock held. Queue work happens on the main thread
 * only: a notification rings an eventfd that the loop polls, one per device; the device then looks at
 * all its queues. It is rung by the vCPU thread, and by KVM itself (ioeventfd, any queue) once a device
 * has proved busy: registering that costs milliseconds in KVM, at a restore more than all the exits
 * that a short invocation saves by it. A reset by the guest closes the queues at once and leaves the
 * rest (host sockets) to the main thread, which does it before any further work. */
#ifndef VMM_DEVICES_VIRTIO_MMIO_H
#define VMM_DEVICES_VIRTIO_MMIO_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/log.h"
#include "vmm/devices/device.h"
#include "vmm/devices/virtq.h"

#define VIRTIO_MMIO_MAX_QUEUES 3u

/* Notifications after which a device gets its ioeventfd. */
#define VIRTIO_MMIO_BUSY 256u

#define VIRTIO_F_VERSION_1_BIT (1ULL << 32)

/* Status bits (2.1). */
#define VIRTIO_ST_ACKNOWLEDGE 1u
#define VIRTIO_ST_DRIVER      2u
#define VIRTIO_ST_DRIVER_OK   4u
#define VIRTIO_ST_FEATURES_OK 8u
#define VIRTIO_ST_NEEDS_RESET 64u
#define VIRTIO_ST_FAILED      128u

struct virtio_mmio;

struct virtio_mmio_ops {
	uint32_t device_id;
	unsigned queue_count;
	uint64_t features; /* of the device; VERSION_1 is added */
	/* Look at every queue. Main thread; only while the driver is running the device. */
	void (*work)(struct virtio_mmio *v);
	/* The guest reset the device: forget everything. Main thread. May be NULL. */
	void (*reset)(struct virtio_mmio *v);
	/* Frees the device. The last thing that happens to it. */
	void (*free)(struct virtio_mmio *v);
};

struct virtio_mmio {
	struct device dev; /* first */
	const struct virtio_mmio_ops *vops;
	struct device_host *host;
	const uint8_t *config; /* the device's configuration space, constant */
	uint32_t config_len;
	uint64_t features; /* offered */

	/* What the driver did. */
	uint32_t status;
	uint64_t driver_features;
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	uint32_t int_status;
	uint32_t config_gen;
	struct virtq q[VIRTIO_MMIO_MAX_QUEUES];

	struct irq_line irq;
	uint64_t window; /* guest physical address of the registers */
	int doorbell_fd;
	uv_poll_t doorbell;
	bool doorbell_open; /* the handle is known to the loop */
	bool doorbell_bound; /* KVM rings it (or will not) */
	uint32_t notify_exits; /* notifications that came as exits */
	bool reset_pending; /* registers are reset, vops->reset still to be called */
	bool paused;        /* guest memory must not change */
	bool in_work;       /* interrupts are collected ... */
	bool irq_due;       /* ... into one at the end of the turn ... */
	bool irq_owed;      /* ... which is raised when the lock is free; of the main thread */

	uint64_t malformed;  /* chains that broke the rules */
	uint64_t bad_access; /* register accesses that did */
	struct stk_log_limit log;
};

/* Makes interrupt and doorbell for window `index` and puts the registers on the bus. v is zeroed
 * memory whose dev.ops, dev.id, config and extra features are set. On failure virtio_mmio_fini
 * releases it. */
int virtio_mmio_init(struct virtio_mmio *v, const struct virtio_mmio_ops *vops, unsigned index,
		     struct device_host *host, struct stk_err *err);
/* Closes the loop handle; vops->free follows from the loop (at once for a half-built device). */
void virtio_mmio_fini(struct virtio_mmio *v);

/* The driver runs the device and nothing is wrong: queues may be touched. */
bool virtio_mmio_live(const struct virtio_mmio *v);
/* Does a pending reset, then vops->work when live and not paused. Main thread, lock held; virtio_mmio_unlocked
 * is to be called afterwards. */
void virtio_mmio_run(struct virtio_mmio *v);
/* Around what a device does on its host side's behalf: interrupts become one. Main thread, lock held. */
void virtio_mmio_begin(struct virtio_mmio *v);
void virtio_mmio_end(struct virtio_mmio *v);
/* Raises what became due. The lock is not held: the processor that takes the interrupt asks the device at once, and
 * would only wait for it. Main thread. */
void virtio_mmio_unlocked(struct virtio_mmio *v);
/* Makes the main thread call virtio_mmio_run soon. Any thread. */
void virtio_mmio_kick(struct virtio_mmio *v);

/* virtq_pop; a malformed chain puts the device into needs-reset. The chain's segments lie in host->iov, behind the first
 * iov_used there (those of chains popped before that are still looked at; 0: none), until the turn ends. */
int virtio_mmio_pop(struct virtio_mmio *v, unsigned queue, unsigned iov_used, struct virtq_chain *ret_chain);
/* The guest broke a rule: needs-reset status, configuration interrupt, rate-limited log line. */
void virtio_mmio_broken(struct virtio_mmio *v, const char *why);
/* After pushes to a queue: interrupt, unless the guest does not want one (false). */
bool virtio_mmio_interrupt(struct virtio_mmio *v, unsigned queue);
/* The device changed its configuration space. */
void virtio_mmio_config_changed(struct virtio_mmio *v);

/* Parts of device_ops. */
void virtio_mmio_quiesce(struct virtio_mmio *v);
void virtio_mmio_resume(struct virtio_mmio *v);
void virtio_mmio_save(const struct virtio_mmio *v, struct stk_wr *w);
/* Leaves the device paused until virtio_mmio_resume. */
int virtio_mmio_restore(struct virtio_mmio *v, struct stk_rd *r, struct stk_err *err);

#endif
