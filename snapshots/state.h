/* What is in the sections of a state file, as plain structs made from the field lists in
 * snapshots/schema. Pure: no host resources, no KVM types. The monitor turns these into machine
 * state and back; stoker-snapshot prints them.
 *
 * Decoders take the bytes as hostile: lengths, counts and strings are checked, trailing bytes are
 * refused. What a value means is judged by whoever uses it. */
#ifndef SNAPSHOTS_STATE_H
#define SNAPSHOTS_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cursor.h"
#include "common/base/err.h"

#define SNAP_PATH_MAX      512u /* with NUL */
#define SNAP_BOOT_ARGS_MAX 2048u
#define SNAP_ID_MAX        65u
#define SNAP_MAX_DRIVES    8u
#define SNAP_MAX_VCPUS     32u
#define SNAP_MAX_CPUID     128u
#define SNAP_MAX_MSRS      256u
#define SNAP_MAX_REGIONS   16u

#define S_U8(name)         uint8_t name;
#define S_U16(name)        uint16_t name;
#define S_U32(name)        uint32_t name;
#define S_U64(name)        uint64_t name;
#define S_BOOL(name)       bool name;
#define S_STR(name, cap)   char name[cap];
#define S_BYTES(name, len) uint8_t name[len];
#define S_BLOB(name, len)  uint8_t name[len];
#define S_SEG(name)        struct snap_seg name;

struct snap_seg {
#include "snapshots/schema/seg.def"
};

struct snap_drive {
#include "snapshots/schema/drive.def"
};

struct snap_config {
#include "snapshots/schema/config.def"
	struct snap_drive drive[SNAP_MAX_DRIVES];
};

struct snap_vm {
#include "snapshots/schema/vm.def"
};

struct snap_cpuid {
	uint32_t function, index, flags, eax, ebx, ecx, edx;
};

struct snap_msr {
	uint32_t index;
	uint64_t value;
};

struct snap_vcpu {
#include "snapshots/schema/vcpu.def"
	uint32_t cpuid_count;
	uint32_t msr_count;
	struct snap_cpuid cpuid[SNAP_MAX_CPUID];
	struct snap_msr msr[SNAP_MAX_MSRS];
};

struct snap_region {
#include "snapshots/schema/region.def"
};

/* Section MEMORY. Region 0 is "ram" at offset 0; regions lie in the memory file one behind the
 * other, page aligned, and fill it. */
struct snap_memory {
	unsigned count;
	struct snap_region region[SNAP_MAX_REGIONS];
	uint64_t total_size; /* computed */
};

/* Section DEVICE: who saved the blob. */
struct snap_device {
	char name[SNAP_ID_MAX];
	char id[SNAP_ID_MAX];
	uint32_t version;
};

#include "snapshots/schema/end.def"

void snap_config_encode(const struct snap_config *c, struct stk_wr *w);
void snap_vm_encode(const struct snap_vm *v, struct stk_wr *w);
void snap_vcpu_encode(const struct snap_vcpu *v, struct stk_wr *w);
void snap_memory_encode(const struct snap_memory *m, struct stk_wr *w);
/* The blob follows right behind, up to the end of the section. */
void snap_device_encode(const struct snap_device *d, struct stk_wr *w);

int snap_config_decode(struct stk_rd *r, struct snap_config *ret, struct stk_err *err);
int snap_vm_decode(struct stk_rd *r, struct snap_vm *ret, struct stk_err *err);
int snap_vcpu_decode(struct stk_rd *r, struct snap_vcpu *ret, struct stk_err *err);
int snap_memory_decode(struct stk_rd *r, struct snap_memory *ret, struct stk_err *err);
/* Leaves r at the blob. */
int snap_device_decode(struct stk_rd *r, struct snap_device *ret, struct stk_err *err);

/* Calls fn once per field of CONFIG ("drive.0.path" for drives) with its value as text. */
void snap_config_each(const struct snap_config *c, void (*fn)(void *ctx, const char *name, const char *value),
		      void *ctx);

#endif
