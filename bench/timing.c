#include "bench/timing.h"

#include <stdlib.h>
#include <string.h>

static struct timing_stage *stage_of(struct timing *t, const char *name, size_t len)
{
	if (len == 0 || len >= sizeof(t->stage[0]->name))
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (name[i] < '!' || name[i] > '~')
			return NULL;
	for (unsigned i = 0; i < t->count; i++)
		if (strncmp(t->stage[i]->name, name, len) == 0 && t->stage[i]->name[len] == '\0')
			return t->stage[i];
	if (t->count == TIMING_MAX_STAGES)
		return NULL;

	struct timing_stage *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	memcpy(s->name, name, len);
	t->stage[t->count++] = s;
	return s;
}

void timing_add(struct timing *t, const char *header)
{
	const char *p = header;

	while (*p) {
		p += strspn(p, " \t,");

		size_t entry_len = strcspn(p, ",");
		size_t name_len = strcspn(p, ";, \t");
		const char *end = p + entry_len;
		const char *dur = NULL;

		for (const char *q = p; q + 4 < end; q++)
			if (strncmp(q, "dur=", 4) == 0 && q > p && (q[-1] == ';' || q[-1] == ' '))
				dur = q + 4;
		if (dur && name_len < entry_len) {
			char *stop = NULL;
			double ms = strtod(dur, &stop);
			struct timing_stage *s = NULL;

			if (stop > dur && stop <= end && ms >= 0 && ms < 1e9)
				s = stage_of(t, p, name_len);
			if (s)
				hist_record(&s->ns, (uint64_t)(ms * 1e6 + 0.5));
		}
		p = end;
	}
}

void timing_fini(struct timing *t)
{
	for (unsigned i = 0; i < t->count; i++)
		free(t->stage[i]);
	t->count = 0;
}
