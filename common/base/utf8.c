/* UTF-8: see utf8.h. */
#include "common/base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* RFC 3629, table of section 4: what the second byte may be depends on the first. */
size_t stk_utf8_len(const void *text, size_t have)
{
	const uint8_t *p = text;
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (have == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (have < n)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf) {
		if (p[i] < low || p[i] > high)
			return 0;
	}
	return n;
}

bool stk_utf8_valid(const void *text, size_t len)
{
	const uint8_t *p = text;

	while (len) {
		size_t n = stk_utf8_len(p, len);

		if (!n)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

size_t stk_utf8_count(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void stk_utf8_trim(char *text)
{
	size_t len = strlen(text), back = 0;

	while (back < 3 && back < len && ((unsigned char)text[len - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < len && (unsigned char)text[len - 1 - back] >= 0xc0 &&
	    stk_utf8_len(text + len - 1 - back, back + 1) != back + 1)
		text[len - 1 - back] = '\0';
}

void stk_utf8_mend(char *text)
{
	size_t have, n;

	stk_utf8_trim(text);
	for (have = strlen(text); have; have -= n, text += n) {
		n = stk_utf8_len(text, have);
		if (n == 0)
			*text = '?', n = 1;
	}
}

void stk_utf8_json(const char *src, char *dst, size_t cap)
{
	size_t have = strlen(src), n = 0;

	while (have) {
		size_t len = stk_utf8_len(src, have), need = len;
		char esc[8] = "\xef\xbf\xbd"; /* U+FFFD */

		if (len == 0) {
			len = 1;
			need = 3;
		} else if (len > 1) {
			memcpy(esc, src, len);
		} else if (*src == '"' || *src == '\\') {
			esc[0] = '\\';
			esc[1] = *src;
			need = 2;
		} else if (*src < 0x20 || *src == 0x7f) { /* ASCII: not negative */
			need = (size_t)snprintf(esc, sizeof(esc), "\\u%04x", (unsigned)*src);
		} else {
			esc[0] = *src;
		}
		if (n + need >= cap)
			break;
		memcpy(dst + n, esc, need);
		n += need;
		src += len;
		have -= len;
	}
	dst[n] = '\0';
}
