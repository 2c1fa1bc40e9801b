/* Which version a call goes to: see resolve.h. */
#include "scheduler/resolve.h"

#include <string.h>

#include "common/base/str.h"
#include "scheduler/ids.h"
#include "scheduler/registry.h"

static struct fn_version *latest(const struct function *fn)
{
	return fn->active ? fn->active : fn->latest;
}

static struct fn_version *numbered(const struct function *fn, unsigned number)
{
	return number ? registry_published(fn, number) : latest(fn);
}

struct fn_version *resolve_version(const struct function *fn, const char *qualifier)
{
	const struct fn_alias *a;
	uint64_t number;
	uint32_t dice;

	if (!qualifier || !*qualifier || strcmp(qualifier, "$LATEST") == 0)
		return latest(fn);
	if (stk_parse_u64(qualifier, 1, UINT32_MAX, &number) == 0)
		return registry_published(fn, (unsigned)number);
	a = registry_alias(fn, qualifier);
	if (!a)
		return NULL;
	if (a->additional && ids_random(&dice, sizeof(dice)) == 0 && dice < a->weight * 4294967296.0)
		return numbered(fn, a->additional);
	return numbered(fn, a->version);
}

struct fn_version *resolve_name(const struct registry *r, const char *text, const char **ret_qualifier)
{
	const char *colon = strchr(text, ':');
	char name[FN_NAME_MAX + 1];
	const struct function *fn;

	*ret_qualifier = colon ? colon + 1 : NULL;
	if (colon && stk_snprintf(name, sizeof(name), "%.*s", (int)(colon - text), text))
		return NULL;
	fn = registry_find(r, colon ? name : text);
	return fn && fn->latest ? resolve_version(fn, *ret_qualifier) : NULL;
}
