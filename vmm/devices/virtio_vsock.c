#include "vmm/devices/virtio_vsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "vmm/backends/iov.h"
#include "vmm/backends/vsock_unix.h"
#include "vmm/devices/virtio_mmio.h"

#define DEVICE_ID 19

enum { RXQ, TXQ, EVQ, QUEUES };

#define HDR_LEN   ((uint32_t)sizeof(struct vsock_hdr))
#define TX_ROUND  128 /* packets per turn of the loop */
#define RX_ROUND  64

#define EVENT_TRANSPORT_RESET 0u

struct virtio_vsock {
	struct virtio_mmio v; /* first */
	struct vsock_unix *mux;
	uint64_t guest_cid;
	uint8_t config[8];
	/* A transport reset is owed to the guest; it waits for a buffer in the event queue. */
	bool reset_event;
	/* A transport reset was given to the guest and it has not yet refilled the event queue: until
	 * then it may still throw away connections, so nothing new is sent to it. */
	bool rx_gate;
	uint16_t gate_idx; /* avail index of the event queue when the event was given */
	/* Used buffers of the transmit queue that the guest has seen no interrupt for. It only frees them: that can wait
	 * for the next interrupt of any queue, a tick, or for there to be many. An interrupt costs more than a message. */
	unsigned untold;
	uint64_t bad_packets;
};

/* --- guest -> host --- */

static void take_packet(struct virtio_vsock *d, struct virtq_chain *c)
{
	struct iovec *iov = c->iov;
	unsigned n = c->n_out;
	struct vsock_hdr h;

	if (c->out_len < HDR_LEN) {
		d->bad_packets++;
		return;
	}
	iov_get(iov, n, &h, HDR_LEN);
	if (h.len > c->out_len - HDR_LEN || h.dst_cid != VSOCK_UNIX_HOST_CID ||
	    h.src_cid != d->guest_cid) {
		d->bad_packets++;
		return;
	}
	iov_skip(&iov, &n, HDR_LEN);
	n = iov_trim(iov, n, h.len);
	vsock_unix_send(d->mux, &h, iov, n);
}

static void tell_sent(struct virtio_vsock *d)
{
	if (d->untold)
		virtio_mmio_interrupt(&d->v, TXQ);
	d->untold = 0;
}

static void pump_tx(struct virtio_vsock *d)
{
	struct virtq *q = &d->v.q[TXQ];
	unsigned taken = 0;
	struct virtq_chain c;

	if (!virtq_pending(q))
		return;
	do {
		virtq_set_notify(q, false);
		while (taken < TX_ROUND && virtio_mmio_pop(&d->v, TXQ, 0, &c) == 1) {
			taken++;
			if (c.n_in) {
				virtio_mmio_broken(&d->v, "writable segment in the transmit queue");
				return;
			}
			take_packet(d, &c);
			virtq_push(q, c.head, 0);
		}
		virtq_set_notify(q, true);
	} while (taken < TX_ROUND && virtio_mmio_live(&d->v) && virtq_pending(q));
	d->untold += taken;
	if (d->untold >= q->size / 4u)
		tell_sent(d);
	else if (d->untold)
		vsock_unix_want_tick(d->mux);
	if (taken >= TX_ROUND)
		virtio_mmio_kick(&d->v);
}

/* --- host -> guest --- */

/* Takes up to `want` receive buffers and splits off the room for the header. */
static unsigned collect(struct virtio_vsock *d, unsigned want, struct virtq_chain *chain,
			struct vsock_slot *slot)
{
	unsigned n = 0, used_iov = 0;

	while (n < want) {
		struct virtq_chain *c = &chain[n];
		int r = virtio_mmio_pop(&d->v, RXQ, used_iov, c);

		if (r != 1) /* none there, broken, or no iovecs left for one this long */
			break;
		if (c->n_out || c->in_len < HDR_LEN) {
			virtio_mmio_broken(&d->v, "receive buffer too small for a header");
			break;
		}
		slot[n] = (struct vsock_slot){.room = c->in_len - HDR_LEN};
		used_iov += c->n_in;
		n++;
	}
	return n;
}

/* Lets the mux put payload behind the room for the headers, then writes the headers it made. */
static unsigned fill(struct virtio_vsock *d, struct virtq_chain *chain, struct vsock_slot *slot,
		     unsigned n)
{
	struct iovec cut[VSOCK_UNIX_SLOTS]; /* the segment in which the header ends, as it was */
	unsigned used;

	for (unsigned i = 0; i < n; i++) {
		struct iovec *iov = chain[i].iov;
		unsigned cnt = chain[i].n_in;
		size_t left = HDR_LEN;

		for (; cnt && left >= iov->iov_len; iov++, cnt--)
			left -= iov->iov_len;
		if (cnt) {
			cut[i] = *iov;
			iov_skip(&(struct iovec *){iov}, &(unsigned){cnt}, left);
		}
		slot[i].iov = iov;
		slot[i].iovcnt = cnt;
	}
	used = vsock_unix_recv(d->mux, slot, n);
	for (unsigned i = 0; i < used; i++) {
		if (slot[i].iovcnt)
			*slot[i].iov = cut[i];
		iov_put(chain[i].iov, chain[i].n_in, &slot[i].hdr, HDR_LEN);
		virtq_push(&d->v.q[RXQ], chain[i].head, HDR_LEN + slot[i].hdr.len);
	}
	return used;
}

