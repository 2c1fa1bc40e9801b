/* Provisioned concurrency: see provisioned.h. */
#include "scheduler/provisioned.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "scheduler/daemon.h"
#include "scheduler/pool.h"
#include "scheduler/verify.h"

static struct fn_version *target(const struct function *fn, const char *qualifier)
{
	const struct fn_alias *a;
	uint64_t number;

	if (stk_parse_u64(qualifier, 1, UINT32_MAX, &number) == 0)
		return registry_published(fn, (unsigned)number);
	a = registry_alias(fn, qualifier);
	return a && a->version ? registry_published(fn, a->version) : NULL;
}

static unsigned requested(const char *json, int64_t *ret_modified_ms)
{
	json_t *o = json_loads(json, 0, NULL);
	json_int_t n = json_integer_value(json_object_get(o, "Requested"));

	if (ret_modified_ms)
		*ret_modified_ms = json_integer_value(json_object_get(o, "ModifiedMs"));
	json_decref(o);
	return n > 0 && n < INT32_MAX ? (unsigned)n : 0;
}

bool provisioned_read(const struct function *fn, const char *qualifier, struct provisioned *ret)
{
	const char *json = registry_note(fn, PROVISIONED_NOTE, qualifier);
	const struct fn_version *v = target(fn, qualifier);

	*ret = (struct provisioned){0};
	if (!json)
		return false;
	ret->requested = requested(json, &ret->modified_ms);
	if (!v) {
		ret->failed = "the alias points to no published version";
	} else {
		ret->ready = v->pool->warm_count + v->pool->busy + v->pool->resetting;
		if (v->check == FN_BROKEN)
			ret->failed = v->check_err.text;
		else if (v->pool->fail_count)
			ret->failed = v->pool->fail_text;
	}
	return true;
}

void provisioned_apply(struct daemon *d, struct function *fn)
{
	for (unsigned i = 0; i < fn->published_count; i++) {
		struct fn_version *v = fn->published[i];
		unsigned floor = 0;

		for (unsigned n = 0; n < fn->note_count; n++) {
			if (strcmp(fn->notes[n]->kind, PROVISIONED_NOTE) == 0 && target(fn, fn->notes[n]->qualifier) == v)
				floor += requested(fn->notes[n]->json, NULL);
		}
		if (v->pool->policy.floor == floor)
			continue;
		pool_set_floor(v->pool, floor);
		if (floor)
			verify_want(d->verifier, v);
	}
}
