/* A snapshot folder: published whole or not at all, and no flipped byte goes unseen. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/base/fd.h"
#include "snapshots/catalog.h"
#include "snapshots/manifest.h"
#include "snapshots/memfile.h"
#include "snapshots/snapfile.h"
#include "snapshots/state.h"
#include "snapshots/workingset.h"

#define RAM (64u * SNAP_PAGE)

static char base[64], tmp[128], dir[128];
static struct stk_err err;

static void path_of(char *buf, const char *folder, const char *name)
{
	snprintf(buf, 256, "%s/%s", folder, name);
}

/* Memory and state as the monitor writes them: pages 1-2 and 10 have data, the rest are holes. */
static void write_memory_and_state(struct snap_manifest *m)
{
	uint8_t *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct snap_source src = {.base = ram, .length = RAM, .backing_fd = -1};
	struct snap_memory mem = {.count = 1};
	struct snap_runs runs = {0};
	struct snap_writer w;
	char path[256];

	assert_true(ram != MAP_FAILED);
	memset(ram + SNAP_PAGE, 0x5a, 2 * SNAP_PAGE);
	ram[10 * SNAP_PAGE + 77] = 1;
	path_of(path, tmp, "memory");
	assert_int_equal(snap_memfile_write(path, &src, 1, &runs, &err), 0);
	munmap(ram, RAM);
	snprintf(mem.region[0].id, sizeof(mem.region[0].id), "ram");
	mem.region[0].length = RAM;
	assert_int_equal(snap_writer_init(&w, &err), 0);
	snap_memory_encode(&mem, snap_writer_begin(&w, SNAP_SECTION_MEMORY, 0));
	assert_int_equal(snap_writer_end(&w, &err), 0);
	snap_runs_encode(&runs, snap_writer_begin(&w, SNAP_SECTION_RUNS, 0));
	assert_int_equal(snap_writer_end(&w, &err), 0);
	path_of(path, tmp, "state");
	assert_int_equal(snap_writer_commit(&w, path, &err), 0);
	snap_writer_fini(&w);
	m->memory_total_bytes = runs.total_size;
	m->memory_data_bytes = runs.data_size;
	assert_int_equal(runs.data_size, 3 * SNAP_PAGE);
	snap_runs_fini(&runs);
}

static void make_unpublished(void)
{
	struct snap_manifest m = {.function = "f", .version = "1", .handler = "h", .vcpu_count = 1,
				  .mem_size_mib = 128, .boot_args = "quiet", .created_ms = 1};
	struct snap_workingset ws = {0};
	stk_autofree char *text = NULL;
	char path[256];
	size_t len;

	memset(&err, 0, sizeof(err));
	assert_int_equal(mkdir(tmp, 0700), 0);
	write_memory_and_state(&m);
	assert_int_equal(snap_manifest_encode(&m, &text, &len, &err), 0);
	path_of(path, tmp, "manifest.json");
	assert_int_equal(stk_write_file_atomic(path, text, len, 0644), 0);
	assert_int_equal(snap_page_list_add(&ws.written, 2), 0);
	path_of(path, tmp, "working-set");
	assert_int_equal(snap_workingset_write(path, &ws, &err), 0);
	snap_workingset_fini(&ws);
	if (snap_catalog_write_checksums(tmp, &err) < 0)
		fail_msg("%s", err.text);
}

