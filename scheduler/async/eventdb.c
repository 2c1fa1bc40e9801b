/* The queue on disk: see eventdb.h. */
#include "scheduler/async/eventdb.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/sqlite_errno.h"

#define TIDY_PAGES "1000"
#define TIDY_FREE  8192 /* pages that are kept for the next burst */

enum {
	ST_ADD, ST_ADD_PAYLOAD, ST_REMOVE, ST_REMOVE_PAYLOAD, ST_RETRY, ST_DUE, ST_READ, ST_PAYLOAD, ST_LAST, ST_OLDEST,
	ST_CONFIG_PUT, ST_CONFIG_DELETE, ST_COUNT
};

struct eventdb {
	sqlite3 *db;
	sqlite3_stmt *st[ST_COUNT];
	int64_t calls_from; /* no call has a smaller seq */
};

static const char schema[] =
	"CREATE TABLE events(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, kind INTEGER NOT NULL, flow TEXT NOT NULL,"
	" function TEXT NOT NULL, qualifier TEXT NOT NULL, errors INTEGER NOT NULL, refusals INTEGER NOT NULL,"
	" hops INTEGER NOT NULL, next_ms INTEGER NOT NULL, accepted_ms INTEGER NOT NULL, target TEXT, context TEXT,"
	" cost INTEGER NOT NULL, tenant_id TEXT);"
	"CREATE INDEX events_due ON events(flow, next_ms, seq);"
	"CREATE TABLE payloads(seq INTEGER PRIMARY KEY, data BLOB NOT NULL);"
	"CREATE TABLE configs(function TEXT NOT NULL, qualifier TEXT NOT NULL, max_retries INTEGER NOT NULL,"
	" max_age_s INTEGER NOT NULL, on_success TEXT NOT NULL, on_failure TEXT NOT NULL, dead_letter TEXT NOT NULL,"
	" modified_ms INTEGER NOT NULL, PRIMARY KEY(function, qualifier)) WITHOUT ROWID;"
	"PRAGMA user_version = 2;";

static const char from_1[] = "ALTER TABLE events ADD COLUMN tenant_id TEXT; PRAGMA user_version = 2;";

_Static_assert(EVENT_SEND == 3, "it is written into a statement below, and kinds are on disk");

static const char *const statements[ST_COUNT] = {
	[ST_ADD] = "INSERT INTO events VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[ST_ADD_PAYLOAD] = "INSERT INTO payloads VALUES(?,?)",
	[ST_REMOVE] = "DELETE FROM events WHERE seq = ?",
	[ST_REMOVE_PAYLOAD] = "DELETE FROM payloads WHERE seq = ?",
	[ST_RETRY] = "UPDATE events SET errors = ?2, refusals = ?3, next_ms = ?4 WHERE seq = ?1",
	[ST_DUE] = "SELECT seq, next_ms FROM events WHERE flow = ? ORDER BY next_ms, seq",
	[ST_READ] = ("SELECT id, kind, function, qualifier, errors, refusals, hops, next_ms, accepted_ms, target,"
		     " context, tenant_id, data FROM events JOIN payloads USING(seq) WHERE seq = ?"),
	[ST_PAYLOAD] = "SELECT data FROM payloads WHERE seq = ?",
	[ST_LAST] = "SELECT coalesce(max(seq), 0) FROM events",
	[ST_OLDEST] = "SELECT seq, accepted_ms FROM events WHERE seq >= ? AND kind <> 3 ORDER BY seq LIMIT 1",
	[ST_CONFIG_PUT] = "INSERT OR REPLACE INTO configs VALUES(?,?,?,?,?,?,?,?)",
	[ST_CONFIG_DELETE] = "DELETE FROM configs WHERE function = ?1 AND (qualifier = ?2 OR ?2 = '*')",
};

static int db_err(const struct eventdb *db, int rc, const char *what, struct stk_err *err)
{
	return stk_err_set(err, sqlite_errno(rc), "event queue: %s: %s", what, db->db ? sqlite3_errmsg(db->db) : "no memory");
}

