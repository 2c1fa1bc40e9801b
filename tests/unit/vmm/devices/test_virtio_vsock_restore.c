/* The socket device in snapshots: streams that are kept, clones, a device that is put back. */
#include "tests/unit/vmm/devices/vsock_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static size_t save(uint8_t *blob, size_t cap)
{
	struct stk_wr w = stk_wr_init(blob, cap);

	assert_int_equal(vr_dev->ops->save(vr_dev, &w), 0);
	return w.len;
}

/* A new device in place of the old one, over the same guest memory, as in a clone. */
static void become_clone(const uint8_t *blob, size_t len, int lent_fd)
{
	static struct bus bus;
	struct device *clone;
	struct stk_err err;
	struct stk_rd r = stk_rd_init(blob, len);

	bus = (struct bus){0};
	vr_rig.host.mmio = &bus;
	vr_rig.host.port_fd_count = lent_fd >= 0;
	vr_rig.host.port_fd[0].port = LENT;
	vr_rig.host.port_fd[0].fd = lent_fd;
	if (virtio_vsock_create(&vr_rig.host, 0, CID, "", &clone, &err) != 0)
		fail_msg("%s", err.text);
	if (clone->ops->restore(clone, &r, 1, &err) != 0)
		fail_msg("%s", err.text);
	vr_dev->ops->fini(vr_dev);
	rig_turn(&vr_rig);
	vr_dev = clone;
	vr_rig.mmio = bus;
	vr_rig.host.mmio = &vr_rig.mmio;
	vr_dev->ops->resume(vr_dev);
}

static void test_kept_stream(void **state)
{
	uint8_t blob[1024];
	int fd = vr_lent_stream(700), sv[2];
	size_t len;

	vr_send_data(700, LENT, "ready", 5, 0);
	vr_expect_read(fd, "ready");
	assert_int_equal(write(fd, "ok", 2), 2);
	vr_expect_data("ok");
	vr_dev->ops->quiesce(vr_dev);
	assert_int_equal(write(fd, "later", 5), 5); /* for the one that goes on, not for clones */
	vr_expect_nothing();
	virtio_vsock_prepare(vr_dev, 1);
	vr_expect_nothing();
	len = save(blob, sizeof(blob));

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
		fcntl(sv[0], F_SETFL, O_NONBLOCK);
		assert_int_equal(write(sv[0], "event", 5), 5); /* waits already when it resumes */
		become_clone(blob, len, sv[1]);
		close(fd);
		fd = sv[0];
		vr_expect_data("event");
		vr_send_data(700, LENT, "result", 6, 7);
		vr_expect_read(fd, "result");
		vr_dev->ops->quiesce(vr_dev);
		virtio_vsock_prepare(vr_dev, 1);
		len = save(blob, sizeof(blob));
	}
	/* Restored without a socket for it: the guest learns that the stream is gone. */
	become_clone(blob, len, -1);
	vr_expect_op(700, LENT, VSOCK_OP_RST);
	close(fd);
}

/* Back to the saved state in the same device: the lent socket goes on, nothing else does. */
static void test_rewind(void **state)
{
	uint8_t blob[1024];
	int fd = vr_lent_stream(700);
	struct stk_err err = {0};
	uint8_t *mem = malloc(16 << 20);
	char rings[sizeof(vr_ring)];
	size_t len;

	assert_non_null(mem);

	vr_send_data(700, LENT, "ready", 5, 0);
	vr_expect_read(fd, "ready");
	vr_dev->ops->quiesce(vr_dev);
	virtio_vsock_prepare(vr_dev, 1);
	len = save(blob, sizeof(blob));
	memcpy(mem, vr_rig.host.mem->base, 16 << 20);
	memcpy(rings, vr_ring, sizeof(rings));
	vr_dev->ops->resume(vr_dev);
	for (unsigned i = 0; i < 3; i++) {
		struct stk_rd r = stk_rd_init(blob, len);

		vr_send_data(700, LENT, "result", 6, 0);
		vr_expect_read(fd, "result");
		assert_int_equal(virtio_vsock_lent_bytes(vr_dev), 5 + (i + 1) * 6);
		vr_dev->ops->quiesce(vr_dev);
		assert_int_equal(write(fd, "of the old life", 15), 15);
		assert_int_equal(vr_dev->ops->rewind(vr_dev, &err), 0);
		memcpy(vr_rig.host.mem->base, mem, vr_rig.host.mem->size);
		memcpy(vr_ring, rings, sizeof(rings));
		assert_int_equal(vr_dev->ops->restore(vr_dev, &r, 1, &err), 0);
		vr_dev->ops->resume(vr_dev);
		vr_expect_nothing();
		assert_int_equal(write(fd, "event", 5), 5);
		vr_expect_data("event");
	}
	close(fd);
	free(mem);
}

