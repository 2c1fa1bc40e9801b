/* What follows an event's end: records, dead letters, callbacks, as their receivers see them. */
#include "scheduler/async/record.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define ID "11111111-2222-4333-8444-555555555555"
#define ARN "arn:aws:lambda:us-east-1:000000000000:function:"

static struct event e;
static struct record_result r;
static struct evconfig c;
static struct event *out[RECORD_FOLLOWERS];
static unsigned count, loops;
static const char *payload = "{\"a\": 12345678901234567890}";

static int setup(void **state)
{
	memset(&e, 0, sizeof(e));
	memset(&r, 0, sizeof(r));
	strcpy(e.id, ID);
	strcpy(e.function, "f");
	evconfig_default(&c);
	r.ran = true;
	r.status = 200;
	r.tries = 1;
	r.body = (uint8_t *)(uintptr_t)"{\"b\":2}";
	r.body_len = 7;
	payload = "{\"a\": 12345678901234567890}";
	count = loops = 0;
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < count; i++)
		event_free(out[i]);
	count = 0;
	return 0;
}

static void make(void)
{
	struct stk_list list;

	teardown(NULL);
	stk_list_init(&list);
	assert_int_equal(record_followers(&e, (const uint8_t *)payload, strlen(payload), &r, &c, 1700000000123,
					  &list, &loops), 0);
	STK_LIST_FOREACH_SAFE(it, tmp, &list) {
		stk_list_del(it);
		assert_true(count < RECORD_FOLLOWERS);
		out[count] = STK_CONTAINER_OF(it, struct event, node);
		out[count]->payload = realloc(out[count]->payload, out[count]->payload_len + 1);
		out[count]->payload[out[count]->payload_len] = '\0';
		count++;
	}
	if (count + loops)
		assert_true(record_wanted(&e, &r, &c));
}

static void nothing_wanted(void **state)
{
	make();
	assert_int_equal(count, 0);
	strcpy(c.on_failure, "g");
	make();
	assert_int_equal(count, 0);
	assert_false(record_wanted(&e, &r, &c));
}

static void success_to_a_function(void **state)
{
	strcpy(c.on_success, "arn:aws:lambda:us-east-1:000000000000:function:next:live");
	strcpy(c.on_failure, "g");
	make();
	assert_int_equal(count, 1);
	assert_int_equal(out[0]->kind, EVENT_CALL);
	assert_string_equal(out[0]->function, "next");
	assert_string_equal(out[0]->qualifier, "live");
	assert_string_equal(out[0]->flow, "next");
	assert_string_equal(out[0]->id, ID);
	assert_int_equal(out[0]->hops, 1);
	assert_int_equal(out[0]->next_ms, 1700000000123);
	assert_string_equal((char *)out[0]->payload,
		"{\"version\":\"1.0\",\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"requestContext\":{\"requestId\":\"" ID
		"\",\"functionArn\":\"" ARN "f:$LATEST\",\"condition\":\"Success\",\"approximateInvokeCount\":1},"
		"\"requestPayload\":{\"a\": 12345678901234567890},\"responseContext\":{\"statusCode\":200,"
		"\"executedVersion\":\"$LATEST\"},\"responsePayload\":{\"b\":2}}");
}

static void failure_to_an_address(void **state)
{
	json_t *root;

	strcpy(c.on_failure, "https://h.example/x");
	strcpy(c.dead_letter, "http://h:81/dead");
	strcpy(e.qualifier, "live");
	r.version = 3;
	r.verdict = RETRY_EXHAUSTED;
	r.failed = true;
	r.tries = 3;
	r.status = 502;
	r.body = (uint8_t *)(uintptr_t)"{\"errorType\":\"E\",\"errorMessage\":\"b\\u00e4d\\r\\nX-Evil: 1\"}";
	r.body_len = strlen((char *)r.body);
	make();
	assert_int_equal(count, 2);
	assert_int_equal(out[0]->kind, EVENT_SEND);
	assert_string_equal(out[0]->target, "https://h.example/x");
	assert_string_equal(out[0]->flow, "//h.example:443");
	assert_string_equal(out[0]->context, "Content-Type: application/json\r\nX-Request-Id: " ID "\r\n");
	root = json_loadb((char *)out[0]->payload, out[0]->payload_len, JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(json_object_get(root, "requestContext"), "condition")),
			    "RetriesExhausted");
	assert_string_equal(json_string_value(json_object_get(json_object_get(root, "responseContext"), "functionError")),
			    "Unhandled");
	assert_string_equal(json_string_value(json_object_get(json_object_get(root, "responseContext"), "executedVersion")),
			    "3");
	assert_string_equal(json_string_value(json_object_get(json_object_get(root, "responsePayload"), "errorType")), "E");
	json_decref(root);
	assert_string_equal((char *)out[1]->payload, payload);
	assert_string_equal(out[1]->target, "http://h:81/dead");
	assert_string_equal(out[1]->context, "Content-Type: application/json\r\nRequestID: " ID
					     "\r\nErrorCode: 502\r\nErrorMessage: b??d  X-Evil: 1\r\n");
}

static void dead_letter_to_a_function(void **state)
{
	strcpy(c.dead_letter, "dead");
	r.verdict = RETRY_TOO_OLD;
	r.ran = false;
	r.failed = true;
	r.status = 429;
	r.body = NULL;
	r.body_len = 0;
	make();
	assert_int_equal(count, 1);
	assert_string_equal((char *)out[0]->payload, payload);
	assert_string_equal(out[0]->context, "{\"custom\":{\"RequestID\":\"" ID
					     "\",\"ErrorCode\":\"429\",\"ErrorMessage\":\"EventAgeExceeded\"}}");
}

