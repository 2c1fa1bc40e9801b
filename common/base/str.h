/* Strict text helpers. */
#ifndef COMMON_BASE_STR_H
#define COMMON_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only, no sign, no blanks, whole string. 0, -EINVAL or -ERANGE (outside min..max). */
int stk_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* Copies with NUL; -ENAMETOOLONG when it does not fit (dst is then empty). */
int stk_strcpy(char *dst, size_t cap, const char *src);

/* printf into dst; -ENAMETOOLONG when cut. */
int stk_snprintf(char *dst, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* At least one character, and only ASCII letters, digits and those of `extra`. */
bool stk_only(const char *text, const char *extra);

/* Function names: 1 to 64 of [A-Za-z0-9-_]. */
bool stk_name_valid(const char *name);

#endif
