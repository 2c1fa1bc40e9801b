/* A function URL's configuration at work: whether callers need credentials, whether answers are streamed, and cross-origin
 * requests (CORS; the Fetch standard, section 3.2). Kept as the function's note FURL_NOTE: {"Iam": b, "Streaming": b, "Cors": {...}}. Functions
 * without one cost nothing. Loop thread. */
#ifndef SCHEDULER_FURL_CONFIG_H
#define SCHEDULER_FURL_CONFIG_H

#include <stdbool.h>

#define FURL_NOTE "url"

struct function;
struct http_req;
struct registry;

/* Is there an URL for NAME[:QUALIFIER] (in the host's terms) that everybody may call? */
bool furl_is_open(const struct registry *r, const char *text);
/* Was the call addressed as one of the function's URLs? */
bool furl_is_url(const struct function *fn, const char *qualifier);
/* Was it, and has that URL InvokeMode BUFFERED? */
bool furl_is_buffered(const struct function *fn, const char *qualifier);
/* Adds the answer's headers for the request's origin. True: it was a preflight, and is answered. */
bool furl_cors(const struct registry *r, const char *text, struct http_req *req);
/* The same of a configuration's Cors member alone. */
struct json_t;
bool furl_cors_apply(const struct json_t *cors, struct http_req *req);

#endif
