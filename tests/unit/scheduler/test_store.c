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
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

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
	unsigned names, versions, last;
	struct store_version v;
	char env[64];
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

	s->versions++;
	s->v = *v;
	if (v->settings.env_len <= sizeof(s->env) && v->settings.env_len)
		memcpy(s->env, v->settings.env, v->settings.env_len);
	return 0;
}

static struct store_version row(const char *name, unsigned number)
{
	struct store_version v = {.number = number, .created_ms = 1700000000123, .code_size = 99,
				  .zip_crc = UINT64_MAX, .img_crc = 1ull << 63};

	strcpy(v.name, name);
	strcpy(v.settings.runtime, "python3");
	strcpy(v.settings.handler, "app.handler");
	v.settings.memory_mib = 256;
	v.settings.timeout_s = 7;
	v.settings.reuse = FN_RESET;
	v.settings.env = (char *)"A=1\0B=2";
	v.settings.env_len = 8;
	return v;
}

static void load(struct seen *s)
{
	struct store *st;
	struct stk_err err = {0};

	memset(s, 0, sizeof(*s));
	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(store_load(st, on_name, on_version, s, &err), 0);
	store_close(st);
}

static void everything_comes_back(void **state)
{
	struct store_version v = row("hello", 1);
	struct stk_err err = {0};
	struct store *st;
	struct seen s;

	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(store_put(st, &v, &err), 0);
	v = row("hello", 2);
	assert_int_equal(store_put(st, &v, &err), 0);
	store_close(st);
	load(&s);
	assert_int_equal(s.versions, 1);
	assert_int_equal(s.v.number, 2);
	assert_string_equal(s.v.name, "hello");
	assert_int_equal(s.v.settings.memory_mib, 256);
	assert_int_equal(s.v.settings.timeout_s, 7);
	assert_true(s.v.zip_crc == UINT64_MAX && s.v.img_crc == 1ull << 63);
	assert_true(s.v.created_ms == 1700000000123);
	assert_memory_equal(s.env, "A=1\0B=2", 8);
}

static void deleted_names_keep_their_last_number(void **state)
{
	struct store_version v = row("gone", 41);
	struct stk_err err = {0};
	struct store *st;
	struct seen s;

	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(store_put(st, &v, &err), 0);
	assert_int_equal(store_delete(st, "gone", &err), 0);
	assert_int_equal(store_delete(st, "gone", &err), 0);
	store_close(st);
	load(&s);
	assert_int_equal(s.versions, 0);
	assert_int_equal(s.names, 1);
	assert_int_equal(s.last, 41);
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
			struct store_version v = row("k", i);

			if (store_put(st, &v, &err) || write(pv[1], &i, sizeof(i)) != sizeof(i))
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

/* As the first release left it. */
static void older_schema_is_brought_up_to_date(void **state)
{
	static const char old[] =
		"CREATE TABLE names(name TEXT PRIMARY KEY, last_version INTEGER NOT NULL) WITHOUT ROWID;"
		"CREATE TABLE functions(name TEXT PRIMARY KEY, version INTEGER NOT NULL, runtime TEXT NOT NULL,"
		" handler TEXT NOT NULL, memory_mib INTEGER NOT NULL, timeout_s INTEGER NOT NULL, env BLOB,"
		" created_ms INTEGER NOT NULL, code_size INTEGER NOT NULL, zip_crc INTEGER NOT NULL,"
		" img_crc INTEGER NOT NULL) WITHOUT ROWID;"
		"INSERT INTO names VALUES('old', 3);"
		"INSERT INTO functions VALUES('old', 3, 'python3', 'app.handler', 128, 3, NULL, 0, 1, 2, 3);"
		"PRAGMA user_version = 1;";
	struct store_version v = row("new", 1);
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
	assert_int_equal(s.v.settings.reuse, FN_DESTROY);
	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(store_delete(st, "old", &err), 0);
	assert_int_equal(store_put(st, &v, &err), 0);
	store_close(st);
	memset(&s, 0, sizeof(s));
	load(&s);
	assert_int_equal(s.v.settings.reuse, FN_RESET);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everything_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_names_keep_their_last_number, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_a_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(older_schema_is_brought_up_to_date, setup, teardown),
		cmocka_unit_test_setup_teardown(newer_schema_and_rubbish_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
