#include "vmm/backends/vsock_unix.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/list.h"
#include "vmm/backends/vsock_conn.h"

#define RST_MAX     (VSOCK_UNIX_MAX_CONNS + 64u)
#define HELLO_MS    5000u
#define ASKED_MS    10000u
#define FLUSH_MS    1000u
#define ACCEPT_MAX  16
#define PORT_SUFFIX 11u /* "_4294967295" */

/* Host ports given to connections that start here: 2^30 .. 2^31-1, in turn. */
#define PORT_FIRST 0x40000000u
#define PORT_LAST  0x7fffffffu

struct rst {
	uint32_t guest_port, host_port;
};

#define TABLE_SIZE (VSOCK_UNIX_MAX_CONNS * sizeof(struct vsock_conn))

struct vsock_unix {
	uv_loop_t *loop;
	pthread_mutex_t *lock;
	uint64_t guest_cid;
	void (*rx_ready)(void *ctx);
	void (*tick)(void *ctx);
	void (*unlocked)(void *ctx);
	bool tick_wanted;
	void *ctx;
	struct { uint32_t port; int fd; } lent[VSOCK_UNIX_MAX_LENT]; /* fd -1: used up */
	uint32_t next_port;
	bool active;

	/* Connections: a table of which only the first `hi` rows were ever used, so that the rest costs
	 * no memory. key[] is what a packet is looked up by, kept apart to stay in few cache lines. */
	struct vsock_conn *conn;
	uint64_t key[VSOCK_UNIX_MAX_CONNS];
	uint16_t free_row[VSOCK_UNIX_MAX_CONNS];
	unsigned free_count, hi;
	struct stk_list ready;

	struct rst rst[RST_MAX]; /* ring: answers that belong to no connection (any more) */
	unsigned rst_head, rst_count;

	uv_timer_t timer; /* runs while a deadline or a paused listener exists */
	unsigned deadlines;
	uv_poll_t listener;
	int listen_fd;
	bool listener_open, accept_paused, accept_polled;
	unsigned handles; /* open with the loop */
	bool closing;
	char uds_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static void on_conn(uv_poll_t *poll, int status, int events);
static void on_listener(uv_poll_t *poll, int status, int events);

bool vsock_unix_is_active(const struct vsock_unix *m)
{
	return m->active;
}

uint64_t vsock_unix_guest_cid(const struct vsock_unix *m)
{
	return m->guest_cid;
}

/* --- lifetime --- */

static void handle_closed(struct vsock_unix *m)
{
	if (--m->handles || !m->closing)
		return;
	munmap(m->conn, TABLE_SIZE);
	free(m);
}

static uint64_t key_of(uint32_t guest_port, uint32_t host_port)
{
	return (uint64_t)guest_port << 32 | host_port;
}

static unsigned row_of(const struct vsock_conn *c)
{
	return (unsigned)(c - c->mux->conn);
}

static struct vsock_conn *find(struct vsock_unix *m, uint32_t guest_port, uint32_t host_port)
{
	uint64_t key = key_of(guest_port, host_port);

	for (unsigned i = 0; i < m->hi; i++) {
		if (m->key[i] == key && (m->conn[i].state == VSOCK_CONN_ASKED ||
					 m->conn[i].state == VSOCK_CONN_OPEN))
			return &m->conn[i];
	}
	return NULL;
}

static void update_poll(struct vsock_conn *c)
{
	int want;

	if (c->state == VSOCK_CONN_FREE || c->state == VSOCK_CONN_DEAD)
		return;
	want = vsock_conn_interest(c);
	if (want == c->polled)
		return;
	c->polled = (uint8_t)want;
	if (want)
		uv_poll_start(&c->poll, want, on_conn);
	else
		uv_poll_stop(&c->poll);
}

/* A row for fd, which is then the row's; NULL when the table is full or fd cannot be polled. */
static struct vsock_conn *conn_new(struct vsock_unix *m, int fd, enum vsock_conn_state state)
{
	struct vsock_conn *c;
	unsigned row;

