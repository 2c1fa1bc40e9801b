#include "tests/lib/ring_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "ring_builder: %s\n", what);
	abort();
}

void rig_init(struct rig *rig, uint64_t mem_size)
{
	struct stk_err err;

	memset(rig, 0, sizeof(*rig));
	must(gmem_init_anon(&rig->mem, mem_size, &err) == 0, "guest memory");
	must(uv_loop_init(&rig->loop) == 0, "loop");
	pthread_mutex_init(&rig->lock, NULL);
	rig->host = (struct device_host){
		.mem = &rig->mem,
		.loop = &rig->loop,
		.lock = &rig->lock,
		.iov = rig->iov,
		.pio = &rig->pio,
		.mmio = &rig->mmio,
		.kvm_vm_fd = -1,
		.serial_out_fd = -1,
		.restore_mem_fd = -1,
	};
	rig->heap = 0x1000;
}

void rig_fini(struct rig *rig)
{
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	must(uv_loop_close(&rig->loop) == 0, "a loop handle was left open");
	gmem_fini(&rig->mem);
	pthread_mutex_destroy(&rig->lock);
}

uint64_t rig_alloc(struct rig *rig, uint64_t len, uint64_t align)
{
	uint64_t at = (rig->heap + align - 1) / align * align;

	must(gmem_ptr(&rig->mem, gpa(at), len) != NULL, "guest memory is full");
	rig->heap = at + len;
	return at;
}

void *rig_ptr(struct rig *rig, uint64_t addr, uint64_t len)
{
	void *p = gmem_ptr(&rig->mem, gpa(addr), len);

	must(p != NULL, "address");
	return p;
}

