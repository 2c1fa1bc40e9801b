#include "vmm/devices/i8042.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct i8042 {
	struct device dev; /* first */
	struct device_host *host;
};

static void absent_read(void *ctx, uint64_t off, uint8_t *data, unsigned len)
{
	memset(data, 0xff, len);
}

static void absent_write(void *ctx, uint64_t off, const uint8_t *data, unsigned len)
{
}

static void command_write(void *ctx, uint64_t off, const uint8_t *data, unsigned len)
{
	struct i8042 *k = ctx;

	if (data[0] == I8042_CMD_RESET && k->host->on_reset)
		k->host->on_reset(k->host->on_reset_ctx);
}

/* No controller, except that its input buffer is never full (bit 1 clear): the guest's reset waits
 * for that bit before it writes the reset command, for seconds if need be. */
static void status_read(void *ctx, uint64_t off, uint8_t *data, unsigned len)
{
	memset(data, 0xff, len);
	data[0] = 0xfd;
}

static const struct bus_ops data_bus = {.read = absent_read, .write = absent_write};
static const struct bus_ops command_bus = {.read = status_read, .write = command_write};

static void i8042_nothing(struct device *dev)
{
}

static int i8042_save(struct device *dev, struct stk_wr *w)
{
	return 0; /* no state */
}

static int i8042_restore(struct device *dev, struct stk_rd *r, uint32_t version, struct stk_err *err)
{
	if (version != dev->ops->version || r->left)
		return stk_err_set(err, -EINVAL, "i8042: saved state is not known (version %u, %zu bytes)",
				   version, r->left);
	return 0;
}

static void i8042_fini(struct device *dev)
{
	free(dev);
}

static const struct device_ops i8042_ops = {
	.name = "i8042",
	.version = 1,
	.quiesce = i8042_nothing,
	.resume = i8042_nothing,
	.save = i8042_save,
	.restore = i8042_restore,
	.fini = i8042_fini,
};

int i8042_create(struct device_host *host, struct device **ret_dev, struct stk_err *err)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return stk_err_set(err, -ENOMEM, "i8042: out of memory");
	k->dev.ops = &i8042_ops;
	snprintf(k->dev.id, sizeof(k->dev.id), "i8042");
	k->host = host;
	r = bus_add(host->pio, I8042_DATA, 1, &data_bus, k);
	if (r == 0)
		r = bus_add(host->pio, I8042_COMMAND, 1, &command_bus, k);
	if (r != 0) {
		free(k);
		return stk_err_sys(err, r, "i8042: no place on the bus");
	}
	*ret_dev = &k->dev;
	return 0;
}