	if (m->free_count)
		row = m->free_row[--m->free_count];
	else if (m->hi < VSOCK_UNIX_MAX_CONNS)
		row = m->hi++;
	else
		return NULL;
	c = &m->conn[row];
	memset(c, 0, sizeof(*c));
	c->mux = m;
	stk_list_init(&c->ready);
	if (uv_poll_init(m->loop, &c->poll, fd) != 0) {
		m->free_row[m->free_count++] = (uint16_t)row;
		return NULL;
	}
	m->handles++;
	c->fd = fd;
	c->state = (uint8_t)state;
	return c;
}

static void set_ports(struct vsock_conn *c, uint32_t guest_port, uint32_t host_port)
{
	c->guest_port = guest_port;
	c->host_port = host_port;
	c->mux->key[row_of(c)] = key_of(guest_port, host_port);
}

static void on_conn_closed(uv_handle_t *h)
{
	struct vsock_conn *c = STK_CONTAINER_OF((uv_poll_t *)h, struct vsock_conn, poll);
	struct vsock_unix *m = c->mux;

	c->state = VSOCK_CONN_FREE;
	m->free_row[m->free_count++] = (uint16_t)row_of(c);
	handle_closed(m);
}

void vsock_unix_conn_kill(struct vsock_conn *c)
{
	if (c->state == VSOCK_CONN_DEAD || c->state == VSOCK_CONN_FREE)
		return;
	vsock_unix_conn_deadline(c, 0);
	c->state = VSOCK_CONN_DEAD;
	c->mux->key[row_of(c)] = 0;
	stk_list_del(&c->ready);
	vsock_conn_free_ring(c);
	/* Closing the handle takes the descriptor out of the poll set; only then it may go. */
	uv_close((uv_handle_t *)&c->poll, on_conn_closed);
	close(c->fd);
	c->fd = -1;
}

static void rst_add(struct vsock_unix *m, uint32_t guest_port, uint32_t host_port)
{
	/* Full only when the guest provokes answers and gives no buffers for them: its own loss. */
	if (m->rst_count == RST_MAX)
		return;
	m->rst[(m->rst_head + m->rst_count++) % RST_MAX] = (struct rst){guest_port, host_port};
}

void vsock_unix_conn_reset(struct vsock_conn *c)
{
	/* A guest that was not even asked yet has nothing to forget. */
	bool known = c->state == VSOCK_CONN_OPEN ||
		     (c->state == VSOCK_CONN_ASKED && !(c->want & VSOCK_WANT_REQUEST));

	if (known)
		rst_add(c->mux, c->guest_port, c->host_port);
	vsock_unix_conn_kill(c);
}

void vsock_unix_conn_schedule(struct vsock_conn *c)
{
	if (stk_list_empty(&c->ready) && vsock_conn_has_work(c))
		stk_list_add_tail(&c->mux->ready, &c->ready);
}

static void leave(struct vsock_unix *m)
{
	pthread_mutex_unlock(m->lock);
	m->unlocked(m->ctx);
}

/* --- time --- */

static void on_tick(uv_timer_t *t)
{
	struct vsock_unix *m = STK_CONTAINER_OF(t, struct vsock_unix, timer);
	uint64_t now = uv_now(m->loop);

	pthread_mutex_lock(m->lock);
	for (unsigned i = 0; i < m->hi && m->deadlines; i++) {
		struct vsock_conn *c = &m->conn[i];

		if (c->state == VSOCK_CONN_FREE || !c->deadline_ms || now < c->deadline_ms)
			continue;
		vsock_unix_conn_reset(c);
	}
	if (m->accept_paused) {
		m->accept_paused = false;
		vsock_unix_set_active(m, m->active);
	}
	if (m->tick_wanted) {
		m->tick_wanted = false;
		m->tick(m->ctx);
	}
	if (!m->deadlines && !m->accept_paused && !m->tick_wanted)
		uv_timer_stop(t);
	if (vsock_unix_rx_want(m))
		m->rx_ready(m->ctx);
	leave(m);
}

static void need_ticks(struct vsock_unix *m)
{
	if (!uv_is_active((uv_handle_t *)&m->timer))
		uv_timer_start(&m->timer, on_tick, VSOCK_UNIX_TICK_MS, VSOCK_UNIX_TICK_MS);
}

void vsock_unix_want_tick(struct vsock_unix *m)
{
	m->tick_wanted = true;
	need_ticks(m);
}

void vsock_unix_conn_deadline(struct vsock_conn *c, uint64_t ms)
{
	struct vsock_unix *m = c->mux;

	if (ms && !c->deadline_ms)
		m->deadlines++;
	if (!ms && c->deadline_ms)
		m->deadlines--;
	c->deadline_ms = ms ? uv_now(m->loop) + ms : 0;
	if (ms)
		need_ticks(m);
}

/* --- clients of uds_path --- */

static uint32_t new_host_port(struct vsock_unix *m, uint32_t guest_port)
{
	uint32_t port;

	do { /* ends: there are more ports than rows */
		port = m->next_port;
		m->next_port = port == PORT_LAST ? PORT_FIRST : port + 1;
	} while (find(m, guest_port, port));
	return port;
}

static void read_hello(struct vsock_conn *c)
{
	uint32_t guest_port;
	int r = vsock_conn_read_hello(c, &guest_port);

	if (r < 0)
		vsock_unix_conn_kill(c);
	if (r != 1)
		return;
	c->state = VSOCK_CONN_ASKED;
	set_ports(c, guest_port, new_host_port(c->mux, guest_port));
	c->want = VSOCK_WANT_REQUEST;
	vsock_unix_conn_deadline(c, ASKED_MS);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	struct vsock_unix *m = STK_CONTAINER_OF(poll, struct vsock_unix, listener);

	pthread_mutex_lock(m->lock);
	if (status < 0)
		m->accept_polled = false;
	for (unsigned i = 0; i < ACCEPT_MAX; i++) {
		int fd = accept4(m->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct vsock_conn *c;

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			if (errno != EAGAIN) { /* out of descriptors: later, not in a tight loop */
				m->accept_paused = true;
				need_ticks(m);
			}
			break;
		}
		c = conn_new(m, fd, VSOCK_CONN_HELLO);
		if (!c) {
			close(fd);
			continue;
		}
		vsock_unix_conn_deadline(c, HELLO_MS);
		update_poll(c);
	}
	vsock_unix_set_active(m, m->active);
	pthread_mutex_unlock(m->lock);
}

static void on_conn(uv_poll_t *poll, int status, int events)
{
	struct vsock_conn *c = STK_CONTAINER_OF(poll, struct vsock_conn, poll);
	struct vsock_unix *m = c->mux;

	pthread_mutex_lock(m->lock);
	if (status < 0) { /* an error waits on the socket, and libuv has stopped the handle */
		events = c->polled;
		c->polled = 0;
	}
	if (c->state == VSOCK_CONN_HELLO)
		read_hello(c);
	else if (c->state == VSOCK_CONN_OPEN)
		vsock_conn_socket_ready(c, events);
	vsock_unix_conn_schedule(c);
	if (vsock_unix_rx_want(m))
		m->rx_ready(m->ctx);
	update_poll(c); /* the row is not reused before its close callback */
	leave(m);
}

/* --- from the guest --- */

static int connect_out(const struct vsock_unix *m, uint32_t port)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (!m->uds_path[0])
		return -1;
	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", m->uds_path, port) >=
	    (int)sizeof(addr.sun_path))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* Unix sockets connect at once or not at all; a full backlog is a refusal. */
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int take_lent(struct vsock_unix *m, uint32_t port)
{
	for (unsigned i = 0; i < VSOCK_UNIX_MAX_LENT; i++) {
		int fd = m->lent[i].fd;

		if (fd >= 0 && m->lent[i].port == port) {
			m->lent[i].fd = -1;
			return fd;
		}
	}
	return -1;
}

