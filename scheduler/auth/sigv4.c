/* Reading a signature and judging it: see sigv4.h. The canonical forms are in sigv4_canonical.c. */
#include "scheduler/auth/sigv4.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"

#define ALGORITHM      "AWS4-HMAC-SHA256"
#define SERVICE        "lambda"
#define TERMINATOR     "aws4_request"
#define CREDENTIAL_MAX 256

/* --- hashes -------------------------------------------------------------------------------------- */

int sigv4_hash(const void *data, size_t len, uint8_t ret_hash[SIGV4_HASH])
{
	return EVP_Digest(len ? data : "", len, ret_hash, NULL, EVP_sha256(), NULL) ? 0 : -ENOMEM;
}

static int hmac(const uint8_t *key, size_t key_len, const char *text, uint8_t *ret)
{
	return HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, strlen(text), ret, NULL) ? 0 : -ENOMEM;
}

int sigv4_signing_key(const char *secret, const char *day, const char *region, uint8_t ret_key[SIGV4_HASH])
{
	char first[4 + 512 + 1];
	int rc = stk_snprintf(first, sizeof(first), "AWS4%s", secret);

	rc = rc ? rc : hmac((const uint8_t *)first, strlen(first), day, ret_key);
	rc = rc ? rc : hmac(ret_key, SIGV4_HASH, region, ret_key);
	rc = rc ? rc : hmac(ret_key, SIGV4_HASH, SERVICE, ret_key);
	rc = rc ? rc : hmac(ret_key, SIGV4_HASH, TERMINATOR, ret_key);
	OPENSSL_cleanse(first, sizeof(first));
	return rc;
}

bool sigv4_same(const uint8_t a[SIGV4_HASH], const uint8_t b[SIGV4_HASH])
{
	return CRYPTO_memcmp(a, b, SIGV4_HASH) == 0;
}

/* --- reading ------------------------------------------------------------------------------------- */

/* The parts of a signature as they stand in the header or, decoded, in the query; NULL: not there. */
struct parts {
	char credential[CREDENTIAL_MAX + 1];
	char signature[2 * SIGV4_HASH + 1];
	bool has_credential, has_signed, has_signature;
};

bool sigv4_read_hex(const char *text, uint8_t ret[SIGV4_HASH])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 2 * SIGV4_HASH; i++) {
		const char *d = text[i] ? strchr(digits, text[i]) : NULL;

		if (!d)
			return false;
		ret[i / 2] = (uint8_t)(ret[i / 2] << 4 | (d - digits));
	}
	return text[2 * SIGV4_HASH] == '\0';
}

static bool number(const char *text, unsigned digits, int *ret)
{
	*ret = 0;
	for (unsigned i = 0; i < digits; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*ret = *ret * 10 + (text[i] - '0');
	}
	return true;
}

/* YYYYMMDDTHHMMSSZ, and a date that there is. */
static bool read_time(const char *text, int64_t *ret_s)
{
	struct tm tm = {0}, back;
	time_t s;

	if (strlen(text) != 16 || text[8] != 'T' || text[15] != 'Z' || !number(text, 4, &tm.tm_year) ||
	    !number(text + 4, 2, &tm.tm_mon) || !number(text + 6, 2, &tm.tm_mday) ||
	    !number(text + 9, 2, &tm.tm_hour) || !number(text + 11, 2, &tm.tm_min) || !number(text + 13, 2, &tm.tm_sec))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	s = timegm(&back);
	if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon || back.tm_hour != tm.tm_hour ||
	    back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
		return false;
	*ret_s = s;
	return true;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", for clients that sign with Date alone. */
static bool read_http_date(const char *text, struct sigv4 *sig)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

	if (!end || *end)
		return false;
	sig->time_s = timegm(&tm);
	return tm.tm_year >= -900 && tm.tm_year <= 8099 &&
	       strftime(sig->time, sizeof(sig->time), "%Y%m%dT%H%M%SZ", &tm) == 16;
}

/* The value of a header that may come once; NULL: not there. False: more than once. */
static bool header_once(const struct sigv4_request *r, const char *name, const char **ret_value)
{
	*ret_value = NULL;
	for (size_t i = 0; i < r->header_count; i++) {
		if (strcasecmp(r->headers[i].name, name) != 0)
			continue;
		if (*ret_value)
			return false;
		*ret_value = r->headers[i].value;
	}
	return true;
}

/* KEY/DAY/REGION/lambda/aws4_request. */
static enum sigv4_reason read_credential(char *text, struct sigv4 *sig)
{
	char *field[5], *save = text;
	unsigned n = 0;
	int ignored;

