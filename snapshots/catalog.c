/* A snapshot folder: see catalog.h. */
#include "snapshots/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/crc64.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "snapshots/empty.h"
#include "snapshots/manifest.h"
#include "snapshots/memfile.h"
#include "snapshots/snapfile.h"
#include "snapshots/state.h"
#include "snapshots/workingset.h"

#define CHECKSUMS_MAX 512u

static const char *const all_files[] = {"manifest.json", "state", "memory", "working-set", "checksums"};
static const char *const summed[] = {"manifest.json", "state", "working-set"};
static const size_t summed_max[] = {SNAP_MANIFEST_MAX, SNAP_MAX_SIZE, SNAP_WORKINGSET_MAX_SIZE};

static int open_regular(const char *dir, const char *name, int *ret_fd, struct stk_err *err)
{
	char path[PATH_MAX];
	stk_autofd fd = -1;
	struct stat st;
	int r = stk_snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (r < 0)
		return stk_err_sys(err, r, "%s", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	if (fd < 0)
		return stk_err_sys(err, -errno, "%s", path);
	if (fstat(fd, &st) < 0)
		return stk_err_sys(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return stk_err_set(err, -EINVAL, "%s: not a regular file", path);
	*ret_fd = stk_take_fd(&fd);
	return 0;
}

/* ---- checksums ---- */

/* The line that belongs into `checksums` for this file. */
static int make_line(const char *dir, unsigned i, char *line, size_t cap, struct stk_err *err)
{
	stk_autofree char *data = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	int r = stk_snprintf(path, sizeof(path), "%s/%s", dir, summed[i]);

	if (r == 0)
		r = stk_read_file(path, summed_max[i], &data, &len);
	if (r < 0)
		return stk_err_sys(err, r, "%s/%s", dir, summed[i]);
	snprintf(line, cap, "crc64 %016" PRIx64 " %zu %s\n", stk_crc64(0, data, len), len, summed[i]);
	return 0;
}

int snap_catalog_write_checksums(const char *dir, struct stk_err *err)
{
	char text[CHECKSUMS_MAX], path[PATH_MAX];
	size_t len = 0;
	int r;

	for (unsigned i = 0; i < STK_ARRAY_LEN(summed); i++) {
		r = make_line(dir, i, text + len, sizeof(text) - len, err);
		if (r < 0)
			return r;
		len += strlen(text + len);
	}
	r = stk_snprintf(path, sizeof(path), "%s/checksums", dir);
	if (r == 0)
		r = stk_write_file_atomic(path, text, len, SNAP_FILE_MODE);
	return r < 0 ? stk_err_sys(err, r, "%s/checksums", dir) : 0;
}

/* ---- publishing ---- */

int snap_catalog_publish(const char *tmpdir, const char *dir, struct stk_err *err)
{
	stk_autofd folder = open(tmpdir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (folder < 0)
		return stk_err_sys(err, -errno, "%s", tmpdir);
	for (unsigned i = 0; i < STK_ARRAY_LEN(all_files); i++) {
		stk_autofd fd = -1;

		r = open_regular(tmpdir, all_files[i], &fd, err);
		if (r < 0)
			return r;
		if (fsync(fd) < 0)
			return stk_err_sys(err, -errno, "%s/%s", tmpdir, all_files[i]);
	}
	if (fsync(folder) < 0)
		return stk_err_sys(err, -errno, "%s", tmpdir);
	r = renameat2(AT_FDCWD, tmpdir, AT_FDCWD, dir, RENAME_NOREPLACE) < 0 ? -errno : 0;
	if (r == -EINVAL) { /* a file system without that flag: an existing folder with files refuses, too */
		struct stat st;

		r = lstat(dir, &st) == 0 ? -EEXIST : rename(tmpdir, dir) < 0 ? -errno : 0;
	}
	if (r < 0)
		return stk_err_sys(err, r, "publishing %s", dir);
	r = stk_fsync_parent(dir);
	return r < 0 ? stk_err_sys(err, r, "the folder of %s", dir) : 0;
}

int snap_catalog_remove(const char *dir, struct stk_err *err)
{
	stk_autofd folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (folder < 0)
		return errno == ENOENT ? 0 : stk_err_sys(err, -errno, "%s", dir);
	for (unsigned i = 0; i < STK_ARRAY_LEN(all_files); i++) {
		if (unlinkat(folder, all_files[i], 0) < 0 && errno != ENOENT)
			return stk_err_sys(err, -errno, "%s/%s", dir, all_files[i]);
	}
	if (rmdir(dir) < 0)
		return stk_err_sys(err, -errno, "%s", dir);
	return 0;
}

/* ---- verifying ---- */

/* What a damaged or incomplete file looks like to the readers below. */
static int as_damage(int r, struct stk_err *err)
{
	if (r == -ENOENT || r == -EINVAL || r == -ENODATA || r == -EFBIG || r == -ELOOP) {
		if (err)
			err->code = -EBADMSG;
		return -EBADMSG;
	}
	return r;
}

/* Where in the state file the damage is: its own checksums tell the section. */
static void locate_state(const char *dir, struct stk_err *err)
{
	struct snap_file f;
	struct stk_err where = {0, ""};
	char path[PATH_MAX];

	if (stk_snprintf(path, sizeof(path), "%s/state", dir) < 0)
		return;
	if (snap_snapfile_open(path, true, &f, &where) == 0) {
		if (snap_snapfile_verify(&f, &where) == 0)
			where.text[0] = '\0';
		snap_snapfile_close(&f);
	}
	if (where.text[0])
		stk_err_set(err, -EBADMSG, "%s: %s", dir, where.text);
}

static int verify_checksums(const char *dir, struct stk_err *err)
{
	stk_autofree char *said = NULL;
	char path[PATH_MAX], line[CHECKSUMS_MAX];
	size_t len = 0, at = 0;
	int r = stk_snprintf(path, sizeof(path), "%s/checksums", dir);

	if (r == 0)
		r = stk_read_file(path, CHECKSUMS_MAX, &said, &len);
	if (r < 0)
		return stk_err_sys(err, r, "%s", path);
	for (unsigned i = 0; i < STK_ARRAY_LEN(summed); i++) {
		size_t n;

		r = make_line(dir, i, line, sizeof(line), err);
		if (r < 0)
			return r;
		n = strlen(line);
		if (n > len - at || memcmp(said + at, line, n) != 0) {
			r = stk_err_set(err, -EBADMSG,
					"%s/%s: differs from its checksum (or %s is damaged at %zu to %zu)", dir,
					summed[i], path, at, at + n);
			if (i == 1)
				locate_state(dir, err);
			return r;
		}
		at += n;
	}
	if (at != len)
		return stk_err_set(err, -EBADMSG, "%s: bytes too many at %zu", path, at);
	return 0;
}

static int verify_memory(const char *dir, const struct snap_file *f, const struct snap_manifest *m,
			 struct stk_err *err)
{
	stk_autofree struct snap_memory *mem = calloc(1, sizeof(*mem));
	struct snap_runs runs = {0};
	struct snap_empty empty;
	struct stk_rd rd;
	stk_autofd fd = -1;
	int r = mem ? 0 : stk_err_sys(err, -ENOMEM, "verify");

	if (r == 0)
		r = snap_snapfile_section(f, SNAP_SECTION_MEMORY, 0, &rd, err);
	if (r == 0)
		r = snap_memory_decode(&rd, mem, err);
	if (r == 0)
		r = snap_snapfile_section(f, SNAP_SECTION_RUNS, 0, &rd, err);
	if (r == 0)
		r = snap_runs_decode(&rd, mem->total_size, &runs, err);
	if (r == 0)
		r = snap_empty_read(f, mem->region[0].length, &empty, err);
	if (r == 0)
		r = snap_empty_check(&empty, &runs, err);
	if (r == 0) {
		runs.data_size = 0;
		for (unsigned i = 0; i < runs.count; i++)
			runs.data_size += runs.run[i].length;
		if (m->memory_total_bytes != mem->total_size || m->memory_data_bytes != runs.data_size)
			r = stk_err_set(err, -EBADMSG, "manifest.json and state are not of one snapshot");
	}
	if (r == 0)
		r = open_regular(dir, "memory", &fd, err);
	if (r == 0)
		r = snap_memfile_verify(fd, runs.run, runs.count, mem->total_size, err);
	snap_runs_fini(&runs);
	return r;
}

int snap_catalog_verify(const char *dir, struct stk_err *err)
{
	stk_autofree struct snap_manifest *m = calloc(1, sizeof(*m));
	stk_autofree struct snap_file *f = calloc(1, sizeof(*f));
	char path[PATH_MAX];
	struct stat st;
	int r;

	if (!m || !f)
		return stk_err_sys(err, -ENOMEM, "verify");
	if (stat(dir, &st) < 0)
		return stk_err_sys(err, -errno, "%s", dir);
	if (!S_ISDIR(st.st_mode))
		return stk_err_set(err, -ENOTDIR, "%s: not a folder", dir);
	r = verify_checksums(dir, err);
	if (r < 0)
		return as_damage(r, err);
	r = snap_manifest_read(dir, m, err);
	if (r == 0)
		r = stk_snprintf(path, sizeof(path), "%s/state", dir);
	if (r == 0)
		r = snap_snapfile_open(path, true, f, err);
	if (r < 0)
		return as_damage(r, err);
	r = snap_snapfile_verify(f, err);
	if (r == 0)
		r = verify_memory(dir, f, m, err);
	snap_snapfile_close(f);
	if (r < 0)
		stk_err_prefix(err, "%s", dir);
	return as_damage(r, err);
}
