/* The crash-safe copy of the registry: SQLite, WAL, synchronous FULL. What store_put or store_delete
 * acknowledged survives a kill or a power cut. Thread-safe (one lock); every call may wait for the
 * disk, so that stokerd calls them on pool threads, except store_open and store_load at start. */
#ifndef SCHEDULER_STORE_H
#define SCHEDULER_STORE_H

#include "common/base/err.h"
#include "scheduler/registry.h"

#define STORE_SCHEMA 2

struct store;

/* A row; env is part of settings. */
struct store_version {
	char name[FN_NAME_MAX + 1];
	unsigned number;
	struct fn_settings settings;
	int64_t created_ms;
	uint64_t code_size, zip_crc, img_crc;
};

/* Creates the file when it is missing, brings one of an older Stoker up to date. -EPROTO when its schema is of a newer Stoker. */
int store_open(const char *path, struct store **ret_store, struct stk_err *err);
void store_close(struct store *s);
/* Calls `version` for each function's active version, and `name` for each name ever used with its
 * last version number. A non-zero return stops and is returned. */
int store_load(struct store *s, int (*name)(void *ctx, const char *name, unsigned last_version),
	       int (*version)(void *ctx, const struct store_version *v), void *ctx, struct stk_err *err);
/* Makes v the active version of its function, in one transaction. */
int store_put(struct store *s, const struct store_version *v, struct stk_err *err);
int store_delete(struct store *s, const char *name, struct stk_err *err);

#endif
