/* /drives/{id}: block devices, the root drive first, the others in the order of their first PUT. */
#include <errno.h>
#include <string.h>

#include "vmm/api/api_internal.h"

static const char *const fields[] = {"drive_id", "is_root_device", "path_on_host", "is_read_only",
				     "copy_on_write", "size_mib", "cache_type", "io_engine",
				     "partuuid", "rate_limiter", "socket", NULL};
static const char *const cache_types[] = {"Unsafe", "Writeback", NULL}; /* flushes are always honoured */
static const char *const io_engines[] = {"Sync", "Async", NULL};

static int parse_one(json_t *body, const char *path_id, struct vmconfig_drive *d, struct stk_err *err)
{
	const char *id = NULL;
	uint64_t size_mib = 0;
	unsigned choice;
	int r = api_body_fields(body, fields, err);

	if (r == 0)
		r = json_get_str(body, "drive_id", true, API_ID_MAX, &id, err);
	if (r < 0)
		return r;
	if (!api_id_valid(id))
		return stk_err_set(err, -EINVAL,
				   "field `drive_id` must be 1 to %u letters, digits, `_` or `-`", API_ID_MAX);
	if (path_id && strcmp(id, path_id) != 0)
		return stk_err_set(err, -EINVAL,
				   "The id from the path [%.64s] does not match the id from the body [%.64s]!",
				   path_id, id);
	strcpy(d->id, id);
	r = json_get_bool(body, "is_root_device", true, &d->is_root, err);
	if (r == 0)
		r = api_body_unsupported(body, "socket", err);
	if (r == 0)
		r = api_body_path(body, "path_on_host", true, d->path, err);
	if (r == 0)
		r = json_get_bool(body, "is_read_only", false, &d->read_only, err);
	if (r == 0)
		r = json_get_bool(body, "copy_on_write", false, &d->copy_on_write, err);
	if (r == 0)
		r = json_get_u64(body, "size_mib", false, 1, VMCONFIG_MAX_DRIVE_MIB, &size_mib, err);
	if (r == 0)
		r = api_body_choice(body, "cache_type", false, cache_types, 2, &choice, err);
	if (r == 0)
		r = api_body_choice(body, "io_engine", false, io_engines, 1, &choice, err);
	if (r == 0)
		r = api_body_unsupported(body, "partuuid", err);
	if (r == 0)
		r = api_body_unsupported(body, "rate_limiter", err);
	if (r == 0 && d->read_only && d->copy_on_write)
		r = stk_err_set(err, -EINVAL, "`is_read_only` and `copy_on_write` exclude each other");
	if (r == 0 && size_mib && !d->copy_on_write)
		r = stk_err_set(err, -EINVAL, "`size_mib` needs `copy_on_write`");
	d->size_mib = (unsigned)size_mib;
	return r;
}

int api_drive_parse(json_t *body, const char *path_id, struct vmconfig *cfg, struct stk_err *err)
{
	struct vmconfig_drive d = {0};
	unsigned at = cfg->drive_count;
	int r = parse_one(body, path_id, &d, err);

	if (r == 0)
		r = api_body_openable(d.path, "drive's file", !d.read_only && !d.copy_on_write, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < cfg->drive_count; i++) {
		if (strcmp(cfg->drive[i].id, d.id) == 0)
			at = i;
		else if (cfg->drive[i].is_root && d.is_root)
			return stk_err_set(err, -EEXIST, "A root block device already exists!");
	}
	if (at >= VMCONFIG_MAX_DRIVES)
		return stk_err_set(err, -ENOSPC, "at most %u drives are possible", VMCONFIG_MAX_DRIVES);
	if (at == cfg->drive_count)
		cfg->drive_count++;
	if (d.is_root) { /* to the front */
		memmove(&cfg->drive[1], &cfg->drive[0], at * sizeof(d));
		at = 0;
	}
	cfg->drive[at] = d;
	return 0;
}

int api_drives_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	return api_drive_parse(c->body, c->id, &s->cfg, err);
}
