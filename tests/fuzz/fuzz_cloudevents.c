/* CloudEvents. Byte 0 says whether the rest is a function's answer, or a request: lines "Name: value", an empty line, the
 * body. Whatever comes in, JSON goes out. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/cloudevents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_request(char *text, size_t size)
{
	struct http_header headers[16];
	enum cloudevents_mode mode;
	char *p = text, *end = text + size;
	size_t n = 0, len;
	struct stk_err err;
	uint8_t *event;

	while (p < end && *p != '\n' && n < 16) {
		char *nl = memchr(p, '\n', (size_t)(end - p)), *colon;

		if (!nl)
			break;
		*nl = '\0';
		colon = strstr(p, ": ");
		if (colon) {
			*colon = '\0';
			headers[n++] = (struct http_header){p, colon + 2};
		}
		p = nl + 1;
	}
	if (p < end && *p == '\n')
		p++;
	mode = cloudevents_mode(headers, n);
	if (mode != CLOUDEVENTS_BINARY && mode != CLOUDEVENTS_STRUCTURED)
		return;
	if (cloudevents_event(mode, headers, n, (uint8_t *)p, (size_t)(end - p), 1 << 20, &event, &len, &err) == 0) {
		json_t *root = json_loadb((char *)event, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);

		if (!root || !json_is_object(root) || !cloudevents_is_event(event, len))
			abort();
		json_decref(root);
		free(event);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size < 1)
		return 0;
	if (data[0] & 1) {
		cloudevents_is_event(data + 1, size - 1);
		return 0;
	}
	copy = calloc(1, size);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	fuzz_request(copy, size - 1);
	free(copy);
	return 0;
}
