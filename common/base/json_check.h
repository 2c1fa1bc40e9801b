/* Is a text one JSON value (RFC 8259)? Without building anything: no allocation, one pass. */
#ifndef COMMON_BASE_JSON_CHECK_H
#define COMMON_BASE_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#define STK_JSON_DEPTH 512 /* deeper nesting is refused */

/* UTF-8 is checked too (no surrogates, nothing overlong, nothing above U+10FFFF); escapes for their form only. */
bool stk_json_check(const char *text, size_t len);

#endif