static void guest_connects(struct vsock_unix *m, const struct vsock_hdr *h)
{
	int fd = take_lent(m, h->dst_port);
	bool lent = fd >= 0;
	struct vsock_conn *c = NULL;

	if (!lent)
		fd = connect_out(m, h->dst_port);
	if (fd >= 0)
		c = conn_new(m, fd, VSOCK_CONN_OPEN);
	if (!c) {
		if (fd >= 0)
			close(fd);
		rst_add(m, h->src_port, h->dst_port);
		return;
	}
	c->lent = lent;
	set_ports(c, h->src_port, h->dst_port);
	vsock_conn_take_credit(c, h);
	c->want = VSOCK_WANT_RESPONSE;
	vsock_unix_conn_schedule(c);
	update_poll(c);
}

static void guest_accepts(struct vsock_conn *c)
{
	char ok[32];
	int n;

	if (c->state != VSOCK_CONN_ASKED || (c->want & VSOCK_WANT_REQUEST)) {
		vsock_unix_conn_reset(c);
		return;
	}
	n = snprintf(ok, sizeof(ok), "OK %u\n", c->host_port);
	/* The first bytes into an empty socket: they fit, or nobody reads there any more. */
	if (send(c->fd, ok, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n) {
		vsock_unix_conn_reset(c);
		return;
	}
	c->state = VSOCK_CONN_OPEN;
	vsock_unix_conn_deadline(c, 0);
}

void vsock_unix_send(struct vsock_unix *m, const struct vsock_hdr *h, struct iovec *iov, unsigned n)
{
	struct vsock_conn *c;

	if (h->type != VSOCK_TYPE_STREAM) {
		if (h->op != VSOCK_OP_RST)
			rst_add(m, h->src_port, h->dst_port);
		return;
	}
	c = find(m, h->src_port, h->dst_port);
	if (!c) {
		if (h->op == VSOCK_OP_REQUEST)
			guest_connects(m, h);
		else if (h->op != VSOCK_OP_RST)
			rst_add(m, h->src_port, h->dst_port);
		return;
	}
	if (h->op == VSOCK_OP_RST) {
		vsock_unix_conn_kill(c);
		return;
	}
	vsock_conn_take_credit(c, h);
	if (h->op == VSOCK_OP_RESPONSE) {
		guest_accepts(c);
	} else if (c->state != VSOCK_CONN_OPEN) {
		vsock_unix_conn_reset(c);
	} else {
		switch (h->op) {
		case VSOCK_OP_RW:
			vsock_conn_take_data(c, h->len, iov, n);
			break;
		case VSOCK_OP_SHUTDOWN:
			vsock_conn_take_shutdown(c, h->flags);
			break;
		case VSOCK_OP_CREDIT_REQUEST:
			c->want |= VSOCK_WANT_CREDIT_UPDATE;
			break;
		case VSOCK_OP_CREDIT_UPDATE:
			break;
		default: /* a second REQUEST, or nothing known */
			vsock_unix_conn_reset(c);
			break;
		}
	}
	vsock_unix_conn_schedule(c);
	update_poll(c);
}

/* --- to the guest --- */

unsigned vsock_unix_rx_want(const struct vsock_unix *m)
{
	const struct vsock_conn *c;

	if (m->rst_count)
		return 1;
	if (stk_list_empty(&m->ready))
		return 0;
	c = STK_CONTAINER_OF(m->ready.next, struct vsock_conn, ready);
	if (c->want & (uint8_t)~VSOCK_WANT_CREDIT_UPDATE)
		return 1;
	/* Most messages are small: two buffers, and all there are once that was not enough. */
	return c->bulk ? VSOCK_UNIX_SLOTS : 2;
}

unsigned vsock_unix_recv(struct vsock_unix *m, struct vsock_slot *slot, unsigned n)
{
	if (n == 0)
		return 0;
	if (m->rst_count) {
		struct rst r = m->rst[m->rst_head];

		m->rst_head = (m->rst_head + 1) % RST_MAX;
		m->rst_count--;
		slot[0].hdr = (struct vsock_hdr){
			.src_cid = VSOCK_UNIX_HOST_CID,
			.dst_cid = m->guest_cid,
			.src_port = r.host_port,
			.dst_port = r.guest_port,
			.type = VSOCK_TYPE_STREAM,
			.op = VSOCK_OP_RST,
		};
		return 1;
	}
	/* Each ready connection at most once per call; who has more goes to the end of the line. */
	for (unsigned turns = m->hi; turns && !stk_list_empty(&m->ready); turns--) {
		struct vsock_conn *c = STK_CONTAINER_OF(m->ready.next, struct vsock_conn, ready);
		unsigned used;

		stk_list_del(&c->ready);
		used = vsock_conn_recv(c, slot, n);
		vsock_unix_conn_schedule(c);
		update_poll(c);
		if (used)
			return used;
		if (m->rst_count)
			return vsock_unix_recv(m, slot, n);
	}
	return 0;
}

/* --- whole table --- */

void vsock_unix_set_active(struct vsock_unix *m, bool active)
{
	bool accepting = active && m->listener_open && !m->accept_paused;

	m->active = active;
	for (unsigned i = 0; i < m->hi; i++) {
		if (m->conn[i].state == VSOCK_CONN_FREE || m->conn[i].state == VSOCK_CONN_DEAD)
			continue;
		vsock_unix_conn_schedule(&m->conn[i]);
		update_poll(&m->conn[i]);
	}
	if (accepting != m->accept_polled) {
		m->accept_polled = accepting;
		if (accepting)
			uv_poll_start(&m->listener, UV_READABLE, on_listener);
		else
			uv_poll_stop(&m->listener);
	}
}

void vsock_unix_drop_all(struct vsock_unix *m)
{
	for (unsigned i = 0; i < m->hi; i++)
		vsock_unix_conn_kill(&m->conn[i]);
	m->rst_head = m->rst_count = 0;
}

static bool keepable(const struct vsock_conn *c)
{
	return c->state == VSOCK_CONN_OPEN && c->lent && !c->ring_len && !c->eof && !c->write_dead &&
	       !c->guest_shut;
}

void vsock_unix_keep_lent(struct vsock_unix *m)
{
	uint64_t end = stk_now_ns() + FLUSH_MS * STK_NS_PER_MS;

	for (unsigned i = 0; i < m->hi; i++) {
		struct vsock_conn *c = &m->conn[i];

		while (c->state == VSOCK_CONN_OPEN && c->lent && c->ring_len && stk_now_ns() < end) {
			struct pollfd p = {.fd = c->fd, .events = POLLOUT};

			poll(&p, 1, 10);
			vsock_conn_flush(c);
		}
		if (!keepable(c))
			vsock_unix_conn_reset(c);
	}
}

unsigned vsock_unix_conn_count(const struct vsock_unix *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->hi; i++)
		n += m->conn[i].state != VSOCK_CONN_FREE && m->conn[i].state != VSOCK_CONN_DEAD;
	return n;
}

