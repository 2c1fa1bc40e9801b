/* Unpacks a function's zip, taking nothing for granted: no absolute paths, no "..", no way through
 * links, no links that point out, no devices, bounded in size, number and depth. Blocks. */
#ifndef SCHEDULER_ZIPREAD_H
#define SCHEDULER_ZIPREAD_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define ZIPREAD_MAX_ZIP     (50u * 1024 * 1024)
#define ZIPREAD_MAX_BYTES   (250ull * 1024 * 1024)
#define ZIPREAD_MAX_ENTRIES 20000u
#define ZIPREAD_MAX_DEPTH   32u

struct zipread_limits {
	uint64_t max_bytes;
	unsigned max_entries;
};

#define ZIPREAD_LIMITS {ZIPREAD_MAX_BYTES, ZIPREAD_MAX_ENTRIES}

/* Into the existing folder dest. -EINVAL with err for a zip that is refused; other errors are the
 * host's (-ENOSPC, -EIO). What was unpacked so far stays: the caller removes dest. The first one takes what it has used
 * off the limits, for zips that have one in common. */
int zipread_unpack(const char *zip_path, const char *dest, struct zipread_limits *left, struct stk_err *err);
int zipread_unpack_memory(const void *data, size_t len, const char *dest, const struct zipread_limits *limits,
			  struct stk_err *err);

#endif
