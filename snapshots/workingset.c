/* The working set of a snapshot: see workingset.h. Layout: doc/SNAPSHOT-FORMAT.md, "working-set". */
#include "snapshots/workingset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/crc64.h"
#include "common/base/cursor.h"
#include "common/base/fd.h"
#include "snapshots/snapfile.h"

#define MAGIC     "STKWSET2"
#define MAGIC_LEN 8u
#define HEAD      (MAGIC_LEN + 8u)
#define TAIL      8u

void snap_workingset_fini(struct snap_workingset *ws)
{
	free(ws->written.range);
	free(ws->read.range);
	memset(ws, 0, sizeof(*ws));
}

static int reserve(struct snap_page_list *list, unsigned cap)
{
	struct snap_page_range *p = realloc(list->range, cap * sizeof(*p));

	if (!p)
		return -ENOMEM;
	list->range = p;
	list->cap = cap;
	return 0;
}

int snap_page_list_add(struct snap_page_list *list, uint32_t page)
{
	struct snap_page_range *last = list->count ? &list->range[list->count - 1] : NULL;

	if (last && last->first + last->count == page) {
		last->count++;
		return 0;
	}
	if (list->count == SNAP_WORKINGSET_MAX_RANGES / 2)
		return -ENOSPC;
	if (list->count == list->cap) {
		int r = reserve(list, list->cap ? list->cap * 2 : 64);

		if (r < 0)
			return r;
	}
	list->range[list->count++] = (struct snap_page_range){page, 1};
	return 0;
}

static void encode_list(struct stk_wr *w, const struct snap_page_list *list)
{
	for (unsigned i = 0; i < list->count; i++) {
		stk_wr_u32(w, list->range[i].first);
		stk_wr_u32(w, list->range[i].count);
	}
}

int snap_workingset_encode(const struct snap_workingset *ws, uint8_t **ret_data, size_t *ret_len)
{
	size_t len = HEAD + (ws->written.count + ws->read.count) * 8u + TAIL;
	uint8_t *data = malloc(len);
	struct stk_wr w;

	if (!data)
		return -ENOMEM;
	w = stk_wr_init(data, len);
	stk_wr_bytes(&w, MAGIC, MAGIC_LEN);
	stk_wr_u32(&w, ws->written.count);
	stk_wr_u32(&w, ws->read.count);
	encode_list(&w, &ws->written);
	encode_list(&w, &ws->read);
	stk_wr_u64(&w, stk_crc64(0, data, len - TAIL));
	*ret_data = data;
	*ret_len = len;
	return 0;
}

static int damaged(struct stk_err *err, const char *what)
{
	return stk_err_set(err, -EBADMSG, "working set: %s", what);
}

static int decode_list(struct stk_rd *r, unsigned count, uint64_t pages, struct snap_page_list *list,
		       struct stk_err *err)
{
	uint64_t end = 0; /* of the range before */

	if (count > 0 && reserve(list, count) < 0)
		return stk_err_sys(err, -ENOMEM, "working set");
	for (unsigned i = 0; i < count; i++) {
		struct snap_page_range *p = &list->range[i];

		p->first = stk_rd_u32(r);
		p->count = stk_rd_u32(r);
		if (p->count == 0 || p->first < end || (i > 0 && p->first == end))
			return damaged(err, "ranges out of order");
		end = (uint64_t)p->first + p->count;
		if (end > pages)
			return damaged(err, "a range beyond the end of RAM");
	}
	list->count = count;
	return 0;
}

int snap_workingset_decode(const void *data, size_t len, uint64_t pages, struct snap_workingset *ret_ws,
			   struct stk_err *err)
{
	struct snap_workingset ws = {0};
	struct stk_rd r = stk_rd_init(data, len), tail;
	const uint8_t *magic;
	uint32_t written, read;
	int rc;

	if (len < HEAD + TAIL || len > SNAP_WORKINGSET_MAX_SIZE)
		return damaged(err, "of a length that cannot be");
	tail = stk_rd_init((const uint8_t *)data + len - TAIL, TAIL);
	if (stk_rd_u64(&tail) != stk_crc64(0, data, len - TAIL))
		return damaged(err, "differs from its checksum");
	magic = stk_rd_bytes(&r, MAGIC_LEN);
	if (!magic || memcmp(magic, MAGIC, MAGIC_LEN) != 0)
		return damaged(err, "not one, or of another version");
	written = stk_rd_u32(&r);
	read = stk_rd_u32(&r);
	if (written > SNAP_WORKINGSET_MAX_RANGES / 2 || read > SNAP_WORKINGSET_MAX_RANGES / 2 ||
	    len != HEAD + (written + read) * 8u + TAIL)
		return damaged(err, "number of ranges and length do not agree");
	rc = decode_list(&r, written, pages, &ws.written, err);
	if (rc == 0)
		rc = decode_list(&r, read, pages, &ws.read, err);
	if (rc < 0) {
		snap_workingset_fini(&ws);
		return rc;
	}
	*ret_ws = ws;
	return 0;
}

int snap_workingset_read(const char *path, uint64_t pages, struct snap_workingset *ret_ws, struct stk_err *err)
{
	stk_autofree char *data = NULL;
	size_t len = 0;
	int r = stk_read_file(path, SNAP_WORKINGSET_MAX_SIZE, &data, &len);

	if (r < 0)
		return stk_err_sys(err, r, "%s", path);
	return snap_workingset_decode(data, len, pages, ret_ws, err);
}

int snap_workingset_load(int fd, uint64_t pages, struct snap_workingset *ret_ws, struct stk_err *err)
{
	stk_autofree char *data = NULL;
	size_t len = 0;
	int r = stk_read_fd(fd, SNAP_WORKINGSET_MAX_SIZE, &data, &len);

	return r < 0 ? stk_err_sys(err, r, "working set") : snap_workingset_decode(data, len, pages, ret_ws, err);
}

int snap_workingset_write(const char *path, const struct snap_workingset *ws, struct stk_err *err)
{
	stk_autofree uint8_t *data = NULL;
	size_t len = 0;
	int r = snap_workingset_encode(ws, &data, &len);

	if (r == 0)
		r = stk_write_file_atomic(path, data, len, SNAP_FILE_MODE);
	return r < 0 ? stk_err_sys(err, r, "%s", path) : 0;
}
