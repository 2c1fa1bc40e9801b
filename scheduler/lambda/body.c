/* Bodies of aliases, concurrency and function URLs, and what all bodies have in common: see body.h. */
#include "scheduler/lambda/body.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "scheduler/lambda/body_internal.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/member.h"

static const struct member_text body_description = {.max = 256};
static const struct member_text body_revision = {.max = LAMBDA_REVISION_MAX};

int lambda_body_load(const char *body, size_t len, struct json_t **ret_obj, struct lambda_err *err)
{
	json_error_t je;
	json_t *o;

	if (len > LAMBDA_BODY_MAX_JSON)
		return lambda_err_set(err, LAMBDA_ENTITY_TOO_LARGE,
				      "Request must be smaller than %u bytes, without the code in it.",
				      LAMBDA_BODY_MAX_JSON);
	if (len == 0) {
		o = json_object();
		if (!o)
			return lambda_err_nomem(err);
	} else {
		o = json_loadb(body, len, JSON_REJECT_DUPLICATES, &je);
		if (!o && json_error_code(&je) == json_error_out_of_memory)
			return lambda_err_nomem(err);
		if (!o)
			return lambda_err_set(err, LAMBDA_INVALID_REQUEST_CONTENT,
					      "Could not parse request body into json: %.160s at line %d, column "
					      "%d", je.text,
					      je.line, je.column);
	}
	if (!json_is_object(o)) {
		json_decref(o);
		return lambda_err_set(err, LAMBDA_SERIALIZATION, "The request's body must be a JSON object.");
	}
	*ret_obj = o;
	return 0;
}

void body_revision_read(struct members *m, const json_t *o, char *ret)
{
	const char *text;

	if (member_string(m, o, "RevisionId", "revisionId", false, &body_revision, &text) &&
	    stk_strcpy(ret, LAMBDA_REVISION_MAX + 1, text))
		member_violation(m, "revisionId", text, "Member must be a revision's id");
}

bool body_description_read(struct members *m, const json_t *o, char *ret)
{
	const char *text;

	return member_string(m, o, "Description", "description", false, &body_description, &text) &&
	       stk_strcpy(ret, LAMBDA_DESCRIPTION_MAX + 1, text) == 0;
}

/* --- aliases ---------------------------------------------------------------------------------------------- */

static bool version_fits(const char *text)
{
	return strcmp(text, "$LATEST") == 0 || (*text && text[strspn(text, "0123456789")] == '\0');
}

static const struct member_text alias_text = {
	.min = 1,
	.max = 128,
	.fits = lambda_alias_valid,
	.pattern = "(?!^[0-9]+$)([a-zA-Z0-9-_]+)",
};
static const struct member_text version_text = {
	.min = 1,
	.max = 1024,
	.fits = version_fits,
	.pattern = "(\\$LATEST|[0-9]+)",
};

static unsigned version_number(const char *text)
{
	uint64_t n;

	return text[0] == '0' || stk_parse_u64(text, 1, UINT_MAX, &n) ? 0 : (unsigned)n;
}

static int read_routing(struct members *m, const json_t *o, struct lambda_alias *a, struct lambda_err *err)
{
	const json_t *routing, *weights;
	const char *key;
	json_t *value;

	if (!member_object(m, o, "RoutingConfig", "routingConfig", false, &routing))
		return 0;
	a->has |= LAMBDA_ALIAS_ROUTING;
	if (!member_object(m, routing, "AdditionalVersionWeights", "routingConfig.additionalVersionWeights", false,
			   &weights))
		return 0;
	if (json_object_size(weights) > 1)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "Number of items in AdditionalVersionWeights cannot be greater than 1");
	/* jansson's iteration takes no const; nothing is changed. */
	json_object_foreach((json_t *)weights, key, value) {
		if (!json_is_number(value)) {
			member_wrong_type(m, "routingConfig.additionalVersionWeights", "a map of numbers");
			return 0;
		}
		if (!version_fits(key) || key[0] == '$')
			member_violation(m, "routingConfig.additionalVersionWeights", key,
					 "Map keys must satisfy constraint: [Member must have length less than or "
					 "equal to 1024, Member must have length greater than or equal to 1, Member "
					 "must satisfy regular expression pattern: [0-9]+, Member must not be null]");
		a->routed = true;
		a->to = version_number(key);
		a->weight = json_number_value(value);
		if (!(a->weight >= 0 && a->weight <= 1))
			member_violation(m, "routingConfig.additionalVersionWeights", key,
					 "Map value must satisfy constraint: [Member must have value less than or "
					 "equal to 1.0, Member must have value greater than or equal to 0.0, Member "
					 "must not be null]");
	}
	return 0;
}

static int parse_alias(const char *body, size_t len, bool create, struct lambda_alias *ret, struct lambda_err *err)
{
	struct lambda_alias a = {0};
	const char *text;
	struct members m;
	json_t *o = NULL;
	int rc = lambda_body_load(body, len, &o, err);

	if (rc)
		return rc;
	members_init(&m);
	if (create && member_string(&m, o, "Name", "name", true, &alias_text, &text))
		stk_strcpy(a.name, sizeof(a.name), text);
	if (member_string(&m, o, "FunctionVersion", "functionVersion", create, &version_text, &text)) {
		a.has |= LAMBDA_ALIAS_VERSION;
		a.latest = text[0] == '$';
		a.version = a.latest ? 0 : version_number(text);
	}
	if (body_description_read(&m, o, a.description))
		a.has |= LAMBDA_ALIAS_DESCRIPTION;
	body_revision_read(&m, o, a.revision);
	rc = read_routing(&m, o, &a, err);
	if (rc == 0)
		rc = members_finish(&m, err);
	if (rc == 0 && create)
		rc = lambda_alias_check(&a, err);
	json_decref(o);
	if (rc == 0)
		*ret = a;
	return rc;
}

