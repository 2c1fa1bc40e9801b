#include "vmm/backends/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "vmm/backends/iov.h"

#define PAGE 4096ULL

void blk_file_init(struct blk_file *b)
{
	*b = (struct blk_file){.fd = -1};
}

static int image_size(int fd, const char *path, uint64_t *ret_size, struct stk_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return stk_err_sys(err, -errno, "disk image %s", path);
	if (!S_ISREG(st.st_mode))
		return stk_err_set(err, -EINVAL, "disk image %s is not a regular file", path);
	if (st.st_size < (off_t)BLK_FILE_SECTOR)
		return stk_err_set(err, -EINVAL, "disk image %s is smaller than one sector", path);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int open_image(const char *path, int flags, int *ret_fd, uint64_t *ret_size,
		      struct stk_err *err)
{
	stk_autofd fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r;

	if (fd < 0)
		return stk_err_sys(err, -errno, "disk image %s cannot be opened", path);
	r = image_size(fd, path, ret_size, err);
	if (r == 0)
		*ret_fd = stk_take_fd(&fd);
	return r;
}

int blk_file_open_fd(struct blk_file *b, int fd, const char *path, struct stk_err *err)
{
	uint64_t size;
	int r = image_size(fd, path, &size, err);

	if (r < 0) {
		close(fd);
		return r;
	}
	*b = (struct blk_file){.fd = fd, .read_only = true, .sectors = size / BLK_FILE_SECTOR};
	return 0;
}

int blk_file_open(struct blk_file *b, const char *path, bool read_only, struct stk_err *err)
{
	uint64_t size;
	int fd, r;

	r = open_image(path, read_only ? O_RDONLY : O_RDWR, &fd, &size, err);
	if (r != 0)
		return r;
	*b = (struct blk_file){.fd = fd, .read_only = read_only, .sectors = size / BLK_FILE_SECTOR};
	return 0;
}

static int map_private(struct blk_file *b, int fd, uint64_t off, uint64_t len, struct stk_err *err)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, (off_t)off);

	if (p == MAP_FAILED)
		return stk_err_sys(err, -errno, "mapping %llu bytes of a disk image",
				   (unsigned long long)len);
	b->map = p;
	b->map_len = len;
	b->map_off = off;
	return 0;
}

/* Behind the end of a file that is mapped there is nothing, not zeros: so zeros of `len` bytes first, and the first
 * file_len of them covered by the file. */
static int map_private_in_zeros(struct blk_file *b, int fd, uint64_t file_len, uint64_t len, struct stk_err *err)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return stk_err_sys(err, -errno, "mapping %llu bytes for a disk", (unsigned long long)len);
	if (mmap(p, file_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, 0) == MAP_FAILED) {
		int r = stk_err_sys(err, -errno, "mapping %llu bytes of a disk image", (unsigned long long)file_len);

		munmap(p, len);
		return r;
	}
	b->map = p;
	b->map_len = len;
	return 0;
}

int blk_file_open_cow(struct blk_file *b, const char *path, uint64_t size, bool read_only, struct stk_err *err)
{
	uint64_t file_size, file_len;
	stk_autofd fd = -1;
	int r;

	r = open_image(path, O_RDONLY, &fd, &file_size, err);
	if (r != 0)
		return r;
	if (size && size < file_size)
		return stk_err_set(err, -EINVAL, "disk image %s is larger than the disk's %llu MiB", path,
				   (unsigned long long)size >> 20);
	/* The rest of the last page lies behind the file's end, but in a page it has: zeros. */
	file_len = (file_size + PAGE - 1) & ~(PAGE - 1);
	size = size ? size : file_size;
	r = size > file_len ? map_private_in_zeros(b, fd, file_len, size, err) : map_private(b, fd, 0, file_len, err);
	if (r != 0)
		return r;
	b->fd = stk_take_fd(&fd); /* tells a snapshot where the image has holes */
	b->read_only = read_only;
	b->sectors = size / BLK_FILE_SECTOR;
	return 0;
}

int blk_file_open_saved(struct blk_file *b, int fd, uint64_t offset, uint64_t len, uint64_t sectors,
			bool read_only, struct stk_err *err)
{
	struct stat st;
	int r;

	/* Behind the end of the file a mapping would kill us with SIGBUS at the first touch. */
	if (fstat(fd, &st) < 0)
		return stk_err_sys(err, -errno, "snapshot memory file");
	if (!len || (len & (PAGE - 1)) || (offset & (PAGE - 1)) || st.st_size < 0 ||
	    offset > (uint64_t)st.st_size || len > (uint64_t)st.st_size - offset || !sectors ||
	    sectors > len / BLK_FILE_SECTOR)
		return stk_err_set(err, -EINVAL, "a drive's place in the snapshot's memory file is impossible "
				   "(%llu bytes at %llu, file of %lld)", (unsigned long long)len,
				   (unsigned long long)offset, (long long)st.st_size);
	r = map_private(b, fd, offset, len, err);
	if (r != 0)
		return r;
	b->read_only = read_only;
	b->sectors = sectors;
	return 0;
}

void blk_file_close(struct blk_file *b)
{
	if (b->fd >= 0)
		close(b->fd);
	if (b->map)
		munmap(b->map, b->map_len);
	blk_file_init(b);
}

static int transfer(int fd, uint64_t off, struct iovec *iov, unsigned n, bool write)
{
	while (n) {
		ssize_t r = write ? pwritev(fd, iov, (int)n, (off_t)off)
				  : preadv(fd, iov, (int)n, (off_t)off);

		if (r < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (r == 0) /* the file became shorter under us */
			return -EIO;
		off += (uint64_t)r;
		iov_skip(&iov, &n, (size_t)r);
	}
	return 0;
}

int blk_file_read(struct blk_file *b, uint64_t off, struct iovec *iov, unsigned n)
{
	if (!b->map)
		return transfer(b->fd, off, iov, n, false);
	for (unsigned i = 0; i < n; i++) {
		memcpy(iov[i].iov_base, b->map + off, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return 0;
}

int blk_file_write(struct blk_file *b, uint64_t off, struct iovec *iov, unsigned n)
{
	if (b->read_only)
		return -EROFS;
	if (!b->map)
		return transfer(b->fd, off, iov, n, true);
	if (off < b->dirty_from || b->dirty_to == 0)
		b->dirty_from = off;
	for (unsigned i = 0; i < n; i++) {
		memcpy(b->map + off, iov[i].iov_base, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	if (off > b->dirty_to)
		b->dirty_to = off;
	return 0;
}

int blk_file_rewind(struct blk_file *b)
{
	uint64_t from = b->dirty_from & ~(PAGE - 1);

	if (!b->map)
		return b->read_only ? 0 : -EROFS;
	if (b->dirty_to > from && madvise(b->map + from, b->dirty_to - from, MADV_DONTNEED) < 0)
		return -errno;
	b->dirty_from = b->dirty_to = 0;
	return 0;
}

int blk_file_flush(struct blk_file *b)
{
	if (b->map || b->read_only)
		return 0;
	return fdatasync(b->fd) < 0 ? -errno : 0;
}
