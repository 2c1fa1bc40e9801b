/* One microVM and its life. All functions on the main thread unless said otherwise.
 *
 *   NEW --vm_boot--> RUNNING <--vm_resume/vm_pause--> PAUSED
 *   NEW --vm_restore--> PAUSED (or RUNNING)           any --> STOPPED (guest reset, fatal error)
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdbool.h>
#include <uv.h>

#include "common/base/err.h"
#include "vmm/devices/device.h"
#include "vmm/vmconfig.h"

enum vm_state { VM_NEW, VM_RUNNING, VM_PAUSED, VM_STOPPED };

struct vm; /* vm.c */

struct vm_host_opts {
	int serial_out_fd; /* -1: drop */
	struct { uint32_t port; int fd; } port_fd[DEVICE_MAX_PORT_FDS];
	unsigned port_fd_count;
	bool seccomp; /* vCPU threads install their filter */
};

/* A file by its path, or open already: then path only names it in messages, and the descriptor is taken over. */
struct vm_file {
	const char *path;
	int fd; /* -1: not open */
};

struct vm_load_opts {
	struct vm_file state, memory;
	struct vm_file working_set; /* path NULL: none; a file that is missing or damaged is passed over */
	int record_fd; /* recorder.h; -1: none */
	int blocks_fd; /* gmem_map_block for each of these, unless pages are recorded */
	const struct gmem_block *block;
	unsigned block_count;
	/* path NULL: as saved, and the image is open as fd. Else it is opened by path. */
	struct { const char *drive_id, *path; int fd; } drive[VMCONFIG_MAX_DRIVES];
	unsigned drive_count;
	const char *uds_path; /* NULL: as saved; "": none, only the streams of --vsock-fd */
	bool resume;
	bool reusable; /* vm_reset will be called */
};

struct vm_reset_done {
	uint64_t ns;         /* it took */
	uint64_t lent_bytes; /* that former lives wrote to lent vsock streams, all together */
};

/* on_stop: called once on the main thread when the VM has ended by itself (guest reset: code 0;
 * internal error: negative errno). */
int vm_new(uv_loop_t *loop, const struct vm_host_opts *opts, void (*on_stop)(void *ctx, int code),
	   void *ctx, struct vm **ret_vm, struct stk_err *err);
void vm_free(struct vm *vm);

enum vm_state vm_get_state(const struct vm *vm);
const struct vmconfig *vm_get_config(const struct vm *vm); /* valid after boot or restore */

int vm_boot(struct vm *vm, const struct vmconfig *cfg, struct stk_err *err);
int vm_pause(struct vm *vm, struct stk_err *err);  /* idempotent; returns with vCPUs parked */
int vm_resume(struct vm *vm, struct stk_err *err); /* idempotent */
/* Only when PAUSED. Writes both files whole (existing ones are replaced by rename). */
int vm_snapshot_create(struct vm *vm, const char *state_path, const char *memory_path,
		       bool keep_vsock_streams, struct stk_err *err);
/* Only when NEW: makes all of the machine that does not depend on the snapshot (threads, KVM's objects, room for its
 * memory), and confines the process to what a shell may do (jail/policy/vmm-shell.policy): no file can be opened any
 * more. vm_snapshot_load then fills it, from open files alone. A failure leaves the process good for nothing but exit. */
int vm_make_shell(struct vm *vm, unsigned mem_size_mib, unsigned vcpu_count, struct stk_err *err);
/* One more stream like those of vm_host_opts, before vm_snapshot_load. Takes fd over. -ENOSPC. */
int vm_lend_stream(struct vm *vm, uint32_t port, int fd);
/* Only when NEW. A failure leaves the process good for nothing but exit. */
int vm_snapshot_load(struct vm *vm, const struct vm_load_opts *opts, struct stk_err *err);
/* Only when RUNNING, restored with `reusable`. All goes back to the snapshot, and the VM runs on from there. A failure
 * leaves the process good for nothing but exit. */
int vm_reset(struct vm *vm, struct vm_reset_done *ret_done, struct stk_err *err);

#endif
