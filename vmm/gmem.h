/* Guest memory: one mapping, one door. Every access to guest memory from outside KVM_RUN goes
 * through gmem_ptr (or a helper built on it). RAM starts at guest physical address 0 and leaves a
 * hole from 3 GiB to 4 GiB; the mapping itself has no hole. */
#ifndef VMM_GMEM_H
#define VMM_GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

/* A guest physical address: a type of its own so that it cannot be dereferenced or mixed up. */
typedef struct gpa {
	uint64_t v;
} gpa_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

#define GMEM_HOLE_START 0xc0000000ULL
#define GMEM_HOLE_END   0x100000000ULL

struct gmem {
	uint8_t *base; /* host mapping of `size` bytes, on a boundary of 2 MiB (KVM needs that for huge pages) */
	uint64_t size; /* bytes of RAM, multiple of 4096 */
};

/* Anonymous memory (boot). */
int gmem_init_anon(struct gmem *m, uint64_t size, struct stk_err *err);
/* Addresses alone: no memory to be reached, until gmem_map_file. KVM may be told of them already. */
int gmem_reserve(struct gmem *m, uint64_t size, struct stk_err *err);
/* Puts a private mapping of the first m->size bytes of a snapshot's memory file where m is: nothing is copied, the
 * page cache is shared with every other clone. What was there is gone. fd stays the caller's. */
int gmem_map_file(struct gmem *m, int fd, struct stk_err *err);
/* Both. */
int gmem_init_file(struct gmem *m, int fd, uint64_t size, struct stk_err *err);
/* Gives this part (offset and length in bytes from `base`, whole pages) private memory at once, with
 * the file's content. A negative errno when the kernel does not do it; the pages then come one by one. */
int gmem_populate(struct gmem *m, uint64_t offset, uint64_t len);
/* A block of 2 MiB of guest memory that comes from another file, which should lie in huge pages: one fault of the guest
 * brings in all of it. Block `guest` of the memory is then block `file` of fd, private again. fd stays the caller's. */
#define GMEM_BLOCK (2ULL << 20)
struct gmem_block {
	uint16_t guest, file;
};
int gmem_map_block(struct gmem *m, int fd, struct gmem_block b, struct stk_err *err);
/* Fresh memory, zeros, in place of what is mapped there (whole blocks of GMEM_BLOCK, offset from `base`): in huge pages where
 * the kernel has some, so that one fault of the guest brings in 2 MiB. -ERANGE, or mmap's error. */
int gmem_map_empty(struct gmem *m, uint64_t offset, uint64_t len, struct stk_err *err);
void gmem_fini(struct gmem *m);

/* Host pointer to [addr, addr+len) when all of it is RAM of one side of the hole, else NULL.
 * Safe against overflow. len 0 gives a valid pointer for an address inside RAM. Any thread. */
void *gmem_ptr(const struct gmem *m, gpa_t addr, uint64_t len);

/* Offset in the mapping (and the memory file) for a RAM address; UINT64_MAX when not RAM. */
uint64_t gmem_offset(const struct gmem *m, gpa_t addr);

/* RAM below the hole, in bytes; the rest (size - low) lies at GMEM_HOLE_END. */
static inline uint64_t gmem_low_size(const struct gmem *m)
{
	return m->size < GMEM_HOLE_START ? m->size : GMEM_HOLE_START;
}

#endif
