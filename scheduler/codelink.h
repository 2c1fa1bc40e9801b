/* Links to a function's stored code that need no key, for a short time: whoever may ask for the function is given one
 * (GetFunction, Code.Location), and it is good for that code only.
 *
 *   /v1/code/NAME/NUMBER?expires=SECONDS&sig=HEX     HMAC-SHA256 over name, number and time
 *
 * NAME is the host's own, with the tenant, and NUMBER that of the build: neither is used for other code later. The key lives
 * as long as the process; links do not outlive it. Any thread; the clock is given. */
#ifndef SCHEDULER_CODELINK_H
#define SCHEDULER_CODELINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODELINK_LIFE_S 600
#define CODELINK_MAX    384 /* bytes with NUL */

struct codelink {
	uint8_t key[32];
};

int codelink_init(struct codelink *k); /* 0 or negative errno: no random bytes */
/* Path and query. now_s: since the epoch. 0, -ENOMEM, -ENAMETOOLONG. */
int codelink_make(const struct codelink *k, const char *name, unsigned number, int64_t now_s, char ret[CODELINK_MAX]);
/* Was this query made here for this code, and not too long ago? query: raw. */
bool codelink_good(const struct codelink *k, const char *name, unsigned number, const char *query, int64_t now_s);

#endif
