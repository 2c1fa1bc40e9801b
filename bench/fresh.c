#include "bench/fresh.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/host/json_get.h"

#define FIRST_SLOTS 1024

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 8-4-4-4-12 digits, not all zero. */
static bool parse_uuid(const char *text, struct fresh_id *ret_id)
{
	struct fresh_id id = {{0, 0}};
	unsigned digits = 0;

	if (strlen(text) != 36)
		return false;
	for (unsigned i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return false;
			continue;
		}
		if (hex(text[i]) < 0)
			return false;
		id.half[digits / 16] = id.half[digits / 16] << 4 | (uint64_t)hex(text[i]);
		digits++;
	}
	*ret_id = id;
	return id.half[0] || id.half[1];
}

static bool read_id(const char *body, size_t len, struct fresh_id *ret_id)
{
	const char *text = NULL;
	json_t *o = NULL;
	bool good = json_get_parse(body, len, &o, NULL) == 0 &&
		    json_get_str(o, "boot_id", true, 36, &text, NULL) == 0 && parse_uuid(text, ret_id);

	json_decref(o);
	return good;
}

/* The slot that holds the id, or the empty one where it belongs. */
static struct fresh_id *find(const struct fresh *f, const struct fresh_id *id)
{
	uint64_t h = (id->half[0] ^ f->salt) * 0x9e3779b97f4a7c15ULL;

	h = (h ^ h >> 32 ^ id->half[1]) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ h >> 29 ^ f->salt) * 0x94d049bb133111ebULL;
	for (size_t i = (size_t)(h >> 32) & (f->slots - 1);; i = (i + 1) & (f->slots - 1)) {
		struct fresh_id *s = &f->slot[i];

		if ((!s->half[0] && !s->half[1]) || (s->half[0] == id->half[0] && s->half[1] == id->half[1]))
			return s;
	}
}

static bool grow(struct fresh *f)
{
	struct fresh old = *f;

	if (!old.slots && getrandom(&f->salt, sizeof(f->salt), GRND_NONBLOCK) < 0)
		f->salt = 1;
	f->slots = old.slots ? old.slots * 2 : FIRST_SLOTS;
	f->slot = calloc(f->slots, sizeof(*f->slot));
	if (!f->slot) {
		*f = old;
		return false;
	}
	for (size_t i = 0; i < old.slots; i++)
		if (old.slot[i].half[0] || old.slot[i].half[1])
			*find(f, &old.slot[i]) = old.slot[i];
	free(old.slot);
	return true;
}

enum fresh_verdict fresh_check(struct fresh *f, const char *body, size_t len)
{
	struct fresh_id id, *s;

	if (!read_id(body, len, &id))
		return FRESH_MISSING;
	if (f->used * 2 >= f->slots && !grow(f))
		return FRESH_NO_MEMORY;
	s = find(f, &id);
	if (s->half[0] || s->half[1]) {
		f->repeated++;
		return FRESH_SEEN;
	}
	*s = id;
	f->used++;
	return FRESH_NEW;
}

const char *fresh_text(enum fresh_verdict v)
{
	switch (v) {
	case FRESH_SEEN: return "boot_id seen before: a VM was used twice";
	case FRESH_MISSING: return "no boot_id in the answer";
	case FRESH_NO_MEMORY: return "no memory for the boot_id";
	case FRESH_NEW: break;
	}
	return "fresh";
}

void fresh_fini(struct fresh *f)
{
	free(f->slot);
	*f = (struct fresh){0};
}
