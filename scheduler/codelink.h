/* Links to stored packages that need no key, for a short time: whoever may ask for a function or a layer is given one
 * (GetFunction, Code.Location; GetLayerVersion, Content.Location), and it is good for that package only.
 *
 *   /v1/code/NAME/NUMBER?expires=SECONDS&sig=HEX              of a function's version
 *   /v1/layers/NAME/VERSION/code?expires=SECONDS&sig=HEX      HMAC-SHA256 over path and time
 *
 * NAME is the host's own, with the tenant, and NUMBER that of the build: none of them is used for another package later. The
 * key lives as long as the process; links do not outlive it. Any thread; the clock is given. */
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
/* The path to a package. 0, -ENAMETOOLONG. */
int codelink_of_function(const char *name, unsigned number, char ret[CODELINK_MAX]);
int codelink_of_layer(const char *name, unsigned version, char ret[CODELINK_MAX]);

/* A path with a query. now_s: since the epoch. 0, -ENOMEM, -ENAMETOOLONG. */
int codelink_make(const struct codelink *k, const char *path, int64_t now_s, char ret[CODELINK_MAX]);
/* Was this query made here for this path, and not too long ago? query: raw. */
bool codelink_good(const struct codelink *k, const char *path, const char *query, int64_t now_s);

#endif
