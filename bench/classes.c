#include "bench/classes.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[CLASS_COUNT] = {
	[CLASS_WARM] = "warm",
	[CLASS_SHELL] = "shell",
	[CLASS_RESET] = "reset",
	[CLASS_COLD_RESTORE] = "cold-restore",
	[CLASS_COLD_BOOT] = "cold-boot",
	[CLASS_UNKNOWN] = "unknown",
	[CLASS_REJECTED] = "rejected",
};

const char *classes_name(enum start_class c)
{
	return c < CLASS_COUNT ? names[c] : "error";
}

enum start_class classes_of(int status, const char *start)
{
	if (status == 429 || status == 503)
		return CLASS_REJECTED;
	if (status != 200)
		return CLASS_NONE;
	for (int c = 0; c < CLASS_UNKNOWN; c++)
		if (strcmp(start, names[c]) == 0)
			return (enum start_class)c;
	return CLASS_UNKNOWN;
}

bool classes_single_use(enum start_class c)
{
	return c < CLASS_REJECTED && c != CLASS_RESET;
}

void classes_add(struct classes *s, enum start_class c, uint64_t ns)
{
	if (c >= CLASS_COUNT)
		return;
	if (!s->latency[c])
		s->latency[c] = calloc(1, sizeof(struct hist));
	if (s->latency[c])
		hist_record(s->latency[c], ns);
}

uint64_t classes_count(const struct classes *s, enum start_class c)
{
	return c < CLASS_COUNT && s->latency[c] ? s->latency[c]->total : 0;
}

unsigned classes_used(const struct classes *s)
{
	unsigned used = 0;

	for (int c = 0; c < CLASS_COUNT; c++)
		used += classes_count(s, (enum start_class)c) > 0;
	return used;
}

void classes_fini(struct classes *s)
{
	for (int c = 0; c < CLASS_COUNT; c++) {
		free(s->latency[c]);
		s->latency[c] = NULL;
	}
}
