/* UTF-8 (RFC 3629): no surrogates, nothing overlong, nothing above U+10FFFF. Pure; any thread. */
#ifndef COMMON_BASE_UTF8_H
#define COMMON_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at p, of which `have` are there; 0: there is none, or not all of it. */
size_t stk_utf8_len(const void *p, size_t have);
bool stk_utf8_valid(const void *p, size_t len);
/* Characters of a valid text. */
size_t stk_utf8_count(const char *text);

/* Cuts an unfinished character off the end. */
void stk_utf8_trim(char *text);
/* Likewise, and bytes of no character anywhere become '?'. */
void stk_utf8_mend(char *text);
/* The inside of a JSON string, NUL-terminated, cut before the character that does not fit. Bytes of no character become
 * U+FFFD. */
void stk_utf8_json(const char *src, char *dst, size_t cap);

#endif
