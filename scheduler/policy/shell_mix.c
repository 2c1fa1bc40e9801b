/* Sizes of shells: see shell_mix.h. */
#include "scheduler/policy/shell_mix.h"

#include <stddef.h>

#define FADE  0.95
#define OFFER 1e-3
#define STAY  1.5 /* how much more a shell is worth that is there already */

struct shell_mix_size *shell_mix_find(struct shell_mix *m, unsigned mib)
{
	for (unsigned i = 0; i < m->count; i++) {
		if (m->size[i].mib == mib)
			return &m->size[i];
	}
	return NULL;
}

/* One whose shells are there keeps its place, so that they are never forgotten. NULL: all have. */
static struct shell_mix_size *place_for(struct shell_mix *m, unsigned mib)
{
	struct shell_mix_size *s = shell_mix_find(m, mib);

	if (s)
		return s;
	if (m->count < SHELL_MIX_SIZES)
		s = &m->size[m->count++];
	for (unsigned i = 0; !s && i < m->count; i++) {
		if (m->size[i].have)
			continue;
		s = &m->size[i];
		for (unsigned k = i + 1; k < m->count; k++) {
			if (!m->size[k].have && m->size[k].score < s->score)
				s = &m->size[k];
		}
	}
	if (s)
		*s = (struct shell_mix_size){.mib = mib};
	return s;
}

void shell_mix_offer(struct shell_mix *m, unsigned mib)
{
	/* Not in the place of a size that is wanted. */
	struct shell_mix_size *s = m->count < SHELL_MIX_SIZES ? place_for(m, mib) : shell_mix_find(m, mib);

	if (s)
		s->score += OFFER;
}

void shell_mix_want(struct shell_mix *m, unsigned mib)
{
	struct shell_mix_size *s = place_for(m, mib);

	for (unsigned i = 0; i < m->count; i++)
		m->size[i].score *= FADE;
	if (s)
		s->score += 1;
}

static double worth(const struct shell_mix_size *s, unsigned share)
{
	return s->score * (share < s->have ? STAY : 1) / (share + 1);
}

/* One shell after the other goes to the size with the most score for each that it would then have (d'Hondt). */
void shell_mix_next(const struct shell_mix *m, unsigned total, unsigned *ret_missing, unsigned *ret_excess)
{
	unsigned share[SHELL_MIX_SIZES] = {0};

	*ret_missing = *ret_excess = 0;
	for (unsigned n = 0; m->count > 0 && n < total; n++) {
		unsigned best = 0;

		for (unsigned i = 1; i < m->count; i++) {
			if (worth(&m->size[i], share[i]) > worth(&m->size[best], share[best]))
				best = i;
		}
		share[best]++;
	}
	for (unsigned i = 0; i < m->count; i++) {
		if (!*ret_missing && m->size[i].have < share[i])
			*ret_missing = m->size[i].mib;
		if (!*ret_excess && m->size[i].have > share[i])
			*ret_excess = m->size[i].mib;
	}
}
