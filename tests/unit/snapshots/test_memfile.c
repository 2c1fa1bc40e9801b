/* Memory file: sparse, described by runs, and any damage in data or holes is found. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/base/fd.h"
#include "snapshots/memfile.h"

#define PAGES 64u
#define SIZE  (PAGES * SNAP_PAGE)

struct fixture {
	char dir[40], path[64];
	uint8_t *mem;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/test_memfile.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/memory", f->dir);
	f->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f->mem, MAP_FAILED);
	f->mem[3 * SNAP_PAGE + 17] = 1; /* runs: pages 3..4, 10, 63 */
	f->mem[5 * SNAP_PAGE - 1] = 2;
	f->mem[10 * SNAP_PAGE] = 3;
	f->mem[SIZE - 1] = 4;
	f->mem[20 * SNAP_PAGE] = 0; /* touched, but zero */
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	munmap(f->mem, SIZE);
	unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0); /* nothing else was left there */
	free(f);
	return 0;
}

static void write_file(struct fixture *f, struct snap_runs *runs)
{
	struct snap_source src = {.base = f->mem, .length = SIZE, .backing_fd = -1};

	assert_int_equal(snap_memfile_write(f->path, &src, 1, runs, NULL), 0);
}

static int verify(struct fixture *f, const struct snap_runs *runs)
{
	stk_autofd fd = open(f->path, O_RDONLY | O_CLOEXEC);

	return snap_memfile_verify(fd, runs->run, runs->count, runs->total_size, NULL);
}

static void test_write(void **state)
{
	struct fixture *f = *state;
	struct snap_runs runs;
	struct stat st;
	uint8_t *back;
	stk_autofd fd = -1;

	write_file(f, &runs);
	assert_int_equal(runs.count, 3);
	assert_int_equal(runs.run[0].offset, 3 * SNAP_PAGE);
	assert_int_equal(runs.run[0].length, 2 * SNAP_PAGE);
	assert_int_equal(runs.run[1].offset, 10 * SNAP_PAGE);
	assert_int_equal(runs.run[2].offset, 63 * SNAP_PAGE);
	assert_int_equal(runs.data_size, 4 * SNAP_PAGE);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_true(st.st_blocks * 512 < SIZE); /* zeros take no room */
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	back = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(back, MAP_FAILED);
	assert_memory_equal(back, f->mem, SIZE);
	munmap(back, SIZE);
	assert_int_equal(verify(f, &runs), 0);
	snap_runs_fini(&runs);
}

/* A private mapping of a snapshot, as a restored VM has it: only what changed is new. */
static void test_second_generation(void **state)
{
	struct fixture *f = *state;
	char path2[80];
	struct snap_runs runs, runs2;
	struct snap_source src = {.length = SIZE};
	stk_autofd fd = -1, fd2 = -1;
	uint8_t *map, *back;

	write_file(f, &runs);
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	map[30 * SNAP_PAGE] = 9;                        /* data where the file has a hole */
	memset(map + 10 * SNAP_PAGE, 0, SNAP_PAGE);     /* zero where the file has data */
	src.base = map;
	src.backing_fd = fd;
	snprintf(path2, sizeof(path2), "%s/memory2", f->dir);
	assert_int_equal(snap_memfile_write(path2, &src, 1, &runs2, NULL), 0);
	fd2 = open(path2, O_RDONLY | O_CLOEXEC);
	back = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd2, 0);
	assert_ptr_not_equal(back, MAP_FAILED);
	assert_memory_equal(back, map, SIZE);
	assert_int_equal(runs2.count, 3);
	assert_int_equal(runs2.run[1].offset, 30 * SNAP_PAGE);
	assert_int_equal(snap_memfile_verify(fd2, runs2.run, runs2.count, SIZE, NULL), 0);
	munmap(back, SIZE);
	munmap(map, SIZE);
	assert_int_equal(unlink(path2), 0);
	snap_runs_fini(&runs);
	snap_runs_fini(&runs2);
}

