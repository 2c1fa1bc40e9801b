/* Functions that are web servers. Byte 0: an event, the head of a response, or a chunked body (and its pieces). */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest-init/webmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char out[WEBMSG_HEAD];

static void fuzz_event(const uint8_t *data, size_t size)
{
	struct webmsg_request r;
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return;
	memcpy(copy, data, size);
	if (webmsg_request(copy, size, "id", 1, out, sizeof(out), &r) == 0) {
		if (r.head_len > sizeof(out) || r.body_len > size || memcmp(out + r.head_len - 4, "\r\n\r\n", 4) != 0)
			abort();
		if (memmem(out, r.head_len - 4, "\r\n\r\n", 4)) /* nothing of an event ends the head */
			abort();
	}
	free(copy);
}

static void fuzz_response(const uint8_t *data, size_t size)
{
	struct webmsg_response r;
	size_t head = webmsg_head_len((const char *)data, size);
	long n = webmsg_response((const char *)data, head, out, sizeof(out), &r);

	if (head > size || (n >= 0 && (n > (long)sizeof(out) || r.status < 100 || r.status > 599)))
		abort();
}

static void fuzz_chunks(const uint8_t *data, size_t size, size_t step)
{
	struct webmsg_chunks c = {0};

	for (size_t at = 0; at < size && c.state != WEBMSG_END;) {
		size_t len, part = size - at < step ? size - at : step;
		const uint8_t *piece = NULL;
		long n = webmsg_chunk(&c, data + at, part, &piece, &len);

		if (n < 0)
			return;
		if (n == 0 || (size_t)n > part || (len && (piece < data || piece + len > data + size)))
			abort();
		at += (size_t)n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] == 0)
		fuzz_event(data + 1, size - 1);
	else if (data[0] == 1)
		fuzz_response(data + 1, size - 1);
	else
		fuzz_chunks(data + 1, size - 1, data[0]);
	return 0;
}
