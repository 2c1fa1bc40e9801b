/* Pages and markers: see paging.h.
 *
 * A marker is base64url of: the list's letter, the key, 8 bytes of CRC-64 over both. */
#include "scheduler/lambda/paging.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "common/base/crc64.h"
#include "common/base/str.h"
#include "common/host/http_server.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum { RAW_MAX = 1 + LAMBDA_KEY_MAX + 8 };

_Static_assert((RAW_MAX * 4 + 2) / 3 < LAMBDA_MARKER_MAX, "a marker has room for the longest key");

static void encode(const uint8_t *src, size_t len, char *dst)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | src[i];
		for (have += 8; have >= 6; have -= 6)
			*dst++ = alphabet[bits >> (have - 6) & 63];
	}
	if (have)
		*dst++ = alphabet[bits << (6 - have) & 63];
	*dst = '\0';
}

/* Returns the length, or -EINVAL. */
static int decode(const char *src, uint8_t *dst, size_t cap)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (; *src; src++) {
		const char *at = strchr(alphabet, *src);

		if (!at)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		have += 6;
		if (have >= 8) {
			if (n == cap)
				return -EINVAL;
			have -= 8;
			dst[n++] = (uint8_t)(bits >> have);
		}
	}
	/* Only the encoding that we make ourselves. */
	return have >= 6 || (bits & ((1u << have) - 1)) ? -EINVAL : (int)n;
}

static void put_crc(uint8_t *raw, size_t len)
{
	uint64_t crc = stk_crc64(0, raw, len);

	for (unsigned i = 0; i < 8; i++)
		raw[len + i] = (uint8_t)(crc >> (8 * i));
}

int lambda_page_marker(char list, const char *key, char ret_marker[LAMBDA_MARKER_MAX])
{
	uint8_t raw[RAW_MAX];
	size_t len = strlen(key);

	if (len > LAMBDA_KEY_MAX)
		return -ENAMETOOLONG;
	raw[0] = (uint8_t)list;
	memcpy(raw + 1, key, len);
	put_crc(raw, 1 + len);
	encode(raw, 1 + len + 8, ret_marker);
	return 0;
}

static int parse_marker(const char *text, char list, struct lambda_page *page)
{
	uint8_t raw[RAW_MAX], crc[RAW_MAX];
	int n = decode(text, raw, sizeof(raw));
	size_t len;

	if (n < 1 + 8 || raw[0] != (uint8_t)list)
		return -EINVAL;
	len = (size_t)n - 8;
	memcpy(crc, raw, len);
	put_crc(crc, len);
	if (memcmp(crc, raw, (size_t)n) != 0 || memchr(raw + 1, 0, len - 1))
		return -EINVAL;
	memcpy(page->after, raw + 1, len - 1);
	page->after[len - 1] = '\0';
	page->has_after = true;
	return 0;
}

int lambda_query(const char *query, const char *name, char *ret_value, size_t cap, struct lambda_err *err)
{
	const char *cursor = query;
	char key[64], value[1024];
	int rc, found = 0;

	while ((rc = http_query_next(&cursor, key, sizeof(key), value, sizeof(value))) == 1) {
		if (strcmp(key, name) != 0)
			continue;
		if (stk_strcpy(ret_value, cap, value))
			return lambda_err_set(err, LAMBDA_VALIDATION,
					      "1 validation error detected: Value '%.200s' at '%s' failed to satisfy "
					      "constraint: Member must have length less than or equal to %zu",
					      value, name, cap - 1);
		found = 1;
	}
	if (rc < 0)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "The query of the request cannot be read.");
	return found;
}

int lambda_page_parse(const char *query, char list, unsigned max_items, struct lambda_page *ret, struct lambda_err *err)
{
	struct lambda_page page = {.max = LAMBDA_PAGE_MAX};
	char number[32], marker[LAMBDA_MARKER_MAX];
	uint64_t max;
	int rc = lambda_query(query, "MaxItems", number, sizeof(number), err);

	if (rc < 0)
		return rc;
	if (rc) {
		int bad = stk_parse_u64(number, 1, max_items, &max);

		if (bad == -EINVAL)
			return lambda_err_set(err, LAMBDA_SERIALIZATION, "MaxItems must be a whole number.");
		if (bad)
			return lambda_err_set(err, LAMBDA_VALIDATION,
					      "1 validation error detected: Value '%s' at 'maxItems' failed to satisfy "
					      "constraint: Member must have value %s than or equal to %u",
					      number, strcmp(number, "0") == 0 ? "greater" : "less",
					      strcmp(number, "0") == 0 ? 1 : max_items);
		if (max < page.max)
			page.max = (unsigned)max;
	}
	rc = lambda_query(query, "Marker", marker, sizeof(marker), err);
	if (rc < 0)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "The marker is not one that this list has given.");
	if (rc && *marker && parse_marker(marker, list, &page))
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "The marker is not one that this list has given.");
	*ret = page;
	return 0;
}
