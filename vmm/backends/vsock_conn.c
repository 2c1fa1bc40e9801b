#include "vmm/backends/vsock_conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/backends/iov.h"

#define SHUT_BOTH (VSOCK_SHUTDOWN_RCV | VSOCK_SHUTDOWN_SEND)
#define READ_IOV  64u

uint32_t vsock_conn_credit(const struct vsock_conn *c)
{
	uint32_t in_flight = c->rx_cnt - c->peer_fwd;

	/* A guest that counts wrongly gets nothing. */
	return in_flight < c->peer_alloc ? c->peer_alloc - in_flight : 0;
}

/* May bytes of the host still go to the guest? */
static bool reading(const struct vsock_conn *c)
{
	return c->state == VSOCK_CONN_OPEN && !c->eof && !(c->guest_shut & VSOCK_SHUTDOWN_RCV) &&
	       vsock_unix_is_active(c->mux);
}

bool vsock_conn_has_work(const struct vsock_conn *c)
{
	if (c->state != VSOCK_CONN_OPEN && c->state != VSOCK_CONN_ASKED)
		return false;
	return c->want || (c->readable && reading(c) && vsock_conn_credit(c));
}

int vsock_conn_interest(const struct vsock_conn *c)
{
	int ev = 0;

	if (!vsock_unix_is_active(c->mux))
		return 0;
	if (c->state == VSOCK_CONN_HELLO)
		return UV_READABLE;
	if (c->state != VSOCK_CONN_OPEN)
		return 0;
	if (reading(c) && !c->readable && vsock_conn_credit(c))
		ev |= UV_READABLE;
	if (c->ring_len)
		ev |= UV_WRITABLE;
	return ev;
}

static struct vsock_hdr make_hdr(struct vsock_conn *c, uint16_t op, uint32_t flags, uint32_t len)
{
	c->fwd_sent = c->fwd_cnt;
	c->want &= (uint8_t)~VSOCK_WANT_CREDIT_UPDATE; /* every packet is one */
	return (struct vsock_hdr){
		.src_cid = VSOCK_UNIX_HOST_CID,
		.dst_cid = vsock_unix_guest_cid(c->mux),
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.len = len,
		.type = VSOCK_TYPE_STREAM,
		.op = op,
		.flags = flags,
		.buf_alloc = VSOCK_UNIX_BUF,
		.fwd_cnt = c->fwd_cnt,
	};
}

/* --- guest -> host --- */

void vsock_conn_free_ring(struct vsock_conn *c)
{
	if (c->ring)
		munmap(c->ring, VSOCK_UNIX_BUF);
	c->ring = NULL;
	c->ring_head = c->ring_len = 0;
}

static void say_shutdown(struct vsock_conn *c, uint8_t flags)
{
	if ((c->host_shut | flags) == c->host_shut)
		return;
	c->host_shut |= flags;
	c->want |= VSOCK_WANT_SHUTDOWN;
	if (c->host_shut == SHUT_BOTH) /* the guest answers with RST; not for ever */
		vsock_unix_conn_deadline(c, VSOCK_CLOSE_MS);
}

/* The host reads no more: bytes of the guest are dropped from here on, and it is told so; what the
 * host wrote before is still delivered. */
static void write_side_gone(struct vsock_conn *c)
{
	c->write_dead = true;
	c->fwd_cnt += c->ring_len;
	vsock_conn_free_ring(c);
	say_shutdown(c, VSOCK_SHUTDOWN_RCV);
}

/* Tell the guest about room before it runs out of it. */
static void check_credit_update(struct vsock_conn *c)
{
	uint32_t room_it_sees = VSOCK_UNIX_BUF - (c->tx_cnt - c->fwd_sent);

	if (c->fwd_cnt != c->fwd_sent && room_it_sees < VSOCK_UNIX_BUF / 2)
		c->want |= VSOCK_WANT_CREDIT_UPDATE;
}

/* Passes the guest's closing on to the host socket once all its bytes have gone there. */
static void check_finished(struct vsock_conn *c)
{
	if (c->ring_len)
		return;
	if (c->guest_shut == SHUT_BOTH) {
		vsock_unix_conn_reset(c); /* RST confirms the close */
		return;
	}
	if ((c->guest_shut & VSOCK_SHUTDOWN_SEND) && !c->write_shut) {
		c->write_shut = true;
		shutdown(c->fd, SHUT_WR);
		if (c->eof)
			say_shutdown(c, SHUT_BOTH);
	}
}

/* Sends a list; returns bytes taken, 0 when it would block, negative errno. */
static ssize_t send_iov(struct vsock_conn *c, struct iovec *iov, unsigned n)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t r;

	do {
		r = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	c->sent += (uint64_t)r;
	return r;
}

