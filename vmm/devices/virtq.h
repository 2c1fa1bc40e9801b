/* Split virtqueues (virtio 1.2 section 2.7): the only code that walks rings.
 *
 * The rings lie in guest memory, and the guest may change them at any moment, also while we look:
 * every field is loaded exactly once into a local and only the local is judged. A chain that breaks
 * the rules marks the queue broken; nothing more is taken from it until the device is reset.
 *
 * Who writes what: the guest fills descriptors and avail, we fill used. Indices run freely modulo
 * 2^16. avail.idx is loaded with acquire (entries were written before it), used.idx is stored with
 * release (entries are written before it). The two "flags" handshakes (does the other side want a
 * notification?) are store-then-load on both sides and need a full fence: an atomic exchange, since
 * a bare fence is invisible to the thread sanitizer. */
#ifndef VMM_DEVICES_VIRTQ_H
#define VMM_DEVICES_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/gmem.h"

#define VIRTQ_SIZE_MAX 256u

struct virtq {
	/* Set by the driver. */
	uint64_t desc, avail, used; /* guest physical */
	uint16_t size;              /* power of two, at most VIRTQ_SIZE_MAX */
	bool ready;
	/* Our side. */
	uint16_t next_avail; /* next avail entry to take */
	uint16_t next_used;  /* next used entry to fill */
	const struct gmem *mem;
	const char *fault; /* why the queue is broken; NULL while it works */
	/* Host addresses of the three parts, valid while ready. */
	uint8_t *h_desc, *h_avail, *h_used;
};

/* One request: segments the device reads ("out", first) and segments it fills ("in"). */
struct virtq_chain {
	struct iovec *iov;
	unsigned n_out, n_in;
	uint32_t out_len, in_len;
	uint16_t head;
};

void virtq_init(struct virtq *q, const struct gmem *mem);
/* Back to the state after virtq_init. */
void virtq_reset(struct virtq *q);
/* Checks size, alignment and that all three parts are RAM, then makes the queue ready; -EINVAL. */
int virtq_enable(struct virtq *q);

/* Takes the next chain. 1: *ret_chain is filled, its iov points into the given array; 0: nothing
 * there; -ENOSPC: the chain is good but needs more than cap segments (not taken); -EINVAL: broken. */
int virtq_pop(struct virtq *q, struct iovec *iov, unsigned cap, struct virtq_chain *ret_chain);
/* Gives back the n chains taken last, untouched. */
void virtq_unpop(struct virtq *q, unsigned n);
/* Hands a chain back to the guest with len bytes filled. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t len);
/* True when avail has entries we did not take. */
bool virtq_pending(const struct virtq *q);
/* The driver's avail index as it is now. */
uint16_t virtq_avail_idx(const struct virtq *q);
/* After pushes: does the guest want an interrupt? */
bool virtq_wants_interrupt(const struct virtq *q);
/* Tells the guest whether it may leave out notifications. After switching them on again look at
 * virtq_pending: entries may have come in between. */
void virtq_set_notify(struct virtq *q, bool on);

#endif
