/* What the two halves of the database code share. */
#ifndef SCHEDULER_STORE_INTERNAL_H
#define SCHEDULER_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "scheduler/store.h"

struct store {
	sqlite3 *db;
	pthread_mutex_t lock;
};

static inline void store_finalize(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}
#define AUTO_STMT __attribute__((cleanup(store_finalize))) sqlite3_stmt *

extern const char *const store_state_names[]; /* by enum fn_state */

/* Sets err for a result code of SQLite and returns the errno. */
int store_err(struct store *s, int rc, const char *what, struct stk_err *err);
int store_exec(struct store *s, const char *sql, const char *what, struct stk_err *err);
int store_prepare(struct store *s, const char *sql, sqlite3_stmt **ret, struct stk_err *err);

#endif