uint64_t vsock_unix_buffered(const struct vsock_unix *m)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < m->hi; i++)
		n += m->conn[i].ring_len;
	return n;
}

/* --- another life --- */

static bool reusable(const struct vsock_conn *c)
{
	return c->state == VSOCK_CONN_OPEN && !c->eof && !c->write_dead && !c->guest_shut;
}

int vsock_unix_rewind(struct vsock_unix *m)
{
	for (unsigned i = 0; i < m->hi; i++) {
		struct vsock_conn *c = &m->conn[i];

		if (!c->lent) {
			vsock_unix_conn_kill(c);
			continue;
		}
		if (c->state == VSOCK_CONN_FREE || c->state == VSOCK_CONN_DEAD)
			continue;
		if (!reusable(c) || !vsock_conn_discard(c))
			return -EPIPE;
		vsock_unix_conn_deadline(c, 0);
		stk_list_del(&c->ready);
		vsock_conn_free_ring(c);
		c->state = VSOCK_CONN_SPARE;
	}
	m->rst_head = m->rst_count = 0;
	return 0;
}

uint64_t vsock_unix_lent_bytes(const struct vsock_unix *m)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->hi; i++)
		sum += m->conn[i].lent ? m->conn[i].sent : 0;
	return sum;
}

static struct vsock_conn *take_spare(struct vsock_unix *m, uint32_t host_port)
{
	for (unsigned i = 0; i < m->hi; i++) {
		struct vsock_conn *c = &m->conn[i];

		if (c->state != VSOCK_CONN_SPARE || c->host_port != host_port)
			continue;
		memset(&c->guest_port, 0, sizeof(*c) - offsetof(struct vsock_conn, guest_port));
		c->state = VSOCK_CONN_OPEN;
		return c;
	}
	return NULL;
}

