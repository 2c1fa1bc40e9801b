#include "vmm/devices/virtio_mmio.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/list.h"

/* Register offsets (virtio 1.2 table 4.1). */
enum {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_VENDOR_ID = 0x00c,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM_MAX = 0x034,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = 0x050,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESC_LOW = 0x080,
	REG_QUEUE_DESC_HIGH = 0x084,
	REG_QUEUE_DRIVER_LOW = 0x090,
	REG_QUEUE_DRIVER_HIGH = 0x094,
	REG_QUEUE_DEVICE_LOW = 0x0a0,
	REG_QUEUE_DEVICE_HIGH = 0x0a4,
	REG_SHM_LEN_LOW = 0x0b0,
	REG_SHM_BASE_HIGH = 0x0bc,
	REG_CONFIG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

#define MMIO_MAGIC   0x74726976u /* "virt" */
#define MMIO_VERSION 2u
#define MMIO_VENDOR  0x4b4f5453u /* "STOK" */

#define INT_VRING  1u
#define INT_CONFIG 2u

/* The driver's way through initialisation (3.1.1): each write may only take the next step. */
static const struct {
	uint32_t from, to;
} status_move[] = {
	{0, VIRTIO_ST_ACKNOWLEDGE},
	{VIRTIO_ST_ACKNOWLEDGE, VIRTIO_ST_ACKNOWLEDGE | VIRTIO_ST_DRIVER},
	{VIRTIO_ST_ACKNOWLEDGE | VIRTIO_ST_DRIVER,
	 VIRTIO_ST_ACKNOWLEDGE | VIRTIO_ST_DRIVER | VIRTIO_ST_FEATURES_OK},
	{VIRTIO_ST_ACKNOWLEDGE | VIRTIO_ST_DRIVER | VIRTIO_ST_FEATURES_OK,
	 VIRTIO_ST_ACKNOWLEDGE | VIRTIO_ST_DRIVER | VIRTIO_ST_FEATURES_OK | VIRTIO_ST_DRIVER_OK},
};

#define ST_PROGRESS                                                                      \
	(VIRTIO_ST_ACKNOWLEDGE | VIRTIO_ST_DRIVER | VIRTIO_ST_FEATURES_OK | VIRTIO_ST_DRIVER_OK)

bool virtio_mmio_live(const struct virtio_mmio *v)
{
	return (v->status & VIRTIO_ST_DRIVER_OK) && !v->reset_pending &&
	       !(v->status & (VIRTIO_ST_NEEDS_RESET | VIRTIO_ST_FAILED));
}

void virtio_mmio_kick(struct virtio_mmio *v)
{
	uint64_t one = 1;
	ssize_t r = write(v->doorbell_fd, &one, sizeof(one));

	/* EAGAIN: the counter is full, so the doorbell rings already. */
	(void)r;
}

static void raise_irq(struct virtio_mmio *v, uint32_t bit)
{
	v->int_status |= bit;
	if (v->in_work)
		v->irq_due = true;
	else
		irq_line_raise(&v->irq);
}

bool virtio_mmio_interrupt(struct virtio_mmio *v, unsigned queue)
{
	bool wanted = virtq_wants_interrupt(&v->q[queue]);

	if (wanted)
		raise_irq(v, INT_VRING);
	return wanted;
}

void virtio_mmio_config_changed(struct virtio_mmio *v)
{
	v->config_gen++;
	if (v->status & VIRTIO_ST_DRIVER_OK)
		raise_irq(v, INT_CONFIG);
}

void virtio_mmio_broken(struct virtio_mmio *v, const char *why)
{
	v->malformed++;
	if (stk_log_allow(&v->log))
		stk_warn("device %s: the guest broke the ring: %s; waiting for a reset", v->dev.id, why);
	if (v->status & VIRTIO_ST_NEEDS_RESET)
		return;
	v->status |= VIRTIO_ST_NEEDS_RESET;
	if (v->status & VIRTIO_ST_DRIVER_OK)
		raise_irq(v, INT_CONFIG);
}

int virtio_mmio_pop(struct virtio_mmio *v, unsigned queue, unsigned iov_used, struct virtq_chain *ret_chain)
{
	int r;

	if (!virtio_mmio_live(v))
		return 0;
	r = virtq_pop(&v->q[queue], v->host->iov + iov_used, VIRTQ_SIZE_MAX - iov_used, ret_chain);
	if (r == -EINVAL)
		virtio_mmio_broken(v, v->q[queue].fault);
	return r;
}

/* --- registers (vCPU threads, lock held) --- */

static void reset_registers(struct virtio_mmio *v)
{
	v->status = 0;
	v->driver_features = 0;
	v->device_features_sel = v->driver_features_sel = v->queue_sel = 0;
	v->int_status = 0;
	for (unsigned i = 0; i < v->vops->queue_count; i++)
		virtq_reset(&v->q[i]);
}

static void write_status(struct virtio_mmio *v, uint32_t val)
{
	uint32_t cur = v->status & ST_PROGRESS;
	uint32_t want = val & ST_PROGRESS;

	if (val == 0) {
		if (v->status) {
			reset_registers(v);
			v->reset_pending = true;
			virtio_mmio_kick(v);
		}
		return;
	}
	if (val & VIRTIO_ST_FAILED)
		v->status |= VIRTIO_ST_FAILED;
	if (want == cur || (v->status & VIRTIO_ST_FAILED))
		return;
	for (size_t i = 0; i < STK_ARRAY_LEN(status_move); i++) {
		if (status_move[i].from != cur || status_move[i].to != want)
			continue;
		/* Refused features: the bit stays clear and the driver sees that (3.1.1 step 6). */
		if ((want & ~cur) == VIRTIO_ST_FEATURES_OK &&
		    ((v->driver_features & ~v->features) ||
		     !(v->driver_features & VIRTIO_F_VERSION_1_BIT)))
			return;
		v->status = (v->status & ~ST_PROGRESS) | want;
		if ((want & ~cur) == VIRTIO_ST_DRIVER_OK)
			virtio_mmio_kick(v);
		return;
	}
	v->bad_access++;
}

/* The selected queue while it may be set up: features agreed, not running yet. */
static struct virtq *queue_in_setup(struct virtio_mmio *v)
{
	if (v->queue_sel >= v->vops->queue_count)
		return NULL;
	if ((v->status & ST_PROGRESS) !=
	    (VIRTIO_ST_ACKNOWLEDGE | VIRTIO_ST_DRIVER | VIRTIO_ST_FEATURES_OK))
		return NULL;
	return v->q[v->queue_sel].ready ? NULL : &v->q[v->queue_sel];
}

static void set_half(uint64_t *reg, bool high, uint32_t val)
{
	if (high)
		*reg = (*reg & 0xffffffffULL) | (uint64_t)val << 32;
	else
		*reg = (*reg & ~0xffffffffULL) | val;
}

static void write_queue_ready(struct virtio_mmio *v, uint32_t val)
{
	struct virtq *q = queue_in_setup(v);

	if (val == 0 && v->queue_sel < v->vops->queue_count) {
		virtq_reset(&v->q[v->queue_sel]);
		return;
	}
	if (val != 1 || !q) {
		v->bad_access++;
		return;
	}
	/* A bad set-up leaves the register 0, which the driver reads back; and says so. */
	if (virtq_enable(q) != 0)
		virtio_mmio_broken(v, "queue size or addresses are wrong");
}

static void write_queue_setup(struct virtio_mmio *v, uint64_t off, uint32_t val)
{
	struct virtq *q = queue_in_setup(v);

	if (!q) {
		v->bad_access++;
		return;
	}
	switch (off) {
	case REG_QUEUE_NUM:
		/* Larger than 16 bits stays wrong instead of being cut into something right. */
		q->size = val <= VIRTQ_SIZE_MAX ? (uint16_t)val : 0;
		break;
	case REG_QUEUE_DESC_LOW:
	case REG_QUEUE_DESC_HIGH:
		set_half(&q->desc, off == REG_QUEUE_DESC_HIGH, val);
		break;
	case REG_QUEUE_DRIVER_LOW:
	case REG_QUEUE_DRIVER_HIGH:
		set_half(&q->avail, off == REG_QUEUE_DRIVER_HIGH, val);
		break;
	default:
		set_half(&q->used, off == REG_QUEUE_DEVICE_HIGH, val);
		break;
	}
}

static void write_driver_features(struct virtio_mmio *v, uint32_t val)
{
	if (!(v->status & VIRTIO_ST_DRIVER) || (v->status & VIRTIO_ST_FEATURES_OK)) {
		v->bad_access++;
		return;
	}
	if (v->driver_features_sel <= 1)
		set_half(&v->driver_features, v->driver_features_sel == 1, val);
	else if (val) /* features 64 and up do not exist here */
		v->bad_access++;
}

static void reg_write(void *ctx, uint64_t off, const uint8_t *data, unsigned len)
{
	struct virtio_mmio *v = ctx;
	uint32_t val;

	if (len != 4 || (off & 3) || off >= REG_CONFIG) {
		v->bad_access++; /* configuration space is read-only in all our devices */
		return;
	}
	memcpy(&val, data, 4);
	switch (off) {
	case REG_DEVICE_FEATURES_SEL:
		v->device_features_sel = val;
		break;
	case REG_DRIVER_FEATURES:
		write_driver_features(v, val);
		break;
	case REG_DRIVER_FEATURES_SEL:
		v->driver_features_sel = val;
		break;
	case REG_QUEUE_SEL:
		v->queue_sel = val;
		break;
	case REG_QUEUE_NUM:
	case REG_QUEUE_DESC_LOW:
	case REG_QUEUE_DESC_HIGH:
	case REG_QUEUE_DRIVER_LOW:
	case REG_QUEUE_DRIVER_HIGH:
	case REG_QUEUE_DEVICE_LOW:
	case REG_QUEUE_DEVICE_HIGH:
		write_queue_setup(v, off, val);
		break;
	case REG_QUEUE_READY:
		write_queue_ready(v, val);
		break;
	case REG_QUEUE_NOTIFY:
		v->notify_exits++;
		virtio_mmio_kick(v);
		break;
	case REG_INTERRUPT_ACK:
		v->int_status &= ~val;
		break;
	case REG_STATUS:
		write_status(v, val);
		break;
	default:
		v->bad_access++;
		break;
	}
}

static uint32_t reg_value(struct virtio_mmio *v, uint64_t off)
{
	bool sel_ok = v->queue_sel < v->vops->queue_count;

	switch (off) {
	case REG_MAGIC:
		return MMIO_MAGIC;
	case REG_VERSION:
		return MMIO_VERSION;
	case REG_DEVICE_ID:
		return v->vops->device_id;
	case REG_VENDOR_ID:
		return MMIO_VENDOR;
	case REG_DEVICE_FEATURES:
		if (v->device_features_sel > 1)
			return 0;
		return (uint32_t)(v->features >> (32 * v->device_features_sel));
	case REG_QUEUE_NUM_MAX:
		return sel_ok ? VIRTQ_SIZE_MAX : 0;
	case REG_QUEUE_READY:
		return sel_ok && v->q[v->queue_sel].ready;
	case REG_INTERRUPT_STATUS:
		return v->int_status;
	case REG_STATUS:
		return v->status;
	case REG_CONFIG_GENERATION:
		return v->config_gen;
	default:
		/* No shared memory regions: length and base read as all ones (4.2.2). */
		return off >= REG_SHM_LEN_LOW && off <= REG_SHM_BASE_HIGH ? 0xffffffffu : 0;
	}
}

static void reg_read(void *ctx, uint64_t off, uint8_t *data, unsigned len)
{
	struct virtio_mmio *v = ctx;

	memset(data, 0, len);
	if (off >= REG_CONFIG) {
		uint64_t at = off - REG_CONFIG;

		for (unsigned i = 0; i < len && at + i < v->config_len; i++)
			data[i] = v->config[at + i];
		return;
	}
	if (len != 4 || (off & 3)) {
		v->bad_access++;
		return;
	}
	memcpy(data, &(uint32_t){reg_value(v, off)}, 4);
}

static const struct bus_ops reg_ops = {.read = reg_read, .write = reg_write};

/* --- main thread --- */

static void settle_reset(struct virtio_mmio *v)
{
	if (!v->reset_pending)
		return;
	v->reset_pending = false;
	if (v->vops->reset)
		v->vops->reset(v);
}

void virtio_mmio_run(struct virtio_mmio *v)
{
	settle_reset(v);
	if (v->paused || !virtio_mmio_live(v))
		return;
	virtio_mmio_begin(v);
	v->vops->work(v);
	virtio_mmio_end(v);
}

void virtio_mmio_begin(struct virtio_mmio *v)
{
	v->in_work = true;
}

void virtio_mmio_end(struct virtio_mmio *v)
{
	v->in_work = false;
	v->irq_owed |= v->irq_due;
	v->irq_due = false;
}

void virtio_mmio_unlocked(struct virtio_mmio *v)
{
	if (!v->irq_owed)
		return;
	v->irq_owed = false;
	irq_line_raise(&v->irq);
}

static void bind_doorbell(struct virtio_mmio *v)
{
	struct stk_err err;

	v->doorbell_bound = true; /* tried once: exits do the same, only slower */
	if (irq_doorbell_bind(v->host->kvm_vm_fd, gpa(v->window + REG_QUEUE_NOTIFY), v->doorbell_fd, &err) != 0)
		stk_warn("device %s: %s", v->dev.id, err.text);
}

static void on_doorbell(uv_poll_t *poll, int status, int events)
{
	struct virtio_mmio *v = STK_CONTAINER_OF(poll, struct virtio_mmio, doorbell);
	uint64_t count;
	ssize_t r = read(v->doorbell_fd, &count, sizeof(count));
	bool busy;

	(void)r; /* EAGAIN: nothing rang; looking at the queues does no harm */
	if (status < 0) /* libuv has stopped the handle */
		uv_poll_start(&v->doorbell, UV_READABLE, on_doorbell);
	pthread_mutex_lock(v->host->lock);
	virtio_mmio_run(v);
	busy = v->notify_exits >= VIRTIO_MMIO_BUSY;
	pthread_mutex_unlock(v->host->lock);
	virtio_mmio_unlocked(v);
	if (busy && !v->doorbell_bound)
		bind_doorbell(v);
}

int virtio_mmio_init(struct virtio_mmio *v, const struct virtio_mmio_ops *vops, unsigned index,
		     struct device_host *host, struct stk_err *err)
{
	uint64_t base = DEVICE_MMIO_BASE + index * DEVICE_MMIO_LEN;
	int r;

