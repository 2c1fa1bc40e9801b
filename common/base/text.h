/* Text put together piece by piece, for what is written in every call: printf spends some thousand instructions on a
 * number with a fraction, and as many again on being called. Any thread; the buffer is the caller's. */
#ifndef COMMON_BASE_TEXT_H
#define COMMON_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stk_text {
	char *p; /* always ended by NUL */
	size_t cap;
	size_t len;
	bool cut; /* something did not fit, and is left out, as is all that came after it */
};

/* cap: bytes of buf, at least 1. */
struct stk_text stk_text_init(char *buf, size_t cap);
void stk_text_add(struct stk_text *t, const char *s, size_t len);
void stk_text_str(struct stk_text *t, const char *s);
/* Decimal, with zeros in front up to `digits` (at most 20). */
void stk_text_u64(struct stk_text *t, uint64_t v, unsigned digits);
/* v / 10^decimals, all the decimals (at most 19) behind a point. */
void stk_text_fixed(struct stk_text *t, uint64_t v, unsigned decimals);

#endif
