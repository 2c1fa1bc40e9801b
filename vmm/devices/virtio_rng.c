#include "vmm/devices/virtio_rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "vmm/backends/iov.h"
#include "vmm/devices/virtio_mmio.h"

#define DEVICE_ID 4
#define ROUND_MAX 16 /* requests per turn of the loop, then others get a chance */

static uint32_t fill(const struct iovec *iov, unsigned n, size_t want)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < want; i++) {
		size_t len = iov[i].iov_len < want - done ? iov[i].iov_len : want - done;
		size_t at = 0;

		while (at < len) {
			ssize_t r = getrandom((char *)iov[i].iov_base + at, len - at, 0);

			if (r < 0) {
				if (errno == EINTR)
					continue;
				return (uint32_t)(done + at);
			}
			at += (size_t)r;
		}
		done += len;
	}
	return (uint32_t)done;
}

static void rng_work(struct virtio_mmio *v)
{
	unsigned served = 0;
	struct virtq_chain c;

	while (served < ROUND_MAX && virtio_mmio_pop(v, 0, 0, &c) == 1) {
		uint32_t want = c.in_len < VIRTIO_RNG_REQUEST_MAX ? c.in_len : VIRTIO_RNG_REQUEST_MAX;

		served++;
		if (c.n_out || !c.n_in) {
			virtio_mmio_broken(v, "entropy request that is not one to be filled");
			return;
		}
		virtq_push(&v->q[0], c.head, fill(c.iov, c.n_in, want));
	}
	if (served)
		virtio_mmio_interrupt(v, 0);
	if (served == ROUND_MAX)
		virtio_mmio_kick(v);
}

static void rng_free(struct virtio_mmio *v)
{
	free(v);
}

static const struct virtio_mmio_ops rng_vops = {
	.device_id = DEVICE_ID,
	.queue_count = 1,
	.work = rng_work,
	.free = rng_free,
};

static void rng_quiesce(struct device *dev)
{
	virtio_mmio_quiesce((struct virtio_mmio *)dev);
}

static void rng_resume(struct device *dev)
{
	virtio_mmio_resume((struct virtio_mmio *)dev);
}

static int rng_save(struct device *dev, struct stk_wr *w)
{
	virtio_mmio_save((struct virtio_mmio *)dev, w);
	return w->bad ? -ENOSPC : 0;
}

static int rng_restore(struct device *dev, struct stk_rd *r, uint32_t version, struct stk_err *err)
{
	int e;

	if (version != dev->ops->version)
		return stk_err_set(err, -ENOTSUP, "entropy: saved state version %u is not known", version);
	e = virtio_mmio_restore((struct virtio_mmio *)dev, r, err);
	if (e == 0 && (r->bad || r->left))
		e = stk_err_set(err, -EINVAL, "entropy: saved state has the wrong length");
	return e;
}

static void rng_fini(struct device *dev)
{
	virtio_mmio_fini((struct virtio_mmio *)dev);
}

static const struct device_ops rng_ops = {
	.name = "virtio-rng",
	.version = 1,
	.quiesce = rng_quiesce,
	.resume = rng_resume,
	.save = rng_save,
	.restore = rng_restore,
	.fini = rng_fini,
};

int virtio_rng_create(struct device_host *host, unsigned mmio_index, struct device **ret_dev,
		      struct stk_err *err)
{
	struct virtio_mmio *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return stk_err_set(err, -ENOMEM, "entropy: out of memory");
	v->dev.ops = &rng_ops;
	snprintf(v->dev.id, sizeof(v->dev.id), "entropy");
	r = virtio_mmio_init(v, &rng_vops, mmio_index, host, err);
	if (r != 0) {
		virtio_mmio_fini(v);
		return r;
	}
	*ret_dev = &v->dev;
	return 0;
}
