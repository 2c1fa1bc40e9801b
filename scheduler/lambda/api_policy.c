/* AddPermission, GetPolicy, RemovePermission. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/daemon.h"
#include "scheduler/ids.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/notes.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/lambda/policy.h"
#include "scheduler/store.h"

#define POLICY_NOTE "policy"

static int begin_policy(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *name)
{
	if (lambda_begin_function(c, d, req, name, LAMBDA_TEXT_MAX))
		return -1;
	return c->name.kind == LAMBDA_Q_NONE || lambda_version(c) ? 0 : -1;
}

static int begin_policy_change(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *name)
{
	if (begin_policy(c, d, req, name) || lambda_is_changing(c))
		return -1;
	if (c->name.kind != LAMBDA_Q_LATEST)
		return 0;
	lambda_error(req, LAMBDA_INVALID_PARAMETER, "A policy is of the function, a version or an alias, not of $LATEST.");
	return -1;
}

/* Whose policy it is, NULL: an alias's. Its revision id is that of the policy, too. */
static struct fn_version *policy_version(const struct lambda_call *c)
{
	if (c->name.kind == LAMBDA_Q_ALIAS)
		return NULL;
	return c->name.kind == LAMBDA_Q_NUMBER ? registry_published(c->fn, c->name.version) : c->fn->latest;
}

static char *policy_revision(const struct lambda_call *c)
{
	struct fn_version *v = policy_version(c);

	return v ? v->revision : registry_alias(c->fn, c->name.qualifier)->revision;
}

/* given: what the client thinks that it is, or "". */
static int policy_revision_differs(const struct lambda_call *c, const char *given, struct lambda_err *err)
{
	if (!*given || strcmp(given, policy_revision(c)) == 0)
		return 0;
	return lambda_err_set(err, LAMBDA_PRECONDITION_FAILED,
			      "The RevisionId provided does not match the latest RevisionId. Call the GetPolicy API to "
			      "retrieve the latest RevisionId");
}

static void policy_stored(struct lambda_change *ch)
{
	if (policy_version(&ch->call) == ch->version) /* else a deploy has replaced it meanwhile */
		memcpy(policy_revision(&ch->call), ch->revision, sizeof(ch->revision));
	lambda_note_stored(ch);
}

/* statements (heap) and answer are taken over. */
static void store_policy(const struct lambda_call *c, char *statements, int status, json_t *answer)
{
	struct lambda_change *ch = lambda_note_change(c, POLICY_NOTE, c->name.qualifier, statements, status, answer);
	struct fn_version *v = policy_version(c);
	struct store_tx *tx;

	if (!ch)
		return;
	ch->version = v;
	if (ids_uuid(ch->revision)) {
		lambda_change_drop(ch, LAMBDA_SERVICE, "no random bytes");
		return;
	}
	tx = lambda_note_tx(ch);
	if (v)
		store_tx_version_revision(tx, c->fn->name, v->number, ch->revision);
	else
		store_tx_alias_revision(tx, c->fn->name, c->name.qualifier, ch->revision);
	lambda_change_commit(ch, tx, policy_stored);
}

void lambda_add_permission(void *ctx, struct http_req *req, const struct router_match *m)
{
	char arn[LAMBDA_ARN_MAX], *statements;
	struct lambda_permission p;
	struct lambda_call c;
	struct lambda_err err;
	json_t *answer;
	size_t len = 0;
	const uint8_t *text;

	if (begin_policy_change(&c, ctx, req, m->value[0]))
		return;
	text = http_req_body(req, &len);
	lambda_arn_of(c.d, c.fn, c.name.qualifier, arn);
	if (lambda_permission_parse((const char *)text, len, arn, &p, &err)) {
		lambda_error_err(req, &err);
		return;
	}
	if (policy_revision_differs(&c, p.revision, &err) ||
	    lambda_policy_add(registry_note(c.fn, POLICY_NOTE, c.name.qualifier), &p, &statements, &err)) {
		lambda_error_err(req, &err);
	} else {
		answer = json_pack("{s:s}", "Statement", p.statement);
		store_policy(&c, statements, 201, answer);
	}
	lambda_permission_fini(&p);
}

static void no_policy(struct http_req *req)
{
	lambda_error(req, LAMBDA_RESOURCE_NOT_FOUND, "The resource you requested does not exist.");
}

void lambda_get_policy(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct lambda_call c;
	const char *statements;
	char *document;

	if (begin_policy(&c, ctx, req, m->value[0]))
		return;
	statements = registry_note(c.fn, POLICY_NOTE, c.name.qualifier);
	if (!statements) {
		no_policy(req);
		return;
	}
	document = lambda_policy_document(statements);
	lambda_answer(req, 200, document ? json_pack("{s:s, s:s}", "Policy", document, "RevisionId", policy_revision(&c)) : NULL);
	free(document);
}

void lambda_remove_permission(void *ctx, struct http_req *req, const struct router_match *m)
{
	char *rest, revision[LAMBDA_REVISION_MAX + 1] = "";
	struct lambda_call c;
	struct lambda_err err;
	const char *statements;

	if (begin_policy_change(&c, ctx, req, m->value[0]))
		return;
	statements = registry_note(c.fn, POLICY_NOTE, c.name.qualifier);
	if (!statements)
		no_policy(req);
	else if (lambda_query(http_req_query(req), "RevisionId", revision, sizeof(revision), &err) < 0 ||
		 policy_revision_differs(&c, revision, &err) || lambda_policy_remove(statements, m->value[1], &rest, &err))
		lambda_error_err(req, &err);
	else
		store_policy(&c, rest, 204, NULL);
}
