/* SigV4: a known answer, every piece of it changed, forms that are refused, time, canonical forms. */
#include "scheduler/auth/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

/* Known answer: botocore makes the same. */
#define BODY      "{\"k\":1}"
#define SIGNATURE "34a8711f1254bce362c2d0ffe6e74de68e04c55a872eb6973ef172b6e443d678"
#define CANONICAL "c01b33858f98012397e42200f4e088ad6fa517f41516b6284ee02b99b4aa4e5c"
#define SCOPE     "AKIDEXAMPLE/20260102/us-east-1/lambda/aws4_request"
#define SIGNED    "host;x-amz-date;x-amz-log-type"
#define AUTH(scope, list, signature)                                                                             \
	"AWS4-HMAC-SHA256 Credential=" scope ", SignedHeaders=" list ", Signature=" signature
#define NOW 1767323045 /* 20260102T030405Z */

struct given {
	struct http_header headers[8];
	struct sigv4_request r;
	const char *body, *secret;
	int64_t now;
};

enum { HOST, DATE, LOG_TYPE, AUTHORIZATION };

static struct given vector(void)
{
	return (struct given){
		.headers = {{"Host", "127.0.0.1:9000"},
			    {"X-Amz-Date", "20260102T030405Z"},
			    {"X-Amz-Log-Type", "Tail"},
			    {"Authorization", AUTH(SCOPE, SIGNED, SIGNATURE)}},
		.r = {.method = "POST", .path = "/2015-03-31/functions/f%3Aal/invocations",
		      .query = "Qualifier=a%20b", .header_count = 4},
		.body = BODY,
		.secret = "secretexample",
		.now = NOW,
	};
}

static enum sigv4_reason check(struct given *g)
{
	uint8_t key[SIGV4_HASH], hash[SIGV4_HASH];
	enum sigv4_reason reason;
	struct sigv4 sig;

	g->r.headers = g->headers;
	reason = sigv4_read(&g->r, &sig);
	if (reason != SIGV4_OK)
		return reason;
	if (strcmp(sig.key_id, "AKIDEXAMPLE") != 0)
		return SIGV4_UNKNOWN_KEY;
	reason = sigv4_check_time(&sig, g->now);
	if (reason != SIGV4_OK)
		return reason;
	assert_int_equal(sigv4_signing_key(g->secret, sig.day, sig.region, key), 0);
	assert_int_equal(sigv4_hash(g->body, strlen(g->body), hash), 0);
	return sigv4_verify(&g->r, &sig, key, hash);
}

static void hex(const uint8_t *bytes, char *ret)
{
	for (unsigned i = 0; i < SIGV4_HASH; i++)
		sprintf(ret + 2 * i, "%02x", bytes[i]);
}

static void known_answer(void **state)
{
	struct given g = vector();
	uint8_t body[SIGV4_HASH], canonical[SIGV4_HASH], key[SIGV4_HASH], signature[SIGV4_HASH];
	char text[65];
	struct sigv4 sig;

	g.r.headers = g.headers;
	assert_int_equal(sigv4_read(&g.r, &sig), SIGV4_OK);
	assert_string_equal(sig.key_id, "AKIDEXAMPLE");
	assert_string_equal(sig.region, "us-east-1");
	assert_string_equal(sig.signed_headers, SIGNED);
	assert_int_equal(sig.time_s, NOW);
	assert_false(sig.presigned);
	sigv4_hash(BODY, strlen(BODY), body);
	assert_int_equal(sigv4_canonical(&g.r, &sig, body, canonical), SIGV4_OK);
	hex(canonical, text);
	assert_string_equal(text, CANONICAL);
	assert_int_equal(sigv4_signing_key("secretexample", sig.day, sig.region, key), 0);
	assert_int_equal(sigv4_sign(&sig, key, canonical, signature), 0);
	hex(signature, text);
	assert_string_equal(text, SIGNATURE);
	assert_int_equal(check(&g), SIGV4_OK);
}

