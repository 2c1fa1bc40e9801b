/* Calls by URL and by CloudEvent whose JSON is so large that it is made and taken apart beside the loop: of a real
 * stokerd without KVM, whose scripted guest answers with its event. */
#include "tests/unit/scheduler/host_fixture.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define LARGE   1000000u /* a body's length; small ones are dealt with on the loop */
#define CLOUD   "application/cloudevents+json; charset=utf-8"
#define WEB     "/function/f/a?b=c"

static int setup(void **state)
{
	unit_time_limit(240);
	if (host_make())
		return -1;
	host_add_function("f");
	host_start(NULL);
	return 0;
}

static int teardown(void **state)
{
	return host_remove();
}

/* `before`, so many times `fill`, `after`; heap. */
static char *text_of(const char *before, const char *fill, unsigned times, const char *after)
{
	char *text = malloc(strlen(before) + strlen(fill) * times + strlen(after) + 1), *at;

	assert_non_null(text);
	at = stpcpy(text, before);
	while (times--)
		at = stpcpy(at, fill);
	strcpy(at, after);
	return text;
}

static json_t *parsed(const struct http_client_resp *r)
{
	json_t *root = json_loadb((const char *)r->body, r->body_len, 0, NULL);

	assert_non_null(root);
	return root;
}

static void test_large_event(void **state)
{
	char *body = text_of("", "x", LARGE, "");
	struct http_client_resp r;
	json_t *event;
	char id[64];

	assert_int_equal(host_request("POST", WEB, "Content-Type: text/plain\r\nX-One: 1\r\nx-one: 2\r\n", body, &r), 0);
	assert_int_equal(r.status, 200);
	event = parsed(&r);
	assert_string_equal(json_string_value(json_object_get(event, "body")), body);
	assert_string_equal(json_string_value(json_object_get(event, "rawPath")), "/a");
	assert_string_equal(json_string_value(json_object_get(event, "rawQueryString")), "b=c");
	assert_string_equal(json_string_value(json_object_get(json_object_get(event, "headers"), "x-one")), "1,2");
	/* It is one call, with one id. */
	assert_int_equal(http_client_header(&r, "x-request-id", id, sizeof(id)), 0);
	assert_string_equal(json_string_value(json_object_get(json_object_get(event, "requestContext"), "requestId")), id);
	json_decref(event);
	http_client_resp_fini(&r);
	free(body);
}

static void test_large_cloud_events(void **state)
{
	char *good = text_of("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"data\":[", "[],",
			     LARGE / 3, "1]}");
	char *bad = text_of("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"data\":\"", "y", LARGE, "\"}");
	char *data = text_of("\"", "z", LARGE, "\"");
	struct http_client_resp r;
	char type[64];

	assert_int_equal(host_request("POST", WEB, "Content-Type: application/cloudevents+json\r\n", good, &r), 0);
	assert_int_equal(r.status, 200);
	assert_int_equal(http_client_header(&r, "content-type", type, sizeof(type)), 0);
	assert_string_equal(type, CLOUD); /* the answer is an event as well */
	assert_int_equal(r.body_len, strlen(good));
	http_client_resp_fini(&r);
	assert_int_equal(host_request("POST", WEB, "Content-Type: application/cloudevents+json\r\n", bad, &r), 0);
	assert_int_equal(r.status, 400);
	assert_non_null(strstr((char *)r.body, "BadCloudEvent"));
	http_client_resp_fini(&r);
	assert_int_equal(host_request("POST", WEB, "Content-Type: application/json\r\nce-specversion: 1.0\r\nce-id: 7\r\n"
				      "ce-source: s\r\nce-type: t\r\n", data, &r), 0);
	assert_int_equal(r.status, 200);
	assert_true(r.body_len > LARGE);
	http_client_resp_fini(&r);
	/* For later, too, where a megabyte is the most. */
	assert_int_equal(host_request("POST", "/async-function/f", "Content-Type: application/cloudevents+json\r\n", bad, &r), 0);
	assert_int_equal(r.status, 400);
	http_client_resp_fini(&r);
	data[LARGE / 2] = '"';
	data[LARGE / 2 + 1] = '\0';
	assert_int_equal(host_request("POST", "/async-function/f", "Content-Type: application/json\r\n", data, &r), 0);
	assert_int_equal(r.status, 202);
	http_client_resp_fini(&r);
	free(good);
	free(bad);
	free(data);
}

static void test_not_text_and_too_large(void **state)
{
	uint8_t *body = malloc(6 << 20);
	struct http_client_resp r;
	json_t *event;

	assert_non_null(body);
	memset(body, 0xff, 6 << 20);
	assert_int_equal(host_send("POST", WEB, NULL, body, 300000, &r), 0);
	assert_int_equal(r.status, 200);
	event = parsed(&r);
	assert_true(json_is_true(json_object_get(event, "isBase64Encoded")));
	assert_int_equal(json_string_length(json_object_get(event, "body")), 400000);
	json_decref(event);
	http_client_resp_fini(&r);
	assert_int_equal(host_send("POST", WEB, NULL, body, 6 << 20, &r), 0);
	assert_int_equal(r.status, 413);
	http_client_resp_fini(&r);
	free(body);
}

/* A client that goes away while its event is made, or its answer looked at. */
static void test_client_goes(void **state)
{
	char *body = text_of("", "x", LARGE, "");
	struct http_client_resp r;

	for (int i = 0; i < 20; i++) {
		int fd = host_request_begin("POST", WEB, body);

		usleep(i * 1000);
		close(fd);
	}
	assert_int_equal(host_request("POST", WEB, NULL, body, &r), 0);
	assert_int_equal(r.status, 200);
	http_client_resp_fini(&r);
	/* Nor is anything left to wait for. */
	host_term();
	assert_int_equal(host_wait(), 0);
	host_start(NULL);
	free(body);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_event),
		cmocka_unit_test(test_large_cloud_events),
		cmocka_unit_test(test_not_text_and_too_large),
		cmocka_unit_test(test_client_goes),
	};

	host_play(argc, argv);
	return cmocka_run_group_tests(tests, setup, teardown);
}
