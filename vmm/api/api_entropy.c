/* /entropy: the random number device. */
#include "vmm/api/api_internal.h"

static const char *const fields[] = {"rate_limiter", NULL};

int api_entropy_parse(json_t *body, struct vmconfig *cfg, struct stk_err *err)
{
	int r = api_body_fields(body, fields, err);

	if (r == 0)
		r = api_body_unsupported(body, "rate_limiter", err);
	if (r == 0)
		cfg->entropy = true;
	return r;
}

int api_entropy_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	return api_entropy_parse(c->body, &s->cfg, err);
}
