/* Hostile zips: see zipread.h. */
#include "scheduler/zipread.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"

#define PATH_LEN_MAX 1024
#define LINK_LEN_MAX 1024

struct unpack {
	struct archive *ar;
	int root;
	struct zipread_limits limits;
	uint64_t bytes;
	unsigned entries;
	struct stk_err *err;
};

static void free_archive(struct archive **ar)
{
	if (*ar)
		archive_read_free(*ar);
}
#define AUTO_ARCHIVE __attribute__((cleanup(free_archive))) struct archive *

/* Checks the path and splits it in place. Returns the number of parts (0: the root itself). */
static int split_path(struct unpack *u, const char *path, char *buf, const char *part[ZIPREAD_MAX_DEPTH])
{
	int count = 0;
	char *save = NULL;

	if (path[0] == '/')
		return stk_err_set(u->err, -EINVAL, "zip: absolute path \"%.100s\"", path);
	if (strchr(path, '\\'))
		return stk_err_set(u->err, -EINVAL, "zip: backslash in path \"%.100s\"", path);
	if (stk_strcpy(buf, PATH_LEN_MAX, path))
		return stk_err_set(u->err, -EINVAL, "zip: path longer than %d bytes", PATH_LEN_MAX - 1);
	for (char *p = strtok_r(buf, "/", &save); p; p = strtok_r(NULL, "/", &save)) {
		if (strcmp(p, ".") == 0)
			continue;
		if (strcmp(p, "..") == 0)
			return stk_err_set(u->err, -EINVAL, "zip: \"..\" in path \"%.100s\"", path);
		if (strlen(p) > 255)
			return stk_err_set(u->err, -EINVAL, "zip: a file name is longer than 255 bytes");
		if (count == (int)ZIPREAD_MAX_DEPTH)
			return stk_err_set(u->err, -EINVAL, "zip: folders nested deeper than %u",
					   ZIPREAD_MAX_DEPTH);
		part[count++] = p;
	}
	return count;
}

