/* Section EMPTY: see empty.h. */
#include "snapshots/empty.h"

#include <errno.h>
#include <string.h>

/* In place of the shortest one, when there are too many. */
static void add(struct snap_empty *e, struct snap_stretch s)
{
	unsigned out = 0;

	if (e->count == SNAP_EMPTY_MAX) {
		for (unsigned i = 1; i < e->count; i++)
			out = e->stretch[i].length < e->stretch[out].length ? i : out;
		if (e->stretch[out].length >= s.length)
			return;
		e->count--;
		memmove(&e->stretch[out], &e->stretch[out + 1], (e->count - out) * sizeof(s));
	}
	e->stretch[e->count++] = s;
}

static void consider(struct snap_empty *e, uint64_t from, uint64_t to)
{
	from = (from + SNAP_EMPTY_BLOCK - 1) / SNAP_EMPTY_BLOCK * SNAP_EMPTY_BLOCK;
	to = to / SNAP_EMPTY_BLOCK * SNAP_EMPTY_BLOCK;
	if (to > from)
		add(e, (struct snap_stretch){from, to - from});
}

void snap_empty_find(const struct snap_runs *runs, uint64_t ram_size, struct snap_empty *ret)
{
	uint64_t end = 0;

	ret->count = 0;
	for (unsigned i = 0; i < runs->count && end < ram_size; i++) {
		const struct snap_run *run = &runs->run[i];

		consider(ret, end, run->offset < ram_size ? run->offset : ram_size);
		end = run->offset + run->length;
	}
	if (end < ram_size)
		consider(ret, end, ram_size);
}

void snap_empty_encode(const struct snap_empty *e, struct stk_wr *w)
{
	stk_wr_u32(w, e->count);
	for (unsigned i = 0; i < e->count; i++) {
		stk_wr_u64(w, e->stretch[i].offset);
		stk_wr_u64(w, e->stretch[i].length);
	}
}

int snap_empty_decode(struct stk_rd *r, uint64_t ram_size, struct snap_empty *ret, struct stk_err *err)
{
	uint64_t end = 0;

	ret->count = stk_rd_u32(r);
	if (ret->count > SNAP_EMPTY_MAX || r->left != ret->count * 16)
		r->bad = true;
	for (unsigned i = 0; i < ret->count && !r->bad; i++) {
		struct snap_stretch *s = &ret->stretch[i];

		s->offset = stk_rd_u64(r);
		s->length = stk_rd_u64(r);
		if (s->offset % SNAP_EMPTY_BLOCK || s->length % SNAP_EMPTY_BLOCK || s->length == 0 || s->offset < end ||
		    s->offset > ram_size || s->length > ram_size - s->offset)
			r->bad = true;
		end = s->offset + s->length;
	}
	return r->bad ? stk_err_set(err, -EINVAL, "snapshot state: section EMPTY is malformed") : 0;
}

int snap_empty_read(const struct snap_file *f, uint64_t ram_size, struct snap_empty *ret, struct stk_err *err)
{
	struct stk_rd rd;
	int r;

	ret->count = 0;
	if (snap_snapfile_count(f, SNAP_SECTION_EMPTY) == 0)
		return 0; /* of an earlier program */
	r = snap_snapfile_section(f, SNAP_SECTION_EMPTY, 0, &rd, err);
	return r < 0 ? r : snap_empty_decode(&rd, ram_size, ret, err);
}

int snap_empty_check(const struct snap_empty *e, const struct snap_runs *runs, struct stk_err *err)
{
	for (unsigned i = 0; i < e->count; i++) {
		const struct snap_stretch *s = &e->stretch[i];

		for (unsigned k = 0; k < runs->count; k++) {
			const struct snap_run *run = &runs->run[k];

			if (run->offset < s->offset + s->length && run->offset + run->length > s->offset)
				return stk_err_set(err, -EBADMSG,
						   "snapshot state: section EMPTY names memory in which there is data");
		}
	}
	return 0;
}
