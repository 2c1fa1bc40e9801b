/* Command line: see options.h. */
#include "vmm/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "common/base/str.h"

enum kind {
	KIND_FLAG,  /* bool */
	KIND_TEXT,  /* const char * */
	KIND_LEVEL,
	KIND_FD,
	KIND_PID,   /* pid_t */
	KIND_DRIVE,
	KIND_PORT_FD,
	KIND_BLOCKS,
	KIND_MIB,   /* unsigned */
};

struct option_row {
	const char *name;
	enum kind kind;
	size_t offset;
};

#define ROW(name, kind, member) {name, kind, offsetof(struct options, member)}

static const struct option_row rows[] = {
	ROW("--api-sock", KIND_TEXT, api_sock),
	ROW("--blocks", KIND_BLOCKS, block),
	ROW("--config-file", KIND_TEXT, config_file),
	ROW("--control-fd", KIND_FD, control_fd),
	ROW("--die-with-parent", KIND_PID, parent),
	ROW("--drive", KIND_DRIVE, drive),
	ROW("--help", KIND_FLAG, help),
	ROW("--id", KIND_TEXT, id),
	ROW("--log-level", KIND_LEVEL, log_level),
	ROW("--log-path", KIND_TEXT, log_path),
	ROW("--no-seccomp", KIND_FLAG, no_seccomp),
	ROW("--preflight", KIND_FLAG, preflight),
	ROW("--record-fd", KIND_FD, record_fd),
	ROW("--restore-memory", KIND_TEXT, restore_memory),
	ROW("--restore-state", KIND_TEXT, restore_state),
	ROW("--reusable", KIND_FLAG, reusable),
	ROW("--serial-off", KIND_FLAG, serial_off),
	ROW("--shell", KIND_MIB, shell_mib),
	ROW("--serial-path", KIND_TEXT, serial_path),
	ROW("--version", KIND_FLAG, version),
	ROW("--vsock-fd", KIND_PORT_FD, port_fd),
	ROW("--working-set", KIND_TEXT, working_set),
};

const char *options_help(void)
{
	return "usage: stoker-vmm [options]\n"
	       "  --api-sock PATH        serve the REST API on this Unix socket\n"
	       "  --config-file FILE     boot the machine described in this JSON file\n"
	       "  --restore-state FILE   restore a snapshot and run it; needs --restore-memory; vsock\n"
	       "                         then has the streams of --vsock-fd only\n"
	       "  --restore-memory FILE\n"
	       "  --working-set FILE     make the pages listed there private before the guest runs; a hint\n"
	       "  --record-fd FD         at the end write there, a byte per page, which pages the clone touched\n"
	       "  --blocks FD:GUEST=FILE,...\n"
	       "                         of the memory, block GUEST (of 2 MiB) has the content of block FILE of this open\n"
	       "                         file, which lies in huge pages\n"
	       "  --drive ID=PATH        file of a drive of the snapshot, when not where it was\n"
	       "  --vsock-fd PORT:FD     the guest's connection to host port PORT is this open socket\n"
	       "  --control-fd FD        write \"running NS\" or \"error TEXT\" there\n"
	       "  --shell MIB            make a VM of this memory and one vCPU, wait on the socket of --control-fd for what\n"
	       "                         it is to restore (vmm/fill.h), run that\n"
	       "  --reusable             at each line \"reset\" read from the socket of --control-fd, put the\n"
	       "                         restored machine back to its snapshot and write \"running NS BYTES\"\n"
	       "  --serial-path FILE     console output goes to FILE (default: standard output)\n"
	       "  --serial-off           drop console output\n"
	       "  --id ID                name in log lines\n"
	       "  --log-level LEVEL      error, warn, info or debug\n"
	       "  --log-path FILE        log there (default: standard error)\n"
	       "  --die-with-parent PID  end when process PID, which started this one, ends\n"
	       "  --no-seccomp           do not confine the process (debugging)\n"
	       "  --preflight            check that KVM works here, and end\n"
	       "  --version, --help\n";
}

