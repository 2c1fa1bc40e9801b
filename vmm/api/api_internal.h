/* Shared by the files of this folder: a call, the server's state, one parser and handler per
 * resource. Parsers turn a JSON body into members of struct vmconfig (or another plain struct) and
 * touch it only when the whole body is right; handlers act. */
#ifndef VMM_API_API_INTERNAL_H
#define VMM_API_API_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "common/host/http_server.h"
#include "common/host/json_get.h"
#include "vmm/vm.h"

#define API_ID_MAX   VMCONFIG_ID_MAX
#define API_MAX_BODY 51200u

struct api_server {
	struct http_server *http;
	struct vm *vm;
	char id[API_ID_MAX + 1];
	struct vmconfig cfg; /* what the machine will be; before the start only */
	bool configured;     /* a boot resource was set: no /snapshot/load any more */
	bool failed;         /* a load has failed */
	void (*on_fatal)(void *ctx);
	void *fatal_ctx;
};

struct api_call {
	json_t *body;      /* an object; NULL for GET */
	const char *id;    /* from the path, or NULL */
	bool deprecated;   /* out: a deprecated field was used */
};

enum {
	API_PRE = 1,   /* before the start */
	API_POST = 2,  /* after it */
	API_BOOTS = 4, /* success commits to booting (instead of loading a snapshot) */
};

/* 0: *ret_body (owned by the caller) is the answer, or 204 when it is left NULL. Negative errno: 400
 * with the text. */
typedef int (*api_handler)(struct api_server *s, struct api_call *call, json_t **ret_body,
			   struct stk_err *err);

struct api_route {
	const char *method;
	const char *pattern;
	unsigned phases;
	api_handler handler;
};

/* api_routes.c */
extern const struct api_route api_routes[];
extern const unsigned api_route_count;
/* Routes, checks the phase, parses the body, calls the handler. */
void api_dispatch(struct api_server *s, struct http_req *req);
/* {"fault_message": text} with status 400. */
void api_fault(struct http_req *req, const char *text);

/* api_body.c: helpers for bodies */
/* Refuses fields not in the list, then drops members that are null: absent and null are the same. */
int api_body_fields(json_t *body, const char *const *allowed, struct stk_err *err);
/* -EOPNOTSUPP naming the field when it is there. */
int api_body_unsupported(const json_t *body, const char *key, struct stk_err *err);
/* A flag that may be given as false, but not be switched on. */
int api_body_only_false(const json_t *body, const char *key, struct stk_err *err);
/* A text out of a list; *ret_index is its place. Values from `supported` on are known to Firecracker
 * but refused here. Absent: *ret_index unchanged. */
int api_body_choice(const json_t *body, const char *key, bool required, const char *const *values,
		    unsigned supported, unsigned *ret_index, struct stk_err *err);
/* A path, copied into buf of VMCONFIG_PATH_MAX bytes; unchanged when absent. */
int api_body_path(const json_t *body, const char *key, bool required, char *buf, struct stk_err *err);
/* Is there a file (or block device) that can be opened that way now? what names it in the error. */
int api_body_openable(const char *path, const char *what, bool writable, struct stk_err *err);
bool api_id_valid(const char *id);

/* parsers, also used for the configuration file */
int api_machine_parse(json_t *body, struct vmconfig *cfg, bool patch, struct stk_err *err);
int api_boot_parse(json_t *body, struct vmconfig *cfg, struct stk_err *err);
int api_drive_parse(json_t *body, const char *path_id, struct vmconfig *cfg, struct stk_err *err);
int api_vsock_parse(json_t *body, struct vmconfig *cfg, bool *ret_deprecated, struct stk_err *err);
int api_entropy_parse(json_t *body, struct vmconfig *cfg, struct stk_err *err);

/* What a snapshot call asks for; strings live in the body or in the struct. */
struct api_snapshot_create {
	char state_path[VMCONFIG_PATH_MAX], memory_path[VMCONFIG_PATH_MAX];
	bool keep_vsock_streams;
};
struct api_snapshot_load {
	char state_path[VMCONFIG_PATH_MAX], memory_path[VMCONFIG_PATH_MAX], uds_path[VMCONFIG_PATH_MAX];
	struct { char id[API_ID_MAX + 1], path[VMCONFIG_PATH_MAX]; } drive[VMCONFIG_MAX_DRIVES];
	unsigned drive_count;
	bool resume, deprecated;
};
int api_snapshot_create_parse(json_t *body, struct api_snapshot_create *ret, struct stk_err *err);
int api_snapshot_load_parse(json_t *body, struct api_snapshot_load *ret, struct stk_err *err);

/* handlers */
int api_machine_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_machine_patch(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_machine_get(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_boot_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_drives_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_vsock_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_entropy_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_actions_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_state_get(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_state_version(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_state_patch(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_snapshot_create(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_snapshot_load(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);
int api_config_get(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err);

/* The configuration as it is (before the start: as it will be). */
const struct vmconfig *api_current(const struct api_server *s);
json_t *api_machine_json(const struct vmconfig *cfg);

#endif