static int exec(struct eventdb *db, const char *sql, const char *what, struct stk_err *err)
{
	int rc = sqlite3_exec(db->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_err(db, rc, what, err);
}

/* A prepared statement, ready for its parameters. It is reset when the scope ends, so that nothing stays open. */
static void reset(sqlite3_stmt **st)
{
	if (*st) {
		sqlite3_reset(*st);
		sqlite3_clear_bindings(*st);
	}
}
#define AUTO_RESET __attribute__((cleanup(reset))) sqlite3_stmt *

static int run(struct eventdb *db, sqlite3_stmt *st, const char *what, struct stk_err *err)
{
	int rc = sqlite3_step(st);

	return rc == SQLITE_DONE ? 0 : db_err(db, rc, what, err);
}

/* --- opening ------------------------------------------------------------------------------------- */

static int prepare_tables(struct eventdb *db, const char *path, struct stk_err *err)
{
	sqlite3_stmt *st = NULL;
	int version = -1, rc;

	rc = sqlite3_prepare_v2(db->db, "PRAGMA user_version", -1, &st, NULL);
	if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	if (version < 0)
		return db_err(db, rc, path, err);
	if (version > EVENTDB_SCHEMA)
		return stk_err_set(err, -EPROTO,
				   "event queue %s has schema %d, this stokerd knows %d: use the stokerd that made it",
				   path, version, EVENTDB_SCHEMA);
	if (version == EVENTDB_SCHEMA)
		return 0;
	rc = exec(db, "BEGIN IMMEDIATE", "begin", err);
	if (rc == 0)
		rc = exec(db, version == 1 ? from_1 : schema, "make tables", err);
	return rc ? rc : exec(db, "COMMIT", "commit", err);
}

int eventdb_open(const char *path, struct eventdb **ret_db, struct stk_err *err)
{
	struct eventdb *db = calloc(1, sizeof(*db));
	int rc;

	if (!db)
		return stk_err_set(err, -ENOMEM, "out of memory");
	rc = sqlite3_open_v2(path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL);
	if (rc != SQLITE_OK) {
		rc = db_err(db, rc, path, err);
		goto fail;
	}
	sqlite3_extended_result_codes(db->db, 1);
	sqlite3_busy_timeout(db->db, 2000);
	/* auto_vacuum counts only before there are tables. The log may grow before it is written back: payloads are large. */
	rc = exec(db,
		  "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		  "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 33554432; PRAGMA cache_size = -16384;",
		  path, err);
	if (rc == 0)
		rc = prepare_tables(db, path, err);
	for (unsigned i = 0; rc == 0 && i < ST_COUNT; i++) {
		rc = sqlite3_prepare_v3(db->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &db->st[i], NULL);
		if (rc != SQLITE_OK)
			rc = db_err(db, rc, "prepare", err);
	}
	if (rc)
		goto fail;
	*ret_db = db;
	return 0;
fail:
	eventdb_close(db);
	return rc;
}

void eventdb_close(struct eventdb *db)
{
	if (!db)
		return;
	for (unsigned i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(db->st[i]);
	sqlite3_close(db->db);
	free(db);
}

/* --- writing ------------------------------------------------------------------------------------- */

int eventdb_begin(struct eventdb *db, struct stk_err *err)
{
	return exec(db, "BEGIN IMMEDIATE", "begin", err);
}

int eventdb_commit(struct eventdb *db, struct stk_err *err)
{
	return exec(db, "COMMIT", "commit", err);
}

void eventdb_rollback(struct eventdb *db)
{
	/* SQLite has rolled back by itself after some errors. */
	if (!sqlite3_get_autocommit(db->db))
		sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	if (text)
		sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, at);
}

static int add(struct eventdb *db, const struct event *e, struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_ADD];
	AUTO_RESET data = db->st[ST_ADD_PAYLOAD];
	int rc;

	sqlite3_bind_int64(st, 1, e->seq);
	bind_text(st, 2, e->id);
	sqlite3_bind_int(st, 3, (int)e->kind);
	bind_text(st, 4, e->flow);
	bind_text(st, 5, e->function);
	bind_text(st, 6, e->qualifier);
	sqlite3_bind_int64(st, 7, e->errors);
	sqlite3_bind_int64(st, 8, e->refusals);
	sqlite3_bind_int64(st, 9, e->hops);
	sqlite3_bind_int64(st, 10, e->next_ms);
	sqlite3_bind_int64(st, 11, e->accepted_ms);
	bind_text(st, 12, e->target);
	bind_text(st, 13, e->context);
	sqlite3_bind_int64(st, 14, (sqlite3_int64)event_cost(e));
	bind_text(st, 15, e->tenant_id);
	if (e->kind != EVENT_SEND && e->seq < db->calls_from)
		db->calls_from = e->seq;
	rc = run(db, st, "add event", err);
	if (rc)
		return rc;
	sqlite3_bind_int64(data, 1, e->seq);
	sqlite3_bind_blob(data, 2, e->payload_len ? (const void *)e->payload : "", (int)e->payload_len, SQLITE_STATIC);
	return run(db, data, "add payload", err);
}

