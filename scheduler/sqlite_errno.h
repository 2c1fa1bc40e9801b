/* What the host's databases have in common: an errno for what SQLite says. Full disk and I/O errors matter to callers. */
#ifndef SCHEDULER_SQLITE_ERRNO_H
#define SCHEDULER_SQLITE_ERRNO_H

#include <errno.h>
#include <sqlite3.h>

/* rc: a result code, extended or not. Negative errno, -EIO for what has none. */
static inline int sqlite_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	default:
		return -EIO;
	}
}

#endif
