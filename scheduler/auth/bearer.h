/* The token in an Authorization header: "Bearer TOKEN", or "Basic" with base64 of "anyone:TOKEN". Pure. */
#ifndef SCHEDULER_AUTH_BEARER_H
#define SCHEDULER_AUTH_BEARER_H

#include <stddef.h>

/* The token with its NUL into ret_token, which holds a secret afterwards. 0; -EINVAL: another scheme or form;
 * -ENAMETOOLONG. */
int bearer_read(const char *authorization, char *ret_token, size_t cap);

#endif