/* --- state --- */

#define WANT_SAVED (VSOCK_WANT_RESPONSE | VSOCK_WANT_CREDIT_UPDATE | VSOCK_WANT_CREDIT_REQUEST)

static bool owed_rst(const struct vsock_conn *c)
{
	if (c->state == VSOCK_CONN_ASKED)
		return !(c->want & VSOCK_WANT_REQUEST);
	return c->state == VSOCK_CONN_OPEN && !keepable(c);
}

void vsock_unix_save(const struct vsock_unix *m, struct stk_wr *w)
{
	unsigned kept = 0, rsts = m->rst_count;

	for (unsigned i = 0; i < m->hi; i++) {
		kept += keepable(&m->conn[i]);
		rsts += owed_rst(&m->conn[i]);
	}
	stk_wr_u32(w, m->next_port);
	stk_wr_u16(w, (uint16_t)kept);
	for (unsigned i = 0; i < m->hi; i++) {
		const struct vsock_conn *c = &m->conn[i];

		if (!keepable(c))
			continue;
		stk_wr_u32(w, c->guest_port);
		stk_wr_u32(w, c->host_port);
		stk_wr_u32(w, c->rx_cnt);
		stk_wr_u32(w, c->peer_alloc);
		stk_wr_u32(w, c->peer_fwd);
		stk_wr_u32(w, c->fwd_cnt); /* equals tx_cnt: nothing is buffered */
		stk_wr_u32(w, c->fwd_sent);
		stk_wr_u8(w, c->want & WANT_SAVED);
		stk_wr_u8(w, c->credit_asked);
	}
	if (rsts > RST_MAX)
		rsts = RST_MAX;
	stk_wr_u16(w, (uint16_t)rsts);
	for (unsigned i = 0; i < m->rst_count && rsts; i++, rsts--) {
		const struct rst *r = &m->rst[(m->rst_head + i) % RST_MAX];

		stk_wr_u32(w, r->guest_port);
		stk_wr_u32(w, r->host_port);
	}
	for (unsigned i = 0; i < m->hi && rsts; i++) {
		if (!owed_rst(&m->conn[i]))
			continue;
		stk_wr_u32(w, m->conn[i].guest_port);
		stk_wr_u32(w, m->conn[i].host_port);
		rsts--;
	}
}

