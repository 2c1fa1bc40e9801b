/* Function-URL answers (the guest's) and events (the client's). Byte 0 says which; an event's parts
 * are separated by newlines: path, query, header name and value pairs, the rest is the body. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/furl.h"
#include "scheduler/furl_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* However a streamed answer's prelude is cut into pieces, the same comes of it. */
static void fuzz_pieces(const uint8_t *data, size_t size)
{
	struct furl_prelude whole = {0}, cut = {0};
	size_t step = size ? data[0] % 7u + 1 : 1, used, total = 0;
	int rc = furl_prelude_take(&whole, data, size, &used), got = 0;

	for (size_t at = 0, n, took; at < size && got == 0; at += n, total += took) {
		n = size - at < step ? size - at : step;
		got = furl_prelude_take(&cut, data + at, n, &took);
	}
	if (got != rc || (rc >= 0 && total != used) || cut.len != whole.len ||
	    (cut.len && memcmp(cut.buf, whole.buf, cut.len) != 0))
		abort();
	furl_prelude_fini(&whole);
	furl_prelude_fini(&cut);
}

static void fuzz_answer(const uint8_t *data, size_t size)
{
	struct furl_answer a;
	struct stk_err err;

	fuzz_pieces(data, size);
	if (furl_prelude_parse(data, size, &a, &err) == 0) {
		if (a.status < 200 || a.status > 599 || !a.type || a.body)
			abort();
		furl_answer_fini(&a);
	}
	if (furl_answer_parse(data, size, &a, &err))
		return;
	if (a.status < 200 || a.status > 599 || !a.type || a.header_count > FURL_MAX_HEADERS ||
	    (a.passthrough && a.body))
		abort();
	furl_answer_fini(&a);
}

static void fuzz_event(char *text, size_t size)
{
	struct http_header headers[8];
	struct furl_request r = {.method = "POST", .protocol = "HTTP/1.1", .peer = "1.2.3.4:5", .request_id = "i",
				 .function = "f", .headers = headers, .wall_ms = 1};
	char *part[18], *end = text + size;
	unsigned n = 0;
	uint8_t *event;
	size_t len;

	for (char *p = text; n < 18 && p; n++) {
		char *nl = memchr(p, '\n', (size_t)(end - p));

		part[n] = p;
		if (nl)
			*nl++ = '\0';
		p = nl;
	}
	for (unsigned i = n; i < 18; i++)
		part[i] = (char *)"";
	r.path = part[0];
	r.query = part[1];
	for (unsigned i = 0; i < 7; i++)
		headers[i] = (struct http_header){part[2 + 2 * i], part[3 + 2 * i]};
	headers[7] = (struct http_header){"content-type", part[16]};
	r.header_count = 8;
	r.body = (const uint8_t *)part[17];
	r.body_len = n == 18 ? (size_t)(end - part[17]) : 0;
	if (furl_event(&r, 1 << 20, &event, &len) == 0) {
		json_t *root = json_loadb((char *)event, len, JSON_ALLOW_NUL, NULL);

		if (!root || !json_is_object(root))
			abort(); /* whatever came in, JSON goes out */
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
		fuzz_answer(data + 1, size - 1);
		return 0;
	}
	copy = calloc(1, size);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	fuzz_event(copy, size - 1);
	free(copy);
	return 0;
}
