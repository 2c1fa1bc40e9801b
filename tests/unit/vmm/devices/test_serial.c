/* The console, as Linux's 8250 driver uses it; and the reset line and the list of devices. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/ring_builder.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/serial.h"

static struct rig rig;
static struct device *dev;
static int out[2];

static int setup(void **state)
{
	struct stk_err err;

	rig_init(&rig, 1 << 20);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	rig.host.serial_out_fd = out[1];
	assert_int_equal(serial_create(&rig.host, &dev, &err), 0);
	return 0;
}

static int teardown(void **state)
{
	dev->ops->fini(dev);
	rig_fini(&rig);
	close(out[0]);
	close(out[1]);
	return 0;
}

static void outb(unsigned reg, uint8_t v)
{
	bus_write(&rig.pio, 0x3f8 + reg, &v, 1);
}

static uint8_t inb(unsigned reg)
{
	uint8_t v;

	bus_read(&rig.pio, 0x3f8 + reg, &v, 1);
	return v;
}

static void print(const char *s)
{
	for (; *s; s++) {
		assert_int_equal(inb(5) & 0x60, 0x60);
		outb(0, (uint8_t)*s);
	}
}

static void expect(const char *text)
{
	char buf[1024] = {0};
	ssize_t n = read(out[0], buf, sizeof(buf) - 1);

	assert_int_equal(n, strlen(text));
	assert_string_equal(buf, text);
}

static void test_lines(void **state)
{
	char buf[8];

	print("Linux");
	assert_int_equal(read(out[0], buf, sizeof(buf)), -1); /* lines, not bytes */
	print(" version\n");
	expect("Linux version\n");
	print("login: ");
	dev->ops->quiesce(dev);
	expect("login: ");
}

static void test_registers(void **state)
{
	outb(7, 0x5a);
	assert_int_equal(inb(7), 0x5a);
	outb(3, 0x83); /* the divisor is not output */
	outb(0, 0x0c);
	outb(1, 0x00);
	assert_int_equal(inb(0), 0x0c);
	outb(3, 0x03);
	outb(2, 0x07);
	assert_int_equal(inb(2) & 0xc0, 0xc0); /* 16550A */
	outb(4, 0x1a); /* loopback: how Linux tells a UART from nothing */
	assert_int_equal(inb(6) & 0xf0, 0x90);
	outb(0, 'x');
	assert_int_equal(inb(5) & 1, 1);
	assert_int_equal(inb(0), 'x');
	assert_int_equal(inb(5) & 1, 0);
	outb(4, 0x0b);
	assert_int_equal(inb(6) & 0xb0, 0xb0);
	dev->ops->quiesce(dev);
	assert_int_equal(read(out[0], (char[8]){0}, 8), -1);
}

static void test_transmit_interrupt(void **state)
{
	assert_int_equal(inb(2) & 0x0f, 1); /* none */
	outb(1, 2);
	assert_int_equal(inb(2) & 0x0f, 2); /* empty at once, reading acknowledges */
	assert_int_equal(inb(2) & 0x0f, 1);
	outb(0, 'a');
	assert_int_equal(inb(2) & 0x0f, 2);
	outb(0, 'b');
	outb(1, 0);
	assert_int_equal(inb(2) & 0x0f, 1);
}

/* A full pipe loses output, never time; the reader is told how much. */
static void test_full_pipe(void **state)
{
	char line[102], buf[4096];
	bool note = false;
	size_t got = 0;
	ssize_t n;

	memset(line, 'x', 100);
	memcpy(line + 100, "\n", 2);
	for (unsigned i = 0; i < 2000; i++)
		print(line);
	while ((n = read(out[0], buf, sizeof(buf))) > 0)
		got += (size_t)n;
	assert_in_range(got, 4096, 150000);
	print("back\n");
	n = read(out[0], buf, sizeof(buf) - 1);
	assert_true(n > 0);
	buf[n] = 0;
	note = strstr(buf, "bytes of console output dropped") != NULL;
	assert_true(note);
	assert_non_null(strstr(buf, "back\n"));
}

static void test_rate_limit(void **state)
{
	char buf[65536];
	size_t got = 0;
	ssize_t n;

	fcntl(out[1], F_SETPIPE_SZ, 1 << 20);
	for (unsigned i = 0; i < SERIAL_BURST * 4 / 64; i++) {
		print("0123456789012345678901234567890123456789012345678901234567890_\n");
		if (i % 1000 == 0) {
			while ((n = read(out[0], buf, sizeof(buf))) > 0)
				got += (size_t)n;
		}
	}
	while ((n = read(out[0], buf, sizeof(buf))) > 0)
		got += (size_t)n;
	assert_in_range(got, SERIAL_BURST / 2, SERIAL_BURST * 3);
}

