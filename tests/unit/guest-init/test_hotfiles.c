/* Programs moved into a tmpfs of huge pages: in a mount namespace of the test's own, which takes root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "guest-init/hotfiles.h"

#define PROGRAM "/mnt/program"
#define LINK    "/mnt/link"
#define LIBRARY "/mnt/library"
#define SCRIPT  "/mnt/script"
#define LARGE   "/mnt/large"
#define LIST    "/mnt/list"

static void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int prepare(void **state)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "needs root: skipped\n");
		exit(77);
	}
	assert_int_equal(mount("test", "/run", "ramfs", 0, NULL), 0);
	assert_int_equal(mkdir("/run/stoker", 0755), 0);
	assert_int_equal(mount("test", "/mnt", "ramfs", 0, NULL), 0);
	put(PROGRAM, "\177ELF and more", 0755);
	put(LIBRARY, "a library", 0644);
	put(SCRIPT, "#!/bin/sh\n", 0755);
	put(LARGE, "", 0644);
	assert_int_equal(truncate(LARGE, INT64_C(1) << 40), 0);
	assert_int_equal(symlink(PROGRAM, LINK), 0);
	return 0;
}

static int undo(void **state)
{
	umount2("/run/stoker/hot", MNT_DETACH);
	umount2(PROGRAM, MNT_DETACH);
	umount2(LIBRARY, MNT_DETACH);
	unlink(LIST);
	return 0;
}

static bool moved(const char *path)
{
	struct statfs fs;

	assert_int_equal(statfs(path, &fs), 0);
	return fs.f_type == TMPFS_MAGIC;
}

static void test_program_and_list(void **state)
{
	char text[32] = "";
	struct stat st;
	int fd;

	put(LIST, LIBRARY "\n\n/mnt/nowhere\n" LARGE "\n", 0644);
	hotfiles_runtime(LINK, LIST);
	assert_true(moved(PROGRAM));
	assert_true(moved(LIBRARY));
	assert_false(moved(LARGE));
	fd = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 13);
	assert_string_equal(text, "\177ELF and more");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0555);
	close(fd);
	assert_int_equal(open(LIBRARY, O_WRONLY | O_CLOEXEC), -1); /* nobody changes what all clones share */
}

static void test_no_list_and_no_program(void **state)
{
	hotfiles_runtime(SCRIPT, "/mnt/nowhere");
	assert_false(moved(SCRIPT));
	assert_false(moved(PROGRAM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_program_and_list, undo),
		cmocka_unit_test_teardown(test_no_list_and_no_program, undo),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
