/* Who sends a request, and may it be sent? Policy over sigv4.h and keys.h for the public listener.
 *
 * A request is judged twice. At the end of its headers (auth_headers): who says it is, when, in which form; a token is
 * settled with that, and so is a signature whose client signed the body's hash (X-Amz-Content-Sha256). With its body
 * (auth_body): the rest of a signature; the body was hashed as it came in. Between the two auth_of may say NULL: nobody
 * knows yet. Handlers see requests only after auth_body.
 *
 * Without a key file everybody may do everything as tenant "default".
 *
 * Threads: the loop's. Lifetime: a principal, once known, lives as long as the struct auth, so that anything may point
 * to it; equal ones are one, also when the key file is read again. */
#ifndef SCHEDULER_AUTH_AUTH_H
#define SCHEDULER_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/host/http_server.h"

struct auth;
struct metrics;

struct auth_principal {
	const char *tenant;  /* the namespace of its functions; "default" unless the key file says otherwise */
	const char *account; /* its 12 digits, for ARNs */
	const char *key;     /* the key's name in the file, "" for an anonymous one */
	bool anonymous;      /* nothing proves who it is: no key file, or a call that needs none */
	bool unbound;        /* no key file: what belongs to other tenants is its, too */
};

/* What a path needs. */
enum auth_route {
	AUTH_OPEN,   /* nothing: /healthz */
	AUTH_PLAIN,  /* a token, or a signature */
	AUTH_INVOKE, /* the same, or nothing if the key file says anonymousInvoke */
	AUTH_ANYONE, /* a token or a signature says who it is, but none is needed: an open function URL */
	AUTH_LAMBDA, /* a signature; errors in Lambda's shape */
};

/* path NULL: no authentication. now: seconds since the epoch, NULL for the clock. 0 or negative errno with err. */
int auth_new(const char *path, struct metrics *metrics, int64_t (*now)(void), struct auth **ret_auth,
	     struct stk_err *err);
void auth_free(struct auth *a);
bool auth_is_on(const struct auth *a);

/* By the raw path. Lambda's begin with a date: /2015-03-31/... */
enum auth_route auth_route(const char *path);

/* In on_headers. False: refused and answered. streamed: the body will not wait in memory for auth_body, so that who
 * sends it must be known now. */
bool auth_headers(struct auth *a, struct http_req *req, enum auth_route route, bool streamed);
/* In on_request. False: the request must not be served; call auth_refuse when the answer is free to be given. */
bool auth_body(struct auth *a, struct http_req *req);
/* Answers what auth_body found. */
void auth_refuse(struct auth *a, struct http_req *req, enum auth_route route);

/* For an answer that takes long, of a request without a body: would the keys as they are now still let it in, as whom it was? How
 * long ago it was signed does not matter. */
bool auth_again(struct auth *a, const struct http_req *req);

/* Who sends it, NULL before anybody knows. */
static inline const struct auth_principal *auth_of(const struct http_req *req)
{
	return http_req_who(req);
}

/* The tenants of the key file as it is now. */
struct key_tenant;
void auth_tenants(const struct auth *a, void (*each)(void *ctx, const struct key_tenant *t), void *ctx);

/* Reads the key file again on a pool thread; done(ctx) follows. What is wrong with it is logged, and the keys stay as
 * they were. While one is under way, another asked for follows it. 0 or -ENOMEM (done is not called then). */
int auth_reload(struct auth *a, uv_loop_t *loop, void (*done)(void *ctx), void *ctx);

#endif
