#include "vmm/devices/serial.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

/* Registers by offset; the first two are the divisor while LCR_DLAB is set. */
enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR, REG_COUNT };

#define IER_RDI  0x01u
#define IER_THRI 0x02u
#define IER_RLSI 0x04u
#define IER_MSI  0x08u

#define IIR_NONE 0x01u
#define IIR_THRI 0x02u
#define IIR_RDI  0x04u
#define IIR_FIFO 0xc0u

#define FCR_ENABLE 0x01u
#define LCR_DLAB   0x80u

#define MCR_DTR  0x01u
#define MCR_RTS  0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u

#define LSR_DR        0x01u
#define LSR_THR_EMPTY 0x60u /* THRE and TEMT: output never waits */

#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI  0x40u
#define MSR_DCD 0x80u

#define LINE_MAX_BYTES 256u

struct serial {
	struct device dev; /* first */
	struct device_host *host;
	struct irq_line irq;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	bool thr_pending;  /* "transmitter empty" interrupt not yet seen by the guest */
	bool loop_full;    /* loopback test: a byte waits in the receiver */
	uint8_t loop_byte;

	uint8_t line[LINE_MAX_BYTES];
	unsigned line_len;
	uint64_t tokens; /* bytes that may still be written */
	uint64_t tokens_ns;
	uint64_t dropped;       /* since the last note about it */
	uint64_t dropped_total;
};