static int restore_conn(struct vsock_unix *m, struct stk_rd *r, struct stk_err *err)
{
	struct vsock_conn saved = {0}, *c;
	int fd = -1;

	saved.guest_port = stk_rd_u32(r);
	saved.host_port = stk_rd_u32(r);
	saved.rx_cnt = stk_rd_u32(r);
	saved.peer_alloc = stk_rd_u32(r);
	saved.peer_fwd = stk_rd_u32(r);
	saved.fwd_cnt = stk_rd_u32(r);
	saved.fwd_sent = stk_rd_u32(r);
	saved.want = stk_rd_u8(r) & WANT_SAVED;
	saved.credit_asked = stk_rd_u8(r) & 1;
	if (r->bad || find(m, saved.guest_port, saved.host_port))
		return stk_err_set(err, -EINVAL, "vsock: a saved stream is impossible");
	c = take_spare(m, saved.host_port);
	if (!c)
		fd = take_lent(m, saved.host_port);
	if (fd >= 0)
		c = conn_new(m, fd, VSOCK_CONN_OPEN);
	if (!c) {
		if (fd >= 0)
			close(fd);
		rst_add(m, saved.guest_port, saved.host_port);
		return 0;
	}
	c->lent = true;
	set_ports(c, saved.guest_port, saved.host_port);
	c->rx_cnt = saved.rx_cnt;
	c->peer_alloc = saved.peer_alloc;
	c->peer_fwd = saved.peer_fwd;
	c->tx_cnt = c->fwd_cnt = saved.fwd_cnt;
	c->fwd_sent = saved.fwd_sent;
	c->want = saved.want;
	c->credit_asked = saved.credit_asked;
	vsock_unix_conn_schedule(c);
	return 0;
}

int vsock_unix_restore(struct vsock_unix *m, struct stk_rd *r, struct stk_err *err)
{
	uint32_t next_port = stk_rd_u32(r);
	unsigned kept = stk_rd_u16(r), rsts;

	if (r->bad || next_port < PORT_FIRST || next_port > PORT_LAST || kept > VSOCK_UNIX_MAX_CONNS)
		return stk_err_set(err, -EINVAL, "vsock: saved streams are impossible");
	m->next_port = next_port;
	for (unsigned i = 0; i < kept; i++) {
		int e = restore_conn(m, r, err);

		if (e != 0)
			return e;
	}
	for (unsigned i = 0; i < m->hi; i++) {
		if (m->conn[i].state == VSOCK_CONN_SPARE) /* not used by the saved state */
			vsock_unix_conn_kill(&m->conn[i]);
	}
	rsts = stk_rd_u16(r);
	if (r->bad || rsts > RST_MAX)
		return stk_err_set(err, -EINVAL, "vsock: saved streams are impossible");
	for (unsigned i = 0; i < rsts; i++) {
		uint32_t guest_port = stk_rd_u32(r);

		rst_add(m, guest_port, stk_rd_u32(r));
	}
	if (r->bad)
		return stk_err_set(err, -EINVAL, "vsock: saved streams are impossible");
	return 0;
}

