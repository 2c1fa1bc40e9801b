/* Event-invoke configurations in memory: see confs.h. */
#include "scheduler/async/confs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"

/* The texts have room for what they hold, not for what they may hold. */
struct conf {
	struct conf *next;
	unsigned max_retries, max_age_s;
	int64_t modified_ms;
	const char *function, *qualifier, *on_success, *on_failure, *dead_letter;
	char text[];
};

static struct conf **bucket_of(const struct confs *cs, const char *function)
{
	uint32_t h = 2166136261u;

	for (; *function; function++)
		h = (h ^ (unsigned char)*function) * 16777619u;
	return (struct conf **)(uintptr_t)&cs->bucket[(h ^ h >> 16) % CONFS_BUCKETS];
}

static const char *plain(const char *qualifier)
{
	return strcmp(qualifier, "$LATEST") == 0 ? "" : qualifier;
}

static struct conf **find(const struct confs *cs, const char *function, const char *qualifier)
{
	struct conf **at = bucket_of(cs, function);

	while (*at && (strcmp((*at)->function, function) != 0 || strcmp((*at)->qualifier, plain(qualifier)) != 0))
		at = &(*at)->next;
	return at;
}

static void unlink_one(struct confs *cs, struct conf **at)
{
	struct conf *gone = *at;

	*at = gone->next;
	free(gone);
	cs->count--;
}

void confs_fini(struct confs *cs)
{
	for (unsigned i = 0; i < CONFS_BUCKETS; i++) {
		while (cs->bucket[i])
			unlink_one(cs, &cs->bucket[i]);
	}
}

int confs_put(struct confs *cs, const char *function, const char *qualifier, const struct evconfig *c)
{
	const char *const src[] = {function, plain(qualifier), c->on_success, c->on_failure, c->dead_letter};
	struct conf **at = find(cs, function, qualifier), *n;
	const char **dst[5];
	size_t len = 0;
	char *p;

	for (unsigned i = 0; i < 5; i++)
		len += strlen(src[i]) + 1;
	n = malloc(sizeof(*n) + len);
	if (!n)
		return -ENOMEM;
	*n = (struct conf){.max_retries = c->max_retries, .max_age_s = c->max_age_s, .modified_ms = c->modified_ms};
	dst[0] = &n->function;
	dst[1] = &n->qualifier;
	dst[2] = &n->on_success;
	dst[3] = &n->on_failure;
	dst[4] = &n->dead_letter;
	p = n->text;
	for (unsigned i = 0; i < 5; i++) {
		*dst[i] = p;
		p = stpcpy(p, src[i]) + 1;
	}
	if (*at)
		unlink_one(cs, at);
	n->next = *at;
	*at = n;
	cs->count++;
	return 0;
}

bool confs_delete(struct confs *cs, const char *function, const char *qualifier)
{
	struct conf **at = bucket_of(cs, function);
	bool all = strcmp(qualifier, "*") == 0, any = false;

	while (*at) {
		if (strcmp((*at)->function, function) == 0 &&
		    (all || strcmp((*at)->qualifier, plain(qualifier)) == 0)) {
			unlink_one(cs, at);
			any = true;
		} else {
			at = &(*at)->next;
		}
	}
	return any;
}

static void read_conf(const struct conf *n, struct evconfig *c)
{
	evconfig_default(c);
	c->max_retries = n->max_retries;
	c->max_age_s = n->max_age_s;
	c->modified_ms = n->modified_ms;
	stk_strcpy(c->on_success, sizeof(c->on_success), n->on_success);
	stk_strcpy(c->on_failure, sizeof(c->on_failure), n->on_failure);
	stk_strcpy(c->dead_letter, sizeof(c->dead_letter), n->dead_letter);
}

bool confs_get(const struct confs *cs, const char *function, const char *qualifier, struct evconfig *ret_config)
{
	const struct conf *n = *find(cs, function, qualifier);

	if (n)
		read_conf(n, ret_config);
	else
		evconfig_default(ret_config);
	return n != NULL;
}

void confs_each(const struct confs *cs, const char *function,
		void (*each)(void *ctx, const char *qualifier, const struct evconfig *c), void *ctx)
{
	for (const struct conf *n = *bucket_of(cs, function); n; n = n->next) {
		struct evconfig c;

		if (strcmp(n->function, function) != 0)
			continue;
		read_conf(n, &c);
		each(ctx, *n->qualifier ? n->qualifier : "$LATEST", &c);
	}
}
