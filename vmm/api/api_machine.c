/* /machine-config: vCPUs and memory. */
#include <errno.h>

#include "vmm/api/api_internal.h"

static const char *const fields[] = {"vcpu_count", "mem_size_mib", "smt", "track_dirty_pages",
				     "huge_pages", "cpu_template", NULL};
static const char *const huge_pages[] = {"None", "Transparent", "2M", NULL};
static const char *const templates[] = {"None", "C3", "T2", "T2S", "T2CL", "T2A", "V1N1", NULL};

int api_machine_parse(json_t *body, struct vmconfig *cfg, bool patch, struct stk_err *err)
{
	uint64_t vcpus = cfg->vcpu_count, mib = cfg->mem_size_mib;
	unsigned choice;
	int r = api_body_fields(body, fields, err);

	if (r == 0 && patch && json_object_size(body) == 0)
		return stk_err_set(err, -EINVAL, "Empty PATCH request.");
	if (r == 0)
		r = json_get_u64(body, "vcpu_count", !patch, 1, VMCONFIG_MAX_VCPUS, &vcpus, err);
	if (r == 0)
		r = json_get_u64(body, "mem_size_mib", !patch, VMCONFIG_MIN_MEM_MIB, VMCONFIG_MAX_MEM_MIB, &mib,
				 err);
	if (r == 0)
		r = api_body_only_false(body, "smt", err);
	if (r == 0)
		r = api_body_only_false(body, "track_dirty_pages", err);
	if (r == 0)
		r = api_body_choice(body, "huge_pages", false, huge_pages, 1, &choice, err);
	if (r == 0)
		r = api_body_choice(body, "cpu_template", false, templates, 1, &choice, err);
	if (r < 0)
		return r;
	cfg->vcpu_count = (unsigned)vcpus;
	cfg->mem_size_mib = (unsigned)mib;
	return 0;
}

json_t *api_machine_json(const struct vmconfig *cfg)
{
	return json_pack("{s:i, s:i, s:b, s:b, s:s}", "vcpu_count", (int)cfg->vcpu_count, "mem_size_mib",
			 (int)cfg->mem_size_mib, "smt", 0, "track_dirty_pages", 0, "huge_pages", "None");
}

static int change(struct api_server *s, struct api_call *c, bool patch, struct stk_err *err)
{
	c->deprecated = json_object_get(c->body, "cpu_template") != NULL;
	return api_machine_parse(c->body, &s->cfg, patch, err);
}

int api_machine_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	return change(s, c, false, err);
}

int api_machine_patch(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	return change(s, c, true, err);
}

int api_machine_get(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	*ret_body = api_machine_json(api_current(s));
	return *ret_body ? 0 : stk_err_set(err, -ENOMEM, "out of memory");
}
