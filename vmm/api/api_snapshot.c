/* /snapshot/create and /snapshot/load. */
#include <errno.h>
#include <string.h>

#include "vmm/api/api_internal.h"

static const char *const create_fields[] = {"snapshot_path", "mem_file_path", "snapshot_type",
					    "keep_vsock_streams", NULL};
static const char *const types[] = {"Full", "Diff", NULL};
static const char *const load_fields[] = {"snapshot_path", "mem_file_path", "mem_backend", "resume_vm",
					  "track_dirty_pages", "enable_diff_snapshots",
					  "network_overrides", "vsock_override", "drive_overrides",
					  "clock_realtime", "huge_pages", NULL};
static const char *const backend_fields[] = {"backend_type", "backend_path", NULL};
static const char *const backends[] = {"File", "Uffd", NULL};
static const char *const huge_pages[] = {"Snapshot", "None", "Transparent", "2M", NULL};
static const char *const drive_fields[] = {"drive_id", "path_on_host", NULL};
static const char *const vsock_fields[] = {"uds_path", NULL};

int api_snapshot_create_parse(json_t *body, struct api_snapshot_create *ret, struct stk_err *err)
{
	unsigned choice;
	int r = api_body_fields(body, create_fields, err);

	*ret = (struct api_snapshot_create){0};
	if (r == 0)
		r = api_body_path(body, "snapshot_path", true, ret->state_path, err);
	if (r == 0)
		r = api_body_path(body, "mem_file_path", true, ret->memory_path, err);
	if (r == 0)
		r = api_body_choice(body, "snapshot_type", false, types, 1, &choice, err);
	if (r == 0)
		r = json_get_bool(body, "keep_vsock_streams", false, &ret->keep_vsock_streams, err);
	if (r == 0 && strcmp(ret->state_path, ret->memory_path) == 0)
		r = stk_err_set(err, -EINVAL, "`snapshot_path` and `mem_file_path` are the same file");
	return r;
}

int api_snapshot_create(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	struct api_snapshot_create q;
	int r = api_snapshot_create_parse(c->body, &q, err);

	if (r < 0)
		return r;
	if (vm_get_state(s->vm) != VM_PAUSED)
		return stk_err_set(err, -EBUSY, "the microVM must be paused before a snapshot is created");
	return vm_snapshot_create(s->vm, q.state_path, q.memory_path, q.keep_vsock_streams, err);
}

static int parse_backend(json_t *body, struct api_snapshot_load *q, struct stk_err *err)
{
	const json_t *backend = NULL;
	unsigned choice;
	int r = api_body_path(body, "mem_file_path", false, q->memory_path, err);

	if (r == 0)
		r = json_get_obj(body, "mem_backend", false, &backend, err);
	if (r < 0)
		return r;
	if (!backend == !*q->memory_path)
		return stk_err_set(err, -EINVAL,
				   "exactly one of `mem_backend` and `mem_file_path` must be given");
	if (!backend) {
		q->deprecated = true;
		return 0;
	}
	r = api_body_fields((json_t *)backend, backend_fields, err);
	if (r == 0)
		r = api_body_choice(backend, "backend_type", true, backends, 1, &choice, err);
	return r == 0 ? api_body_path(backend, "backend_path", true, q->memory_path, err) : r;
}

static int parse_drive_overrides(json_t *body, struct api_snapshot_load *q, struct stk_err *err)
{
	const json_t *list = NULL;
	const char *id = NULL;
	size_t i;
	json_t *o;
	int r = json_get_array(body, "drive_overrides", false, &list, err);

	if (r < 0 || !list)
		return r;
	if (json_array_size(list) > VMCONFIG_MAX_DRIVES)
		return stk_err_set(err, -EINVAL, "more than %u `drive_overrides`", VMCONFIG_MAX_DRIVES);
	json_array_foreach((json_t *)list, i, o) {
		if (!json_is_object(o))
			return stk_err_set(err, -EINVAL, "an element of `drive_overrides` is no object");
		r = api_body_fields(o, drive_fields, err);
		if (r == 0)
			r = json_get_str(o, "drive_id", true, API_ID_MAX, &id, err);
		if (r == 0)
			r = api_body_path(o, "path_on_host", true, q->drive[i].path, err);
		if (r < 0)
			return r;
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(q->drive[k].id, id) == 0)
				return stk_err_set(err, -EINVAL, "drive `%.64s` is overridden twice", id);
		}
		strcpy(q->drive[i].id, id);
		q->drive_count = (unsigned)i + 1;
	}
	return 0;
}

static int parse_overrides(json_t *body, struct api_snapshot_load *q, struct stk_err *err)
{
	const json_t *nets = NULL, *vsock = NULL;
	int r = json_get_array(body, "network_overrides", false, &nets, err);

	if (r == 0 && nets && json_array_size(nets) > 0)
		r = stk_err_set(err, -EOPNOTSUPP, "field `network_overrides` is not supported by this version");
	if (r == 0)
		r = json_get_obj(body, "vsock_override", false, &vsock, err);
	if (r == 0 && vsock)
		r = api_body_fields((json_t *)vsock, vsock_fields, err);
	if (r == 0 && vsock)
		r = api_body_path(vsock, "uds_path", true, q->uds_path, err);
	return r == 0 ? parse_drive_overrides(body, q, err) : r;
}

int api_snapshot_load_parse(json_t *body, struct api_snapshot_load *ret, struct stk_err *err)
{
	unsigned choice;
	int r = api_body_fields(body, load_fields, err);

	*ret = (struct api_snapshot_load){0};
	if (r == 0)
		r = api_body_path(body, "snapshot_path", true, ret->state_path, err);
	if (r == 0)
		r = parse_backend(body, ret, err);
	if (r == 0)
		r = json_get_bool(body, "resume_vm", false, &ret->resume, err);
	if (r == 0)
		r = api_body_only_false(body, "track_dirty_pages", err);
	if (r == 0)
		r = api_body_only_false(body, "enable_diff_snapshots", err);
	if (r == 0)
		r = api_body_only_false(body, "clock_realtime", err);
	if (r == 0)
		r = api_body_choice(body, "huge_pages", false, huge_pages, 2, &choice, err);
	if (r == 0)
		r = parse_overrides(body, ret, err);
	if (r == 0 && json_object_get(body, "enable_diff_snapshots"))
		ret->deprecated = true;
	return r;
}

int api_snapshot_load(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	struct vm_load_opts opts = {.record_fd = -1, .working_set.fd = -1};
	struct api_snapshot_load q;
	int r = api_snapshot_load_parse(c->body, &q, err);

	if (r < 0)
		return r;
	c->deprecated = q.deprecated;
	if (s->configured)
		return stk_err_set(err, -EBUSY, "Loading a microVM snapshot not allowed after configuring "
						"boot-specific resources.");
	opts.state = (struct vm_file){q.state_path, -1};
	opts.memory = (struct vm_file){q.memory_path, -1};
	opts.uds_path = *q.uds_path ? q.uds_path : NULL;
	opts.resume = q.resume;
	opts.drive_count = q.drive_count;
	for (unsigned i = 0; i < q.drive_count; i++) {
		opts.drive[i].drive_id = q.drive[i].id;
		opts.drive[i].path = q.drive[i].path;
	}
	r = vm_snapshot_load(s->vm, &opts, err);
	if (r < 0) {
		s->failed = true;
		stk_err_prefix(err, "Load snapshot error");
	}
	return r;
}
