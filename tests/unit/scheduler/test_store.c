/* The database: what was acknowledged is there after reopening, and after a kill. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "scheduler/fsx.h"
#include "scheduler/store.h"

static char dir[64], path[96];

static int setup(void **state)
{
	strcpy(dir, "/tmp/stoker-store-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/stoker.db", dir);
	return 0;
}

static int teardown(void **state)
{
	return fsx_remove_tree(dir);
}

struct seen {
	unsigned names, versions, functions, aliases, notes, last;
	struct store_version v;
	struct store_function f;
	struct fn_alias a;
	struct fn_note n;
	char env[64], secrets[64], extra[64], reason[64], json[64];
	struct fn_layer layers[FN_LAYERS_MAX];
};

static int on_name(void *ctx, const char *name, unsigned last)
{
	struct seen *s = ctx;

	s->names++;
	s->last = last;
	return 0;
}

static int on_version(void *ctx, const struct store_version *v)
{
	struct seen *s = ctx;

	assert_int_equal(s->functions, 0); /* functions come behind */
	s->versions++;
	s->v = *v;
	if (v->settings.env_len <= sizeof(s->env) && v->settings.env_len)
		memcpy(s->env, v->settings.env, v->settings.env_len);
	for (unsigned i = 0; i < v->settings.layer_count; i++)
		s->layers[i] = v->settings.layers[i];
	if (v->settings.secrets_len <= sizeof(s->secrets) && v->settings.secrets_len)
		memcpy(s->secrets, v->settings.secrets, v->settings.secrets_len);
	snprintf(s->extra, sizeof(s->extra), "%s", v->extra ? v->extra : "none");
	snprintf(s->reason, sizeof(s->reason), "%s/%s", v->reason_code ? v->reason_code : "", v->reason ? v->reason : "");
	return 0;
}

static int on_function(void *ctx, const struct store_function *f)
{
	struct seen *s = ctx;

	s->functions++;
	s->f = *f;
	return 0;
}

static int on_alias(void *ctx, const char *function, const struct fn_alias *a)
{
	struct seen *s = ctx;

	assert_string_equal(function, "hello");
	s->aliases++;
	s->a = *a;
	return 0;
}

static int on_note(void *ctx, const char *function, const struct fn_note *n)
{
	struct seen *s = ctx;

	assert_string_equal(function, "hello");
	s->notes++;
	s->n = *n;
	snprintf(s->json, sizeof(s->json), "%s", n->json);
	return 0;
}

static struct function fn_of(const char *name)
{
	struct function fn = {.reserved = -1};

	strcpy(fn.name, name);
	return fn;
}

static struct fn_layer layers[] = {{"tools", 7, 0},
				   {"0123456789012345678901234567890123456789012345678901234567890123", 999999999, 0}};

static struct fn_version row(struct function *fn, unsigned number)
{
	struct fn_version v = {.fn = fn, .number = number, .state = FN_ACTIVE, .created_ms = 1700000000123,
			       .code_size = 99, .zip_crc = UINT64_MAX, .img_crc = 1ull << 63, .sha256 = {1, 2, 3},
			       .revision = "11111111-2222-4333-8444-555555555555"};

	strcpy(v.settings.runtime, "python3");
	strcpy(v.settings.handler, "app.handler");
	v.settings.memory_mib = 256;
	v.settings.timeout_s = 7;
	v.settings.storage_mib = 4096;
	v.settings.reuse = FN_RESET;
	v.settings.env = (char *)"A=1\0B=2";
	v.settings.env_len = 8;
	v.settings.secrets = (char *)"KEY=x=y";
	v.settings.secrets_len = 8;
	v.settings.layers = layers;
	v.settings.layer_count = 2;
	return v;
}

static int put(struct store *st, struct fn_version *v, unsigned drop)
{
	struct store_tx *tx = store_tx_new();
	struct stk_err err = {0};
	int rc;

	store_tx_version(tx, v);
	store_tx_function(tx, v->fn, v->number, v->number, 0);
	if (drop)
		store_tx_drop_version(tx, v->fn->name, drop);
	rc = store_commit(st, tx, &err);
	store_tx_free(tx);
	return rc;
}

