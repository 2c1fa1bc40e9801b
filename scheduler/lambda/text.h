/* Small things about text and time that Lambda's API needs. Any thread. */
#ifndef SCHEDULER_LAMBDA_TEXT_H
#define SCHEDULER_LAMBDA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Cuts an unfinished UTF-8 character off the end. */
void text_trim_utf8(char *text);
/* Likewise, and bytes of no character anywhere become '?'. */
void text_mend_utf8(char *text);

/* The inside of a JSON string, NUL-terminated, cut before the character that does not fit. Bytes that are no UTF-8
 * become U+FFFD. */
void text_escape_json(const char *src, char *dst, size_t cap);

/* Characters of valid UTF-8. */
size_t text_length(const char *utf8);

/* "2026-11-21T20:53:15.123+0000": LastModified, CreationTime. */
#define TEXT_TIME_LEN 28
void text_time(int64_t epoch_ms, char ret_text[TEXT_TIME_LEN + 1]);

#endif
