/* The block device: requests as a driver makes them, against real files. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/fd.h"
#include "tests/lib/ring_builder.h"
#include "vmm/devices/virtio_blk.h"

#define SECTORS 20u
#define F_RO    (1ULL << 5)

enum { OK, IOERR, UNSUPP };

static struct rig rig;
static struct ring ring;
static struct device *dev;
static struct vmconfig_drive drive;
static uint64_t hdr_at, data_at, status_at;

static void make_image(void)
{
	uint8_t sector[512];
	int fd;

	snprintf(drive.path, sizeof(drive.path), "/tmp/stoker-test-blk.%d", (int)getpid());
	fd = open(drive.path, O_CREAT | O_TRUNC | O_RDWR, 0600);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < SECTORS; i++) {
		memset(sector, (int)('A' + i), sizeof(sector));
		assert_int_equal(stk_write_full(fd, sector, sizeof(sector)), 0);
	}
	assert_int_equal(stk_write_full(fd, "tail", 4), 0); /* less than a sector: not visible */
	close(fd);
}

static void plug(bool read_only, bool cow)
{
	struct stk_err err;

	snprintf(drive.id, sizeof(drive.id), "rootfs");
	drive.read_only = read_only;
	drive.copy_on_write = cow;
	if (virtio_blk_create(&rig.host, 0, &drive, &dev, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(rig_start(&rig, 0, (1ULL << 2) | (1ULL << 9) | (read_only ? F_RO : 0), &ring, 1));
}

static int setup(void **state)
{
	rig_init(&rig, 4 << 20);
	make_image();
	drive.size_mib = 0;
	dev = NULL;
	ring_init(&ring, &rig, 64);
	hdr_at = rig_alloc(&rig, 16, 16);
	data_at = rig_alloc(&rig, 65536, 4096);
	status_at = rig_alloc(&rig, 1, 1);
	return 0;
}

static int teardown(void **state)
{
	if (dev)
		dev->ops->fini(dev);
	rig_fini(&rig);
	unlink(drive.path);
	return 0;
}

static void header(uint32_t type, uint64_t sector)
{
	uint8_t *h = rig_ptr(&rig, hdr_at, 16);

	memset(h, 0, 16);
	memcpy(h, &type, 4);
	memcpy(h + 8, &sector, 8);
}

/* One request with its data in `pieces` equal segments. Returns the status byte. */
static int request(uint32_t type, uint64_t sector, uint32_t len, unsigned pieces, uint32_t *ret_len)
{
	struct ring_seg seg[34];
	unsigned n = 0;
	uint32_t head, used;
	uint8_t *status = rig_ptr(&rig, status_at, 1);

	header(type, sector);
	*status = 0xee;
	seg[n++] = (struct ring_seg){hdr_at, 16, false};
	for (unsigned i = 0; i < pieces && len; i++)
		seg[n++] = (struct ring_seg){data_at + i * (len / pieces), len / pieces, type != 1};
	seg[n++] = (struct ring_seg){status_at, 1, true};
	ring_add(&ring, seg, n);
	rig_notify(&rig, 0, 0);
	assert_true(ring_take(&ring, &head, &used));
	if (ret_len)
		*ret_len = used;
	return *status;
}

static void test_read_write(void **state)
{
	uint8_t *data = rig_ptr(&rig, data_at, 65536), back[1024];
	uint32_t len;
	int fd;

	plug(false, false);
	assert_int_equal(rig_get(&rig, 0, 0x100), SECTORS);
	assert_int_equal(rig_get(&rig, 0, 0x10c), 254);
	assert_int_equal(request(0, 3, 512, 1, &len), OK);
	assert_int_equal(len, 513);
	assert_int_equal(data[0], 'D');
	assert_int_equal(data[511], 'D');
	/* Eight segments that do not respect sectors. */
	assert_int_equal(request(0, 0, 2048, 32, &len), OK);
	assert_int_equal(len, 2049);
	assert_int_equal(data[0], 'A');
	assert_int_equal(data[2047], 'D');
	memset(data, 'x', 1024);
	assert_int_equal(request(1, 18, 1024, 16, &len), OK);
	assert_int_equal(len, 1);
	assert_int_equal(request(4, 0, 0, 0, &len), OK);
	fd = open(drive.path, O_RDONLY);
	assert_int_equal(stk_pread_full(fd, back, 1024, 18 * 512), 0);
	close(fd);
	assert_memory_equal(back, data, 1024);
	assert_int_equal(rig_take_irq(&rig, 0), 1);
}

static void test_bounds(void **state)
{
	plug(false, false);
	assert_int_equal(request(0, SECTORS, 512, 1, NULL), IOERR);
	assert_int_equal(request(0, SECTORS - 1, 1024, 1, NULL), IOERR);
	assert_int_equal(request(1, SECTORS - 1, 1024, 1, NULL), IOERR);
	assert_int_equal(request(0, UINT64_MAX, 512, 1, NULL), IOERR);
	assert_int_equal(request(0, UINT64_MAX / 512, 512, 1, NULL), IOERR);
	assert_int_equal(request(0, 1ULL << 55, 512, 1, NULL), IOERR);
	assert_int_equal(request(0, 0, 511, 1, NULL), IOERR);
	assert_int_equal(request(1, 0, 513, 1, NULL), IOERR);
	assert_int_equal(request(0, 0, 0, 0, NULL), IOERR);
	assert_int_equal(request(77, 0, 512, 1, NULL), UNSUPP);
	assert_int_equal(request(0, SECTORS - 1, 512, 1, NULL), OK);
	assert_int_equal(rig_status(&rig, 0), RIG_STATUS_RUNNING);
}

static void test_read_only(void **state)
{
	plug(true, false);
	rig_set(&rig, 0, 0x14, 0);
	assert_true(rig_get(&rig, 0, 0x10) & F_RO);
	assert_int_equal(request(1, 0, 512, 1, NULL), IOERR);
	assert_int_equal(request(0, 0, 512, 1, NULL), OK);
	assert_int_equal(*(uint8_t *)rig_ptr(&rig, data_at, 1), 'A');
}

static void test_get_id(void **state)
{
	plug(true, false);
	assert_int_equal(request(8, 0, 20, 1, NULL), OK);
	assert_string_equal(rig_ptr(&rig, data_at, 20), "rootfs");
	assert_int_equal(request(8, 0, 19, 1, NULL), IOERR);
}

static void test_chains_without_place(void **state)
{
	const struct ring_seg no_status[] = {{hdr_at, 16, false}, {data_at, 512, false}};
	const struct ring_seg short_header[] = {{hdr_at, 15, false}, {status_at, 1, true}};

	plug(false, false);
	ring_add(&ring, no_status, 2);
	rig_notify(&rig, 0, 0);
	assert_true(rig_status(&rig, 0) & RIG_STATUS_NEEDS_RESET);
	ring_init(&ring, &rig, 64);
	assert_true(rig_start(&rig, 0, 0, &ring, 1));
	ring_add(&ring, short_header, 2);
	rig_notify(&rig, 0, 0);
	assert_true(rig_status(&rig, 0) & RIG_STATUS_NEEDS_RESET);
}

/* More requests than one turn of the loop takes: the rest is not forgotten. */
static void test_many(void **state)
{
	struct ring big;
	uint32_t head, len;

	plug(false, false);
	ring_init(&big, &rig, 256);
	assert_true(rig_start(&rig, 0, 0, &big, 1));
	header(0, 0);
	for (unsigned i = 0; i < 85; i++)
		ring_add(&big, (struct ring_seg[]){{hdr_at, 16, false}, {data_at, 512, true},
						   {status_at, 1, true}}, 3);
	rig_notify(&rig, 0, 0);
	for (unsigned i = 0; i < 85; i++)
		assert_true(ring_take(&big, &head, &len));
}

/* Behind what the file has there are zeros, private like the rest; and none of them is in a snapshot's way. */
static void test_larger_than_its_file(void **state)
{
	const uint64_t sectors = (3 << 20) / 512;
	uint8_t *data = rig_ptr(&rig, data_at, 65536);
	struct device_region region;
	struct stk_err err;
	struct stat st;

	drive.size_mib = 3;
	plug(false, true);
	assert_int_equal(rig_get(&rig, 0, 0x100), sectors);
	memset(data, 'x', 8192);
	assert_int_equal(request(0, SECTORS - 1, 8192, 1, NULL), OK); /* from the file's last sector on */
	assert_int_equal(data[0], 'A' + SECTORS - 1);
	assert_memory_equal(data + 512, "tail\0", 6);
	for (unsigned i = 516; i < 8192; i++)
		assert_int_equal(data[i], 0);
	memset(data, 'z', 512);
	assert_int_equal(request(1, sectors - 1, 512, 1, NULL), OK);
	data[0] = 0;
	assert_int_equal(request(0, sectors - 1, 512, 1, NULL), OK);
	assert_int_equal(data[0], 'z');
	assert_int_equal(request(1, sectors, 512, 1, NULL), IOERR);
	assert_true(virtio_blk_region(dev, &region));
	assert_int_equal(region.len, 3 << 20);
	assert_true(region.backing_fd >= 0 && lseek(region.backing_fd, 16384, SEEK_DATA) < 0);
	dev->ops->fini(dev);
	dev = NULL;
	assert_int_equal(stat(drive.path, &st), 0);
	assert_int_equal(st.st_size, SECTORS * 512 + 4);

	assert_int_equal(truncate(drive.path, (3 << 20) + 512), 0);
	assert_int_equal(virtio_blk_create(&rig.host, 0, &drive, &dev, &err), -EINVAL);
	assert_non_null(strstr(err.text, "larger than the disk"));
}

static void test_copy_on_write(void **state)
{
	struct device_region region, again;
	uint8_t blob[256], first;
	struct stk_wr w = stk_wr_init(blob, sizeof(blob));
	struct bus mmio2 = {0};
	struct device *clone;
	struct stk_err err;
	struct stk_rd r;
	FILE *mem = tmpfile();
	int fd;

	plug(false, true);
	memset(rig_ptr(&rig, data_at, 512), 'z', 512);
	assert_int_equal(request(1, 0, 512, 1, NULL), OK);
	memset(rig_ptr(&rig, data_at, 512), 0, 512);
	assert_int_equal(request(0, 0, 512, 1, NULL), OK);
	assert_int_equal(*(uint8_t *)rig_ptr(&rig, data_at, 1), 'z');
	fd = open(drive.path, O_RDONLY);
	assert_int_equal(stk_pread_full(fd, &first, 1, 0), 0);
	close(fd);
	assert_int_equal(first, 'A'); /* the image does not change */

	assert_true(virtio_blk_region(dev, &region));
	assert_int_equal(region.len, 12288);
	assert_string_equal(region.id, "rootfs");
	dev->ops->quiesce(dev);
	assert_int_equal(dev->ops->save(dev, &w), 0);

	/* The clone takes its disk from the memory file, at an offset, and the image may be gone. */
	assert_int_equal(stk_pwrite_full(fileno(mem), region.base, region.len, 8192), 0);
	region.file_offset = 8192;
	rig.host.restore_mem_fd = fileno(mem);
	rig.host.restore_region = &region;
	rig.host.restore_region_count = 1;
	rig.host.mmio = &mmio2;
	unlink(drive.path);
	assert_int_equal(virtio_blk_create(&rig.host, 0, &drive, &clone, &err), 0);
	r = stk_rd_init(blob, w.len);
	assert_int_equal(clone->ops->restore(clone, &r, 1, &err), 0);
	dev->ops->fini(dev);
	dev = clone;
	clone->ops->resume(clone);
	assert_true(virtio_blk_region(dev, &again));
	assert_int_equal(again.file_offset, 8192);
	rig.mmio = mmio2;
	memset(rig_ptr(&rig, data_at, 512), 0, 512);
	assert_int_equal(request(0, 0, 512, 1, NULL), OK);
	assert_int_equal(*(uint8_t *)rig_ptr(&rig, data_at, 1), 'z');
	assert_int_equal(request(0, SECTORS, 512, 1, NULL), IOERR);

	region.file_offset = 4096 * 10; /* behind the end: refused, not SIGBUS */
	rig.host.mmio = &(struct bus){0};
	assert_int_equal(virtio_blk_create(&rig.host, 0, &drive, &clone, &err), -EINVAL);
	fclose(mem);
}

static void test_bad_images(void **state)
{
	struct stk_err err;
	struct device *d;

	snprintf(drive.id, sizeof(drive.id), "rootfs");
	drive.read_only = true;
	drive.copy_on_write = false;
	assert_int_equal(truncate(drive.path, 511), 0);
	assert_int_equal(virtio_blk_create(&rig.host, 0, &drive, &d, &err), -EINVAL);
	unlink(drive.path);
	assert_int_equal(virtio_blk_create(&rig.host, 0, &drive, &d, &err), -ENOENT);
	assert_non_null(strstr(err.text, drive.path));
	assert_int_equal(mkdir(drive.path, 0700), 0);
	assert_int_equal(virtio_blk_create(&rig.host, 0, &drive, &d, &err), -EINVAL);
	rmdir(drive.path);
}

static void test_other_disk_is_refused(void **state)
{
	uint8_t blob[256];
	struct stk_wr w = stk_wr_init(blob, sizeof(blob));
	struct stk_err err;
	struct stk_rd r;

	plug(true, false);
	dev->ops->quiesce(dev);
	assert_int_equal(dev->ops->save(dev, &w), 0);
	blob[w.len - 9]++; /* sectors */
	r = stk_rd_init(blob, w.len);
	assert_int_equal(dev->ops->restore(dev, &r, 1, &err), -EINVAL);
	assert_non_null(strstr(err.text, "sectors"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chains_without_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy_on_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_larger_than_its_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_images, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_disk_is_refused, setup, teardown),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
