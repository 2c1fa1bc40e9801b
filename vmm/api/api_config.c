/* GET /vm/config and the configuration file: see api_config.h. */
#include "vmm/api/api_config.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "vmm/api/api_internal.h"

/* In Firecracker's order; those without a parser are unknown to this version. */
static const char *const keys[] = {"balloon", "drives", "boot-source", "cpu-config", "logger",
				   "machine-config", "metrics", "memory-hotplug", "mmds-config",
				   "network-interfaces", "pmem", "serial", "vsock", "entropy", NULL};
static const char *const absent[] = {"balloon", "cpu-config", "logger", "metrics", "memory-hotplug",
				     "mmds-config", "network-interfaces", "pmem", "serial", NULL};

static int parse_drives(const json_t *root, struct vmconfig *cfg, struct stk_err *err)
{
	const json_t *list = NULL;
	json_t *o;
	size_t i;
	int r = json_get_array(root, "drives", false, &list, err);

	if (r < 0 || !list)
		return r;
	json_array_foreach((json_t *)list, i, o) {
		unsigned before = cfg->drive_count;

		if (!json_is_object(o))
			return stk_err_set(err, -EINVAL, "drive %zu is no object", i);
		r = api_drive_parse(o, NULL, cfg, err);
		if (r == 0 && cfg->drive_count == before)
			r = stk_err_set(err, -EINVAL, "its id is given twice");
		if (r < 0) {
			stk_err_prefix(err, "drive %zu", i);
			return r;
		}
	}
	return 0;
}

/* The section as an object; 1 = there. */
static int section(const json_t *root, const char *key, bool required, json_t **ret_obj,
		   struct stk_err *err)
{
	const json_t *o = NULL;
	int r = json_get_obj(root, key, required, &o, err);

	*ret_obj = (json_t *)o;
	return r < 0 ? r : o != NULL;
}

static int parse_root(json_t *root, struct vmconfig *cfg, struct stk_err *err)
{
	bool deprecated;
	json_t *o;
	int r = api_body_fields(root, keys, err);

	for (unsigned i = 0; r == 0 && absent[i]; i++) {
		const json_t *v = json_object_get(root, absent[i]);

		if (v && !(json_is_array(v) && json_array_size(v) == 0))
			r = api_body_unsupported(root, absent[i], err);
	}
	if (r == 0 && (r = section(root, "boot-source", true, &o, err)) > 0)
		r = api_boot_parse(o, cfg, err);
	if (r == 0 && (r = section(root, "machine-config", false, &o, err)) > 0)
		r = api_machine_parse(o, cfg, false, err);
	if (r == 0)
		r = parse_drives(root, cfg, err);
	if (r == 0 && (r = section(root, "vsock", false, &o, err)) > 0)
		r = api_vsock_parse(o, cfg, &deprecated, err);
	if (r == 0 && (r = section(root, "entropy", false, &o, err)) > 0)
		r = api_entropy_parse(o, cfg, err);
	return r;
}

int api_config_parse(const void *data, size_t len, struct vmconfig *cfg, struct stk_err *err)
{
	struct vmconfig made = *cfg;
	json_t *root = NULL;
	int r = json_get_parse(data, len, &root, err);

	if (r < 0)
		return r;
	r = parse_root(root, &made, err);
	if (r == 0)
		r = vmconfig_check(&made, err);
	json_decref(root);
	if (r == 0)
		*cfg = made;
	return r;
}

int api_config_load_file(const char *path, struct vmconfig *cfg, struct stk_err *err)
{
	stk_autofree char *text = NULL;
	size_t len = 0;
	int r = stk_read_file(path, 1u << 20, &text, &len);

	if (r < 0)
		return stk_err_sys(err, r, "cannot read the configuration file %.200s", path);
	r = api_config_parse(text, len, cfg, err);
	if (r < 0)
		stk_err_prefix(err, "%.200s", path);
	return r;
}

static json_t *drives_json(const struct vmconfig *cfg)
{
	json_t *list = json_array();

	for (unsigned i = 0; list && i < cfg->drive_count; i++) {
		const struct vmconfig_drive *d = &cfg->drive[i];
		json_t *o = json_pack("{s:s, s:s, s:b, s:b, s:b, s:s, s:s, s:n, s:n, s:n}", "drive_id", d->id,
				      "path_on_host", d->path, "is_root_device", d->is_root, "is_read_only",
				      d->read_only, "copy_on_write", d->copy_on_write, "cache_type",
				      "Writeback", "io_engine", "Sync", "partuuid", "rate_limiter", "socket");

		if (o && d->size_mib && json_object_set_new(o, "size_mib", json_integer(d->size_mib)) < 0) {
			json_decref(o);
			o = NULL;
		}
		if (json_array_append_new(list, o) < 0) { /* also when o is NULL */
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *boot_json(const struct vmconfig *cfg)
{
	return json_pack("{s:s, s:s?, s:s?}", "kernel_image_path", cfg->kernel_path, "initrd_path",
			 *cfg->initrd_path ? cfg->initrd_path : NULL, "boot_args",
			 *cfg->boot_args ? cfg->boot_args : NULL);
}

static json_t *vsock_json(const struct vmconfig *cfg)
{
	return json_pack("{s:I, s:s?}", "guest_cid", (json_int_t)cfg->guest_cid, "uds_path",
			 *cfg->uds_path ? cfg->uds_path : NULL);
}

int api_config_get(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	const struct vmconfig *cfg = api_current(s);

	*ret_body = json_pack("{s:n, s:o, s:o, s:n, s:n, s:o, s:n, s:n, s:n, s:[], s:[], s:o, s:o}", "balloon",
			      "drives", drives_json(cfg), "boot-source",
			      *cfg->kernel_path ? boot_json(cfg) : json_null(), "cpu-config", "logger",
			      "machine-config", api_machine_json(cfg), "metrics", "memory-hotplug",
			      "mmds-config", "network-interfaces", "pmem", "vsock",
			      cfg->vsock ? vsock_json(cfg) : json_null(), "entropy",
			      cfg->entropy ? json_pack("{s:n}", "rate_limiter") : json_null());
	return *ret_body ? 0 : stk_err_set(err, -EINVAL, "the configuration cannot be shown as JSON");
}
