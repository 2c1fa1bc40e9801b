/* A snapshot as a folder: manifest.json, state, memory, checksums. Made under another name,
 * published by rename, never changed afterwards. Any thread; no global state. */
#ifndef SNAPSHOTS_CATALOG_H
#define SNAPSHOTS_CATALOG_H

#include "common/base/err.h"

/* Writes DIR/checksums: "crc64 <16 hex> <size> <file>" for manifest.json and state. The memory
 * file's checksums are inside state (section RUNS). */
int snap_catalog_write_checksums(const char *dir, struct stk_err *err);

/* Flushes the files of tmpdir to disk and renames it to dir (both in one file system), then flushes
 * the folder that holds it. dir must not exist: -EEXIST. After a crash there is either no dir or a
 * whole one. */
int snap_catalog_publish(const char *tmpdir, const char *dir, struct stk_err *err);

/* Compares everything with its checksum: the checksums file itself, manifest.json, the state file's
 * header and sections, each run of data in the memory file, and that all the rest of it is zero.
 * 0; -EBADMSG with a text naming file and place when anything differs or a file is missing;
 * -ENOTSUP for a format this program does not know; other errno (-ENOENT: no such folder). Reads
 * all data of the snapshot: once per life of a host, not per restore. */
int snap_catalog_verify(const char *dir, struct stk_err *err);

/* Removes a snapshot folder or what is left of one, with the known names in it and nothing else. */
int snap_catalog_remove(const char *dir, struct stk_err *err);

#endif