void rig_turn(struct rig *rig)
{
	for (unsigned i = 0; i < 4; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static void on_tick(uv_timer_t *t)
{
}

bool rig_until(struct rig *rig, bool (*cond)(void *ctx), void *ctx, unsigned ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000ULL;
	uv_timer_t tick;
	bool ok;

	uv_timer_init(&rig->loop, &tick);
	uv_timer_start(&tick, on_tick, 5, 5);
	while (!(ok = cond(ctx)) && uv_hrtime() < end)
		uv_run(&rig->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&rig->loop, UV_RUN_NOWAIT);
	return ok;
}

uint32_t rig_get(struct rig *rig, unsigned window, uint64_t off)
{
	uint32_t v;

	pthread_mutex_lock(&rig->lock);
	bus_read(&rig->mmio, DEVICE_MMIO_BASE + window * DEVICE_MMIO_LEN + off, (uint8_t *)&v, 4);
	pthread_mutex_unlock(&rig->lock);
	return v;
}

void rig_set(struct rig *rig, unsigned window, uint64_t off, uint32_t val)
{
	pthread_mutex_lock(&rig->lock);
	bus_write(&rig->mmio, DEVICE_MMIO_BASE + window * DEVICE_MMIO_LEN + off, (uint8_t *)&val, 4);
	pthread_mutex_unlock(&rig->lock);
}

uint32_t rig_status(struct rig *rig, unsigned window)
{
	return rig_get(rig, window, 0x70);
}

uint32_t rig_take_irq(struct rig *rig, unsigned window)
{
	uint32_t v = rig_get(rig, window, 0x60);

	rig_set(rig, window, 0x64, v);
	return v;
}

void rig_notify(struct rig *rig, unsigned window, unsigned queue)
{
	rig_set(rig, window, 0x50, queue);
	rig_turn(rig);
}

bool rig_set_queue(struct rig *rig, unsigned window, unsigned queue, const struct ring *ring)
{
	rig_set(rig, window, 0x30, queue);
	rig_set(rig, window, 0x38, ring->size);
	rig_set(rig, window, 0x80, (uint32_t)ring->desc);
	rig_set(rig, window, 0x84, (uint32_t)(ring->desc >> 32));
	rig_set(rig, window, 0x90, (uint32_t)ring->avail);
	rig_set(rig, window, 0x94, (uint32_t)(ring->avail >> 32));
	rig_set(rig, window, 0xa0, (uint32_t)ring->used);
	rig_set(rig, window, 0xa4, (uint32_t)(ring->used >> 32));
	rig_set(rig, window, 0x44, 1);
	return rig_get(rig, window, 0x44) == 1;
}

bool rig_start(struct rig *rig, unsigned window, uint64_t features, struct ring *ring, unsigned n)
{
	features |= RIG_VERSION_1;
	rig_set(rig, window, 0x70, 0);
	rig_turn(rig);
	rig_set(rig, window, 0x70, 1);
	rig_set(rig, window, 0x70, 3);
	for (uint32_t i = 0; i < 2; i++) {
		rig_set(rig, window, 0x24, i);
		rig_set(rig, window, 0x20, (uint32_t)(features >> (32 * i)));
	}
	rig_set(rig, window, 0x70, 11);
	if (rig_status(rig, window) != 11)
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (!rig_set_queue(rig, window, i, &ring[i]))
			return false;
	}
	rig_set(rig, window, 0x70, 15);
	rig_turn(rig);
	return rig_status(rig, window) == 15;
}

/* --- rings --- */

static void put16(struct ring *ring, uint64_t addr, uint16_t v)
{
	memcpy(rig_ptr(ring->rig, addr, 2), &v, 2);
}

static uint16_t get16(const struct ring *ring, uint64_t addr)
{
	uint16_t v;

	memcpy(&v, rig_ptr(ring->rig, addr, 2), 2);
	return v;
}

void ring_init(struct ring *ring, struct rig *rig, uint16_t size)
{
	*ring = (struct ring){.rig = rig, .size = size};
	ring->desc = rig_alloc(rig, 16ULL * size, 16);
	ring->avail = rig_alloc(rig, 6 + 2ULL * size, 2);
	ring->used = rig_alloc(rig, 6 + 8ULL * size, 4);
	memset(rig_ptr(rig, ring->desc, 16ULL * size), 0, 16ULL * size);
	memset(rig_ptr(rig, ring->avail, 6 + 2ULL * size), 0, 6 + 2ULL * size);
	memset(rig_ptr(rig, ring->used, 6 + 8ULL * size), 0, 6 + 8ULL * size);
}

void ring_set_desc(struct ring *ring, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags,
		   uint16_t next)
{
	uint8_t *d = rig_ptr(ring->rig, ring->desc + 16ULL * i, 16);

	memcpy(d, &addr, 8);
	memcpy(d + 8, &len, 4);
	memcpy(d + 12, &flags, 2);
	memcpy(d + 14, &next, 2);
}

void ring_set_avail_idx(struct ring *ring, uint16_t idx)
{
	ring->avail_idx = idx;
	put16(ring, ring->avail + 2, idx);
}

void ring_set_avail_flags(struct ring *ring, uint16_t flags)
{
	put16(ring, ring->avail, flags);
}

uint16_t ring_used_flags(const struct ring *ring)
{
	return get16(ring, ring->used);
}

void ring_publish(struct ring *ring, uint16_t head)
{
	put16(ring, ring->avail + 4 + 2ULL * (ring->avail_idx % ring->size), head);
	ring_set_avail_idx(ring, (uint16_t)(ring->avail_idx + 1));
}

uint16_t ring_add(struct ring *ring, const struct ring_seg *seg, unsigned n)
{
	uint16_t head = ring->next_desc;

	for (unsigned i = 0; i < n; i++) {
		uint16_t at = ring->next_desc;
		uint16_t next = (uint16_t)((at + 1) % ring->size);
		uint16_t flags = (uint16_t)((seg[i].write ? RIG_DESC_WRITE : 0) |
					    (i + 1 < n ? RIG_DESC_NEXT : 0));

		ring_set_desc(ring, at, seg[i].addr, seg[i].len, flags, next);
		ring->next_desc = next;
	}
	ring_publish(ring, head);
	return head;
}

uint16_t ring_used_idx(const struct ring *ring)
{
	return get16(ring, ring->used + 2);
}

bool ring_take(struct ring *ring, uint32_t *ret_head, uint32_t *ret_len)
{
	uint8_t *e;

	if (ring_used_idx(ring) == ring->used_seen)
		return false;
	e = rig_ptr(ring->rig, ring->used + 4 + 8ULL * (ring->used_seen % ring->size), 8);
	memcpy(ret_head, e, 4);
	memcpy(ret_len, e + 4, 4);
	ring->used_seen++;
	return true;
}

const char *ring_bad_name(enum ring_bad how)
{
	static const char *const name[] = {
		"loop", "head", "next", "zero length", "outside", "across end", "overflow",
		"order", "indirect", "huge", "jump",
	};

	return name[how];
}

void ring_add_bad(struct ring *ring, enum ring_bad how)
{
	uint64_t end = ring->rig->mem.size, in = rig_alloc(ring->rig, 4096, 16);
	uint16_t h = ring->next_desc, h2 = (uint16_t)((h + 1) % ring->size);

	ring->next_desc = (uint16_t)((h + 2) % ring->size);
	ring_set_desc(ring, h, in, 64, 0, 0);
	switch (how) {
	case RING_BAD_LOOP:
		ring_set_desc(ring, h, in, 64, RIG_DESC_NEXT, h2);
		ring_set_desc(ring, h2, in, 64, RIG_DESC_NEXT, h);
		break;
	case RING_BAD_HEAD:
		h = ring->size;
		break;
	case RING_BAD_NEXT:
		ring_set_desc(ring, h, in, 64, RIG_DESC_NEXT, 0xffff);
		break;
	case RING_BAD_ZERO_LEN:
		ring_set_desc(ring, h, in, 0, 0, 0);
		break;
	case RING_BAD_OUTSIDE:
		ring_set_desc(ring, h, 0xd0000000, 64, 0, 0);
		break;
	case RING_BAD_ACROSS_END:
		ring_set_desc(ring, h, end - 32, 64, 0, 0);
		break;
	case RING_BAD_OVERFLOW:
		ring_set_desc(ring, h, UINT64_MAX - 31, 64, 0, 0);
		break;
	case RING_BAD_ORDER:
		ring_set_desc(ring, h, in, 64, RIG_DESC_NEXT | RIG_DESC_WRITE, h2);
		ring_set_desc(ring, h2, in, 64, 0, 0);
		break;
	case RING_BAD_INDIRECT:
		ring_set_desc(ring, h, in, 64, RIG_DESC_INDIRECT, 0);
		break;
	case RING_BAD_HUGE:
		for (uint16_t i = 0; i < ring->size; i++)
			ring_set_desc(ring, i, 0, (uint32_t)end,
				      i + 1u < ring->size ? RIG_DESC_NEXT : 0, (uint16_t)(i + 1));
		h = 0;
		break;
	default: /* RING_BAD_JUMP */
		ring_set_avail_idx(ring, (uint16_t)(ring->avail_idx + ring->size + 1));
		return;
	}
	ring_publish(ring, h);
}
