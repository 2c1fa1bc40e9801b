/* The whole configuration in one JSON object, keyed as the REST resources are. */
#ifndef VMM_API_API_CONFIG_H
#define VMM_API_API_CONFIG_H

#include <stddef.h>

#include "common/base/err.h"
#include "vmm/vmconfig.h"

/* For --config-file. cfg has been initialised with vmconfig_init; it is unchanged on failure. Unknown
 * keys and everything that this version does not have are refused by name. At most 1 MiB. */
int api_config_load_file(const char *path, struct vmconfig *cfg, struct stk_err *err);
/* The same from memory. */
int api_config_parse(const void *data, size_t len, struct vmconfig *cfg, struct stk_err *err);

#endif
