/* Tags: see tags.h. */
#include "scheduler/lambda/tags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/utf8.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/member.h"

static int check(const char *key, const json_t *value, struct lambda_err *err)
{
	enum fn_reuse reuse;

	if (!json_is_string(value))
		return lambda_err_set(err, LAMBDA_SERIALIZATION, "The value of 'tags' must be a map of strings.");
	if (!*key || stk_utf8_count(key) > 128)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "A tag's key has 1 to 128 characters.");
	if (stk_utf8_count(json_string_value(value)) > 256)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "A tag's value has at most 256 characters.");
	if (strncasecmp(key, "aws:", 4) == 0)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "Keys of tags that begin with aws: are reserved for system use.");
	if (strcmp(key, LAMBDA_TAG_REUSE) == 0 && fn_reuse_parse(json_string_value(value), &reuse))
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "The tag %s is \"destroy\" or \"reset\".",
				      LAMBDA_TAG_REUSE);
	return 0;
}

int lambda_tags_text(const json_t *tags, char **ret_tags, struct lambda_err *err)
{
	const char *key;
	json_t *value;
	char *text;
	int rc;

	/* jansson's iteration takes no const; nothing is changed. */
	json_object_foreach((json_t *)tags, key, value) {
		rc = check(key, value, err);
		if (rc)
			return rc;
	}
	if (json_object_size(tags) > LAMBDA_TAGS_MAX)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "A function has at most %d tags.",
				      LAMBDA_TAGS_MAX);
	text = json_object_size(tags) ? lambda_json_text(tags) : strdup("");
	if (!text)
		return lambda_err_nomem(err);
	*ret_tags = text;
	return 0;
}

int lambda_tags_add(const char *tags, const char *body, size_t len, char **ret_tags, struct lambda_err *err)
{
	json_t *o = NULL, *all = NULL;
	const json_t *more = NULL;
	struct members m;
	int rc = lambda_body_load(body, len, &o, err);

	if (rc)
		return rc;
	members_init(&m);
	member_object(&m, o, "Tags", "tags", true, &more);
	rc = members_finish(&m, err);
	if (rc == 0) {
		all = lambda_json_object(tags);
		/* jansson takes no const here; nothing is changed. */
		rc = all && json_object_update(all, (json_t *)more) == 0 ? lambda_tags_text(all, ret_tags, err)
									 : lambda_err_nomem(err);
	}
	json_decref(all);
	json_decref(o);
	return rc;
}

int lambda_tags_remove(const char *tags, const char *const *keys, size_t count, char **ret_tags, struct lambda_err *err)
{
	json_t *all = lambda_json_object(tags);
	int rc;

	if (!all)
		return lambda_err_nomem(err);
	for (size_t i = 0; i < count; i++)
		json_object_del(all, keys[i]);
	rc = lambda_tags_text(all, ret_tags, err);
	json_decref(all);
	return rc;
}

bool lambda_tags_reuse(const char *tags, enum fn_reuse *ret_reuse)
{
	json_t *all = lambda_json_object(tags);
	const char *value = json_string_value(json_object_get(all, LAMBDA_TAG_REUSE));
	bool says = value && fn_reuse_parse(value, ret_reuse) == 0;

	json_decref(all);
	return says;
}
