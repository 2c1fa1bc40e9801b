/* Changes to the database: see store.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "scheduler/store.h"
#include "scheduler/store_internal.h"

/* One statement with its values, copied. */
struct value {
	enum { V_NULL, V_INT, V_REAL, V_TEXT, V_BLOB } type;
	int64_t i;
	double real;
	char *bytes;
	size_t len;
};

#define MAX_VALUES 22

struct statement {
	struct statement *next;
	const char *sql;
	unsigned count;
	struct value value[MAX_VALUES];
};

struct store_tx {
	struct statement *first, **end;
	bool failed; /* out of memory on the way */
};

struct store_tx *store_tx_new(void)
{
	struct store_tx *tx = calloc(1, sizeof(*tx));

	if (tx)
		tx->end = &tx->first;
	return tx;
}

void store_tx_free(struct store_tx *tx)
{
	while (tx && tx->first) {
		struct statement *st = tx->first;

		tx->first = st->next;
		for (unsigned i = 0; i < st->count; i++)
			free(st->value[i].bytes);
		free(st);
	}
	free(tx);
}

/* NULL: the transaction has failed. */
static struct statement *add(struct store_tx *tx, const char *sql)
{
	struct statement *st = tx && !tx->failed ? calloc(1, sizeof(*st)) : NULL;

	if (!st) {
		if (tx)
			tx->failed = true;
		return NULL;
	}
	st->sql = sql;
	*tx->end = st;
	tx->end = &st->next;
	return st;
}

static struct value *next_value(struct statement *st)
{
	return st && st->count < MAX_VALUES ? &st->value[st->count++] : NULL;
}

static void put_int(struct statement *st, int64_t i)
{
	struct value *v = next_value(st);

	if (v)
		*v = (struct value){.type = V_INT, .i = i};
}

static void put_bytes(struct store_tx *tx, struct statement *st, const void *bytes, size_t len, bool text)
{
	struct value *v = next_value(st);

	if (!v || !bytes)
		return;
	v->bytes = malloc(len + 1);
	if (!v->bytes) {
		tx->failed = true;
		return;
	}
	memcpy(v->bytes, bytes, len);
	v->bytes[len] = '\0';
	v->len = len;
	v->type = text ? V_TEXT : V_BLOB;
}

static void put_text(struct store_tx *tx, struct statement *st, const char *text)
{
	put_bytes(tx, st, text, text ? strlen(text) : 0, true);
}