/* The guest's notifications for this queue are off, but while we wait for buffers: refilling it is
 * then no reason to wake anybody. */
static void pump_rx(struct virtio_vsock *d)
{
	struct virtq_chain chain[VSOCK_UNIX_SLOTS];
	struct vsock_slot slot[VSOCK_UNIX_SLOTS];
	struct virtq *q = &d->v.q[RXQ];
	unsigned want, rounds = 0;
	bool pushed = false;

	if (d->rx_gate || !q->ready)
		return;
	while ((want = vsock_unix_rx_want(d->mux)) && rounds++ < RX_ROUND) {
		unsigned n = collect(d, want, chain, slot), used;

		if (!virtio_mmio_live(&d->v))
			return;
		if (n == 0) {
			virtq_set_notify(q, true);
			if (virtq_pending(q))
				continue;
			break;
		}
		used = fill(d, chain, slot, n);
		if (!virtio_mmio_live(&d->v))
			return;
		virtq_unpop(q, n - used);
		if (!used)
			break;
		virtq_set_notify(q, false);
		pushed = true;
	}
	if (pushed && virtio_mmio_interrupt(&d->v, RXQ))
		d->untold = 0;
	if (rounds > RX_ROUND)
		virtio_mmio_kick(&d->v);
}

/* --- events --- */

static void pump_event(struct virtio_vsock *d)
{
	struct virtq *q = &d->v.q[EVQ];
	uint32_t id = EVENT_TRANSPORT_RESET;
	struct virtq_chain c;

	if (d->rx_gate && virtq_avail_idx(q) != d->gate_idx)
		d->rx_gate = false;
	if (!d->reset_event || virtio_mmio_pop(&d->v, EVQ, 0, &c) != 1)
		return;
	if (c.n_out || c.in_len < sizeof(id)) {
		virtio_mmio_broken(&d->v, "event buffer too small");
		return;
	}
	iov_put(c.iov, c.n_in, &id, sizeof(id));
	virtq_push(q, c.head, sizeof(id));
	d->reset_event = false;
	d->rx_gate = true;
	d->gate_idx = virtq_avail_idx(q);
	virtio_mmio_interrupt(&d->v, EVQ);
}

static void vsock_work(struct virtio_mmio *v)
{
	struct virtio_vsock *d = (struct virtio_vsock *)v;

	if (!vsock_unix_is_active(d->mux))
		vsock_unix_set_active(d->mux, true);
	pump_event(d);
	pump_tx(d);
	pump_rx(d);
}

static void rx_ready(void *ctx)
{
	struct virtio_vsock *d = ctx;

	if (d->v.reset_pending) { /* the guest starts over: connections go first */
		virtio_mmio_run(&d->v);
	} else if (!d->v.paused && virtio_mmio_live(&d->v)) {
		virtio_mmio_begin(&d->v);
		pump_rx(d);
		virtio_mmio_end(&d->v);
	}
}

static void tick(void *ctx)
{
	struct virtio_vsock *d = ctx;

	if (d->v.paused || !virtio_mmio_live(&d->v))
		return;
	virtio_mmio_begin(&d->v);
	tell_sent(d);
	virtio_mmio_end(&d->v);
}

static void unlocked(void *ctx)
{
	struct virtio_vsock *d = ctx;

	virtio_mmio_unlocked(&d->v);
}

static void vsock_reset(struct virtio_mmio *v)
{
	struct virtio_vsock *d = (struct virtio_vsock *)v;

	vsock_unix_set_active(d->mux, false);
	vsock_unix_drop_all(d->mux);
	d->reset_event = d->rx_gate = false;
	d->untold = 0;
}

static void vsock_free(struct virtio_mmio *v)
{
	free(v);
}

static const struct virtio_mmio_ops vsock_vops = {
	.device_id = DEVICE_ID,
	.queue_count = QUEUES,
	.work = vsock_work,
	.reset = vsock_reset,
	.free = vsock_free,
};

/* --- pause, snapshot --- */

static void vsock_quiesce(struct device *dev)
{
	struct virtio_vsock *d = (struct virtio_vsock *)dev;

	virtio_mmio_quiesce(&d->v);
	vsock_unix_set_active(d->mux, false);
}

static void vsock_resume(struct device *dev)
{
	struct virtio_vsock *d = (struct virtio_vsock *)dev;

	if (d->untold) /* a tick during the pause said nothing */
		vsock_unix_want_tick(d->mux);
	/* Notifications stay as the queues in guest memory say; if they are off although we wait for
	 * buffers, pump_rx switches them on. */
	virtio_mmio_resume(&d->v);
}

static const struct device_ops vsock_ops;