static int setup(void **state)
{
	strcpy(base, "/tmp/stoker-catalog.XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(tmp, sizeof(tmp), "%s/snap.tmp", base);
	snprintf(dir, sizeof(dir), "%s/snap", base);
	make_unpublished();
	return 0;
}

static int teardown(void **state)
{
	int r = snap_catalog_remove(tmp, &err);

	if (r == 0)
		r = snap_catalog_remove(dir, &err);
	return r == 0 ? rmdir(base) : r;
}

static void publish(void)
{
	if (snap_catalog_publish(tmp, dir, &err) < 0)
		fail_msg("%s", err.text);
}

static void verify_is(int code, const char *text)
{
	int r = snap_catalog_verify(dir, &err);

	if (r != code)
		fail_msg("verify gives %d (%s) instead of %d", r, err.text, code);
	if (text && !strstr(err.text, text))
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void test_publish_and_verify(void **state)
{
	struct stat st;
	unsigned fds = unit_count_fds();

	publish();
	assert_int_equal(stat(tmp, &st), -1);
	verify_is(0, NULL);
	assert_int_equal(unit_count_fds(), fds);
}

/* Also for who has given the folder a wider mode, or copied the files. */
static void test_modes(void **state)
{
	static const char *const names[] = {"memory", "state", "working-set", "checksums"};
	mode_t before = umask(0);
	char path[256];
	struct stat st;

	assert_int_equal(snap_catalog_remove(tmp, &err), 0);
	make_unpublished();
	umask(before);
	for (size_t i = 0; i < STK_ARRAY_LEN(names); i++) {
		path_of(path, tmp, names[i]);
		assert_int_equal(stat(path, &st), 0);
		if ((st.st_mode & 07777) != 0600)
			fail_msg("%s has mode %o", names[i], (unsigned)st.st_mode);
	}
}

static void test_never_over_an_existing_one(void **state)
{
	struct stat st;

	publish();
	make_unpublished();
	assert_int_equal(snap_catalog_publish(tmp, dir, &err), -EEXIST);
	assert_int_equal(stat(tmp, &st), 0);
	verify_is(0, NULL);
}

static void test_incomplete_is_not_published(void **state)
{
	char path[256];
	struct stat st;

	path_of(path, tmp, "memory");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(snap_catalog_publish(tmp, dir, &err), -ENOENT);
	assert_int_equal(stat(dir, &st), -1);
}

static void flip(int fd, off_t at)
{
	uint8_t b;

	assert_int_equal(pread(fd, &b, 1, at), 1);
	b ^= 0x10;
	assert_int_equal(pwrite(fd, &b, 1, at), 1);
}

/* Flips every step-th byte of a file, one at a time; each must be found and name the file. */
static void every_flip_is_found(const char *name, off_t step, const char *named)
{
	unsigned fds;
	char path[256];
	struct stat st;

	path_of(path, dir, name);
	stk_autofd fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0);
	fds = unit_count_fds();
	for (off_t at = 0; at < st.st_size; at += step) {
		int r;

		flip(fd, at);
		r = snap_catalog_verify(dir, &err);
		if (r != -EBADMSG && r != -ENOTSUP)
			fail_msg("%s: byte %lld flipped gives %d", name, (long long)at, r);
		if (!strstr(err.text, named))
			fail_msg("%s, byte %lld: \"%s\"", name, (long long)at, err.text);
		flip(fd, at);
	}
	verify_is(0, NULL);
	assert_int_equal(unit_count_fds(), fds);
}

static void test_flipped_bytes(void **state)
{
	publish();
	every_flip_is_found("manifest.json", 1, "manifest.json");
	every_flip_is_found("checksums", 1, "checksums");
	every_flip_is_found("state", 1, "state");
	every_flip_is_found("working-set", 1, "working-set");
	every_flip_is_found("memory", 509, "memory file: damaged"); /* data and holes */
}

static void test_place_is_named(void **state)
{
	char path[256];

	publish();
	path_of(path, dir, "memory");
	stk_autofd fd = open(path, O_RDWR | O_CLOEXEC);

	flip(fd, 20 * SNAP_PAGE + 5); /* was a hole */
	verify_is(-EBADMSG, "damaged at 81925 (should be zero)");
	flip(fd, 20 * SNAP_PAGE + 5);
	verify_is(0, NULL);
	flip(fd, SNAP_PAGE);
	verify_is(-EBADMSG, "damaged between 4096 and 12288");
}

static void test_sizes(void **state)
{
	static const char *const names[] = {"manifest.json", "state", "memory", "working-set", "checksums"};

	publish();
	for (unsigned i = 0; i < STK_ARRAY_LEN(names); i++) {
		char path[256];
		struct stat st;
		uint8_t last;

		path_of(path, dir, names[i]);
		stk_autofd fd = open(path, O_RDWR | O_CLOEXEC);

		assert_true(fd >= 0 && fstat(fd, &st) == 0);
		assert_int_equal(pread(fd, &last, 1, st.st_size - 1), 1);
		assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
		verify_is(-EBADMSG, names[i]);
		assert_int_equal(ftruncate(fd, 0), 0);
		verify_is(-EBADMSG, names[i]);
		close(stk_take_fd(&fd));
		assert_int_equal(snap_catalog_remove(dir, &err), 0);
		make_unpublished();
		publish();
		fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
		assert_int_equal(write(fd, "\n", 1), 1);
		verify_is(-EBADMSG, names[i]);
		assert_int_equal(ftruncate(fd, st.st_size), 0);
		verify_is(0, NULL);
	}
}

static void test_missing_files(void **state)
{
	static const char *const names[] = {"manifest.json", "state", "memory", "working-set", "checksums"};

	verify_is(-ENOENT, dir);
	publish();
	for (unsigned i = 0; i < STK_ARRAY_LEN(names); i++) {
		char path[256], aside[256];

		path_of(path, dir, names[i]);
		path_of(aside, base, "aside");
		assert_int_equal(rename(path, aside), 0);
		verify_is(-EBADMSG, names[i]);
		assert_int_equal(rename(aside, path), 0);
	}
	verify_is(0, NULL);
}

/* Files of two snapshots that are each in order do not make a snapshot. */
static void test_mixed_up_files(void **state)
{
	char path[256];

	publish();
	path_of(path, dir, "manifest.json");
	stk_autofree char *text = NULL;
	size_t len;

	assert_int_equal(stk_read_file(path, SNAP_MANIFEST_MAX, &text, &len), 0);
	char *where = strstr(text, "\"data_bytes\": 12288");

	assert_non_null(where);
	where[14] = '9';
	assert_int_equal(stk_write_file_atomic(path, text, len, 0644), 0);
	assert_int_equal(snap_catalog_write_checksums(dir, &err), 0);
	verify_is(-EBADMSG, "not of one snapshot");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_publish_and_verify), T(test_modes), T(test_never_over_an_existing_one),
		T(test_incomplete_is_not_published), T(test_flipped_bytes), T(test_place_is_named),
		T(test_sizes), T(test_missing_files), T(test_mixed_up_files),
	};

	unit_time_limit(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
