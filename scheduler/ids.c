/* Random bytes and request ids: see ids.h. */
#include "scheduler/ids.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* A call uses some 100 bytes. The kernel takes 50 ns a byte, and a request has to wait for all of them. */
static uint8_t stock[512];
static size_t used = sizeof(stock);

int ids_random(void *buf, size_t len)
{
	uint8_t *out = buf;

	while (len) {
		size_t n;

		if (used == sizeof(stock)) {
			for (size_t have = 0; have < sizeof(stock);) {
				ssize_t got = getrandom(stock + have, sizeof(stock) - have, 0);

				if (got < 0 && errno != EINTR)
					return -errno;
				if (got > 0)
					have += (size_t)got;
			}
			used = 0;
		}
		n = sizeof(stock) - used;
		if (n > len)
			n = len;
		memcpy(out, stock + used, n);
		memset(stock + used, 0, n);
		used += n;
		out += n;
		len -= n;
	}
	return 0;
}

int ids_uuid(char ret_text[IDS_UUID_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t b[16];
	char *p = ret_text;
	int rc = ids_random(b, sizeof(b));

	if (rc)
		return rc;
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[b[i] >> 4];
		*p++ = hex[b[i] & 15];
	}
	*p = '\0';
	return 0;
}
