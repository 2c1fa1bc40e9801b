/* The image of a function's code, erofs, as stokerd makes it and stoker-init mounts it. Without layers its root is
 * /var/task. With layers the root has two folders, task and opt, which are mounted on /var/task and /opt; the UUID in the
 * superblock, which nothing in a package has a say in, tells that it is one of these. */
#ifndef COMMON_BASE_CODEIMAGE_H
#define COMMON_BASE_CODEIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CODEIMAGE_UUID_PLAIN  "00000000-0000-0000-0000-000000000000"
#define CODEIMAGE_UUID_LAYERS "00000000-0000-0000-0000-000000000001"
#define CODEIMAGE_SUPER_AT    1024 /* bytes from the image's start */
#define CODEIMAGE_SUPER_LEN   64   /* as much of the superblock as is looked at */

/* linux/fs/erofs/erofs_fs.h: struct erofs_super_block */
static inline bool codeimage_has_layers(const uint8_t super[CODEIMAGE_SUPER_LEN])
{
	static const uint8_t magic[4] = {0xe2, 0xe1, 0xf5, 0xe0}, uuid[16] = {[15] = 1};

	return memcmp(super, magic, sizeof(magic)) == 0 && memcmp(super + 48, uuid, sizeof(uuid)) == 0;
}

#endif