void vsock_conn_flush(struct vsock_conn *c)
{
	while (c->ring_len) {
		uint32_t first = VSOCK_UNIX_BUF - c->ring_head;
		struct iovec iov[2];
		ssize_t r;

		if (first > c->ring_len)
			first = c->ring_len;
		iov[0] = (struct iovec){c->ring + c->ring_head, first};
		iov[1] = (struct iovec){c->ring, c->ring_len - first};
		r = send_iov(c, iov, iov[1].iov_len ? 2 : 1);
		if (r < 0) {
			write_side_gone(c);
			break;
		}
		if (r == 0)
			break;
		c->ring_head = (c->ring_head + (uint32_t)r) % VSOCK_UNIX_BUF;
		c->ring_len -= (uint32_t)r;
		c->fwd_cnt += (uint32_t)r;
	}
	if (!c->ring_len)
		vsock_conn_free_ring(c);
	check_credit_update(c);
	check_finished(c);
}

static bool ring_add(struct vsock_conn *c, const struct iovec *iov, unsigned n, uint32_t len)
{
	uint32_t tail, first;

	if (!c->ring) {
		void *p = mmap(NULL, VSOCK_UNIX_BUF, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return false;
		c->ring = p;
	}
	tail = (c->ring_head + c->ring_len) % VSOCK_UNIX_BUF;
	for (unsigned i = 0; i < n && len; i++) {
		uint32_t k = iov[i].iov_len < len ? (uint32_t)iov[i].iov_len : len;

		first = VSOCK_UNIX_BUF - tail < k ? VSOCK_UNIX_BUF - tail : k;
		memcpy(c->ring + tail, iov[i].iov_base, first);
		memcpy(c->ring, (const uint8_t *)iov[i].iov_base + first, k - first);
		tail = (tail + k) % VSOCK_UNIX_BUF;
		c->ring_len += k;
		len -= k;
	}
	return true;
}

void vsock_conn_take_data(struct vsock_conn *c, uint32_t len, struct iovec *iov, unsigned n)
{
	ssize_t r = 0;

	if (c->guest_shut & VSOCK_SHUTDOWN_SEND) { /* it said it would not */
		vsock_unix_conn_reset(c);
		return;
	}
	if (!len)
		return;
	c->tx_cnt += len;
	if (c->write_dead) {
		c->fwd_cnt += len;
		check_credit_update(c);
		return;
	}
	n = iov_trim(iov, n, len);
	if (!c->ring_len) {
		r = send_iov(c, iov, n);
		if (r < 0) {
			c->fwd_cnt += len;
			write_side_gone(c);
			return;
		}
		c->fwd_cnt += (uint32_t)r;
	}
	len -= (uint32_t)r;
	if (len) {
		iov_skip(&iov, &n, (size_t)r);
		/* More than we gave credit for: this guest does not keep to the protocol. */
		if (len > VSOCK_UNIX_BUF - c->ring_len || !ring_add(c, iov, n, len)) {
			vsock_unix_conn_reset(c);
			return;
		}
	}
	check_credit_update(c);
}

void vsock_conn_take_shutdown(struct vsock_conn *c, uint32_t flags)
{
	c->guest_shut |= flags & SHUT_BOTH;
	if ((flags & VSOCK_SHUTDOWN_RCV) && c->guest_shut != SHUT_BOTH)
		shutdown(c->fd, SHUT_RD);
	check_finished(c);
}

void vsock_conn_take_credit(struct vsock_conn *c, const struct vsock_hdr *h)
{
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	if (vsock_conn_credit(c))
		c->credit_asked = false;
}

/* --- host -> guest --- */

void vsock_conn_socket_ready(struct vsock_conn *c, int events)
{
	if (events & UV_READABLE)
		c->readable = true;
	if ((events & UV_WRITABLE) && c->ring_len)
		vsock_conn_flush(c);
}

static void host_eof(struct vsock_conn *c)
{
	struct pollfd p = {.fd = c->fd};
	bool gone = poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));

	c->eof = true;
	c->readable = false;
	/* shutdown(SHUT_WR) of the host leaves the other direction open; close() does not. */
	if (gone || c->write_shut || c->write_dead)
		say_shutdown(c, SHUT_BOTH);
	else
		say_shutdown(c, VSOCK_SHUTDOWN_SEND);
}

