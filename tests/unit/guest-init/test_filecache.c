/* Which mapped files are read before a snapshot, told by a proc folder of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-init/filecache.h"

#define PAGES 64u
#define PAGE  4096u

static char dir[] = "/var/tmp/stk-filecache-XXXXXX";
static char file[64];

static void write_maps(unsigned pid, const char *text)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%u", dir, pid);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%u/maps", dir, pid);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void map_line(unsigned pid, unsigned pages, unsigned offset, const char *path)
{
	char text[PATH_MAX];

	snprintf(text, sizeof(text), "7f0000000000-%lx r-xp %08x 00:01 42                         %s\n",
		 0x7f0000000000UL + (unsigned long)pages * PAGE, offset * PAGE, path);
	write_maps(pid, text);
}

static int make_file(void **state)
{
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/file with blank", dir);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	close(fd);
	return 0;
}

static int remove_all(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static int forget(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'/[0-9]*", dir);
	return system(command);
}

static void test_what_is_mapped_is_read(void **state)
{
	map_line(100, 10, 4, file);
	assert_int_equal(filecache_fill(dir, UINT64_MAX), 10 * PAGE);
	map_line(200, 20, 0, file);
	assert_int_equal(filecache_fill(dir, UINT64_MAX), 30 * PAGE);
}

static void test_not_beyond_the_limit_nor_the_end(void **state)
{
	map_line(100, 40, 0, file);
	map_line(200, 40, 0, file);
	assert_int_equal(filecache_fill(dir, 50 * PAGE), 50 * PAGE);
	assert_int_equal(filecache_fill(dir, 0), 0);
	forget(NULL);
	map_line(100, 40, PAGES - 3, file);
	assert_int_equal(filecache_fill(dir, UINT64_MAX), 3 * PAGE);
}

static void test_own_and_odd_entries_are_passed_over(void **state)
{
	char fifo[96];

	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	mkfifo(fifo, 0600);
	map_line((unsigned)getpid(), 10, 0, file);
	map_line(100, 10, 0, fifo);
	map_line(200, 10, 0, "/nowhere/at all (deleted)");
	map_line(300, 10, 0, "[vdso]");
	write_maps(400, "rubbish\n\n7f0-");
	assert_int_equal(filecache_fill(dir, UINT64_MAX), 0);
	assert_int_equal(filecache_fill("/nowhere", UINT64_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_what_is_mapped_is_read, forget),
		cmocka_unit_test_setup(test_not_beyond_the_limit_nor_the_end, forget),
		cmocka_unit_test_setup(test_own_and_odd_entries_are_passed_over, forget),
	};

	return cmocka_run_group_tests(tests, make_file, remove_all);
}
