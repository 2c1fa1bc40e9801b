/* Retry policy: see retry.h. */
#include "scheduler/async/retry.h"

#define S_MS        1000
#define BACKOFF_MAX (300 * S_MS)

static const char *const names[RETRY_VERDICTS] = {
	[RETRY_DONE] = "done",
	[RETRY_AGAIN] = "again",
	[RETRY_EXHAUSTED] = "retries_exhausted",
	[RETRY_TOO_OLD] = "age_exceeded",
	[RETRY_ZERO_CONCURRENCY] = "zero_reserved_concurrency",
	[RETRY_GONE] = "no_function",
};

const char *retry_verdict_name(enum retry_verdict v)
{
	return names[v];
}

int64_t retry_backoff_ms(unsigned refusals)
{
	return refusals > 8 ? BACKOFF_MAX : (int64_t)S_MS << refusals;
}

bool retry_expired(const struct retry_event *e, unsigned max_age_s, int64_t now_ms)
{
	return now_ms - e->accepted_ms > (int64_t)max_age_s * S_MS;
}

struct retry_step retry_next(const struct retry_event *e, enum retry_cause cause, unsigned max_retries,
			     unsigned max_age_s, int64_t now_ms)
{
	int64_t end_ms = e->accepted_ms + (int64_t)max_age_s * S_MS, at_ms;

	switch (cause) {
	case RETRY_OK:
		return (struct retry_step){RETRY_DONE, 0};
	case RETRY_NO_CONCURRENCY:
		return (struct retry_step){RETRY_ZERO_CONCURRENCY, 0};
	case RETRY_NO_FUNCTION:
		return (struct retry_step){RETRY_GONE, 0};
	case RETRY_FUNCTION_ERROR:
		if (e->errors >= max_retries)
			return (struct retry_step){RETRY_EXHAUSTED, 0};
		at_ms = now_ms + (e->errors == 0 ? 60 : 120) * S_MS;
		/* It would not be tried then: why wait to say so. */
		if (at_ms > end_ms)
			return (struct retry_step){RETRY_TOO_OLD, 0};
		return (struct retry_step){RETRY_AGAIN, at_ms};
	case RETRY_HOST:
		break;
	}
	if (now_ms >= end_ms)
		return (struct retry_step){RETRY_TOO_OLD, 0};
	at_ms = now_ms + retry_backoff_ms(e->refusals);
	return (struct retry_step){RETRY_AGAIN, at_ms < end_ms ? at_ms : end_ms}; /* the last chance is not missed */
}

struct retry_step retry_send(unsigned n, int status, int64_t now_ms)
{
	bool maybe_later = status == 0 || status == 408 || status == 425 || status == 429 || status >= 500;

	if (status >= 200 && status < 300)
		return (struct retry_step){RETRY_DONE, 0};
	if (!maybe_later || n >= RETRY_SENDS)
		return (struct retry_step){RETRY_EXHAUSTED, 0};
	return (struct retry_step){RETRY_AGAIN, now_ms + retry_backoff_ms(n - 1)};
}

unsigned retry_share(unsigned slots, unsigned others)
{
	unsigned left = others < slots ? slots - others : 0;

	return left - (left + 2) / 4;
}
