/* CloudEvents in, as the function gets them, and what is no CloudEvent. Examples of the specification among them. */
#include "scheduler/cloudevents.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct stk_err err;
static uint8_t *event;
static size_t len;

#define H(...) ((const struct http_header[]){__VA_ARGS__, {NULL, NULL}})
#define BASE {"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}, {"Ce-Type", "t"}

static size_t count_of(const struct http_header *h)
{
	size_t n = 0;

	while (h[n].name)
		n++;
	return n;
}

static enum cloudevents_mode mode(const struct http_header *h)
{
	return cloudevents_mode(h, count_of(h));
}

static int convert_n(const struct http_header *h, const void *body, size_t body_len, size_t max)
{
	free(event);
	event = NULL;
	return cloudevents_event(mode(h), h, count_of(h), body, body_len, max, &event, &len, &err);
}

static int convert(const struct http_header *h, const char *body)
{
	return convert_n(h, body, strlen(body), 1 << 20);
}

static void expect(const struct http_header *h, const char *body, const char *text)
{
	if (convert(h, body))
		fail_msg("%s: %s", body, err.text);
	assert_int_equal(len, strlen((char *)event));
	assert_string_equal((char *)event, text);
}

static void refused(const struct http_header *h, const char *body, const char *part)
{
	assert_int_equal(convert(h, body), -EINVAL);
	if (!strstr(err.text, part))
		fail_msg("%s", err.text);
}

static void modes(void **state)
{
	assert_int_equal(mode(H({"Content-Type", "application/json"})), CLOUDEVENTS_NONE);
	assert_int_equal(mode(H({"Ce-Specversion", "1.0"})), CLOUDEVENTS_BINARY);
	assert_int_equal(mode(H({"ce-specversion", "1.0"}, {"content-type", "application/json"})), CLOUDEVENTS_BINARY);
	assert_int_equal(mode(H({"Content-Type", "application/cloudevents+json"})), CLOUDEVENTS_STRUCTURED);
	assert_int_equal(mode(H({"Content-Type", "Application/CloudEvents+JSON; charset=UTF-8"})), CLOUDEVENTS_STRUCTURED);
	assert_int_equal(mode(H({"Content-Type", "application/cloudevents-batch+json"})), CLOUDEVENTS_UNKNOWN);
	assert_int_equal(mode(H({"Content-Type", "application/cloudevents+avro"})), CLOUDEVENTS_UNKNOWN);
	assert_int_equal(mode(H({"Content-Type", "application/cloudevents"})), CLOUDEVENTS_UNKNOWN);
}

static void binary_data(void **state)
{
	static const char bytes[] = "\x00\xff\x01";

#define HEAD "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\""
	expect(H(BASE), "", HEAD "}");
	expect(H(BASE), "{\"a\": 1e400000}", HEAD ",\"data_base64\":\"eyJhIjogMWU0MDAwMDB9\"}"); /* no type: a guess */
	expect(H(BASE), "{\"a\": 1}", HEAD ",\"data\":{\"a\": 1}}");
	expect(H(BASE, {"Content-Type", "application/json"}), "[12345678901234567890]",
	       HEAD ",\"datacontenttype\":\"application/json\",\"data\":[12345678901234567890]}");
	expect(H(BASE, {"Content-Type", "application/vnd.x+json; a=b"}), "null",
	       HEAD ",\"datacontenttype\":\"application/vnd.x+json; a=b\",\"data\":null}");
	expect(H(BASE, {"Content-Type", "text/xml"}), "<a b=\"c\"/>",
	       HEAD ",\"datacontenttype\":\"text/xml\",\"data\":\"<a b=\\\"c\\\"/>\"}");
	expect(H(BASE, {"Content-Type", "text/plain"}), "\xff",
	       HEAD ",\"datacontenttype\":\"text/plain\",\"data_base64\":\"/w==\"}");
	assert_int_equal(convert_n(H(BASE, {"Content-Type", "image/png"}), bytes, 3, 1000), 0);
	assert_string_equal((char *)event, HEAD ",\"datacontenttype\":\"image/png\",\"data_base64\":\"AP8B\"}");
	refused(H(BASE, {"Content-Type", "application/json"}), "{", "Content-Type");
	assert_int_equal(convert_n(H(BASE), "12345", 5, 60), -EMSGSIZE);
	assert_int_equal(convert_n(H(BASE), "12345", 5, 4), -EMSGSIZE);
}

