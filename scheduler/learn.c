/* Learning a function's working set: see learn.h. */
#include "scheduler/learn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/daemon.h"
#include "scheduler/pool.h"
#include "snapshots/funcenv.h"

#define MAX_TRIES   8u    /* clones that answered nothing, or gave no record */
#define MAX_WRITTEN 4096u /* pages: what each waiting clone has of its own, 16 MiB */
#define MAX_READ    16384u
/* doc/SNAPSHOT-FORMAT.md: what follows 3 GiB of RAM in the file lies above 4 GiB in the guest */
#define HOLE_START  (3u << (30 - 12))
#define HOLE_PAGES  (1u << (30 - 12))

enum { UNTOUCHED, READ, WRITTEN };

void learn_fini(struct learn *l)
{
	free(l->first);
	free(l->prefault);
	memset(l, 0, sizeof(*l));
}

static size_t pages_of(unsigned memory_mib)
{
	return ((size_t)memory_mib + SNAP_GUEST_OVERHEAD_MIB) << 8;
}

/* ---- the rule ---- */

int learn_merge(const uint8_t *a, const uint8_t *b, size_t pages, struct snap_workingset *ret_ws)
{
	struct snap_workingset ws = {0};
	unsigned written = 0, read = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < pages; i++) {
		if (a[i] == UNTOUCHED || b[i] == UNTOUCHED)
			continue;
		if (a[i] == WRITTEN && b[i] == WRITTEN) {
			/* Not read instead, when there are too many: most are of free memory, there is nothing to be brought in. */
			if (written++ < MAX_WRITTEN)
				r = snap_page_list_add(&ws.written, (uint32_t)i);
		} else if (read < MAX_READ) {
			read++;
			r = snap_page_list_add(&ws.read, (uint32_t)i);
		}
		if (r == -ENOSPC) /* full: it is a hint */
			r = 0;
	}
	if (r < 0) {
		snap_workingset_fini(&ws);
		return r;
	}
	*ret_ws = ws;
	return 0;
}

/* Adds a block, in the place of the one with the fewest pages when all are taken. *written: the first range of that list
 * that may be in it or behind it; it only goes on. Returns how many there are. */
static unsigned want_block(const struct snap_workingset *ws, unsigned *written, struct block_want *want, unsigned n,
			   unsigned cap, struct block_want w)
{
	uint64_t from = (uint64_t)w.guest * BLOCKS_UNIT_PAGES;
	const struct snap_page_list *l = &ws->written;
	unsigned least = 0;

	while (*written < l->count && (uint64_t)l->range[*written].first + l->range[*written].count <= from)
		(*written)++;
	if (w.pages == 0 || (*written < l->count && l->range[*written].first < from + BLOCKS_UNIT_PAGES))
		return n;
	if (n < cap) {
		want[n] = w;
		return n + 1;
	}
	for (unsigned i = 1; i < n; i++)
		if (want[i].pages < want[least].pages)
			least = i;
	if (want[least].pages < w.pages) {
		memmove(want + least, want + least + 1, (n - least - 1) * sizeof(*want));
		want[n - 1] = w;
	}
	return n;
}

/* Block numbers fit in 16 bits up to 128 GiB of memory. */
unsigned learn_blocks(const struct snap_workingset *ws, struct block_want *ret_want, unsigned cap)
{
	struct block_want now = {0}; /* whose pages are being counted */
	unsigned n = 0, written = 0;

	for (unsigned i = 0; i < ws->read.count; i++) {
		uint64_t at = ws->read.range[i].first, end = at + ws->read.range[i].count, next;

		for (; at < end; at = next) {
			uint64_t block = at / BLOCKS_UNIT_PAGES;

			next = (block + 1) * BLOCKS_UNIT_PAGES;
			next = next < end ? next : end;
			if (block > UINT16_MAX)
				return want_block(ws, &written, ret_want, n, cap, now);
			if (block != now.guest) {
				n = want_block(ws, &written, ret_want, n, cap, now);
				now = (struct block_want){.guest = (uint16_t)block};
			}
			now.pages = (uint16_t)(now.pages + (next - at));
		}
	}
	return want_block(ws, &written, ret_want, n, cap, now);
}

