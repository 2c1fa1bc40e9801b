/* Command line of stoker-vmm: argv to a checked struct. */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "vmm/devices/device.h"
#include "vmm/fill.h"
#include "vmm/gmem.h"
#include "vmm/vmconfig.h"

/* Firecracker's exit statuses, where it has one for the case. */
enum options_exit {
	OPTIONS_EXIT_OK = 0,
	OPTIONS_EXIT_ERROR = 1,
	OPTIONS_EXIT_BAD_CONFIG = 152,
	OPTIONS_EXIT_BAD_ARGS = 153,
};

struct options {
	bool help, version, preflight;
	bool no_seccomp, serial_off;
	pid_t parent; /* whose end is ours; 0: nobody's */
	const char *api_sock;    /* strings are argv's */
	const char *config_file;
	const char *id;
	const char *log_path;
	enum stk_log_level log_level;
	const char *restore_state, *restore_memory, *working_set;
	struct { const char *drive_id, *path; } drive[VMCONFIG_MAX_DRIVES];
	unsigned drive_count;
	struct { uint32_t port; int fd; } port_fd[DEVICE_MAX_PORT_FDS];
	unsigned port_fd_count;
	int control_fd; /* -1: none */
	bool reusable;
	unsigned shell_mib; /* 0: no shell */
	int record_fd; /* -1: none */
	int blocks_fd; /* -1: none */
	struct gmem_block block[FILL_MAX_BLOCKS];
	unsigned block_count;
	const char *serial_path;
};

/* Changes argv's strings ("ID=PATH" is cut in two). -EINVAL with a text. */
int options_parse(struct options *opts, int argc, char **argv, struct stk_err *err);
const char *options_help(void);

#endif
