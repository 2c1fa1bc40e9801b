/* Code in a request's body: found, decoded, stored, hashed. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>

#include "scheduler/lambda/zipfile.h"

/* A literal and its length. */
#define LIT(text) text, sizeof(text) - 1

static struct lambda_err err;
static const char *const create_path[] = {"Code", "ZipFile", NULL};
static const char *const update_path[] = {"ZipFile", NULL};

/* What is found, or NULL. */
static char *found(const char *json, const char *const *path)
{
	static char out[256];
	struct zipfile_span s;

	if (!zipfile_find(json, strlen(json), path, &s))
		return NULL;
	assert_true(s.text >= json && s.text + s.len < json + strlen(json));
	memcpy(out, s.text, s.len);
	out[s.len] = '\0';
	return out;
}

static void it_is_found_wherever_it_stands(void **state)
{
	assert_string_equal(found("{\"ZipFile\":\"abcd\"}", update_path), "abcd");
	assert_string_equal(found("{\"ZipFile\":\"\"}", update_path), "");
	assert_string_equal(found(" \n{ \"a\" : [1, {\"ZipFile\":\"no\"}, \"}\\\"\"] ,\t\"ZipFile\" : \"ab\\/d\" , 7",
				  update_path),
			    "ab\\/d");
	assert_string_equal(found("{\"Code\":{\"S3Bucket\":null,\"ZipFile\":\"abcd\"},\"x\":1}", create_path), "abcd");
	assert_string_equal(found("{\"FunctionName\":\"Code\",\"T\":-1.5e3,\"Code\":{\"ZipFile\":\"abcd\"}}",
				  create_path), "abcd");
	assert_string_equal(found("{\"a\":\"\\\\\",\"ZipFile\":\"q\"}", update_path), "q");
}

static void what_is_not_there_is_not_found(void **state)
{
	static const char *const bodies[] = {
		"", "{", "{}", "[]", "\"ZipFile\"", "null", "{\"ZipFile\"", "{\"ZipFile\":", "{\"ZipFile\":"
											     "\"abc", "{\"ZipFile\":1}",
		"{\"zipfile\":\"abcd\"}", "{\"Code\":{\"ZipFile\":\"abcd\"}}", "{\"x\":{\"ZipFile\":\"abcd\"}}"
									       "", "{\"a\":}",
		"{\"a\":]]", "{\"a\" \"ZipFile\":\"x\"}", "{\"a\":{{{{", "{\"a\":\"\\", "{\"ZipFile\":"
											"\"abc\\\"", "{,,,",
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(bodies); i++)
		assert_null(found(bodies[i], update_path));
	assert_null(found("{\"ZipFile\":\"abcd\"}", create_path));
	assert_null(found("{\"Code\":\"ZipFile\"}", create_path));
	assert_null(found("{\"Code\":{},\"ZipFile\":\"abcd\"}", create_path));
}

static int decode(const char *text, size_t len, uint64_t max, int fd, struct zipfile *z)
{
	struct zipfile_span s = {text, len};

	return zipfile_decode(&s, max, fd, z, &err);
}

static void bytes_come_out_as_they_went_in(void **state)
{
	/* Lengths around the chunks in which it is decoded (65536 characters are 49152 bytes). */
	static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 6, 49150, 49151, 49152, 49153, 49154, 98304, 98305, 1000000};
	uint8_t *data = malloc(1000001), *back = malloc(1000001);
	unsigned char *text = malloc(1400000);
	unsigned char hash[32];
	char hash_text[64];

	for (size_t i = 0; i < 1000000; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t i = 0; i < STK_ARRAY_LEN(lengths); i++) {
		size_t n = lengths[i], len = (size_t)EVP_EncodeBlock(text, data, (int)n);
		int fd = memfd_create("zip", MFD_CLOEXEC);
		struct zipfile z;

		assert_int_equal(decode((char *)text, len, 1000000, fd, &z), 0);
		assert_int_equal(z.size, n);
		assert_int_equal(pread(fd, back, 1000001, 0), n);
		assert_memory_equal(data, back, n);
		assert_int_equal(EVP_Digest(data, n, hash, NULL, EVP_sha256(), NULL), 1);
		EVP_EncodeBlock((unsigned char *)hash_text, hash, 32);
		assert_string_equal(z.sha256, hash_text);
		close(fd);
	}
	free(text);
	free(back);
	free(data);
}

static void escapes_are_undone_at_any_place(void **state)
{
	static const char plain[] = "+/+/abcd////++++";
	struct zipfile a, b;
	char *text = malloc(200000);
	size_t n = 0;

	assert_int_equal(decode(plain, 16, 100, -1, &a), 0);
	assert_int_equal(decode(LIT("\\u002b\\/\\u002B\\u002fabcd\\/\\/\\/\\/\\u002b+\\u002B+"), 100, -1, &b), 0);
	assert_string_equal(a.sha256, b.sha256);
	/* an escape across the border between two chunks */
	for (size_t lead = 65530; lead <= 65536; lead++) {
		memset(text, 'A', lead);
		n = lead;
		memcpy(text + n, "\\u002f", 6);
		n += 6;
		while ((n - 5) % 4)
			text[n++] = 'A';
		assert_int_equal(decode(text, n, 1000000, -1, &b), 0);
		assert_int_equal(b.size, (n - 5) / 4 * 3);
	}
	free(text);
}

static void only_base64_is_taken(void **state)
{
	static const char *const bad[] = {
		"a", "ab", "abc", "abcde", "====", "a===", "ab=c", "abc=abcd", "ab==abcd", "ab d", "abc\n", "ab-_",
		"ab%3", "abcd\n", "\303\244ab", "abc\\", "abc\\n", "abc\\u002", "abc\\u012f", "abc\\u00zz",
		"ab\\u003", "QQ=", "QR==", "QUJ=",
	};
	struct zipfile z;

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		assert_int_not_equal(decode(bad[i], strlen(bad[i]), 100, -1, &z), 0);
		assert_int_equal(err.type, LAMBDA_SERIALIZATION);
	}
	assert_int_equal(decode(LIT("QQ=="), 100, -1, &z), 0);
	assert_int_equal(z.size, 1);
	assert_int_equal(decode(LIT("QUI="), 100, -1, &z), 0);
	assert_int_equal(z.size, 2);
}

static void size_is_bounded_and_write_errors_are_told(void **state)
{
	struct zipfile z;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_int_equal(decode(LIT("QUJDREVG"), 6, -1, &z), 0);
	assert_int_not_equal(decode(LIT("QUJDREVG"), 5, -1, &z), 0);
	assert_int_equal(err.type, LAMBDA_INVALID_PARAMETER);
	assert_int_not_equal(decode(LIT("QUJDREVG"), 6, fd, &z), 0);
	assert_int_equal(err.type, LAMBDA_CODE_STORAGE_EXCEEDED);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_found_wherever_it_stands),
		cmocka_unit_test(what_is_not_there_is_not_found),
		cmocka_unit_test(bytes_come_out_as_they_went_in),
		cmocka_unit_test(escapes_are_undone_at_any_place),
		cmocka_unit_test(only_base64_is_taken),
		cmocka_unit_test(size_is_bounded_and_write_errors_are_told),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