static bool is_shared(uint64_t page, const struct block_use *shared, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (page / BLOCKS_UNIT_PAGES == shared[i].guest)
			return true;
	return false;
}

/* Block by block, which also cuts at the hole. Pages of shared blocks are left out. */
static unsigned add_ranges(struct gw_page_range *out, unsigned n, const struct snap_page_list *list,
			   const struct block_use *shared, unsigned shared_count)
{
	for (unsigned i = 0; i < list->count; i++) {
		uint64_t at = list->range[i].first, end = at + list->range[i].count, next;

		for (; at < end && n < GW_MAX_RANGES; at = next) {
			uint64_t block_end = (at / BLOCKS_UNIT_PAGES + 1) * BLOCKS_UNIT_PAGES;
			uint32_t first = (uint32_t)(at < HOLE_START ? at : at + HOLE_PAGES), count;

			next = end < block_end ? end : block_end;
			count = (uint32_t)(next - at);
			if (is_shared(at, shared, shared_count))
				continue;
			if (n > 0 && out[n - 1].first + out[n - 1].count == first)
				out[n - 1].count += count;
			else
				out[n++] = (struct gw_page_range){first, count};
		}
	}
	return n;
}

/* One page brings in all of its block. */
static unsigned add_blocks(struct gw_page_range *out, unsigned n, const struct block_use *shared, unsigned shared_count)
{
	for (unsigned i = 0; i < shared_count && n < GW_MAX_RANGES; i++) {
		uint32_t page = shared[i].guest * BLOCKS_UNIT_PAGES;

		out[n++] = (struct gw_page_range){page < HOLE_START ? page : page + HOLE_PAGES, 1};
	}
	return n;
}

int learn_frame(const struct snap_workingset *ws, const struct block_use *shared, unsigned shared_count,
		uint8_t **ret_frame, size_t *ret_len)
{
	struct gw_page_range *range = calloc(GW_MAX_RANGES, sizeof(*range));
	size_t cap = GW_HEADER_LEN + GW_MAX_RANGES * sizeof(*range);
	uint8_t *frame = malloc(cap), *fit;
	int n = -ENOMEM;

	if (range && frame) {
		unsigned count = add_ranges(range, 0, &ws->written, NULL, 0);

		count = add_ranges(range, count, &ws->read, shared, shared_count);
		count = add_blocks(range, count, shared, shared_count);
		n = gw_prefault_encode(frame, cap, range, count);
	}
	free(range);
	fit = n > 0 ? realloc(frame, (size_t)n) : NULL;
	if (!fit) {
		free(frame);
		return n < 0 ? n : -ENOMEM;
	}
	*ret_frame = fit;
	*ret_len = (size_t)n;
	return 0;
}

/* ---- files ---- */

/* dir: the version's folder. Blocking. */
static int adopt_set(struct learn *l, const struct snap_workingset *ws, const char *dir, struct blocks *blocks)
{
	char path[PATH_CAP];
	struct block_want want[BLOCKS_EACH];
	int r;

	if (stk_snprintf(path, sizeof(path), "%s/snapshot/memory", dir))
		return -ENAMETOOLONG;
	l->block_count = blocks_share(blocks, path, want, learn_blocks(ws, want, STK_ARRAY_LEN(want)), l->block);
	r = learn_frame(ws, l->block, l->block_count, &l->prefault, &l->prefault_len);
	l->have_set = r == 0;
	return r;
}

int learn_read(const char *dir, unsigned memory_mib, struct blocks *blocks, struct learn *ret)
{
	char path[PATH_CAP];
	struct snap_workingset ws;
	struct stk_err err;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (stk_snprintf(path, sizeof(path), "%s/snapshot/learned-set", dir))
		return -ENAMETOOLONG;
	r = snap_workingset_read(path, pages_of(memory_mib), &ws, &err);
	if (r < 0) {
		if (r != -ENOENT)
			stk_warn("%s; it is learned again", err.text);
		return r;
	}
	r = adopt_set(ret, &ws, dir, blocks);
	ret->state = LEARN_DONE;
	snap_workingset_fini(&ws);
	return r;
}

