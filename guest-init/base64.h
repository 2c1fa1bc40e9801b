/* Base64 (RFC 4648 section 4), decoded in place. */
#ifndef GUEST_INIT_BASE64_H
#define GUEST_INIT_BASE64_H

#include <stdint.h>
#include <string.h>

/* The number of bytes, or -1 for anything else than base64; s ends with a NUL. */
static inline long base64_decode(char *s)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t acc = 0;
	unsigned bits = 0;
	long n = 0;

	for (const char *p = s; *p && *p != '='; p++) {
		const char *at = strchr(alphabet, *p);

		if (!at)
			return -1;
		acc = acc << 6 | (uint32_t)(at - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			s[n++] = (char)(acc >> bits);
		}
	}
	return n;
}

#endif