	for (; n < 5 && save; n++)
		field[n] = strsep(&save, "/");
	if (n != 5 || save || !stk_only(field[0], "-_") || stk_strcpy(sig->key_id, sizeof(sig->key_id), field[0]) ||
	    strlen(field[1]) != 8 || !number(field[1], 8, &ignored) || !stk_only(field[2], "-") ||
	    stk_strcpy(sig->region, sizeof(sig->region), field[2]))
		return SIGV4_MALFORMED;
	strcpy(sig->day, field[1]);
	return strcmp(field[3], SERVICE) == 0 && strcmp(field[4], TERMINATOR) == 0 ? SIGV4_OK : SIGV4_SCOPE;
}

/* "a;b;c": lower case, each once, in order, so that one request has one signature. */
static bool signed_headers_ok(const char *list)
{
	const char *before = NULL;
	size_t before_len = 0;

	for (;;) {
		size_t len = strcspn(list, ";"), common = len < before_len ? len : before_len;
		int order = before ? memcmp(before, list, common) : -1;

		if (len == 0 || order > 0 || (order == 0 && before_len >= len))
			return false;
		for (size_t i = 0; i < len; i++) {
			unsigned char c = (unsigned char)list[i];

			if (c <= ' ' || c >= 0x7f || c == ',' || c == ':' || (c >= 'A' && c <= 'Z'))
				return false;
		}
		if (!list[len])
			return true;
		before = list;
		before_len = len;
		list += len + 1;
	}
}

static bool is_signed(const struct sigv4 *sig, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = sig->signed_headers; p; p = strchr(p, ';')) {
		p += *p == ';';
		if (strncasecmp(p, name, len) == 0 && (p[len] == ';' || p[len] == '\0'))
			return true;
	}
	return false;
}

/* What a client leaves out of the signature could be changed by anyone on the way. */
static bool all_signed(const struct sigv4_request *r, const struct sigv4 *sig)
{
	if (!is_signed(sig, "host"))
		return false;
	for (size_t i = 0; i < r->header_count; i++) {
		if (strncasecmp(r->headers[i].name, "x-amz-", 6) == 0 && !is_signed(sig, r->headers[i].name))
			return false;
	}
	return true;
}

/* One "Name=value" of the Authorization header. */
static bool take_part(const char *p, size_t len, struct parts *parts, struct sigv4 *sig)
{
	static const struct {
		const char *name;
		size_t dst, cap, has;
		bool in_sig;
	} known[] = {
		{"Credential=", offsetof(struct parts, credential), sizeof(parts->credential),
		 offsetof(struct parts, has_credential), false},
		{"SignedHeaders=", offsetof(struct sigv4, signed_headers), sizeof(sig->signed_headers),
		 offsetof(struct parts, has_signed), true},
		{"Signature=", offsetof(struct parts, signature), sizeof(parts->signature),
		 offsetof(struct parts, has_signature), false},
	};

	for (unsigned i = 0; i < STK_ARRAY_LEN(known); i++) {
		size_t n = strlen(known[i].name);
		char *dst = (known[i].in_sig ? (char *)sig : (char *)parts) + known[i].dst;
		bool *has = (bool *)((char *)parts + known[i].has);

		if (len < n || strncmp(p, known[i].name, n) != 0)
			continue;
		if (*has || len - n >= known[i].cap)
			return false;
		memcpy(dst, p + n, len - n);
		dst[len - n] = '\0';
		*has = true;
		return true;
	}
	return false;
}

static enum sigv4_reason read_authorization(const char *value, struct parts *parts, struct sigv4 *sig)
{
	const char *p = value + strlen(ALGORITHM);

	if (*p != ' ' && *p != '\t')
		return SIGV4_MALFORMED;
	for (;;) {
		size_t len;

		p += strspn(p, " \t");
		len = strcspn(p, ", \t");
		if (!take_part(p, len, parts, sig))
			return SIGV4_MALFORMED;
		p += len;
		p += strspn(p, " \t");
		if (!*p)
			break;
		if (*p++ != ',')
			return SIGV4_MALFORMED;
	}
	return parts->has_credential && parts->has_signed && parts->has_signature ? SIGV4_OK : SIGV4_MALFORMED;
}

/* One parameter of a presigned URL, decoded. -ENOENT, or -EINVAL when doubled, too long or badly escaped. */
static int param(const char *query, const char *name, char *dst, size_t cap)
{
	size_t n = strlen(name);
	int rc = -ENOENT;

	for (const char *p = query; *p;) {
		size_t len = strcspn(p, "&");

		if (len > n && strncmp(p, name, n) == 0 && p[n] == '=') {
			if (rc == 0 || http_url_decode(p + n + 1, len - n - 1, true, dst, cap))
				return -EINVAL;
			rc = 0;
		}
		p += len;
		p += *p == '&';
	}
	return rc;
}