static int drop(struct store *st, const char *name)
{
	struct store_tx *tx = store_tx_new();
	struct stk_err err = {0};
	int rc;

	store_tx_drop_function(tx, name);
	rc = store_commit(st, tx, &err);
	store_tx_free(tx);
	return rc;
}

static void load(struct seen *s)
{
	static const struct store_sink sink = {on_name, on_version, on_function, on_alias, on_note};
	struct store *st;
	struct stk_err err = {0};

	memset(s, 0, sizeof(*s));
	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(store_load(st, &sink, s, &err), 0);
	store_close(st);
}

static void everything_comes_back(void **state)
{
	struct function fn = fn_of("hello");
	struct fn_version v = row(&fn, 1);
	struct fn_alias alias = {.name = "prod", .version = 1, .additional = 2, .weight = 0.25, .revision = "r"};
	struct stk_err err = {0};
	struct store_tx *tx;
	struct store *st;
	struct seen s;

	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(put(st, &v, 0), 0);
	v = row(&fn, 2);
	assert_int_equal(put(st, &v, 1), 0);
	v = row(&fn, 3);
	v.published = 7;
	v.state = FN_FAILED;
	v.extra = (char *)"{\"Description\":\"x\"}";
	v.reason = (char *)"Code\0text";
	tx = store_tx_new();
	store_tx_version(tx, &v);
	store_tx_reserved(tx, "hello", 10);
	store_tx_function(tx, &fn, 3, 2, 7); /* leaves that alone */
	store_tx_alias(tx, "hello", &alias);
	store_tx_note(tx, "hello", "tags", "", "{\"k\":\"v\"}");
	store_tx_note(tx, "hello", "url", "prod", "{}");
	store_tx_note(tx, "hello", "url", "prod", NULL);
	assert_int_equal(store_commit(st, tx, &err), 0);
	store_tx_free(tx);
	store_close(st);
	load(&s);
	assert_int_equal(s.versions, 2);
	assert_int_equal(s.functions, 1);
	assert_int_equal(s.f.latest, 3);
	assert_int_equal(s.f.active, 2);
	assert_int_equal(s.f.last_published, 7);
	assert_int_equal(s.f.reserved, 10);
	assert_int_equal(s.v.number, 3);
	assert_int_equal(s.v.published, 7);
	assert_int_equal(s.v.state, FN_FAILED);
	assert_string_equal(s.extra, "{\"Description\":\"x\"}");
	assert_string_equal(s.reason, "Code/text");
	assert_string_equal(s.v.revision, v.revision);
	assert_memory_equal(s.v.sha256, v.sha256, FN_SHA256_LEN);
	assert_int_equal(s.v.settings.memory_mib, 256);
	assert_int_equal(s.v.settings.timeout_s, 7);
	assert_int_equal(s.v.settings.storage_mib, 4096);
	assert_int_equal(s.v.settings.reuse, FN_RESET);
	assert_true(s.v.zip_crc == UINT64_MAX && s.v.img_crc == 1ull << 63);
	assert_true(s.v.created_ms == 1700000000123);
	assert_memory_equal(s.env, "A=1\0B=2", 8);
	assert_int_equal(s.v.settings.secrets_len, 8);
	assert_string_equal(s.secrets, "KEY=x=y");
	assert_int_equal(s.v.settings.layer_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(s.layers[i].name, layers[i].name);
		assert_int_equal(s.layers[i].version, layers[i].version);
	}
	assert_int_equal(s.aliases, 1);
	assert_int_equal(s.a.additional, 2);
	assert_true(s.a.weight == 0.25);
	assert_int_equal(s.notes, 1);
	assert_string_equal(s.json, "{\"k\":\"v\"}");
}

