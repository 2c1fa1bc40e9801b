/* The record of touched pages: what was read, what was written, and that all of it is the file's content. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm/recorder.h"

#define PAGES 64u
#define PAGE  4096u

static struct gmem mem;
static struct recorder *recorder;
static int file, record;

static uint8_t recorded(unsigned page)
{
	uint8_t v = 0xff;

	assert_int_equal(pread(record, &v, 1, page), 1);
	return v;
}

static int start(void **state)
{
	uint8_t page[PAGE];
	struct stk_err err = {0};
	int r;

	file = memfd_create("memory", MFD_CLOEXEC);
	record = memfd_create("record", MFD_CLOEXEC);
	assert_int_equal(ftruncate(record, PAGES), 0);
	for (unsigned i = 0; i < PAGES; i++) {
		memset(page, (int)i + 1, sizeof(page));
		assert_int_equal(pwrite(file, page, PAGE, i * PAGE), PAGE);
	}
	r = recorder_start(&mem, PAGES * PAGE, file, record, false, &recorder, &err);
	if (r == -EPERM)
		skip(); /* needs CAP_SYS_PTRACE */
	assert_int_equal(r, 0);
	return 0;
}

static void stop(void)
{
	recorder_stop(recorder);
	gmem_fini(&mem);
	close(file);
	close(record);
}

static void test_reads_and_writes(void **state)
{
	volatile uint8_t *m;

	start(state);
	m = mem.base;
	assert_int_equal(m[3 * PAGE + 17], 4);
	m[5 * PAGE] = 99;
	assert_int_equal(m[7 * PAGE], 8);
	m[7 * PAGE + 1] = 77; /* first read, then written */
	assert_int_equal(recorded(3), RECORDER_READ);
	assert_int_equal(recorded(5), RECORDER_WRITTEN);
	assert_int_equal(recorded(7), RECORDER_WRITTEN);
	assert_int_equal(recorded(4), RECORDER_UNTOUCHED);
	assert_int_equal(m[5 * PAGE], 99);
	assert_int_equal(m[5 * PAGE + 1], 6);
	assert_int_equal(m[7 * PAGE + 1], 77);
	m[9 * PAGE] = 10; /* what was there already */
	recorder_settle(recorder);
	assert_int_equal(recorded(3), RECORDER_READ);
	assert_int_equal(recorded(5), RECORDER_WRITTEN);
	assert_int_equal(recorded(9), RECORDER_WRITTEN);
	assert_int_equal(recorded(4), RECORDER_UNTOUCHED);
	stop();
}

/* Accesses of the kernel on our behalf, as the devices' are. */
static void test_system_calls_into_memory(void **state)
{
	int fd;

	start(state);
	fd = memfd_create("disk", MFD_CLOEXEC);
	assert_int_equal(write(fd, mem.base + 10 * PAGE, 2 * PAGE), 2 * PAGE);
	assert_int_equal(pread(fd, mem.base + 20 * PAGE, PAGE, PAGE), PAGE);
	assert_int_equal(mem.base[20 * PAGE], 12);
	assert_int_equal(recorded(10), RECORDER_READ);
	assert_int_equal(recorded(11), RECORDER_READ);
	assert_int_equal(recorded(20), RECORDER_WRITTEN);
	close(fd);
	stop();
}

static void test_idle_costs_nothing(void **state)
{
	struct timespec before, after, pause = {0, 200000000};
	double used;

	start(state);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	nanosleep(&pause, NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	used = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
	assert_true(used < 0.1);
	stop();
}

static void test_record_too_short(void **state)
{
	struct stk_err err = {0};
	struct gmem m;
	struct recorder *r;
	int fd = memfd_create("record", MFD_CLOEXEC), rc;

	assert_int_equal(ftruncate(fd, 3), 0);
	rc = recorder_start(&m, PAGES * PAGE, fd, fd, false, &r, &err);
	if (rc == -EPERM)
		skip();
	assert_int_equal(rc, -EINVAL);
	assert_non_null(strstr(err.text, "3 bytes"));
	assert_null(m.base);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_and_writes),
		cmocka_unit_test(test_system_calls_into_memory),
		cmocka_unit_test(test_idle_costs_nothing),
		cmocka_unit_test(test_record_too_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
