/* What is kept beside a function's configuration: see notes.h. */
#include "scheduler/lambda/notes.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/store.h"

void lambda_note_stored(struct lambda_change *ch)
{
	struct http_req *req = ch->call.req;

	if (registry_note_set(ch->call.fn, ch->kind, ch->text, ch->json)) {
		if (req)
			lambda_error(req, LAMBDA_SERVICE, "stored, but without effect before a restart: out of memory");
		return;
	}
	if (!req)
		return;
	if (ch->answer)
		lambda_answer(req, ch->number, stk_take_ptr(&ch->answer));
	else
		http_respond(req, ch->number, NULL, NULL, 0);
}

struct lambda_change *lambda_note_change(const struct lambda_call *c, const char *kind, const char *qualifier,
					 char *json, int status, json_t *answer)
{
	struct lambda_change *ch = lambda_change_new(c);

	if (json && !*json)
		free(stk_take_ptr(&json));
	if (!ch) {
		free(json);
		json_decref(answer);
		return NULL;
	}
	ch->json = json;
	ch->answer = answer;
	ch->number = status;
	stk_strcpy(ch->kind, sizeof(ch->kind), kind);
	stk_strcpy(ch->text, sizeof(ch->text), qualifier);
	return ch;
}

struct store_tx *lambda_note_tx(const struct lambda_change *ch)
{
	struct store_tx *tx = store_tx_new();

	store_tx_note(tx, ch->call.fn->name, ch->kind, ch->text, ch->json);
	return tx;
}

void lambda_note_store(const struct lambda_call *c, const char *kind, const char *qualifier, char *json, int status,
		       json_t *answer)
{
	struct lambda_change *ch = lambda_note_change(c, kind, qualifier, json, status, answer);

	if (ch)
		lambda_change_commit(ch, lambda_note_tx(ch), lambda_note_stored);
}

#define PAGE_MAX 50 /* what MaxItems may be in these lists */

static int by_qualifier(const void *a, const void *b)
{
	return strcmp((*(struct fn_note *const *)a)->qualifier, (*(struct fn_note *const *)b)->qualifier);
}

void lambda_note_list(const struct lambda_call *c, const char *kind, char list, const char *member,
		      json_t *(*show)(const struct lambda_call *c, const struct fn_note *n))
{
	const struct function *fn = c->fn;
	stk_autofree struct fn_note **sorted = calloc(fn->note_count + 1, sizeof(*sorted));
	json_t *array, *answer;
	char marker[LAMBDA_MARKER_MAX];
	struct lambda_page page;
	struct lambda_err err;
	unsigned n = 0;

	if (lambda_page_parse(http_req_query(c->req), list, PAGE_MAX, &page, &err)) {
		lambda_error_err(c->req, &err);
		return;
	}
	for (unsigned i = 0; sorted && i < fn->note_count; i++) {
		struct fn_note *note = fn->notes[i];

		if (strcmp(note->kind, kind) == 0 && (!page.has_after || strcmp(note->qualifier, page.after) > 0))
			sorted[n++] = note;
	}
	if (n)
		qsort(sorted, n, sizeof(*sorted), by_qualifier);
	array = json_array();
	answer = sorted ? json_pack("{s:O}", member, array) : NULL;
	for (unsigned i = 0; answer && i < n && i < page.max; i++)
		json_array_append_new(array, show(c, sorted[i]));
	if (answer && n > page.max && lambda_page_marker(list, sorted[page.max - 1]->qualifier, marker) == 0)
		json_object_set_new(answer, "NextMarker", json_string(marker));
	json_decref(array);
	lambda_answer(c->req, 200, answer);
}