int lambda_alias_create_parse(const char *body, size_t len, struct lambda_alias *ret, struct lambda_err *err)
{
	return parse_alias(body, len, true, ret, err);
}

int lambda_alias_update_parse(const char *body, size_t len, struct lambda_alias *ret, struct lambda_err *err)
{
	return parse_alias(body, len, false, ret, err);
}

int lambda_alias_check(const struct lambda_alias *a, struct lambda_err *err)
{
	if (!a->routed)
		return 0;
	if (a->latest)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "$LATEST is not supported for an alias pointing to more than 1 version");
	if (a->version == a->to)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "Invalid function version %u. Function version %u is already included in routing "
				      "configuration.", a->to, a->to);
	return 0;
}

/* --- concurrency -------------------------------------------------------------------------------------------- */

static int parse_count(const char *body, size_t len, const char *key, const char *path, json_int_t min, unsigned *ret,
		       struct lambda_err *err)
{
	struct members m;
	json_t *o = NULL;
	json_int_t n = 0;
	int rc = lambda_body_load(body, len, &o, err);

	if (rc)
		return rc;
	members_init(&m);
	member_int(&m, o, key, path, true, min, INT_MAX, &n);
	json_decref(o);
	rc = members_finish(&m, err);
	if (rc == 0)
		*ret = (unsigned)n;
	return rc;
}

int lambda_concurrency_parse(const char *body, size_t len, unsigned *ret_reserved, struct lambda_err *err)
{
	return parse_count(body, len, "ReservedConcurrentExecutions", "reservedConcurrentExecutions", 0, ret_reserved,
			   err);
}

int lambda_provisioned_parse(const char *body, size_t len, unsigned *ret_provisioned, struct lambda_err *err)
{
	return parse_count(body, len, "ProvisionedConcurrentExecutions", "provisionedConcurrentExecutions", 1,
			   ret_provisioned, err);
}

/* --- function URLs --------------------------------------------------------------------------------------------- */

static bool printable(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

static void copy_strings(struct members *m, const json_t *from, json_t *to, const char *key, const char *path,
			 size_t count,
			 const struct member_text *what)
{
	const json_t *list;

	if (member_strings(m, from, key, path, count, what, &list) && json_array_size(list))
		json_object_set_new(to, key, json_deep_copy(list));
}

static int read_cors(struct members *m, const json_t *o, struct lambda_url *u, struct lambda_err *err)
{
	static const struct member_text header = {.max = 1024, .fits = printable, .pattern = ".*"};
	static const struct member_text method = {.max = 6, .fits = printable, .pattern = ".*"};
	static const struct member_text origin = {.min = 1, .max = 253, .fits = printable, .pattern = ".*"};
	const json_t *from;
	json_int_t age;
	json_t *to;
	bool flag;

	if (!member_object(m, o, "Cors", "cors", false, &from))
		return 0;
	to = json_object();
	if (!to)
		return lambda_err_nomem(err);
	u->has |= LAMBDA_URL_CORS;
	if (member_bool(m, from, "AllowCredentials", &flag))
		json_object_set_new(to, "AllowCredentials", json_boolean(flag));
	copy_strings(m, from, to, "AllowHeaders", "cors.allowHeaders", 100, &header);
	copy_strings(m, from, to, "AllowMethods", "cors.allowMethods", 6, &method);
	copy_strings(m, from, to, "AllowOrigins", "cors.allowOrigins", 100, &origin);
	copy_strings(m, from, to, "ExposeHeaders", "cors.exposeHeaders", 100, &header);
	if (member_int(m, from, "MaxAge", "cors.maxAge", false, 0, 86400, &age))
		json_object_set_new(to, "MaxAge", json_integer(age));
	u->cors = json_object_size(to) ? lambda_json_text(to) : strdup("");
	json_decref(to);
	return u->cors ? 0 : lambda_err_nomem(err);
}

int lambda_url_parse(const char *body, size_t len, bool create, struct lambda_url *ret, struct lambda_err *err)
{
	static const char *const auths[] = {"NONE", "AWS_IAM", NULL};
	static const char *const modes[] = {"BUFFERED", "RESPONSE_STREAM", NULL};
	struct lambda_url u = {0};
	struct members m;
	unsigned i;
	json_t *o = NULL;
	int rc = lambda_body_load(body, len, &o, err);

	if (rc)
		return rc;
	members_init(&m);
	if (member_enum(&m, o, "AuthType", "authType", create, auths, &i)) {
		u.has |= LAMBDA_URL_AUTH;
		u.iam = i == 1;
	}
	if (member_enum(&m, o, "InvokeMode", "invokeMode", false, modes, &i)) {
		u.has |= LAMBDA_URL_MODE;
		u.streaming = i == 1;
	}
	rc = read_cors(&m, o, &u, err);
	json_decref(o);
	if (rc == 0)
		rc = members_finish(&m, err);
	if (rc)
		lambda_url_fini(&u);
	else
		*ret = u;
	return rc;
}

void lambda_url_fini(struct lambda_url *u)
{
	free(u->cors);
	u->cors = NULL;
}
