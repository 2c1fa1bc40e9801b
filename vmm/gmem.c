/* Guest memory: see gmem.h. */
#include "vmm/gmem.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define GMEM_PAGE 4096ULL

static int no_mapping(uint64_t size, struct stk_err *err)
{
	return stk_err_sys(err, -errno, "cannot map %llu MiB of guest memory", (unsigned long long)(size >> 20));
}

/* On a boundary of GMEM_BLOCK. */
int gmem_reserve(struct gmem *m, uint64_t size, struct stk_err *err)
{
	uint64_t skip;
	uint8_t *p;

	m->base = NULL;
	m->size = 0;
	if (size == 0 || size % GMEM_PAGE != 0 || size > (uint64_t)PTRDIFF_MAX - GMEM_BLOCK)
		return stk_err_set(err, -EINVAL, "guest memory of %llu bytes is not a whole number of pages",
				   (unsigned long long)size);
	p = mmap(NULL, size + GMEM_BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return no_mapping(size, err);
	skip = -(uintptr_t)p & (GMEM_BLOCK - 1);
	if (skip > 0)
		munmap(p, skip);
	munmap(p + skip + size, GMEM_BLOCK - skip);
	m->base = p + skip;
	m->size = size;
	return 0;
}

static int map_over(struct gmem *m, int flags, int fd, struct stk_err *err)
{
	void *p = mmap(m->base, (size_t)m->size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE | flags,
		       fd, 0);

	return p == MAP_FAILED ? no_mapping(m->size, err) : 0;
}

static int reserve_and_map(struct gmem *m, uint64_t size, int flags, int fd, struct stk_err *err)
{
	int r = gmem_reserve(m, size, err);

	if (r == 0)
		r = map_over(m, flags, fd, err);
	if (r < 0)
		gmem_fini(m);
	return r;
}

int gmem_init_anon(struct gmem *m, uint64_t size, struct stk_err *err)
{
	return reserve_and_map(m, size, MAP_ANONYMOUS, -1, err);
}

int gmem_init_file(struct gmem *m, int fd, uint64_t size, struct stk_err *err)
{
	return reserve_and_map(m, size, 0, fd, err);
}

int gmem_map_file(struct gmem *m, int fd, struct stk_err *err)
{
	return map_over(m, 0, fd, err);
}

int gmem_populate(struct gmem *m, uint64_t offset, uint64_t len)
{
	if (offset > m->size || len > m->size - offset)
		return -ERANGE;
	return madvise((uint8_t *)m->base + offset, (size_t)len, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
}

int gmem_map_block(struct gmem *m, int fd, struct gmem_block b, struct stk_err *err)
{
	uint64_t offset = b.guest * GMEM_BLOCK, from = b.file * GMEM_BLOCK;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return stk_err_sys(err, -errno, "blocks");
	if (offset + GMEM_BLOCK > m->size || st.st_size < 0 || from + GMEM_BLOCK > (uint64_t)st.st_size)
		return stk_err_set(err, -ERANGE, "blocks: %u=%u: outside of the %llu MiB of memory or the %lld of the file",
				   b.guest, b.file, (unsigned long long)(m->size >> 20), (long long)(st.st_size >> 20));
	if (mmap(m->base + offset, GMEM_BLOCK, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE, fd,
		 (off_t)from) == MAP_FAILED)
		return stk_err_sys(err, -errno, "blocks");
	return 0;
}

int gmem_map_empty(struct gmem *m, uint64_t offset, uint64_t len, struct stk_err *err)
{
	uint8_t *p = m->base + offset;

	if (offset > m->size || len > m->size - offset || offset % GMEM_BLOCK || len % GMEM_BLOCK)
		return stk_err_set(err, -ERANGE, "no place for %llu bytes of fresh memory at %llu", (unsigned long long)len,
				   (unsigned long long)offset);
	if (mmap(p, len, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		return no_mapping(len, err);
	(void)madvise(p, len, MADV_HUGEPAGE); /* else in small ones */
	return 0;
}

void gmem_fini(struct gmem *m)
{
	if (m->base)
		munmap(m->base, (size_t)m->size);
	m->base = NULL;
	m->size = 0;
}

/* Room from `addr` to the end of its side of the hole; 0 when addr is not RAM. */
static uint64_t gmem_room(const struct gmem *m, gpa_t addr, uint64_t *ret_off)
{
	uint64_t low = gmem_low_size(m);

	if (addr.v < low) {
		*ret_off = addr.v;
		return low - addr.v;
	}
	if (addr.v >= GMEM_HOLE_END && addr.v - GMEM_HOLE_END < m->size - low) {
		*ret_off = low + (addr.v - GMEM_HOLE_END);
		return m->size - *ret_off;
	}
	return 0;
}

void *gmem_ptr(const struct gmem *m, gpa_t addr, uint64_t len)
{
	uint64_t off = 0;
	uint64_t room = gmem_room(m, addr, &off);

	return room == 0 || len > room ? NULL : m->base + off;
}

uint64_t gmem_offset(const struct gmem *m, gpa_t addr)
{
	uint64_t off = 0;

	return gmem_room(m, addr, &off) == 0 ? UINT64_MAX : off;
}
