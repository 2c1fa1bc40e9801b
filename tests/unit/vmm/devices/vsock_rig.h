/* The socket device between a hand-made guest and real Unix sockets: what its tests share. What is not as it should be
 * fails the test. One at a time. */
#ifndef TESTS_UNIT_VMM_DEVICES_VSOCK_RIG_H
#define TESTS_UNIT_VMM_DEVICES_VSOCK_RIG_H

#include <stdbool.h>

#include "tests/lib/ring_builder.h"
#include "tests/unit/unit.h"
#include "vmm/backends/vsock_unix.h"
#include "vmm/devices/virtio_vsock.h"

#define CID      3u
#define RX_BUF   4096u
#define RX_COUNT 32u
#define LENT     1024u

enum { RX, TX, EV };

extern struct rig vr_rig;
extern struct ring vr_ring[3];
extern struct device *vr_dev; /* ended after the test, unless NULL */
extern char vr_uds[96];       /* the listener's path */
extern uint64_t vr_tx_buf;    /* what the guest sends from */

#define VR_TEST(name) cmocka_unit_test_setup_teardown(name, vr_setup, vr_teardown)
int vr_setup(void **state);
int vr_teardown(void **state);
/* First in main(). */
void vr_begin(void);
/* New rings in guest memory; vr_plug does it. */
void vr_init_rings(void);
/* The device, with rings and RX_COUNT buffers; path: the listener's, or "". */
void vr_plug(const char *path);

/* The guest's side. */
void vr_give_rx(unsigned n);
struct vsock_hdr vr_hdr(uint32_t guest_port, uint32_t host_port, uint16_t op);
void vr_send_hdr(struct vsock_hdr h, const void *data);
void vr_send_op(uint32_t guest_port, uint32_t host_port, uint16_t op);
void vr_send_data(uint32_t guest_port, uint32_t host_port, const void *data, uint32_t len, uint32_t fwd_cnt);
bool vr_have_rx(void *ctx);
/* The next packet for the guest, waited for; data may be NULL, and has room for RX_BUF. False: there comes none. */
bool vr_recv_pkt(struct vsock_hdr *h, uint8_t *data);
struct vsock_hdr vr_expect_op(uint32_t guest_port, uint32_t host_port, unsigned op); /* host_port 0: any */
void vr_expect_data(const char *text);
void vr_expect_nothing(void);

/* The host's side. */
int vr_client(const char *path);
int vr_server(const char *path);
void vr_expect_read(int fd, const char *text);
bool vr_closed(void *fd); /* a pointer to it, for rig_until */
void vr_expect_closed(int fd);
/* Plugs the device; a guest-initiated stream on a lent socket. Returns the host's end. */
int vr_lent_stream(uint32_t guest_port);

#endif
