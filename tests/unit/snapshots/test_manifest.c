/* manifest.json: there and back, and everything that is refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>

#include "snapshots/manifest.h"

static struct snap_manifest sample(void)
{
	struct snap_manifest m = {
		.created_ms = 1795241696123, .function = "hello", .version = "7", .handler = "app.handler",
		.runtime = "python3", .vcpu_count = 1, .mem_size_mib = 128, .scratch_mib = 2048, .boot_args = "quiet",
		.stoker = "0.1.0", .agent = "0.1.0", .host_cpu = "A \"CPU\"", .host_kernel = "6.1.0",
		.init_us = 123456, .guest_used_bytes = 1000, .memory_data_bytes = 4096,
		.memory_total_bytes = 8192,
	};

	m.input[SNAP_INPUT_KERNEL] = (struct snap_manifest_file){"/k", 12, "mtime:1.000000002"};
	m.input[SNAP_INPUT_CODE] = (struct snap_manifest_file){"/c\xc3\xb6", 1ULL << 40, "mtime:3.4"};
	return m;
}

static void test_round_trip(void **state)
{
	struct snap_manifest m = sample(), back;
	struct stk_err err = {0, ""};
	stk_autofree char *text = NULL;
	size_t len;

	assert_int_equal(snap_manifest_encode(&m, &text, &len, &err), 0);
	assert_int_equal(strlen(text), len);
	assert_int_equal(text[len - 1], '\n');
	assert_non_null(strstr(text, "\"created\": \"2026-11-21T"));
	if (snap_manifest_decode(text, len, &back, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(back.function, "hello");
	assert_int_equal(back.scratch_mib, 2048);
	assert_string_equal(back.host_cpu, "A \"CPU\"");
	assert_string_equal(back.input[SNAP_INPUT_CODE].path, "/c\xc3\xb6");
	assert_true(back.input[SNAP_INPUT_CODE].size == 1ULL << 40);
	assert_string_equal(back.input[SNAP_INPUT_INITRD].path, "");
	assert_true(back.created_ms == m.created_ms && back.init_us == m.init_us &&
		    back.memory_data_bytes == 4096 && back.memory_total_bytes == 8192);
}

/* As it was written when the disk was always as large as its image. */
static void test_without_scratch_size(void **state)
{
	struct snap_manifest m = sample(), back;
	struct stk_err err = {0, ""};
	stk_autofree char *text = NULL, *changed = NULL;
	size_t len;
	json_t *root;

	m.input[SNAP_INPUT_SCRATCH] = (struct snap_manifest_file){"/s", 512u << 20, "mtime:3.4"};
	assert_int_equal(snap_manifest_encode(&m, &text, &len, &err), 0);
	root = json_loadb(text, len, 0, NULL);
	assert_int_equal(json_object_del(json_object_get(root, "machine"), "scratch_mib"), 0);
	changed = json_dumps(root, 0);
	json_decref(root);
	assert_int_equal(snap_manifest_decode(changed, strlen(changed), &back, &err), 0);
	assert_int_equal(back.scratch_mib, 512);
}

/* Encodes the sample, lets change() have its way, expects decode to refuse with the text. */
static void refused(void (*change)(json_t *root), int code, const char *message)
{
	struct snap_manifest m = sample(), back;
	struct stk_err err = {0, ""};
	stk_autofree char *text = NULL, *changed = NULL;
	size_t len;
	json_t *root;

	assert_int_equal(snap_manifest_encode(&m, &text, &len, &err), 0);
	root = json_loadb(text, len, 0, NULL);
	assert_non_null(root);
	change(root);
	changed = json_dumps(root, 0);
	json_decref(root);
	assert_int_equal(snap_manifest_decode(changed, strlen(changed), &back, &err), code);
	if (!strstr(err.text, message))
		fail_msg("\"%s\" does not say \"%s\"", err.text, message);
}

static void newer(json_t *r) { json_object_set_new(r, "format", json_integer(2)); }
static void no_format(json_t *r) { json_object_del(r, "format"); }
static void no_function(json_t *r) { json_object_del(r, "function"); }
static void function_is_text(json_t *r) { json_object_set_new(r, "function", json_string("x")); }
static void name_is_number(json_t *r)
{
	json_object_set_new(json_object_get(r, "function"), "name", json_integer(1));
}
static void long_name(json_t *r)
{
	char name[400];

	memset(name, 'x', sizeof(name));
	json_object_set_new(json_object_get(r, "function"), "name", json_stringn(name, sizeof(name)));
}
static void negative(json_t *r)
{
	json_object_set_new(json_object_get(r, "memory"), "data_bytes", json_integer(-1));
}
static void no_vcpu(json_t *r)
{
	json_object_set_new(json_object_get(r, "machine"), "vcpu_count", json_integer(0));
}
static void file_is_text(json_t *r)
{
	json_object_set_new(json_object_get(r, "files"), "kernel", json_string("/k"));
}

static void test_refusals(void **state)
{
	struct snap_manifest back;
	struct stk_err err = {0, ""};

	refused(newer, -ENOTSUP, "newer format");
	refused(no_format, -EINVAL, "\"format\" is missing");
	refused(no_function, -EINVAL, "\"function\" is missing");
	refused(function_is_text, -EINVAL, "\"function\" is no object");
	refused(name_is_number, -EINVAL, "\"name\" is no text");
	refused(long_name, -EINVAL, "\"name\" is longer than");
	refused(negative, -EINVAL, "\"data_bytes\" is outside");
	refused(no_vcpu, -EINVAL, "\"vcpu_count\" is outside 1 to 32");
	refused(file_is_text, -EINVAL, "\"kernel\" is no object");
	assert_int_equal(snap_manifest_decode("[]", 2, &back, &err), -EINVAL);
	assert_int_equal(snap_manifest_decode("{", 1, &back, &err), -EINVAL);
	assert_int_equal(snap_manifest_decode("", 0, &back, &err), -EINVAL);
}

static void test_bad_utf8_is_refused(void **state)
{
	struct snap_manifest m = sample();
	struct stk_err err = {0, ""};
	char *text = NULL;
	size_t len;

	strcpy(m.input[SNAP_INPUT_CODE].path, "/c\xff");
	assert_int_equal(snap_manifest_encode(&m, &text, &len, &err), -EINVAL);
	assert_non_null(strstr(err.text, "UTF-8"));
}

static void test_key_changes_with_the_file(void **state)
{
	char path[] = "/tmp/stoker-manifest.XXXXXX";
	stk_autofd fd = mkstemp(path);
	struct snap_manifest_file a, b;
	struct stk_err err = {0, ""};
	struct timespec later[2] = {{0, UTIME_OMIT}, {12345, 678}};

	assert_true(fd >= 0);
	assert_int_equal(snap_manifest_file_stat(path, &a, &err), 0);
	assert_string_equal(a.path, path);
	assert_int_equal(snap_manifest_file_stat(path, &b, &err), 0);
	assert_string_equal(a.key, b.key);
	futimens(fd, later);
	assert_int_equal(snap_manifest_file_stat(path, &b, &err), 0);
	assert_string_equal(b.key, "mtime:12345.000000678");
	unlink(path);
	assert_int_equal(snap_manifest_file_stat(path, &b, &err), -ENOENT);
	assert_int_equal(snap_manifest_file_stat("/tmp", &b, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_without_scratch_size),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bad_utf8_is_refused),
		cmocka_unit_test(test_key_changes_with_the_file),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