bool vsock_conn_discard(struct vsock_conn *c)
{
	char buf[4096];
	ssize_t r;

	do {
		r = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	} while (r > 0 || (r < 0 && errno == EINTR));
	return r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Reads once, straight into the guest's buffers, and cuts what came into packets. */
static unsigned recv_data(struct vsock_conn *c, struct vsock_slot *slot, unsigned n)
{
	uint32_t limit = vsock_conn_credit(c), room = 0, slot_room[VSOCK_UNIX_SLOTS] = {0};
	struct iovec iov[READ_IOV];
	unsigned iovcnt = 0, used = 0;
	ssize_t r;

	if (limit > VSOCK_UNIX_BURST)
		limit = VSOCK_UNIX_BURST;
	if (n > VSOCK_UNIX_SLOTS)
		n = VSOCK_UNIX_SLOTS;
	for (unsigned s = 0; s < n; s++) {
		for (unsigned i = 0; i < slot[s].iovcnt && iovcnt < READ_IOV && room < limit; i++) {
			size_t k = slot[s].iov[i].iov_len;

			if (k > limit - room)
				k = limit - room;
			iov[iovcnt++] = (struct iovec){slot[s].iov[i].iov_base, k};
			slot_room[s] += (uint32_t)k;
			room += (uint32_t)k;
		}
	}
	if (!room)
		return 0;
	do {
		r = readv(c->fd, iov, (int)iovcnt);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		c->readable = c->bulk = false;
		return 0;
	}
	if (r < 0) {
		vsock_unix_conn_reset(c);
		return 0;
	}
	if (r == 0) {
		host_eof(c);
		return 0;
	}
	/* Less than asked for: empty now, the loop will tell when there is more. */
	c->bulk = c->readable = (uint32_t)r == room;
	c->rx_cnt += (uint32_t)r;
	while (r > 0) {
		uint32_t k = slot_room[used] < (uint32_t)r ? slot_room[used] : (uint32_t)r;

		slot[used].hdr = make_hdr(c, VSOCK_OP_RW, 0, k);
		used++;
		r -= (ssize_t)k;
	}
	if (!vsock_conn_credit(c) && !c->credit_asked) {
		c->credit_asked = true;
		c->want |= VSOCK_WANT_CREDIT_REQUEST;
	}
	return used;
}

static unsigned recv_control(struct vsock_conn *c, struct vsock_slot *slot)
{
	if (c->want & VSOCK_WANT_REQUEST) {
		c->want &= (uint8_t)~VSOCK_WANT_REQUEST;
		slot->hdr = make_hdr(c, VSOCK_OP_REQUEST, 0, 0);
	} else if (c->want & VSOCK_WANT_RESPONSE) {
		c->want &= (uint8_t)~VSOCK_WANT_RESPONSE;
		slot->hdr = make_hdr(c, VSOCK_OP_RESPONSE, 0, 0);
	} else if (c->want & VSOCK_WANT_SHUTDOWN) {
		c->want &= (uint8_t)~VSOCK_WANT_SHUTDOWN;
		slot->hdr = make_hdr(c, VSOCK_OP_SHUTDOWN, c->host_shut, 0);
	} else if (c->want & VSOCK_WANT_CREDIT_REQUEST) {
		c->want &= (uint8_t)~VSOCK_WANT_CREDIT_REQUEST;
		slot->hdr = make_hdr(c, VSOCK_OP_CREDIT_REQUEST, 0, 0);
	} else {
		slot->hdr = make_hdr(c, VSOCK_OP_CREDIT_UPDATE, 0, 0);
	}
	return 1;
}

unsigned vsock_conn_recv(struct vsock_conn *c, struct vsock_slot *slot, unsigned n)
{
	unsigned used = 0;

	if (!vsock_conn_has_work(c) || n == 0)
		return 0;
	/* Opening goes before data, closing only behind the last of it (eof stops reading). */
	if (!c->want || (c->want == VSOCK_WANT_CREDIT_UPDATE && c->readable)) {
		if (c->readable && reading(c) && vsock_conn_credit(c))
			used = recv_data(c, slot, n);
		if (used || c->state == VSOCK_CONN_DEAD)
			return used;
	}
	return c->want ? recv_control(c, slot) : 0;
}

/* --- HELLO --- */

/* "CONNECT <port>": the keyword in any case, blanks around the number. */
static bool parse_connect(const char *line, unsigned len, uint32_t *ret_port)
{
	unsigned i = 7;
	uint64_t port = 0;

	if (len < 9 || strncasecmp(line, "connect", 7) != 0 || (line[7] != ' ' && line[7] != '\t'))
		return false;
	while (i < len && (line[i] == ' ' || line[i] == '\t'))
		i++;
	if (i == len)
		return false;
	for (; i < len && line[i] >= '0' && line[i] <= '9'; i++) {
		port = port * 10 + (uint64_t)(line[i] - '0');
		if (port > UINT32_MAX)
			return false;
	}
	if (line[i - 1] < '0' || line[i - 1] > '9')
		return false;
	while (i < len && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r'))
		i++;
	if (i != len)
		return false;
	*ret_port = (uint32_t)port;
	return true;
}

int vsock_conn_read_hello(struct vsock_conn *c, uint32_t *ret_guest_port)
{
	char *at = c->line + c->line_len, *end;
	size_t room = VSOCK_HELLO_MAX - c->line_len, take;
	ssize_t r = recv(c->fd, at, room, MSG_PEEK | MSG_DONTWAIT);

	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (r <= 0)
		return -ECONNRESET;
	end = memchr(at, '\n', (size_t)r);
	take = end ? (size_t)(end - at) + 1 : (size_t)r;
	if (recv(c->fd, at, take, MSG_DONTWAIT) != (ssize_t)take)
		return -ECONNRESET;
	c->line_len = (uint8_t)(c->line_len + take);
	if (!end)
		return c->line_len == VSOCK_HELLO_MAX ? -EPROTO : 0;
	return parse_connect(c->line, c->line_len - 1u, ret_guest_port) ? 1 : -EPROTO;
}
