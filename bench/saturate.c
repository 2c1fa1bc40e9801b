#include "bench/saturate.h"

#define MAX_FAILED 0.01
#define MAX_P99    10 /* times the lowest so far */
#define MIN_GAIN   1.05
#define MAX_FLAT   2

void saturate_init(struct saturate *s, unsigned max_clients)
{
	*s = (struct saturate){.max_clients = max_clients ? max_clients : 1};
}

unsigned saturate_next(const struct saturate *s)
{
	unsigned last = s->count ? s->step[s->count - 1].clients : 0;

	if (s->end != SATURATE_GOES_ON)
		return 0;
	if (s->high)
		return s->low + (s->high - s->low) / 2;
	return last > s->max_clients / 2 ? s->max_clients : last ? last * 2 : 1;
}

static enum saturate_end end_of(const struct saturate *s)
{
	if (s->low == 0)
		return SATURATE_UNSOUND;
	if (s->flat >= MAX_FLAT)
		return SATURATE_FLAT;
	/* a quarter more clients make no difference worth another step */
	if (s->high && s->high - s->low <= (s->low < 4 ? 1 : s->low / 4))
		return SATURATE_RAN_AWAY;
	if (s->low == s->max_clients || s->count == SATURATE_MAX_STEPS)
		return SATURATE_CLIENTS;
	return SATURATE_GOES_ON;
}

void saturate_note(struct saturate *s, unsigned clients, double per_s, uint64_t p99_ns, uint64_t ok, uint64_t failed)
{
	struct saturate_step *step = &s->step[s->count];

	if (s->count == SATURATE_MAX_STEPS)
		return;
	*step = (struct saturate_step){clients, per_s, p99_ns, ok, failed, false};
	s->count++;
	if (s->count == 1)
		s->best_p99_ns = p99_ns;
	step->sound = ok > 0 && (double)failed <= MAX_FAILED * (double)(ok + failed) &&
		      p99_ns / MAX_P99 <= s->best_p99_ns;
	if (step->sound) {
		s->low = clients > s->low ? clients : s->low;
		s->best_p99_ns = p99_ns < s->best_p99_ns ? p99_ns : s->best_p99_ns;
		s->flat = per_s < s->capacity * MIN_GAIN ? s->flat + 1 : 0;
		if (per_s > s->capacity) {
			s->capacity = per_s;
			s->clients = clients;
		}
	} else if (!s->high || clients < s->high) {
		s->high = clients;
	}
	s->end = end_of(s);
}

const char *saturate_end_text(enum saturate_end e)
{
	switch (e) {
	case SATURATE_FLAT: return "more clients are served no faster";
	case SATURATE_RAN_AWAY: return "with more clients failures or p99 run away";
	case SATURATE_CLIENTS: return "all clients in use: it may be higher";
	case SATURATE_UNSOUND: return "one client alone is not served well";
	case SATURATE_GOES_ON: break;
	}
	return "not ended";
}