static bool fd_takes_bytes(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	/* At most LINE_MAX_BYTES follow, less than what a writable pipe or terminal always takes. The
	 * descriptor itself may be shared with others, so its flags are left alone. */
	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static bool take_tokens(struct serial *s, unsigned n)
{
	uint64_t now = stk_now_ns();
	uint64_t add = (now - s->tokens_ns) / 1000 * SERIAL_RATE / 1000000;

	if (add) {
		s->tokens = s->tokens + add > SERIAL_BURST ? SERIAL_BURST : s->tokens + add;
		s->tokens_ns = now;
	}
	if (s->tokens < n)
		return false;
	s->tokens -= n;
	return true;
}

static bool put(struct serial *s, const void *data, unsigned len)
{
	ssize_t r;

	if (!take_tokens(s, len) || !fd_takes_bytes(s->host->serial_out_fd))
		return false;
	do {
		r = write(s->host->serial_out_fd, data, len);
	} while (r < 0 && errno == EINTR);
	return r == (ssize_t)len;
}

static void flush_line(struct serial *s)
{
	if (!s->line_len)
		return;
	if (s->host->serial_out_fd >= 0) {
		if (s->dropped) {
			char note[64];
			int n = snprintf(note, sizeof(note), "\n[%llu bytes of console output dropped]\n",
					 (unsigned long long)s->dropped);

			if (put(s, note, (unsigned)n))
				s->dropped = 0;
		}
		if (s->dropped || !put(s, s->line, s->line_len)) {
			s->dropped += s->line_len;
			s->dropped_total += s->line_len;
		}
	}
	s->line_len = 0;
}

static void update_irq(struct serial *s)
{
	if (((s->ier & IER_THRI) && s->thr_pending) || ((s->ier & IER_RDI) && s->loop_full))
		irq_line_raise(&s->irq);
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t fifo = s->fcr & FCR_ENABLE ? IIR_FIFO : 0;

	if ((s->ier & IER_RDI) && s->loop_full)
		return fifo | IIR_RDI;
	if ((s->ier & IER_THRI) && s->thr_pending) {
		s->thr_pending = false; /* reading it is the acknowledgement */
		return fifo | IIR_THRI;
	}
	return fifo | IIR_NONE;
}

static uint8_t read_msr(const struct serial *s)
{
	uint8_t v = 0;

	if (!(s->mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	if (s->mcr & MCR_RTS)
		v |= MSR_CTS;
	if (s->mcr & MCR_DTR)
		v |= MSR_DSR;
	if (s->mcr & MCR_OUT1)
		v |= MSR_RI;
	if (s->mcr & MCR_OUT2)
		v |= MSR_DCD;
	return v;
}

static uint8_t read_reg(struct serial *s, uint64_t off)
{
	switch (off) {
	case REG_DATA:
		if (s->lcr & LCR_DLAB)
			return s->dll;
		s->loop_full = false;
		return s->loop_byte;
	case REG_IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case REG_IIR_FCR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return LSR_THR_EMPTY | (s->loop_full ? LSR_DR : 0);
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void write_data(struct serial *s, uint8_t val)
{
	if (s->mcr & MCR_LOOP) {
		s->loop_byte = val;
		s->loop_full = true;
	} else {
		s->line[s->line_len++] = val;
		if (val == '\n' || s->line_len == LINE_MAX_BYTES)
			flush_line(s);
	}
	if (!s->thr_pending || s->loop_full) { /* else the guest was told and has not looked yet */
		s->thr_pending = true;
		update_irq(s);
	}
}

static void write_reg(struct serial *s, uint64_t off, uint8_t val)
{
	switch (off) {
	case REG_DATA:
		if (s->lcr & LCR_DLAB)
			s->dll = val;
		else
			write_data(s, val);
		break;
	case REG_IER:
		if (s->lcr & LCR_DLAB) {
			s->dlm = val;
			break;
		}
		/* Switching the interrupt on with an empty transmitter raises it at once. */
		if ((val & IER_THRI) && !(s->ier & IER_THRI))
			s->thr_pending = true;
		s->ier = val & (IER_RDI | IER_THRI | IER_RLSI | IER_MSI);
		update_irq(s);
		break;
	case REG_IIR_FCR:
		s->fcr = val & 0xc9; /* the clear bits clear themselves */
		break;
	case REG_LCR:
		s->lcr = val;
		break;
	case REG_MCR:
		s->mcr = val & 0x1f;
		break;
	case REG_SCR:
		s->scr = val;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

/* Wider accesses are a row of byte accesses, as on the real bus. */
static void bus_serial_read(void *ctx, uint64_t off, uint8_t *data, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		data[i] = off + i < REG_COUNT ? read_reg(ctx, off + i) : 0xff;
}

static void bus_serial_write(void *ctx, uint64_t off, const uint8_t *data, unsigned len)
{
	for (unsigned i = 0; i < len && off + i < REG_COUNT; i++)
		write_reg(ctx, off + i, data[i]);
}

static const struct bus_ops serial_bus = {.read = bus_serial_read, .write = bus_serial_write};

static void serial_quiesce(struct device *dev)
{
	flush_line((struct serial *)dev);
}

static void serial_resume(struct device *dev)
{
	update_irq((struct serial *)dev);
}

static int serial_save(struct device *dev, struct stk_wr *w)
{
	const struct serial *s = (const struct serial *)dev;

	stk_wr_u8(w, s->ier);
	stk_wr_u8(w, s->fcr);
	stk_wr_u8(w, s->lcr);
	stk_wr_u8(w, s->mcr);
	stk_wr_u8(w, s->scr);
	stk_wr_u8(w, s->dll);
	stk_wr_u8(w, s->dlm);
	stk_wr_u8(w, s->thr_pending);
	stk_wr_u8(w, s->loop_full);
	stk_wr_u8(w, s->loop_byte);
	return w->bad ? -ENOSPC : 0;
}

static int serial_restore(struct device *dev, struct stk_rd *r, uint32_t version, struct stk_err *err)
{
	struct serial *s = (struct serial *)dev;

	if (version != dev->ops->version)
		return stk_err_set(err, -ENOTSUP, "serial: saved state version %u is not known", version);
	s->ier = stk_rd_u8(r) & 0x0f;
	s->fcr = stk_rd_u8(r) & 0xc9;
	s->lcr = stk_rd_u8(r);
	s->mcr = stk_rd_u8(r) & 0x1f;
	s->scr = stk_rd_u8(r);
	s->dll = stk_rd_u8(r);
	s->dlm = stk_rd_u8(r);
	s->thr_pending = stk_rd_u8(r) & 1;
	s->loop_full = stk_rd_u8(r) & 1;
	s->loop_byte = stk_rd_u8(r);
	if (r->bad || r->left)
		return stk_err_set(err, -EINVAL, "serial: saved state has the wrong length");
	return 0;
}

static void serial_fini(struct device *dev)
{
	struct serial *s = (struct serial *)dev;

	flush_line(s);
	free(s);
}

static const struct device_ops serial_ops = {
	.name = "serial",
	.version = 1,
	.quiesce = serial_quiesce,
	.resume = serial_resume,
	.save = serial_save,
	.restore = serial_restore,
	.fini = serial_fini,
};

int serial_create(struct device_host *host, struct device **ret_dev, struct stk_err *err)
{
	struct serial *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return stk_err_set(err, -ENOMEM, "serial: out of memory");
	s->dev.ops = &serial_ops;
	snprintf(s->dev.id, sizeof(s->dev.id), "serial");
	s->host = host;
	s->dll = 1; /* 115200 baud */
	s->tokens = SERIAL_BURST;
	s->tokens_ns = stk_now_ns();
	s->irq = (struct irq_line){host->kvm_vm_fd, SERIAL_GSI};
	r = bus_add(host->pio, SERIAL_BASE, REG_COUNT, &serial_bus, s);
	if (r != 0) {
		stk_err_sys(err, r, "serial: no place on the bus");
		serial_fini(&s->dev);
		return r;
	}
	*ret_dev = &s->dev;
	return 0;
}
