/* Event stream frames against ones that Python's struct and zlib have made. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/eventstream.h"

static void check(const char *type, const void *payload, size_t len, const char *hex)
{
	uint8_t buf[512];
	char text[1025];
	long n = eventstream_encode(buf, sizeof(buf), type, payload, len);

	assert_true(n > 0);
	for (long i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", buf[i]);
	assert_string_equal(text, hex);
	assert_int_equal(eventstream_encode(buf, len + EVENTSTREAM_OVERHEAD - 1, type, payload, len), -ENOBUFS);
}

static void known_frames(void **state)
{
	check("PayloadChunk", "hello \0\xff", 8,
	      "0000004900000031611fe56b0d3a6d6573736167652d747970650700056576656e740b3a6576656e742d7479706507000c"
	      "5061796c6f61644368756e6b68656c6c6f2000ff7739a066");
	check("InvokeComplete", "{}", 2,
	      "00000045000000334ae169460d3a6d6573736167652d747970650700056576656e740b3a6576656e742d7479706507000e"
	      "496e766f6b65436f6d706c6574657b7d4bed37d6");
}

static void known_crc(void **state)
{
	assert_int_equal(eventstream_crc(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(eventstream_crc(eventstream_crc(0, "1234", 4), "56789", 5), 0xcbf43926);
	assert_int_equal(eventstream_crc(0, "", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(known_frames), cmocka_unit_test(known_crc)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