static void payloads_that_are_no_json(void **state)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{"", "\"requestPayload\":null"},
		{"[1,2", "\"requestPayload\":\"[1,2\""},
		{"a\"b\n", "\"requestPayload\":\"a\\\"b\\n\""},
		{"\xff\xfe", "\"requestPayload\":\"//4=\""},
		{"{\"a\":1}{", "\"requestPayload\":\"{\\\"a\\\":1}{\""},
		{"\"t\\u0000x\"", "\"requestPayload\":\"t\\u0000x\""},
	};

	strcpy(c.on_success, "g");
	for (size_t i = 0; i < STK_ARRAY_LEN(cases); i++) {
		payload = cases[i].text;
		make();
		if (!strstr((char *)out[0]->payload, cases[i].part))
			fail_msg("%s", (char *)out[0]->payload);
	}
}

static void too_large_a_record(void **state)
{
	size_t len = 5 << 20;
	char *big = malloc(len + 1);
	json_t *root;

	memset(big, '1', len);
	big[0] = big[len - 1] = '"';
	big[len] = '\0';
	payload = big;
	strcpy(c.on_success, "g");
	r.body = (uint8_t *)big;
	r.body_len = len;
	make();
	assert_in_range(out[0]->payload_len, len, 6 << 20);
	root = json_loadb((char *)out[0]->payload, out[0]->payload_len, 0, NULL);
	assert_true(json_is_null(json_object_get(root, "responsePayload")));
	assert_int_equal(json_string_length(json_object_get(root, "requestPayload")), len - 2);
	json_decref(root);
	free(big);
}

static void destinations_stay_with_the_tenant(void **state)
{
	strcpy(e.function, "f.blue");
	strcpy(r.account, "111122223333");
	strcpy(c.on_success, "next");
	make();
	assert_int_equal(count, 1);
	assert_string_equal(out[0]->function, "next.blue");
	assert_string_equal(out[0]->flow, "next.blue");
	assert_non_null(strstr((char *)out[0]->payload, ":111122223333:function:f:$LATEST\""));
	strcpy(c.on_success, "next.red"); /* no name of a function of one's own */
	make();
	assert_int_equal(count, 0);
}

static void loops_end(void **state)
{
	strcpy(c.on_success, "f");
	e.hops = RETRY_MAX_HOPS - 2;
	make();
	assert_int_equal(count, 1);
	assert_int_equal(out[0]->hops, RETRY_MAX_HOPS - 1);
	e.hops = RETRY_MAX_HOPS - 1;
	make();
	assert_int_equal(count, 0);
	assert_int_equal(loops, 1);
	loops = 0;
	strcpy(c.on_success, "http://h/"); /* the end of the chain may be told */
	make();
	assert_int_equal(count, 1);
}

static void callback_of_an_answer(void **state)
{
	e.kind = EVENT_HTTP;
	e.target = (char *)(uintptr_t)"http://127.0.0.1:9/cb";
	r.took_ms = 1250;
	r.body = (uint8_t *)(uintptr_t)"{\"statusCode\":201,\"headers\":{\"Content-Type\":\"text/plain\",\"X-A\":\"b\","
				       "\"X-Call-Id\":\"forged\",\"Content-Length\":\"9\"},\"body\":\"made\"}";
	r.body_len = strlen((char *)r.body);
	make();
	assert_int_equal(count, 1);
	assert_string_equal((char *)out[0]->payload, "made");
	assert_string_equal(out[0]->flow, "//127.0.0.1:9");
	assert_non_null(strstr(out[0]->context, "Content-Type: text/plain\r\n"));
	assert_non_null(strstr(out[0]->context, "\r\nX-A: b\r\n"));
	assert_non_null(strstr(out[0]->context, "X-Call-Id: " ID "\r\nX-Function-Name: f\r\nX-Function-Status: 201\r\n"
						"X-Duration-Seconds: 1.250000\r\n"));
	assert_null(strstr(out[0]->context, "forged"));
	assert_null(strstr(out[0]->context, "Content-Length"));
	/* neither a status nor an object */
	r.body = (uint8_t *)(uintptr_t)"\"just text\"";
	r.body_len = 11;
	make();
	assert_string_equal((char *)out[0]->payload, "just text");
	assert_non_null(strstr(out[0]->context, "X-Function-Status: 200"));
	/* an answer that is none */
	r.body = (uint8_t *)(uintptr_t)"{\"statusCode\":\"x\"}";
	r.body_len = 18;
	make();
	assert_non_null(strstr(out[0]->context, "X-Function-Status: 502"));
	/* empty */
	r.body = (uint8_t *)(uintptr_t)"{\"statusCode\":204}";
	r.body_len = 18;
	make();
	assert_int_equal(out[0]->payload_len, 0);
	assert_non_null(strstr(out[0]->context, "X-Function-Status: 204"));
	e.target = NULL;
}

static void callback_of_a_failure(void **state)
{
	e.kind = EVENT_HTTP;
	e.target = (char *)(uintptr_t)"http://h/cb";
	r.verdict = RETRY_EXHAUSTED;
	r.failed = true;
	r.status = 504;
	strcpy(c.on_failure, "g");
	make();
	assert_int_equal(count, 2);
	assert_string_equal((char *)out[1]->payload, "{\"b\":2}");
	assert_non_null(strstr(out[1]->context, "Content-Type: application/json\r\n"));
	assert_non_null(strstr(out[1]->context, "X-Function-Status: 504"));
	e.target = NULL;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_wanted), CASE(success_to_a_function), CASE(failure_to_an_address),
		CASE(dead_letter_to_a_function), CASE(payloads_that_are_no_json), CASE(too_large_a_record),
		CASE(destinations_stay_with_the_tenant), CASE(loops_end),
		CASE(callback_of_an_answer), CASE(callback_of_a_failure),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
