/* A folder as a zip in memory, or a zip as it is. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "scheduler/cli/cli.h"

#define MAX_ZIP (50u * 1024 * 1024)

struct buffer {
	char *data;
	size_t len, cap;
};

static la_ssize_t write_buffer(struct archive *a, void *ctx, const void *data, size_t len)
{
	struct buffer *b = ctx;

	if (b->len + len > MAX_ZIP) {
		archive_set_error(a, EFBIG, "the package is larger than 50 MiB zipped");
		return -1;
	}
	if (b->len + len > b->cap) {
		size_t cap = b->cap * 2 > b->len + len ? b->cap * 2 : b->len + len + 65536;
		char *grown = realloc(b->data, cap);

		if (!grown) {
			archive_set_error(a, ENOMEM, "out of memory");
			return -1;
		}
		b->data = grown;
		b->cap = cap;
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return (la_ssize_t)len;
}

static int copy_file(struct archive *out, const char *path, struct stk_err *err)
{
	stk_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char buf[65536];
	ssize_t n;

	if (fd < 0)
		return stk_err_sys(err, -errno, "%s", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (archive_write_data(out, buf, (size_t)n) < 0)
			return stk_err_set(err, -EIO, "%s", archive_error_string(out));
	}
	return n < 0 ? stk_err_sys(err, -errno, "%s", path) : 0;
}

/* Walks the folder; names in the zip are relative to it. */
static int add_tree(struct archive *disk, struct archive *out, const char *root, struct stk_err *err)
{
	size_t skip = strlen(root);
	int r;

	for (;;) {
		struct archive_entry *e = archive_entry_new2(disk);
		char path[4096];
		const char *name;
		int rc = 0;

		if (!e)
			return stk_err_set(err, -ENOMEM, "out of memory");
		r = archive_read_next_header2(disk, e);
		if (r == ARCHIVE_EOF) {
			archive_entry_free(e);
			return 0;
		}
		if (r != ARCHIVE_OK) {
			stk_err_set(err, -EIO, "%s", archive_error_string(disk));
			archive_entry_free(e);
			return -EIO;
		}
		archive_read_disk_descend(disk);
		snprintf(path, sizeof(path), "%s", archive_entry_pathname(e) ? archive_entry_pathname(e) : "");
		name = strlen(path) > skip ? path + skip : "";
		while (*name == '/')
			name++;
		if (*name && strncmp(name, "__pycache__", 11) != 0 && !strstr(name, "/__pycache__")) {
			archive_entry_set_pathname(e, name);
			if (archive_entry_filetype(e) != AE_IFREG && archive_entry_filetype(e) != AE_IFDIR &&
			    archive_entry_filetype(e) != AE_IFLNK)
				rc = stk_err_set(err, -EINVAL, "%s is not a file, folder or link", path);
			else if (archive_write_header(out, e) != ARCHIVE_OK)
				rc = stk_err_set(err, -EIO, "%s: %s", path, archive_error_string(out));
			else if (archive_entry_filetype(e) == AE_IFREG)
				rc = copy_file(out, path, err);
		}
		archive_entry_free(e);
		if (rc)
			return rc;
	}
}

static int pack_folder(const char *path, struct buffer *b, struct stk_err *err)
{
	struct archive *disk = archive_read_disk_new(), *out = archive_write_new();
	char root[4096];
	size_t n;
	int rc = 0;

	snprintf(root, sizeof(root), "%s", path);
	n = strlen(root);
	while (n > 1 && root[n - 1] == '/')
		root[--n] = '\0';
	if (!disk || !out)
		rc = stk_err_set(err, -ENOMEM, "out of memory");
	if (rc == 0) {
		archive_read_disk_set_symlink_physical(disk);
		archive_write_set_format_zip(out);
		archive_write_set_bytes_in_last_block(out, 1);
		if (archive_write_open(out, b, NULL, write_buffer, NULL) != ARCHIVE_OK)
			rc = stk_err_set(err, -EIO, "%s", archive_error_string(out));
		else if (archive_read_disk_open(disk, root) != ARCHIVE_OK)
			rc = stk_err_set(err, -EIO, "%s", archive_error_string(disk));
	}
	if (rc == 0)
		rc = add_tree(disk, out, root, err);
	if (rc == 0 && archive_write_close(out) != ARCHIVE_OK)
		rc = stk_err_set(err, -EIO, "%s", archive_error_string(out));
	archive_write_free(out);
	archive_read_free(disk);
	return rc;
}

int cli_pack(const char *path, void **ret_data, size_t *ret_len, struct stk_err *err)
{
	struct buffer b = {0};
	struct stat st;
	int rc;

	if (stat(path, &st))
		return stk_err_sys(err, -errno, "%s", path);
	if (S_ISDIR(st.st_mode)) {
		rc = pack_folder(path, &b, err);
	} else {
		rc = stk_read_file(path, MAX_ZIP, &b.data, &b.len);
		if (rc)
			stk_err_sys(err, rc, "%s", path);
		else if (b.len < 4 || memcmp(b.data, "PK", 2) != 0)
			rc = stk_err_set(err, -EINVAL, "%s is neither a folder nor a zip file", path);
	}
	if (rc) {
		free(b.data);
		return rc;
	}
	*ret_data = b.data;
	*ret_len = b.len;
	return 0;
}
