/* Descriptor helpers: see fd.h. */
#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"

int stk_read_full(int fd, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			return -ENODATA;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int stk_write_full(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int stk_pread_full(int fd, void *buf, size_t len, off_t off)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, off);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			return -ENODATA;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int stk_pwrite_full(int fd, const void *buf, size_t len, off_t off)
{
	const uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, off);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int stk_set_nonblock(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int stk_set_cloexec(int fd, int on)
{
	if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0)
		return -errno;
	return 0;
}

int stk_read_file(const char *path, size_t max, char **ret_data, size_t *ret_len)
{
	stk_autofd fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : stk_read_fd(fd, max, ret_data, ret_len);
}

int stk_read_fd(int fd, size_t max, char **ret_data, size_t *ret_len)
{
	stk_autofree char *data = NULL;
	size_t len = 0, cap = 4096;

	for (;;) {
		char *grown;
		ssize_t n;

		if (len + 1 >= cap || !data) {
			cap = data ? cap * 2 : cap;
			grown = realloc(data, cap);
			if (!grown)
				return -ENOMEM;
			data = grown;
		}
		n = pread(fd, data + len, cap - len - 1, (off_t)len);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
	}
	data[len] = '\0';
	*ret_data = stk_take_ptr(&data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int stk_fsync_parent(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	stk_autofd fd = -1;

	if (!slash) {
		strcpy(dir, ".");
	} else if (slash == path) {
		strcpy(dir, "/");
	} else {
		size_t n = (size_t)(slash - path);

		if (n >= sizeof(dir))
			return -ENAMETOOLONG;
		memcpy(dir, path, n);
		dir[n] = '\0';
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* Not mkostemp(3), which the thread sanitizer does not know: it takes the new descriptor for the one that had its number
 * before. */
int stk_open_temporary(const char *path, char *ret_name, size_t cap)
{
	struct timespec ts;
	int fd = -1;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	for (unsigned i = 0; i < 100; i++) {
		unsigned tag = (unsigned)ts.tv_nsec ^ (unsigned)getpid() << 14 ^ i;

		if (snprintf(ret_name, cap, "%s.tmp.%06x", path, tag & 0xffffff) >= (int)cap)
			return -ENAMETOOLONG;
		fd = open(ret_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd < 0 ? -errno : fd;
}

int stk_write_file_atomic(const char *path, const void *data, size_t len, mode_t mode)
{
	char tmp[PATH_MAX];
	int r;

	{
		stk_autofd fd = stk_open_temporary(path, tmp, sizeof(tmp));

		if (fd < 0)
			return fd;
		r = stk_write_full(fd, data, len);
		if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
			r = -errno;
	}
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(tmp);
		return r;
	}
	return stk_fsync_parent(path);
}
