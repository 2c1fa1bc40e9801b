/* One connection of the vsock muxer: host socket, credits, half-closed directions. Private to
 * vsock_unix.c and vsock_conn.c.
 *
 *   HELLO --line read--> ASKED --RESPONSE--> OPEN --> DEAD --handle closed--> FREE
 *   (accepted client)    (REQUEST sent)       ^ guest's REQUEST starts here
 *
 * OPEN ends when both directions are closed, or by RST from either side. Between two lives of a guest an OPEN
 * connection of a lent socket is SPARE, until the saved state names it again. */
#ifndef VMM_BACKENDS_VSOCK_CONN_H
#define VMM_BACKENDS_VSOCK_CONN_H

#include "common/base/list.h"
#include "vmm/backends/vsock_unix.h"

enum vsock_conn_state {
	VSOCK_CONN_FREE,
	VSOCK_CONN_HELLO,
	VSOCK_CONN_ASKED,
	VSOCK_CONN_OPEN,
	VSOCK_CONN_DEAD,
	VSOCK_CONN_SPARE,
};

/* Control packets owed to the guest. */
#define VSOCK_WANT_REQUEST        1u
#define VSOCK_WANT_RESPONSE       2u
#define VSOCK_WANT_SHUTDOWN       4u
#define VSOCK_WANT_CREDIT_UPDATE  8u
#define VSOCK_WANT_CREDIT_REQUEST 16u

#define VSOCK_HELLO_MAX 32u

struct vsock_conn {
	uv_poll_t poll;
	struct vsock_unix *mux;
	struct stk_list ready; /* in mux->ready while there is something for the guest */
	uint64_t deadline_ms;  /* uv_now time; 0: none */
	int fd;
	uint64_t sent; /* bytes the socket has taken, ever */
	uint8_t polled; /* uv_poll events asked for */
	/* All from here on is zeroed when the connection is used again. */
	uint32_t guest_port, host_port;
	uint8_t state;
	uint8_t want;
	uint8_t guest_shut; /* VSOCK_SHUTDOWN_*: what the guest said */
	uint8_t host_shut;  /* what we say, from the guest's view of us */
	bool readable;      /* the socket has (perhaps) bytes; it is not polled for them meanwhile */
	bool bulk;          /* the last read filled all buffers */
	bool eof;           /* host closed its sending side */
	bool write_dead;    /* host takes no more */
	bool write_shut;    /* shutdown(SHUT_WR) done */
	bool lent;
	bool credit_asked;
	/* Towards the guest: bytes sent, and what it said last. */
	uint32_t rx_cnt, peer_alloc, peer_fwd;
	/* From the guest: bytes taken, handed on, and the handed-on count it last heard of. */
	uint32_t tx_cnt, fwd_cnt, fwd_sent;
	/* Bytes the host socket did not take: VSOCK_UNIX_BUF bytes mapped on first use. */
	uint8_t *ring;
	uint32_t ring_head, ring_len;
	uint8_t line_len;
	char line[VSOCK_HELLO_MAX]; /* HELLO */
};

/* Services of the mux (vsock_unix.c). */
void vsock_unix_conn_deadline(struct vsock_conn *c, uint64_t ms); /* from now; 0 = none */
void vsock_unix_conn_schedule(struct vsock_conn *c);
/* Closes; with RST to the guest, or without a word. c is DEAD afterwards. */
void vsock_unix_conn_reset(struct vsock_conn *c);
void vsock_unix_conn_kill(struct vsock_conn *c);

#define VSOCK_CLOSE_MS 10000u

/* Bytes that may be sent to the guest now. */
uint32_t vsock_conn_credit(const struct vsock_conn *c);
/* Is there something for the guest? */
bool vsock_conn_has_work(const struct vsock_conn *c);
/* Which uv_poll events are of use now. */
int vsock_conn_interest(const struct vsock_conn *c);
/* The OPEN connection's socket got ready (uv_poll events). May end DEAD. */
void vsock_conn_socket_ready(struct vsock_conn *c, int events);
/* Any packet of the guest for this connection carries its credit. */
void vsock_conn_take_credit(struct vsock_conn *c, const struct vsock_hdr *h);
/* Payload from the guest. May end DEAD. */
void vsock_conn_take_data(struct vsock_conn *c, uint32_t len, struct iovec *iov, unsigned n);
/* The guest closes directions. May end DEAD. */
void vsock_conn_take_shutdown(struct vsock_conn *c, uint32_t flags);
/* Makes packets into slots; returns the number used. May end DEAD. */
unsigned vsock_conn_recv(struct vsock_conn *c, struct vsock_slot *slot, unsigned n);
/* Reads away what the host has sent; false when it has closed, or something is wrong. */
bool vsock_conn_discard(struct vsock_conn *c);
/* Tries to hand the buffered bytes to the host socket. May end DEAD. */
void vsock_conn_flush(struct vsock_conn *c);
void vsock_conn_free_ring(struct vsock_conn *c);
/* HELLO: reads on in the line and not a byte more: what follows it belongs to the stream. 1: whole,
 * *ret_guest_port set; 0: not yet; negative: not such a line, too long, or the client has gone. */
int vsock_conn_read_hello(struct vsock_conn *c, uint32_t *ret_guest_port);

#endif
