/* Common part of the device fuzz targets: a rig with a small guest memory, built once per input.
 * Input: [set-up bytes] [actions]. Guest memory is written by actions, queues are set up well or
 * badly, registers are written, the loop runs. */
#ifndef TESTS_FUZZ_DEVICE_FUZZ_H
#define TESTS_FUZZ_DEVICE_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "common/base/cursor.h"
#include "common/base/log.h"
#include "tests/lib/ring_builder.h"

#define FUZZ_MEM      (256u * 1024)
#define FUZZ_RING     0x1000u  /* queue q: descriptors at + q * 0x3000, avail + 0x1000, used + 0x2000 */
#define FUZZ_SIZE     16u
#define FUZZ_MAX_ACTS 400

static struct rig fuzz_rig;

static inline void fuzz_begin(void)
{
	stk_log_set_level(STK_LOG_ERROR);
	rig_init(&fuzz_rig, FUZZ_MEM);
}

static inline void fuzz_end(struct device *dev)
{
	if (dev)
		dev->ops->fini(dev);
	rig_fini(&fuzz_rig);
}

static inline struct ring fuzz_ring(unsigned q)
{
	return (struct ring){
		.rig = &fuzz_rig,
		.desc = FUZZ_RING + q * 0x3000u,
		.avail = FUZZ_RING + q * 0x3000u + 0x1000u,
		.used = FUZZ_RING + q * 0x3000u + 0x2000u,
		.size = FUZZ_SIZE,
	};
}

/* Brings the driver up with rings at the usual places, or elsewhere when the input says so. */
static inline void fuzz_start(struct stk_rd *r, uint64_t features, unsigned queues)
{
	struct ring ring[3];
	uint8_t how = stk_rd_u8(r);

	for (unsigned q = 0; q < queues; q++)
		ring[q] = fuzz_ring(q);
	if (how & 1)
		ring[how % queues].desc = stk_rd_u64(r);
	if (how & 2)
		ring[how % queues].used = stk_rd_u64(r);
	if (how & 4)
		ring[how % queues].size = stk_rd_u16(r);
	if (how & 8)
		features = stk_rd_u64(r);
	rig_start(&fuzz_rig, 0, features, ring, queues);
}

/* One action of those all devices share; op is the first byte. */
static inline void fuzz_act(struct stk_rd *r, uint8_t op, unsigned queues)
{
	struct ring ring = fuzz_ring(queues ? op / 16u % queues : 0);
	uint8_t data[8];

	switch (op % 16) {
	case 0: { /* a good chain of up to 4 segments */
		uint16_t head = stk_rd_u8(r) % FUZZ_SIZE;
		unsigned n = stk_rd_u8(r) % 4 + 1;

		for (unsigned i = 0; i < n; i++) {
			uint16_t at = (uint16_t)((head + i) % FUZZ_SIZE);
			uint8_t f = stk_rd_u8(r);

			ring_set_desc(&ring, at, 0x10000u + stk_rd_u16(r), stk_rd_u16(r),
				      (uint16_t)((f & 2) | (i + 1 < n)), (uint16_t)((at + 1) % FUZZ_SIZE));
		}
		memcpy(&ring.avail_idx, rig_ptr(&fuzz_rig, ring.avail + 2, 2), 2);
		ring_publish(&ring, head);
		break;
	}
	case 1: /* any descriptor */
		ring_set_desc(&ring, stk_rd_u8(r) % FUZZ_SIZE, stk_rd_u64(r), stk_rd_u32(r), stk_rd_u16(r),
			      stk_rd_u16(r));
		break;
	case 2: /* any head */
		memcpy(&ring.avail_idx, rig_ptr(&fuzz_rig, ring.avail + 2, 2), 2);
		ring_publish(&ring, stk_rd_u16(r));
		break;
	case 3:
		ring_set_avail_idx(&ring, stk_rd_u16(r));
		break;
	case 4: { /* bytes somewhere */
		uint32_t at = stk_rd_u32(r) % (FUZZ_MEM - 256), n = stk_rd_u8(r);
		const uint8_t *p = stk_rd_bytes(r, n);

		if (p)
			memcpy(rig_ptr(&fuzz_rig, at, n), p, n);
		break;
	}
	case 5: { /* any register access */
		uint16_t off = stk_rd_u16(r) % 0x200;
		unsigned len = 1u << stk_rd_u8(r) % 4;

		stk_rd_copy(r, data, len);
		bus_write(&fuzz_rig.mmio, DEVICE_MMIO_BASE + off, data, len);
		bus_read(&fuzz_rig.mmio, DEVICE_MMIO_BASE + off, data, len);
		break;
	}
	case 6:
		rig_notify(&fuzz_rig, 0, op / 16u);
		break;
	case 7:
		uv_run(&fuzz_rig.loop, UV_RUN_NOWAIT);
		break;
	case 8:
		rig_take_irq(&fuzz_rig, 0);
		break;
	case 9:
		fuzz_start(r, 0, queues);
		break;
	default:
		break;
	}
}

#endif
