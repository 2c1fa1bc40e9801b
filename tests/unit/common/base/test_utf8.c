/* UTF-8 is told from what only looks like it; what is mended is valid. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/utf8.h"

/* Every code point as it is encoded, and with the byte count of its neighbours. */
static size_t encode(uint32_t c, unsigned n, uint8_t *ret)
{
	if (n == 1) {
		ret[0] = (uint8_t)c;
		return 1;
	}
	for (unsigned i = n; i > 1; i--, c >>= 6)
		ret[i - 1] = (uint8_t)(0x80 | (c & 0x3f));
	ret[0] = (uint8_t)(0xf00u >> n | c);
	return n;
}

static unsigned bytes_of(uint32_t c)
{
	return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

static void every_character(void **state)
{
	static const uint32_t most[] = {0, 0x7f, 0x7ff, 0xffff, 0x1fffff};

	for (uint32_t c = 0; c < 0x200000; c++) {
		bool good = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);

		for (unsigned n = bytes_of(c); n <= 4; n++) {
			uint8_t p[4];
			size_t want = good && n == bytes_of(c) ? n : 0;

			assert_true(c <= most[n]);
			encode(c, n, p);
			if (stk_utf8_len(p, n) != want)
				fail_msg("U+%04X in %u bytes: %zu, not %zu", c, n, stk_utf8_len(p, n), want);
			for (unsigned have = 0; have < n; have++)
				assert_int_equal(stk_utf8_len(p, have), 0);
		}
	}
}

static void what_is_none(void **state)
{
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xc3\xc3",
					  "\xe6\xbc", "\xe6\xbc(",
					  "\xf0\x9f\x94", "\xf0\x9f\x94(", "\xf5\x80\x80\x80", "\xfe", "\xff",
					  "\xf8\x88\x80\x80\x80"};

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		assert_int_equal(stk_utf8_len(bad[i], strlen(bad[i])), 0);
		assert_false(stk_utf8_valid(bad[i], strlen(bad[i])));
	}
	assert_true(stk_utf8_valid("", 0));
	assert_true(stk_utf8_valid("a\0b", 3)); /* NUL is a character */
	assert_true(stk_utf8_valid("m\xc3\xbc \xe6\xbc\xa2 \xf0\x9f\x94\xa5", 12));
	assert_false(stk_utf8_valid("m\xc3\xbc \xe6\xbc\xa2 \xf0\x9f\x94\xa5", 11));
	assert_int_equal(stk_utf8_count("m\xc3\xbc \xe6\xbc\xa2 \xf0\x9f\x94\xa5"), 6);
	assert_int_equal(stk_utf8_count(""), 0);
}

static void cut_and_mended(void **state)
{
	static const struct { const char *text, *trimmed, *mended; } cases[] = {
		{"", "", ""},
		{"ab", "ab", "ab"},
		{"a\xc3\xbc", "a\xc3\xbc", "a\xc3\xbc"},
		{"a\xc3", "a", "a"},
		{"a\xe6\xbc", "a", "a"},
		{"a\xf0\x9f\x94", "a", "a"},
		{"\xe6", "", ""},
		{"\xff" "a\xe6\xbc" "b", "\xff" "a\xe6\xbc" "b", "?a??b"},
		{"a\x80", "a\x80", "a?"},
		{"\x80\x80\x80\x80", "\x80\x80\x80\x80", "????"},
		{"\xed\xa0\x80", "", ""}, /* a surrogate, which is no whole character either */
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(cases); i++) {
		char text[32];

		strcpy(text, cases[i].text);
		stk_utf8_trim(text);
		assert_string_equal(text, cases[i].trimmed);
		strcpy(text, cases[i].text);
		stk_utf8_mend(text);
		assert_string_equal(text, cases[i].mended);
		assert_true(stk_utf8_valid(text, strlen(text)));
	}
}

static void in_json(void **state)
{
	static const char text[] = "a\"\\\n\x7f\xc3\xbc\xff\xf0\x9f\x94\xa5",
		want[] = "a\\\"\\\\\\u000a\\u007f\xc3\xbc\xef\xbf\xbd\xf0\x9f\x94\xa5";
	char got[64];

	stk_utf8_json(text, got, sizeof(got));
	assert_string_equal(got, want);
	/* Whatever the room: a part of it from the start, of whole characters and escapes, and nothing behind the room. */
	for (size_t cap = 1; cap <= sizeof(want); cap++) {
		memset(got, '#', sizeof(got));
		stk_utf8_json(text, got, cap);
		assert_true(strlen(got) < cap && strncmp(got, want, strlen(got)) == 0);
		assert_true(stk_utf8_valid(got, strlen(got)));
		assert_int_equal(got[cap], '#');
		assert_true(got[0] == '\0' || got[strlen(got) - 1] != '\\' || strcmp(got, "a\\\"\\\\") == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character),
		cmocka_unit_test(what_is_none),
		cmocka_unit_test(cut_and_mended),
		cmocka_unit_test(in_json),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
