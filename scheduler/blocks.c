/* Shared blocks of guest memory: see blocks.h; tmpfs(5) on "huge=", fsopen(2) as in Linux, Documentation. */
#include "scheduler/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/log.h"

struct blocks {
	pthread_mutex_t lock; /* guards count and what the store gets */
	int fd;
	uint8_t *map; /* all of the store */
	unsigned count;
};

/* A file in a tmpfs of huge pages that is mounted nowhere: it ends with its last descriptor. */
static int open_store(void)
{
	stk_autofd context = fsopen("tmpfs", FSOPEN_CLOEXEC), mount = -1;
	int fd;

	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "huge", "always", 0) < 0 ||
	    fsconfig(context, FSCONFIG_SET_STRING, "mode", "0700", 0) < 0 ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mount < 0)
		return -errno;
	fd = openat(mount, "memory", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

struct blocks *blocks_new(void)
{
	struct blocks *b = calloc(1, sizeof(*b));
	void *map = MAP_FAILED;
	int fd = b ? open_store() : -ENOMEM;

	if (fd >= 0 && ftruncate(fd, (off_t)BLOCKS_MAX * BLOCKS_UNIT) == 0)
		map = mmap(NULL, (size_t)BLOCKS_MAX * BLOCKS_UNIT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		stk_info("VMs share no huge pages: %s", strerror(fd < 0 ? -fd : errno));
		if (fd >= 0)
			close(fd);
		free(b);
		return NULL;
	}
	b->fd = fd;
	b->map = map;
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

void blocks_free(struct blocks *b)
{
	if (!b)
		return;
	munmap(b->map, (size_t)BLOCKS_MAX * BLOCKS_UNIT);
	close(b->fd);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

int blocks_fd(const struct blocks *b)
{
	return b->fd;
}

/* The lock is held. The number of the block with this content, or -1: not one of the first `room`. */
static int find_or_add(struct blocks *b, const uint8_t *content, unsigned room)
{
	for (unsigned i = 0; i < b->count; i++)
		if (memcmp(b->map + (size_t)i * BLOCKS_UNIT, content, BLOCKS_UNIT) == 0)
			return (int)i;
	if (b->count >= room)
		return -1;
	/* write(2) fails where a mapping would fault when memory is short */
	if (stk_pwrite_full(b->fd, content, BLOCKS_UNIT, (off_t)b->count * BLOCKS_UNIT) < 0)
		return -1;
	return (int)b->count++;
}

unsigned blocks_share(struct blocks *b, const char *path, const struct block_want *want, unsigned count,
		      struct block_use *ret_use)
{
	stk_autofd fd = b ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	stk_autofree uint8_t *content = fd >= 0 ? malloc(BLOCKS_UNIT) : NULL;
	unsigned n = 0;

	for (unsigned i = 0; content && i < count && n < BLOCKS_EACH; i++) {
		int at;

		if (stk_pread_full(fd, content, BLOCKS_UNIT, (off_t)want[i].guest * BLOCKS_UNIT) < 0)
			continue;
		pthread_mutex_lock(&b->lock);
		at = find_or_add(b, content, want[i].pages >= BLOCKS_MANY ? BLOCKS_MAX : BLOCKS_FEW);
		pthread_mutex_unlock(&b->lock);
		if (at >= 0)
			ret_use[n++] = (struct block_use){want[i].guest, (uint16_t)at};
	}
	return n;
}
