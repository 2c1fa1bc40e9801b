/* Bytes on the control descriptor: however they are cut, the same commands come out, and nothing after a bad line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Number of resets; *ret_bad: ended by something else. */
static unsigned take(const char *data, size_t size, size_t piece, int *ret_bad)
{
	struct control_lines lines;
	unsigned resets = 0;

	memset(&lines, 0, sizeof(lines));
	*ret_bad = 0;
	for (size_t at = 0, used = 0; at < size; at += used) {
		size_t n = size - at < piece ? size - at : piece;
		enum control_word word = control_take(&lines, data + at, n, &used);

		if (used == 0 || used > n)
			abort();
		if (word == CONTROL_BAD) {
			*ret_bad = 1;
			break;
		}
		resets += word == CONTROL_RESET;
	}
	return resets;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int bad_whole, bad_cut;
	unsigned whole = take((const char *)data, size, size ? size : 1, &bad_whole);

	for (size_t piece = 1; piece < 8; piece++) {
		if (take((const char *)data, size, piece, &bad_cut) != whole || bad_cut != bad_whole)
			abort();
	}
	return 0;
}