static int parse_fd(const char *text, int *ret_fd)
{
	uint64_t v;

	if (stk_parse_u64(text, 0, INT_MAX, &v) < 0 || fcntl((int)v, F_GETFD) < 0)
		return -EINVAL;
	*ret_fd = (int)v;
	return 0;
}

static int add_drive(struct options *o, char *value, struct stk_err *err)
{
	char *eq = strchr(value, '=');

	if (!eq || eq == value || eq[1] == '\0')
		return stk_err_set(err, -EINVAL, "--drive needs ID=PATH, not \"%s\"", value);
	if (o->drive_count == VMCONFIG_MAX_DRIVES)
		return stk_err_set(err, -EINVAL, "--drive: at most %u drives are possible", VMCONFIG_MAX_DRIVES);
	*eq = '\0';
	o->drive[o->drive_count].drive_id = value;
	o->drive[o->drive_count].path = eq + 1;
	o->drive_count++;
	return 0;
}

static int add_port_fd(struct options *o, char *value, struct stk_err *err)
{
	char *colon = strchr(value, ':');
	uint64_t port = 0;
	int fd = -1;

	if (colon)
		*colon = '\0';
	if (!colon || stk_parse_u64(value, 0, UINT32_MAX, &port) < 0 || parse_fd(colon + 1, &fd) < 0)
		return stk_err_set(err, -EINVAL, "--vsock-fd needs PORT:FD with an open descriptor FD");
	if (o->port_fd_count == DEVICE_MAX_PORT_FDS)
		return stk_err_set(err, -EINVAL, "--vsock-fd: at most %u are possible", DEVICE_MAX_PORT_FDS);
	for (unsigned i = 0; i < o->port_fd_count; i++) {
		if (o->port_fd[i].port == port)
			return stk_err_set(err, -EINVAL, "--vsock-fd: port %llu is given twice",
					   (unsigned long long)port);
	}
	o->port_fd[o->port_fd_count].port = (uint32_t)port;
	o->port_fd[o->port_fd_count].fd = fd;
	o->port_fd_count++;
	return 0;
}

static int add_blocks(struct options *o, char *value, struct stk_err *err)
{
	char *rest = strchr(value, ':');
	int r = -EINVAL;

	if (rest) {
		*rest++ = '\0';
		r = parse_fd(value, &o->blocks_fd);
	}
	if (r == 0)
		r = fill_parse_blocks(rest, o->block, FILL_MAX_BLOCKS, &o->block_count);
	return r < 0 ? stk_err_set(err, r, "--blocks needs FD:GUEST=FILE,... with an open descriptor FD and at most %u "
				   "pairs", FILL_MAX_BLOCKS) : 0;
}

static int apply(struct options *o, const struct option_row *row, char *value, struct stk_err *err)
{
	void *member = (char *)o + row->offset;

	switch (row->kind) {
	case KIND_FLAG:
		*(bool *)member = true;
		return 0;
	case KIND_TEXT:
		if (value[0] == '\0')
			return stk_err_set(err, -EINVAL, "%s: the value is empty", row->name);
		*(const char **)member = value;
		return 0;
	case KIND_LEVEL:
		if (stk_log_parse_level(value, member) < 0)
			return stk_err_set(err, -EINVAL, "%s: \"%s\" is none of error, warn, info, debug",
					   row->name, value);
		return 0;
	case KIND_FD:
		if (parse_fd(value, member) < 0)
			return stk_err_set(err, -EINVAL, "%s: \"%s\" is not an open descriptor", row->name, value);
		return 0;
	case KIND_PID: {
		uint64_t pid;

		if (stk_parse_u64(value, 1, INT32_MAX, &pid) < 0)
			return stk_err_set(err, -EINVAL, "%s: \"%s\" is not a process id", row->name, value);
		*(pid_t *)member = (pid_t)pid;
		return 0;
	}
	case KIND_DRIVE:
		return add_drive(o, value, err);
	case KIND_PORT_FD:
		return add_port_fd(o, value, err);
	case KIND_BLOCKS:
		return add_blocks(o, value, err);
	case KIND_MIB: {
		uint64_t mib;

		if (stk_parse_u64(value, VMCONFIG_MIN_MEM_MIB, VMCONFIG_MAX_MEM_MIB, &mib) < 0)
			return stk_err_set(err, -EINVAL, "%s: \"%s\" is not a size of %u to %u MiB", row->name, value,
					   VMCONFIG_MIN_MEM_MIB, VMCONFIG_MAX_MEM_MIB);
		*(unsigned *)member = (unsigned)mib;
		return 0;
	}
	}
	return -EINVAL;
}

