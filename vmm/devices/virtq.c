#include "vmm/devices/virtq.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* virtio 1.2 sections 2.7.5, 2.7.6, 2.7.8. x86 is little-endian, as the rings are. */
struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct ring_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

struct ring_used_elem {
	uint32_t id;
	uint32_t len;
};

struct ring_used {
	uint16_t flags;
	uint16_t idx;
	struct ring_used_elem ring[];
};

#define DESC_F_NEXT          1u
#define DESC_F_WRITE         2u
#define DESC_F_INDIRECT      4u
#define AVAIL_F_NO_INTERRUPT 1u
#define USED_F_NO_NOTIFY     1u

static struct ring_avail *avail_of(const struct virtq *q)
{
	return (struct ring_avail *)(void *)q->h_avail;
}

static struct ring_used *used_of(const struct virtq *q)
{
	return (struct ring_used *)(void *)q->h_used;
}

void virtq_init(struct virtq *q, const struct gmem *mem)
{
	*q = (struct virtq){.mem = mem};
}

void virtq_reset(struct virtq *q)
{
	virtq_init(q, q->mem);
}

int virtq_enable(struct virtq *q)
{
	uint64_t size = q->size;

	if (!size || size > VIRTQ_SIZE_MAX || (size & (size - 1)))
		return -EINVAL;
	if ((q->desc & 15) || (q->avail & 1) || (q->used & 3))
		return -EINVAL;
	/* Each part once more with room for the event index that ends it (2.7.2). */
	q->h_desc = gmem_ptr(q->mem, gpa(q->desc), size * sizeof(struct ring_desc));
	q->h_avail = gmem_ptr(q->mem, gpa(q->avail), sizeof(struct ring_avail) + 2 * size + 2);
	q->h_used = gmem_ptr(q->mem, gpa(q->used), sizeof(struct ring_used) + 8 * size + 2);
	if (!q->h_desc || !q->h_avail || !q->h_used)
		return -EINVAL;
	q->ready = true;
	return 0;
}

static int broken(struct virtq *q, const char *why)
{
	q->fault = why;
	return -EINVAL;
}

/* One load per field, so that a guest writing at the same time cannot show us two faces. */
static struct ring_desc load_desc(const struct virtq *q, uint16_t i)
{
	const struct ring_desc *d = (const struct ring_desc *)(void *)q->h_desc + i;

	return (struct ring_desc){
		.addr = __atomic_load_n(&d->addr, __ATOMIC_RELAXED),
		.len = __atomic_load_n(&d->len, __ATOMIC_RELAXED),
		.flags = __atomic_load_n(&d->flags, __ATOMIC_RELAXED),
		.next = __atomic_load_n(&d->next, __ATOMIC_RELAXED),
	};
}

/* Follows the chain from head; at most q->size descriptors, so a loop ends. */
static int walk(struct virtq *q, uint16_t head, struct iovec *iov, unsigned cap,
		struct virtq_chain *ret_chain)
{
	struct virtq_chain c = {.iov = iov, .head = head};
	uint64_t out_len = 0, in_len = 0;
	uint16_t i = head;

	if (head >= q->size)
		return broken(q, "head out of range");
	for (unsigned n = 0;; n++) {
		struct ring_desc d = load_desc(q, i);
		void *p;

		if (n >= q->size)
			return broken(q, "chain longer than the queue");
		if (d.flags & DESC_F_INDIRECT)
			return broken(q, "indirect descriptor, not negotiated");
		if (d.len == 0)
			return broken(q, "segment of length 0");
		if (!(d.flags & DESC_F_WRITE) && c.n_in)
			return broken(q, "readable segment after a writable one");
		p = gmem_ptr(q->mem, gpa(d.addr), d.len);
		if (!p)
			return broken(q, "segment outside memory");
		/* Beyond cap the walk goes on, only to tell a bad chain from one that is too long. */
		if (n < cap)
			iov[n] = (struct iovec){.iov_base = p, .iov_len = d.len};
		if (d.flags & DESC_F_WRITE) {
			c.n_in++;
			in_len += d.len;
		} else {
			c.n_out++;
			out_len += d.len;
		}
		if (out_len + in_len > UINT32_MAX)
			return broken(q, "chain of more than 4 GiB");
		if (!(d.flags & DESC_F_NEXT))
			break;
		if (d.next >= q->size)
			return broken(q, "next out of range");
		i = d.next;
	}
	if (c.n_out + c.n_in > cap)
		return -ENOSPC;
	c.out_len = (uint32_t)out_len;
	c.in_len = (uint32_t)in_len;
	*ret_chain = c;
	return 1;
}

int virtq_pop(struct virtq *q, struct iovec *iov, unsigned cap, struct virtq_chain *ret_chain)
{
	struct ring_avail *a = avail_of(q);
	uint16_t idx, head;
	int r;

	if (!q->ready)
		return 0;
	if (q->fault)
		return -EINVAL;
	idx = __atomic_load_n(&a->idx, __ATOMIC_ACQUIRE);
	if (idx == q->next_avail)
		return 0;
	if ((uint16_t)(idx - q->next_avail) > q->size)
		return broken(q, "avail index jumped");
	head = __atomic_load_n(&a->ring[q->next_avail & (q->size - 1)], __ATOMIC_RELAXED);
	r = walk(q, head, iov, cap, ret_chain);
	if (r == 1)
		q->next_avail++;
	return r;
}

void virtq_unpop(struct virtq *q, unsigned n)
{
	q->next_avail = (uint16_t)(q->next_avail - n);
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	struct ring_used *u = used_of(q);
	struct ring_used_elem *e = &u->ring[q->next_used & (q->size - 1)];

	__atomic_store_n(&e->id, head, __ATOMIC_RELAXED);
	__atomic_store_n(&e->len, len, __ATOMIC_RELAXED);
	q->next_used++;
	__atomic_store_n(&u->idx, q->next_used, __ATOMIC_RELEASE);
}

uint16_t virtq_avail_idx(const struct virtq *q)
{
	return q->ready ? __atomic_load_n(&avail_of(q)->idx, __ATOMIC_SEQ_CST) : 0;
}

bool virtq_pending(const struct virtq *q)
{
	return q->ready && !q->fault && virtq_avail_idx(q) != q->next_avail;
}

bool virtq_wants_interrupt(const struct virtq *q)
{
	if (!q->ready)
		return false;
	/* used.idx must be out before the flag is read (2.7.10): written once more by an exchange, which
	 * is the full fence. */
	(void)__atomic_exchange_n(&used_of(q)->idx, q->next_used, __ATOMIC_SEQ_CST);
	return !(__atomic_load_n(&avail_of(q)->flags, __ATOMIC_SEQ_CST) & AVAIL_F_NO_INTERRUPT);
}

void virtq_set_notify(struct virtq *q, bool on)
{
	if (!q->ready)
		return;
	if (on) /* a full fence before the caller looks at avail.idx */
		(void)__atomic_exchange_n(&used_of(q)->flags, 0, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(&used_of(q)->flags, USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}
