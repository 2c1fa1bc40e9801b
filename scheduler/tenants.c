/* Tenants: see tenants.h. */
#include "scheduler/tenants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "scheduler/auth/auth.h"
#include "scheduler/auth/keys.h"
#include "scheduler/registry.h"

int tenants_init(struct tenants *t)
{
	t->first = NULL;
	return tenants_get(t, TENANTS_DEFAULT) ? 0 : -ENOMEM;
}

void tenants_fini(struct tenants *t)
{
	while (t->first) {
		struct tenant *one = t->first;

		t->first = one->next;
		free(one);
	}
}

struct tenant *tenants_get(struct tenants *t, const char *name)
{
	struct tenant **at = &t->first;

	if (!*name)
		name = TENANTS_DEFAULT;
	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	if (*at)
		return *at;
	*at = calloc(1, sizeof(**at));
	if (!*at)
		return NULL;
	if (stk_strcpy((*at)->name, sizeof((*at)->name), name)) {
		free(*at);
		*at = NULL;
		return NULL;
	}
	strcpy((*at)->account, "000000000000");
	(*at)->limit = -1;
	tenant_refusals_init(&(*at)->refusals);
	return *at;
}

struct tenant *tenants_of(struct tenants *t, const char *function)
{
	const char *dot = strchr(function, '.');
	struct tenant *one = dot ? tenants_get(t, dot + 1) : NULL;

	return one ? one : t->first;
}

int tenants_scope(const struct auth_principal *who, const char *text, char *ret, size_t cap)
{
	size_t len = strcspn(text, ":"), name_len = strcspn(text, ".:");
	const char *tenant = who ? who->tenant : TENANTS_DEFAULT;
	bool own = who && !who->unbound;

	if (text[name_len] == '.') {
		const char *given = text + name_len + 1;
		size_t given_len = len - name_len - 1;

		if (own && (strlen(tenant) != given_len || memcmp(tenant, given, given_len) != 0))
			return -EACCES;
		if (given_len != strlen(TENANTS_DEFAULT) || memcmp(given, TENANTS_DEFAULT, given_len) != 0)
			return stk_snprintf(ret, cap, "%s", text);
		tenant = TENANTS_DEFAULT;
	}
	if (strcmp(tenant, TENANTS_DEFAULT) == 0)
		return stk_snprintf(ret, cap, "%.*s%s", (int)name_len, text, text + len);
	return stk_snprintf(ret, cap, "%.*s.%s%s", (int)name_len, text, tenant, text + len);
}

static void adopt(void *ctx, const struct key_tenant *k)
{
	struct tenant *one = tenants_get(ctx, k->name);

	if (!one)
		return;
	stk_strcpy(one->account, sizeof(one->account), k->account);
	one->limit = k->concurrency;
}

void tenants_adopt(struct tenants *t, const struct auth *a)
{
	for (struct tenant *one = t->first; one; one = one->next)
		one->limit = -1;
	auth_tenants(a, adopt, t);
}

bool tenants_owns(const struct auth_principal *who, const char *name)
{
	const char *dot = strchr(name, '.');

	return strcmp(dot ? dot + 1 : TENANTS_DEFAULT, who ? who->tenant : TENANTS_DEFAULT) == 0;
}

const char *tenants_account(const struct tenants *t, const char *name)
{
	const char *dot = strchr(name, '.');

	for (const struct tenant *one = t->first; dot && one; one = one->next) {
		if (strcmp(one->name, dot + 1) == 0)
			return one->account;
	}
	return dot ? "000000000000" : t->first->account;
}

bool tenants_shows(const struct auth_principal *who, const char *name)
{
	return !who || who->unbound || tenants_owns(who, name);
}

int tenants_scope_layers(const struct auth_principal *who, struct fn_settings *s)
{
	char name[FN_NAME_MAX + 1];

	for (unsigned i = 0; i < s->layer_count; i++) {
		int rc = tenants_scope(who, s->layers[i].name, name, sizeof(name));

		if (rc)
			return rc;
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(s->layers[k].name, name) == 0)
				return -EEXIST;
		}
		strcpy(s->layers[i].name, name);
	}
	return 0;
}
