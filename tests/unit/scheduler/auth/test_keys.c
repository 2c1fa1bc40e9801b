/* The key file: what is accepted, what is refused and how that is said. */
#include "scheduler/auth/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/unit.h"

#define TOKEN  "tokentokentoken1"

static const char full[] =
	"{\n"
	"  \"anonymousInvoke\": true,\n"
	"  \"tenants\": [{\"name\": \"acme\", \"account\": \"123456789012\"}],\n"
	"  \"keys\": [\n"
	"    {\"accessKeyId\": \"AKIDEXAMPLE\", \"secretAccessKey\": \"secretexample\"},\n"
	"    {\"name\": \"ci\", \"tenant\": \"acme\", \"tokens\": [\"" TOKEN "\", \"abcdefghijklmnop==\"]},\n"
	"    {\"name\": \"both\", \"tenant\": \"acme\", \"accessKeyId\": \"AKID2\", \"secretAccessKey\": \"wJalr/XUtn+FEMI\",\n"
	"     \"tokens\": [\"other-token._~+/=\"]}\n"
	"  ]\n"
	"}\n";

static struct keys *parse(const char *text)
{
	struct keys *k = NULL;
	struct stk_err err = {0};

	if (keys_parse(text, strlen(text), "k.json", &k, &err))
		fail_msg("%s", err.text);
	return k;
}

static void looked_up(void **state)
{
	struct keys *k = parse(full);
	struct key *key = keys_by_id(k, "AKIDEXAMPLE");

	assert_int_equal(keys_count(k), 3);
	assert_true(keys_anonymous_invoke(k));
	assert_non_null(key);
	assert_string_equal(key->name, "AKIDEXAMPLE");
	assert_string_equal(key->secret, "secretexample");
	assert_string_equal(key->tenant->name, "default");
	assert_string_equal(key->tenant->account, "000000000000");
	key = keys_by_token(k, TOKEN);
	assert_non_null(key);
	assert_string_equal(key->name, "ci");
	assert_string_equal(key->tenant->account, "123456789012");
	assert_ptr_equal(keys_by_token(k, "abcdefghijklmnop=="), key);
	assert_ptr_equal(keys_by_token(k, "other-token._~+/="), keys_by_id(k, "AKID2"));
	assert_null(keys_by_id(k, "AKID"));
	assert_null(keys_by_id(k, ""));
	assert_null(keys_by_token(k, ""));
	assert_null(keys_by_token(k, "tokentokentoken2"));
	keys_free(k);
}

static void hashed_token(void **state)
{
	char text[300], hex[65];
	uint8_t hash[SIGV4_HASH];
	struct keys *k;

	assert_int_equal(sigv4_hash(TOKEN, strlen(TOKEN), hash), 0);
	for (unsigned i = 0; i < SIGV4_HASH; i++)
		sprintf(hex + 2 * i, "%02x", hash[i]);
	snprintf(text, sizeof(text), "{\"keys\": [{\"name\": \"a\", \"tokens\": [\"sha256:%s\"]}]}", hex);
	k = parse(text);
	assert_non_null(keys_by_token(k, TOKEN));
	assert_null(keys_by_token(k, hex));
	keys_free(k);
}

/* The default tenant may be given another account. */
static void default_account(void **state)
{
	struct keys *k = parse("{\"tenants\": [{\"name\": \"default\", \"account\": \"111111111111\"}], "
			       "\"keys\": [{\"name\": \"a\", \"tokens\": [\"" TOKEN "\"]}]}");

	assert_string_equal(keys_by_token(k, TOKEN)->tenant->account, "111111111111");
	keys_free(k);
}

static void signing_key_is_kept(void **state)
{
	struct keys *k = parse(full);
	struct key *key = keys_by_id(k, "AKIDEXAMPLE");
	uint8_t want[SIGV4_HASH], other[SIGV4_HASH];
	const uint8_t *got;

	sigv4_signing_key("secretexample", "20260102", "us-east-1", want);
	sigv4_signing_key("secretexample", "20260102", "us-east-2", other);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(keys_signing(key, "20260102", "us-east-1", &got), 0);
		assert_memory_equal(got, want, SIGV4_HASH);
	}
	assert_int_equal(keys_signing(key, "20260102", "us-east-2", &got), 0);
	assert_memory_equal(got, other, SIGV4_HASH);
	assert_int_equal(keys_signing(key, "20260102", "us-east-1", &got), 0);
	assert_memory_equal(got, want, SIGV4_HASH);
	keys_free(k);
}

