/* Time as Lambda's API writes it. Any thread. */
#ifndef SCHEDULER_LAMBDA_TEXT_H
#define SCHEDULER_LAMBDA_TEXT_H

#include <stdint.h>

/* "2026-11-21T20:53:15.123+0000": LastModified, CreationTime. */
#define TEXT_TIME_LEN 28
void text_time(int64_t epoch_ms, char ret_text[TEXT_TIME_LEN + 1]);

#endif