static void all_of_a_transaction_or_nothing(void **state)
{
	struct function fn = fn_of("hello");
	struct fn_version v = row(&fn, 1);
	struct stk_err err = {0};
	struct store_tx *tx;
	struct store *st;
	struct seen s;

	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(put(st, &v, 0), 0);
	tx = store_tx_new();
	store_tx_drop_function(tx, "hello");
	store_tx_note(tx, NULL, "tags", "", "{}"); /* a name must be there: refused by the table */
	assert_true(store_commit(st, tx, &err) < 0);
	store_tx_free(tx);
	assert_int_equal(store_commit(st, NULL, &err), -ENOMEM);
	store_close(st);
	load(&s);
	assert_int_equal(s.versions, 1);
	assert_int_equal(s.functions, 1);
}

static void deleted_names_keep_their_last_number(void **state)
{
	struct function fn = fn_of("gone");
	struct fn_version v = row(&fn, 41);
	struct stk_err err = {0};
	struct store *st;
	struct seen s;

	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(put(st, &v, 0), 0);
	assert_int_equal(drop(st, "gone"), 0);
	assert_int_equal(drop(st, "gone"), 0);
	store_close(st);
	load(&s);
	assert_int_equal(s.versions, 0);
	assert_int_equal(s.functions, 0);
	assert_int_equal(s.names, 1);
	assert_int_equal(s.last, 41);
}

/* Counts how often a text is in the database's files. */
static unsigned in_files(const char *text)
{
	static const char *const endings[] = {"", "-wal"};
	unsigned count = 0;

	for (unsigned i = 0; i < 2; i++) {
		char name[256], *data;
		size_t len;

		snprintf(name, sizeof(name), "%s%s", path, endings[i]);
		if (stk_read_file(name, 1u << 24, &data, &len))
			continue;
		for (char *p = data; (p = memmem(p, len - (size_t)(p - data), text, strlen(text))); p++)
			count++;
		free(data);
	}
	return count;
}

static void secrets_go_with_their_version(void **state)
{
	struct function fn = fn_of("hello");
	struct fn_version v = row(&fn, 1), w = row(&fn, 2);
	struct stk_err err = {0};
	struct store *st;
	struct stat file;

	v.settings.secrets = (char *)"KEY=very special";
	v.settings.secrets_len = 17;
	w.settings.secrets_len = 0;
	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(put(st, &v, 0), 0);
	assert_true(in_files("very special") > 0);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	assert_int_equal(put(st, &w, 1), 0);
	store_close(st); /* which empties the log */
	assert_int_equal(in_files("very special"), 0);
}

static void survives_a_kill(void **state)
{
	int pv[2], status;
	unsigned last = 0;
	struct seen s;
	pid_t pid;

	assert_int_equal(pipe(pv), 0);
	pid = fork();
	if (pid == 0) {
		struct stk_err err = {0};
		struct store *st;

		if (store_open(path, &st, &err))
			_exit(1);
		for (unsigned i = 1;; i++) {
			struct function fn = fn_of("k");
			struct fn_version v = row(&fn, i);

			if (put(st, &v, i - 1) || write(pv[1], &i, sizeof(i)) != sizeof(i))
				_exit(1);
		}
	}
	close(pv[1]);
	while (last < 20)
		assert_int_equal(read(pv[0], &last, sizeof(last)), sizeof(last));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	while (read(pv[0], &last, sizeof(last)) == sizeof(last))
		;
	close(pv[0]);
	load(&s);
	assert_int_equal(s.versions, 1);
	assert_in_range(s.v.number, last, last + 1);
}

/* As earlier releases left it. */
#define OLD_TABLES(more)                                                                                     \
	"CREATE TABLE names(name TEXT PRIMARY KEY, last_version INTEGER NOT NULL) WITHOUT ROWID;"            \
	"CREATE TABLE functions(name TEXT PRIMARY KEY, version INTEGER NOT NULL, runtime TEXT NOT NULL,"     \
	" handler TEXT NOT NULL, memory_mib INTEGER NOT NULL, timeout_s INTEGER NOT NULL, env BLOB,"         \
	" created_ms INTEGER NOT NULL, code_size INTEGER NOT NULL, zip_crc INTEGER NOT NULL,"                \
	" img_crc INTEGER NOT NULL" more ") WITHOUT ROWID;"                                                  \
	"INSERT INTO names VALUES('old', 3);"

