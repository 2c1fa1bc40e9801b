/* Options of `stoker-snapshot create`. */
#ifndef SNAPSHOTS_TOOL_OPTIONS_H
#define SNAPSHOTS_TOOL_OPTIONS_H

#include <stddef.h>

#include "common/base/err.h"

struct create_options {
	const char *out, *vmm, *kernel, *initrd, *rootfs, *code, *scratch;
	const char *handler, *name, *version, *runtime, *region, *account, *log_level, *log_group, *boot_args;
	const char *env_file;
	char *env; /* heap: NUL-separated NAME=VALUE from --env-file, then --env */
	size_t env_len;
	unsigned memory_mib;
	unsigned scratch_mib; /* 0: as large as the image */
	unsigned init_timeout_ms;
	unsigned boot_timeout_ms;
	unsigned time_limit_ms; /* of the whole command */
	unsigned init_report; /* 1: how long a failed init phase took is told too */
	unsigned snapstart; /* 1: initialization type snap-start */
	unsigned parent; /* pid whose end is ours; 0: nobody's */
	int help;
};

extern const char create_usage[];

/* -EINVAL: bad usage; other errno: the environment file cannot be read. Free with fini in any case. */
int create_options_parse(struct create_options *o, int argc, char **argv, struct stk_err *err);
void create_options_fini(struct create_options *o);

#endif