static enum sigv4_reason read_query(const struct sigv4_request *r, struct parts *parts, struct sigv4 *sig)
{
	char text[32];
	uint64_t expires = 0;
	int rc = param(r->query, "X-Amz-Algorithm", text, sizeof(text));

	if (rc == -ENOENT)
		return SIGV4_MISSING;
	if (rc || strcmp(text, ALGORITHM) != 0 ||
	    param(r->query, "X-Amz-Credential", parts->credential, sizeof(parts->credential)) ||
	    param(r->query, "X-Amz-SignedHeaders", sig->signed_headers, sizeof(sig->signed_headers)) ||
	    param(r->query, "X-Amz-Signature", parts->signature, sizeof(parts->signature)) ||
	    param(r->query, "X-Amz-Date", sig->time, sizeof(sig->time)) || !read_time(sig->time, &sig->time_s) ||
	    param(r->query, "X-Amz-Expires", text, sizeof(text)) ||
	    stk_parse_u64(text, 1, SIGV4_EXPIRES_MAX, &expires))
		return SIGV4_MALFORMED;
	/* Clients presign a POST as if it had no body: no use for events. */
	if (strcmp(r->method, "GET") != 0)
		return SIGV4_PAYLOAD;
	sig->presigned = true;
	sig->expires_s = (int64_t)expires;
	return SIGV4_OK;
}

static enum sigv4_reason read_date_header(const struct sigv4_request *r, struct sigv4 *sig)
{
	const char *value;

	if (!header_once(r, "x-amz-date", &value))
		return SIGV4_MALFORMED;
	if (!value) {
		if (!header_once(r, "date", &value) || !value)
			return SIGV4_MALFORMED;
		if (read_http_date(value, sig))
			return SIGV4_OK;
	}
	return stk_strcpy(sig->time, sizeof(sig->time), value) == 0 && read_time(sig->time, &sig->time_s)
		       ? SIGV4_OK
		       : SIGV4_MALFORMED;
}

enum sigv4_reason sigv4_read(const struct sigv4_request *r, struct sigv4 *ret_sig)
{
	struct parts parts = {.credential = ""};
	const char *authorization, *hash;
	enum sigv4_reason reason;
	bool in_header;

	*ret_sig = (struct sigv4){.key_id = ""};
	if (!header_once(r, "authorization", &authorization) || !header_once(r, "x-amz-content-sha256", &hash))
		return SIGV4_MALFORMED;
	in_header = authorization && strncmp(authorization, ALGORITHM, strlen(ALGORITHM)) == 0;
	reason = read_query(r, &parts, ret_sig);
	if (in_header && reason != SIGV4_MISSING)
		return SIGV4_MALFORMED; /* which of the two? */
	if (in_header) {
		reason = read_authorization(authorization, &parts, ret_sig);
		if (reason == SIGV4_OK)
			reason = read_date_header(r, ret_sig);
	}
	if (reason != SIGV4_OK)
		return reason;
	if (!sigv4_read_hex(parts.signature, ret_sig->signature) || !signed_headers_ok(ret_sig->signed_headers))
		return SIGV4_MALFORMED;
	reason = read_credential(parts.credential, ret_sig);
	if (reason != SIGV4_OK)
		return reason;
	if (memcmp(ret_sig->day, ret_sig->time, 8) != 0)
		return SIGV4_SCOPE;
	if (!all_signed(r, ret_sig))
		return SIGV4_UNSIGNED;
	if (hash) {
		if (!sigv4_read_hex(hash, ret_sig->hash))
			return SIGV4_PAYLOAD; /* UNSIGNED-PAYLOAD, STREAMING-...: of S3 alone */
		ret_sig->has_hash = true;
	}
	return SIGV4_OK;
}

/* --- judging ------------------------------------------------------------------------------------- */

enum sigv4_reason sigv4_check_time(const struct sigv4 *sig, int64_t now_s)
{
	int64_t life = sig->presigned ? sig->expires_s : SIGV4_SKEW_S;

	if (sig->time_s - now_s > SIGV4_SKEW_S)
		return SIGV4_NOT_YET;
	return now_s - sig->time_s > life ? SIGV4_EXPIRED : SIGV4_OK;
}

static void hex(const uint8_t *bytes, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < SIGV4_HASH; i++) {
		*ret++ = digits[bytes[i] >> 4];
		*ret++ = digits[bytes[i] & 15];
	}
	*ret = '\0';
}

