/* The line that fills a shell in: whatever it says, the result is within bounds and each descriptor is used once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/fill.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seen(int fd, unsigned count, unsigned *bits)
{
	if (fd < 0)
		return;
	if ((unsigned)fd >= count || (*bits & 1u << fd))
		abort();
	*bits |= 1u << fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fill f;
	struct stk_err err = {0};
	int fd[FILL_MAX_FDS];
	unsigned count, bits = 0;

	if (size < 1 || size - 1 > FILL_TEXT_MAX)
		return 0;
	count = data[0] % (FILL_MAX_FDS + 1);
	for (unsigned i = 0; i < count; i++)
		fd[i] = (int)i;
	memcpy(f.text, data + 1, size - 1);
	f.text[size - 1] = '\0';
	if (fill_parse(&f, fd, count, &err) < 0) {
		if (!err.text[0])
			abort();
		return 0;
	}
	if (f.state_fd < 0 || f.memory_fd < 0 || f.drive_count > VMCONFIG_MAX_DRIVES ||
	    f.stream_count > DEVICE_MAX_PORT_FDS || f.block_count > FILL_MAX_BLOCKS)
		abort();
	seen(f.state_fd, count, &bits);
	seen(f.memory_fd, count, &bits);
	seen(f.set_fd, count, &bits);
	seen(f.blocks_fd, count, &bits);
	for (unsigned i = 0; i < f.drive_count; i++) {
		seen(f.drive[i].fd, count, &bits);
		if (f.drive[i].drive_id < f.text || f.drive[i].drive_id >= f.text + sizeof(f.text))
			abort();
	}
	for (unsigned i = 0; i < f.stream_count; i++)
		seen(f.stream[i].fd, count, &bits);
	if (bits != (1u << count) - 1)
		abort();
	return 0;
}
