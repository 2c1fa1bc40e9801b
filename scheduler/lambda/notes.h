/* What is kept beside a function's configuration, by kind and qualifier (struct fn_note): tags, function URLs, policies.
 * Changes of it are stored, then in force, then answered. Loop thread. */
#ifndef SCHEDULER_LAMBDA_NOTES_H
#define SCHEDULER_LAMBDA_NOTES_H

#include <jansson.h>

#include "scheduler/lambda/api.h"

/* A change in the making: the note becomes json (heap, taken over), or goes if that is NULL or "". Then the answer: status,
 * and a body (taken over), or none when it is NULL. NULL: answered already. */
struct lambda_change *lambda_note_change(const struct lambda_call *c, const char *kind, const char *qualifier,
					 char *json, int status, json_t *answer);
/* The transaction that stores it, for more to be put in, and what follows it (lambda_change_commit). */
struct store_tx *lambda_note_tx(const struct lambda_change *ch);
void lambda_note_stored(struct lambda_change *ch);
/* All of these. */
void lambda_note_store(const struct lambda_call *c, const char *kind, const char *qualifier, char *json, int status,
		       json_t *answer);

/* Answers a List operation of all notes of a kind with one page, in the order of qualifiers: {member: [...]}. list: the
 * letter of its markers. show: an item; NULL is left out. */
void lambda_note_list(const struct lambda_call *c, const char *kind, char list, const char *member,
		      json_t *(*show)(const struct lambda_call *c, const struct fn_note *n));

#endif