/* Each piece changed alone. */
static void changed_pieces(void **state)
{
	static const struct {
		const char *what;
		int header; /* -1: none */
		const char *value; /* NULL: the header is left out */
		enum sigv4_reason want;
	} changes[] = {
		{"host", HOST, "127.0.0.1:9001", SIGV4_MISMATCH},
		{"no host", HOST, NULL, SIGV4_MISMATCH},
		{"log type", LOG_TYPE, "None", SIGV4_MISMATCH},
		{"no log type", LOG_TYPE, NULL, SIGV4_MISMATCH},
		{"time", DATE, "20260102T030406Z", SIGV4_MISMATCH},
		{"day", DATE, "20260103T030405Z", SIGV4_SCOPE},
		{"no date", DATE, NULL, SIGV4_MALFORMED},
		{"bad date", DATE, "20260230T030405Z", SIGV4_MALFORMED},
		{"long date", DATE, "20260102T030405Z0", SIGV4_MALFORMED},
		{"no signature at all", AUTHORIZATION, NULL, SIGV4_MISSING},
		{"key", AUTHORIZATION, AUTH("AKIDOTHER/20260102/us-east-1/lambda/aws4_request", SIGNED, SIGNATURE),
		 SIGV4_UNKNOWN_KEY},
		{"scope day", AUTHORIZATION, AUTH("AKIDEXAMPLE/20260103/us-east-1/lambda/aws4_request", SIGNED, SIGNATURE),
		 SIGV4_SCOPE},
		{"region", AUTHORIZATION, AUTH("AKIDEXAMPLE/20260102/us-east-2/lambda/aws4_request", SIGNED, SIGNATURE),
		 SIGV4_MISMATCH},
		{"service", AUTHORIZATION, AUTH("AKIDEXAMPLE/20260102/us-east-1/s3/aws4_request", SIGNED, SIGNATURE),
		 SIGV4_SCOPE},
		{"terminator", AUTHORIZATION, AUTH("AKIDEXAMPLE/20260102/us-east-1/lambda/aws5_request", SIGNED, SIGNATURE),
		 SIGV4_SCOPE},
		{"short scope", AUTHORIZATION, AUTH("AKIDEXAMPLE/20260102/us-east-1/lambda", SIGNED, SIGNATURE),
		 SIGV4_MALFORMED},
		{"long scope", AUTHORIZATION, AUTH(SCOPE "/x", SIGNED, SIGNATURE), SIGV4_MALFORMED},
		{"empty key", AUTHORIZATION, AUTH("/20260102/us-east-1/lambda/aws4_request", SIGNED, SIGNATURE),
		 SIGV4_MALFORMED},
		{"signature", AUTHORIZATION,
		 AUTH(SCOPE, SIGNED, "44a8711f1254bce362c2d0ffe6e74de68e04c55a872eb6973ef172b6e443d678"),
		 SIGV4_MISMATCH},
		{"short signature", AUTHORIZATION, AUTH(SCOPE, SIGNED, "34a8"), SIGV4_MALFORMED},
		{"long signature", AUTHORIZATION, AUTH(SCOPE, SIGNED, SIGNATURE "0"), SIGV4_MALFORMED},
		{"signature in capitals", AUTHORIZATION,
		 AUTH(SCOPE, SIGNED, "34A8711F1254BCE362C2D0FFE6E74DE68E04C55A872EB6973EF172B6E443D678"), SIGV4_MALFORMED},
		{"order of signed headers", AUTHORIZATION, AUTH(SCOPE, "host;x-amz-log-type;x-amz-date", SIGNATURE),
		 SIGV4_MALFORMED},
		{"doubled signed header", AUTHORIZATION, AUTH(SCOPE, "host;host;x-amz-date;x-amz-log-type", SIGNATURE),
		 SIGV4_MALFORMED},
		{"empty signed header", AUTHORIZATION, AUTH(SCOPE, SIGNED ";", SIGNATURE), SIGV4_MALFORMED},
		{"no signed headers", AUTHORIZATION, AUTH(SCOPE, "", SIGNATURE), SIGV4_MALFORMED},
		{"capitals in signed headers", AUTHORIZATION, AUTH(SCOPE, "Host;x-amz-date;x-amz-log-type", SIGNATURE),
		 SIGV4_MALFORMED},
		{"host not signed", AUTHORIZATION, AUTH(SCOPE, "x-amz-date;x-amz-log-type", SIGNATURE), SIGV4_UNSIGNED},
		{"x-amz- header not signed", AUTHORIZATION, AUTH(SCOPE, "host;x-amz-date", SIGNATURE), SIGV4_UNSIGNED},
		{"a signed header that is not there", AUTHORIZATION, AUTH(SCOPE, SIGNED ";x-amz-z", SIGNATURE),
		 SIGV4_MISMATCH},
		{"other algorithm", AUTHORIZATION, "AWS4-HMAC-SHA1 Credential=" SCOPE, SIGV4_MISSING},
		{"bearer", AUTHORIZATION, "Bearer 34a8711f1254bce3", SIGV4_MISSING},
		{"algorithm run on", AUTHORIZATION, "AWS4-HMAC-SHA256x Credential=" SCOPE, SIGV4_MALFORMED},
		{"algorithm alone", AUTHORIZATION, "AWS4-HMAC-SHA256", SIGV4_MALFORMED},
		{"part missing", AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=" SCOPE ", Signature=" SIGNATURE,
		 SIGV4_MALFORMED},
		{"part doubled", AUTHORIZATION, AUTH(SCOPE, SIGNED, SIGNATURE) ", Signature=" SIGNATURE, SIGV4_MALFORMED},
		{"part unknown", AUTHORIZATION, AUTH(SCOPE, SIGNED, SIGNATURE) ", More=1", SIGV4_MALFORMED},
		{"no comma", AUTHORIZATION,
		 "AWS4-HMAC-SHA256 Credential=" SCOPE " SignedHeaders=" SIGNED " Signature=" SIGNATURE, SIGV4_MALFORMED},
	};
	struct given g;

	for (size_t i = 0; i < STK_ARRAY_LEN(changes); i++) {
		enum sigv4_reason got;

		g = vector();
		g.headers[changes[i].header] = changes[i].value
						       ? (struct http_header){g.headers[changes[i].header].name,
									      changes[i].value}
						       : (struct http_header){"x-none", ""};
		got = check(&g);
		if (got != changes[i].want)
			fail_msg("%s: reason %d, not %d", changes[i].what, got, changes[i].want);
	}
#define CHANGED(what, want)                         \
	do {                                        \
		g = vector();                       \
		what;                               \
		assert_int_equal(check(&g), want);  \
	} while (0)
	CHANGED(g.r.method = "PUT", SIGV4_MISMATCH);
	CHANGED(g.r.path = "/2015-03-31/functions/f%3Aam/invocations", SIGV4_MISMATCH);
	CHANGED(g.r.path = "/2015-03-31/functions/f:al/invocations", SIGV4_MISMATCH);
	CHANGED(g.r.path = "/2015-03-31/functions/f%3aal/invocations", SIGV4_MISMATCH);
	CHANGED(g.r.path = "/2015-03-31/functions/f%3Aal/invocations/", SIGV4_MISMATCH);
	CHANGED(g.r.query = "Qualifier=a%20c", SIGV4_MISMATCH);
	CHANGED(g.r.query = "Qualifier=a%20b&x=1", SIGV4_MISMATCH);
	CHANGED(g.r.query = "Qualifier=a%2b", SIGV4_MISMATCH);
	CHANGED(g.r.query = "Qualifier=a%2", SIGV4_MALFORMED);
	CHANGED(g.r.query = "", SIGV4_MISMATCH);
	CHANGED(g.body = "{\"k\":2}", SIGV4_MISMATCH);
	CHANGED(g.body = "", SIGV4_MISMATCH);
	CHANGED(g.secret = "secretexamplf", SIGV4_MISMATCH);
	/* One header more that would matter, or one doubled. */
	CHANGED((g.headers[4] = (struct http_header){"X-Amz-Invocation-Type", "Event"}, g.r.header_count = 5),
		SIGV4_UNSIGNED);
	CHANGED((g.headers[4] = (struct http_header){"x-amz-log-type", "None"}, g.r.header_count = 5), SIGV4_MISMATCH);
	CHANGED((g.headers[4] = (struct http_header){"X-Amz-Date", "20260102T030405Z"}, g.r.header_count = 5),
		SIGV4_MALFORMED);
	CHANGED((g.headers[4] = g.headers[3], g.r.header_count = 5), SIGV4_MALFORMED);
}

