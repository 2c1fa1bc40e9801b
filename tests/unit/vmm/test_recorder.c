/* The record of touched pages: exactly these, none around them, and all of it is the file's content. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/recorder.h"

#define PAGES 640u /* more than one batch */
#define HOLE  32u  /* here and after it, 16 pages of the file are a hole */
#define PAGE  4096u

static struct gmem mem;
static struct recorder *recorder;
static int file, record;
static uint8_t got[PAGES], wanted[PAGES];

static void start(void)
{
	uint8_t page[PAGE];
	struct stk_err err = {0};
	int r;

	file = memfd_create("file", MFD_CLOEXEC);
	record = memfd_create("record", MFD_CLOEXEC);
	memset(wanted, RECORDER_UNTOUCHED, sizeof(wanted));
	for (unsigned i = 0; i < PAGES; i++) {
		memset(page, (int)i + 1, sizeof(page));
		if (i < HOLE || i >= HOLE + 16)
			assert_int_equal(pwrite(file, page, PAGE, (off_t)i * PAGE), PAGE);
	}
	assert_int_equal(gmem_reserve(&mem, PAGES * PAGE, &err), 0);
	r = recorder_start(&mem, file, record, &recorder, &err);
	if (r < 0)
		print_message("%s\n", err.text);
	if (r == -EINVAL || r == -EPERM || r == -ENOSYS)
		skip(); /* not with this kernel */
	assert_int_equal(r, 0);
}

static void finish(void)
{
	recorder_finish(recorder);
	assert_int_equal(pread(record, got, PAGES, 0), PAGES);
	assert_memory_equal(got, wanted, PAGES);
	gmem_fini(&mem);
	close(file);
	close(record);
}

static void test_reads_and_writes(void **state)
{
	volatile uint8_t *m;
	uint8_t unchanged;

	start();
	m = mem.base;
	assert_int_equal(m[3 * PAGE + 17], 4);
	wanted[3] = RECORDER_READ;
	m[5 * PAGE] = 99;
	wanted[5] = RECORDER_WRITTEN;
	assert_int_equal(m[7 * PAGE], 8);
	m[7 * PAGE + 1] = 77; /* first read, then written */
	wanted[7] = RECORDER_WRITTEN;
	m[9 * PAGE] = 10; /* what was there already */
	wanted[9] = RECORDER_WRITTEN;
	assert_int_equal(m[(HOLE + 1) * PAGE], 0);
	wanted[HOLE + 1] = RECORDER_READ;
	assert_int_equal(m[(PAGES - 1) * PAGE], (uint8_t)PAGES);
	wanted[PAGES - 1] = RECORDER_READ;
	assert_int_equal(m[5 * PAGE], 99);
	assert_int_equal(m[5 * PAGE + 1], 6);
	assert_int_equal(m[7 * PAGE + 1], 77);
	assert_int_equal(pread(file, &unchanged, 1, 5 * PAGE), 1);
	assert_int_equal(unchanged, 6);
	finish();
}

/* Accesses of the kernel on our behalf, as the devices' are. */
static void test_system_calls_into_memory(void **state)
{
	int fd;

	start();
	fd = memfd_create("disk", MFD_CLOEXEC);
	assert_int_equal(write(fd, mem.base + 10 * PAGE, 2 * PAGE), 2 * PAGE);
	wanted[10] = wanted[11] = RECORDER_READ;
	assert_int_equal(pread(fd, mem.base + 20 * PAGE, PAGE, PAGE), PAGE);
	wanted[20] = RECORDER_WRITTEN;
	assert_int_equal(mem.base[20 * PAGE], 12);
	close(fd);
	finish();
}

static void test_other_memory_after_a_failure(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct stk_err err = {0};
	struct gmem m;
	struct recorder *r;

	assert_int_equal(gmem_reserve(&m, PAGES * PAGE, &err), 0);
	assert_int_equal(recorder_start(&m, -1, -1, &r, &err), -EBADF);
	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	assert_int_equal(pwrite(fd, "x", 1, PAGE), 1);
	assert_int_equal(gmem_map_file(&m, fd, &err), 0);
	assert_int_equal(m.base[PAGE], 'x');
	m.base[PAGE] = 'y';
	gmem_fini(&m);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_and_writes),
		cmocka_unit_test(test_system_calls_into_memory),
		cmocka_unit_test(test_other_memory_after_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