void virtio_vsock_prepare(struct device *dev, int keep)
{
	struct virtio_vsock *d = (struct virtio_vsock *)dev;

	if (dev->ops != &vsock_ops)
		return;
	if (!virtio_mmio_live(&d->v)) {
		vsock_unix_drop_all(d->mux);
		return;
	}
	if (!keep) {
		vsock_unix_drop_all(d->mux);
		d->reset_event = true;
		pump_event(d);
		return;
	}
	/* What the guest has sent goes out, so that no half of a message is left in a queue. */
	for (unsigned i = 0; i < VIRTQ_SIZE_MAX / TX_ROUND + 1 && virtq_pending(&d->v.q[TXQ]); i++)
		pump_tx(d);
	vsock_unix_keep_lent(d->mux);
	pump_rx(d); /* the mux is inactive: control packets only */
}

static int vsock_rewind(struct device *dev, struct stk_err *err)
{
	int r = vsock_unix_rewind(((struct virtio_vsock *)dev)->mux);

	return r < 0 ? stk_err_sys(err, r, "vsock: a lent stream is no longer whole") : 0;
}

uint64_t virtio_vsock_lent_bytes(const struct device *dev)
{
	return dev->ops == &vsock_ops ? vsock_unix_lent_bytes(((const struct virtio_vsock *)dev)->mux) : 0;
}

static int vsock_save(struct device *dev, struct stk_wr *w)
{
	const struct virtio_vsock *d = (const struct virtio_vsock *)dev;

	virtio_mmio_save(&d->v, w);
	stk_wr_u64(w, d->guest_cid);
	stk_wr_u8(w, d->reset_event);
	stk_wr_u8(w, d->rx_gate);
	stk_wr_u16(w, d->gate_idx);
	vsock_unix_save(d->mux, w);
	return w->bad ? -ENOSPC : 0;
}

static int vsock_restore(struct device *dev, struct stk_rd *r, uint32_t version, struct stk_err *err)
{
	struct virtio_vsock *d = (struct virtio_vsock *)dev;
	uint64_t cid;
	int e;

	if (version != dev->ops->version)
		return stk_err_set(err, -ENOTSUP, "vsock: saved state version %u is not known", version);
	e = virtio_mmio_restore(&d->v, r, err);
	if (e != 0)
		return e;
	cid = stk_rd_u64(r);
	if (!r->bad && cid != d->guest_cid)
		return stk_err_set(err, -EINVAL, "vsock: the snapshot's guest CID is %llu, not %llu",
				   (unsigned long long)cid, (unsigned long long)d->guest_cid);
	d->reset_event = stk_rd_u8(r) & 1;
	d->rx_gate = stk_rd_u8(r) & 1;
	d->gate_idx = stk_rd_u16(r);
	e = vsock_unix_restore(d->mux, r, err);
	if (e == 0 && (r->bad || r->left))
		e = stk_err_set(err, -EINVAL, "vsock: saved state has the wrong length");
	return e;
}

static void vsock_fini(struct device *dev)
{
	struct virtio_vsock *d = (struct virtio_vsock *)dev;

	vsock_unix_free(stk_take_ptr(&d->mux)); /* calls back no more */
	virtio_mmio_fini(&d->v);
}

static const struct device_ops vsock_ops = {
	.name = "virtio-vsock",
	.version = 1,
	.quiesce = vsock_quiesce,
	.resume = vsock_resume,
	.rewind = vsock_rewind,
	.save = vsock_save,
	.restore = vsock_restore,
	.fini = vsock_fini,
};

int virtio_vsock_create(struct device_host *host, unsigned mmio_index, uint32_t guest_cid,
			const char *uds_path, struct device **ret_dev, struct stk_err *err)
{
	struct virtio_vsock *d = calloc(1, sizeof(*d));
	struct vsock_unix_conf conf = {
		.loop = host->loop,
		.lock = host->lock,
		.guest_cid = guest_cid,
		.uds_path = uds_path,
		.rx_ready = rx_ready,
		.tick = tick,
		.unlocked = unlocked,
		.ctx = d,
	};
	int r;

	_Static_assert(DEVICE_MAX_PORT_FDS <= VSOCK_UNIX_MAX_LENT, "lent sockets");
	_Static_assert(sizeof(struct vsock_hdr) == 44, "packet header");
	if (!d)
		return stk_err_set(err, -ENOMEM, "vsock: out of memory");
	d->v.dev.ops = &vsock_ops;
	snprintf(d->v.dev.id, sizeof(d->v.dev.id), "vsock");
	d->guest_cid = guest_cid;
	memcpy(d->config, &d->guest_cid, sizeof(d->config));
	d->v.config = d->config;
	d->v.config_len = sizeof(d->config);
	r = virtio_mmio_init(&d->v, &vsock_vops, mmio_index, host, err);
	if (r == 0) {
		for (unsigned i = 0; i < host->port_fd_count && i < DEVICE_MAX_PORT_FDS; i++) {
			conf.lent[i].port = host->port_fd[i].port;
			conf.lent[i].fd = host->port_fd[i].fd;
			conf.lent_count++;
		}
		r = vsock_unix_create(&conf, &d->mux, err);
	}
	if (r != 0) {
		virtio_mmio_fini(&d->v);
		return r;
	}
	*ret_dev = &d->v.dev;
	return 0;
}
