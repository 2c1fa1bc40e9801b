/* /actions: start the machine. */
#include <errno.h>

#include "vmm/api/api_internal.h"

static const char *const fields[] = {"action_type", NULL};
static const char *const actions[] = {"InstanceStart", "SendCtrlAltDel", "FlushMetrics", NULL};

int api_actions_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	unsigned action = 0;
	int r = api_body_fields(c->body, fields, err);

	if (r == 0)
		r = api_body_choice(c->body, "action_type", true, actions, 1, &action, err);
	if (r == 0 && vm_get_state(s->vm) != VM_NEW)
		r = stk_err_set(err, -EBUSY,
				"The requested operation is not supported after starting the microVM.");
	if (r == 0)
		r = vm_boot(s->vm, &s->cfg, err);
	return r;
}