void store_tx_version(struct store_tx *tx, const struct fn_version *v)
{
	struct statement *st = add(tx, "INSERT OR REPLACE INTO versions VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
	const struct fn_settings *s = &v->settings;
	char layers[FN_LAYERS_MAX * (FN_NAME_MAX + 16)] = "";
	size_t len = 0;

	put_text(tx, st, v->fn->name);
	put_int(st, v->number);
	put_int(st, v->published);
	put_text(tx, st, store_state_names[v->state]);
	put_text(tx, st, s->runtime);
	put_text(tx, st, s->handler);
	put_int(st, s->memory_mib);
	put_int(st, s->timeout_s);
	put_text(tx, st, fn_reuse_name(s->reuse));
	put_bytes(tx, st, s->env_len ? s->env : NULL, s->env_len, false);
	put_text(tx, st, v->extra);
	put_text(tx, st, v->reason);
	put_text(tx, st, v->reason ? v->reason + strlen(v->reason) + 1 : NULL);
	put_text(tx, st, v->init_error);
	put_int(st, v->created_ms);
	put_int(st, (int64_t)v->code_size);
	put_int(st, (int64_t)v->zip_crc);
	put_int(st, (int64_t)v->img_crc);
	put_bytes(tx, st, v->sha256, FN_SHA256_LEN, false);
	put_text(tx, st, v->revision);
	for (unsigned i = 0; i < s->layer_count; i++)
		len += (size_t)snprintf(layers + len, sizeof(layers) - len, "%s%s:%u", i ? "," : "", s->layers[i].name,
					s->layers[i].version);
	put_text(tx, st, s->layer_count ? layers : NULL);
	put_int(st, s->storage_mib);
	st = add(tx, s->secrets_len ? "INSERT OR REPLACE INTO secrets VALUES(?,?,?)"
				    : "DELETE FROM secrets WHERE name = ? AND number = ?");
	put_text(tx, st, v->fn->name);
	put_int(st, v->number);
	if (s->secrets_len)
		put_bytes(tx, st, s->secrets, s->secrets_len, false);
	st = add(tx, "INSERT INTO names VALUES(?1,?2) ON CONFLICT(name) DO UPDATE SET last_version = max(last_version, ?2)");
	put_text(tx, st, v->fn->name);
	put_int(st, v->number);
}

void store_tx_files(struct store_tx *tx, const struct fn_version *v)
{
	struct statement *st = add(tx, "UPDATE versions SET code_size = ?, zip_crc = ?, img_crc = ?, sha256 = ?"
				       " WHERE name = ? AND number = ?");

	put_int(st, (int64_t)v->code_size);
	put_int(st, (int64_t)v->zip_crc);
	put_int(st, (int64_t)v->img_crc);
	put_bytes(tx, st, v->sha256, FN_SHA256_LEN, false);
	put_text(tx, st, v->fn->name);
	put_int(st, v->number);
}

void store_tx_made(struct store_tx *tx, const struct fn_version *v)
{
	struct statement *st = add(tx, "UPDATE versions SET state = ?, reason_code = ?, reason = ?, init_error = ?, revision = ?"
				       " WHERE name = ? AND number = ?");

	put_text(tx, st, store_state_names[v->state]);
	put_text(tx, st, v->reason);
	put_text(tx, st, v->reason ? v->reason + strlen(v->reason) + 1 : NULL);
	put_text(tx, st, v->init_error);
	put_text(tx, st, v->revision);
	put_text(tx, st, v->fn->name);
	put_int(st, v->number);
	store_tx_files(tx, v);
}

void store_tx_active(struct store_tx *tx, const char *name, unsigned number)
{
	struct statement *st = add(tx, "UPDATE functions SET active = ?2 WHERE name = ?1 AND latest = ?2");

	put_text(tx, st, name);
	put_int(st, number);
}

void store_tx_reserved(struct store_tx *tx, const char *name, int reserved)
{
	struct statement *st = add(tx, "UPDATE functions SET reserved = ?2 WHERE name = ?1");

	put_text(tx, st, name);
	put_int(st, reserved);
}

void store_tx_function(struct store_tx *tx, const struct function *fn, unsigned latest, unsigned active,
		       unsigned last_published)
{
	struct statement *st = add(tx, "INSERT INTO functions VALUES(?1,?2,?3,?4,?5) ON CONFLICT(name) DO UPDATE SET"
				       " latest = ?2, active = ?3, last_published = ?4");

	put_text(tx, st, fn->name);
	put_int(st, latest);
	put_int(st, active);
	put_int(st, last_published);
	put_int(st, fn->reserved);
}

void store_tx_drop_version(struct store_tx *tx, const char *name, unsigned number)
{
	struct statement *st = add(tx, "DELETE FROM versions WHERE name = ? AND number = ?");

	put_text(tx, st, name);
	put_int(st, number);
	st = add(tx, "DELETE FROM secrets WHERE name = ? AND number = ?");
	put_text(tx, st, name);
	put_int(st, number);
}

void store_tx_drop_function(struct store_tx *tx, const char *name)
{
	static const char *const sql[] = {"DELETE FROM functions WHERE name = ? AND last_published = 0",
					  "UPDATE functions SET latest = 0, active = 0, reserved = -1 WHERE name = ?",
					  "DELETE FROM versions WHERE name = ?",
					  "DELETE FROM aliases WHERE name = ?", "DELETE FROM notes WHERE name = ?",
					  "DELETE FROM secrets WHERE name = ?"};

	for (size_t i = 0; i < STK_ARRAY_LEN(sql); i++)
		put_text(tx, add(tx, sql[i]), name);
}

void store_tx_alias(struct store_tx *tx, const char *name, const struct fn_alias *a)
{
	struct statement *st = add(tx, "INSERT OR REPLACE INTO aliases VALUES(?,?,?,?,?,?,?)");
	struct value *weight;

	put_text(tx, st, name);
	put_text(tx, st, a->name);
	put_int(st, a->version);
	put_int(st, a->additional);
	weight = next_value(st);
	if (weight)
		*weight = (struct value){.type = V_REAL, .real = a->weight};
	put_text(tx, st, a->revision);
	put_text(tx, st, a->description);
}

void store_tx_version_revision(struct store_tx *tx, const char *name, unsigned number, const char *revision)
{
	struct statement *st = add(tx, "UPDATE versions SET revision = ? WHERE name = ? AND number = ?");

	put_text(tx, st, revision);
	put_text(tx, st, name);
	put_int(st, number);
}

void store_tx_alias_revision(struct store_tx *tx, const char *name, const char *alias, const char *revision)
{
	struct statement *st = add(tx, "UPDATE aliases SET revision = ? WHERE name = ? AND alias = ?");

	put_text(tx, st, revision);
	put_text(tx, st, name);
	put_text(tx, st, alias);
}

void store_tx_drop_alias(struct store_tx *tx, const char *name, const char *alias)
{
	struct statement *st = add(tx, "DELETE FROM aliases WHERE name = ? AND alias = ?");

	put_text(tx, st, name);
	put_text(tx, st, alias);
}

void store_tx_note(struct store_tx *tx, const char *name, const char *kind, const char *qualifier, const char *json)
{
	struct statement *st = add(tx, json ? "INSERT OR REPLACE INTO notes VALUES(?,?,?,?)"
					    : "DELETE FROM notes WHERE name = ? AND kind = ? AND qualifier = ?");

	put_text(tx, st, name);
	put_text(tx, st, kind);
	put_text(tx, st, qualifier);
	if (json)
		put_text(tx, st, json);
}

void store_tx_drop_notes(struct store_tx *tx, const char *name, const char *qualifier)
{
	struct statement *st = add(tx, "DELETE FROM notes WHERE name = ? AND qualifier = ?");

	put_text(tx, st, name);
	put_text(tx, st, qualifier);
}

static void bind(sqlite3_stmt *st, int i, const struct value *v)
{
	switch (v->type) {
	case V_NULL:
		sqlite3_bind_null(st, i);
		break;
	case V_INT:
		sqlite3_bind_int64(st, i, v->i);
		break;
	case V_REAL:
		sqlite3_bind_double(st, i, v->real);
		break;
	case V_TEXT:
		sqlite3_bind_text(st, i, v->bytes, (int)v->len, SQLITE_STATIC);
		break;
	case V_BLOB:
		sqlite3_bind_blob(st, i, v->bytes, (int)v->len, SQLITE_STATIC);
		break;
	}
}

static int run(struct store *s, const struct statement *what, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = store_prepare(s, what->sql, &st, err);

	if (rc)
		return rc;
	for (unsigned i = 0; i < what->count; i++)
		bind(st, (int)i + 1, &what->value[i]);
	rc = sqlite3_step(st);
	return rc == SQLITE_DONE ? 0 : store_err(s, rc, "write", err);
}

int store_commit(struct store *s, const struct store_tx *tx, struct stk_err *err)
{
	int rc;

	if (!tx || tx->failed)
		return stk_err_set(err, -ENOMEM, "out of memory");
	pthread_mutex_lock(&s->lock);
	rc = store_exec(s, "BEGIN IMMEDIATE", "begin", err);
	if (rc == 0) {
		for (const struct statement *st = tx->first; st && rc == 0; st = st->next)
			rc = run(s, st, err);
		if (rc == 0)
			rc = store_exec(s, "COMMIT", "commit", err);
		if (rc)
			sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}
