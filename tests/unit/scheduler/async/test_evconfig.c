/* Destinations and addresses as users write them, limits, and the table in memory. */
#include "scheduler/async/evconfig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "scheduler/async/confs.h"
#include "tests/unit/unit.h"

static struct stk_err err;

static void addresses(void **state)
{
	static const char *const bad[] = {
		"", "http://", "ftp://h/", "http:///x", "http://h:0/", "http://h:65536/", "http://h:/", "http://h:8x/",
		"http://u@h/", "http://u:p@h/", "http://h/#f", "http://h/a b", "http://h/\r\nX: y", "http://h\x7f/",
		"http://[::1/", "http://[::g]/", "http://[]/", "http://[::1]x/", "http://-h/", "http://.h/", "http://h%41/",
		"http://\xc3\xa9/", "//h/", "HTTP//h",
	};
	static const struct {
		const char *text, *authority, *path;
		bool tls;
	} good[] = {
		{"http://h", "h:80", "/", false},
		{"https://Ex-ample.org/a/b?c=d", "Ex-ample.org:443", "/a/b?c=d", true},
		{"http://127.0.0.1:8080?x", "127.0.0.1:8080", "/?x", false},
		{"HTTPS://[::1]:8443/p", "[::1]:8443", "/p", true},
		{"http://[fe80::1]", "[fe80::1]:80", "/", false},
		{"http://my_host:1/%20", "my_host:1", "/%20", false},
	};
	char text[WEBURL_MAX + 16];
	struct weburl u;

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		if (weburl_parse(bad[i], &u, &err) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(good); i++) {
		if (weburl_parse(good[i].text, &u, &err))
			fail_msg("%s: %s", good[i].text, err.text);
		assert_string_equal(u.authority, good[i].authority);
		assert_string_equal(u.path, good[i].path);
		assert_int_equal(u.tls, good[i].tls);
	}
	memset(text, 'a', sizeof(text));
	memcpy(text, "http://h/", 9);
	text[WEBURL_MAX] = '\0';
	assert_int_equal(weburl_parse(text, &u, &err), 0);
	assert_string_equal(u.path, text + 8);
	text[WEBURL_MAX] = 'a';
	text[WEBURL_MAX + 1] = '\0';
	assert_int_equal(weburl_parse(text, &u, &err), -EINVAL);
	memset(text, 'a', 300);
	memcpy(text, "http://", 7);
	text[7 + WEBURL_HOST_MAX + 1] = '\0';
	assert_int_equal(weburl_parse(text, &u, &err), -EINVAL);
	text[7 + WEBURL_HOST_MAX] = '\0';
	assert_int_equal(weburl_parse(text, &u, &err), 0);
}

