/* Text piece by piece: see text.h. */
#include "common/base/text.h"

#include <string.h>

#define DIGITS_MAX 20u /* of 2^64 - 1 */

struct stk_text stk_text_init(char *buf, size_t cap)
{
	buf[0] = '\0';
	return (struct stk_text){.p = buf, .cap = cap};
}

void stk_text_add(struct stk_text *t, const char *s, size_t len)
{
	if (t->cut || len >= t->cap - t->len) {
		t->cut = true;
		return;
	}
	memcpy(t->p + t->len, s, len);
	t->len += len;
	t->p[t->len] = '\0';
}

void stk_text_str(struct stk_text *t, const char *s)
{
	stk_text_add(t, s, strlen(s));
}

/* From the end of the buffer on; how many. */
static unsigned digits_of(uint64_t v, unsigned least, char buf[DIGITS_MAX])
{
	unsigned n = 0;

	do {
		buf[DIGITS_MAX - ++n] = (char)('0' + v % 10);
		v /= 10;
	} while (v || (n < least && n < DIGITS_MAX));
	return n;
}

void stk_text_u64(struct stk_text *t, uint64_t v, unsigned digits)
{
	char buf[DIGITS_MAX];
	unsigned n = digits_of(v, digits, buf);

	stk_text_add(t, buf + DIGITS_MAX - n, n);
}

void stk_text_fixed(struct stk_text *t, uint64_t v, unsigned decimals)
{
	char buf[DIGITS_MAX];
	unsigned n = digits_of(v, decimals + 1, buf), whole = n - decimals;

	stk_text_add(t, buf + DIGITS_MAX - n, whole);
	stk_text_add(t, ".", 1);
	stk_text_add(t, buf + DIGITS_MAX - decimals, decimals);
}
