/* Before the snapshot: files that processes have mapped are read and entered into their page tables, so that no
 * clone has to. */
#ifndef GUEST_INIT_FILECACHE_H
#define GUEST_INIT_FILECACHE_H

#include <stdint.h>

/* Reads what the processes other than the caller have mapped of regular files, at most `limit` bytes in all, and
 * waits for it. It stays in the page cache as long as memory lasts, and where it is mapped for reading only also in
 * the page tables. `proc` is where procfs is. Returns the bytes read; files that cannot be read are passed over. */
uint64_t filecache_fill(const char *proc, uint64_t limit);

#endif
