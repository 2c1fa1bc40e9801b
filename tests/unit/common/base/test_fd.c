/* Descriptor helpers: short transfers, limits, atomic replacement, nothing left behind. */
#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/unit.h"

static char dir[] = "/tmp/stk-test-fd-XXXXXX";

static int setup(void **state)
{
	unit_time_limit(60);
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return rmdir(dir); /* fails when a test left something */
}

static void *slow_writer(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 10; i++) {
		if (write(fd, "0123456789", 10) != 10)
			break;
		usleep(500);
	}
	close(fd);
	return NULL;
}

static void test_full_transfers(void **state)
{
	char buf[101];
	pthread_t t;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&t, NULL, slow_writer, &p[1]), 0);
	assert_int_equal(stk_read_full(p[0], buf, 100), 0);
	assert_memory_equal(buf + 90, "0123456789", 10);
	assert_int_equal(stk_read_full(p[0], buf, 1), -ENODATA);
	pthread_join(t, NULL);
	close(p[0]);
	assert_int_equal(stk_read_full(-1, buf, 1), -EBADF);
	assert_int_equal(stk_read_full(-1, buf, 0), 0);
	assert_int_equal(stk_write_full(-1, buf, 1), -EBADF);
}

static void test_positioned(void **state)
{
	char path[128], buf[8] = {0};
	int fd;

	snprintf(path, sizeof(path), "%s/p", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(stk_pwrite_full(fd, "hello", 5, 100), 0);
	assert_int_equal(stk_pread_full(fd, buf, 5, 100), 0);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(stk_pread_full(fd, buf, 6, 100), -ENODATA);
	close(fd);
	unlink(path);
}

static void test_read_file(void **state)
{
	char path[128];
	char *data = NULL;
	size_t len = 0;

	snprintf(path, sizeof(path), "%s/f", dir);
	assert_int_equal(stk_read_file(path, 10, &data, &len), -ENOENT);
	for (size_t size = 4090; size <= 4100; size++) { /* around the first buffer's size */
		char *text = malloc(size);

		memset(text, 'a', size);
		assert_int_equal(stk_write_file_atomic(path, text, size, 0640), 0);
		assert_int_equal(stk_read_file(path, size, &data, &len), 0);
		assert_int_equal(len, size);
		assert_int_equal(strlen(data), size);
		free(data);
		data = NULL;
		assert_int_equal(stk_read_file(path, size - 1, &data, &len), -EFBIG);
		assert_null(data);
		free(text);
	}
	assert_int_equal(stk_write_file_atomic(path, "", 0, 0640), 0);
	assert_int_equal(stk_read_file(path, 0, &data, NULL), 0);
	assert_string_equal(data, "");
	free(data);
	unlink(path);
	assert_int_equal(stk_read_file(dir, 100, &data, &len), -EISDIR);
}

static void test_atomic_write(void **state)
{
	char path[128], missing[160], *data;
	struct stat st;

	snprintf(path, sizeof(path), "%s/a", dir);
	snprintf(missing, sizeof(missing), "%s/no/such", dir);
	assert_int_equal(stk_write_file_atomic(path, "one", 3, 0600), 0);
	assert_int_equal(stk_write_file_atomic(path, "two!", 4, 0644), 0);
	assert_int_equal(stk_read_file(path, 100, &data, NULL), 0);
	assert_string_equal(data, "two!");
	free(data);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(stk_write_file_atomic(missing, "x", 1, 0600), -ENOENT);
	unlink(path);
	/* A folder cannot be replaced; the temporary file must be gone (teardown sees it). */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(stk_write_file_atomic(path, "x", 1, 0600) < 0);
	rmdir(path);
}

static void test_flags_and_leaks(void **state)
{
	unsigned before = unit_count_fds();
	char *data;
	int p[2];

	assert_int_equal(pipe2(p, 0), 0);
	assert_int_equal(stk_set_nonblock(p[0]), 0);
	assert_true(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(stk_set_cloexec(p[0], 1), 0);
	assert_true(fcntl(p[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(stk_set_cloexec(p[0], 0), 0);
	assert_false(fcntl(p[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(stk_set_nonblock(-1), -EBADF);
	close(p[0]);
	close(p[1]);
	assert_int_equal(stk_fsync_parent("/etc/passwd"), 0);
	assert_int_equal(stk_fsync_parent("plain"), 0);
	assert_int_equal(stk_fsync_parent("/top"), 0);
	assert_int_equal(stk_read_file("/etc/passwd", 1u << 20, &data, NULL), 0);
	free(data);
	assert_int_equal(unit_count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_transfers),
		cmocka_unit_test(test_positioned),
		cmocka_unit_test(test_read_file),
		cmocka_unit_test(test_atomic_write),
		cmocka_unit_test(test_flags_and_leaks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
