/* Records of calls: see trace.h. */
#include "bench/trace.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "bench/random.h"

struct name {
	unsigned number;
	char text[];
};

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* Returns the node of text; *ret_new tells whether it was added. NULL: out of memory. A tree, not a hash
 * table: the texts come from files that nobody vouches for. */
static const struct name *names_put(struct trace_names *n, const char *text, size_t len, bool *ret_new)
{
	struct name *add = malloc(sizeof(*add) + len + 1), **found;

	if (!add)
		return NULL;
	memcpy(add->text, text, len);
	add->text[len] = '\0';
	found = tsearch(add, &n->root, by_text);
	*ret_new = found && *found == add;
	if (!*ret_new)
		free(add);
	else
		add->number = n->count++;
	return found ? *found : NULL;
}

void trace_limits_default(struct trace_limits *l)
{
	*l = (struct trace_limits){.max_calls = 20000000, .end_us = UINT64_MAX, .keep = 1.0, .seed = 1,
		.memory_mib = 170, .duration_us = 500000};
}

void trace_init(struct trace *t, const struct trace_limits *limits)
{
	memset(t, 0, sizeof(*t));
	t->limits = *limits;
	t->random = limits->seed;
}

void trace_fini(struct trace *t)
{
	tdestroy(t->fn_names.root, free);
	tdestroy(t->app_names.root, free);
	free(t->fn);
	free(t->app_mib);
	free(t->call);
	memset(t, 0, sizeof(*t));
}

bool trace_keeps(const struct trace *t, const char *name)
{
	uint64_t hash = t->limits.seed ^ 0xcbf29ce484222325ULL;

	if (t->limits.keep >= 1)
		return true;
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3ULL;
	return random_unit(&hash) <= t->limits.keep;
}

/* Room for one more; caps double. */
static int grow(void **array, size_t size, size_t have, size_t cap, size_t *ret_cap)
{
	size_t want = cap ? cap * 2 : 64;
	void *grown;

	*ret_cap = cap;
	if (have < cap)
		return 0;
	grown = realloc(*array, want * size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*ret_cap = want;
	return 0;
}

static int application(struct trace *t, const char *text, size_t len, unsigned *ret_app)
{
	const struct name *name;
	size_t cap;
	bool added;

	if (grow((void **)&t->app_mib, sizeof(*t->app_mib), t->app_names.count, t->app_cap, &cap))
		return -ENOMEM;
	t->app_cap = (unsigned)cap;
	name = names_put(&t->app_names, text, len, &added);
	if (!name)
		return -ENOMEM;
	if (added)
		t->app_mib[name->number] = 0;
	*ret_app = name->number;
	return 0;
}

int trace_function(struct trace *t, const char *text, size_t app_len, unsigned *ret_fn, struct stk_err *err)
{
	const struct name *name;
	unsigned app = 0;
	size_t cap;
	bool added;

	if (t->fn_names.count == TRACE_MAX_FUNCTIONS)
		return stk_err_set(err, -E2BIG, "more than %u functions", TRACE_MAX_FUNCTIONS);
	if (grow((void **)&t->fn, sizeof(*t->fn), t->fn_names.count, t->fn_cap, &cap))
		return stk_err_sys(err, -ENOMEM, "functions");
	t->fn_cap = (unsigned)cap;
	if (application(t, text, app_len, &app))
		return stk_err_sys(err, -ENOMEM, "functions");
	name = names_put(&t->fn_names, text, strlen(text), &added);
	if (!name)
		return stk_err_sys(err, -ENOMEM, "functions");
	if (added)
		t->fn[name->number] = (struct trace_fn){.name = name->text, .app = app};
	*ret_fn = name->number;
	return 0;
}

int trace_app_memory(struct trace *t, const char *app, unsigned mib, struct stk_err *err)
{
	unsigned number = 0;

	if (t->app_names.count == TRACE_MAX_FUNCTIONS)
		return stk_err_set(err, -E2BIG, "more than %u applications", TRACE_MAX_FUNCTIONS);
	if (application(t, app, strlen(app), &number))
		return stk_err_sys(err, -ENOMEM, "applications");
	t->app_mib[number] = mib;
	return 0;
}

int trace_add_call(struct trace *t, unsigned fn, uint64_t at_us, uint32_t duration_us, struct stk_err *err)
{
	if (at_us >= t->limits.end_us)
		return 0;
	if (t->call_count >= t->limits.max_calls)
		return stk_err_set(err, -E2BIG, "more than %zu calls: take fewer of them with --sample or --hours, or "
				   "allow more with --max-calls", t->limits.max_calls);
	if (grow((void **)&t->call, sizeof(*t->call), t->call_count, t->call_cap, &t->call_cap))
		return stk_err_sys(err, -ENOMEM, "calls");
	t->call[t->call_count++] = (struct trace_call){at_us, duration_us, fn};
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct trace_call *x = a, *y = b;

	if (x->at_us != y->at_us)
		return x->at_us < y->at_us ? -1 : 1;
	return x->fn < y->fn ? -1 : x->fn > y->fn;
}

/* Between the percentiles that are known, evenly. */
static uint32_t draw_duration(struct trace *t, const struct trace_fn *fn)
{
	static const double at[TRACE_POINTS] = {0, 1, 25, 50, 75, 99, 100};
	double p = random_unit(&t->random) * 100, ms;
	unsigned i = 1;

	if (!fn->known_duration)
		return t->limits.duration_us;
	while (i < TRACE_POINTS - 1 && p > at[i])
		i++;
	ms = (double)fn->duration_ms[i - 1] +
	     (double)(fn->duration_ms[i] - fn->duration_ms[i - 1]) * (p - at[i - 1]) / (at[i] - at[i - 1]);
	return ms <= 0 ? 0 : ms >= 4e6 ? 4000000000u : (uint32_t)(ms * 1000);
}

int trace_finish(struct trace *t, struct stk_err *err)
{
	if (t->call_count == 0)
		return stk_err_set(err, -ENODATA, "no calls in the trace");
	qsort(t->call, t->call_count, sizeof(*t->call), by_time);
	for (size_t i = 0; i < t->call_count; i++) {
		struct trace_call *c = &t->call[i];

		t->fn[c->fn].calls++;
		if (c->duration_us == TRACE_UNKNOWN)
			c->duration_us = draw_duration(t, &t->fn[c->fn]);
	}
	for (unsigned i = 0; i < trace_functions(t); i++) {
		struct trace_fn *fn = &t->fn[i];

		if (!fn->memory_mib)
			fn->memory_mib = t->app_mib[fn->app];
		if (!fn->memory_mib)
			fn->memory_mib = t->limits.memory_mib;
	}
	return 0;
}
