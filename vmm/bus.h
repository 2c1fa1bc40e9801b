/* Port and memory-mapped I/O: which device answers which range. Filled in before vCPUs run and
 * constant afterwards, so that lookups need no lock. */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct bus_ops {
	/* off = offset in the range; len = 1, 2, 4 or 8. Called on a vCPU thread with the VM's device
	 * lock held. Reads fill all len bytes. */
	void (*read)(void *ctx, uint64_t off, uint8_t *data, unsigned len);
	void (*write)(void *ctx, uint64_t off, const uint8_t *data, unsigned len);
};

struct bus_range {
	uint64_t start, len;
	const struct bus_ops *ops;
	void *ctx;
};

#define BUS_MAX_RANGES 32

struct bus {
	struct bus_range range[BUS_MAX_RANGES];
	unsigned count;
};

/* 0, -ENOSPC, -EEXIST when ranges would overlap, -EINVAL for an empty or wrapping range. */
int bus_add(struct bus *bus, uint64_t start, uint64_t len, const struct bus_ops *ops, void *ctx);
/* Whether a device answers there: lets a vCPU leave the lock alone when none does. */
bool bus_claims(const struct bus *bus, uint64_t addr, unsigned len);
/* Reads of nothing give 0xff bytes; writes to nothing are dropped. An access that straddles a
 * range's end counts as nothing. */
void bus_read(const struct bus *bus, uint64_t addr, uint8_t *data, unsigned len);
void bus_write(const struct bus *bus, uint64_t addr, const uint8_t *data, unsigned len);

#endif