/* --- creation --- */

static int open_listener(struct vsock_unix *m, struct stk_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return stk_err_sys(err, -errno, "vsock: socket");
	memcpy(addr.sun_path, m->uds_path, sizeof(addr.sun_path));
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = stk_err_sys(err, -errno, "vsock: cannot listen on %s", m->uds_path);
		close(fd);
		return r;
	}
	m->listen_fd = fd; /* from here on the socket file is ours to remove */
	if (listen(fd, 128) < 0)
		return stk_err_sys(err, -errno, "vsock: cannot listen on %s", m->uds_path);
	r = uv_poll_init(m->loop, &m->listener, fd);
	if (r != 0)
		return stk_err_sys(err, r, "vsock: cannot poll %s", m->uds_path);
	m->listener_open = true;
	m->handles++;
	return 0;
}

int vsock_unix_create(const struct vsock_unix_conf *conf, struct vsock_unix **ret_mux,
		      struct stk_err *err)
{
	struct vsock_unix *m;
	size_t path_len = strlen(conf->uds_path);
	int r;

	if (path_len + PORT_SUFFIX >= sizeof(m->uds_path))
		return stk_err_set(err, -ENAMETOOLONG,
				   "vsock: uds_path may have at most %zu characters (it has %zu)",
				   sizeof(m->uds_path) - PORT_SUFFIX - 1, path_len);
	m = calloc(1, sizeof(*m));
	if (!m)
		return stk_err_set(err, -ENOMEM, "vsock: out of memory");
	/* not calloc, which may clear, and so touch, all of it */
	m->conn = mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->conn == MAP_FAILED) {
		free(m);
		return stk_err_set(err, -ENOMEM, "vsock: out of memory");
	}
	m->loop = conf->loop;
	m->lock = conf->lock;
	m->guest_cid = conf->guest_cid;
	m->rx_ready = conf->rx_ready;
	m->tick = conf->tick;
	m->unlocked = conf->unlocked;
	m->ctx = conf->ctx;
	m->next_port = PORT_FIRST;
	m->listen_fd = -1;
	stk_list_init(&m->ready);
	for (unsigned i = 0; i < VSOCK_UNIX_MAX_LENT; i++)
		m->lent[i].fd = -1;
	memcpy(m->uds_path, conf->uds_path, path_len);
	uv_timer_init(m->loop, &m->timer); /* cannot fail */
	m->handles = 1;
	if (path_len) {
		r = open_listener(m, err);
		if (r != 0) {
			vsock_unix_free(m);
			return r;
		}
	}
	for (unsigned i = 0; i < conf->lent_count && i < VSOCK_UNIX_MAX_LENT; i++) {
		m->lent[i].port = conf->lent[i].port;
		m->lent[i].fd = conf->lent[i].fd;
	}
	*ret_mux = m;
	return 0;
}

static void on_timer_closed(uv_handle_t *h)
{
	handle_closed(STK_CONTAINER_OF((uv_timer_t *)h, struct vsock_unix, timer));
}

static void on_listener_closed(uv_handle_t *h)
{
	handle_closed(STK_CONTAINER_OF((uv_poll_t *)h, struct vsock_unix, listener));
}

void vsock_unix_free(struct vsock_unix *m)
{
	if (!m)
		return;
	m->closing = true;
	vsock_unix_drop_all(m);
	for (unsigned i = 0; i < VSOCK_UNIX_MAX_LENT; i++) {
		if (m->lent[i].fd >= 0)
			close(m->lent[i].fd);
	}
	if (m->listener_open)
		uv_close((uv_handle_t *)&m->listener, on_listener_closed);
	if (m->listen_fd >= 0) {
		close(m->listen_fd);
		unlink(m->uds_path);
	}
	uv_close((uv_handle_t *)&m->timer, on_timer_closed);
}
