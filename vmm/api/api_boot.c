/* /boot-source: kernel, initial ramdisk, command line. */
#include <errno.h>
#include <string.h>

#include "vmm/api/api_internal.h"

static const char *const fields[] = {"kernel_image_path", "initrd_path", "boot_args", NULL};

/* Without boot_args, as Firecracker has it: no serial console, no probing for what is not there, a panic ends the VM. */
static const char default_args[] = "reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd "
				   "swiotlb=noforce";

int api_boot_parse(json_t *body, struct vmconfig *cfg, struct stk_err *err)
{
	char kernel[VMCONFIG_PATH_MAX] = "", initrd[VMCONFIG_PATH_MAX] = "";
	const char *args = default_args;
	int r = api_body_fields(body, fields, err);

	if (r == 0)
		r = api_body_path(body, "kernel_image_path", true, kernel, err);
	if (r == 0)
		r = api_body_path(body, "initrd_path", false, initrd, err);
	if (r == 0)
		r = json_get_str(body, "boot_args", false, VMCONFIG_CMDLINE_MAX - 1, &args, err);
	if (r == 0 && strpbrk(args, "\r\n"))
		r = stk_err_set(err, -EINVAL, "field `boot_args` contains a line break");
	if (r == 0)
		r = api_body_openable(kernel, "kernel image", false, err);
	if (r == 0 && *initrd)
		r = api_body_openable(initrd, "initrd", false, err);
	if (r < 0)
		return r;
	strcpy(cfg->kernel_path, kernel);
	strcpy(cfg->initrd_path, initrd);
	strcpy(cfg->boot_args, args);
	return 0;
}

int api_boot_put(struct api_server *s, struct api_call *c, json_t **ret_body, struct stk_err *err)
{
	return api_boot_parse(c->body, &s->cfg, err);
}