static void targets(void **state)
{
	static const struct {
		const char *text, *function, *qualifier;
	} good[] = {
		{"f", "f", ""},
		{"f:3", "f", "3"},
		{"f:$LATEST", "f", "$LATEST"},
		{"function:f:live", "f", "live"},
		{"123456789012:function:f", "f", ""},
		{"arn:aws:lambda:us-east-1:000000000000:function:my-f_1", "my-f_1", ""},
		{"arn:aws:lambda:eu-west-1:123456789012:function:f:live", "f", "live"},
		{"arn:aws-cn:lambda:cn-north-1:123456789012:function:f:7", "f", "7"},
	};
	static const char *const bad[] = {
		"f:", "f:a:b", ":f", "f/g", "a b", "arn:", "arn:aws:sqs:us-east-1:0:queue", "arn:aws:lambda:us-east-1:0:f",
		"arn:aws:lambda:us-east-1:0:function:", "arn:aws:lambda:us-east-1:x:function:f", "x:function:f",
		"http://", "https:f",
	};
	struct evconfig_target t;
	char name[80];

	for (size_t i = 0; i < STK_ARRAY_LEN(good); i++) {
		if (evconfig_target_parse(good[i].text, &t, &err))
			fail_msg("%s: %s", good[i].text, err.text);
		assert_int_equal(t.kind, EVCONFIG_FUNCTION);
		assert_string_equal(t.function, good[i].function);
		assert_string_equal(t.qualifier, good[i].qualifier);
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		if (evconfig_target_parse(bad[i], &t, &err) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	}
	assert_int_equal(evconfig_target_parse("", &t, &err), 0);
	assert_int_equal(t.kind, EVCONFIG_NONE);
	assert_int_equal(evconfig_target_parse("https://h/x", &t, &err), 0);
	assert_int_equal(t.kind, EVCONFIG_URL);
	memset(name, 'a', sizeof(name));
	name[FN_BARE_MAX] = '\0';
	assert_int_equal(evconfig_target_parse(name, &t, &err), 0);
	name[FN_BARE_MAX] = 'a';
	name[FN_BARE_MAX + 1] = '\0';
	assert_int_equal(evconfig_target_parse(name, &t, &err), -EINVAL);
}

static void limits(void **state)
{
	struct evconfig c;

	evconfig_default(&c);
	assert_int_equal(c.max_retries, 2);
	assert_int_equal(c.max_age_s, 21600);
	assert_int_equal(evconfig_check(&c, &err), 0);
	c.max_retries = 3;
	assert_int_equal(evconfig_check(&c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "MaximumRetryAttempts"));
	c.max_retries = 0;
	c.max_age_s = 60;
	assert_int_equal(evconfig_check(&c, &err), 0);
	c.max_age_s = 59;
	assert_int_equal(evconfig_check(&c, &err), -EINVAL);
	c.max_age_s = 21601;
	assert_int_equal(evconfig_check(&c, &err), -EINVAL);
	c.max_age_s = 100;
	strcpy(c.on_failure, "no such thing");
	assert_int_equal(evconfig_check(&c, &err), -EINVAL);
}

static unsigned seen;

static void each(void *ctx, const char *qualifier, const struct evconfig *c)
{
	seen++;
	assert_true(strcmp(qualifier, "$LATEST") == 0 || strcmp(qualifier, "live") == 0);
}

static void table(void **state)
{
	static struct confs cs;
	struct evconfig c, got;

	evconfig_default(&c);
	c.max_retries = 1;
	c.max_age_s = 99;
	c.modified_ms = 7;
	strcpy(c.on_success, "https://h/ok");
	strcpy(c.dead_letter, "g");
	assert_false(confs_get(&cs, "f", "", &got));
	assert_int_equal(got.max_retries, 2);
	assert_int_equal(confs_put(&cs, "f", "$LATEST", &c), 0);
	c.max_retries = 0;
	assert_int_equal(confs_put(&cs, "f", "live", &c), 0);
	assert_int_equal(confs_put(&cs, "g", "", &c), 0);
	assert_true(confs_get(&cs, "f", "", &got));
	assert_int_equal(got.max_retries, 1);
	assert_int_equal(got.max_age_s, 99);
	assert_int_equal(got.modified_ms, 7);
	assert_string_equal(got.on_success, "https://h/ok");
	assert_string_equal(got.on_failure, "");
	assert_string_equal(got.dead_letter, "g");
	c.max_age_s = 100;
	assert_int_equal(confs_put(&cs, "f", "", &c), 0); /* in its place */
	assert_int_equal(cs.count, 3);
	confs_get(&cs, "f", "$LATEST", &got);
	assert_int_equal(got.max_age_s, 100);
	confs_each(&cs, "f", each, NULL);
	assert_int_equal(seen, 2);
	assert_false(confs_delete(&cs, "f", "old"));
	assert_true(confs_delete(&cs, "f", "live"));
	assert_true(confs_delete(&cs, "f", "*"));
	assert_false(confs_get(&cs, "f", "", &got));
	assert_true(confs_get(&cs, "g", "", &got));
	confs_fini(&cs);
	assert_int_equal(cs.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses), cmocka_unit_test(targets), cmocka_unit_test(limits), cmocka_unit_test(table),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
