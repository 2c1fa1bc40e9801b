/* The registry on disk: see store.h. */
#include "scheduler/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/layers.h"
#include "scheduler/sqlite_errno.h"
#include "scheduler/store_internal.h"

/* Of schema 3, but for `names`, which is older. */
#define TABLES_3                                                                                                     \
	"CREATE TABLE functions(name TEXT PRIMARY KEY, latest INTEGER NOT NULL, active INTEGER NOT NULL,"            \
	" last_published INTEGER NOT NULL, reserved INTEGER NOT NULL) WITHOUT ROWID;"                                \
	"CREATE TABLE versions(name TEXT NOT NULL, number INTEGER NOT NULL, published INTEGER NOT NULL,"             \
	" state TEXT NOT NULL, runtime TEXT NOT NULL, handler TEXT NOT NULL, memory_mib INTEGER NOT NULL,"           \
	" timeout_s INTEGER NOT NULL, reuse TEXT NOT NULL, env BLOB, extra TEXT, reason_code TEXT, reason TEXT,"     \
	" init_error TEXT, created_ms INTEGER NOT NULL, code_size INTEGER NOT NULL, zip_crc INTEGER NOT NULL,"       \
	" img_crc INTEGER NOT NULL, sha256 BLOB, revision TEXT NOT NULL, PRIMARY KEY(name, number)) WITHOUT ROWID;"  \
	"CREATE TABLE aliases(name TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL,"                    \
	" additional INTEGER NOT NULL, weight REAL NOT NULL, revision TEXT NOT NULL, description TEXT,"              \
	" PRIMARY KEY(name, alias)) WITHOUT ROWID;"                                                                  \
	"CREATE TABLE notes(name TEXT NOT NULL, kind TEXT NOT NULL, qualifier TEXT NOT NULL, json TEXT NOT NULL,"    \
	" PRIMARY KEY(name, kind, qualifier)) WITHOUT ROWID;"

#define NEW_UUID                                                                                                     \
	"lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a'"     \
	" || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"

/* From the schema before: what to do to get the next one. A new file begins with the first that is written out. */
static const char *const migrations[STORE_SCHEMA] = {
	[0] = "CREATE TABLE names(name TEXT PRIMARY KEY, last_version INTEGER NOT NULL) WITHOUT ROWID;" TABLES_3
	      "PRAGMA user_version = 3;",
	[1] = "ALTER TABLE functions ADD COLUMN reuse TEXT NOT NULL DEFAULT 'destroy';"
	      "PRAGMA user_version = 2;",
	[2] = "ALTER TABLE functions RENAME TO old;" TABLES_3
	      "INSERT INTO functions SELECT name, version, version, 0, -1 FROM old;"
	      "INSERT INTO versions SELECT name, version, 0, 'active', runtime, handler, memory_mib, timeout_s, reuse, env,"
	      " NULL, NULL, NULL, NULL, created_ms, code_size, zip_crc, img_crc, NULL, " NEW_UUID " FROM old;"
	      "DROP TABLE old;"
	      "PRAGMA user_version = 3;",
	[3] = "ALTER TABLE versions ADD COLUMN layers TEXT;" /* "NAME:N,NAME:N" */
	      "PRAGMA user_version = 4;",
	[4] = "CREATE TABLE secrets(name TEXT NOT NULL, number INTEGER NOT NULL, pairs BLOB NOT NULL," /* as versions.env */
	      " PRIMARY KEY(name, number)) WITHOUT ROWID;"
	      "PRAGMA user_version = 5;",
	/* The size of /tmp was kept with what changes nothing. */
	[5] = "ALTER TABLE versions ADD COLUMN storage_mib INTEGER NOT NULL DEFAULT 512;"
	      "UPDATE versions SET storage_mib = json_extract(extra, '$.EphemeralStorage.Size'),"
	      " extra = nullif(json_remove(extra, '$.EphemeralStorage'), '{}') WHERE CASE WHEN json_valid(extra)"
	      " THEN json_extract(extra, '$.EphemeralStorage.Size') BETWEEN 513 AND 10240 END;"
	      "PRAGMA user_version = 6;",
};

int store_err(struct store *s, int rc, const char *what, struct stk_err *err)
{
	return stk_err_set(err, sqlite_errno(rc), "database: %s: %s", what, s->db ? sqlite3_errmsg(s->db) : "no memory");
}

