/* For density.sh: copies of one deployed function in the state folder of a stokerd that does not run.
 *
 *   fleet STATE FUNCTION FROM TO     registers FUNCTION-FROM ... FUNCTION-TO, five digits each
 *
 * Each has rows of the database of its own; its files are a symbolic link to those of FUNCTION, so that each can be
 * called, and checked against its checksums, like any other. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static sqlite3 *db;

static int sql(const char *text, const char *name, int version)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, text, -1, &st, NULL);

	if (rc == SQLITE_OK && name)
		sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK && version)
		sqlite3_bind_int(st, 2, version);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		version = sqlite3_column_int(st, 0);
	else if (rc != SQLITE_DONE) {
		fprintf(stderr, "fleet: %s: %s\n", text, sqlite3_errmsg(db));
		exit(1);
	}
	sqlite3_finalize(st);
	return version;
}

static void add_links(const char *state, const char *function, const char *name, int version)
{
	char dir[512], link[560], to[160];

	snprintf(dir, sizeof(dir), "%s/functions/%s", state, name);
	snprintf(link, sizeof(link), "%s/%d", dir, version);
	snprintf(to, sizeof(to), "../%s/%d", function, version);
	if (mkdir(dir, 0750) || symlink(to, link)) {
		fprintf(stderr, "fleet: %s: %s\n", link, strerror(errno));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	char path[512], name[80];
	int from = argc == 5 ? atoi(argv[3]) : 0, to = argc == 5 ? atoi(argv[4]) : 0, version;

	if (from < 1 || to < from || strlen(argv[2]) > 50) {
		fprintf(stderr, "usage: fleet STATE FUNCTION FROM TO\n");
		return 2;
	}
	snprintf(path, sizeof(path), "%s/stoker.db", argv[1]);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		fprintf(stderr, "fleet: %s: %s\n", path, sqlite3_errmsg(db));
		return 1;
	}
	version = sql("SELECT active FROM functions WHERE name = ?1", argv[2], 0);
	if (version == 0) {
		fprintf(stderr, "fleet: no function %s\n", argv[2]);
		return 1;
	}
	sql("CREATE TEMP TABLE one AS SELECT * FROM functions WHERE name = ?1", argv[2], 0);
	sql("CREATE TEMP TABLE its AS SELECT * FROM versions WHERE name = ?1 AND number = ?2", argv[2], version);
	sql("BEGIN IMMEDIATE", NULL, 0);
	for (int i = from; i <= to; i++) {
		snprintf(name, sizeof(name), "%s-%05d", argv[2], i);
		sql("UPDATE temp.one SET name = ?1", name, 0);
		sql("UPDATE temp.its SET name = ?1", name, 0);
		sql("INSERT INTO functions SELECT * FROM temp.one", NULL, 0);
		sql("INSERT INTO versions SELECT * FROM temp.its", NULL, 0);
		sql("INSERT INTO names VALUES(?1, ?2)", name, version);
		add_links(argv[1], argv[2], name, version);
	}
	sql("COMMIT", NULL, 0);
	return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
