/* What users and functions write into asynchronous events: destinations and addresses; events and answers that become
 * records, dead letters and callbacks. Four parts, separated by lines with "--" alone: destination, callback address,
 * event, answer. The event is also taken for the body of an event-invoke configuration. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "scheduler/async/record.h"
#include "scheduler/lambda/eventinvoke.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Headers are whole lines of printable ASCII. */
static void check_headers(const char *text)
{
	size_t n = strlen(text);

	if (n < 2 || memcmp(text + n - 2, "\r\n", 2) != 0 || strstr(text, "\r\n\r\n"))
		abort();
	for (const char *p = text; *p; p++) {
		if (*p == '\r' ? p[1] != '\n' : *p == '\n' ? p == text || p[-1] != '\r' : *p < ' ' || *p > '~')
			abort();
	}
}

static void check_follower(const struct event *f, bool record)
{
	if (f->kind == EVENT_SEND) {
		check_headers(f->context);
		if (f->flow[0] != '/' || !f->target)
			abort();
	} else if (!fn_name_valid(f->flow) || strcmp(f->flow, f->function) != 0) {
		abort();
	}
	if (record) {
		json_t *root = json_loadb((char *)f->payload, f->payload_len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);

		if (!json_is_object(root))
			abort();
		json_decref(root);
	}
}

static void follow(const char *target, const char *callback, const char *event, const char *answer, size_t answer_len)
{
	for (unsigned round = 0; round < 4; round++) {
		struct event e = {.kind = round & 1 ? EVENT_HTTP : EVENT_CALL, .target = (char *)(uintptr_t)callback};
		struct record_result r = {.verdict = round & 2 ? RETRY_EXHAUSTED : RETRY_DONE, .ran = true,
					  .failed = round & 2, .status = 200, .tries = 1,
					  .body = (uint8_t *)(uintptr_t)answer, .body_len = answer_len};
		struct evconfig c;
		struct stk_list out;
		unsigned loops = 0;
		bool record = true;

		evconfig_default(&c);
		strcpy(e.function, round & 1 ? "f" : "f.t");
		stk_strcpy(c.on_success, sizeof(c.on_success), target);
		stk_strcpy(c.on_failure, sizeof(c.on_failure), target);
		stk_strcpy(c.dead_letter, sizeof(c.dead_letter), target);
		stk_list_init(&out);
		if (record_followers(&e, (const uint8_t *)event, strlen(event), &r, &c, 1700000000000, &out, &loops))
			return;
		STK_LIST_FOREACH_SAFE(it, tmp, &out) {
			struct event *f = STK_CONTAINER_OF(it, struct event, node);

			check_follower(f, record && *target);
			record = false;
			stk_list_del(it);
			event_free(f);
		}
	}
}

static void configure(const char *body)
{
	struct lambda_err err = {0};
	struct evconfig c;
	json_t *shown;

	evconfig_default(&c);
	if (lambda_eventinvoke_parse(body, strlen(body), &c, &err)) {
		if (!err.message[0])
			abort();
		return;
	}
	shown = lambda_eventinvoke_json(&c, "arn");
	if (evconfig_check(&c, NULL) || !shown)
		abort();
	json_decref(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = calloc(1, size + 1), *part[4] = {copy, (char *)"", (char *)"", (char *)""};
	struct evconfig_target t;
	struct weburl u;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	for (unsigned i = 1; i < 4; i++) {
		char *mark = strstr(part[i - 1], "\n--\n");

		if (!mark)
			break;
		*mark = '\0';
		part[i] = mark + 4;
	}
	if (weburl_parse(part[1], &u, NULL) == 0 && (u.path[0] != '/' || !*u.host || strpbrk(u.path, " \r\n")))
		abort();
	if (evconfig_target_parse(part[0], &t, NULL) == 0) {
		if (t.kind == EVCONFIG_FUNCTION && !stk_name_valid(t.function))
			abort();
		follow(part[0], part[1], part[2], part[3], strlen(part[3]));
	}
	configure(part[2]);
	free(copy);
	return 0;
}