static int remove_row(struct eventdb *db, int64_t seq, struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_REMOVE];
	AUTO_RESET data = db->st[ST_REMOVE_PAYLOAD];
	int rc;

	sqlite3_bind_int64(st, 1, seq);
	rc = run(db, st, "remove event", err);
	if (rc)
		return rc;
	sqlite3_bind_int64(data, 1, seq);
	return run(db, data, "remove payload", err);
}

static int retry(struct eventdb *db, const struct eventdb_op *op, struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_RETRY];

	sqlite3_bind_int64(st, 1, op->seq);
	sqlite3_bind_int64(st, 2, op->errors);
	sqlite3_bind_int64(st, 3, op->refusals);
	sqlite3_bind_int64(st, 4, op->next_ms);
	return run(db, st, "note a try", err);
}

static int config_put(struct eventdb *db, const struct eventdb_op *op, struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_CONFIG_PUT];
	const struct evconfig *c = op->config;

	bind_text(st, 1, op->function);
	bind_text(st, 2, op->qualifier);
	sqlite3_bind_int64(st, 3, c->max_retries);
	sqlite3_bind_int64(st, 4, c->max_age_s);
	bind_text(st, 5, c->on_success);
	bind_text(st, 6, c->on_failure);
	bind_text(st, 7, c->dead_letter);
	sqlite3_bind_int64(st, 8, c->modified_ms);
	return run(db, st, "write configuration", err);
}

static int config_delete(struct eventdb *db, const struct eventdb_op *op, struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_CONFIG_DELETE];

	bind_text(st, 1, op->function);
	bind_text(st, 2, op->qualifier);
	return run(db, st, "delete configuration", err);
}

int eventdb_op(struct eventdb *db, const struct eventdb_op *op, struct stk_err *err)
{
	switch (op->what) {
	case EVENTDB_ADD:
		return add(db, op->event, err);
	case EVENTDB_REMOVE:
		return remove_row(db, op->seq, err);
	case EVENTDB_RETRY:
		return retry(db, op, err);
	case EVENTDB_CONFIG_PUT:
		return config_put(db, op, err);
	case EVENTDB_CONFIG_DELETE:
		return config_delete(db, op, err);
	}
	return stk_err_set(err, -EINVAL, "event queue: no such operation");
}

/* --- reading ------------------------------------------------------------------------------------- */

static void finalize(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}
#define AUTO_STMT __attribute__((cleanup(finalize))) sqlite3_stmt *

static int prepare_once(struct eventdb *db, const char *sql, sqlite3_stmt **ret, struct stk_err *err)
{
	int rc = sqlite3_prepare_v2(db->db, sql, -1, ret, NULL);

	return rc == SQLITE_OK ? 0 : db_err(db, rc, "prepare", err);
}