static void test_state(void **state)
{
	uint8_t blob[64];
	struct stk_wr w = stk_wr_init(blob, sizeof(blob));
	struct stk_err err;
	struct stk_rd r;

	outb(7, 0x77);
	outb(3, 0x03);
	outb(1, 2);
	assert_int_equal(dev->ops->save(dev, &w), 0);
	outb(7, 0);
	outb(1, 0);
	r = stk_rd_init(blob, w.len);
	assert_int_equal(dev->ops->restore(dev, &r, 1, &err), 0);
	assert_int_equal(inb(7), 0x77);
	assert_int_equal(inb(1), 2);
	r = stk_rd_init(blob, w.len - 1);
	assert_int_equal(dev->ops->restore(dev, &r, 1, &err), -EINVAL);
	r = stk_rd_init(blob, w.len);
	assert_int_equal(dev->ops->restore(dev, &r, 2, &err), -ENOTSUP);
}

static void count_reset(void *ctx)
{
	++*(int *)ctx;
}

static void test_reset_line(void **state)
{
	struct device *kbd;
	struct stk_err err;
	int resets = 0;
	uint8_t v;

	rig.host.on_reset = count_reset;
	rig.host.on_reset_ctx = &resets;
	assert_int_equal(i8042_create(&rig.host, &kbd, &err), 0);
	bus_read(&rig.pio, 0x64, &v, 1);
	assert_int_equal(v, 0xfd); /* nothing there, but ready for the reset command */
	bus_read(&rig.pio, 0x60, &v, 1);
	assert_int_equal(v, 0xff);
	bus_write(&rig.pio, 0x64, (uint8_t[]){0xd1}, 1);
	bus_write(&rig.pio, 0x60, (uint8_t[]){0xfe}, 1);
	assert_int_equal(resets, 0);
	bus_write(&rig.pio, 0x64, (uint8_t[]){0xfe}, 1);
	assert_int_equal(resets, 1);
	kbd->ops->fini(kbd);
}

static void test_device_list(void **state)
{
	struct vmconfig cfg = {.vsock = true, .guest_cid = 3, .entropy = true, .drive_count = 1};
	struct device_set set;
	struct device_region region[2];
	char cmdline[128] = "quiet";
	struct stk_err err;
	char path[] = "/tmp/stoker-test-set.XXXXXX";
	int fd = mkstemp(path);

	assert_int_equal(ftruncate(fd, 8192), 0);
	close(fd);
	rig.host.pio = &(struct bus){0};
	snprintf(cfg.drive[0].id, sizeof(cfg.drive[0].id), "scratch");
	snprintf(cfg.drive[0].path, sizeof(cfg.drive[0].path), "%s", path);
	cfg.drive[0].copy_on_write = true;
	assert_int_equal(devtable_create(&set, &cfg, &rig.host, &err), 0);
	assert_int_equal(set.count, 5);
	assert_string_equal(set.dev[2]->id, "scratch");
	assert_int_equal(rig_get(&rig, 0, 8), 2);
	assert_int_equal(rig_get(&rig, 1, 8), 19);
	assert_int_equal(rig_get(&rig, 2, 8), 4);
	assert_int_equal(devtable_regions(&set, region, 2), 1);
	assert_int_equal(devtable_cmdline(&set, cmdline, sizeof(cmdline)), 0);
	assert_string_equal(cmdline, "quiet virtio_mmio.device=4K@0xd0000000:5"
				     " virtio_mmio.device=4K@0xd0001000:6 virtio_mmio.device=4K@0xd0002000:7");
	assert_int_equal(devtable_cmdline(&set, cmdline, sizeof(cmdline)), -ENOSPC);
	for (unsigned i = 0; i < DEVICE_MAX_MMIO; i++)
		assert_true(device_gsi(i) != 8 && device_gsi(i) < 16 && (i == 0 || device_gsi(i) > device_gsi(i - 1)));
	devtable_destroy(&set);
	/* A drive that is missing: nothing half-built stays. */
	unlink(path);
	rig.host.pio = &(struct bus){0};
	rig.host.mmio = &(struct bus){0};
	assert_int_equal(devtable_create(&set, &cfg, &rig.host, &err), -ENOENT);
	assert_int_equal(set.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transmit_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_device_list, setup, teardown),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
