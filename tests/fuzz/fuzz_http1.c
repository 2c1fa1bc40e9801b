/* The guest's HTTP parser: any bytes, in pieces of any size. The first byte chooses the pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "guest-init/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http1 p;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step;

	if (size < 1)
		return 0;
	step = data[0] ? data[0] : size;
	data++;
	size--;
	http1_reset(&p);
	while (size) {
		size_t n = size < step ? size : step, left = n;
		const uint8_t *at = data;

		for (;;) {
			const uint8_t *body = NULL;
			size_t body_len = 0;
			int rc = http1_next(&p, &at, &left, &body, &body_len);

			if (rc < 0) {
				if (p.error_status < 400 || p.error_status > 599)
					abort();
				return 0;
			}
			if (rc == HTTP1_MORE)
				break;
			if (rc == HTTP1_BODY && (body < data || body + body_len > data + n || !body_len))
				abort();
			if (rc == HTTP1_DONE)
				http1_reset(&p);
		}
		if (left)
			abort();
		data += n;
		size -= n;
	}
	return 0;
}
