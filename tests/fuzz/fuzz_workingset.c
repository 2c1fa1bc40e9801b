/* A working set of arbitrary bytes, also with its checksum made right. What is taken is within RAM, in
 * order, and comes out the same when it is written again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/crc64.h"
#include "snapshots/workingset.h"

#define PAGES 38912u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const struct snap_page_list *list)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < list->count; i++) {
		if (list->range[i].first < end || list->range[i].count == 0)
			abort();
		end = (uint64_t)list->range[i].first + list->range[i].count;
	}
	if (end > PAGES)
		abort();
}

static void take(const uint8_t *data, size_t size)
{
	struct snap_workingset ws;
	uint8_t *again;
	size_t len;

	if (snap_workingset_decode(data, size, PAGES, &ws, NULL) < 0)
		return;
	check_list(&ws.written);
	check_list(&ws.read);
	if (snap_workingset_encode(&ws, &again, &len) == 0) {
		if (len != size || memcmp(again, data, len) != 0)
			abort();
		free(again);
	}
	snap_workingset_fini(&ws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	uint64_t crc;

	take(data, size);
	if (size < 8 || size > SNAP_WORKINGSET_MAX_SIZE)
		return 0;
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data, size - 8);
	crc = stk_crc64(0, copy, size - 8);
	memcpy(copy + size - 8, &crc, 8);
	take(copy, size);
	free(copy);
	return 0;
}