static void test_keep_resets_the_others(void **state)
{
	char path[128];
	uint8_t blob[1024];
	size_t len;
	int l, fd, fd2;

	vr_rig.host.port_fd_count = 0;
	vr_plug(vr_uds);
	snprintf(path, sizeof(path), "%s_77", vr_uds);
	l = vr_server(path);
	vr_send_op(4000, 77, VSOCK_OP_REQUEST);
	vr_expect_op(4000, 77, VSOCK_OP_RESPONSE);
	fd = accept(l, NULL, NULL);
	fd2 = vr_client(vr_uds);
	assert_int_equal(write(fd2, "CONNECT 8", 9), 9);
	rig_turn(&vr_rig);
	vr_dev->ops->quiesce(vr_dev);
	virtio_vsock_prepare(vr_dev, 1);
	vr_expect_op(4000, 77, VSOCK_OP_RST); /* already in the saved ring */
	len = save(blob, sizeof(blob));
	become_clone(blob, len, -1);
	vr_expect_nothing();
	close(fd);
	close(fd2);
	close(l);
}

/* Without keeping: a transport reset event, and nothing new before the guest has acted on it. */
static void test_transport_reset(void **state)
{
	uint8_t blob[1024];
	int fd = vr_lent_stream(700), sv[2];
	uint32_t head, len, event = 99;
	size_t n;

	vr_dev->ops->quiesce(vr_dev);
	virtio_vsock_prepare(vr_dev, 0);
	vr_expect_closed(fd);
	close(fd);
	n = save(blob, sizeof(blob));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	become_clone(blob, n, sv[1]);
	assert_true(ring_take(&vr_ring[EV], &head, &len));
	assert_int_equal(len, 4);
	memcpy(&event, rig_ptr(&vr_rig, vr_ring[EV].desc + 16 * head, 8), 4);
	memcpy(&event, rig_ptr(&vr_rig, event, 4), 4);
	assert_int_equal(event, 0);
	assert_int_equal(rig_take_irq(&vr_rig, 0), 1);
	vr_send_op(900, 5, VSOCK_OP_RW);
	vr_expect_nothing(); /* held back */
	ring_add(&vr_ring[EV], &(struct ring_seg){0x1000, 4, true}, 1);
	rig_notify(&vr_rig, 0, EV);
	vr_expect_op(900, 5, VSOCK_OP_RST);
	vr_send_op(901, LENT, VSOCK_OP_REQUEST);
	vr_expect_op(901, LENT, VSOCK_OP_RESPONSE);
	close(sv[0]);
}

static void test_hostile_state(void **state)
{
	uint8_t blob[1024], bad[1024];
	struct stk_err err;
	struct stk_rd r;
	int fd = vr_lent_stream(700);
	size_t len;

	vr_dev->ops->quiesce(vr_dev);
	virtio_vsock_prepare(vr_dev, 1);
	len = save(blob, sizeof(blob));
	vr_dev->ops->fini(vr_dev);
	rig_turn(&vr_rig);
	vr_rig.mmio = (struct bus){0};
	vr_rig.host.port_fd_count = 0;
	assert_int_equal(virtio_vsock_create(&vr_rig.host, 0, CID, "", &vr_dev, &err), 0);
	for (size_t cut = 0; cut < len; cut++) {
		r = stk_rd_init(blob, cut);
		assert_true(vr_dev->ops->restore(vr_dev, &r, 1, &err) < 0);
	}
	for (size_t i = 0; i < len; i++) {
		memcpy(bad, blob, len);
		bad[i] ^= 0xff;
		r = stk_rd_init(bad, len);
		(void)vr_dev->ops->restore(vr_dev, &r, 1, &err); /* may be legal; must not hurt */
		vr_dev->ops->resume(vr_dev);
		rig_turn(&vr_rig);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VR_TEST(test_kept_stream),
		VR_TEST(test_rewind),
		VR_TEST(test_keep_resets_the_others),
		VR_TEST(test_transport_reset),
		VR_TEST(test_hostile_state),
	};

	vr_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
