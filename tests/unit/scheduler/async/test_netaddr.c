/* Which addresses are public. */
#include "scheduler/async/netaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/un.h>

#include "tests/unit/unit.h"

static bool is_public(const char *text)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a;

	memset(&a, 0, sizeof(a));
	if (strchr(text, ':')) {
		a.v6.sin6_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, text, &a.v6.sin6_addr), 1);
	} else {
		a.v4.sin_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, text, &a.v4.sin_addr), 1);
	}
	return netaddr_public(&a.any);
}

static void addresses(void **state)
{
	static const char *const special[] = {
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1",
		"255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::10.0.0.1", "::127.0.0.1",
		"2002:7f00:1::", "2002:a00:1::1", "fc00::1", "fd12::1", "fe80::1", "ff02::1", "100::1", "2001::1", "2001:1ff::1",
		"2001:db8::1", "3fff:fff::1", "4000::1", "64:ff9b:1::1",
	};
	static const char *const global[] = {
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.0.0.1", "128.0.0.1",
		"172.15.0.1", "172.32.0.1", "192.0.1.1", "192.167.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.255",
		"2606:4700::1111", "2001:4860::8888", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
		"3fff:1000::1",
	};
	struct sockaddr_un local = {.sun_family = AF_UNIX};

	for (size_t i = 0; i < STK_ARRAY_LEN(special); i++) {
		if (is_public(special[i]))
			fail_msg("%s", special[i]);
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(global); i++) {
		if (!is_public(global[i]))
			fail_msg("%s", global[i]);
	}
	assert_false(netaddr_public((const struct sockaddr *)(const void *)&local));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
