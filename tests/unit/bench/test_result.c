#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench/result.h"

#define ID_1 "{\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c11\"}"
#define ID_2 "{\"boot_id\":\"5a4e1f0c-0000-4b6c-9d6e-2f1f9a3b7c12\"}"

static struct result r;
static struct fresh fresh;

static int clear(void **state)
{
	result_fini(&r);
	fresh_fini(&fresh);
	memset(&r, 0, sizeof(r));
	return 0;
}

static struct client_result answer(int status, const char *start, const char *body)
{
	struct client_result a = {.status = status, .done_ns = 5000000, .body = body, .body_len = strlen(body)};

	snprintf(a.start, sizeof(a.start), "%s", start);
	return a;
}

static void add(const struct result_check *check, struct client_result a)
{
	result_add(&r, check, &a, 2000000, 1000000);
}

static void classes_are_by_the_answer_failures_by_the_check(void **state)
{
	struct result_check check = {.start = "cold-restore"};

	add(&check, answer(200, "cold-restore", ""));
	add(&check, answer(200, "warm", ""));
	add(&check, answer(503, "", "no"));
	add(&check, answer(502, "warm", "broken"));
	assert_int_equal(r.ok, 1);
	assert_int_equal(r.failed, 3);
	assert_int_equal(r.latency.total, 1);
	assert_int_equal(r.latency.max, 3000000);
	assert_int_equal(classes_count(&r.classes, CLASS_COLD_RESTORE), 1);
	assert_int_equal(classes_count(&r.classes, CLASS_WARM), 1);
	assert_int_equal(classes_count(&r.classes, CLASS_REJECTED), 1);
	assert_string_equal(r.failures[0].name, "warm instead of cold-restore");
	assert_string_equal(r.failures[1].name, "http 503");
	assert_string_equal(r.failures[2].name, "http 502");
	assert_string_equal(r.first_error, "no");
	assert_int_equal(r.timeline.piece[1].ok, 1);
	assert_int_equal(r.timeline.piece[1].failed, 3);
}

static void a_vm_used_twice_is_a_failure(void **state)
{
	struct result_check check = {.fresh = &fresh};
	struct client_result warm_up = answer(200, "warm", ID_1);

	result_skip(&check, &warm_up);
	add(&check, answer(200, "warm", ID_2));
	assert_int_equal(r.failed, 0);
	add(&check, answer(200, "cold-boot", ID_1));
	add(&check, answer(200, "warm", ID_2));
	add(&check, answer(200, "reset", ID_2)); /* may */
	add(&check, answer(200, "warm", "{}"));
	assert_int_equal(r.ok, 2);
	assert_int_equal(r.failed, 3);
	assert_string_equal(r.failures[0].name, "boot_id seen before: a VM was used twice");
	assert_int_equal(r.failures[0].count, 2);
	assert_string_equal(r.failures[1].name, "no boot_id in the answer");
	result_skip(&check, &warm_up); /* does not count, but is known */
	assert_int_equal(r.failed, 3);
	assert_int_equal(fresh.repeated, 3);
}

static void an_answer_must_be_what_is_expected(void **state)
{
	struct result_check check = {.expect = "{\"n\": 1}"};

	add(&check, answer(200, "warm", "{\"n\": 1}"));
	assert_int_equal(r.failed, 0);
	add(&check, answer(200, "warm", "{\"n\": 2}"));
	add(&check, answer(200, "warm", "{\"n\": 1} "));
	add(&check, answer(200, "warm", ""));
	assert_int_equal(r.failed, 3);
	assert_string_equal(r.failures[0].name, "not the expected answer");
}

static void text_from_outside_is_made_plain(void **state)
{
	struct result_check check = {.start = "warm"};

	add(&check, answer(500, "", "\033[2J<b>\xff\n"));
	assert_string_equal(r.first_error, "?[2J<b>??");
	add(&check, answer(200, "\033]0;x\xc3", ""));
	assert_string_equal(r.failures[1].name, "?]0;x? instead of warm");
}

static void kinds_of_failures_are_bounded(void **state)
{
	struct result_check check = {0};
	uint64_t sum = 0;

	for (int status = 400; status < 460; status++)
		add(&check, answer(status, "", ""));
	assert_int_equal(r.failed, 60);
	assert_int_equal(r.failure_count, RESULT_MAX_FAILURES);
	assert_string_equal(r.failures[RESULT_MAX_FAILURES - 1].name, "other");
	for (unsigned i = 0; i < r.failure_count; i++)
		sum += r.failures[i].count;
	assert_int_equal(sum, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(classes_are_by_the_answer_failures_by_the_check, clear),
		cmocka_unit_test_teardown(a_vm_used_twice_is_a_failure, clear),
		cmocka_unit_test_teardown(an_answer_must_be_what_is_expected, clear),
		cmocka_unit_test_teardown(text_from_outside_is_made_plain, clear),
		cmocka_unit_test_teardown(kinds_of_failures_are_bounded, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
