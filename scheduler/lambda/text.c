/* Text and time: see text.h. */
#include "scheduler/lambda/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Length of the UTF-8 character at p, of which `have` bytes are there; 0: none, or not whole. */
static size_t utf8_len(const unsigned char *p, size_t have)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c;
	size_t n;

	if (have == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (have < n)
		return 0;
	c = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	return c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

void text_trim_utf8(char *text)
{
	size_t len = strlen(text), back = 0;

	while (back < 3 && back < len && ((unsigned char)text[len - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < len && (unsigned char)text[len - 1 - back] >= 0xc0 &&
	    utf8_len((unsigned char *)text + len - 1 - back, back + 1) != back + 1)
		text[len - 1 - back] = '\0';
}

void text_mend_utf8(char *text)
{
	unsigned char *p = (unsigned char *)text;
	size_t have, n;

	text_trim_utf8(text);
	for (have = strlen(text); have; have -= n, p += n) {
		n = utf8_len(p, have);
		if (n == 0)
			*p = '?', n = 1;
	}
}

void text_escape_json(const char *src, char *dst, size_t cap)
{
	size_t have = strlen(src), n = 0;
	const unsigned char *p = (const unsigned char *)src;

	while (have) {
		size_t len = utf8_len(p, have), need = len;
		char esc[8] = "\xef\xbf\xbd"; /* U+FFFD */

		if (len == 0) {
			len = 1;
			need = 3;
		} else if (len > 1) {
			memcpy(esc, p, len);
		} else if (*p == '"' || *p == '\\') {
			esc[0] = '\\';
			esc[1] = (char)*p;
			need = 2;
		} else if (*p < 0x20 || *p == 0x7f) {
			need = (size_t)snprintf(esc, sizeof(esc), "\\u%04x", *p);
		} else {
			esc[0] = (char)*p;
		}
		if (n + need >= cap)
			break;
		memcpy(dst + n, esc, need);
		n += need;
		p += len;
		have -= len;
	}
	dst[n] = '\0';
}

size_t text_length(const char *utf8)
{
	size_t n = 0;

	for (; *utf8; utf8++)
		n += ((unsigned char)*utf8 & 0xc0) != 0x80;
	return n;
}

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
