/* Which mapped files are read before a snapshot, told by a proc folder of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

/* KiB of `file` that the page table of the process has. */
static unsigned mapped_kib(pid_t pid)
{
	char name[64], line[PATH_MAX + 128];
	unsigned kib = 0;
	bool ours = false;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/smaps", (int)pid);
	f = fopen(name, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] >= '0' && line[0] <= '9')
			ours = strstr(line, file) != NULL;
		else if (ours && sscanf(line, "Rss: %u", &kib) == 1)
			break;
	}
	fclose(f);
	return kib;
}

static void test_what_is_mapped_is_in_the_page_table(void **state)
{
	char real[64], link[96];
	int tell[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(file, O_RDONLY | O_CLOEXEC);
		bool good = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED;

		if (write(tell[1], good ? "+" : "-", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(tell[0], &byte, 1), 1);
	assert_int_equal(byte, '+');
	snprintf(real, sizeof(real), "/proc/%d", (int)pid);
	snprintf(link, sizeof(link), "%s/%d", dir, (int)pid);
	assert_int_equal(symlink(real, link), 0);
	assert_int_equal(mapped_kib(pid), 0);
	assert_true(filecache_fill(dir, UINT64_MAX) >= PAGES * PAGE);
	assert_int_equal(mapped_kib(pid), PAGES * PAGE / 1024);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(tell[0]);
	close(tell[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_what_is_mapped_is_read, forget),
		cmocka_unit_test_setup(test_what_is_mapped_is_in_the_page_table, forget),
		cmocka_unit_test_setup(test_not_beyond_the_limit_nor_the_end, forget),
		cmocka_unit_test_setup(test_own_and_odd_entries_are_passed_over, forget),
	};

	return cmocka_run_group_tests(tests, make_file, remove_all);
}
