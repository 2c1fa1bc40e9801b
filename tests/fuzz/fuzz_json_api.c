/* Bodies of the monitor's REST API, and its configuration file: the first byte chooses the resource.
 * Whatever is accepted must be a configuration within its limits, whatever is refused must have a
 * reason and leave the configuration alone. */
#include <stdlib.h>
#include <string.h>

#include "vmm/api/api_config.h"
#include "vmm/api/api_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The parsers' files also hold the handlers; these are never called here. */
enum vm_state vm_get_state(const struct vm *vm)
{
	abort();
}

const struct vmconfig *vm_get_config(const struct vm *vm)
{
	abort();
}

int vm_boot(struct vm *vm, const struct vmconfig *cfg, struct stk_err *err)
{
	abort();
}

int vm_pause(struct vm *vm, struct stk_err *err)
{
	abort();
}

int vm_resume(struct vm *vm, struct stk_err *err)
{
	abort();
}

int vm_snapshot_create(struct vm *vm, const char *state_path, const char *memory_path,
		       bool keep_vsock_streams, struct stk_err *err)
{
	abort();
}

int vm_snapshot_load(struct vm *vm, const struct vm_load_opts *opts, struct stk_err *err)
{
	abort();
}

static int parse(uint8_t what, json_t *body, struct vmconfig *cfg, struct stk_err *err)
{
	struct api_snapshot_create create;
	struct api_snapshot_load load;
	bool deprecated;
	int r;

	switch (what % 8) {
	case 0:
		return api_machine_parse(body, cfg, false, err);
	case 1:
		return api_machine_parse(body, cfg, true, err);
	case 2:
		return api_boot_parse(body, cfg, err);
	case 3:
		return api_drive_parse(body, NULL, cfg, err);
	case 4:
		return api_vsock_parse(body, cfg, &deprecated, err);
	case 5:
		return api_entropy_parse(body, cfg, err);
	case 6:
		return api_snapshot_create_parse(body, &create, err);
	default:
		r = api_snapshot_load_parse(body, &load, err);
		if (r == 0 && (load.drive_count > VMCONFIG_MAX_DRIVES || !*load.state_path || !*load.memory_path))
			abort();
		return r;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmconfig cfg, before;
	struct stk_err err = {0};
	json_t *body = NULL;
	int r;

	if (size < 1)
		return 0;
	vmconfig_init(&cfg);
	before = cfg;
	if (data[0] == 'C') {
		r = api_config_parse(data + 1, size - 1, &cfg, &err);
		if (r == 0 && vmconfig_check(&cfg, &err) < 0)
			abort();
	} else {
		r = json_get_parse(data + 1, size - 1, &body, &err);
		if (r == 0)
			r = parse(data[0], body, &cfg, &err);
		json_decref(body);
		if (r == 0 && vmconfig_check_machine(&cfg, &err) < 0)
			abort();
	}
	if (r > 0 || (r < 0 && (!err.text[0] || err.code != r || memcmp(&cfg, &before, sizeof(cfg)) != 0)))
		abort();
	return 0;
}
