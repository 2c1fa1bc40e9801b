/* Recording of touched pages: see recorder.h; userfaultfd(2), ioctl_userfaultfd(2), proc_pid_pagemap(5). */
#include "vmm/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "snapshots/pagemap.h"

#define PAGE 4096u

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1 /* Linux 5.11 */
#endif

struct recorder {
	const struct gmem *mem; /* not ours */
	int record_fd;          /* not ours */
	int uffd, pagemap_fd;
};

/* ---- the copy ---- */

/* The data of the file's first `size` bytes; holes stay holes. */
static int copy_data(uint8_t *to, uint64_t size, int fd)
{
	off_t at = 0, end = (off_t)size;

	while (at < end) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;
		int r;

		if (data < 0 && errno == ENXIO)
			return 0; /* nothing but a hole any more */
		if (data < 0)
			return -errno;
		if (data >= end)
			return 0;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		if (hole > end)
			hole = end;
		r = stk_pread_full(fd, to + data, (size_t)(hole - data), data);
		if (r < 0)
			return r;
		at = hole;
	}
	return 0;
}

static int make_copy(int copy_fd, uint64_t size, int mem_fd)
{
	void *p;
	int r;

	if (ftruncate(copy_fd, (off_t)size) < 0)
		return -errno;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, copy_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	r = copy_data(p, size, mem_fd);
	munmap(p, size);
	return r;
}

static int map_copy(struct gmem *mem, int mem_fd, struct stk_err *err)
{
	stk_autofd fd = memfd_create("memory", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : make_copy(fd, mem->size, mem_fd);

	if (r < 0)
		return stk_err_sys(err, r, "copy of the memory file");
	return gmem_map_file(mem, fd, err);
}

/* ---- start and finish ---- */

static int watch(struct recorder *r, struct stk_err *err)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {
		.range = {(uintptr_t)r->mem->base, r->mem->size},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	r->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (r->uffd < 0)
		return stk_err_sys(err, -errno, "userfaultfd");
	if (ioctl(r->uffd, UFFDIO_API, &api) < 0 || ioctl(r->uffd, UFFDIO_REGISTER, &reg) < 0)
		return stk_err_sys(err, -errno, "userfaultfd");
	r->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	return r->pagemap_fd < 0 ? stk_err_sys(err, -errno, "/proc/self/pagemap") : 0;
}

static void free_recorder(struct recorder *r)
{
	if (r->uffd >= 0)
		close(r->uffd);
	if (r->pagemap_fd >= 0)
		close(r->pagemap_fd);
	free(r);
}

int recorder_start(struct gmem *mem, int mem_fd, int record_fd, struct recorder **ret, struct stk_err *err)
{
	struct recorder *r = malloc(sizeof(*r));
	int rc;

	if (!r)
		return stk_err_sys(err, -ENOMEM, "recorder");
	*r = (struct recorder){.mem = mem, .record_fd = record_fd, .uffd = -1, .pagemap_fd = -1};
	rc = map_copy(mem, mem_fd, err);
	if (rc == 0)
		rc = watch(r, err);
	if (rc < 0) {
		free_recorder(r);
		return rc;
	}
	*ret = r;
	return 0;
}

static int write_record(const struct recorder *r)
{
	uint64_t entry[PM_BATCH];
	uint8_t touch[PM_BATCH];
	size_t first = (uintptr_t)r->mem->base / PAGE, pages = r->mem->size / PAGE;

	for (size_t at = 0; at < pages; at += PM_BATCH) {
		size_t n = pages - at < PM_BATCH ? pages - at : PM_BATCH;
		int rc = stk_pread_full(r->pagemap_fd, entry, n * sizeof(entry[0]),
					(off_t)((first + at) * sizeof(entry[0])));

		for (size_t i = 0; i < n; i++)
			touch[i] = !(entry[i] & PM_PRESENT_OR_SWAPPED) ? RECORDER_UNTOUCHED :
				   entry[i] & PM_FILE ? RECORDER_READ : RECORDER_WRITTEN;
		if (rc == 0)
			rc = stk_pwrite_full(r->record_fd, touch, n, (off_t)at);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void recorder_finish(struct recorder *r)
{
	int rc;

	if (!r)
		return;
	rc = write_record(r);
	if (rc < 0)
		stk_warn("record of touched pages: %s", strerror(-rc));
	free_recorder(r);
}