/* Opens (making them) the first n folders below the root; never follows a link. */
static int open_folder(struct unpack *u, const char *const *part, int n, int *ret_fd)
{
	stk_autofd fd = fcntl(u->root, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return stk_err_sys(u->err, -errno, "unpack");
	for (int i = 0; i < n; i++) {
		bool made = mkdirat(fd, part[i], 0755) == 0;
		int next;

		if (!made && errno != EEXIST)
			return stk_err_sys(u->err, -errno, "unpack: folder %s", part[i]);
		next = openat(fd, part[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && (errno == ENOTDIR || errno == ELOOP))
			return stk_err_set(u->err, -EINVAL, "zip: \"%s\" is used as a folder but is a file or link",
					   part[i]);
		if (next < 0)
			return stk_err_sys(u->err, -errno, "unpack: folder %s", part[i]);
		close(fd);
		fd = next;
		if (made && fchmod(fd, 0755)) /* whatever the umask is: the guest's user must get in */
			return stk_err_sys(u->err, -errno, "unpack: folder %s", part[i]);
	}
	*ret_fd = stk_take_fd(&fd);
	return 0;
}

static int refused(struct unpack *u, const char *what)
{
	const char *text = archive_error_string(u->ar);

	return stk_err_set(u->err, -EINVAL, "zip: %s: %s", what, text ? text : "damaged");
}

static int copy_data(struct unpack *u, int fd, const char *name)
{
	char buf[65536];

	for (;;) {
		la_ssize_t n = archive_read_data(u->ar, buf, sizeof(buf));
		int rc;

		if (n == ARCHIVE_RETRY)
			continue;
		if (n < 0)
			return refused(u, name);
		if (n == 0)
			return 0;
		u->bytes += (uint64_t)n;
		if (u->bytes > u->limits.max_bytes)
			return stk_err_set(u->err, -EINVAL, "zip: unpacks to more than %llu MiB",
					   (unsigned long long)(u->limits.max_bytes >> 20));
		rc = stk_write_full(fd, buf, (size_t)n);
		if (rc)
			return stk_err_sys(u->err, rc, "unpack: %s", name);
	}
}

static int make_file(struct unpack *u, int dir, const char *name, struct archive_entry *e)
{
	mode_t mode = archive_entry_perm(e) & 0111 ? 0755 : 0644;
	stk_autofd fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0 && errno == EEXIST)
		return stk_err_set(u->err, -EINVAL, "zip: \"%s\" is there twice", name);
	if (fd < 0)
		return stk_err_sys(u->err, -errno, "unpack: %s", name);
	if (fchmod(fd, mode)) /* whatever the umask is */
		return stk_err_sys(u->err, -errno, "unpack: %s", name);
	return copy_data(u, fd, name);
}

/* Where would the link lead, by its text alone, from a folder `depth` below the root? */
static bool link_stays_inside(const char *target, int depth)
{
	if (target[0] == '/' || target[0] == '\0')
		return false;
	while (*target) {
		size_t n = strcspn(target, "/");

		if (n == 2 && memcmp(target, "..", 2) == 0) {
			if (--depth < 0)
				return false;
		} else if (n && !(n == 1 && target[0] == '.')) {
			depth++;
		}
		target += n;
		while (*target == '/')
			target++;
	}
	return true;
}

static int make_link(struct unpack *u, int dir, const char *name, int depth, struct archive_entry *e)
{
	const char *target = archive_entry_symlink(e);

	if (!target || strlen(target) >= LINK_LEN_MAX || !link_stays_inside(target, depth))
		return stk_err_set(u->err, -EINVAL, "zip: link \"%s\" points out of the package", name);
	if (symlinkat(target, dir, name)) {
		if (errno == EEXIST)
			return stk_err_set(u->err, -EINVAL, "zip: \"%s\" is there twice", name);
		return stk_err_sys(u->err, -errno, "unpack: link %s", name);
	}
	return 0;
}

static int unpack_entry(struct unpack *u, struct archive_entry *e)
{
	const char *path = archive_entry_pathname_utf8(e), *part[ZIPREAD_MAX_DEPTH];
	char buf[PATH_LEN_MAX];
	stk_autofd dir = -1;
	int count, rc;

	if (!path)
		path = archive_entry_pathname(e);
	if (!path || !*path)
		return stk_err_set(u->err, -EINVAL, "zip: an entry has no usable name");
	if (++u->entries > u->limits.max_entries)
		return stk_err_set(u->err, -EINVAL, "zip: more than %u entries", u->limits.max_entries);
	if (archive_entry_is_encrypted(e))
		return stk_err_set(u->err, -EINVAL, "zip: \"%.100s\" is encrypted", path);
	if (archive_entry_hardlink(e))
		return stk_err_set(u->err, -EINVAL, "zip: \"%.100s\" is a hard link", path);
	count = split_path(u, path, buf, part);
	if (count < 0)
		return count;
	switch (archive_entry_filetype(e)) {
	case AE_IFDIR:
		return open_folder(u, part, count, &dir);
	case AE_IFREG:
	case AE_IFLNK:
		if (count == 0)
			return stk_err_set(u->err, -EINVAL, "zip: an entry has no usable name");
		rc = open_folder(u, part, count - 1, &dir);
		if (rc)
			return rc;
		if (archive_entry_filetype(e) == AE_IFLNK)
			return make_link(u, dir, part[count - 1], count - 1, e);
		return make_file(u, dir, part[count - 1], e);
	default:
		return stk_err_set(u->err, -EINVAL, "zip: \"%.100s\" is not a file, folder or link", path);
	}
}

static int unpack_all(struct unpack *u)
{
	struct archive_entry *e;
	int r;

	while ((r = archive_read_next_header(u->ar, &e)) != ARCHIVE_EOF) {
		int rc;

		if (r == ARCHIVE_RETRY)
			continue;
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return refused(u, "cannot be read");
		rc = unpack_entry(u, e);
		if (rc)
			return rc;
	}
	if (u->entries == 0)
		return stk_err_set(u->err, -EINVAL, "zip: empty");
	return 0;
}

static struct archive *new_reader(void)
{
	struct archive *ar = archive_read_new();

	/* Only by the directory at its end: a zip that was cut off must not pass for a smaller one. */
	if (ar && archive_read_support_format_zip_seekable(ar) != ARCHIVE_OK) {
		archive_read_free(ar);
		return NULL;
	}
	return ar;
}

static int run(struct archive *ar, const char *dest, const struct zipread_limits *limits, struct zipread_limits *ret_left,
	       struct stk_err *err)
{
	stk_autofd root = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct unpack u = {.ar = ar, .root = root, .limits = *limits, .err = err};

	int rc;

	if (root < 0)
		return stk_err_sys(err, -errno, "folder %s", dest);
	rc = unpack_all(&u);
	if (rc == 0 && ret_left)
		*ret_left = (struct zipread_limits){limits->max_bytes - u.bytes, limits->max_entries - u.entries};
	return rc;
}

int zipread_unpack(const char *zip_path, const char *dest, struct zipread_limits *left, struct stk_err *err)
{
	const struct zipread_limits limits = *left;
	AUTO_ARCHIVE ar = new_reader();

	if (!ar)
		return stk_err_set(err, -ENOMEM, "out of memory");
	if (archive_read_open_filename(ar, zip_path, 65536) != ARCHIVE_OK)
		return stk_err_set(err, -EINVAL, "not a zip file: %s", archive_error_string(ar));
	return run(ar, dest, &limits, left, err);
}

int zipread_unpack_memory(const void *data, size_t len, const char *dest, const struct zipread_limits *limits,
			  struct stk_err *err)
{
	AUTO_ARCHIVE ar = new_reader();

	if (!ar)
		return stk_err_set(err, -ENOMEM, "out of memory");
	if (archive_read_open_memory(ar, data, len) != ARCHIVE_OK)
		return stk_err_set(err, -EINVAL, "not a zip file: %s", archive_error_string(ar));
	return run(ar, dest, limits, NULL, err);
}