static void check_upgrade(const char *old, enum fn_reuse reuse)
{
	struct function fn = fn_of("new");
	struct fn_version v = row(&fn, 1);
	struct stk_err err = {0};
	struct store *st;
	struct seen s = {0};
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, old, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	load(&s);
	assert_int_equal(s.versions, 1);
	assert_int_equal(s.v.number, 3);
	assert_int_equal(s.v.published, 0);
	assert_int_equal(s.v.state, FN_ACTIVE);
	assert_int_equal(s.v.settings.reuse, reuse);
	assert_int_equal(s.v.settings.storage_mib, 512);
	assert_int_equal(strlen(s.v.revision), FN_REVISION_LEN);
	assert_true(s.v.zip_crc == 2 && s.v.img_crc == 3);
	assert_int_equal(s.functions, 1);
	assert_int_equal(s.f.latest, 3);
	assert_int_equal(s.f.active, 3);
	assert_int_equal(s.f.reserved, -1);
	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(drop(st, "old"), 0);
	assert_int_equal(put(st, &v, 0), 0);
	store_close(st);
	load(&s);
	assert_int_equal(s.v.settings.reuse, FN_RESET);
}

static void schema_1_is_brought_up_to_date(void **state)
{
	check_upgrade(OLD_TABLES("")
		      "INSERT INTO functions VALUES('old', 3, 'python3', 'app.handler', 128, 3, NULL, 0, 1, 2, 3);"
		      "PRAGMA user_version = 1;", FN_DESTROY);
}

static void schema_2_is_brought_up_to_date(void **state)
{
	check_upgrade(OLD_TABLES(", reuse TEXT NOT NULL DEFAULT 'destroy'")
		      "INSERT INTO functions VALUES('old', 3, 'python3', 'app.handler', 128, 3, NULL, 0, 1, 2, 3, 'reset');"
		      "PRAGMA user_version = 2;", FN_RESET);
}

static unsigned sizes_seen[8];
static char extras_seen[8][64];

static int on_size(void *ctx, const struct store_version *v)
{
	assert_in_range(v->number, 1, 7);
	sizes_seen[v->number] = v->settings.storage_mib;
	snprintf(extras_seen[v->number], sizeof(extras_seen[0]), "%s", v->extra ? v->extra : "none");
	return 0;
}

/* Where the size of /tmp was shown and had no effect. */
static void schema_5_kept_the_size_of_storage_with_the_rest(void **state)
{
	static const struct { const char *before; unsigned size; const char *after; } rows[] = {
		{"'{\"Description\":\"a\\u00e9\",\"EphemeralStorage\":{\"Size\":2048},\"Role\":\"r\"}'", 2048,
		 "{\"Description\":\"a\\u00e9\",\"Role\":\"r\"}"},
		{"'{\"EphemeralStorage\":{\"Size\":10240}}'", 10240, "none"},
		{"'{\"Role\":\"r\"}'", 512, "{\"Role\":\"r\"}"},
		{"''", 512, ""},
		{"NULL", 512, "none"},
		{"'{\"EphemeralStorage\":{\"Size\":99999}}'", 512, "{\"EphemeralStorage\":{\"Size\":99999}}"},
		{"'{\"EphemeralStorage\":'", 512, "{\"EphemeralStorage\":"}, /* no JSON: no reason not to start */
	};
	struct store_sink sink = {on_name, on_size, on_function, on_alias, on_note};
	struct stk_err err = {0};
	struct seen seen = {0};
	struct store *st;
	char sql[1024];
	sqlite3 *db;

	assert_int_equal(store_open(path, &st, &err), 0);
	store_close(st);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "ALTER TABLE versions DROP COLUMN storage_mib; PRAGMA user_version = 5;", NULL,
				      NULL, NULL), SQLITE_OK);
	for (unsigned i = 0; i < STK_ARRAY_LEN(rows); i++) {
		snprintf(sql, sizeof(sql), "INSERT INTO versions VALUES('f', %u, 0, 'active', 'python3', 'a.b', 128, 3, "
			 "'destroy', NULL, %s, NULL, NULL, NULL, 0, 1, 2, 3, NULL, 'r', NULL)", i + 1, rows[i].before);
		assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	}
	sqlite3_close(db);
	if (store_open(path, &st, &err))
		fail_msg("%s", err.text);
	assert_int_equal(store_load(st, &sink, &seen, &err), 0);
	store_close(st);
	for (unsigned i = 0; i < STK_ARRAY_LEN(rows); i++) {
		assert_int_equal(sizes_seen[i + 1], rows[i].size);
		assert_string_equal(extras_seen[i + 1], rows[i].after);
	}
}