static void binary_attributes(void **state)
{
	/* Values are percent-encoded UTF-8; a quoted string is unquoted first. */
	expect(H(BASE, {"ce-subject", "Euro%20%E2%82%AC %F0%9F%98%80"}), "",
	       HEAD ",\"subject\":\"Euro \xe2\x82\xac \xf0\x9f\x98\x80\"}");
	expect(H(BASE, {"ce-subject", "\"a \\\"b\\\" %22\""}), "", HEAD ",\"subject\":\"a \\\"b\\\" \\\"\"}");
	expect(H(BASE, {"ce-subject", "100%, %4 %"}), "", HEAD ",\"subject\":\"100%, %4 %\"}");
	expect(H(BASE, {"CE-MyExt1", "x"}, {"X-Other", "y"}), "", HEAD ",\"myext1\":\"x\"}");
	refused(H(BASE, {"ce-subject", "%ff"}), "", "UTF-8");
	refused(H(BASE, {"ce-a_b", "x"}), "", "letters and digits");
	refused(H(BASE, {"ce-", "x"}), "", "1 to");
	refused(H(BASE, {"ce-id", "2"}), "", "twice");
	refused(H(BASE, {"ce-datacontenttype", "x"}), "", "Content-Type");
	refused(H(BASE, {"ce-data", "x"}), "", "body");
	refused(H({"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}), "", "type");
	refused(H({"ce-specversion", "1.0"}, {"ce-id", ""}, {"ce-source", "/s"}, {"ce-type", "t"}), "", "id");
	refused(H({"ce-specversion", "0.3"}, {"ce-id", "1"}, {"ce-source", "/s"}, {"ce-type", "t"}), "", "1.0");
}

static void structured_mode(void **state)
{
	const struct http_header h[] = {{"Content-Type", "application/cloudevents+json; charset=utf-8"}, {NULL, NULL}};
	static const char good[] = " {\"specversion\" : \"1.0\", \"type\" : \"com.example.someevent\", \"source\" : \"/c\","
				   " \"id\" : \"A234-1234-1234\", \"time\" : \"2018-04-05T17:31:00Z\","
				   " \"number\": 123456789012345678901, \"data\" : {\"x\": [1]}}";

	expect(h, good, good);
	refused(h, "{", "JSON");
	refused(h, "[]", "object");
	refused(h, "{\"specversion\":\"1.0\",\"id\":\"1\",\"id\":\"2\"}", "JSON");
	refused(h, "{\"specversion\":\"1.1\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}", "specversion");
	refused(h, "{\"specversion\":\"1.0\",\"id\":1,\"source\":\"s\",\"type\":\"t\"}", "id");
	refused(h, "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"data\":1,\"data_base64\":\"\"}",
		"data_base64");
	assert_int_equal(convert_n(h, good, strlen(good), strlen(good) - 1), -EMSGSIZE);
}

static bool is_event(const char *text)
{
	return cloudevents_is_event((const uint8_t *)text, strlen(text));
}

static void replies(void **state)
{
	assert_true(is_event("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}"));
	assert_false(is_event("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\"}"));
	assert_false(is_event("{\"statusCode\":200}"));
	assert_false(is_event("\"specversion\""));
	assert_false(is_event("{\"specversion\":"));
	assert_false(is_event(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes), cmocka_unit_test(binary_data), cmocka_unit_test(binary_attributes),
		cmocka_unit_test(structured_mode), cmocka_unit_test(replies),
	};
	int failed;

	unit_time_limit(30);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(event);
	return failed;
}
