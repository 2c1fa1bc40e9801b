/* The validated configuration: see vmconfig.h. */
#include "vmm/vmconfig.h"

#include <errno.h>
#include <string.h>

#include "vmm/x86/layout.h"

void vmconfig_init(struct vmconfig *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->vcpu_count = 1;
	cfg->mem_size_mib = 128;
}

static bool id_valid(const char *id)
{
	size_t n = strnlen(id, VMCONFIG_ID_MAX + 1);

	if (n == 0 || n > VMCONFIG_ID_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = id[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '-'))
			return false;
	}
	return true;
}

static int check_drives(const struct vmconfig *cfg, struct stk_err *err)
{
	unsigned roots = 0;

	if (cfg->drive_count > VMCONFIG_MAX_DRIVES)
		return stk_err_set(err, -EINVAL, "at most %u drives are possible", VMCONFIG_MAX_DRIVES);
	for (unsigned i = 0; i < cfg->drive_count; i++) {
		const struct vmconfig_drive *d = &cfg->drive[i];

		if (!id_valid(d->id))
			return stk_err_set(err, -EINVAL, "drive %u: the id must be 1 to %u letters, digits, _ or -",
					   i, VMCONFIG_ID_MAX);
		if (d->path[0] == '\0')
			return stk_err_set(err, -EINVAL, "drive %s: no file given", d->id);
		if (d->read_only && d->copy_on_write)
			return stk_err_set(err, -EINVAL, "drive %s: read-only and copy-on-write exclude each other",
					   d->id);
		if (d->size_mib && !d->copy_on_write)
			return stk_err_set(err, -EINVAL, "drive %s: only a copy-on-write drive may be larger than its file",
					   d->id);
		if (d->size_mib > VMCONFIG_MAX_DRIVE_MIB)
			return stk_err_set(err, -EINVAL, "drive %s: larger than %u MiB", d->id, VMCONFIG_MAX_DRIVE_MIB);
		roots += d->is_root;
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(cfg->drive[k].id, d->id) == 0)
				return stk_err_set(err, -EINVAL, "drive %s is given twice", d->id);
		}
	}
	if (roots > 1)
		return stk_err_set(err, -EINVAL, "more than one drive is marked as the root device");
	return 0;
}

int vmconfig_check_machine(const struct vmconfig *cfg, struct stk_err *err)
{
	int r;

	if (cfg->vcpu_count < 1 || cfg->vcpu_count > VMCONFIG_MAX_VCPUS)
		return stk_err_set(err, -EINVAL, "vcpu_count must be 1 to %u, not %u", VMCONFIG_MAX_VCPUS,
				   cfg->vcpu_count);
	if (cfg->mem_size_mib < VMCONFIG_MIN_MEM_MIB || cfg->mem_size_mib > VMCONFIG_MAX_MEM_MIB)
		return stk_err_set(err, -EINVAL, "mem_size_mib must be %u to %u, not %u", VMCONFIG_MIN_MEM_MIB,
				   VMCONFIG_MAX_MEM_MIB, cfg->mem_size_mib);
	r = check_drives(cfg, err);
	if (r < 0)
		return r;
	if (cfg->vsock && cfg->guest_cid < 3)
		return stk_err_set(err, -EINVAL, "guest_cid must be 3 or more, not %u", cfg->guest_cid);
	return 0;
}

int vmconfig_check(const struct vmconfig *cfg, struct stk_err *err)
{
	int r = vmconfig_check_machine(cfg, err);

	if (r < 0)
		return r;
	if (cfg->kernel_path[0] == '\0')
		return stk_err_set(err, -EINVAL, "no kernel image is given (boot-source)");
	if (strnlen(cfg->boot_args, VMCONFIG_CMDLINE_MAX) >= LAYOUT_CMDLINE_MAX)
		return stk_err_set(err, -EINVAL, "boot_args are longer than %u bytes", LAYOUT_CMDLINE_MAX - 1);
	return 0;
}
