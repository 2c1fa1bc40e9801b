/* Sends a result to an http or https address. Blocks: for a worker thread. TLS 1.2 and later, certificate and name
 * checked against the system's authorities (SSL_CERT_FILE and SSL_CERT_DIR as OpenSSL has them). Redirects are answers
 * like others: they are not followed. */
#ifndef SCHEDULER_ASYNC_DELIVER_H
#define SCHEDULER_ASYNC_DELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define DELIVER_CONNECT_MS 5000  /* all addresses of a name together */
#define DELIVER_LIMIT_MS   15000 /* from the connection to the end of the answer */

struct sockaddr;

/* Before the first deliver_post: only addresses for which this is true are connected to. NULL, the default: all. */
void deliver_restrict(bool (*allowed)(const struct sockaddr *addr));
/* 0 with the answer's status, or why there was none. headers: "Name: value\r\n"... or NULL. */
int deliver_post(const char *url, const char *headers, const void *body, size_t len, int *ret_status,
		 struct stk_err *err);

#endif
