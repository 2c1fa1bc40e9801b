/* Event stream frames: see eventstream.h. */
#include "scheduler/eventstream.h"

#include <errno.h>
#include <string.h>

#define PRELUDE 12u
#define CRC     4u

uint32_t eventstream_crc(uint32_t crc, const void *data, size_t len)
{
	static uint32_t table[256];
	const uint8_t *p = data;

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		uint32_t v = i;

		for (int k = 0; k < 8; k++)
			v = v & 1 ? 0xedb88320u ^ v >> 1 : v >> 1;
		table[i] = v;
	}
	crc = ~crc;
	for (size_t i = 0; i < len; i++)
		crc = table[(crc ^ p[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint8_t *put_header(uint8_t *p, const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value);

	*p++ = (uint8_t)name_len;
	memcpy(p, name, name_len);
	p += name_len;
	*p++ = 7;
	*p++ = (uint8_t)(value_len >> 8);
	*p++ = (uint8_t)value_len;
	memcpy(p, value, value_len);
	return p + value_len;
}

long eventstream_encode(uint8_t *buf, size_t cap, const char *type, const void *payload, size_t len)
{
	size_t total;
	uint8_t *p;

	if (strlen(type) > 32 || len > UINT32_MAX - EVENTSTREAM_OVERHEAD || cap < len + EVENTSTREAM_OVERHEAD)
		return -ENOBUFS;
	p = put_header(buf + PRELUDE, ":message-type", "event");
	p = put_header(p, ":event-type", type);
	put32(buf + 4, (uint32_t)(p - buf - PRELUDE));
	if (len)
		memcpy(p, payload, len);
	p += len;
	total = (size_t)(p - buf) + CRC;
	put32(buf, (uint32_t)total);
	put32(buf + 8, eventstream_crc(0, buf, 8));
	put32(p, eventstream_crc(0, buf, total - CRC));
	return (long)total;
}
