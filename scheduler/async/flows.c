/* Turns: see flows.h. */
#include "scheduler/async/flows.h"

#include <stdlib.h>
#include <string.h>

#include "scheduler/async/retry.h"

#define LOOKS      64 /* at flows in line, for one pick */
#define FLOW_OF(n) STK_CONTAINER_OF(n, struct flow, node)

static unsigned hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return (h ^ h >> 16) % FLOWS_BUCKETS;
}

void flows_init(struct flows *fs, unsigned call_slots, unsigned send_slots)
{
	memset(fs, 0, sizeof(*fs));
	fs->slots[FLOW_CALLS] = call_slots;
	fs->slots[FLOW_SENDS] = send_slots;
	for (unsigned i = 0; i < FLOW_CLASSES; i++)
		stk_list_init(&fs->ready[i]);
}

static void flow_free(struct flows *fs, struct flow *f)
{
	stk_heap_leave(&fs->due, &f->due);
	stk_list_del(&f->node);
	free(f);
}

void flows_fini(struct flows *fs)
{
	for (unsigned i = 0; i < FLOWS_BUCKETS; i++) {
		while (fs->bucket[i]) {
			struct flow *f = fs->bucket[i];

			fs->bucket[i] = f->next;
			flow_free(fs, f);
		}
	}
	stk_heap_fini(&fs->due);
}

struct flow *flows_find(const struct flows *fs, const char *name)
{
	struct flow *f = fs->bucket[hash(name)];

	while (f && strcmp(f->name, name) != 0)
		f = f->next;
	return f;
}

struct flow *flows_get(struct flows *fs, const char *name, enum flow_class class)
{
	struct flow *f = flows_find(fs, name);
	size_t len = strlen(name);
	unsigned at = hash(name);

	if (f)
		return f;
	f = calloc(1, sizeof(*f) + len + 1);
	if (!f)
		return NULL;
	memcpy(f->name, name, len + 1);
	f->class = class;
	f->next_ms = INT64_MAX;
	stk_list_init(&f->node);
	stk_list_init(&f->events);
	/* So that nothing can fail later. */
	if (stk_heap_join(&fs->due, &f->due, UINT64_MAX)) {
		free(f);
		return NULL;
	}
	f->next = fs->bucket[at];
	fs->bucket[at] = f;
	return f;
}

void flows_drop_empty(struct flows *fs, struct flow *f)
{
	struct flow **at = &fs->bucket[hash(f->name)];

	if (f->count || f->held || f->running || f->state == FLOW_TAKING)
		return;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	flow_free(fs, f);
}

static void asleep(struct flows *fs, struct flow *f)
{
	f->state = FLOW_ASLEEP;
	stk_heap_set(&fs->due, &f->due, f->next_ms == INT64_MAX ? UINT64_MAX : f->next_ms > 0 ? (uint64_t)f->next_ms : 0);
}

void flows_due(struct flows *fs, struct flow *f, int64_t next_ms)
{
	if (next_ms < f->next_ms)
		f->next_ms = next_ms;
	if (f->state == FLOW_ASLEEP)
		asleep(fs, f);
}

void flows_wake(struct flows *fs, int64_t now_ms)
{
	struct stk_heap_node *n;

	while (now_ms >= 0 && (n = stk_heap_first(&fs->due)) && n->key <= (uint64_t)now_ms) {
		struct flow *f = STK_CONTAINER_OF(n, struct flow, due);

		f->state = FLOW_READY;
		stk_heap_set(&fs->due, &f->due, UINT64_MAX);
		stk_list_add_tail(&fs->ready[f->class], &f->node);
	}
}

int64_t flows_next_ms(const struct flows *fs)
{
	const struct stk_heap_node *n = stk_heap_first(&fs->due);

	return n && n->key <= INT64_MAX ? (int64_t)n->key : INT64_MAX;
}

/* Slots it may have beside those it has. */
static unsigned more(const struct flows *fs, const struct flow *f)
{
	unsigned share = retry_share(fs->slots[f->class], fs->running[f->class] - f->running);
	unsigned quarter = (fs->slots[f->class] + 3) / 4;

	if (f->class == FLOW_SENDS && share > quarter)
		share = quarter; /* an address that does not answer */
	return share > f->running ? share - f->running : 0;
}

/* Slots for f now. */
static unsigned wanted(const struct flows *fs, const struct flow *f, unsigned free, bool alone)
{
	unsigned n = more(fs, f), room = n && fs->room ? fs->room(fs->ctx, f) : n;

	if (n > room)
		n = room;
	if (n > free)
		n = free;
	return !alone && n > FLOWS_QUANTUM ? FLOWS_QUANTUM : n;
}

struct flow *flows_pick(struct flows *fs, enum flow_class class, unsigned free, unsigned *ret_count)
{
	struct stk_list *line = &fs->ready[class], *passed = NULL;
	bool alone = line->next == line->prev;

	/* Who can use none now goes to the end of the line. Looking at all of a very long one can wait. */
	for (unsigned looks = 0; free && looks < LOOKS && !stk_list_empty(line) && line->next != passed; looks++) {
		struct flow *f = FLOW_OF(line->next);
		unsigned n = wanted(fs, f, free, alone);

		stk_list_del(&f->node);
		if (!n) {
			stk_list_add_tail(line, &f->node);
			passed = passed ? passed : &f->node;
			continue;
		}
		f->state = FLOW_TAKING;
		f->next_ms = INT64_MAX; /* flows_due notes what comes meanwhile */
		f->running += n;
		f->reserved += n;
		fs->running[class] += n;
		*ret_count = n;
		return f;
	}
	return NULL;
}

void flows_took(struct flows *fs, struct flow *f, unsigned reserved, int64_t next_ms)
{
	f->running -= reserved;
	f->reserved -= reserved;
	fs->running[f->class] -= reserved;
	if (next_ms < f->next_ms)
		f->next_ms = next_ms;
	asleep(fs, f);
}

void flows_run(struct flows *fs, struct flow *f, int by)
{
	f->running += (unsigned)by;
	fs->running[f->class] += (unsigned)by;
}

void flows_count(struct flows *fs, struct flow *f, int events, int64_t bytes)
{
	f->count += (uint64_t)(int64_t)events;
	f->bytes += (uint64_t)bytes;
	fs->count += (uint64_t)(int64_t)events;
	fs->bytes += (uint64_t)bytes;
}
