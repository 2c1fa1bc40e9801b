/* What stoker-bench reads in an answer: lines of start, error kind and Server-Timing, then the body. The page and the
 * JSON made of it must be whole. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *take_line(const char *p, char *to, size_t cap)
{
	size_t len = strcspn(p, "\n");

	snprintf(to, cap, "%.*s", (int)len, p);
	return p[len] ? p + len + 1 : p + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct report r;
	struct report_scenario *s = &r.scenarios[0];
	struct client_result a = {.status = 200, .done_ns = 5000};
	struct fresh fresh = {0};
	struct result_check check = {.fresh = &fresh};
	char body[CLIENT_BODY_KEEP + 1], *html = NULL;
	const char *p = body;
	size_t len = size < CLIENT_BODY_KEEP ? size : CLIENT_BODY_KEEP, html_len;
	FILE *f = open_memstream(&html, &html_len);

	if (!f)
		return 0;
	memcpy(body, data, len);
	body[len] = '\0';
	p = take_line(p, a.start, sizeof(a.start));
	p = take_line(p, a.error_kind, sizeof(a.error_kind));
	p = take_line(p, a.server_timing, sizeof(a.server_timing));
	a.body = p;
	a.body_len = strlen(p);
	memset(&r, 0, sizeof(r));
	r.function = r.mode = "x";
	r.count = 1;
	r.fresh = &fresh;
	for (int i = 0; i < 3; i++) {
		a.status = i == 2 ? 500 : 200;
		result_add(&s->result, &check, &a, 1000, 0);
	}
	json_t *o = report_json(&r);
	char *text = json_dumps(o, 0);

	html_print(f, &r);
	fclose(f);
	if (!text || strstr(html, "<script") || strstr(html, "nan\"") || s->result.ok + s->result.failed != 3)
		abort();
	free(text);
	free(html);
	json_decref(o);
	result_fini(&s->result);
	fresh_fini(&fresh);
	return 0;
}