#define KEY(members) "{\"keys\": [{" members "}]}"
#define SECRET "\"secretAccessKey\": \"secretexample\""

/* Each with what the message must say; none may show a secret. */
static void refused(void **state)
{
	static const char *const bad[][2] = {
		{"", "line 1"},
		{"{\n\"keys\": [\n}", "line 3"},
		{"{\"keys\": []} x", "line 1"},
		{"[]", "expected an object"},
		{"{}", "keys"},
		{"{\"keys\": 1}", "keys"},
		{"{\"keys\": [], \"more\": 1}", "more"},
		{"{\"keys\": [], \"keys\": []}", "twice"},
		{"{\"keys\": [], \"anonymousInvoke\": \"yes\"}", "anonymousInvoke"},
		{"{\n\"keys\": [\n1]}", "line 3: keys[0]: expected an object"},
		{"{\n\"x\\\"keys\": 1, \"keys\": [{\"name\": \"keys\"},\n\n{}]}", "unknown field"},
		{"{\"keys\": [\n{\"name\": \"a\", \"tokens\": [\"" TOKEN "\", \n\"" TOKEN "2\"]},\n\n {\n}]}",
		 "line 5: keys[1]: "},
		{"{\"tenants\": [\n{\"name\": \"a\",\n \"account\": \"123456789012\"}, {\"name\": \"b\"}], \"keys\": []}",
		 "line 3: tenants[1]"},
		{"{\"tenants\": [{\"name\": \"a b\", \"account\": \"123456789012\"}], \"keys\": []}", "name"},
		{"{\"tenants\": [{\"name\": \"a\", \"account\": \"12345678901x\"}], \"keys\": []}", "12 digits"},
		{"{\"tenants\": [{\"name\": \"a\", \"account\": \"1234567890123\"}], \"keys\": []}", "account"},
		{"{\"tenants\": [{\"name\": \"a\", \"account\": \"000000000000\"}], \"keys\": []}", "default"},
		{"{\"tenants\": [{\"name\": \"a\", \"account\": \"123456789012\"}, {\"name\": \"a\", \"account\": "
		 "\"123456789013\"}], \"keys\": []}", "there already"},
		{KEY("\"accessKeyId\": \"A\""), "one without the other"},
		{KEY(SECRET), "one without the other"},
		{KEY("\"accessKeyId\": \"\", " SECRET), "accessKeyId"},
		{KEY("\"accessKeyId\": \"a/b\", " SECRET), "accessKeyId"},
		{KEY("\"accessKeyId\": \"a\", \"secretAccessKey\": \"short\""), "secretAccessKey"},
		{KEY("\"accessKeyId\": \"a\", \"secretAccessKey\": \"secret example\""), "secretAccessKey"},
		{KEY("\"name\": \"a\""), "needs"},
		{KEY("\"name\": \"a\", \"tokens\": []"), "needs"},
		{KEY("\"tokens\": [\"" TOKEN "\"]"), "name"},
		{KEY("\"name\": \"a/b\", \"tokens\": [\"" TOKEN "\"]"), "name"},
		{KEY("\"name\": \"a\", \"tokens\": [\"tokentoken\"]"), "tokens"},
		{KEY("\"name\": \"a\", \"tokens\": [\"token token token\"]"), "tokens"},
		{KEY("\"name\": \"a\", \"tokens\": [1]"), "tokens"},
		{KEY("\"name\": \"a\", \"tokens\": [\"" TOKEN "\\u0000x\"]"), "line 1"},
		{KEY("\"name\": \"a\", \"tokens\": [\"sha256:tokentoken\"]"), "sha256"},
		{KEY("\"name\": \"a\", \"tenant\": \"b\", \"tokens\": [\"" TOKEN "\"]"), "tenant"},
		{KEY("\"name\": \"a\", \"token\": \"" TOKEN "\""), "token"},
		{KEY("\"name\": \"a\", \"tokens\": [\"" TOKEN "\", \"" TOKEN "\"]"), "same token"},
		{"{\"keys\": [{\"name\": \"a\", \"tokens\": [\"" TOKEN "\"]}, {\"name\": \"b\", \"tokens\": [\"" TOKEN
		 "\"]}]}", "same token"},
		{"{\"keys\": [{\"name\": \"a\", \"tokens\": [\"" TOKEN "\"]}, {\"name\": \"a\", \"tokens\": [\"" TOKEN
		 "2\"]}]}", "there already"},
		{"{\"keys\": [{\"name\": \"a\", \"accessKeyId\": \"A\", " SECRET "}, {\"name\": \"b\", \"accessKeyId\": \"A\", "
		 SECRET "}]}", "twice"},
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		struct keys *k = NULL;
		struct stk_err err = {0};

		if (keys_parse(bad[i][0], strlen(bad[i][0]), "k.json", &k, &err) == 0)
			fail_msg("accepted: %s", bad[i][0]);
		if (!strstr(err.text, bad[i][1]) || strncmp(err.text, "key file k.json: ", 17) != 0)
			fail_msg("%s: \"%s\" is not in: %s", bad[i][0], bad[i][1], err.text);
		if (strstr(err.text, "secret example") || strstr(err.text, "tokentoken") || strstr(err.text, "secretexample"))
			fail_msg("a secret is shown: %s", err.text);
		assert_null(k);
	}
}

