/* The crash-safe copy of the registry: SQLite, WAL, synchronous FULL. A change is one transaction of rows; what
 * store_commit acknowledged survives a kill or a power cut. */
#ifndef SCHEDULER_STORE_H
#define SCHEDULER_STORE_H

#include "common/base/err.h"
#include "scheduler/registry.h"

#define STORE_SCHEMA 6

struct store;
struct store_tx;

/* Rows as they are read; pointers are valid during the call only. */
struct store_function {
	const char *name;
	unsigned latest, active; /* build numbers; 0: none */
	unsigned last_published;
	int reserved;            /* -1: not set */
};

struct store_version {
	const char *name; /* of the function */
	unsigned number, published;
	enum fn_state state;
	struct fn_settings settings;
	const char *extra; /* or NULL */
	const char *reason_code, *reason, *init_error; /* or NULL */
	int64_t created_ms;
	uint64_t code_size, zip_crc, img_crc;
	uint8_t sha256[FN_SHA256_LEN];
	char revision[FN_REVISION_LEN + 1];
};

struct store_sink {
	int (*name)(void *ctx, const char *name, unsigned last_version); /* each name that was ever used */
	int (*version)(void *ctx, const struct store_version *v);
	int (*function)(void *ctx, const struct store_function *f); /* behind all its versions */
	int (*alias)(void *ctx, const char *function, const struct fn_alias *a);
	int (*note)(void *ctx, const char *function, const struct fn_note *n);
};

/* Creates the file when it is missing, brings one of an older Stoker up to date. -EPROTO when its schema is of a newer
 * Stoker. Blocks, as store_load does: at start only. */
int store_open(const char *path, struct store **ret_store, struct stk_err *err);
void store_close(struct store *s);
/* A non-zero return of the sink stops and is returned. */
int store_load(struct store *s, const struct store_sink *sink, void *ctx, struct stk_err *err);

/* A transaction is collected on the loop (everything is copied) and committed on a worker thread. */
struct store_tx *store_tx_new(void); /* NULL: out of memory; all below take that, and commit fails */
void store_tx_free(struct store_tx *tx);
void store_tx_version(struct store_tx *tx, const struct fn_version *v);
/* Size and checksums of its files, if it is there. */
void store_tx_files(struct store_tx *tx, const struct fn_version *v);
/* What came of its build: state, reason, revision and files, if it is there. */
void store_tx_made(struct store_tx *tx, const struct fn_version *v);
/* As fn is, with these numbers in place of its own. Of one that is there the reserved concurrency stays as it is. */
void store_tx_function(struct store_tx *tx, const struct function *fn, unsigned latest, unsigned active,
		       unsigned last_published);
/* The function answers with its latest version, if that is this one. */
void store_tx_active(struct store_tx *tx, const char *name, unsigned number);
void store_tx_reserved(struct store_tx *tx, const char *name, int reserved); /* -1: not set */
/* Of a version that is there. */
void store_tx_version_revision(struct store_tx *tx, const char *name, unsigned number, const char *revision);
void store_tx_drop_version(struct store_tx *tx, const char *name, unsigned number);
/* The function with everything that belongs to it; its name keeps its last build number, and that of
 * its last published version. */
void store_tx_drop_function(struct store_tx *tx, const char *name);
void store_tx_alias(struct store_tx *tx, const char *name, const struct fn_alias *a);
void store_tx_alias_revision(struct store_tx *tx, const char *name, const char *alias, const char *revision);
void store_tx_drop_alias(struct store_tx *tx, const char *name, const char *alias);
/* json NULL: the row is removed. */
void store_tx_note(struct store_tx *tx, const char *name, const char *kind, const char *qualifier, const char *json);
/* All notes of a qualifier. */
void store_tx_drop_notes(struct store_tx *tx, const char *name, const char *qualifier);
/* Any thread; waits for the disk. The transaction is not freed. */
int store_commit(struct store *s, const struct store_tx *tx, struct stk_err *err);

#endif
