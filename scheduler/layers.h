/* Layers: packages whose content functions see under /opt. A version of a layer is STATE/layers/NAME/N/layer.zip (for all
 * but the default tenant NAME.TENANT) and never changes; info.json beside it says what clients want to know of it. A
 * function's version names up to FN_LAYERS_MAX of them; what they hold is merged in that order, a later one's file in place
 * of an earlier one's, and becomes part of the function's code image: a clone pays nothing for them. What blocks is for pool
 * threads. */
#ifndef SCHEDULER_LAYERS_H
#define SCHEDULER_LAYERS_H

#include <jansson.h>
#include <stdint.h>

#include "common/base/err.h"
#include "scheduler/registry.h"
#include "scheduler/zipread.h"

#define LAYERS_VERSION_MAX 999999999u

/* "NAME:N", or, unless account is NULL, the ARN of a layer's version, whose name has no tenant. -EINVAL with a text; -EACCES
 * likewise, when the ARN is of another account. Whether the tenant may use it is for tenants_scope_layers. */
int layers_parse(const char *text, const char *account, struct fn_layer *ret_layer, struct stk_err *err);

/* Adds those of a list "NAME:N,ARN,..." to a function's. As above, and -ENOMEM. */
int layers_parse_list(const char *text, const char *account, struct fn_settings *s, struct stk_err *err);

/* Calls each for every version there is, by name and number; a non-zero return stops and is returned. Blocks. */
int layers_each(const char *state_dir, int (*each)(void *ctx, const struct fn_layer *layer, uint64_t size), void *ctx);

/* Is it there? -EINVAL with a text that names it when not, other errors are the host's. Blocks. */
int layers_check(const char *state_dir, const struct fn_layer *list, unsigned count, struct stk_err *err);

/* Takes a zip over (by rename; same file system) as the next version of the layer, made when there is none, after reading
 * all of it. work is a folder that is there, of the caller's, for the trial. info: what is to be kept beside it, an
 * object, or NULL. -EINVAL: the zip. Blocks. */
int layers_publish(const char *state_dir, const char *name, const char *zip, const char *work, const json_t *info,
		   unsigned *ret_version, struct stk_err *err);

/* That object, with CreatedDate and Content {CodeSha256, CodeSize} in it; a new reference. -ENOENT: no such version,
 * -ENOMEM, others. Blocks. */
int layers_info(const char *state_dir, const struct fn_layer *layer, json_t **ret_info);

/* The number of the newest version, 0: none. Numbers are not used again after a version was deleted. Blocks. */
int layers_newest(const char *state_dir, const char *name, unsigned *ret_version);

/* Functions that were built with it keep what they have; only new deploys miss it. -ENOENT. Blocks. */
int layers_delete(const char *state_dir, const struct fn_layer *layer, struct stk_err *err);

/* STATE/layers/NAME/N/layer.zip. */
int layers_path(const char *state_dir, const struct fn_layer *layer, char *ret, size_t cap);

/* Each as own/layer-I.zip (I from 0), links to the versions' files: what a function was made from stays its own when a
 * layer is deleted. Those that are there already stay. Blocks. */
int layers_take(const char *state_dir, const struct fn_layer *list, unsigned count, const char *own, struct stk_err *err);

/* The same from another folder of the function's, as far as they are there. 0 or negative errno. Blocks. */
int layers_copy(const char *from, const char *to, unsigned count);

/* Sizes of own/layer-*.zip; 0 where it is not there. Blocks. */
void layers_sizes(const char *own, unsigned count, uint64_t ret_sizes[FN_LAYERS_MAX]);

/* Merges own/layer-*.zip into dest, which is there and empty. work is an empty folder beside it. What they unpack to is
 * taken off left. -EINVAL with a text that names the layer. Blocks. */
int layers_unpack(const char *own, const struct fn_layer *list, unsigned count, const char *work, const char *dest,
		  struct zipread_limits *left, struct stk_err *err);

#endif