int eventdb_flows(struct eventdb *db, int (*each)(void *ctx, const struct eventdb_flow *f), void *ctx,
		  struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = prepare_once(db, "SELECT flow, count(*), sum(cost), min(next_ms), max(kind) FROM events GROUP BY flow",
			      &st, err);

	if (rc)
		return rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct eventdb_flow f = {.flow = (const char *)sqlite3_column_text(st, 0),
					 .count = (uint64_t)sqlite3_column_int64(st, 1),
					 .bytes = (uint64_t)sqlite3_column_int64(st, 2),
					 .next_ms = sqlite3_column_int64(st, 3),
					 .send = sqlite3_column_int(st, 4) == EVENT_SEND};
		int stop = f.flow ? each(ctx, &f) : stk_err_set(err, -ENOMEM, "out of memory");

		if (stop)
			return stop;
	}
	return rc == SQLITE_DONE ? 0 : db_err(db, rc, "read events", err);
}

/* A text column that fits; -EUCLEAN otherwise. */
static int column(sqlite3_stmt *st, int at, char *dst, size_t cap)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	return text && stk_strcpy(dst, cap, text) == 0 ? 0 : -EUCLEAN;
}

int eventdb_configs(struct eventdb *db,
		    int (*each)(void *ctx, const char *function, const char *qualifier, const struct evconfig *c),
		    void *ctx, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = prepare_once(db,
			      "SELECT function, qualifier, max_retries, max_age_s, on_success, on_failure, dead_letter,"
			      " modified_ms FROM configs",
			      &st, err);

	if (rc)
		return rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		char function[FN_NAME_MAX + 1], qualifier[EVCONFIG_QUALIFIER_MAX + 1];
		struct evconfig c;
		int stop;

		evconfig_default(&c);
		c.max_retries = (unsigned)sqlite3_column_int(st, 2);
		c.max_age_s = (unsigned)sqlite3_column_int(st, 3);
		c.modified_ms = sqlite3_column_int64(st, 7);
		if (column(st, 0, function, sizeof(function)) || column(st, 1, qualifier, sizeof(qualifier)) ||
		    column(st, 4, c.on_success, sizeof(c.on_success)) ||
		    column(st, 5, c.on_failure, sizeof(c.on_failure)) ||
		    column(st, 6, c.dead_letter, sizeof(c.dead_letter)) || evconfig_check(&c, NULL))
			return stk_err_set(err, -EUCLEAN, "event queue: a row of table configs cannot be read");
		stop = each(ctx, function, qualifier, &c);
		if (stop)
			return stop;
	}
	return rc == SQLITE_DONE ? 0 : db_err(db, rc, "read configurations", err);
}

int eventdb_last_seq(struct eventdb *db, int64_t *ret_seq, struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_LAST];
	int rc = sqlite3_step(st);

	if (rc != SQLITE_ROW)
		return db_err(db, rc, "read events", err);
	*ret_seq = sqlite3_column_int64(st, 0);
	return 0;
}

/* Asked after each transaction: results that cannot be sent, however many, are passed over once and not each time. */
int eventdb_oldest(struct eventdb *db, int64_t *ret_ms, struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_OLDEST];
	int64_t last = 0;
	int rc;

	sqlite3_bind_int64(st, 1, db->calls_from);
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return db_err(db, rc, "read events", err);
	*ret_ms = 0;
	if (rc == SQLITE_ROW) {
		db->calls_from = sqlite3_column_int64(st, 0);
		*ret_ms = sqlite3_column_int64(st, 1);
		return 0;
	}
	rc = eventdb_last_seq(db, &last, err);
	if (rc == 0)
		db->calls_from = last + 1;
	return rc;
}

static int copy_text(sqlite3_stmt *st, int at, char **ret)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	if (!text)
		return sqlite3_column_type(st, at) == SQLITE_NULL ? 0 : -ENOMEM;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int read_columns(sqlite3_stmt *st, struct event *e)
{
	const void *data = sqlite3_column_blob(st, 12);
	int len = sqlite3_column_bytes(st, 12);
	int kind = sqlite3_column_int(st, 1);

	if (kind < 0 || kind >= EVENT_KINDS || column(st, 0, e->id, sizeof(e->id)) ||
	    column(st, 2, e->function, sizeof(e->function)) || column(st, 3, e->qualifier, sizeof(e->qualifier)))
		return -EUCLEAN;
	e->kind = (enum event_kind)kind;
	e->errors = (unsigned)sqlite3_column_int64(st, 4);
	e->refusals = (unsigned)sqlite3_column_int64(st, 5);
	e->hops = (unsigned)sqlite3_column_int64(st, 6);
	e->next_ms = sqlite3_column_int64(st, 7);
	e->accepted_ms = sqlite3_column_int64(st, 8);
	if (copy_text(st, 9, &e->target) || copy_text(st, 10, &e->context) || copy_text(st, 11, &e->tenant_id))
		return -ENOMEM;
	e->payload = malloc((size_t)len + 1);
	if (!e->payload || (len && !data))
		return -ENOMEM;
	if (len)
		memcpy(e->payload, data, (size_t)len);
	e->payload[len] = '\0';
	e->payload_len = (size_t)len;
	return 0;
}

