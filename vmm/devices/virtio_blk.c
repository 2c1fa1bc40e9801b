#include "vmm/devices/virtio_blk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backends/blk_file.h"
#include "vmm/backends/iov.h"
#include "vmm/devices/virtio_mmio.h"

#define DEVICE_ID 2

#define F_SEG_MAX (1ULL << 2)
#define F_RO      (1ULL << 5)
#define F_FLUSH   (1ULL << 9)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

#define ID_LEN    20u
#define ROUND_MAX 64 /* requests per turn of the loop */

struct req_header { /* 5.2.6 */
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

struct virtio_blk {
	struct virtio_mmio v; /* first */
	struct blk_file file;
	uint8_t config[16];
	uint64_t io_errors;
};

static uint8_t get_id(const struct virtio_blk *d, const struct iovec *in, unsigned n, uint64_t room,
		      uint32_t *ret_len)
{
	char id[ID_LEN] = {0};

	if (room < ID_LEN)
		return S_IOERR;
	memcpy(id, d->v.dev.id, strnlen(d->v.dev.id, ID_LEN));
	*ret_len = (uint32_t)iov_put(in, n, id, ID_LEN);
	return S_OK;
}

/* Does the transfer; the lists hold data alone. ret_len: bytes put into the guest's memory. */
static uint8_t transfer(struct virtio_blk *d, const struct req_header *h, struct iovec *iov, unsigned n,
			uint64_t len, uint32_t *ret_len)
{
	uint64_t sectors = len / BLK_FILE_SECTOR;
	int r;

	if (len == 0 || len % BLK_FILE_SECTOR || h->sector > d->file.sectors ||
	    sectors > d->file.sectors - h->sector)
		return S_IOERR;
	if (h->type == T_OUT) {
		r = blk_file_write(&d->file, h->sector * BLK_FILE_SECTOR, iov, n);
	} else {
		r = blk_file_read(&d->file, h->sector * BLK_FILE_SECTOR, iov, n);
		*ret_len = (uint32_t)len;
	}
	if (r == 0)
		return S_OK;
	d->io_errors++;
	*ret_len = 0;
	if (stk_log_allow(&d->v.log))
		stk_warn("device %s: %s of %llu bytes at sector %llu: %s", d->v.dev.id,
			 h->type == T_OUT ? "write" : "read", (unsigned long long)len,
			 (unsigned long long)h->sector, strerror(-r));
	return S_IOERR;
}

/* One request. Layout: header | data out ... | data in ... | status byte, cut into segments as the
 * driver likes (2.7.4.2). Returns bytes written to guest memory, or -EINVAL for a chain that has no
 * room for header and status. */
static int64_t serve(struct virtio_blk *d, struct virtq_chain *c)
{
	struct iovec *out = c->iov, *in = c->iov + c->n_out, *last;
	unsigned n_out = c->n_out, n_in = c->n_in;
	struct req_header h;
	uint64_t out_len, in_len;
	uint32_t len = 0;
	uint8_t *status_at;
	uint8_t status = S_UNSUPP;

	if (c->out_len < sizeof(h) || c->in_len < 1)
		return -EINVAL;
	iov_get(out, n_out, &h, sizeof(h));
	iov_skip(&out, &n_out, sizeof(h));
	out_len = c->out_len - sizeof(h);
	in_len = c->in_len - 1;
	last = &in[n_in - 1];
	status_at = (uint8_t *)last->iov_base + last->iov_len - 1;
	if (--last->iov_len == 0)
		n_in--;

	switch (h.type) {
	case T_IN:
		status = out_len ? S_IOERR : transfer(d, &h, in, n_in, in_len, &len);
		break;
	case T_OUT:
		status = in_len ? S_IOERR : transfer(d, &h, out, n_out, out_len, &len);
		break;
	case T_FLUSH:
		status = blk_file_flush(&d->file) == 0 ? S_OK : S_IOERR;
		break;
	case T_GET_ID:
		status = get_id(d, in, n_in, in_len, &len);
		break;
	default:
		break;
	}
	*status_at = status;
	return (int64_t)len + 1;
}

static void blk_work(struct virtio_mmio *v)
{
	struct virtio_blk *d = (struct virtio_blk *)v;
	unsigned served = 0;
	struct virtq_chain c;

	while (served < ROUND_MAX && virtio_mmio_pop(v, 0, 0, &c) == 1) {
		int64_t len = serve(d, &c);

		served++;
		if (len < 0) {
			virtio_mmio_broken(v, "block request without header or status");
			return;
		}
		virtq_push(&v->q[0], c.head, (uint32_t)len);
	}
	if (served)
		virtio_mmio_interrupt(v, 0);
	if (served == ROUND_MAX)
		virtio_mmio_kick(v);
}

static void blk_free(struct virtio_mmio *v)
{
	struct virtio_blk *d = (struct virtio_blk *)v;

	blk_file_close(&d->file);
	free(d);
}

static const struct virtio_mmio_ops blk_vops = {
	.device_id = DEVICE_ID,
	.queue_count = 1,
	.features = F_SEG_MAX | F_FLUSH,
	.work = blk_work,
	.free = blk_free,
};

static void blk_quiesce(struct device *dev)
{
	virtio_mmio_quiesce((struct virtio_mmio *)dev);
}

static void blk_resume(struct device *dev)
{
	virtio_mmio_resume((struct virtio_mmio *)dev);
}

static int blk_rewind(struct device *dev, struct stk_err *err)
{
	int r = blk_file_rewind(&((struct virtio_blk *)dev)->file);

	return r < 0 ? stk_err_sys(err, r, "drive %s", dev->id) : 0;
}

static int blk_save(struct device *dev, struct stk_wr *w)
{
	const struct virtio_blk *d = (const struct virtio_blk *)dev;

	virtio_mmio_save(&d->v, w);
	stk_wr_u64(w, d->file.sectors);
	stk_wr_u8(w, d->file.read_only);
	return w->bad ? -ENOSPC : 0;
}

static void set_capacity(struct virtio_blk *d, uint64_t sectors)
{
	for (unsigned i = 0; i < 8; i++)
		d->config[i] = (uint8_t)(sectors >> (8 * i));
}

static int blk_restore(struct device *dev, struct stk_rd *r, uint32_t version, struct stk_err *err)
{
	struct virtio_blk *d = (struct virtio_blk *)dev;
	uint64_t sectors;
	uint8_t read_only;
	int e;

	if (version != dev->ops->version)
		return stk_err_set(err, -ENOTSUP, "drive %s: saved state version %u is not known", dev->id,
				   version);
	e = virtio_mmio_restore(&d->v, r, err);
	if (e != 0)
		return e;
	sectors = stk_rd_u64(r);
	read_only = stk_rd_u8(r);
	if (r->bad || r->left || read_only > 1)
		return stk_err_set(err, -EINVAL, "drive %s: saved state has the wrong length", dev->id);
	if (read_only != d->file.read_only)
		return stk_err_set(err, -EINVAL, "drive %s was %s when the snapshot was taken", dev->id,
				   read_only ? "read-only" : "writable");
	/* The guest has this size in its page cache and file system; another one is another disk. A
	 * mapped drive has whole pages and ends where it ended. */
	if (d->file.map ? sectors == 0 || sectors > d->file.sectors : sectors != d->file.sectors)
		return stk_err_set(err, -EINVAL,
				   "drive %s had %llu sectors when the snapshot was taken, now %llu", dev->id,
				   (unsigned long long)sectors, (unsigned long long)d->file.sectors);
	d->file.sectors = sectors;
	set_capacity(d, sectors);
	return 0;
}

static void blk_fini(struct device *dev)
{
	virtio_mmio_fini((struct virtio_mmio *)dev);
}

static const struct device_ops blk_ops = {
	.name = "virtio-blk",
	.version = 1,
	.quiesce = blk_quiesce,
	.resume = blk_resume,
	.rewind = blk_rewind,
	.save = blk_save,
	.restore = blk_restore,
	.fini = blk_fini,
};

static int open_drive(struct virtio_blk *d, const struct device_host *host,
		      const struct vmconfig_drive *drive, struct stk_err *err)
{
	for (unsigned i = 0; i < host->drive_fd_count; i++) {
		if (strcmp(host->drive_fd[i].id, drive->id) == 0)
			return blk_file_open_fd(&d->file, host->drive_fd[i].fd, drive->id, err);
	}
	if (!drive->copy_on_write)
		return blk_file_open(&d->file, drive->path, drive->read_only, err);
	if (host->restore_mem_fd < 0)
		return blk_file_open_cow(&d->file, drive->path, (uint64_t)drive->size_mib << 20,
					 drive->read_only, err);
	for (unsigned i = 0; i < host->restore_region_count; i++) {
		const struct device_region *g = &host->restore_region[i];

		if (strncmp(g->id, drive->id, sizeof(g->id)) == 0)
			return blk_file_open_saved(&d->file, host->restore_mem_fd, g->file_offset, g->len,
						   g->len / BLK_FILE_SECTOR, drive->read_only, err);
	}
	return stk_err_set(err, -EINVAL, "its content is not in the snapshot");
}

int virtio_blk_create(struct device_host *host, unsigned mmio_index,
		      const struct vmconfig_drive *drive, struct device **ret_dev, struct stk_err *err)
{
	struct virtio_blk *d = calloc(1, sizeof(*d));
	uint32_t seg_max = VIRTQ_SIZE_MAX - 2; /* header and status take one each */
	int r;

	if (!d)
		return stk_err_set(err, -ENOMEM, "drive %s: out of memory", drive->id);
	d->v.dev.ops = &blk_ops;
	snprintf(d->v.dev.id, sizeof(d->v.dev.id), "%s", drive->id);
	blk_file_init(&d->file);
	r = open_drive(d, host, drive, err);
	if (r != 0) {
		free(d);
		stk_err_prefix(err, "drive %s", drive->id);
		return r;
	}
	set_capacity(d, d->file.sectors);
	memcpy(d->config + 12, &seg_max, 4); /* capacity u64, size_max u32, seg_max u32 (5.2.4) */
	d->v.config = d->config;
	d->v.config_len = sizeof(d->config);
	d->v.features = drive->read_only ? F_RO : 0;
	r = virtio_mmio_init(&d->v, &blk_vops, mmio_index, host, err);
	if (r != 0) {
		virtio_mmio_fini(&d->v);
		return r;
	}
	*ret_dev = &d->v.dev;
	return 0;
}

bool virtio_blk_region(const struct device *dev, struct device_region *ret_region)
{
	const struct virtio_blk *d = (const struct virtio_blk *)dev;

	if (dev->ops != &blk_ops || !d->file.map)
		return false;
	*ret_region = (struct device_region){
		.base = d->file.map,
		.len = d->file.map_len,
		.file_offset = d->file.map_off,
		.backing_fd = d->file.fd,
	};
	memcpy(ret_region->id, dev->id, sizeof(ret_region->id));
	return true;
}
