/* Folders and trees on disk: see fsx.h. */
#include "scheduler/fsx.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/evp.h>

#include "common/base/cleanup.h"
#include "common/base/crc64.h"
#include "common/base/str.h"

int fsx_mkdirs(const char *path, mode_t mode)
{
	char buf[1024];
	int rc = stk_strcpy(buf, sizeof(buf), path);

	if (rc || !buf[0])
		return rc ? rc : -EINVAL;
	for (char *p = buf + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(buf, mode) && errno != EEXIST)
			return -errno;
		*p = c;
		if (c == '\0')
			return 0;
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DNR)
		chmod(path, 0700);
	return remove(path) && errno != ENOENT ? -1 : 0;
}

/* A function's code may hold folders without write permission for us. */
static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if ((type == FTW_D || type == FTW_DNR) && (st->st_mode & 0700) != 0700)
		chmod(path, 0700);
	return 0;
}

int fsx_remove_tree(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (nftw(path, remove_one, 32, FTW_PHYS | FTW_DEPTH) == 0)
		return 0;
	nftw(path, open_up, 32, FTW_PHYS);
	if (nftw(path, remove_one, 32, FTW_PHYS | FTW_DEPTH) == 0)
		return 0;
	return errno ? -errno : -EIO;
}

static int sync_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	stk_autofd fd = -1;

	(void)st;
	(void)ftw;
	if (type != FTW_F && type != FTW_D && type != FTW_DP)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fsync(fd))
		return -1;
	return 0;
}

int fsx_sync_tree(const char *path)
{
	errno = 0;
	if (nftw(path, sync_one, 32, FTW_PHYS | FTW_DEPTH) == 0)
		return 0;
	return errno ? -errno : -EIO;
}

/* Feeds a regular file's bytes to `take`. */
static int each_piece(const char *path, int (*take)(void *ctx, const uint8_t *buf, size_t len), void *ctx)
{
	stk_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
	stk_autofree uint8_t *buf = malloc(1 << 18);
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (!buf)
		return -ENOMEM;
	while (rc == 0 && (n = read(fd, buf, 1 << 18))) {
		if (n > 0)
			rc = take(ctx, buf, (size_t)n);
		else if (errno != EINTR)
			rc = -errno;
	}
	return rc;
}

static int take_crc(void *ctx, const uint8_t *buf, size_t len)
{
	uint64_t *crc = ctx;

	*crc = stk_crc64(*crc, buf, len);
	return 0;
}

int fsx_crc64(const char *path, uint64_t *ret_crc)
{
	*ret_crc = 0;
	return each_piece(path, take_crc, ret_crc);
}

static int take_hash(void *ctx, const uint8_t *buf, size_t len)
{
	return EVP_DigestUpdate(ctx, buf, len) == 1 ? 0 : -EIO;
}

int fsx_sha256(const char *path, uint8_t *ret_hash)
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	int rc = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;

	if (rc == 0)
		rc = each_piece(path, take_hash, hash);
	if (rc == 0 && EVP_DigestFinal_ex(hash, ret_hash, NULL) != 1)
		rc = -EIO;
	EVP_MD_CTX_free(hash);
	return rc;
}
