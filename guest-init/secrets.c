/* Secrets as files: see secrets.h. */
#include "guest-init/secrets.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"

static bool name_ok(const struct gw_kv *kv)
{
	for (unsigned i = 0; i < kv->key_len; i++) {
		if (!isalnum((unsigned char)kv->key[i]) && kv->key[i] != '_')
			return false;
	}
	return kv->key_len > 0 && kv->key_len <= GW_MAX_SECRET_NAME;
}

static int write_one(int folder, const struct gw_kv *kv, uid_t uid, gid_t gid)
{
	char name[GW_MAX_SECRET_NAME + 1];
	stk_autofd fd = -1;

	if (!name_ok(kv))
		return -EINVAL;
	memcpy(name, kv->key, kv->key_len);
	name[kv->key_len] = '\0';
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd < 0 || (uid != (uid_t)-1 && fchown(fd, uid, gid) < 0))
		return -errno;
	return stk_write_full(fd, kv->value, kv->value_len);
}

int secrets_write(const char *folder, const struct gw_secrets *secrets, uid_t uid, gid_t gid)
{
	stk_autofd fd = -1;
	int rc = 0;

	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (unsigned i = 0; rc == 0 && i < secrets->kv_count; i++)
		rc = write_one(fd, &secrets->kv[i], uid, gid);
	return rc;
}
