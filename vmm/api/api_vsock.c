/* /vsock: the socket device. */
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "vmm/api/api_internal.h"

static const char *const fields[] = {"guest_cid", "uds_path", "vsock_id", NULL};

/* "<uds_path>_<port>" must fit into a socket address, too. */
#define UDS_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("_4294967295"))

int api_vsock_parse(json_t *body, struct vmconfig *cfg, bool *ret_deprecated, struct stk_err *err)
{
	char path[VMCONFIG_PATH_MAX] = "";
	const char *id = NULL;
	uint64_t cid = 0;
	int r = api_body_fields(body, fields, err);

	if (r == 0)
		r = json_get_u64(body, "guest_cid", true, 3, UINT32_MAX - 1, &cid, err);
	if (r == 0)
		r = api_body_path(body, "uds_path", false, path, err);
	if (r == 0)
		r = json_get_str(body, "vsock_id", false, API_ID_MAX, &id, err);
	if (r == 0 && strlen(path) > UDS_PATH_MAX)
		r = stk_err_set(err, -EINVAL, "field `uds_path` is longer than %zu bytes", UDS_PATH_MAX);
	if (r < 0)
		return r;
	*ret_deprecated = id != NULL;
	cfg->vsock = true;
	cfg->guest_cid = (uint32_t)cid;
	strcpy(cfg->uds_path, path);
	return 0;
}

int api_vsock_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	return api_vsock_parse(c->body, &s->cfg, &c->deprecated, err);
}
