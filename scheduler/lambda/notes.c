/* What is kept beside a function's configuration: see notes.h. */
#include "scheduler/lambda/notes.h"

#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
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