static void newer_schema_and_rubbish_are_refused(void **state)
{
	struct stk_err err = {0};
	struct store *st;
	sqlite3 *db;
	FILE *f;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(store_open(path, &st, &err), -EPROTO);
	assert_non_null(strstr(err.text, "99"));
	f = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is not a database", f);
	fclose(f);
	assert_int_equal(store_open(path, &st, &err), -EUCLEAN);
	assert_true(store_open("/nonexistent/x.db", &st, &err) < 0);
}

/* What comes of a build is written only where its version is still there, and still the latest. */
static void builds_bring_nothing_back(void **state)
{
	struct function fn = fn_of("hello");
	struct fn_version v = row(&fn, 1);
	struct store_tx *tx;
	struct stk_err err;
	struct store *st;
	struct seen s;

	assert_int_equal(store_open(path, &st, &err), 0);
	v.state = FN_PENDING;
	tx = store_tx_new();
	store_tx_version(tx, &v);
	store_tx_function(tx, &fn, 1, 0, 0);
	v.state = FN_ACTIVE;
	v.zip_crc = 77;
	store_tx_made(tx, &v);
	store_tx_active(tx, "hello", 2);
	assert_int_equal(store_commit(st, tx, &err), 0);
	store_tx_free(tx);
	store_close(st);
	load(&s);
	assert_int_equal(s.versions, 1);
	assert_int_equal(s.v.state, FN_ACTIVE);
	assert_int_equal(s.v.zip_crc, 77);
	assert_int_equal(s.f.active, 0);
	assert_int_equal(store_open(path, &st, &err), 0);
	tx = store_tx_new();
	store_tx_active(tx, "hello", 1);
	assert_int_equal(store_commit(st, tx, &err), 0);
	store_tx_free(tx);
	store_close(st);
	load(&s);
	assert_int_equal(s.f.active, 1);
	assert_int_equal(store_open(path, &st, &err), 0);
	tx = store_tx_new();
	store_tx_drop_function(tx, "hello");
	store_tx_made(tx, &v);
	store_tx_active(tx, "hello", 1);
	store_tx_reserved(tx, "hello", 3);
	assert_int_equal(store_commit(st, tx, &err), 0);
	store_tx_free(tx);
	store_close(st);
	load(&s);
	assert_int_equal(s.versions, 0);
	assert_int_equal(s.functions, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everything_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_names_keep_their_last_number, setup, teardown),
		cmocka_unit_test_setup_teardown(secrets_go_with_their_version, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_a_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(all_of_a_transaction_or_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(builds_bring_nothing_back, setup, teardown),
		cmocka_unit_test_setup_teardown(schema_1_is_brought_up_to_date, setup, teardown),
		cmocka_unit_test_setup_teardown(schema_2_is_brought_up_to_date, setup, teardown),
		cmocka_unit_test_setup_teardown(schema_5_kept_the_size_of_storage_with_the_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(newer_schema_and_rubbish_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
