/* A guest for tests of virtio devices: memory, buses, a loop, and a driver that builds good rings
 * and bad ones. No KVM: notifications are register writes, interrupts are read from the register. */
#ifndef TESTS_LIB_RING_BUILDER_H
#define TESTS_LIB_RING_BUILDER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "vmm/devices/device.h"
#include "vmm/devices/virtq.h"

#define RIG_DESC_NEXT     1u
#define RIG_DESC_WRITE    2u
#define RIG_DESC_INDIRECT 4u

#define RIG_STATUS_RUNNING     15u
#define RIG_STATUS_NEEDS_RESET 64u
#define RIG_VERSION_1          (1ULL << 32)

struct rig {
	struct gmem mem;
	uv_loop_t loop;
	pthread_mutex_t lock;
	struct bus pio, mmio;
	struct device_host host;
	struct iovec iov[VIRTQ_SIZE_MAX]; /* the host's */
	uint64_t heap; /* next free guest address */
};

struct ring {
	struct rig *rig;
	uint64_t desc, avail, used; /* guest addresses */
	uint16_t size;
	uint16_t next_desc;
	uint16_t avail_idx, used_seen;
};

struct ring_seg {
	uint64_t addr;
	uint32_t len;
	bool write;
};

void rig_init(struct rig *rig, uint64_t mem_size);
/* Forgets devices, memory content and loop state but for the loop itself (a new "machine"). Runs
 * the loop until all handles are closed. */
void rig_fini(struct rig *rig);
uint64_t rig_alloc(struct rig *rig, uint64_t len, uint64_t align);
void *rig_ptr(struct rig *rig, uint64_t addr, uint64_t len);
/* Runs the loop without blocking, a few turns. */
void rig_turn(struct rig *rig);
/* Runs the loop until cond is true; false after ms. */
bool rig_until(struct rig *rig, bool (*cond)(void *ctx), void *ctx, unsigned ms);

/* Registers of window i. */
uint32_t rig_get(struct rig *rig, unsigned window, uint64_t off);
void rig_set(struct rig *rig, unsigned window, uint64_t off, uint32_t val);
uint32_t rig_status(struct rig *rig, unsigned window);
/* Reads and acknowledges the interrupt status. */
uint32_t rig_take_irq(struct rig *rig, unsigned window);
void rig_notify(struct rig *rig, unsigned window, unsigned queue); /* and runs the loop */
/* Tells the device where the ring is; true when it took it. */
bool rig_set_queue(struct rig *rig, unsigned window, unsigned queue, const struct ring *ring);
/* The driver's whole initialisation with these rings; features beyond VERSION_1. */
bool rig_start(struct rig *rig, unsigned window, uint64_t features, struct ring *ring, unsigned n);

void ring_init(struct ring *ring, struct rig *rig, uint16_t size);
void ring_set_desc(struct ring *ring, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags,
		   uint16_t next);
/* Makes head available. */
void ring_publish(struct ring *ring, uint16_t head);
void ring_set_avail_idx(struct ring *ring, uint16_t idx);
void ring_set_avail_flags(struct ring *ring, uint16_t flags);
uint16_t ring_used_flags(const struct ring *ring);
/* A good chain of the segments, made available; returns its head. */
uint16_t ring_add(struct ring *ring, const struct ring_seg *seg, unsigned n);
/* Next used entry; false when there is none. */
bool ring_take(struct ring *ring, uint32_t *ret_head, uint32_t *ret_len);
uint16_t ring_used_idx(const struct ring *ring);

/* Ways to break the rules, each made available as one chain. */
enum ring_bad {
	RING_BAD_LOOP,
	RING_BAD_HEAD,
	RING_BAD_NEXT,
	RING_BAD_ZERO_LEN,
	RING_BAD_OUTSIDE,
	RING_BAD_ACROSS_END,
	RING_BAD_OVERFLOW,
	RING_BAD_ORDER,    /* readable after writable */
	RING_BAD_INDIRECT,
	RING_BAD_HUGE,     /* sum beyond 32 bits */
	RING_BAD_JUMP,     /* avail index too far */
	RING_BAD_COUNT,
};
const char *ring_bad_name(enum ring_bad how);
void ring_add_bad(struct ring *ring, enum ring_bad how);

#endif