static int check(const struct options *o, struct stk_err *err)
{
	if (o->help || o->version || o->preflight)
		return 0;
	if (!o->restore_state != !o->restore_memory)
		return stk_err_set(err, -EINVAL, "--restore-state and --restore-memory need each other");
	if (o->restore_state && o->config_file)
		return stk_err_set(err, -EINVAL, "--restore-state and --config-file exclude each other");
	if (o->drive_count > 0 && !o->restore_state)
		return stk_err_set(err, -EINVAL, "--drive is for --restore-state");
	if (o->working_set && !o->restore_state)
		return stk_err_set(err, -EINVAL, "--working-set is for --restore-state");
	if (o->record_fd >= 0 && !o->restore_state)
		return stk_err_set(err, -EINVAL, "--record-fd is for --restore-state");
	if (o->blocks_fd >= 0 && !o->restore_state)
		return stk_err_set(err, -EINVAL, "--blocks is for --restore-state");
	if (o->reusable && (!o->restore_state || o->control_fd < 0 || o->record_fd >= 0))
		return stk_err_set(err, -EINVAL, "--reusable needs --restore-state and --control-fd, and no --record-fd");
	if (o->serial_off && o->serial_path)
		return stk_err_set(err, -EINVAL, "--serial-off and --serial-path exclude each other");
	if (o->shell_mib && (o->restore_state || o->config_file || o->api_sock || o->port_fd_count || o->control_fd < 0))
		return stk_err_set(err, -EINVAL, "--shell needs --control-fd and is told there what to restore");
	if (!o->api_sock && !o->config_file && !o->restore_state && !o->shell_mib)
		return stk_err_set(err, -EINVAL,
				   "nothing to do: give --api-sock, --config-file, --restore-state or --shell");
	return 0;
}

static const struct option_row *find_row(const char *arg, size_t len)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strlen(rows[i].name) == len && memcmp(rows[i].name, arg, len) == 0)
			return &rows[i];
	}
	return NULL;
}

int options_parse(struct options *opts, int argc, char **argv, struct stk_err *err)
{
	struct options o = {.log_level = STK_LOG_INFO, .control_fd = -1, .record_fd = -1, .blocks_fd = -1};

	for (int i = 1; i < argc; i++) {
		char *arg = argv[i];
		char *eq = strchr(arg, '=');
		size_t len = eq ? (size_t)(eq - arg) : strlen(arg);
		const struct option_row *row = find_row(arg, len);
		char *value = eq ? eq + 1 : NULL;
		int r;

		if (!row)
			return stk_err_set(err, -EINVAL, "unknown option \"%s\" (see --help)", arg);
		if (row->kind == KIND_FLAG && value)
			return stk_err_set(err, -EINVAL, "%s takes no value", row->name);
		if (row->kind != KIND_FLAG && !value) {
			if (i + 1 == argc)
				return stk_err_set(err, -EINVAL, "%s needs a value", row->name);
			value = argv[++i];
		}
		r = apply(&o, row, value, err);
		if (r < 0)
			return r;
	}
	if (check(&o, err) < 0)
		return -EINVAL;
	*opts = o;
	return 0;
}
