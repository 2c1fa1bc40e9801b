/* The registry on disk: see store.h. */
#include "scheduler/store.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"

struct store {
	sqlite3 *db;
	pthread_mutex_t lock;
};

static const char schema[] =
	"CREATE TABLE names(name TEXT PRIMARY KEY, last_version INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE functions(name TEXT PRIMARY KEY, version INTEGER NOT NULL, runtime TEXT NOT NULL,"
	" handler TEXT NOT NULL, memory_mib INTEGER NOT NULL, timeout_s INTEGER NOT NULL, env BLOB,"
	" created_ms INTEGER NOT NULL, code_size INTEGER NOT NULL, zip_crc INTEGER NOT NULL,"
	" img_crc INTEGER NOT NULL, reuse TEXT NOT NULL DEFAULT 'destroy') WITHOUT ROWID;"
	"PRAGMA user_version = 2;";

/* From the schema before: what to do to get the next one. */
static const char *const migrations[STORE_SCHEMA] = {
	[1] = "ALTER TABLE functions ADD COLUMN reuse TEXT NOT NULL DEFAULT 'destroy';"
	      "PRAGMA user_version = 2;",
};

/* errno for what SQLite says: full disk and I/O errors matter to the caller. */
static int store_err(struct store *s, int rc, const char *what, struct stk_err *err)
{
	int code = -EIO;

	switch (rc & 0xff) {
	case SQLITE_FULL:
		code = -ENOSPC;
		break;
	case SQLITE_NOMEM:
		code = -ENOMEM;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		code = -EUCLEAN;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		code = -EBUSY;
		break;
	}
	return stk_err_set(err, code, "database: %s: %s", what, s->db ? sqlite3_errmsg(s->db) : "no memory");
}

static int exec(struct store *s, const char *sql, const char *what, struct stk_err *err)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : store_err(s, rc, what, err);
}

static void finalize(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}
#define AUTO_STMT __attribute__((cleanup(finalize))) sqlite3_stmt *

static int prepare(struct store *s, const char *sql, sqlite3_stmt **ret, struct stk_err *err)
{
	int rc = sqlite3_prepare_v2(s->db, sql, -1, ret, NULL);

	return rc == SQLITE_OK ? 0 : store_err(s, rc, "prepare", err);
}

static int schema_version(struct store *s, int *ret, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = prepare(s, "PRAGMA user_version", &st, err);

	if (rc)
		return rc;
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		return store_err(s, rc, "schema version", err);
	*ret = sqlite3_column_int(st, 0);
	return 0;
}

static int update_schema(struct store *s, int version, struct stk_err *err)
{
	int rc;

	if (version == STORE_SCHEMA)
		return 0;
	rc = exec(s, "BEGIN IMMEDIATE", "begin", err);
	if (rc == 0 && version == 0) {
		rc = exec(s, schema, "make tables", err);
		version = STORE_SCHEMA;
	}
	for (; rc == 0 && version < STORE_SCHEMA; version++)
		rc = exec(s, migrations[version], "bring tables up to date", err);
	return rc ? rc : exec(s, "COMMIT", "commit", err);
}

int store_open(const char *path, struct store **ret_store, struct stk_err *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int version = 0, rc;

	if (!s)
		return stk_err_set(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&s->lock, NULL);
	rc = sqlite3_open_v2(path, &s->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL);
	if (rc != SQLITE_OK) {
		rc = store_err(s, rc, path, err);
		goto fail;
	}
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, 2000);
	rc = exec(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", path, err);
	if (rc == 0)
		rc = schema_version(s, &version, err);
	if (rc)
		goto fail;
	if (version >= 0 && version <= STORE_SCHEMA) {
		rc = update_schema(s, version, err);
		if (rc)
			goto fail;
	} else {
		rc = stk_err_set(err, -EPROTO,
				 "database %s has schema %d, this stokerd knows %d: use the stokerd that made it",
				 path, version, STORE_SCHEMA);
		goto fail;
	}
	*ret_store = s;
	return 0;
fail:
	store_close(s);
	return rc;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int load_names(struct store *s, int (*name)(void *, const char *, unsigned), void *ctx,
		      struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = prepare(s, "SELECT name, last_version FROM names", &st, err);

	if (rc)
		return rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(st, 0);
		int stop = text && stk_name_valid(text)
				   ? name(ctx, text, (unsigned)sqlite3_column_int64(st, 1))
				   : 0;

		if (stop)
			return stop;
	}
	return rc == SQLITE_DONE ? 0 : store_err(s, rc, "read names", err);
}

