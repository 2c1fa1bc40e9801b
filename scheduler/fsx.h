/* Folders and trees on disk. All of it blocks: start-up and pool threads only. */
#ifndef SCHEDULER_FSX_H
#define SCHEDULER_FSX_H

#include <stdint.h>
#include <sys/types.h>

/* mkdir -p. 0 or negative errno. */
int fsx_mkdirs(const char *path, mode_t mode);
/* rm -rf without following links or crossing into them. 0 when it is gone (or never was). */
int fsx_remove_tree(const char *path);
/* fsync of every regular file and folder below path, path included. */
int fsx_sync_tree(const char *path);
/* CRC-64 of a regular file's bytes. */
int fsx_crc64(const char *path, uint64_t *ret_crc);
/* SHA-256 of a regular file's bytes, 32 of them. */
int fsx_sha256(const char *path, uint8_t *ret_hash);

#endif
