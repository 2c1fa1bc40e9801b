/* GET /, GET /version, PATCH /vm: what it is and whether it runs. */
#include <errno.h>

#include "vmm/api/api_internal.h"

static const char *const fields[] = {"state", NULL};
static const char *const states[] = {"Paused", "Resumed", NULL};

static const char *state_name(enum vm_state state)
{
	switch (state) {
	case VM_NEW:
		return "Not started";
	case VM_RUNNING:
		return "Running";
	case VM_PAUSED:
		return "Paused";
	case VM_STOPPED:
		return "Stopped";
	}
	return "Stopped";
}

int api_state_get(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	*ret_body = json_pack("{s:s, s:s, s:s, s:s}", "id", s->id, "state", state_name(vm_get_state(s->vm)),
			      "vmm_version", PACKAGE_VERSION, "app_name", "Stoker");
	/* json_pack refuses an id that is no UTF-8 */
	return *ret_body ? 0 : stk_err_set(err, -EINVAL, "the id is not valid text");
}

int api_state_version(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	*ret_body = json_pack("{s:s}", "firecracker_version", PACKAGE_VERSION);
	return *ret_body ? 0 : stk_err_set(err, -ENOMEM, "out of memory");
}

int api_state_patch(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	unsigned want = 0;
	int r = api_body_fields(c->body, fields, err);

	if (r == 0)
		r = api_body_choice(c->body, "state", true, states, 2, &want, err);
	if (r < 0)
		return r;
	return want == 0 ? vm_pause(s->vm, err) : vm_resume(s->vm, err);
}
