/* The validated configuration of one microVM. Plain data: no JSON, no descriptors, no pointers. */
#ifndef VMM_VMCONFIG_H
#define VMM_VMCONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

#define VMCONFIG_PATH_MAX    512
#define VMCONFIG_CMDLINE_MAX 2048
#define VMCONFIG_MAX_DRIVES  8
#define VMCONFIG_MAX_VCPUS   32
#define VMCONFIG_ID_MAX      64
#define VMCONFIG_MIN_MEM_MIB 16u
#define VMCONFIG_MAX_MEM_MIB 65536u
#define VMCONFIG_MAX_DRIVE_MIB 65536u

struct vmconfig_drive {
	char id[VMCONFIG_ID_MAX + 1];
	char path[VMCONFIG_PATH_MAX];
	bool is_root;
	bool read_only;
	bool copy_on_write; /* private mapping; content is part of the snapshot's memory file */
	unsigned size_mib;  /* copy_on_write: zeros follow the file up to here; 0: as large as the file */
};

struct vmconfig {
	/* machine-config */
	unsigned vcpu_count; /* 1..32 */
	unsigned mem_size_mib;
	/* boot-source */
	char kernel_path[VMCONFIG_PATH_MAX]; /* empty: not set */
	char initrd_path[VMCONFIG_PATH_MAX];
	char boot_args[VMCONFIG_CMDLINE_MAX];
	/* drives, in attach order */
	struct vmconfig_drive drive[VMCONFIG_MAX_DRIVES];
	unsigned drive_count;
	/* vsock */
	bool vsock;
	uint32_t guest_cid; /* >= 3 */
	char uds_path[VMCONFIG_PATH_MAX]; /* empty: only --vsock-fd streams */
	/* entropy */
	bool entropy;
};

void vmconfig_init(struct vmconfig *cfg); /* 1 vCPU, 128 MiB, nothing else */
/* What a restored machine must satisfy as well: all but the boot source. */
int vmconfig_check_machine(const struct vmconfig *cfg, struct stk_err *err);
/* Whole-configuration checks before start (kernel given, one root drive at most, ...). */
int vmconfig_check(const struct vmconfig *cfg, struct stk_err *err);

#endif