static void too_many(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct keys *k = NULL;
	struct stk_err err = {0};

	fputs("{\"keys\": [", f);
	for (int i = 0; i <= KEYS_MAX; i++)
		fprintf(f, "%s{\"name\": \"k%d\", \"tokens\": [\"tokentokentoken%d\"]}", i ? "," : "", i, i);
	fputs("]}", f);
	fclose(f);
	assert_true(keys_parse(text, len, "k", &k, &err) < 0);
	assert_non_null(strstr(err.text, "1024"));
	free(text);
}

/* A file of `mode` with `text`; returns what loading says. */
static int load(const char *text, mode_t mode, struct stk_err *err)
{
	char path[] = "/tmp/stoker-keys-XXXXXX";
	int fd = mkstemp(path), rc;
	struct keys *k = NULL;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	*err = (struct stk_err){0};
	rc = keys_load(path, &k, err);
	assert_int_equal(rc == 0, k != NULL);
	keys_free(k);
	unlink(path);
	return rc;
}

static void files(void **state)
{
	unsigned before = unit_count_fds();
	struct stk_err err;
	struct keys *k = NULL;
	char *big = malloc(KEYS_FILE_MAX + 2);

	assert_int_equal(load(full, 0600, &err), 0);
	assert_int_equal(load(full, 0640, &err), 0);
	assert_true(load(full, 0604, &err) < 0);
	assert_non_null(strstr(err.text, "chmod o-rwx"));
	assert_true(load(full, 0602, &err) < 0);
	assert_true(load("{\"keys\": [}", 0600, &err) < 0);
	assert_non_null(strstr(err.text, "line 1"));
	memset(big, ' ', KEYS_FILE_MAX + 1);
	big[KEYS_FILE_MAX + 1] = '\0';
	assert_int_equal(load(big, 0600, &err), -EFBIG);
	free(big);
	assert_int_equal(keys_load("/nonexistent/k", &k, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/k"));
	assert_true(keys_load("/tmp", &k, &err) < 0);
	assert_true(keys_load("/dev/null", &k, &err) < 0);
	assert_int_equal(unit_count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looked_up), cmocka_unit_test(hashed_token), cmocka_unit_test(default_account),
		cmocka_unit_test(signing_key_is_kept), cmocka_unit_test(refused), cmocka_unit_test(too_many),
		cmocka_unit_test(files),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