/* What means the same has the same signature. */
static void same_meaning(void **state)
{
	struct given g;

	CHANGED(g.headers[AUTHORIZATION].value = "AWS4-HMAC-SHA256 Credential=" SCOPE ",SignedHeaders=" SIGNED
						 ",Signature=" SIGNATURE, SIGV4_OK);
	CHANGED(g.headers[AUTHORIZATION].value = "AWS4-HMAC-SHA256  Signature=" SIGNATURE " , SignedHeaders=" SIGNED
						 ", Credential=" SCOPE, SIGV4_OK);
	CHANGED(g.headers[LOG_TYPE].name = "x-amz-LOG-type", SIGV4_OK);
	CHANGED(g.headers[LOG_TYPE].value = "  Tail ", SIGV4_OK);
	CHANGED(g.r.query = "Qualifier=a+b", SIGV4_OK);
	CHANGED(g.r.query = "&%51ualifier=a%20%62&", SIGV4_OK);
	CHANGED(g.r.path = "//2015-03-31/./functions/x/../f%3Aal//invocations", SIGV4_OK);
	CHANGED((g.headers[4] = (struct http_header){"User-Agent", "x"}, g.r.header_count = 5), SIGV4_OK);
}

/* --- signing, to make requests of other shapes ------------------------------------------------------- */