static int read_event(struct eventdb *db, int64_t seq, const char *flow, struct event **ret, struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_READ];
	struct event *e;
	int rc;

	sqlite3_bind_int64(st, 1, seq);
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? stk_err_set(err, -EUCLEAN, "event queue: an event has lost its payload")
					 : db_err(db, rc, "read event", err);
	e = event_new(EVENT_CALL);
	if (!e)
		return stk_err_set(err, -ENOMEM, "out of memory");
	e->seq = seq;
	rc = stk_strcpy(e->flow, sizeof(e->flow), flow);
	if (rc == 0)
		rc = read_columns(st, e);
	if (rc) {
		event_free(e);
		return stk_err_sys(err, rc, "event queue: a row of table events cannot be read");
	}
	*ret = e;
	return 0;
}

int eventdb_payload(struct eventdb *db, int64_t seq, uint8_t **ret_data, size_t *ret_len, struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_PAYLOAD];
	const void *data;
	uint8_t *copy;
	size_t len;
	int rc;

	sqlite3_bind_int64(st, 1, seq);
	rc = sqlite3_step(st);
	if (rc == SQLITE_DONE)
		return stk_err_set(err, -ENOENT, "event queue: no such event");
	if (rc != SQLITE_ROW)
		return db_err(db, rc, "read payload", err);
	data = sqlite3_column_blob(st, 0);
	len = (size_t)sqlite3_column_bytes(st, 0);
	copy = malloc(len + 1);
	if (!copy || (len && !data)) {
		free(copy);
		return stk_err_set(err, -ENOMEM, "out of memory");
	}
	if (len)
		memcpy(copy, data, len);
	copy[len] = '\0';
	*ret_data = copy;
	*ret_len = len;
	return 0;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int eventdb_take(struct eventdb *db, const char *flow, int64_t now_ms, unsigned max, size_t max_bytes,
		 const int64_t *held, unsigned held_count, struct stk_list *events, int64_t *ret_next,
		 struct stk_err *err)
{
	AUTO_RESET st = db->st[ST_DUE];
	size_t bytes = 0;
	unsigned count = 0;
	int rc;

	bind_text(st, 1, flow);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		int64_t seq = sqlite3_column_int64(st, 0), next_ms = sqlite3_column_int64(st, 1);
		struct event *e = NULL;

		if (held_count && bsearch(&seq, held, held_count, sizeof(*held), compare))
			continue;
		if (next_ms > now_ms || count >= max || (count && bytes >= max_bytes)) {
			*ret_next = next_ms;
			return 0;
		}
		rc = read_event(db, seq, flow, &e, err);
		if (rc == -EUCLEAN)
			continue; /* err says so; the others need not wait for it */
		if (rc)
			return rc;
		bytes += event_cost(e);
		count++;
		stk_list_add_tail(events, &e->node);
	}
	if (rc != SQLITE_DONE)
		return db_err(db, rc, "read events", err);
	*ret_next = INT64_MAX;
	return 0;
}

int eventdb_tidy(struct eventdb *db, struct stk_err *err)
{
	AUTO_STMT st = NULL;
	int rc = prepare_once(db, "PRAGMA freelist_count", &st, err);

	if (rc)
		return rc;
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		return db_err(db, rc, "free pages", err);
	if (sqlite3_column_int64(st, 0) < TIDY_FREE)
		return 0;
	sqlite3_reset(st);
	return exec(db, "PRAGMA incremental_vacuum(" TIDY_PAGES ")", "give room back", err);
}
