/* The state file of a snapshot: see snapfile.h. */
#include "snapshots/snapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/crc64.h"
#include "common/base/fd.h"

/* Room in front of the payloads for the largest header, so that nothing is moved at the end. */
#define HEAD_MAX (SNAP_HEADER_LEN + SNAP_MAX_SECTIONS * SNAP_ENTRY_LEN + 8u)
/* Header, table and every section but RUNS are nearly always inside the first read. */
#define FIRST_READ (48u * 1024)

const char *snap_section_name(uint32_t type)
{
	switch (type) {
	case SNAP_SECTION_CONFIG: return "CONFIG";
	case SNAP_SECTION_VM: return "VM";
	case SNAP_SECTION_VCPU: return "VCPU";
	case SNAP_SECTION_DEVICE: return "DEVICE";
	case SNAP_SECTION_MEMORY: return "MEMORY";
	case SNAP_SECTION_RUNS: return "RUNS";
	case SNAP_SECTION_EMPTY: return "EMPTY";
	default: return "unknown";
	}
}

static int parse_table(struct stk_rd *r, uint64_t first, struct snap_file *f, struct stk_err *err)
{
	uint64_t at = first;

	for (unsigned i = 0; i < f->count; i++) {
		struct snap_section *s = &f->section[i];

		s->type = stk_rd_u32(r);
		s->instance = stk_rd_u32(r);
		s->offset = stk_rd_u64(r);
		s->length = stk_rd_u64(r);
		s->crc = stk_rd_u64(r);
		if (s->offset != at || s->length > f->file_len - at)
			return stk_err_set(err, -EINVAL, "snapshot state: section %u lies outside the file", i);
		at += s->length;
		for (unsigned k = 0; k < i; k++) {
			if (f->section[k].type == s->type && f->section[k].instance == s->instance)
				return stk_err_set(err, -EINVAL, "snapshot state: section %s %u is there twice",
						   snap_section_name(s->type), s->instance);
		}
	}
	if (at != f->file_len)
		return stk_err_set(err, -EINVAL, "snapshot state: bytes behind the last section");
	return 0;
}

int snap_snapfile_parse(const uint8_t *buf, size_t len, uint64_t file_len, struct snap_file *f,
			struct stk_err *err)
{
	struct stk_rd r = stk_rd_init(buf, len);
	const uint8_t *magic = stk_rd_bytes(&r, 8);
	uint64_t head, crc, said_len;

	*f = (struct snap_file){.data = buf, .data_len = len, .file_len = file_len};
	f->arch = stk_rd_u32(&r);
	f->version = stk_rd_u32(&r);
	f->count = stk_rd_u32(&r);
	(void)stk_rd_u32(&r); /* reserved, covered by the checksum */
	said_len = stk_rd_u64(&r);
	if (r.bad || len > file_len || memcmp(magic, SNAP_MAGIC, 8) != 0)
		return stk_err_set(err, -EINVAL, "not a Stoker snapshot state file");
	if (f->arch != SNAP_ARCH_X86_64)
		return stk_err_set(err, -ENOTSUP, "snapshot is for machine type %u, this is x86_64 (%u)", f->arch,
				   SNAP_ARCH_X86_64);
	if (f->version != SNAP_VERSION)
		return stk_err_set(err, -ENOTSUP, "snapshot has format version %u, this program reads version %u",
				   f->version, SNAP_VERSION);
	if (f->count == 0 || f->count > SNAP_MAX_SECTIONS)
		return stk_err_set(err, -EINVAL, "snapshot state: %u sections", f->count);
	head = SNAP_HEADER_LEN + (uint64_t)f->count * SNAP_ENTRY_LEN + 8;
	if (head > len || said_len != file_len)
		return stk_err_set(err, -EINVAL, "snapshot state: file is cut off or has bytes too many");
	crc = stk_crc64(0, buf, (size_t)head - 8);
	struct stk_rd tail = stk_rd_init(buf + head - 8, 8);

	if (crc != stk_rd_u64(&tail))
		return stk_err_set(err, -EBADMSG, "snapshot state: the header's checksum is wrong: the file is damaged");
	return parse_table(&r, head, f, err);
}