/* The signature g should have, over `body_hash`. */
static void sign(struct given *g, const uint8_t *body_hash, char *ret_hex)
{
	uint8_t key[SIGV4_HASH], canonical[SIGV4_HASH], signature[SIGV4_HASH];
	struct sigv4 sig;

	g->r.headers = g->headers;
	assert_int_equal(sigv4_read(&g->r, &sig), SIGV4_OK);
	assert_int_equal(sigv4_signing_key(g->secret, sig.day, sig.region, key), 0);
	assert_int_equal(sigv4_canonical(&g->r, &sig, body_hash, canonical), SIGV4_OK);
	assert_int_equal(sigv4_sign(&sig, key, canonical, signature), 0);
	hex(signature, ret_hex);
}

static void query_order(void **state)
{
	static const char *const same[][2] = {
		{"a=1&b=2", "b=2&a=1"},          {"a=2&a=1", "a=1&a=2"},      {"a", "a="},
		{"a=%C3%A4&b", "b=&a=\xc3\xa4"}, {"a%20b=1&a-b=2", "a-b=2&a+b=1"}, {"a=~&a=%2F", "a=/&a=%7E"},
	};
	static const char *const different[][2] = {{"a=1", "a=1&a=1"}, {"a=1&b=2", "a=2&b=1"}, {"ab=c", "a=bc"},
						   {"a%3Db=", "a=b"},  {"a%26b", "a&b"},       {"a=%2B", "a=+"}};
	uint8_t hash[SIGV4_HASH] = {0};
	struct given g = vector(), h = vector();
	char x[65], y[65];

	for (size_t i = 0; i < STK_ARRAY_LEN(same); i++) {
		g.r.query = same[i][0];
		h.r.query = same[i][1];
		sign(&g, hash, x);
		sign(&h, hash, y);
		assert_string_equal(x, y);
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(different); i++) {
		g.r.query = different[i][0];
		h.r.query = different[i][1];
		sign(&g, hash, x);
		sign(&h, hash, y);
		assert_string_not_equal(x, y);
	}
}

static void bounds(void **state)
{
	char query[2 * SIGV4_PARAMS_MAX + 3] = "", path[2 * SIGV4_SEGMENTS_MAX + 3] = "", list[SIGV4_SIGNED_MAX + 400];
	struct given g = vector();

	for (unsigned i = 0; i < SIGV4_PARAMS_MAX + 1; i++)
		memcpy(query + 2 * i, "a&", 3);
	g.r.query = query;
	assert_int_equal(check(&g), SIGV4_MALFORMED);
	query[2 * SIGV4_PARAMS_MAX] = '\0';
	assert_int_equal(check(&g), SIGV4_MISMATCH);
	g = vector();
	for (unsigned i = 0; i < SIGV4_SEGMENTS_MAX + 1; i++)
		memcpy(path + 2 * i, "/a", 3);
	g.r.path = path;
	assert_int_equal(check(&g), SIGV4_MALFORMED);
	path[2 * SIGV4_SEGMENTS_MAX] = '\0';
	assert_int_equal(check(&g), SIGV4_MISMATCH);
	g = vector();
	snprintf(list, sizeof(list), "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=%0*d, Signature=" SIGNATURE,
		 SIGV4_SIGNED_MAX + 1, 0);
	g.headers[AUTHORIZATION].value = list;
	assert_int_equal(check(&g), SIGV4_MALFORMED);
}

