/* Programs in huge pages: see hotfiles.h; tmpfs(5) on "huge=". */
#include "guest-init/hotfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"

#define SELF_FOLDER "/hot"
#define FOLDER      "/run/stoker/hot"
#define HUGE        (2u << 20)
#define SHARE       8 /* of the guest's memory, one part of so many at most */

static const char started[] = "stoker-init"; /* argv[0] the second time */

static int mount_huge(const char *folder)
{
	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	return mount("hot", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOATIME, "mode=0755,huge=always") < 0 ? -errno : 0;
}

/* 0 with a copy of that regular file; its mode is kept but for who may write. */
static int copy(int from, const struct stat *st, const char *to)
{
	stk_autofd fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t left = st->st_size;

	if (fd < 0)
		return -errno;
	while (left > 0) {
		ssize_t n = sendfile(fd, from, NULL, (size_t)left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		left -= n;
	}
	posix_fadvise(from, 0, 0, POSIX_FADV_DONTNEED); /* once in memory is enough */
	return fchmod(fd, st->st_mode & 0555) < 0 ? -errno : 0;
}

void hotfiles_self(char **argv)
{
	char name[] = SELF_FOLDER "/init", *args[] = {(char *)(uintptr_t)started, NULL};
	struct stat st;
	int rc = 0;

	if (strcmp(argv[0], started) == 0)
		return;
	stk_autofd fd = open(argv[0], O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		rc = -errno;
	if (rc == 0)
		rc = mount_huge(SELF_FOLDER);
	if (rc == 0)
		rc = copy(fd, &st, name);
	if (rc == 0) {
		unlink(argv[0]); /* its memory comes back with the exec */
		execv(name, args);
		rc = -errno;
	}
	stk_warn("stays in ordinary pages: %s", strerror(-rc));
}

/* How much of the guest's memory may go into huge pages, in bytes. */
static uint64_t budget(void)
{
	struct sysinfo si;

	return sysinfo(&si) < 0 ? 0 : (uint64_t)si.totalram * si.mem_unit / SHARE;
}

static int replace_by_copy(const char *path, unsigned number, bool only_programs, uint64_t *left)
{
	stk_autofree char *real = realpath(path, NULL);
	stk_autofd fd = real ? open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	char to[64], magic[4];
	struct stat st;
	uint64_t size;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	size = ((uint64_t)st.st_size + HUGE - 1) / HUGE * HUGE;
	if (!S_ISREG(st.st_mode) || size > *left)
		return -EFBIG;
	if (only_programs && (pread(fd, magic, 4, 0) != 4 || memcmp(magic, "\177ELF", 4) != 0))
		return 0;
	snprintf(to, sizeof(to), FOLDER "/%u", number);
	rc = copy(fd, &st, to);
	if (rc == 0 && (mount(to, real, NULL, MS_BIND, NULL) < 0 ||
			mount(NULL, real, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0))
		rc = -errno;
	if (rc == 0)
		*left -= size;
	return rc;
}

static void replace(const char *path, unsigned number, bool only_programs, uint64_t *left)
{
	int rc = replace_by_copy(path, number, only_programs, left);

	if (rc < 0)
		stk_info("%s stays in ordinary pages: %s", path, strerror(-rc));
}

void hotfiles_runtime(const char *bootstrap, const char *list)
{
	stk_autofile f = fopen(list, "re");
	uint64_t left = budget();
	char line[PATH_MAX];
	unsigned number = 0;
	int rc = mount_huge(FOLDER);

	if (rc < 0) {
		stk_info("no huge pages for the runtime: %s", strerror(-rc));
		return;
	}
	replace(bootstrap, number++, true, &left);
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			replace(line, number++, false, &left);
	}
}
