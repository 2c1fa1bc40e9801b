#include "bench/lag.h"

double lag_share(const struct hist *lag, const struct hist *latency)
{
	uint64_t whole = hist_percentile(latency, 99.9);

	return whole ? (double)hist_percentile(lag, 99.9) / (double)whole : 0;
}

bool lag_suspect(const struct hist *lag, const struct hist *latency)
{
	return lag_share(lag, latency) > LAG_MAX_SHARE;
}
