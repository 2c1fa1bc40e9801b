/* Bodies of Lambda's API: byte 0 chooses the operation. What is accepted must be within the limits of a function's
 * settings, must be shown as JSON, and applied as an update to itself must change nothing; what is refused must have a
 * message that makes a whole error body. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/lambda/body.h"
#include "scheduler/lambda/config_json.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/policy.h"
#include "scheduler/lambda/tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok)
{
	if (!ok)
		abort();
}

static void refused(int rc, const struct lambda_err *err)
{
	char body[LAMBDA_BODY_MAX];
	size_t n = lambda_error_body(body, sizeof(body), err->type, LAMBDA_REASON_NONE, err->message);
	json_t *o = json_loadb(body, n, JSON_REJECT_DUPLICATES, NULL);

	require(rc < 0 && err->message[0] && o);
	json_decref(o);
}

static void show(const struct fn_settings *s, const char *extra)
{
	struct lambda_config_view v = {.arn = "a", .name = "f", .version = "$LATEST", .runtime = s->runtime,
				       .handler = s->handler,
				       .memory_mib = s->memory_mib, .timeout_s = s->timeout_s,
				       .storage_mib = s->storage_mib, .env = s->env,
				       .env_len = s->env_len, .has_env = s->env_len > 0, .extra = extra, .sha256 = "",
				       .revision = ""};
	json_t *o = lambda_config_json(&v, false);

	require(o != NULL);
	json_decref(o);
}

static int create(const char *body, size_t len, struct lambda_err *err)
{
	struct lambda_create c;
	struct stk_err why;
	int rc = lambda_create_parse(body, len, -1, &c, err);

	if (rc)
		return rc;
	require(fn_settings_check(&c.config.settings, &why) == 0);
	require(c.code.size > 0 && strlen(c.code.sha256) == ZIPFILE_SHA256_TEXT);
	require(strlen(c.config.extra) < LAMBDA_EXTRA_MAX);
	show(&c.config.settings, c.config.extra);
	lambda_create_fini(&c);
	return 0;
}

static int update(const char *body, size_t len, struct lambda_err *err)
{
	struct fn_settings s;
	struct lambda_update_config u;
	char *extra = NULL, *before;
	int rc = lambda_update_config_parse(body, len, &u, err);

	if (rc)
		return rc;
	fn_settings_init(&s);
	rc = lambda_config_apply(&u.config, &s, &extra, err);
	if (rc == 0) {
		show(&s, extra);
		before = strdup(extra ? extra : "");
		require(lambda_config_apply(&u.config, &s, &extra, err) == 0);
		require(strcmp(before, extra ? extra : "") == 0);
		free(before);
	}
	free(extra);
	fn_settings_fini(&s);
	lambda_update_config_fini(&u);
	return rc;
}

static int permission(const char *body, size_t len, struct lambda_err *err)
{
	struct lambda_permission p;
	char *with = NULL, *without = NULL;
	int rc = lambda_permission_parse(body, len, "arn:x", &p, err);

	if (rc)
		return rc;
	rc = lambda_policy_add("", &p, &with, err);
	require(rc == 0 && lambda_policy_remove(with, p.sid, &without, err) == 0 && !*without);
	free(with);
	free(without);
	lambda_permission_fini(&p);
	return 0;
}

static int parse(uint8_t what, const char *body, size_t len, struct lambda_err *err)
{
	struct lambda_update_code code;
	struct lambda_publish publish;
	struct lambda_alias alias;
	struct lambda_url url;
	unsigned n;
	char *tags;
	int rc;

	switch (what % 12) {
	case 0:
		return create(body, len, err);
	case 1:
		rc = lambda_update_code_parse(body, len, -1, &code, err);
		if (rc == 0)
			lambda_update_code_fini(&code);
		return rc;
	case 2:
		return update(body, len, err);
	case 3:
		return lambda_publish_parse(body, len, &publish, err);
	case 4:
	case 5:
		rc = what % 12 == 4 ? lambda_alias_create_parse(body, len, &alias, err)
				    : lambda_alias_update_parse(body, len, &alias, err);
		require(rc || (alias.weight >= 0 && alias.weight <= 1));
		return rc;
	case 6:
		return lambda_concurrency_parse(body, len, &n, err);
	case 7:
		return lambda_provisioned_parse(body, len, &n, err);
	case 8:
	case 9:
		rc = lambda_url_parse(body, len, what % 12 == 8, &url, err);
		if (rc == 0)
			lambda_url_fini(&url);
		return rc;
	case 10:
		return permission(body, len, err);
	default:
		rc = lambda_tags_add("{\"a\":\"b\"}", body, len, &tags, err);
		if (rc == 0)
			free(tags);
		return rc;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lambda_err err = {0};
	int rc;

	if (size < 1)
		return 0;
	rc = parse(data[0], (const char *)data + 1, size - 1, &err);
	if (rc)
		refused(rc, &err);
	return 0;
}