static int read_row(sqlite3_stmt *st, struct store_version *v)
{
	const char *name = (const char *)sqlite3_column_text(st, 0);
	const char *runtime = (const char *)sqlite3_column_text(st, 2);
	const char *handler = (const char *)sqlite3_column_text(st, 3);
	const char *reuse = (const char *)sqlite3_column_text(st, 11);
	int env_len;

	memset(v, 0, sizeof(*v));
	if (!name || !stk_name_valid(name) || !runtime || !handler || !reuse ||
	    fn_reuse_parse(reuse, &v->settings.reuse) ||
	    stk_strcpy(v->name, sizeof(v->name), name) ||
	    stk_strcpy(v->settings.runtime, sizeof(v->settings.runtime), runtime) ||
	    stk_strcpy(v->settings.handler, sizeof(v->settings.handler), handler))
		return -EUCLEAN;
	v->number = (unsigned)sqlite3_column_int64(st, 1);
	v->settings.memory_mib = (unsigned)sqlite3_column_int64(st, 4);
	v->settings.timeout_s = (unsigned)sqlite3_column_int64(st, 5);
	env_len = sqlite3_column_bytes(st, 6);
	if (env_len > 0) {
		const char *env = sqlite3_column_blob(st, 6);

		if (!env || env_len > FN_ENV_MAX || env[env_len - 1] != '\0')
			return -EUCLEAN;
		v->settings.env = malloc((size_t)env_len);
		if (!v->settings.env)
			return -ENOMEM;
		memcpy(v->settings.env, env, (size_t)env_len);
		v->settings.env_len = (size_t)env_len;
	}
	v->created_ms = sqlite3_column_int64(st, 7);
	v->code_size = (uint64_t)sqlite3_column_int64(st, 8);
	v->zip_crc = (uint64_t)sqlite3_column_int64(st, 9);
	v->img_crc = (uint64_t)sqlite3_column_int64(st, 10);
	return 0;
}

int store_load(struct store *s, int (*name)(void *ctx, const char *name, unsigned last_version),
	       int (*version)(void *ctx, const struct store_version *v), void *ctx, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = load_names(s, name, ctx, err);

	if (rc == 0)
		rc = prepare(s,
			     "SELECT name, version, runtime, handler, memory_mib, timeout_s, env, created_ms,"
			     " code_size, zip_crc, img_crc, reuse FROM functions",
			     &st, err);
	if (rc)
		return rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_version v;
		int stop = read_row(st, &v);

		if (stop)
			stk_err_set(err, stop, "database: a row of table functions cannot be read");
		else
			stop = version(ctx, &v);
		fn_settings_fini(&v.settings);
		if (stop)
			return stop;
	}
	return rc == SQLITE_DONE ? 0 : store_err(s, rc, "read functions", err);
}

static int put_row(struct store *s, const struct store_version *v, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = prepare(s, "INSERT OR REPLACE INTO functions VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", &st, err);

	if (rc)
		return rc;
	sqlite3_bind_text(st, 1, v->name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, v->number);
	sqlite3_bind_text(st, 3, v->settings.runtime, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 4, v->settings.handler, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 5, v->settings.memory_mib);
	sqlite3_bind_int64(st, 6, v->settings.timeout_s);
	sqlite3_bind_blob(st, 7, v->settings.env, (int)v->settings.env_len, SQLITE_STATIC);
	sqlite3_bind_int64(st, 8, v->created_ms);
	sqlite3_bind_int64(st, 9, (sqlite3_int64)v->code_size);
	sqlite3_bind_int64(st, 10, (sqlite3_int64)v->zip_crc);
	sqlite3_bind_int64(st, 11, (sqlite3_int64)v->img_crc);
	sqlite3_bind_text(st, 12, fn_reuse_name(v->settings.reuse), -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	return rc == SQLITE_DONE ? 0 : store_err(s, rc, "write function", err);
}

static int put_name(struct store *s, const char *name, unsigned last, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = prepare(s,
			 "INSERT INTO names VALUES(?1,?2) ON CONFLICT(name) DO UPDATE"
			 " SET last_version = max(last_version, ?2)",
			 &st, err);

	if (rc)
		return rc;
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, last);
	rc = sqlite3_step(st);
	return rc == SQLITE_DONE ? 0 : store_err(s, rc, "write name", err);
}

int store_put(struct store *s, const struct store_version *v, struct stk_err *err)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = exec(s, "BEGIN IMMEDIATE", "begin", err);
	if (rc == 0) {
		rc = put_row(s, v, err);
		if (rc == 0)
			rc = put_name(s, v->name, v->number, err);
		if (rc == 0)
			rc = exec(s, "COMMIT", "commit", err);
		if (rc)
			sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int store_delete(struct store *s, const char *name, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = prepare(s, "DELETE FROM functions WHERE name = ?", &st, err);
	if (rc == 0) {
		sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
		rc = sqlite3_step(st);
		rc = rc == SQLITE_DONE ? 0 : store_err(s, rc, "delete function", err);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}
