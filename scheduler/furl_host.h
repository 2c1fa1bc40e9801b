/* Function URLs by the name of a host, as Lambda's are: http://ID.lambda-url.DOMAIN/PATH, whatever the domain. The id follows
 * from the function's name and the qualifier alone, so that it stays when the URL or the function is made anew.
 *
 * A Host header with ".lambda-url." in it leads to function URLs and nowhere else: a wildcard name that is open to all shows
 * nothing of the host's own API. */
#ifndef SCHEDULER_FURL_HOST_H
#define SCHEDULER_FURL_HOST_H

#include <stdbool.h>

#define FURL_ID_LEN     32 /* small letters and digits */
#define FURL_DOMAIN_MAX 200 /* with a port; ID, label and dots fit in a host name's 253 then */

struct function;
struct registry;

/* Is it about function URLs? host: the header, or NULL. */
bool furl_host_is(const char *host);
/* The id in it. False: it is none. */
bool furl_host_id(const char *host, char ret_id[FURL_ID_LEN + 1]);
/* What stands behind ".lambda-url." in URLs that are shown: a host name, and perhaps a port. */
bool furl_domain_valid(const char *text);

/* name: in the host's terms. qualifier: "" for the function. -ENOMEM. */
int furl_id(const char *name, const char *qualifier, char ret_id[FURL_ID_LEN + 1]);
/* The function whose URL has this id, and the URL's qualifier ("": none), which lives as long as the URL. NULL: there is no
 * such URL. Loop thread. */
const struct function *furl_by_id(const struct registry *r, const char *id, const char **ret_qualifier);

#endif
