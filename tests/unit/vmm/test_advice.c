/* Advice on settings of the machine, for made-up machines. */
#include "vmm/advice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/unit.h"

static char root[] = "/tmp/advice-XXXXXX";

static void put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(full, 0755);
		*at = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static const char *advice(void)
{
	static char text[640];

	advice_on_machine(root, text, sizeof(text));
	return text;
}

#define MOUNTS(options) "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid" options " 0 0\n"

static void machine(const char *mounts, const char *nx, const char *expedited, const char *systems)
{
	put("/proc/self/mounts", mounts);
	put("/sys/module/kvm/parameters/nx_huge_pages", nx);
	put("/sys/kernel/rcu_expedited", expedited);
	put("/proc/filesystems", systems);
}

static void test_grace_periods(void **state)
{
	const char *plain = "nodev\tproc\n\text4\n";

	(void)state;
	machine(MOUNTS(""), "Y\n", "0\n", plain);
	assert_non_null(strstr(advice(), "favordynmods"));
	machine(MOUNTS(",favordynmods"), "Y\n", "0\n", plain);
	assert_string_equal(advice(), "");
	machine(MOUNTS(""), "never\n", "0\n", plain);
	assert_string_equal(advice(), "");
	machine(MOUNTS(""), "Y\n", "1\n", plain);
	assert_string_equal(advice(), "");
	machine("proc /proc proc rw 0 0\n", "Y\n", "0\n", plain);
	assert_string_equal(advice(), "");
}

static void test_debugfs(void **state)
{
	const char *both;

	(void)state;
	machine(MOUNTS(",favordynmods"), "Y\n", "0\n", "nodev\tdebugfs\n");
	assert_non_null(strstr(advice(), "debugfs=off"));
	assert_null(strstr(advice(), "grace period"));
	machine(MOUNTS(""), "Y\n", "0\n", "nodev\tdebugfs\n");
	both = advice();
	assert_true(strstr(both, "grace period") && strstr(both, "; advice: ") && strstr(both, "debugfs=off"));
}

static void test_nothing_to_read(void **state)
{
	char text[64] = "x";

	(void)state;
	advice_on_machine("/no/such/folder", text, sizeof(text));
	assert_string_equal(text, "");
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_read),
		cmocka_unit_test(test_grace_periods),
		cmocka_unit_test(test_debugfs),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