int store_exec(struct store *s, const char *sql, const char *what, struct stk_err *err)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : store_err(s, rc, what, err);
}

int store_prepare(struct store *s, const char *sql, sqlite3_stmt **ret, struct stk_err *err)
{
	int rc = sqlite3_prepare_v2(s->db, sql, -1, ret, NULL);

	return rc == SQLITE_OK ? 0 : store_err(s, rc, "prepare", err);
}

static int schema_version(struct store *s, int *ret, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = store_prepare(s, "PRAGMA user_version", &st, err);

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
	rc = store_exec(s, "BEGIN IMMEDIATE", "begin", err);
	while (rc == 0 && version < STORE_SCHEMA) {
		rc = store_exec(s, migrations[version], "bring tables up to date", err);
		if (rc == 0)
			rc = schema_version(s, &version, err);
	}
	return rc ? rc : store_exec(s, "COMMIT", "commit", err);
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
	/* It holds secrets; what SQLite puts beside it gets the same mode. */
	if (chmod(path, 0600)) {
		rc = stk_err_sys(err, -errno, "%s", path);
		goto fail;
	}
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, 2000);
	rc = store_exec(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;", path, err);
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

/* --- reading -------------------------------------------------------------------------------------- */

const char *const store_state_names[] = {[FN_PENDING] = "pending", [FN_ACTIVE] = "active", [FN_FAILED] = "failed"};

static int state_parse(const char *text, enum fn_state *ret)
{
	for (size_t i = 0; text && i < STK_ARRAY_LEN(store_state_names); i++) {
		if (strcmp(text, store_state_names[i]) == 0) {
			*ret = (enum fn_state)i;
			return 0;
		}
	}
	return -EUCLEAN;
}

static const char *text_of(sqlite3_stmt *st, int column)
{
	return (const char *)sqlite3_column_text(st, column);
}

/* Column 0 is a function's name in every table. */
static const char *name_of(sqlite3_stmt *st)
{
	const char *name = text_of(st, 0);

	return name && fn_name_valid(name) ? name : NULL;
}

static int read_name(sqlite3_stmt *st, const struct store_sink *sink, void *ctx)
{
	const char *name = name_of(st);

	return name ? sink->name(ctx, name, (unsigned)sqlite3_column_int64(st, 1)) : 0;
}

static int read_function(sqlite3_stmt *st, const struct store_sink *sink, void *ctx)
{
	struct store_function f = {.name = name_of(st),
		.latest = (unsigned)sqlite3_column_int64(st, 1),
		.active = (unsigned)sqlite3_column_int64(st, 2),
		.last_published = (unsigned)sqlite3_column_int64(st, 3),
		.reserved = sqlite3_column_int(st, 4)};

	return f.name ? sink->function(ctx, &f) : -EUCLEAN;
}

static int read_version(sqlite3_stmt *st, const struct store_sink *sink, void *ctx)
{
	const char *layers = text_of(st, 20);
	int rc;
	struct store_version v = {.name = name_of(st)};
	const char *runtime = text_of(st, 4), *handler = text_of(st, 5), *reuse = text_of(st, 8);
	const char *revision = text_of(st, 19);

	if (!v.name || !runtime || !handler || !reuse || !revision || state_parse(text_of(st, 3), &v.state) ||
	    fn_reuse_parse(reuse, &v.settings.reuse) ||
	    stk_strcpy(v.settings.runtime, sizeof(v.settings.runtime), runtime) ||
	    stk_strcpy(v.settings.handler, sizeof(v.settings.handler), handler) ||
	    stk_strcpy(v.revision, sizeof(v.revision), revision))
		return -EUCLEAN;
	v.number = (unsigned)sqlite3_column_int64(st, 1);
	v.published = (unsigned)sqlite3_column_int64(st, 2);
	v.settings.memory_mib = (unsigned)sqlite3_column_int64(st, 6);
	v.settings.timeout_s = (unsigned)sqlite3_column_int64(st, 7);
	v.settings.env_len = (size_t)sqlite3_column_bytes(st, 9);
	if (v.settings.env_len) {
		v.settings.env = (char *)sqlite3_column_blob(st, 9); /* the sink copies it */
		if (!v.settings.env || v.settings.env_len > FN_ENV_MAX || v.settings.env[v.settings.env_len - 1])
			return -EUCLEAN;
	}
	v.settings.secrets_len = (size_t)sqlite3_column_bytes(st, 21);
	if (v.settings.secrets_len) {
		v.settings.secrets = (char *)sqlite3_column_blob(st, 21);
		if (!v.settings.secrets || v.settings.secrets_len > FN_SECRETS_MAX ||
		    v.settings.secrets[v.settings.secrets_len - 1])
			return -EUCLEAN;
	}
	v.settings.storage_mib = (unsigned)sqlite3_column_int64(st, 22);
	v.extra = text_of(st, 10);
	v.reason_code = text_of(st, 11);
	v.reason = text_of(st, 12);
	v.init_error = text_of(st, 13);
	v.created_ms = sqlite3_column_int64(st, 14);
	v.code_size = (uint64_t)sqlite3_column_int64(st, 15);
	v.zip_crc = (uint64_t)sqlite3_column_int64(st, 16);
	v.img_crc = (uint64_t)sqlite3_column_int64(st, 17);
	if (sqlite3_column_bytes(st, 18) == FN_SHA256_LEN)
		memcpy(v.sha256, sqlite3_column_blob(st, 18), FN_SHA256_LEN);
	if (layers && layers_parse_list(layers, NULL, &v.settings, NULL))
		rc = -EUCLEAN;
	else
		rc = sink->version(ctx, &v);
	free(v.settings.layers);
	return rc;
}

static int read_alias(sqlite3_stmt *st, const struct store_sink *sink, void *ctx)
{
	const char *name = name_of(st), *alias = text_of(st, 1), *revision = text_of(st, 5);
	struct fn_alias a = {.version = (unsigned)sqlite3_column_int64(st, 2),
		.additional = (unsigned)sqlite3_column_int64(st, 3),
		.weight = sqlite3_column_double(st, 4),
		.description = (char *)text_of(st, 6)};

	if (!name || !alias || !revision || stk_strcpy(a.name, sizeof(a.name), alias) ||
	    stk_strcpy(a.revision, sizeof(a.revision), revision))
		return -EUCLEAN;
	return sink->alias(ctx, name, &a);
}

static int read_note(sqlite3_stmt *st, const struct store_sink *sink, void *ctx)
{
	const char *name = name_of(st), *kind = text_of(st, 1), *qualifier = text_of(st, 2);
	struct fn_note n = {.json = (char *)text_of(st, 3)};

	if (!name || !kind || !qualifier || !n.json || stk_strcpy(n.kind, sizeof(n.kind), kind) ||
	    stk_strcpy(n.qualifier, sizeof(n.qualifier), qualifier))
		return -EUCLEAN;
	return sink->note(ctx, name, &n);
}

static const struct {
	const char *table, *sql;
	int (*read)(sqlite3_stmt *st, const struct store_sink *sink, void *ctx);
} tables[] = {
	{"names", "SELECT name, last_version FROM names", read_name},
	{"versions", "SELECT name, number, published, state, runtime, handler, memory_mib, timeout_s, reuse, env, extra,"
		     " reason_code, reason, init_error, created_ms, code_size, zip_crc, img_crc, sha256, revision, layers,"
		     " (SELECT pairs FROM secrets s WHERE s.name = v.name AND s.number = v.number),"
		     " storage_mib FROM versions v ORDER BY name, number", read_version},
	{"functions", "SELECT name, latest, active, last_published, reserved FROM functions ORDER BY name", read_function},
	{"aliases", "SELECT name, alias, version, additional, weight, revision, description FROM aliases", read_alias},
	{"notes", "SELECT name, kind, qualifier, json FROM notes", read_note},
};

static int load_table(struct store *s, size_t i, const struct store_sink *sink, void *ctx, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = store_prepare(s, tables[i].sql, &st, err);

	if (rc)
		return rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		int stop = tables[i].read(st, sink, ctx);

		if (stop == -EUCLEAN)
			return stk_err_set(err, stop, "database: a row of table %s cannot be read", tables[i].table);
		if (stop)
			return stop;
	}
	return rc == SQLITE_DONE ? 0 : store_err(s, rc, tables[i].table, err);
}

int store_load(struct store *s, const struct store_sink *sink, void *ctx, struct stk_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < STK_ARRAY_LEN(tables); i++)
		rc = load_table(s, i, sink, ctx, err);
	return rc;
}
