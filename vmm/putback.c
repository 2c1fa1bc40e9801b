/* Putting pages back: see putback.h; proc_pid_pagemap(5). */
#include "vmm/putback.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "snapshots/pagemap.h"

#define PAGE 4096u

/* Known pages, in order; a hole of the file is zeros and must not be read: some file systems give it memory then. */
struct run {
	uint32_t first, count;
	bool hole;
};

struct putback {
	uint8_t *base;       /* not ours */
	const uint8_t *orig; /* the file */
	size_t pages;
	int fd; /* not ours */
	int pagemap_fd;
	uint64_t *known, *seen, *hole; /* a bit per page */
	size_t known_count, room;
	bool searched;
	struct run *run;
	size_t run_count, run_cap;
};

static bool test_bit(const uint64_t *map, size_t i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static void set_bit(uint64_t *map, size_t i)
{
	map[i / 64] |= 1ULL << (i % 64);
}

int putback_new(uint8_t *base, uint64_t size, int fd, struct putback **ret, struct stk_err *err)
{
	struct putback *pb = calloc(1, sizeof(*pb));
	size_t words = (size / PAGE + 63) / 64;
	void *orig;

	if (!pb)
		return stk_err_sys(err, -ENOMEM, "putting pages back");
	*pb = (struct putback){.base = base, .pages = size / PAGE, .fd = fd, .pagemap_fd = -1,
			       .room = PUTBACK_MIN_PAGES};
	pb->known = calloc(3 * words, sizeof(pb->known[0]));
	orig = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (orig != MAP_FAILED)
		pb->orig = orig;
	pb->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (!pb->known || !pb->orig || pb->pagemap_fd < 0) {
		int r = !pb->known ? -ENOMEM : -errno;

		putback_free(pb);
		return stk_err_sys(err, r, "putting pages back");
	}
	pb->seen = pb->known + words;
	pb->hole = pb->seen + words;
	*ret = pb;
	return 0;
}

void putback_free(struct putback *pb)
{
	if (!pb)
		return;
	if (pb->orig)
		munmap((void *)(uintptr_t)pb->orig, pb->pages * PAGE);
	if (pb->pagemap_fd >= 0)
		close(pb->pagemap_fd);
	free(pb->known);
	free(pb->run);
	free(pb);
}

/* ---- copying ---- */

/* memcpy's own choice for a page is a string instruction, whose start takes as long as copying some hundred bytes. Here
 * are only whole pages, aligned. */
typedef long long lane __attribute__((vector_size(32), may_alias));

__attribute__((target("avx2"))) static void copy_pages_avx2(uint8_t *to, const uint8_t *from, size_t len)
{
	lane *t = (lane *)(void *)to;
	const lane *f = (const lane *)(const void *)from, *end = f + len / sizeof(lane);

	for (; f < end; f += 8, t += 8) {
		lane a = f[0], b = f[1], c = f[2], d = f[3], e = f[4], g = f[5], h = f[6], i = f[7];

		t[0] = a, t[1] = b, t[2] = c, t[3] = d, t[4] = e, t[5] = g, t[6] = h, t[7] = i;
	}
}

static void copy_pages(uint8_t *to, const uint8_t *from, size_t len)
{
	if (__builtin_cpu_supports("avx2"))
		copy_pages_avx2(to, from, len);
	else
		memcpy(to, from, len);
}

/* ---- the search ---- */

static bool is_hole(const struct putback *pb, size_t page)
{
	off_t at = (off_t)(page * PAGE);

	return lseek(pb->fd, at, SEEK_DATA) != at; /* ENXIO: nothing but a hole up to the end */
}

static bool is_unchanged(const struct putback *pb, size_t page, bool hole)
{
	const uint8_t *p = pb->base + page * PAGE;

	if (hole)
		return p[0] == 0 && memcmp(p, p + 1, PAGE - 1) == 0;
	return memcmp(p, pb->orig + page * PAGE, PAGE) == 0;
}

/* True when the page is known now. Among the first ones may be some that were only made ready for writing. */
static bool keep(struct putback *pb, size_t page)
{
	bool hole;

	if ((pb->searched && !test_bit(pb->seen, page)) || pb->known_count >= pb->room)
		return false;
	hole = is_hole(pb, page);
	if (!pb->searched && is_unchanged(pb, page, hole))
		return false;
	if (hole)
		set_bit(pb->hole, page);
	set_bit(pb->known, page);
	pb->known_count++;
	return true;
}

/* Pages [first, first + count) become the file's again by themselves. */
static int drop(const struct putback *pb, size_t first, size_t count)
{
	return count && madvise(pb->base + first * PAGE, count * PAGE, MADV_DONTNEED) < 0 ? -errno : 0;
}

static int search(struct putback *pb)
{
	size_t first = (uintptr_t)pb->base / PAGE, drop_at = 0, drop_count = 0;
	uint64_t entry[PM_BATCH];
	int r = 0;

	for (size_t at = 0; r == 0 && at < pb->pages; at += PM_BATCH) {
		size_t n = pb->pages - at < PM_BATCH ? pb->pages - at : PM_BATCH;

		r = stk_pread_full(pb->pagemap_fd, entry, n * sizeof(entry[0]),
				   (off_t)((first + at) * sizeof(entry[0])));
		for (size_t i = 0; r == 0 && i < n; i++) {
			size_t page = at + i;

			if (!(entry[i] & PM_PRESENT_OR_SWAPPED) || (entry[i] & PM_FILE) || test_bit(pb->known, page))
				continue;
			if (keep(pb, page))
				continue;
			set_bit(pb->seen, page);
			if (drop_at + drop_count != page) {
				r = drop(pb, drop_at, drop_count);
				drop_at = page;
				drop_count = 0;
			}
			drop_count++;
		}
	}
	return r < 0 ? r : drop(pb, drop_at, drop_count);
}

static int add_run(struct putback *pb, size_t page)
{
	struct run *last = pb->run_count ? &pb->run[pb->run_count - 1] : NULL;
	bool hole = test_bit(pb->hole, page);

	if (last && last->first + last->count == page && last->hole == hole) {
		last->count++;
		return 0;
	}
	if (pb->run_count == pb->run_cap) {
		size_t cap = pb->run_cap ? pb->run_cap * 2 : 128;
		struct run *grown = realloc(pb->run, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		pb->run = grown;
		pb->run_cap = cap;
	}
	pb->run[pb->run_count++] = (struct run){(uint32_t)page, 1, hole};
	return 0;
}

static int list_runs(struct putback *pb)
{
	int r = 0;

	pb->run_count = 0;
	for (size_t word = 0; word < (pb->pages + 63) / 64; word++) {
		for (uint64_t bits = pb->known[word]; r == 0 && bits; bits &= bits - 1)
			r = add_run(pb, word * 64 + (size_t)__builtin_ctzll(bits));
	}
	return r;
}

int putback_find(struct putback *pb, struct stk_err *err)
{
	size_t before = pb->known_count;
	int r = search(pb);

	if (r == 0 && pb->known_count != before)
		r = list_runs(pb);
	if (r < 0)
		return stk_err_sys(err, r, "looking for written pages");
	if (!pb->searched && pb->known_count * 4 > pb->room)
		pb->room = pb->known_count * 4;
	pb->searched = true;
	return 0;
}

uint64_t putback_run(struct putback *pb)
{
	for (size_t i = 0; i < pb->run_count; i++) {
		const struct run *r = &pb->run[i];
		uint8_t *to = pb->base + (size_t)r->first * PAGE;

		if (r->hole)
			memset(to, 0, (size_t)r->count * PAGE);
		else
			copy_pages(to, pb->orig + (size_t)r->first * PAGE, (size_t)r->count * PAGE);
	}
	return pb->known_count;
}
