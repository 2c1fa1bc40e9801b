/* http and https addresses that results are sent to. Pure. */
#ifndef SCHEDULER_ASYNC_WEBURL_H
#define SCHEDULER_ASYNC_WEBURL_H

#include <stdbool.h>

#include "common/base/err.h"

#define WEBURL_MAX      1024
#define WEBURL_HOST_MAX 253

struct weburl {
	bool tls;
	char host[WEBURL_HOST_MAX + 1]; /* no brackets around IPv6 */
	unsigned port;
	char authority[WEBURL_HOST_MAX + 10]; /* as it is connected to: "host:port" or "[v6]:port" */
	char path[WEBURL_MAX + 2];            /* with the query, as given: "/..." */
};

/* http:// or https://, a host, perhaps port, path and query; printable ASCII only, no user, no fragment. -EINVAL. */
int weburl_parse(const char *text, struct weburl *ret_url, struct stk_err *err);

#endif
