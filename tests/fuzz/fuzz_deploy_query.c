/* The query of a deploy, PUT /v1/functions/NAME. Byte 0 says who sends it. What is taken must be within its limits, must be
 * something that the API can show and the database keep, and when it is written as a query again it must be read as the
 * same; what is refused must have a text that makes a JSON answer. */
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "scheduler/answer.h"
#include "scheduler/auth/auth.h"
#include "scheduler/deploy_settings.h"
#include "scheduler/layers.h"
#include "scheduler/registry.h"
#include "scheduler/tenants.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct auth_principal people[] = {
	{.tenant = TENANTS_DEFAULT, .account = "000000000000", .key = "k"},
	{.tenant = "acme", .account = "111122223333", .key = "k"},
	{.tenant = TENANTS_DEFAULT, .account = "000000000000", .key = "", .anonymous = true, .unbound = true},
};

static void require(int ok)
{
	if (!ok)
		abort();
}

/* --- writing a query ------------------------------------------------------------------------------ */

struct text {
	char p[4 * INPUT_MAX];
	size_t len;
};

static void put(struct text *t, const char *name, const char *value)
{
	require(t->len + strlen(name) + 3 * strlen(value) + 3 < sizeof(t->p));
	t->len += (size_t)sprintf(t->p + t->len, "%s%s=", t->len ? "&" : "", name);
	for (; *value; value++)
		t->len += (size_t)sprintf(t->p + t->len, "%%%02x", (unsigned char)*value);
}

static void put_pairs(struct text *t, const char *name, const char *pairs, size_t len)
{
	for (size_t at = 0; at < len; at += strlen(pairs + at) + 1)
		put(t, name, pairs + at);
}

static void write_query(struct text *t, const struct fn_settings *s)
{
	char text[FN_NAME_MAX + 16];

	t->len = 0;
	t->p[0] = '\0';
	put(t, "runtime", s->runtime);
	put(t, "handler", s->handler);
	snprintf(text, sizeof(text), "%u", s->memory_mib);
	put(t, "memory", text);
	snprintf(text, sizeof(text), "%u", s->timeout_s);
	put(t, "timeout", text);
	snprintf(text, sizeof(text), "%u", s->storage_mib);
	put(t, "ephemeral-storage", text);
	put(t, "reuse", fn_reuse_name(s->reuse));
	for (unsigned i = 0; i < s->layer_count; i++) {
		snprintf(text, sizeof(text), "%s:%u", s->layers[i].name, s->layers[i].version);
		put(t, "layers", text);
	}
	put_pairs(t, "env", s->env, s->env_len);
	put_pairs(t, "secret", s->secrets, s->secrets_len);
}

/* --- what was read ---------------------------------------------------------------------------------- */

static void check_pairs(const char *pairs, size_t len, size_t max)
{
	require(len <= max && (!len || pairs[len - 1] == '\0'));
	for (size_t at = 0; at < len; at += strlen(pairs + at) + 1)
		require(strchr(pairs + at, '=') > pairs + at);
}

static void check_layers(const struct auth_principal *who, const struct fn_settings *s)
{
	require(s->layer_count <= FN_LAYERS_MAX);
	for (unsigned i = 0; i < s->layer_count; i++) {
		const struct fn_layer *layer = &s->layers[i];

		require(fn_name_valid(layer->name) && layer->version >= 1 && layer->version <= LAYERS_VERSION_MAX);
		require(who->unbound || tenants_owns(who, layer->name));
		for (unsigned k = 0; k < i; k++)
			require(strcmp(s->layers[k].name, layer->name) != 0);
	}
}

static void check_again(const struct auth_principal *who, const struct fn_settings *s)
{
	static struct text query;
	struct fn_settings again;
	struct stk_err err = {0};

	write_query(&query, s);
	fn_settings_init(&again);
	require(deploy_settings_read(query.p, who, &again, &err) == 0);
	require(fn_same_guest(s, &again) && s->timeout_s == again.timeout_s);
	fn_settings_fini(&again);
}

static void check_shown(const char *text)
{
	json_t *shown = json_string(text);

	require(shown != NULL);
	json_decref(shown);
}

static void check_taken(const struct auth_principal *who, const struct fn_settings *s)
{
	struct stk_err err = {0};
	int rc;

	check_pairs(s->env, s->env_len, FN_ENV_MAX);
	check_pairs(s->secrets, s->secrets_len, FN_SECRETS_MAX);
	check_layers(who, s);
	require(s->memory_mib >= FN_MEMORY_MIN && s->memory_mib <= FN_MEMORY_MAX);
	require(s->storage_mib >= FN_STORAGE_MIN && s->storage_mib <= FN_STORAGE_MAX);
	require(s->timeout_s >= 1 && s->timeout_s <= FN_TIMEOUT_MAX);
	check_again(who, s);
	rc = fn_settings_check(s, &err);
	require(rc == 0 || (rc == -EINVAL && err.text[0]));
	/* As in answers, and in the snapshot's manifest. */
	if (rc == 0)
		check_shown(s->handler);
	for (size_t at = 0; at < s->env_len; at += strlen(s->env + at) + 1)
		check_shown(s->env + at);
}

static void check_refused(const struct stk_err *err, int rc)
{
	char body[1536];
	size_t len;
	json_t *o;

	require((rc == -EINVAL || rc == -EACCES || rc == -E2BIG) && err->code == rc && err->text[0]);
	len = answer_error_text(body, sizeof(body), "BadRequest", err->text, "id");
	o = json_loadb(body, len, 0, NULL);
	require(o != NULL);
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct auth_principal *who;
	struct stk_err err = {0};
	struct fn_settings s;
	char *query;
	int rc;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	who = &people[data[0] % STK_ARRAY_LEN(people)];
	query = malloc(size);
	require(query != NULL);
	memcpy(query, data + 1, size - 1);
	query[size - 1] = '\0';
	fn_settings_init(&s);
	rc = deploy_settings_read(query, who, &s, &err);
	if (rc == 0)
		check_taken(who, &s);
	else
		check_refused(&err, rc);
	fn_settings_fini(&s);
	free(query);
	return 0;
}
