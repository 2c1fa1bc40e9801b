/* Resource policies: see policy.h. */
#include "scheduler/lambda/policy.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/lambda/body_internal.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/member.h"

static bool sid_fits(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] == '\0';
}

static bool action_fits(const char *text)
{
	if (strcmp(text, "*") == 0 || strcmp(text, "lambda:*") == 0)
		return true;
	return strncmp(text, "lambda:", 7) == 0 && text[7] &&
	       text[7 + strspn(text + 7, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static bool no_blank(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

static bool account_fits(const char *text)
{
	return strlen(text) == 12 && text[strspn(text, "0123456789")] == '\0';
}

static bool arn_fits(const char *text)
{
	return strncmp(text, "arn:", 4) == 0 && strchr(text + 4, ':') && no_blank(text);
}

static bool org_fits(const char *text)
{
	return strncmp(text, "o-", 2) == 0 && text[2 + strspn(text + 2,
							      "abcdefghijklmnopqrstuvwxyz0123456789")] == '\0';
}

static const struct member_text sid_text = {.min = 1, .max = 100, .fits = sid_fits, .pattern = "([a-zA-Z0-9-_]+)"};
static const struct member_text action_text = {
	.min = 1, .max = 128, .fits = action_fits, .pattern = "(lambda:[*]|lambda:[a-zA-Z]+|[*])"};
static const struct member_text principal_text = {.min = 1, .max = 256, .fits = no_blank, .pattern = "[^\\s]+"};
static const struct member_text account_text = {.max = 12, .fits = account_fits, .pattern = "\\d{12}"};
static const struct member_text token_text = {.max = 256, .fits = no_blank, .pattern = "[a-zA-Z0-9._\\-]+"};
static const struct member_text org_text = {.min = 12, .max = 34, .fits = org_fits, .pattern = "o-[a-z0-9]{10,32}"};
static const struct member_text source_text = {
	.max = 1024,
	.fits = arn_fits,
	.pattern = "arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:([a-z]{2}(-gov)?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)",
};

/* "*", a service, an account's number or an ARN. NULL: out of memory. */
static json_t *principal(const char *text)
{
	char root[64];

	if (strcmp(text, "*") == 0)
		return json_string("*");
	if (account_fits(text)) {
		snprintf(root, sizeof(root), "arn:aws:iam::%s:root", text);
		return json_pack("{s:s}", "AWS", root);
	}
	return json_pack("{s:s}", strncmp(text, "arn:", 4) == 0 ? "AWS" : "Service", text);
}

/* Adds {op: {key: value}} to the conditions. */
static int condition(json_t *conditions, const char *op, const char *key, const char *value)
{
	json_t *o = json_object_get(conditions, op);

	if (!o) {
		o = json_object();
		if (json_object_set_new(conditions, op, o))
			return -ENOMEM;
	}
	return json_object_set_new(o, key, json_string(value)) ? -ENOMEM : 0;
}

static int read_conditions(struct members *m, const json_t *o, json_t *to)
{
	static const struct {
		const char *member, *path, *op, *key;
		const struct member_text *what;
	} rows[] = {
		{"SourceArn", "sourceArn", "ArnLike", "AWS:SourceArn", &source_text},
		{"SourceAccount", "sourceAccount", "StringEquals", "AWS:SourceAccount", &account_text},
		{"EventSourceToken", "eventSourceToken", "StringEquals", "lambda:EventSourceToken", &token_text},
		{"PrincipalOrgID", "principalOrgID", "StringEquals", "aws:PrincipalOrgID", &org_text},
	};
	static const char *const auths[] = {"NONE", "AWS_IAM", NULL};
	const char *text;
	bool flag;
	unsigned i;
	int rc = 0;

	for (i = 0; i < STK_ARRAY_LEN(rows) && rc == 0; i++) {
		if (member_string(m, o, rows[i].member, rows[i].path, false, rows[i].what, &text))
			rc = condition(to, rows[i].op, rows[i].key, text);
	}
	if (rc == 0 && member_enum(m, o, "FunctionUrlAuthType", "functionUrlAuthType", false, auths, &i))
		rc = condition(to, "StringEquals", "lambda:FunctionUrlAuthType", auths[i]);
	if (rc == 0 && member_bool(m, o, "InvokedViaFunctionUrl", &flag))
		rc = condition(to, "Bool", "lambda:InvokedViaFunctionUrl", flag ? "true" : "false");
	return rc;
}

static int make_statement(struct members *m, const json_t *o, const char *arn, struct lambda_permission *p,
			  struct lambda_err *err)
{
	const char *sid = "", *action = "", *who = "";
	json_t *conditions = json_object(), *s = NULL;
	int rc = conditions ? read_conditions(m, o, conditions) : -ENOMEM;

	member_string(m, o, "StatementId", "statementId", true, &sid_text, &sid);
	member_string(m, o, "Action", "action", true, &action_text, &action);
	member_string(m, o, "Principal", "principal", true, &principal_text, &who);
	body_revision_read(m, o, p->revision);
	if (rc == 0) {
		stk_strcpy(p->sid, sizeof(p->sid), sid);
		s = json_pack("{s:s, s:s, s:o, s:s, s:s}", "Sid", sid, "Effect", "Allow", "Principal", principal(who),
			      "Action",
			      action, "Resource", arn);
		if (!s || (json_object_size(conditions) && json_object_set(s, "Condition", conditions)))
			rc = -ENOMEM;
	}
	if (rc == 0) { /* as the real service has it, not sorted */
		p->statement = json_dumps(s, JSON_COMPACT);
		rc = p->statement ? 0 : -ENOMEM;
	}
	json_decref(s);
	json_decref(conditions);
	return rc ? lambda_err_nomem(err) : members_finish(m, err);
}

int lambda_permission_parse(const char *body, size_t len, const char *arn, struct lambda_permission *ret,
			    struct lambda_err *err)
{
	struct lambda_permission p = {0};
	struct members m;
	json_t *o = NULL;
	int rc = lambda_body_load(body, len, &o, err);

	if (rc)
		return rc;
	members_init(&m);
	rc = make_statement(&m, o, arn, &p, err);
	json_decref(o);
	if (rc)
		lambda_permission_fini(&p);
	else
		*ret = p;
	return rc;
}

void lambda_permission_fini(struct lambda_permission *p)
{
	free(p->statement);
	p->statement = NULL;
}

/* NULL: out of memory. */
static json_t *list_of(const char *statements)
{
	json_t *list = statements && *statements ? json_loads(statements, 0, NULL) : json_array();

	if (list && !json_is_array(list)) {
		json_decref(list);
		list = NULL;
	}
	return list;
}

/* Index, or the size when there is none. */
static size_t find(const json_t *list, const char *sid)
{
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_object_get(json_array_get(list, i), "Sid"));

		if (text && strcmp(text, sid) == 0)
			break;
	}
	return i;
}

static int to_text(const json_t *list, char **ret, struct lambda_err *err)
{
	char *text = json_array_size(list) ? json_dumps(list, JSON_COMPACT) : strdup("");

	if (!text)
		return lambda_err_nomem(err);
	if (strlen(text) > LAMBDA_POLICY_MAX) {
		free(text);
		return lambda_err_set(err, LAMBDA_POLICY_TOO_LONG,
				      "The final policy size is bigger than the limit (%d).",
				      LAMBDA_POLICY_MAX);
	}
	*ret = text;
	return 0;
}

int lambda_policy_add(const char *statements, const struct lambda_permission *p, char **ret_statements,
		      struct lambda_err *err)
{
	json_t *list = list_of(statements), *one = json_loads(p->statement, 0, NULL);
	int rc;

	if (list && find(list, p->sid) < json_array_size(list))
		rc = lambda_err_set(err, LAMBDA_RESOURCE_CONFLICT,
				    "The statement id (%s) provided already exists. Please provide a new statement "
				    "id, or remove the existing statement.", p->sid);
	else if (!list || !one || json_array_append(list, one))
		rc = lambda_err_nomem(err);
	else
		rc = to_text(list, ret_statements, err);
	json_decref(one);
	json_decref(list);
	return rc;
}

int lambda_policy_remove(const char *statements, const char *sid, char **ret_statements, struct lambda_err *err)
{
	json_t *list = list_of(statements);
	size_t at;
	int rc;

	if (!list)
		return lambda_err_nomem(err);
	at = find(list, sid);
	if (at == json_array_size(list)) {
		rc = lambda_err_set(err, LAMBDA_RESOURCE_NOT_FOUND,
				    "Statement %.100s is not found in resource policy.", sid);
	} else {
		json_array_remove(list, at);
		rc = to_text(list, ret_statements, err);
	}
	json_decref(list);
	return rc;
}

char *lambda_policy_document(const char *statements)
{
	json_t *o = json_pack("{s:s, s:s, s:o}", "Version", "2012-10-17", "Id", "default", "Statement",
			      list_of(statements));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}
