/* manifest.json of a snapshot: who, what, made from which inputs. For people and tools; the monitor
 * does not read it. It holds no part of the function's environment. */
#ifndef SNAPSHOTS_MANIFEST_H
#define SNAPSHOTS_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define SNAP_MANIFEST_FORMAT   1u
#define SNAP_MANIFEST_MAX      65536u /* bytes of the file */
#define SNAP_MANIFEST_PATH_MAX 1024u
#define SNAP_MANIFEST_TEXT_MAX 256u

/* A file the snapshot was made from. */
struct snap_manifest_file {
	char path[SNAP_MANIFEST_PATH_MAX]; /* where it was, absolute; empty: not used */
	uint64_t size;
	char key[64]; /* changes when the content does: "mtime:SECONDS.NANOSECONDS" */
};

enum snap_manifest_input {
	SNAP_INPUT_KERNEL,
	SNAP_INPUT_INITRD,
	SNAP_INPUT_ROOTFS,
	SNAP_INPUT_CODE,
	SNAP_INPUT_SCRATCH,
	SNAP_INPUT_COUNT,
};
extern const char *const snap_manifest_input_name[SNAP_INPUT_COUNT];

struct snap_manifest {
	uint64_t created_ms; /* epoch */
	char function[SNAP_MANIFEST_TEXT_MAX];
	char version[SNAP_MANIFEST_TEXT_MAX];
	char handler[SNAP_MANIFEST_TEXT_MAX];
	char runtime[SNAP_MANIFEST_TEXT_MAX]; /* may be empty */
	unsigned vcpu_count;
	unsigned mem_size_mib;
	unsigned scratch_mib; /* size of the scratch disk, which may be more than its image's */
	char boot_args[2048];
	struct snap_manifest_file input[SNAP_INPUT_COUNT];
	char stoker[SNAP_MANIFEST_TEXT_MAX];      /* version of the tool */
	char agent[SNAP_MANIFEST_TEXT_MAX];       /* version of the guest agent, as it said */
	char host_cpu[SNAP_MANIFEST_TEXT_MAX];    /* model of the processor: on another one the snapshot is made again */
	char host_kernel[SNAP_MANIFEST_TEXT_MAX]; /* informational */
	uint64_t init_us;             /* duration of the init phase */
	uint64_t guest_used_bytes;    /* memory in use in the guest after trimming */
	uint64_t memory_data_bytes;   /* of the memory file */
	uint64_t memory_total_bytes;
};

/* Path (made absolute), size and key of a file as it is now. */
int snap_manifest_file_stat(const char *path, struct snap_manifest_file *ret_file, struct stk_err *err);

/* Name of the CPU and release of the kernel of this machine ("unknown" where they cannot be read). */
void snap_manifest_host(struct snap_manifest *m);

/* JSON text, heap, ended by a newline. Text that is not UTF-8 is refused: -EINVAL. */
int snap_manifest_encode(const struct snap_manifest *m, char **ret_text, size_t *ret_len, struct stk_err *err);
/* Everything is checked: types, ranges, lengths, unknown format. -EINVAL, -ENOTSUP (newer format). */
int snap_manifest_decode(const char *text, size_t len, struct snap_manifest *ret_m, struct stk_err *err);
/* Reads DIR/manifest.json. */
int snap_manifest_read(const char *dir, struct snap_manifest *ret_m, struct stk_err *err);

#endif