/* Bytes of the file that hold everything but RUNS. */
static uint64_t needed_len(const struct snap_file *f, bool with_runs)
{
	uint64_t end = 0;

	if (with_runs)
		return f->file_len;
	for (unsigned i = 0; i < f->count; i++) {
		const struct snap_section *s = &f->section[i];

		if (s->type != SNAP_SECTION_RUNS && s->offset + s->length > end)
			end = s->offset + s->length;
	}
	return end;
}

int snap_snapfile_open(const char *path, bool with_runs, struct snap_file *ret_file, struct stk_err *err)
{
	stk_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return stk_err_sys(err, -errno, "snapshot state %s", path);
	return snap_snapfile_read(fd, path, with_runs, ret_file, err);
}

int snap_snapfile_read(int fd, const char *path, bool with_runs, struct snap_file *ret_file, struct stk_err *err)
{
	stk_autofree uint8_t *buf = NULL;
	struct snap_file f;
	struct stat st;
	uint64_t size, want;
	int r;

	if (fstat(fd, &st) < 0)
		return stk_err_sys(err, -errno, "snapshot state %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)SNAP_HEADER_LEN || st.st_size > (off_t)SNAP_MAX_SIZE)
		return stk_err_set(err, -EINVAL, "snapshot state %s: not a file of %u bytes to %u MiB", path,
				   SNAP_HEADER_LEN, SNAP_MAX_SIZE >> 20);
	size = (uint64_t)st.st_size;
	want = with_runs || size < FIRST_READ ? size : FIRST_READ;
	buf = malloc((size_t)want);
	if (!buf)
		return stk_err_sys(err, -ENOMEM, "snapshot state %s", path);
	r = stk_pread_full(fd, buf, (size_t)want, 0);
	if (r < 0)
		return stk_err_sys(err, r, "snapshot state %s", path);
	r = snap_snapfile_parse(buf, (size_t)want, size, &f, err);
	if (r < 0)
		goto fail;
	if (needed_len(&f, with_runs) > want) {
		uint64_t all = needed_len(&f, with_runs);
		uint8_t *more = realloc(buf, (size_t)all);

		if (!more)
			return stk_err_sys(err, -ENOMEM, "snapshot state %s", path);
		buf = more;
		r = stk_pread_full(fd, buf + want, (size_t)(all - want), (off_t)want);
		if (r < 0)
			return stk_err_sys(err, r, "snapshot state %s", path);
		f.data = buf;
		f.data_len = (size_t)all;
	}
	f.owned = stk_take_ptr(&buf);
	*ret_file = f;
	return 0;
fail:
	stk_err_prefix(err, "%s", path);
	return r;
}

void snap_snapfile_close(struct snap_file *file)
{
	free(file->owned);
	file->owned = NULL;
	file->data = NULL;
	file->data_len = 0;
	file->count = 0;
}

const struct snap_section *snap_snapfile_find(const struct snap_file *file, uint32_t type, uint32_t instance)
{
	for (unsigned i = 0; i < file->count; i++) {
		if (file->section[i].type == type && file->section[i].instance == instance)
			return &file->section[i];
	}
	return NULL;
}

unsigned snap_snapfile_count(const struct snap_file *file, uint32_t type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < file->count; i++)
		n += file->section[i].type == type;
	return n;
}

/* The checksum covers type and instance too; offset and length are in the header's. */
static uint64_t section_crc(uint32_t type, uint32_t instance, const void *data, size_t len)
{
	uint8_t id[8];
	struct stk_wr w = stk_wr_init(id, sizeof(id));

	stk_wr_u32(&w, type);
	stk_wr_u32(&w, instance);
	return stk_crc64(stk_crc64(0, id, sizeof(id)), data, len);
}

static int section_check(const struct snap_file *file, const struct snap_section *s, struct stk_err *err)
{
	const char *name = snap_section_name(s->type);

	if (s->offset + s->length > file->data_len)
		return stk_err_set(err, -ENODATA, "snapshot state: section %s %u was not read", name, s->instance);
	if (section_crc(s->type, s->instance, file->data + s->offset, (size_t)s->length) != s->crc)
		return stk_err_set(err, -EBADMSG,
				   "snapshot state: the checksum of section %s %u is wrong: the file is damaged",
				   name, s->instance);
	return 0;
}