static void times(void **state)
{
	char text[200];
	struct given g;
	struct sigv4 sig;

	CHANGED(g.now += 300, SIGV4_OK);
	CHANGED(g.now -= 300, SIGV4_OK);
	CHANGED(g.now += 301, SIGV4_EXPIRED);
	CHANGED(g.now -= 301, SIGV4_NOT_YET);
	sigv4_read(&g.r, &sig);
	sigv4_message(SIGV4_EXPIRED, &sig, NOW + 1000, text, sizeof(text));
	assert_non_null(strstr(text, "Signature expired"));
	assert_non_null(strstr(text, "20260102T030405Z"));
	assert_non_null(strstr(text, "20260102T032045Z"));
	sigv4_message(SIGV4_NOT_YET, &sig, NOW - 1000, text, sizeof(text));
	assert_non_null(strstr(text, "not yet current"));
	for (int i = SIGV4_MISSING; i < SIGV4_REASONS; i++) {
		sigv4_message(i, &sig, NOW, text, sizeof(text));
		assert_string_not_equal(text, "");
		assert_in_range(sigv4_error(i)->status, 400, 500);
		assert_string_not_equal(sigv4_error(i)->type, "");
	}
}

/* Date in place of X-Amz-Date, in either form. */
static void date_header(void **state)
{
	static const char *const forms[] = {"Fri, 02 Jan 2026 03:04:05 GMT", "20260102T030405Z"};
	static const char *const bad[] = {"Fri, 02 Jan 2026 03:04:05 CET", "", "Friday", "Fri, 02 Jan 2026 03:04:05 GMT x",
					  "Fri, 02 Jan 202600 03:04:05 GMT"};
	uint8_t hash[SIGV4_HASH];
	char text[400], signature[65];
	struct given g = vector();

	sigv4_hash(BODY, strlen(BODY), hash);
	g.headers[AUTHORIZATION].value = AUTH(SCOPE, "date;host;x-amz-log-type", SIGNATURE);
	for (size_t i = 0; i < STK_ARRAY_LEN(forms); i++) {
		g.headers[DATE] = (struct http_header){"Date", forms[i]};
		g.headers[AUTHORIZATION].value = AUTH(SCOPE, "date;host;x-amz-log-type", SIGNATURE);
		sign(&g, hash, signature);
		snprintf(text, sizeof(text), "AWS4-HMAC-SHA256 Credential=" SCOPE
			 ", SignedHeaders=date;host;x-amz-log-type, Signature=%s", signature);
		g.headers[AUTHORIZATION].value = text;
		assert_int_equal(check(&g), SIGV4_OK);
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		g.headers[DATE] = (struct http_header){"Date", bad[i]};
		assert_int_equal(check(&g), SIGV4_MALFORMED);
	}
}