int sigv4_sign(const struct sigv4 *sig, const uint8_t key[SIGV4_HASH], const uint8_t canonical[SIGV4_HASH],
	       uint8_t ret_signature[SIGV4_HASH])
{
	char text[256], canonical_hex[2 * SIGV4_HASH + 1];

	hex(canonical, canonical_hex);
	if (stk_snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s/%s/" SERVICE "/" TERMINATOR "\n%s", sig->time,
			 sig->day, sig->region, canonical_hex))
		return -EINVAL;
	return hmac(key, SIGV4_HASH, text, ret_signature);
}

enum sigv4_reason sigv4_verify(const struct sigv4_request *r, const struct sigv4 *sig,
			       const uint8_t key[SIGV4_HASH], const uint8_t *body_hash)
{
	uint8_t canonical[SIGV4_HASH], want[SIGV4_HASH];
	enum sigv4_reason reason;
	bool same;

	if (!body_hash && !sig->has_hash)
		return SIGV4_MALFORMED;
	reason = sigv4_canonical(r, sig, sig->has_hash ? sig->hash : body_hash, canonical);
	if (reason != SIGV4_OK)
		return reason;
	if (sigv4_sign(sig, key, canonical, want))
		return SIGV4_INTERNAL;
	same = sigv4_same(want, sig->signature);
	OPENSSL_cleanse(want, sizeof(want)); /* of a forged request this is what its sender is after */
	if (!same)
		return SIGV4_MISMATCH;
	return body_hash && sig->has_hash && !sigv4_same(sig->hash, body_hash) ? SIGV4_BODY : SIGV4_OK;
}

/* --- saying so ------------------------------------------------------------------------------------ */

static const struct sigv4_error errors[SIGV4_REASONS] = {
	[SIGV4_OK] = {200, "", "none"},
	[SIGV4_MISSING] = {403, "MissingAuthenticationTokenException", "missing"},
	[SIGV4_MALFORMED] = {400, "IncompleteSignatureException", "malformed"},
	[SIGV4_SCOPE] = {403, "InvalidSignatureException", "scope"},
	[SIGV4_UNSIGNED] = {403, "InvalidSignatureException", "unsigned_header"},
	[SIGV4_PAYLOAD] = {403, "InvalidSignatureException", "payload"},
	[SIGV4_EXPIRED] = {403, "InvalidSignatureException", "expired"},
	[SIGV4_NOT_YET] = {403, "InvalidSignatureException", "not_yet"},
	[SIGV4_UNKNOWN_KEY] = {403, "UnrecognizedClientException", "unknown_key"},
	[SIGV4_BODY] = {403, "InvalidSignatureException", "body"},
	[SIGV4_MISMATCH] = {403, "InvalidSignatureException", "signature"},
	[SIGV4_INTERNAL] = {500, "ServiceException", "internal"},
};

static const char *const messages[SIGV4_REASONS] = {
	[SIGV4_MISSING] = "this request needs a signature: give your client an access key",
	[SIGV4_MALFORMED] = "the signature is incomplete: it needs Credential, SignedHeaders, Signature and a date, "
			    "each once",
	[SIGV4_SCOPE] = "the credential's scope must be the request's day, a region, lambda and aws4_request",
	[SIGV4_UNSIGNED] = "host and all x-amz- headers must be signed",
	[SIGV4_PAYLOAD] = "the body must be signed by its SHA-256 (for a deploy in X-Amz-Content-Sha256), and a "
			  "presigned URL is for GET alone",
	[SIGV4_UNKNOWN_KEY] = "this host does not know the access key",
	[SIGV4_BODY] = "the body is not the one that was signed",
	[SIGV4_MISMATCH] = "the signature does not fit the request: check the secret key, and that nothing changes the "
			   "request on its way",
	[SIGV4_INTERNAL] = "the host has no memory left for this request",
};

const struct sigv4_error *sigv4_error(enum sigv4_reason reason)
{
	return &errors[reason];
}

void sigv4_message(enum sigv4_reason reason, const struct sigv4 *sig, int64_t now_s, char *buf, size_t cap)
{
	time_t now = now_s;
	struct tm tm;
	char here[24] = "";

	if (reason != SIGV4_EXPIRED && reason != SIGV4_NOT_YET) {
		snprintf(buf, cap, "%s", messages[reason] ? messages[reason] : "");
		return;
	}
	if (gmtime_r(&now, &tm))
		strftime(here, sizeof(here), "%Y%m%dT%H%M%SZ", &tm);
	if (reason == SIGV4_EXPIRED && sig->presigned)
		snprintf(buf, cap, "Signature expired: made at %s for %lld seconds, it is %s here", sig->time,
			 (long long)sig->expires_s, here);
	else
		snprintf(buf, cap, "Signature %s: made at %s, it is %s here; at most 5 minutes may be between",
			 reason == SIGV4_EXPIRED ? "expired" : "not yet current", sig->time, here);
}
