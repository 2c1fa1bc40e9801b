/* The ring walk alone: size, addresses and every byte of a small guest memory come from the input.
 * What it gives out must lie in memory and be as long as it says. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cursor.h"
#include "vmm/devices/virtq.h"

#define MEM 16384u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct gmem *m, const struct virtq_chain *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->n_out + c->n_in; i++) {
		const uint8_t *p = c->iov[i].iov_base;

		if (p < m->base || c->iov[i].iov_len == 0 || c->iov[i].iov_len > m->size ||
		    p + c->iov[i].iov_len > m->base + m->size)
			abort();
		sum += c->iov[i].iov_len;
	}
	if (sum != (uint64_t)c->out_len + c->in_len || c->n_out + c->n_in == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stk_rd r = stk_rd_init(data, size);
	struct iovec iov[VIRTQ_SIZE_MAX];
	struct gmem mem = {0};
	struct virtq_chain c;
	struct stk_err err;
	unsigned cap, taken = 0;
	struct virtq q;

	if (gmem_init_anon(&mem, MEM, &err) != 0)
		abort();
	virtq_init(&q, &mem);
	q.size = (uint16_t)(1u << stk_rd_u8(&r) % 12);
	if (stk_rd_u8(&r) & 1) {
		q.desc = stk_rd_u64(&r);
		q.avail = stk_rd_u64(&r);
		q.used = stk_rd_u64(&r);
	} else {
		q.desc = 0;
		q.avail = 4096;
		q.used = 8192;
	}
	q.next_avail = q.next_used = stk_rd_u16(&r);
	cap = stk_rd_u8(&r) + 1u;
	memcpy(mem.base, r.p, r.left < MEM ? r.left : MEM);
	if (virtq_enable(&q) == 0) {
		for (unsigned i = 0; i < 1000; i++) {
			int e = virtq_pop(&q, iov, cap, &c);

			if (e != 1)
				break;
			check(&mem, &c);
			taken++;
			if (taken % 7 == 0) {
				virtq_unpop(&q, 1);
				taken++;
				continue;
			}
			virtq_push(&q, c.head, c.in_len);
			virtq_wants_interrupt(&q);
			virtq_set_notify(&q, taken & 1);
			if (q.fault)
				abort();
		}
		virtq_pending(&q);
	}
	gmem_fini(&mem);
	return 0;
}