static void test_damage(void **state)
{
	static const size_t places[] = {0, 3 * SNAP_PAGE, 3 * SNAP_PAGE + 17, 5 * SNAP_PAGE - 1, 5 * SNAP_PAGE,
					11 * SNAP_PAGE + 1, 20 * SNAP_PAGE, 62 * SNAP_PAGE, SIZE - 1};
	struct fixture *f = *state;
	struct snap_runs runs;

	write_file(f, &runs);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		stk_autofd fd = open(f->path, O_RDWR | O_CLOEXEC);
		uint8_t b;

		assert_int_equal(pread(fd, &b, 1, (off_t)places[i]), 1);
		b ^= 0x40;
		assert_int_equal(pwrite(fd, &b, 1, (off_t)places[i]), 1);
		assert_int_equal(verify(f, &runs), -EBADMSG);
		b ^= 0x40;
		assert_int_equal(pwrite(fd, &b, 1, (off_t)places[i]), 1);
		assert_int_equal(verify(f, &runs), 0); /* a page of zeros instead of a hole is the same content */
	}
	assert_int_equal(truncate(f->path, SIZE - 1), 0);
	assert_int_equal(verify(f, &runs), -EBADMSG);
	assert_int_equal(truncate(f->path, SIZE + SNAP_PAGE), 0);
	assert_int_equal(verify(f, &runs), -EBADMSG);
	snap_runs_fini(&runs);
}

static void test_several_sources(void **state)
{
	struct fixture *f = *state;
	struct snap_source src[2] = {
		{.base = f->mem, .length = 8 * SNAP_PAGE, .backing_fd = -1},
		{.base = f->mem + 8 * SNAP_PAGE, .length = SIZE - 8 * SNAP_PAGE, .backing_fd = -1},
	};
	struct snap_runs runs;

	assert_int_equal(snap_memfile_write(f->path, src, 2, &runs, NULL), 0);
	assert_int_equal(runs.total_size, SIZE);
	assert_int_equal(runs.count, 3);
	assert_int_equal(runs.run[1].offset, 10 * SNAP_PAGE);
	assert_int_equal(verify(f, &runs), 0);
	snap_runs_fini(&runs);
}

static void test_runs_section(void **state)
{
	struct snap_run r[2] = {{4096, 8192, 1}, {16384, 4096, 2}};
	struct snap_runs runs = {.run = r, .count = 2}, got;
	uint8_t buf[128];
	struct stk_wr w = stk_wr_init(buf, sizeof(buf));
	struct stk_rd rd;

	snap_runs_encode(&runs, &w);
	rd = stk_rd_init(buf, w.len);
	assert_int_equal(snap_runs_decode(&rd, 20480, &got, NULL), 0);
	assert_int_equal(got.count, 2);
	assert_memory_equal(got.run, r, sizeof(r));
	assert_int_equal(got.data_size, 12288);
	snap_runs_fini(&got);
	rd = stk_rd_init(buf, w.len);
	assert_int_equal(snap_runs_decode(&rd, 16384, &got, NULL), -EINVAL); /* beyond the file */
	rd = stk_rd_init(buf, w.len - 1);
	assert_int_equal(snap_runs_decode(&rd, 20480, &got, NULL), -EINVAL);
	r[1].offset = 8192; /* overlap */
	w = stk_wr_init(buf, sizeof(buf));
	snap_runs_encode(&runs, &w);
	rd = stk_rd_init(buf, w.len);
	assert_int_equal(snap_runs_decode(&rd, 20480, &got, NULL), -EINVAL);
	r[1].offset = 16385; /* not aligned */
	w = stk_wr_init(buf, sizeof(buf));
	snap_runs_encode(&runs, &w);
	rd = stk_rd_init(buf, w.len);
	assert_int_equal(snap_runs_decode(&rd, 1 << 20, &got, NULL), -EINVAL);
	memset(buf, 0xff, 4); /* a count that no file can hold */
	rd = stk_rd_init(buf, w.len);
	assert_int_equal(snap_runs_decode(&rd, 1 << 20, &got, NULL), -EINVAL);
}

static void test_no_room(void **state)
{
	struct fixture *f = *state;
	struct snap_source src = {.base = f->mem, .length = SIZE, .backing_fd = -1};
	struct snap_runs runs = {0};
	struct stk_err err = {0};
	unsigned fds = unit_count_fds();

	assert_int_equal(snap_memfile_write("/nonexistent/memory", &src, 1, &runs, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/memory"));
	assert_null(runs.run);
	assert_int_equal(unit_count_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_generation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_several_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runs_section, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
