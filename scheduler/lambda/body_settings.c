/* Runtime, handler, memory, time limit, size of /tmp and environment in bodies: see body.h. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/body_internal.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/member.h"
#include "snapshots/funcenv.h"

static bool handler_fits(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

static const struct member_text handler_text = {.min = 1, .max = 128, .fits = handler_fits, .pattern = "[^\\s]+"};

int lambda_runtime_unknown(const char *runtime, const char *why, struct lambda_err *err)
{
	return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
			      "Value %.100s at 'runtime' failed to satisfy constraint: Member must satisfy enum "
			      "value set of this host%s%s", runtime, *why ? ": " : "", why);
}

static int read_runtime(struct members *m, const json_t *o, struct lambda_config *c, struct lambda_err *err)
{
	const char *text;

	if (!member_string(m, o, "Runtime", "runtime", false, NULL, &text))
		return 0;
	if (!*text || text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-")] || text[0] == '.' ||
	    stk_strcpy(c->settings.runtime, sizeof(c->settings.runtime), text))
		return lambda_runtime_unknown(text, "", err);
	c->has |= LAMBDA_HAS_RUNTIME;
	return 0;
}

static bool env_name_fits(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return *name && strchr(letters, *name) && name[1] &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int env_too_large(struct lambda_err *err)
{
	return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
			      "Lambda was unable to configure your environment variables because the environment "
			      "variables you have provided exceeded the 4KB limit.");
}

static int check_env_size(const json_t *variables, struct lambda_err *err)
{
	char *text = lambda_json_text(variables);
	size_t len;

	if (!text)
		return lambda_err_nomem(err);
	len = strlen(text);
	free(text);
	return len > FN_ENV_MAX ? env_too_large(err) : 0;
}

/* All reserved names in one error, as the real service says it. */
static int check_env_names(const char *const *names, size_t count, struct lambda_err *err)
{
	char reserved[512] = "";
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (snap_funcenv_reserved(names[i], strlen(names[i])) && n < sizeof(reserved))
			n += (size_t)snprintf(reserved + n, sizeof(reserved) - n, "%s%s", n ? ", " : "", names[i]);
	}
	if (!n)
		return 0;
	return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
			      "Lambda was unable to configure your environment variables because the environment "
			      "variables you have provided contains reserved keys that are currently not supported "
			      "for modification. Reserved keys used in this request: %s", reserved);
}

static int add_env(const json_t *variables, const char *const *names, size_t count, struct fn_settings *s,
		   struct lambda_err *err)
{
	for (size_t i = 0; i < count; i++) {
		const char *value = json_string_value(json_object_get(variables, names[i]));
		size_t size = strlen(names[i]) + strlen(value) + 2;
		stk_autofree char *pair = malloc(size);
		struct stk_err why = {0};
		int rc;

		if (!pair)
			return lambda_err_nomem(err);
		snprintf(pair, size, "%s=%s", names[i], value);
		rc = fn_settings_add_env(s, pair, &why);
		if (rc == -ENOMEM)
			return lambda_err_nomem(err);
		if (rc == -E2BIG)
			return env_too_large(err);
		if (rc)
			return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "%s", why.text);
	}
	return 0;
}

static int read_env(struct members *m, const json_t *o, struct lambda_config *c, struct lambda_err *err)
{
	const json_t *environment, *variables = NULL;
	stk_autofree const char **names = NULL;
	unsigned wrong = m->violations;
	size_t count, i = 0;
	const char *key;
	json_t *value;
	int rc;

	if (!member_object(m, o, "Environment", "environment", false, &environment))
		return 0;
	c->has |= LAMBDA_HAS_ENV;
	if (!member_object(m, environment, "Variables", "environment.variables", false, &variables))
		return 0;
	rc = check_env_size(variables, err);
	if (rc)
		return rc;
	count = json_object_size(variables);
	names = calloc(count + 1, sizeof(*names));
	if (!names)
		return lambda_err_nomem(err);
	/* jansson's iteration takes no const; nothing is changed. */
	json_object_foreach((json_t *)variables, key, value) {
		names[i++] = key;
		if (!json_is_string(value)) {
			member_wrong_type(m, "environment.variables", "a map of strings");
			return 0;
		}
		if (!env_name_fits(key))
			member_violation(m, "environment.variables", key,
					 "Map keys must satisfy constraint: [Member must satisfy regular expression "
					 "pattern: [a-zA-Z]([a-zA-Z0-9_])+]");
	}
	if (m->violations != wrong)
		return 0;
	qsort(names, count, sizeof(*names), by_name);
	rc = check_env_names(names, count, err);
	if (rc)
		return rc;
	return add_env(variables, names, count, &c->settings, err);
}

int body_config_read(struct members *m, const json_t *o, unsigned take, struct lambda_config *c, json_t **ret_update,
		     struct lambda_err *err)
{
	const char *text, *ready;
	const json_t *storage;
	struct stk_err why;
	json_int_t n;
	int rc;

	if (member_string(m, o, "Handler", "handler", false, &handler_text, &text)) {
		if (stk_strcpy(c->settings.handler, sizeof(c->settings.handler), text))
			member_violation(m, "handler", text, "Member must have length less than or equal to 128");
		else if (snap_funcenv_http(text, &ready, &why) < 0)
			member_violation(m, "handler", text,
					 "Member must be http[:PORT][/PATH], the port from 1 to 65535 and not 9001");
		c->has |= LAMBDA_HAS_HANDLER;
	}
	if (member_int(m, o, "MemorySize", "memorySize", false, FN_MEMORY_MIN, FN_MEMORY_MAX, &n)) {
		c->settings.memory_mib = (unsigned)n;
		c->has |= LAMBDA_HAS_MEMORY;
	}
	if (member_int(m, o, "Timeout", "timeout", false, 1, FN_TIMEOUT_MAX, &n)) {
		c->settings.timeout_s = (unsigned)n;
		c->has |= LAMBDA_HAS_TIMEOUT;
	}
	if (member_object(m, o, "EphemeralStorage", "ephemeralStorage", false, &storage) &&
	    member_int(m, storage, "Size", "ephemeralStorage.size", true, FN_STORAGE_MIN, FN_STORAGE_MAX, &n)) {
		c->settings.storage_mib = (unsigned)n;
		c->has |= LAMBDA_HAS_STORAGE;
	}
	*ret_update = lambda_extra_read(m, o, take, &rc, err);
	if (*ret_update)
		c->has |= LAMBDA_HAS_EXTRA;
	if (rc == 0)
		rc = read_runtime(m, o, c, err);
	if (rc == 0)
		rc = read_env(m, o, c, err);
	return rc;
}