int snap_snapfile_section(const struct snap_file *file, uint32_t type, uint32_t instance,
			  struct stk_rd *ret_rd, struct stk_err *err)
{
	const struct snap_section *s = snap_snapfile_find(file, type, instance);
	int r;

	if (!s)
		return stk_err_set(err, -ENOENT, "snapshot state: section %s %u is missing",
				   snap_section_name(type), instance);
	r = section_check(file, s, err);
	if (r < 0)
		return r;
	*ret_rd = stk_rd_init(file->data + s->offset, (size_t)s->length);
	return 0;
}

int snap_snapfile_verify(const struct snap_file *file, struct stk_err *err)
{
	for (unsigned i = 0; i < file->count; i++) {
		int r = section_check(file, &file->section[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- writing ---- */

int snap_writer_init(struct snap_writer *w, struct stk_err *err)
{
	memset(w, 0, sizeof(*w));
	w->buf = malloc(SNAP_MAX_SIZE);
	if (!w->buf)
		return stk_err_sys(err, -ENOMEM, "snapshot state");
	w->used = HEAD_MAX;
	return 0;
}

struct stk_wr *snap_writer_begin(struct snap_writer *w, uint32_t type, uint32_t instance)
{
	w->start = w->used;
	w->wr = stk_wr_init(w->buf + w->used, SNAP_MAX_SIZE - w->used);
	if (w->count == SNAP_MAX_SECTIONS) {
		w->wr.bad = true;
		return &w->wr;
	}
	w->section[w->count].type = type;
	w->section[w->count].instance = instance;
	return &w->wr;
}

int snap_writer_end(struct snap_writer *w, struct stk_err *err)
{
	struct snap_section *s = &w->section[w->count];

	if (w->wr.bad)
		return stk_err_set(err, -EFBIG, "snapshot state would be larger than %u MiB", SNAP_MAX_SIZE >> 20);
	s->length = w->wr.len;
	s->crc = section_crc(s->type, s->instance, w->buf + w->start, w->wr.len);
	w->used += w->wr.len;
	w->count++;
	return 0;
}

void snap_writer_finish(struct snap_writer *w, const uint8_t **ret_data, size_t *ret_len)
{
	size_t head = SNAP_HEADER_LEN + w->count * SNAP_ENTRY_LEN + 8;
	size_t len = head + w->used - HEAD_MAX;
	uint8_t *p = w->buf + HEAD_MAX - head;
	struct stk_wr h = stk_wr_init(p, head);
	uint64_t at = head;

	stk_wr_bytes(&h, SNAP_MAGIC, 8);
	stk_wr_u32(&h, SNAP_ARCH_X86_64);
	stk_wr_u32(&h, SNAP_VERSION);
	stk_wr_u32(&h, w->count);
	stk_wr_u32(&h, 0);
	stk_wr_u64(&h, len);
	for (unsigned i = 0; i < w->count; i++) {
		struct snap_section *s = &w->section[i];

		s->offset = at;
		at += s->length;
		stk_wr_u32(&h, s->type);
		stk_wr_u32(&h, s->instance);
		stk_wr_u64(&h, s->offset);
		stk_wr_u64(&h, s->length);
		stk_wr_u64(&h, s->crc);
	}
	stk_wr_u64(&h, stk_crc64(0, p, head - 8));
	*ret_data = p;
	*ret_len = len;
}

int snap_writer_commit(struct snap_writer *w, const char *path, struct stk_err *err)
{
	const uint8_t *data = NULL;
	size_t len = 0;
	int r;

	snap_writer_finish(w, &data, &len);
	r = stk_write_file_atomic(path, data, len, SNAP_FILE_MODE);
	return r < 0 ? stk_err_sys(err, r, "cannot write %s", path) : 0;
}

void snap_writer_fini(struct snap_writer *w)
{
	free(w->buf);
	w->buf = NULL;
}
