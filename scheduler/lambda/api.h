/* The Lambda API, 2015-03-31 and its companions: one table of routes, handlers in one file per family. All of it runs on
 * the loop. */
#ifndef SCHEDULER_LAMBDA_API_H
#define SCHEDULER_LAMBDA_API_H

#include <jansson.h>

#include "common/host/http_server.h"
#include "common/host/router.h"
#include "scheduler/ids.h"
#include "scheduler/lambda/error.h"
#include "scheduler/lambda/names.h"
#include "scheduler/registry.h"

struct auth_principal;
struct daemon;
struct route_none;

#define LAMBDA_BODY_SMALL 262144u
#define LAMBDA_HOST_MAX   300
#define LAMBDA_BODY_CODE  70167211u /* CreateFunction and UpdateFunctionCode, with the code in base64 */

/* Is it a path of the API: does its first segment look like a date? */
bool lambda_path(const char *path);
/* By the raw path; some clients end some paths with a slash. No pattern has a rest. NULL: none, see ret_why. Pure. */
const struct router_route *lambda_route(const char *method, const char *path, struct router_match *m, struct route_none *ret_why);
/* When the headers are there: limits of the body, or an error at once. */
void lambda_on_headers(struct daemon *d, struct http_req *req);
void lambda_on_request(struct daemon *d, struct http_req *req);
/* Errors that the HTTP server answers itself: see struct http_callbacks. */
size_t lambda_server_error(struct http_req *req, int status, const char *text, char *buf, size_t cap, const char **ret_type);

/* What most operations begin with. */
struct lambda_call {
	struct daemon *d;
	struct http_req *req;
	const struct auth_principal *who; /* NULL: as without keys */
	const char *account;              /* of who */
	char id[IDS_UUID_LEN + 1];
	struct lambda_name name;
	char key[FN_NAME_MAX + 1]; /* the registry's name of it */
	struct function *fn;       /* that exists */
};

/* Fills all but name, key and fn. 0; or -1, answered. */
int lambda_begin(struct lambda_call *c, struct daemon *d, struct http_req *req);
/* As above, and name and key; fn may be NULL. text: FunctionName as it came in the path, max one of LAMBDA_TEXT_MAX*. */
int lambda_begin_named(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *text, size_t max);
/* As above; the function must be there. */
int lambda_begin_function(struct lambda_call *c, struct daemon *d, struct http_req *req, const char *text, size_t max);
/* 404 for the function, with its qualifier where there is one. */
void lambda_not_found(const struct lambda_call *c);
/* The version that the call's qualifier names, to be shown: $LATEST as it is configured, a number, or what an alias points
 * to. NULL: answered. */
struct fn_version *lambda_version(const struct lambda_call *c);
/* Of a function or an alias; given "": any will do. LAMBDA_PRECONDITION_FAILED. */
int lambda_check_revision(const char *given, const char *now, struct lambda_err *err);
/* 409 while the function is being changed, deployed, or its snapshot is being made: true, answered. */
bool lambda_is_busy(const struct lambda_call *c);
/* 409 only while another change is being stored: for what is kept beside the versions. */
bool lambda_is_changing(const struct lambda_call *c);
/* Answers with a JSON value, which is taken over. */
void lambda_answer(struct http_req *req, int status, json_t *value);

/* Where the client has reached the host, for addresses that it is shown: the Host header, or "localhost" when there is none that
 * looks like one. */
const char *lambda_host(const struct http_req *req);
/* Where the package of this path (codelink.h) is for a client that calls the host so: a new reference, or NULL. Any thread. */
json_t *lambda_location(const struct daemon *d, const char *host, const char *path);
void lambda_arn_of(const struct daemon *d, const struct function *fn, const char *qualifier, char ret[LAMBDA_ARN_MAX]);
/* FunctionConfiguration; qualifier: as it was addressed, NULL none. listed: as an item of a list. NULL: out of memory. */
json_t *lambda_configuration(const struct daemon *d, const struct fn_version *v, const char *qualifier, bool listed);

/* A handler that answers when the database has been told. Everything in it that must outlive the handler. */
struct lambda_change {
	struct lambda_call call;     /* call.req is NULL when the client has gone */
	struct fn_alias *alias;      /* whatever the handler's continuation needs */
	struct fn_version *version;
	json_t *answer;
	char text[LAMBDA_QUALIFIER_MAX + 1];
	char kind[24], revision[FN_REVISION_LEN + 1];
	char *json;
	int number;
};
struct store_tx;
/* Copies c, marks the function as busy, commits tx, then calls `then` (which answers through ch->call.req if it is still
 * there), or answers with the error. `then` need not free anything but what it put into ch itself. */
struct lambda_change *lambda_change_new(const struct lambda_call *c); /* NULL: answered */
void lambda_change_commit(struct lambda_change *ch, struct store_tx *tx, void (*then)(struct lambda_change *ch));
/* Instead: answers with an error. */
void lambda_change_drop(struct lambda_change *ch, enum lambda_error_type type, const char *text);

/* The layers that a configuration's text (extra) names, into the settings that a version is built with, if the update that
 * made it has a member Layers; else those of the settings stay. They must be the caller's own. LAMBDA_ACCESS_DENIED,
 * LAMBDA_INVALID_PARAMETER. api_layers.c */
int lambda_layers_apply(const struct lambda_call *c, const char *update, const char *extra, struct fn_settings *s,
			struct lambda_err *err);

/* The function that a configuration's text, or an update of one, names as its DeadLetterConfig must be there.
 * LAMBDA_INVALID_PARAMETER. api_events.c */
int lambda_dead_letter_check(const struct lambda_call *c, const char *extra, struct lambda_err *err);

/* Handlers. */
typedef void lambda_handler(void *ctx, struct http_req *req, const struct router_match *m);
lambda_handler lambda_invoke, lambda_invoke_stream, lambda_invoke_async;          /* api_invoke.c */
lambda_handler lambda_get_function, lambda_get_configuration, lambda_list_functions, lambda_delete_function,
	lambda_account_settings;                                                  /* api_functions.c */
lambda_handler lambda_create_function, lambda_update_code, lambda_update_configuration; /* api_deploy.c */
lambda_handler lambda_publish_version, lambda_list_versions;                      /* api_versions.c */
lambda_handler lambda_create_alias, lambda_get_alias, lambda_update_alias, lambda_delete_alias,
	lambda_list_aliases;                                                      /* api_aliases.c */
lambda_handler lambda_put_concurrency, lambda_get_concurrency, lambda_delete_concurrency; /* api_concurrency.c */
lambda_handler lambda_put_provisioned, lambda_get_provisioned, lambda_delete_provisioned;
lambda_handler lambda_list_tags, lambda_tag, lambda_untag;                        /* api_tags.c */
lambda_handler lambda_create_url, lambda_get_url, lambda_update_url, lambda_delete_url, lambda_list_urls; /* api_urls.c */
lambda_handler lambda_put_event_invoke, lambda_update_event_invoke, lambda_get_event_invoke, lambda_delete_event_invoke,
	lambda_list_event_invoke;                                                 /* api_events.c */
lambda_handler lambda_publish_layer_version, lambda_get_layer_version, lambda_delete_layer_version,
	lambda_list_layers, lambda_list_layer_versions;                           /* api_layers.c */
lambda_handler lambda_add_permission, lambda_get_policy, lambda_remove_permission; /* api_policy.c */

#endif
