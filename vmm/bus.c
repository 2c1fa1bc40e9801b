/* Port and memory-mapped I/O ranges: see bus.h. */
#include "vmm/bus.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

int bus_add(struct bus *bus, uint64_t start, uint64_t len, const struct bus_ops *ops, void *ctx)
{
	if (len == 0 || start + len < start)
		return -EINVAL;
	for (unsigned i = 0; i < bus->count; i++) {
		const struct bus_range *r = &bus->range[i];

		if (start < r->start + r->len && r->start < start + len)
			return -EEXIST;
	}
	if (bus->count == BUS_MAX_RANGES)
		return -ENOSPC;
	bus->range[bus->count++] = (struct bus_range){start, len, ops, ctx};
	return 0;
}

static const struct bus_range *bus_find(const struct bus *bus, uint64_t addr, unsigned len)
{
	for (unsigned i = 0; i < bus->count; i++) {
		const struct bus_range *r = &bus->range[i];

		if (addr >= r->start && addr - r->start < r->len)
			return len <= r->len - (addr - r->start) ? r : NULL;
	}
	return NULL;
}

bool bus_claims(const struct bus *bus, uint64_t addr, unsigned len)
{
	return bus_find(bus, addr, len) != NULL;
}

void bus_read(const struct bus *bus, uint64_t addr, uint8_t *data, unsigned len)
{
	const struct bus_range *r = bus_find(bus, addr, len);

	memset(data, 0xff, len);
	if (r && r->ops->read)
		r->ops->read(r->ctx, addr - r->start, data, len);
}

void bus_write(const struct bus *bus, uint64_t addr, const uint8_t *data, unsigned len)
{
	const struct bus_range *r = bus_find(bus, addr, len);

	if (r && r->ops->write)
		r->ops->write(r->ctx, addr - r->start, data, len);
}
