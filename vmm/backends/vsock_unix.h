/* Host side of the vsock device: the guest's stream connections mapped to Unix sockets.
 *
 *   host -> guest  a client connects to uds_path and sends "CONNECT <port>\n"; when the guest accepts
 *                  it reads "OK <host port>\n", then the stream is transparent
 *   guest -> host  a connect of the guest to host port N takes the socket that was lent for N, once,
 *                  else connects to "<uds_path>_<N>"
 *
 * Packets pass by header plus iovecs; what memory those point to is not known here. Everything is
 * non-blocking on the loop thread; loop callbacks take `lock`, all functions are called with it held
 * (or before anything runs).
 *
 * Flow control (virtio 1.2 section 5.10.6.3): towards the guest never more than the credit it gave;
 * from the guest VSOCK_UNIX_BUF bytes, buffered only while the host socket would block. A connection
 * is read only when there is credit for it and the device has buffers, at most VSOCK_UNIX_BURST bytes
 * before the next one gets its turn. */
#ifndef VMM_BACKENDS_VSOCK_UNIX_H
#define VMM_BACKENDS_VSOCK_UNIX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <uv.h>

#include "common/base/cursor.h"
#include "common/base/err.h"

#define VSOCK_UNIX_BUF       65536u /* credit given to the guest per connection */
#define VSOCK_UNIX_BURST     65536u
#define VSOCK_UNIX_MAX_CONNS 256u
#define VSOCK_UNIX_MAX_LENT  4u
#define VSOCK_UNIX_SLOTS     16u /* receive buffers used at once at most */
#define VSOCK_UNIX_HOST_CID  2u

/* Packet operations and their types (5.10.6). */
enum vsock_op {
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE = 2,
	VSOCK_OP_RST = 3,
	VSOCK_OP_SHUTDOWN = 4,
	VSOCK_OP_RW = 5,
	VSOCK_OP_CREDIT_UPDATE = 6,
	VSOCK_OP_CREDIT_REQUEST = 7,
};
#define VSOCK_TYPE_STREAM   1u
#define VSOCK_SHUTDOWN_RCV  1u
#define VSOCK_SHUTDOWN_SEND 2u

/* As on the ring, in this order, little-endian without padding. */
struct vsock_hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
} __attribute__((packed));

/* One receive buffer of the guest: where the payload goes; filled in: the header. */
struct vsock_slot {
	struct iovec *iov;
	unsigned iovcnt;
	uint32_t room;
	struct vsock_hdr hdr;
};

struct vsock_unix_conf {
	uv_loop_t *loop;
	pthread_mutex_t *lock;
	uint64_t guest_cid;
	const char *uds_path; /* "": no listener, no connects */
	struct { uint32_t port; int fd; } lent[VSOCK_UNIX_MAX_LENT]; /* ownership passes */
	unsigned lent_count;
	/* There are packets for the guest: fetch them with vsock_unix_recv. Loop thread, lock held. */
	void (*rx_ready)(void *ctx);
	/* After vsock_unix_want_tick. Loop thread, lock held. */
	void (*tick)(void *ctx);
	/* The lock is free again, after any of the others. Loop thread. */
	void (*unlocked)(void *ctx);
	void *ctx;
};

struct vsock_unix;

/* Binds uds_path; an existing file there is an error. Lent descriptors pass on success only. */
int vsock_unix_create(const struct vsock_unix_conf *conf, struct vsock_unix **ret_mux,
		      struct stk_err *err);
/* Closes everything; the memory goes when the loop has closed the handles. NULL is fine. */
void vsock_unix_free(struct vsock_unix *m);

/* While inactive (the start) no host socket is polled or read. */
void vsock_unix_set_active(struct vsock_unix *m, bool active);
bool vsock_unix_is_active(const struct vsock_unix *m);
uint64_t vsock_unix_guest_cid(const struct vsock_unix *m);

/* A packet from the guest; iov is its payload (hdr->len bytes), used up. */
void vsock_unix_send(struct vsock_unix *m, const struct vsock_hdr *hdr, struct iovec *iov, unsigned n);

/* tick is called once, within VSOCK_UNIX_TICK_MS. */
#define VSOCK_UNIX_TICK_MS 250u
void vsock_unix_want_tick(struct vsock_unix *m);

/* How many receive buffers would be of use now; 0: nothing to send to the guest. */
unsigned vsock_unix_rx_want(const struct vsock_unix *m);
/* Makes packets for the guest into the first of n slots; returns the number of slots used. 0: there
 * was nothing after all, or the slots have no room. */
unsigned vsock_unix_recv(struct vsock_unix *m, struct vsock_slot *slot, unsigned n);

/* Forgets all connections without telling the guest (it was reset, or is told otherwise). */
void vsock_unix_drop_all(struct vsock_unix *m);
/* Before a snapshot that keeps streams: those on lent sockets are flushed (up to 1 s) and stay, all
 * others and those that cannot be flushed are reset. */
void vsock_unix_keep_lent(struct vsock_unix *m);

unsigned vsock_unix_conn_count(const struct vsock_unix *m);
/* Bytes of guest data buffered for host sockets (tests, metrics). */
uint64_t vsock_unix_buffered(const struct vsock_unix *m);

/* Streams on lent sockets are written as kept; the guest will be told RST for all others. */
void vsock_unix_save(const struct vsock_unix *m, struct stk_wr *w);
/* Forgets everything but the lent sockets in use, whose unread bytes are thrown away: a new mux again, for the same
 * guest going back to its saved state. While inactive. -EPIPE when one of these sockets has been closed in part. */
int vsock_unix_rewind(struct vsock_unix *m);
/* Bytes that the lent sockets have taken, ever. */
uint64_t vsock_unix_lent_bytes(const struct vsock_unix *m);
/* Into a new (or rewound) mux: kept streams continue on the sockets lent for their ports, or get RST. */
int vsock_unix_restore(struct vsock_unix *m, struct stk_rd *r, struct stk_err *err);

#endif
