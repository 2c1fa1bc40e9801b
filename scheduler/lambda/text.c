/* Time: see text.h. */
#include "scheduler/lambda/text.h"

#include <stdio.h>
#include <time.h>

void text_time(int64_t epoch_ms, char ret_text[TEXT_TIME_LEN + 1])
{
	int64_t ms = epoch_ms < 0 ? 0 : epoch_ms > 253402300799999 ? 253402300799999 : epoch_ms; /* to the year 9999 */
	time_t secs = (time_t)(ms / 1000);
	char day[24];
	struct tm tm;

	gmtime_r(&secs, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret_text, TEXT_TIME_LEN + 1, "%.19s.%03u+0000", day, (unsigned)(ms % 1000));
}