void learn_adopt(struct pool *p, struct learn *from)
{
	learn_fini(&p->learn);
	p->learn = *from;
	memset(from, 0, sizeof(*from));
}

/* ---- one record ---- */

struct job {
	uv_work_t work;
	struct pool *pool;
	int fd;
	size_t pages;
	char dir[PATH_CAP]; /* the version's */
	const uint8_t *first; /* the pool's, untouched while BUSY */
	uint8_t *record;
	struct learn out;
	int rc; /* 1: a record, not yet a set */
};

static int evaluate(struct job *j)
{
	char path[PATH_CAP];
	struct snap_workingset ws;
	struct stk_err err;
	size_t touched = 0;
	int r;

	if (stk_snprintf(path, sizeof(path), "%s/snapshot/learned-set", j->dir))
		return -ENAMETOOLONG;
	j->record = malloc(j->pages);
	if (!j->record)
		return -ENOMEM;
	r = stk_pread_full(j->fd, j->record, j->pages, 0);
	for (size_t i = 0; r == 0 && i < j->pages; i++)
		touched += j->record[i] != UNTOUCHED;
	if (r < 0 || touched == 0)
		return r < 0 ? r : -ENODATA; /* the monitor cannot record here, or has not ended in order */
	if (!j->first)
		return 1;
	r = learn_merge(j->first, j->record, j->pages, &ws);
	if (r < 0)
		return r;
	r = snap_workingset_write(path, &ws, &err);
	if (r < 0)
		stk_warn("%s", err.text);
	else
		r = adopt_set(&j->out, &ws, j->dir, j->pool->d->blocks);
	snap_workingset_fini(&ws);
	return r;
}

static void work(uv_work_t *w)
{
	struct job *j = w->data;

	j->rc = evaluate(j);
}

static void try_again(struct learn *l)
{
	l->state = ++l->tries < MAX_TRIES ? LEARN_WANTED : LEARN_DONE;
}

static void worked(uv_work_t *w, int status)
{
	struct job *j = w->data;
	struct pool *p = j->pool;
	struct daemon *d = p->d;
	struct fn_version *ver = p->ver;

	if (status == 0 && j->rc == 1 && !p->learn.first) {
		p->learn.first = j->record;
		j->record = NULL;
		p->learn.state = LEARN_WANTED;
	} else if (status == 0 && j->rc == 0) {
		learn_adopt(p, &j->out);
		p->learn.state = LEARN_DONE;
	} else {
		try_again(&p->learn);
	}
	free(j->record);
	learn_fini(&j->out);
	close(j->fd);
	free(j);
	fn_version_put(&d->registry, ver);
	daemon_job_done(d);
}

void learn_invoked(struct learn *l)
{
	if (l->state == LEARN_NOT_YET)
		l->state = LEARN_WANTED;
}

int learn_begin(struct pool *p)
{
	stk_autofd fd = -1;

	if (p->learn.state != LEARN_WANTED || p->closed)
		return -1;
	fd = memfd_create("stoker-record", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)pages_of(p->ver->settings.memory_mib)) < 0)
		return -1;
	p->learn.state = LEARN_BUSY;
	return stk_take_fd(&fd);
}

void learn_end(struct pool *p, int fd, enum learn_use use)
{
	struct job *j = use == LEARN_ANSWERED && !p->closed ? calloc(1, sizeof(*j)) : NULL;

	if (j) {
		j->work.data = j;
		j->pool = p;
		j->fd = fd;
		j->pages = pages_of(p->ver->settings.memory_mib);
		j->first = p->learn.first;
		if (daemon_version_path(p->d, p->ver, NULL, j->dir, sizeof(j->dir)) == 0 &&
		    workers_queue(&p->d->loop, &j->work, work, worked) == 0) {
			fn_version_get(p->ver);
			p->d->jobs++;
			return;
		}
		free(j);
	}
	close(fd);
	if (use == LEARN_UNUSED)
		p->learn.state = LEARN_WANTED;
	else
		try_again(&p->learn);
}
