/* The query of a deploy: see deploy_settings.h. */
#include "scheduler/deploy_settings.h"

#include <errno.h>
#include <string.h>

#include "common/base/str.h"
#include "common/host/http_server.h"
#include "scheduler/auth/auth.h"
#include "scheduler/layers.h"
#include "scheduler/registry.h"
#include "scheduler/secrets.h"
#include "scheduler/tenants.h"

static int set_param(struct fn_settings *s, const char *key, const char *value, const char *account, struct stk_err *err)
{
	uint64_t v;

	if (strcmp(key, "runtime") == 0) {
		if (stk_strcpy(s->runtime, sizeof(s->runtime), value))
			return stk_err_set(err, -EINVAL, "runtime: longer than %d bytes", FN_RUNTIME_MAX);
	} else if (strcmp(key, "handler") == 0) {
		if (stk_strcpy(s->handler, sizeof(s->handler), value))
			return stk_err_set(err, -EINVAL, "handler: longer than %d bytes", FN_HANDLER_MAX);
	} else if (strcmp(key, "memory") == 0) {
		if (stk_parse_u64(value, FN_MEMORY_MIN, FN_MEMORY_MAX, &v))
			return stk_err_set(err, -EINVAL, "memory: expected %d to %d (MiB), got \"%.40s\"",
					   FN_MEMORY_MIN, FN_MEMORY_MAX, value);
		s->memory_mib = (unsigned)v;
	} else if (strcmp(key, "ephemeral-storage") == 0) {
		if (stk_parse_u64(value, FN_STORAGE_MIN, FN_STORAGE_MAX, &v))
			return stk_err_set(err, -EINVAL, "ephemeral-storage: expected %d to %d (MiB), got \"%.40s\"",
					   FN_STORAGE_MIN, FN_STORAGE_MAX, value);
		s->storage_mib = (unsigned)v;
	} else if (strcmp(key, "timeout") == 0) {
		if (stk_parse_u64(value, 1, FN_TIMEOUT_MAX, &v))
			return stk_err_set(err, -EINVAL, "timeout: expected 1 to %d (seconds), got \"%.40s\"",
					   FN_TIMEOUT_MAX, value);
		s->timeout_s = (unsigned)v;
	} else if (strcmp(key, "reuse") == 0) {
		if (fn_reuse_parse(value, &s->reuse))
			return stk_err_set(err, -EINVAL, "reuse: expected destroy or reset, got \"%.40s\"", value);
	} else if (strcmp(key, "layers") == 0) {
		return layers_parse_list(value, account, s, err);
	} else if (strcmp(key, "secret") == 0) {
		return secrets_add(s, value, err);
	} else if (strcmp(key, "env") == 0) {
		return fn_settings_add_env(s, value, err);
	} else {
		return stk_err_set(err, -EINVAL, "unknown parameter \"%.60s\"", key);
	}
	return 0;
}

int deploy_settings_read(const char *query, const struct auth_principal *who, struct fn_settings *s, struct stk_err *err)
{
	char key[64], value[FN_ENV_MAX + 16];
	int rc;

	while ((rc = http_query_next(&query, key, sizeof(key), value, sizeof(value))) == 1) {
		rc = set_param(s, key, value, who->account, err);
		if (rc)
			return rc;
	}
	if (rc < 0)
		return stk_err_set(err, -EINVAL, "query: badly encoded, or a parameter is too long");
	rc = tenants_scope_layers(who, s);
	if (rc == -EACCES)
		return stk_err_set(err, rc, "layers: what belongs to another tenant cannot be used");
	if (rc == -EEXIST)
		return stk_err_set(err, -EINVAL, "layers: two are the same one");
	return rc ? stk_err_set(err, -EINVAL, "layers: a name is too long") : 0;
}
