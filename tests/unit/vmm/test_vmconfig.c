/* Whole-configuration checks: what is refused, and that the text names the culprit. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "vmm/vmconfig.h"

static struct vmconfig good(void)
{
	struct vmconfig c;

	vmconfig_init(&c);
	strcpy(c.kernel_path, "/vmlinux");
	c.drive_count = 2;
	strcpy(c.drive[0].id, "rootfs");
	strcpy(c.drive[0].path, "/root.img");
	c.drive[0].is_root = c.drive[0].read_only = true;
	strcpy(c.drive[1].id, "scratch");
	strcpy(c.drive[1].path, "/scratch.img");
	c.drive[1].copy_on_write = true;
	return c;
}

static void refused(const struct vmconfig *c, const char *word)
{
	struct stk_err err = {0};

	assert_int_equal(vmconfig_check(c, &err), -EINVAL);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not mention \"%s\"", err.text, word);
}

static void test_good(void **state)
{
	struct vmconfig c = good();

	assert_int_equal(vmconfig_check(&c, NULL), 0);
	c.vsock = true;
	c.guest_cid = 3;
	c.vcpu_count = 32;
	c.mem_size_mib = VMCONFIG_MAX_MEM_MIB;
	assert_int_equal(vmconfig_check(&c, NULL), 0);
}

static void test_machine(void **state)
{
	struct vmconfig c = good();

	c.vcpu_count = 0;
	refused(&c, "vcpu_count");
	c.vcpu_count = 33;
	refused(&c, "vcpu_count");
	c = good();
	c.mem_size_mib = 0;
	refused(&c, "mem_size_mib");
	c.mem_size_mib = UINT32_MAX;
	refused(&c, "mem_size_mib");
	c = good();
	c.kernel_path[0] = '\0';
	refused(&c, "kernel");
	assert_int_equal(vmconfig_check_machine(&c, NULL), 0); /* a restored one needs none */
	c = good();
	memset(c.boot_args, 'a', sizeof(c.boot_args));
	refused(&c, "boot_args");
}

static void test_drives(void **state)
{
	struct vmconfig c = good();

	strcpy(c.drive[1].id, "rootfs");
	refused(&c, "rootfs");
	c = good();
	c.drive[1].is_root = true;
	refused(&c, "root");
	c = good();
	strcpy(c.drive[1].id, "../x");
	refused(&c, "drive 1");
	c = good();
	c.drive[1].id[0] = '\0';
	refused(&c, "drive 1");
	c = good();
	c.drive[1].path[0] = '\0';
	refused(&c, "scratch");
	c = good();
	c.drive[1].read_only = true;
	refused(&c, "scratch");
	c = good();
	c = good();
	c.drive[1].size_mib = 600;
	assert_int_equal(vmconfig_check(&c, NULL), 0);
	c.drive[1].copy_on_write = false;
	refused(&c, "larger than its file");
	c.drive[1].copy_on_write = true;
	c.drive[1].size_mib = VMCONFIG_MAX_DRIVE_MIB + 1;
	refused(&c, "scratch");
	c = good();
	c.drive_count = VMCONFIG_MAX_DRIVES + 1;
	refused(&c, "drives");
}

static void test_vsock(void **state)
{
	struct vmconfig c = good();

	c.vsock = true;
	c.guest_cid = 2;
	refused(&c, "guest_cid");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_drives),
		cmocka_unit_test(test_vsock),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
