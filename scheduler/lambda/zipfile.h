/* The code in a request's body: a string of base64, up to 70 MB of it, in the member ZipFile. It is found before
 * the body is parsed and is decoded from where it lies into a file, so that it is never copied as a whole, and what
 * the JSON parser is given stays small. No globals: any thread; blocks while it writes. */
#ifndef SCHEDULER_LAMBDA_ZIPFILE_H
#define SCHEDULER_LAMBDA_ZIPFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/lambda/error.h"

#define ZIPFILE_HASH        32
#define ZIPFILE_SHA256_TEXT 44 /* base64 of a SHA-256 */

struct zipfile {
	uint64_t size; /* bytes, decoded; 0: empty, or none was given */
	uint8_t hash[ZIPFILE_HASH];           /* SHA-256 */
	char sha256[ZIPFILE_SHA256_TEXT + 1]; /* CodeSha256 */
};

/* Where the inside of a string lies in a body. */
struct zipfile_span {
	const char *text; /* not NUL-terminated, escapes as they came */
	size_t len;
};

/* Finds the string at the path (a NULL-terminated list of object keys, as "Code", "ZipFile") in JSON text, without
 * parsing what is beside it more than needed. false: not there, no string, or the text is no JSON before it; whatever
 * is wrong is left for the parser to say. */
bool zipfile_find(const char *json, size_t len, const char *const *path, struct zipfile_span *ret_span);

/* Decodes strict base64 (no blanks, padding required; JSON escapes are undone) and writes it to fd, which may be
 * -1: then it is only checked, counted and hashed. On failure what was written stays. LAMBDA_SERIALIZATION: no
 * base64; LAMBDA_INVALID_PARAMETER: more than max bytes; LAMBDA_SERVICE: the host cannot write it. */
int zipfile_decode(const struct zipfile_span *span, uint64_t max, int fd, struct zipfile *ret, struct lambda_err *err);
/* CodeSha256 of a hash. */
void zipfile_sha256_text(const uint8_t hash[ZIPFILE_HASH], char ret_text[ZIPFILE_SHA256_TEXT + 1]);

#endif
