/* Schedules of stoker-bench: 's' and a text as for --arrivals, or anything else and a trace. What is accepted must
 * give times in order. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/arrivals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arrivals a = {0};
	struct stk_err err;
	uint64_t before = 0, ns = 0;
	char *text;
	int rc;

	if (size == 0 || !(text = malloc(size)))
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] != 's')
		rc = arrivals_parse_trace(&a, text, size - 1, "trace", &err);
	else
		rc = strncmp(text, "trace:", 6) == 0 ? -1 : arrivals_parse(&a, text, 100, 1, &err);
	free(text);
	if (rc < 0)
		return 0;
	for (int i = 0; i < 1000 && arrivals_next(&a, &ns); i++) {
		if (ns < before)
			abort();
		before = ns;
	}
	arrivals_fini(&a);
	return 0;
}