/* The hash of the body as a header: signed, and then true. */
static void body_hash_header(void **state)
{
	static const char *const refused[] = {"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "00"};
	uint8_t hash[SIGV4_HASH];
	char text[400], signature[65], body[65];
	struct given g = vector();
	struct sigv4 sig;
	uint8_t key[SIGV4_HASH];

	sigv4_hash(BODY, strlen(BODY), hash);
	hex(hash, body);
	g.headers[4] = (struct http_header){"X-Amz-Content-SHA256", body};
	g.r.header_count = 5;
	assert_int_equal(check(&g), SIGV4_UNSIGNED);
	g.headers[AUTHORIZATION].value = AUTH(SCOPE, "host;x-amz-content-sha256;x-amz-date;x-amz-log-type", SIGNATURE);
	sign(&g, hash, signature);
	snprintf(text, sizeof(text), "AWS4-HMAC-SHA256 Credential=" SCOPE
		 ", SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-log-type, Signature=%s", signature);
	g.headers[AUTHORIZATION].value = text;
	assert_int_equal(check(&g), SIGV4_OK);
	g.body = "{}";
	assert_int_equal(check(&g), SIGV4_BODY);
	/* Before the body is there: the claim is believed, and nothing else is. */
	assert_int_equal(sigv4_read(&g.r, &sig), SIGV4_OK);
	assert_int_equal(sigv4_signing_key(g.secret, sig.day, sig.region, key), 0);
	assert_int_equal(sigv4_verify(&g.r, &sig, key, NULL), SIGV4_OK);
	body[0] = body[0] == '1' ? '2' : '1';
	assert_int_equal(check(&g), SIGV4_MISMATCH);
	for (size_t i = 0; i < STK_ARRAY_LEN(refused); i++) {
		g.headers[4].value = refused[i];
		assert_int_equal(check(&g), SIGV4_PAYLOAD);
	}
}

#define PRESIGNED(method_expires)                                                                          \
	"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Fus-east-1%2Flambda"     \
	"%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=" method_expires "&X-Amz-SignedHeaders=host"

static struct given presigned(char *query, size_t cap, const char *form)
{
	uint8_t hash[SIGV4_HASH];
	char signature[65];
	struct given g = {.headers = {{"Host", "h"}}, .secret = "secretexample", .body = "", .now = NOW,
			  .r = {.method = "GET", .path = "/2015-03-31/functions/f", .header_count = 1}};

	sigv4_hash("", 0, hash);
	snprintf(query, cap, "%s&X-Amz-Signature=" SIGNATURE, form);
	g.r.query = query;
	sign(&g, hash, signature);
	snprintf(query, cap, "X-Amz-Signature=%s&%s", signature, form);
	return g;
}

static void presigned_urls(void **state)
{
	static const char *const bad[] = {PRESIGNED("0"), PRESIGNED("604801"), PRESIGNED("1x"), PRESIGNED("9&X-Amz-Date=2"),
					  "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-HMAC-SHA1&" PRESIGNED("9"),
					  "X-Amz-Algorithm=AWS4%2"};
	char query[700], text[200];
	struct sigv4 sig;
	struct given g = presigned(query, sizeof(query), PRESIGNED("900") "&Qualifier=%24LATEST");

	assert_int_equal(check(&g), SIGV4_OK);
	g.now = NOW + 900;
	assert_int_equal(check(&g), SIGV4_OK);
	g.now = NOW + 901;
	assert_int_equal(check(&g), SIGV4_EXPIRED);
	sigv4_read(&g.r, &sig);
	sigv4_message(SIGV4_EXPIRED, &sig, g.now, text, sizeof(text));
	assert_non_null(strstr(text, "900 seconds"));
	g.now = NOW - 301;
	assert_int_equal(check(&g), SIGV4_NOT_YET);
	g.now = NOW;
	g.body = "x";
	assert_int_equal(check(&g), SIGV4_MISMATCH);
	g.body = "";
	g.r.path = "/2015-03-31/functions/g";
	assert_int_equal(check(&g), SIGV4_MISMATCH);
	g.r.method = "POST";
	assert_int_equal(check(&g), SIGV4_PAYLOAD);
	g.r.method = "GET";
	g.headers[1] = (struct http_header){"X-Amz-Invocation-Type", "Event"};
	g.r.header_count = 2;
	assert_int_equal(check(&g), SIGV4_UNSIGNED);
	g.headers[1] = (struct http_header){"Authorization", AUTH(SCOPE, SIGNED, SIGNATURE)};
	assert_int_equal(check(&g), SIGV4_MALFORMED);
	g.r.header_count = 1;
	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		g.r.query = bad[i];
		assert_int_equal(check(&g), SIGV4_MALFORMED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answer), cmocka_unit_test(changed_pieces), cmocka_unit_test(same_meaning),
		cmocka_unit_test(query_order),  cmocka_unit_test(bounds),         cmocka_unit_test(times),
		cmocka_unit_test(date_header),  cmocka_unit_test(body_hash_header), cmocka_unit_test(presigned_urls),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
