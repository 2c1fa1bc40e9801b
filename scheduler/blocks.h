/* Blocks of guest memory, 2 MiB each, that clones of all functions share: parts of snapshots that their invocations only
 * read (the guest kernel's code above all), kept once in huge pages. KVM maps such a block in one go where it would
 * take a fault for each page of 4 KiB. A block is found by its content, so it does not matter whose it was first. */
#ifndef SCHEDULER_BLOCKS_H
#define SCHEDULER_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define BLOCKS_UNIT  (2u << 20)
#define BLOCKS_UNIT_PAGES (BLOCKS_UNIT / 4096u)
#define BLOCKS_MAX  32u /* kept in all, as long as stokerd lives */
#define BLOCKS_EACH 8u  /* used by one snapshot */
#define BLOCKS_MANY 16u /* pages that are read of a block which may have the last place */
#define BLOCKS_FEW  8u  /* others only get in while fewer than so many are kept: the kernel's, which all snapshots have */

struct blocks; /* blocks.c */

/* Block number `guest` of a snapshot's RAM has the content of block `store` of the descriptor. */
struct block_use {
	uint16_t guest, store;
};

/* Block number `guest` of a snapshot's RAM is only read, so many pages of it. */
struct block_want {
	uint16_t guest, pages;
};

/* NULL: no huge pages of shared memory are to be had here (needs CAP_SYS_ADMIN), said in the log. Loop thread. */
struct blocks *blocks_new(void);
/* Accepts NULL. */
void blocks_free(struct blocks *b);
/* For stoker-vmm --blocks; the store's. */
int blocks_fd(const struct blocks *b);
/* Stores these blocks of the memory file `path`, which must have been checked. How many of them ret_use got, at most
 * BLOCKS_EACH: those that the file has, and that are there already or for which there is room. Any thread; blocking.
 * Accepts NULL. */
unsigned blocks_share(struct blocks *b, const char *path, const struct block_want *want, unsigned count,
		      struct block_use *ret_use);

#endif