	v->vops = vops;
	v->host = host;
	v->window = base;
	v->features |= vops->features | VIRTIO_F_VERSION_1_BIT;
	v->irq = (struct irq_line){host->kvm_vm_fd, device_gsi(index)};
	v->doorbell_fd = -1;
	v->log.burst = 3;
	for (unsigned i = 0; i < vops->queue_count; i++)
		virtq_init(&v->q[i], host->mem);
	if (index >= DEVICE_MAX_MMIO)
		return stk_err_set(err, -ENOSPC, "device %s: more than %u virtio devices", v->dev.id,
				   DEVICE_MAX_MMIO);
	r = irq_doorbell_new(&v->doorbell_fd, err);
	if (r != 0)
		return r;
	r = uv_poll_init(host->loop, &v->doorbell, v->doorbell_fd);
	if (r != 0)
		return stk_err_sys(err, r, "device %s: cannot poll its doorbell", v->dev.id);
	v->doorbell_open = true;
	r = uv_poll_start(&v->doorbell, UV_READABLE, on_doorbell);
	if (r != 0)
		return stk_err_sys(err, r, "device %s: cannot poll its doorbell", v->dev.id);
	r = bus_add(host->mmio, base, DEVICE_MMIO_LEN, &reg_ops, v);
	if (r != 0)
		return stk_err_sys(err, r, "device %s: no place on the bus", v->dev.id);
	return 0;
}

static void release(struct virtio_mmio *v)
{
	if (v->doorbell_fd >= 0)
		close(v->doorbell_fd);
	v->vops->free(v);
}

static void on_doorbell_closed(uv_handle_t *h)
{
	release(STK_CONTAINER_OF((uv_poll_t *)h, struct virtio_mmio, doorbell));
}

void virtio_mmio_fini(struct virtio_mmio *v)
{
	if (v->doorbell_open)
		uv_close((uv_handle_t *)&v->doorbell, on_doorbell_closed);
	else
		release(v);
}

/* --- pause and state --- */

void virtio_mmio_quiesce(struct virtio_mmio *v)
{
	settle_reset(v);
	v->paused = true;
}

void virtio_mmio_resume(struct virtio_mmio *v)
{
	v->paused = false;
	/* An interrupt raised just before the pause may have been on its way to the interrupt
	 * controller when that was saved. One too many is harmless: the handler reads the status. */
	if (v->int_status)
		irq_line_raise(&v->irq);
	virtio_mmio_run(v);
	virtio_mmio_unlocked(v); /* it is not, but no processor runs yet */
}

void virtio_mmio_save(const struct virtio_mmio *v, struct stk_wr *w)
{
	stk_wr_u32(w, v->status);
	stk_wr_u64(w, v->driver_features);
	stk_wr_u32(w, v->device_features_sel);
	stk_wr_u32(w, v->driver_features_sel);
	stk_wr_u32(w, v->queue_sel);
	stk_wr_u32(w, v->int_status);
	stk_wr_u32(w, v->config_gen);
	stk_wr_u8(w, (uint8_t)v->vops->queue_count);
	for (unsigned i = 0; i < v->vops->queue_count; i++) {
		const struct virtq *q = &v->q[i];

		stk_wr_u64(w, q->desc);
		stk_wr_u64(w, q->avail);
		stk_wr_u64(w, q->used);
		stk_wr_u16(w, q->size);
		stk_wr_u8(w, q->ready);
		stk_wr_u16(w, q->next_avail);
		stk_wr_u16(w, q->next_used);
	}
}

static bool status_is_reachable(uint32_t status)
{
	uint32_t progress = status & ST_PROGRESS;

	if (status & ~(ST_PROGRESS | VIRTIO_ST_NEEDS_RESET | VIRTIO_ST_FAILED))
		return false;
	if (progress == 0)
		return true;
	for (size_t i = 0; i < STK_ARRAY_LEN(status_move); i++) {
		if (status_move[i].to == progress)
			return true;
	}
	return false;
}

static int restore_queue(struct virtio_mmio *v, struct virtq *q, struct stk_rd *r)
{
	uint8_t ready;

	q->desc = stk_rd_u64(r);
	q->avail = stk_rd_u64(r);
	q->used = stk_rd_u64(r);
	q->size = stk_rd_u16(r);
	ready = stk_rd_u8(r);
	q->next_avail = stk_rd_u16(r);
	q->next_used = stk_rd_u16(r);
	if (r->bad || ready > 1)
		return -EINVAL;
	/* Everything taken was given back before the save, but for a chain that broke the queue. */
	if ((uint16_t)(q->next_avail - q->next_used) > VIRTQ_SIZE_MAX)
		return -EINVAL;
	if (!ready)
		return 0;
	if (!(v->status & VIRTIO_ST_FEATURES_OK))
		return -EINVAL;
	return virtq_enable(q);
}

int virtio_mmio_restore(struct virtio_mmio *v, struct stk_rd *r, struct stk_err *err)
{
	reset_registers(v);
	v->paused = true;
	v->status = stk_rd_u32(r);
	v->driver_features = stk_rd_u64(r);
	v->device_features_sel = stk_rd_u32(r);
	v->driver_features_sel = stk_rd_u32(r);
	v->queue_sel = stk_rd_u32(r);
	v->int_status = stk_rd_u32(r);
	v->config_gen = stk_rd_u32(r);
	if (r->bad || !status_is_reachable(v->status) || (v->int_status & ~(INT_VRING | INT_CONFIG)))
		return stk_err_set(err, -EINVAL, "device %s: saved status is impossible", v->dev.id);
	if ((v->status & VIRTIO_ST_FEATURES_OK) &&
	    ((v->driver_features & ~v->features) || !(v->driver_features & VIRTIO_F_VERSION_1_BIT)))
		return stk_err_set(err, -EINVAL,
				   "device %s: the guest uses features this device does not offer (0x%llx)",
				   v->dev.id, (unsigned long long)(v->driver_features & ~v->features));
	if (stk_rd_u8(r) != v->vops->queue_count)
		return stk_err_set(err, -EINVAL, "device %s: wrong number of saved queues", v->dev.id);
	for (unsigned i = 0; i < v->vops->queue_count; i++) {
		if (restore_queue(v, &v->q[i], r) != 0)
			return stk_err_set(err, -EINVAL, "device %s: saved queue %u is impossible",
					   v->dev.id, i);
	}
	return 0;
}
