/* AWS Signature Version 4 as the server checks it (doc/openapi.yaml, securitySchemes): pure functions over a view of a
 * request and a given clock, no state, no input or output. Threads: any.
 *
 * A check has two halves, so that most refusals need no body: sigv4_read (form, names, lengths) and sigv4_check_time
 * when the headers are there, sigv4_verify when the body's hash is known. Everything is bounded: what is longer is
 * malformed. The canonical forms are hashed as they are made, never stored; the only memory taken is OpenSSL's
 * contexts. */
#ifndef SCHEDULER_AUTH_SIGV4_H
#define SCHEDULER_AUTH_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/host/http_server.h"

#define SIGV4_HASH        32
#define SIGV4_SKEW_S      300    /* clocks may differ by this */
#define SIGV4_EXPIRES_MAX 604800 /* a presigned URL's longest life, seconds */
#define SIGV4_KEY_MAX     128    /* bytes of an access key id */
#define SIGV4_REGION_MAX  64
#define SIGV4_SIGNED_MAX  2048   /* bytes of the list of signed headers */
#define SIGV4_PARAMS_MAX  256    /* of a query */
#define SIGV4_SEGMENTS_MAX 256   /* of a path */

/* All strings as received, still percent-encoded; nothing is copied. */
struct sigv4_request {
	const char *method, *path, *query;
	const struct http_header *headers;
	size_t header_count;
};

enum sigv4_reason {
	SIGV4_OK,
	SIGV4_MISSING,     /* nothing in the request looks like a signature */
	SIGV4_MALFORMED,   /* a part is missing, doubled, too long or of the wrong form */
	SIGV4_SCOPE,       /* signed for another service, or another day */
	SIGV4_UNSIGNED,    /* the host or an x-amz- header is not among the signed headers */
	SIGV4_PAYLOAD,     /* a way of signing bodies that Lambda does not know */
	SIGV4_EXPIRED,     /* too old */
	SIGV4_NOT_YET,     /* from the future */
	SIGV4_UNKNOWN_KEY, /* for the caller, who has the keys */
	SIGV4_BODY,        /* the body is not what X-Amz-Content-Sha256 says */
	SIGV4_MISMATCH,    /* the signature is wrong */
	SIGV4_INTERNAL,    /* out of memory */
	SIGV4_REASONS
};

/* What the client claims, copied and checked for form. */
struct sigv4 {
	char key_id[SIGV4_KEY_MAX + 1];
	char day[9];   /* YYYYMMDD of the scope */
	char time[17]; /* YYYYMMDDTHHMMSSZ */
	char region[SIGV4_REGION_MAX + 1];
	char signed_headers[SIGV4_SIGNED_MAX + 1];
	int64_t time_s;    /* `time` in seconds since the epoch */
	int64_t expires_s; /* presigned: valid for so long */
	bool presigned;
	bool has_hash; /* of the body, claimed and signed */
	uint8_t hash[SIGV4_HASH];
	uint8_t signature[SIGV4_HASH];
};

/* A signature in an Authorization header, or in the query of a GET (presigned URL). */
enum sigv4_reason sigv4_read(const struct sigv4_request *r, struct sigv4 *ret_sig);
/* now_s: seconds since the epoch. SIGV4_EXPIRED, SIGV4_NOT_YET. */
enum sigv4_reason sigv4_check_time(const struct sigv4 *sig, int64_t now_s);
/* The key that signs for one day, region and service "lambda". 0 or -ENOMEM. */
int sigv4_signing_key(const char *secret, const char *day, const char *region, uint8_t ret_key[SIGV4_HASH]);
/* Compares in constant time. body_hash NULL: believe the claimed one for now (sig->has_hash); the caller then compares
 * it with sigv4_same when the body is there. SIGV4_MISMATCH, SIGV4_BODY, SIGV4_MALFORMED (a bad escape),
 * SIGV4_INTERNAL. */
enum sigv4_reason sigv4_verify(const struct sigv4_request *r, const struct sigv4 *sig,
			       const uint8_t key[SIGV4_HASH], const uint8_t *body_hash);
bool sigv4_same(const uint8_t a[SIGV4_HASH], const uint8_t b[SIGV4_HASH]);
/* Exactly 64 digits, in lower case: what is signed is text. */
bool sigv4_read_hex(const char *text, uint8_t ret[SIGV4_HASH]);
int sigv4_hash(const void *data, size_t len, uint8_t ret_hash[SIGV4_HASH]); /* SHA-256. 0 or -ENOMEM */

/* The halves of sigv4_verify, for tests: hash of the canonical request, and the signature it should have. */
enum sigv4_reason sigv4_canonical(const struct sigv4_request *r, const struct sigv4 *sig,
				  const uint8_t body_hash[SIGV4_HASH], uint8_t ret_hash[SIGV4_HASH]);
int sigv4_sign(const struct sigv4 *sig, const uint8_t key[SIGV4_HASH], const uint8_t canonical[SIGV4_HASH],
	       uint8_t ret_signature[SIGV4_HASH]);

/* What a reason becomes on the wire and in the metrics. */
struct sigv4_error {
	int status;
	const char *type;   /* x-amzn-ErrorType */
	const char *metric; /* value of the label "reason" */
};
const struct sigv4_error *sigv4_error(enum sigv4_reason reason);
/* One sentence for the client. Nothing secret: of what was sent, only the times. */
void sigv4_message(enum sigv4_reason reason, const struct sigv4 *sig, int64_t now_s, char *buf, size_t cap);

#endif
