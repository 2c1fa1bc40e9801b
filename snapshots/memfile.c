/* The memory file of a snapshot: see memfile.h. */
#include "snapshots/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/crc64.h"
#include "common/base/fd.h"
#include "snapshots/pagemap.h"
#include "snapshots/snapfile.h"

#define CHUNK (256u * 1024)

static bool all_zero(const uint8_t *p, size_t len)
{
	const uint64_t *w = (const uint64_t *)(const void *)p;
	size_t n = len / sizeof(*w);

	for (size_t i = 0; i < n; i += 8) {
		if (w[i] | w[i + 1] | w[i + 2] | w[i + 3] | w[i + 4] | w[i + 5] | w[i + 6] | w[i + 7])
			return false;
	}
	return true;
}

void snap_runs_fini(struct snap_runs *runs)
{
	free(runs->run);
	memset(runs, 0, sizeof(*runs));
}

static int runs_add(struct snap_runs *runs, const struct snap_run *run)
{
	if (runs->count == runs->cap) {
		unsigned cap = runs->cap ? runs->cap * 2 : 256;
		struct snap_run *p = realloc(runs->run, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		runs->run = p;
		runs->cap = cap;
	}
	runs->run[runs->count++] = *run;
	runs->data_size += run->length;
	return 0;
}

/* ---- which pages hold data ---- */

/* Tells pages that need not be read: nothing was ever put there, and nothing lies behind. */
struct page_view {
	const struct snap_source *src;
	int pagemap_fd; /* -1: unknown, read everything */
	uint64_t pm_first, pm_count; /* pages in pm */
	uint64_t pm[PM_BATCH];
	uint64_t hole_start, hole_end; /* known hole of the backing file, offsets in the source */
};

static bool view_untouched(struct page_view *v, uint64_t page)
{
	if (v->pagemap_fd < 0)
		return false;
	if (page < v->pm_first || page >= v->pm_first + v->pm_count) {
		uint64_t left = v->src->length / SNAP_PAGE - page;
		uint64_t n = left < PM_BATCH ? left : PM_BATCH;
		uint64_t vpn = (uintptr_t)v->src->base / SNAP_PAGE + page;

		if (stk_pread_full(v->pagemap_fd, v->pm, (size_t)n * 8, (off_t)(vpn * 8)) < 0) {
			v->pagemap_fd = -1;
			return false;
		}
		v->pm_first = page;
		v->pm_count = n;
	}
	return (v->pm[page - v->pm_first] & PM_PRESENT_OR_SWAPPED) == 0;
}

static bool view_backing_hole(struct page_view *v, uint64_t page)
{
	uint64_t at = page * SNAP_PAGE;
	off_t base = (off_t)v->src->backing_offset;
	off_t data;

	if (v->src->backing_fd < 0)
		return true;
	if (at >= v->hole_start && at < v->hole_end)
		return true;
	data = lseek(v->src->backing_fd, base + (off_t)at, SEEK_DATA);
	if (data < 0 && errno != ENXIO)
		return false;
	v->hole_start = at;
	v->hole_end = data < 0 ? v->src->length : (uint64_t)(data - base);
	return v->hole_end >= at + SNAP_PAGE;
}

static bool view_is_zero(struct page_view *v, uint64_t page)
{
	if (view_untouched(v, page) && view_backing_hole(v, page))
		return true;
	return all_zero(v->src->base + page * SNAP_PAGE, SNAP_PAGE);
}

/* ---- writing ---- */

static int write_run(int fd, const struct snap_source *src, uint64_t file_base, uint64_t first, uint64_t end,
		     struct snap_runs *runs)
{
	const uint8_t *p = src->base + first * SNAP_PAGE;
	struct snap_run run = {
		.offset = file_base + first * SNAP_PAGE,
		.length = (end - first) * SNAP_PAGE,
	};
	int r = stk_pwrite_full(fd, p, (size_t)run.length, (off_t)run.offset);

	if (r < 0)
		return r;
	run.crc = stk_crc64(0, p, (size_t)run.length);
	return runs_add(runs, &run);
}

/* `gap`: pages of zeros inside a run that do not end it; keeps the number of runs bounded. */
static int write_source(int fd, struct page_view *v, uint64_t file_base, uint64_t gap, struct snap_runs *runs)
{
	uint64_t pages = v->src->length / SNAP_PAGE;
	uint64_t first = 0, last = 0; /* current run is first..last, when open */
	bool open_run = false;

	for (uint64_t i = 0; i < pages; i++) {
		if (view_is_zero(v, i))
			continue;
		if (open_run && i - last > gap + 1) {
			int r = write_run(fd, v->src, file_base, first, last + 1, runs);

			if (r < 0)
				return r;
			open_run = false;
		}
		if (!open_run)
			first = i;
		open_run = true;
		last = i;
	}
	return open_run ? write_run(fd, v->src, file_base, first, last + 1, runs) : 0;
}

static int write_all(int fd, const struct snap_source *src, unsigned n, struct snap_runs *runs)
{
	stk_autofd pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	stk_autofree struct page_view *v = malloc(sizeof(*v));
	uint64_t gap = runs->total_size / SNAP_PAGE / SNAP_MAX_RUNS;
	uint64_t at = 0;

	if (!v)
		return -ENOMEM;
	if (ftruncate(fd, (off_t)runs->total_size) < 0)
		return -errno;
	for (unsigned i = 0; i < n; i++) {
		int r;

		*v = (struct page_view){.src = &src[i], .pagemap_fd = pagemap};
		r = write_source(fd, v, at, gap, runs);
		if (r < 0)
			return r;
		at += src[i].length;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int snap_memfile_write(const char *path, const struct snap_source *src, unsigned src_count,
		       struct snap_runs *ret_runs, struct stk_err *err)
{
	struct snap_runs runs = {0};
	char tmp[PATH_MAX];
	stk_autofd fd = -1;
	int r;

	for (unsigned i = 0; i < src_count; i++)
		runs.total_size += src[i].length;
	fd = stk_open_temporary(path, tmp, sizeof(tmp));
	if (fd < 0)
		return stk_err_sys(err, fd, "cannot write %s", path);
	r = write_all(fd, src, src_count, &runs);
	if (r == 0 && (fchmod(fd, SNAP_FILE_MODE) < 0 || rename(tmp, path) < 0))
		r = -errno;
	if (r < 0) {
		unlink(tmp);
	} else {
		r = stk_fsync_parent(path);
	}
	if (r < 0) {
		snap_runs_fini(&runs);
		return stk_err_sys(err, r, "cannot write %s", path);
	}
	*ret_runs = runs;
	return 0;
}

/* ---- section RUNS ---- */

void snap_runs_encode(const struct snap_runs *runs, struct stk_wr *w)
{
	stk_wr_u32(w, runs->count);
	for (unsigned i = 0; i < runs->count; i++) {
		stk_wr_u64(w, runs->run[i].offset);
		stk_wr_u64(w, runs->run[i].length);
		stk_wr_u64(w, runs->run[i].crc);
	}
}

static int check_runs(const struct snap_run *runs, unsigned n, uint64_t total_size, struct stk_err *err)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct snap_run *run = &runs[i];

		if (run->offset % SNAP_PAGE || run->length % SNAP_PAGE || run->length == 0 || run->offset < end ||
		    run->offset > total_size || run->length > total_size - run->offset)
			return stk_err_set(err, -EINVAL, "snapshot state: run %u of the memory file is malformed", i);
		end = run->offset + run->length;
	}
	return 0;
}

int snap_runs_decode(struct stk_rd *r, uint64_t total_size, struct snap_runs *ret_runs, struct stk_err *err)
{
	struct snap_runs runs = {.total_size = total_size};
	unsigned n = stk_rd_u32(r);
	int e;

	if (r->bad || n > SNAP_MAX_RUNS || r->left != (size_t)n * 24)
		return stk_err_set(err, -EINVAL, "snapshot state: section RUNS is malformed");
	for (unsigned i = 0; i < n; i++) {
		struct snap_run run;

		run.offset = stk_rd_u64(r);
		run.length = stk_rd_u64(r);
		run.crc = stk_rd_u64(r);
		e = runs_add(&runs, &run);
		if (e < 0) {
			snap_runs_fini(&runs);
			return stk_err_sys(err, e, "snapshot state");
		}
	}
	e = check_runs(runs.run, runs.count, total_size, err);
	if (e < 0) {
		snap_runs_fini(&runs);
		return e;
	}
	*ret_runs = runs;
	return 0;
}

/* ---- verifying ---- */

static int verify_run(int fd, const struct snap_run *run, uint8_t *buf, struct stk_err *err)
{
	uint64_t crc = 0, done = 0;

	while (done < run->length) {
		size_t n = run->length - done < CHUNK ? (size_t)(run->length - done) : CHUNK;
		int r = stk_pread_full(fd, buf, n, (off_t)(run->offset + done));

		if (r < 0)
			return stk_err_sys(err, r, "memory file");
		crc = stk_crc64(crc, buf, n);
		done += n;
	}
	if (crc != run->crc)
		return stk_err_set(err, -EBADMSG, "memory file: damaged between %llu and %llu (wrong checksum)",
				   (unsigned long long)run->offset,
				   (unsigned long long)(run->offset + run->length));
	return 0;
}

static int verify_zero(int fd, uint64_t start, uint64_t end, uint8_t *buf, struct stk_err *err)
{
	while (start < end) {
		off_t data = lseek(fd, (off_t)start, SEEK_DATA);
		size_t n;
		int r;

		if (data < 0 && errno != ENXIO)
			return stk_err_sys(err, -errno, "memory file");
		if (data < 0 || (uint64_t)data >= end)
			return 0;
		start = (uint64_t)data;
		n = end - start < CHUNK ? (size_t)(end - start) : CHUNK;
		r = stk_pread_full(fd, buf, n, data);
		if (r < 0)
			return stk_err_sys(err, r, "memory file");
		for (size_t i = 0; i < n; i++) {
			if (buf[i])
				return stk_err_set(err, -EBADMSG, "memory file: damaged at %llu (should be zero)",
						   (unsigned long long)(start + i));
		}
		start += n;
	}
	return 0;
}

int snap_memfile_verify(int mem_fd, const struct snap_run *runs, unsigned n, uint64_t total_size,
			struct stk_err *err)
{
	stk_autofree uint8_t *buf = NULL;
	struct stat st;
	uint64_t at = 0;
	int r = check_runs(runs, n, total_size, err);

	if (r < 0)
		return r;
	if (fstat(mem_fd, &st) < 0)
		return stk_err_sys(err, -errno, "memory file");
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size != total_size)
		return stk_err_set(err, -EBADMSG, "memory file: has %lld bytes instead of %llu",
				   (long long)st.st_size, (unsigned long long)total_size);
	buf = malloc(CHUNK);
	if (!buf)
		return stk_err_sys(err, -ENOMEM, "memory file");
	for (unsigned i = 0; i < n; i++) {
		r = verify_zero(mem_fd, at, runs[i].offset, buf, err);
		if (r == 0)
			r = verify_run(mem_fd, &runs[i], buf, err);
		if (r < 0)
			return r;
		at = runs[i].offset + runs[i].length;
	}
	return verify_zero(mem_fd, at, total_size, buf, err);
}
