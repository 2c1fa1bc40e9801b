/* stoker-snapshot create: boots a function's machine, waits for the end of its init phase, gives back
 * free memory, pauses, writes, checks in and publishes. Whatever happens, nothing is left behind but
 * a finished snapshot. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "snapshots/catalog.h"
#include "snapshots/funcenv.h"
#include "snapshots/manifest.h"
#include "snapshots/memfile.h"
#include "snapshots/snapfile.h"
#include "snapshots/state.h"
#include "snapshots/tool/initerror.h"
#include "snapshots/tool/monitor.h"
#include "snapshots/tool/options.h"
#include "snapshots/tool/session.h"
#include "snapshots/tool/trial.h"
#include "snapshots/tool/tool.h"

#define INIT_SLACK_MS 5000u  /* the agent keeps the init limit itself; this is for one that does not */
#define TRIM_MS       60000u
#define SEND_MS       10000u

struct create {
	struct create_options o;
	struct monitor m;
	struct session s;
	struct snap_manifest man;
	char vmm[PATH_MAX];
	char out[PATH_MAX]; /* absolute, need not exist */
	char tmp[PATH_MAX];
	bool tmp_made;
	char env_buf[SNAP_FUNCENV_BUF];
	struct gw_start start;
	char *init_error; /* heap: the JSON of exit status 3 */
	bool init_timed_out; /* of that */
	uint64_t init_begin_ns, init_end_ns;
};

/* ---- before anything is started ---- */

static int find_vmm(struct create *c, struct stk_err *err)
{
	char self[PATH_MAX];
	ssize_t n;
	char *slash;

	if (c->o.vmm) {
		if (!realpath(c->o.vmm, c->vmm))
			return stk_err_sys(err, -errno, "--vmm %s", c->o.vmm);
		return 0;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return stk_err_sys(err, -errno, "/proc/self/exe");
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	if (stk_snprintf(c->vmm, sizeof(c->vmm), "%s/stoker-vmm", self) == 0 && access(c->vmm, X_OK) == 0)
		return 0;
	return stk_err_set(err, -ENOENT, "no stoker-vmm in %s: name it with --vmm", self);
}

static int find_out(struct create *c, struct stk_err *err)
{
	char copy[PATH_MAX], parent[PATH_MAX];
	struct stat st;
	char *slash, *name;
	size_t n;

	if (stk_strcpy(copy, sizeof(copy), c->o.out) < 0)
		return stk_err_set(err, -ENAMETOOLONG, "--out %.80s...: too long", c->o.out);
	n = strlen(copy);
	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return stk_err_set(err, -EINVAL, "--out %s: not the name of a new folder", c->o.out);
	if (slash)
		*slash = '\0';
	if (!realpath(!slash ? "." : copy[0] ? copy : "/", parent))
		return stk_err_sys(err, -errno, "the folder of --out %s", c->o.out);
	if (stk_snprintf(c->out, sizeof(c->out), "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0)
		return stk_err_set(err, -ENAMETOOLONG, "--out %s: too long", c->o.out);
	if (lstat(c->out, &st) == 0)
		return stk_err_set(err, -EEXIST, "%s exists already", c->out);
	return 0;
}

static int stat_inputs(struct create *c, struct stk_err *err)
{
	const char *const path[SNAP_INPUT_COUNT] = {
		[SNAP_INPUT_KERNEL] = c->o.kernel, [SNAP_INPUT_INITRD] = c->o.initrd,
		[SNAP_INPUT_ROOTFS] = c->o.rootfs, [SNAP_INPUT_CODE] = c->o.code,
		[SNAP_INPUT_SCRATCH] = c->o.scratch,
	};

	for (unsigned i = 0; i < SNAP_INPUT_COUNT; i++) {
		int r = snap_manifest_file_stat(path[i], &c->man.input[i], err);

		if (r < 0)
			return stk_err_prefix(err, "--%s", snap_manifest_input_name[i]);
	}
	return 0;
}

static int make_env(struct create *c, struct stk_err *err)
{
	const struct snap_funcenv_spec spec = {
		.name = c->o.name, .version = c->o.version, .handler = c->o.handler, .runtime = c->o.runtime,
		.region = c->o.region, .account = c->o.account, .memory_mib = c->o.memory_mib, .log_level = c->o.log_level,
		.log_group = c->o.log_group, .snapstart = c->o.snapstart, .own = c->o.env, .own_len = c->o.env_len,
	};

	return snap_funcenv_build(c->start.kv, &c->start.kv_count, &spec, c->env_buf, sizeof(c->env_buf), err);
}

static int prepare(struct create *c, struct stk_err *err)
{
	struct snap_manifest *m = &c->man;
	int r = find_vmm(c, err);

	if (r == 0)
		r = find_out(c, err);
	if (r == 0)
		r = stat_inputs(c, err);
	if (r < 0)
		return r;
	stk_strcpy(m->function, sizeof(m->function), c->o.name);
	stk_strcpy(m->version, sizeof(m->version), c->o.version);
	stk_strcpy(m->handler, sizeof(m->handler), c->o.handler);
	stk_strcpy(m->runtime, sizeof(m->runtime), c->o.runtime);
	stk_strcpy(m->stoker, sizeof(m->stoker), PACKAGE_VERSION);
	m->vcpu_count = 1;
	m->mem_size_mib = c->o.memory_mib + SNAP_GUEST_OVERHEAD_MIB;
	m->scratch_mib = c->o.scratch_mib ? c->o.scratch_mib : (unsigned)(m->input[SNAP_INPUT_SCRATCH].size >> 20);
	if (stk_strcpy(m->boot_args, sizeof(m->boot_args), c->o.boot_args) < 0)
		return stk_err_set(err, -EINVAL, "--boot-args: longer than %zu bytes", sizeof(m->boot_args) - 1);
	snap_manifest_host(m);
	if (stk_snprintf(c->tmp, sizeof(c->tmp), "%s.tmp-XXXXXX", c->out) < 0)
		return stk_err_set(err, -ENAMETOOLONG, "--out %s: too long", c->o.out);
	if (!mkdtemp(c->tmp))
		return stk_err_sys(err, -errno, "making a folder beside %s", c->out);
	c->tmp_made = true;
	return 0;
}

/* ---- the machine ---- */

static int put_drive(struct create *c, const char *id, enum snap_manifest_input input, bool root, bool cow,
		     unsigned size_mib, struct stk_err *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/drives/%s", id);
	return monitor_call(&c->m, "PUT", path,
			    json_pack("{s:s, s:s, s:b, s:b, s:b, s:o*}", "drive_id", id, "path_on_host",
				      c->man.input[input].path, "is_root_device", root, "is_read_only", !cow,
				      "copy_on_write", cow, "size_mib", size_mib ? json_integer(size_mib) : NULL),
			    err);
}

static int boot(struct create *c, struct stk_err *err)
{
	struct monitor *m = &c->m;
	int r = monitor_start(m, c->vmm, c->tmp, m->deadline_ns, err);

	if (r == 0)
		r = monitor_call(m, "PUT", "/machine-config",
				 json_pack("{s:i, s:i}", "vcpu_count", (int)c->man.vcpu_count, "mem_size_mib",
					   (int)c->man.mem_size_mib), err);
	if (r == 0)
		r = monitor_call(m, "PUT", "/boot-source",
				 json_pack("{s:s, s:s, s:s}", "kernel_image_path",
					   c->man.input[SNAP_INPUT_KERNEL].path, "initrd_path",
					   c->man.input[SNAP_INPUT_INITRD].path, "boot_args", c->man.boot_args),
				 err);
	if (r == 0)
		r = put_drive(c, "rootfs", SNAP_INPUT_ROOTFS, true, false, 0, err);
	if (r == 0)
		r = put_drive(c, "code", SNAP_INPUT_CODE, false, false, 0, err);
	if (r == 0)
		r = put_drive(c, "scratch", SNAP_INPUT_SCRATCH, false, true, c->o.scratch_mib, err);
	if (r == 0)
		r = monitor_call(m, "PUT", "/vsock", json_pack("{s:i}", "guest_cid", 3), err);
	if (r == 0)
		r = monitor_call(m, "PUT", "/actions", json_pack("{s:s}", "action_type", "InstanceStart"), err);
	return r;
}

/* ---- the session ---- */

/* 1 with c->init_error set, or a negative errno. */
static int guest_failed(struct create *c, const struct gw_error *e, struct stk_err *err)
{
	c->init_error = initerror_json(e, c->o.init_timeout_ms, c->o.memory_mib);
	c->init_timed_out = e->kind == GW_ERR_INIT_TIMEOUT;
	if (c->init_error)
		return 1;
	if (e->kind != GW_ERR_AGENT)
		return stk_err_sys(err, -ENOMEM, "reporting the guest's error");
	return stk_err_set(err, -EIO, "the guest agent failed: %.*s", e->body_len > 200 ? 200 : (int)e->body_len,
			   e->body_len ? e->body : "");
}

static int send_start(struct create *c, struct stk_err *err)
{
	stk_autofree uint8_t *frame = malloc(GW_HEADER_LEN + 65536);
	int n;

	if (!frame)
		return stk_err_sys(err, -ENOMEM, "start");
	c->start.wall_ns = stk_wall_ns();
	c->start.init_timeout_ms = c->o.init_timeout_ms;
	if (getrandom(c->start.entropy, GW_ENTROPY_LEN, 0) != (ssize_t)GW_ENTROPY_LEN)
		return stk_err_sys(err, -errno, "getrandom");
	n = gw_start_encode(frame, GW_HEADER_LEN + 65536, &c->start);
	if (n < 0)
		return stk_err_set(err, n, "the function's environment does not fit into a frame");
	return session_send(&c->s, frame, (size_t)n, SEND_MS, err);
}

static int init_phase(struct create *c, struct stk_err *err)
{
	struct gw_error e;
	uint64_t ns = 0;
	int r;

	c->init_begin_ns = stk_now_ns();
	r = send_start(c, err);
	if (r == 0)
		r = session_wait(&c->s, GW_READY, c->o.init_timeout_ms + INIT_SLACK_MS, &ns, &e, err);
	c->init_end_ns = stk_now_ns();
	if (r == 1)
		return guest_failed(c, &e, err);
	if (r == -ETIMEDOUT)
		return guest_failed(c, &(struct gw_error){.kind = GW_ERR_INIT_TIMEOUT}, err);
	c->man.init_us = ns / 1000 > INT64_MAX ? 0 : ns / 1000;
	return r;
}

static int trim(struct create *c, struct stk_err *err)
{
	uint8_t frame[GW_HEADER_LEN + 8];
	struct gw_error e;
	uint64_t used = 0;
	int n = gw_u64_encode(frame, sizeof(frame), GW_TRIM, monitor_resident(&c->m));
	int r = session_send(&c->s, frame, (size_t)n, SEND_MS, err);

	if (r == 0)
		r = session_wait(&c->s, GW_TRIMMED, TRIM_MS, &used, &e, err);
	if (r == 1)
		return guest_failed(c, &e, err);
	c->man.guest_used_bytes = used > INT64_MAX ? INT64_MAX : used;
	return r < 0 ? stk_err_prefix(err, "giving back free memory") : 0;
}

/* ---- the files ---- */

static int write_snapshot(struct create *c, struct stk_err *err)
{
	char state[PATH_MAX], memory[PATH_MAX];
	int r;

	if (stk_snprintf(state, sizeof(state), "%s/state", c->tmp) < 0 ||
	    stk_snprintf(memory, sizeof(memory), "%s/memory", c->tmp) < 0)
		return stk_err_set(err, -ENAMETOOLONG, "%s: too long", c->tmp);
	r = monitor_call(&c->m, "PATCH", "/vm", json_pack("{s:s}", "state", "Paused"), err);
	if (r == 0)
		r = monitor_call(&c->m, "PUT", "/snapshot/create",
				 json_pack("{s:s, s:s, s:s, s:b}", "snapshot_path", state, "mem_file_path", memory,
					   "snapshot_type", "Full", "keep_vsock_streams", 1), err);
	return r;
}

/* Reads back what the monitor wrote: sizes for the manifest, and a first check. */
static int measure(struct create *c, struct stk_err *err)
{
	stk_autofree struct snap_memory *mem = calloc(1, sizeof(*mem));
	stk_autofree struct snap_file *f = calloc(1, sizeof(*f));
	struct snap_runs runs = {0};
	struct stk_rd rd;
	char path[PATH_MAX];
	int r = mem && f ? stk_snprintf(path, sizeof(path), "%s/state", c->tmp) : -ENOMEM;

	if (r < 0)
		return stk_err_sys(err, r, "reading the new snapshot");
	r = snap_snapfile_open(path, true, f, err);
	if (r < 0)
		return r;
	r = snap_snapfile_section(f, SNAP_SECTION_MEMORY, 0, &rd, err);
	if (r == 0)
		r = snap_memory_decode(&rd, mem, err);
	if (r == 0)
		r = snap_snapfile_section(f, SNAP_SECTION_RUNS, 0, &rd, err);
	if (r == 0)
		r = snap_runs_decode(&rd, mem->total_size, &runs, err);
	c->man.memory_total_bytes = mem->total_size;
	for (unsigned i = 0; r == 0 && i < runs.count; i++)
		c->man.memory_data_bytes += runs.run[i].length;
	snap_runs_fini(&runs);
	snap_snapfile_close(f);
	return r;
}

static int publish(struct create *c, struct stk_err *err)
{
	stk_autofree char *text = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	int r;

	c->man.created_ms = stk_wall_ns() / STK_NS_PER_MS;
	r = snap_manifest_encode(&c->man, &text, &len, err);
	if (r < 0)
		return r;
	r = stk_snprintf(path, sizeof(path), "%s/manifest.json", c->tmp);
	if (r == 0)
		r = stk_write_file_atomic(path, text, len, SNAP_FILE_MODE);
	if (r < 0)
		return stk_err_sys(err, r, "%s/manifest.json", c->tmp);
	r = snap_catalog_write_checksums(c->tmp, err);
	if (r == 0 && signals_caught())
		r = stk_err_set(err, -EINTR, "ended by signal %d", signals_caught());
	if (r == 0)
		r = snap_catalog_publish(c->tmp, c->out, err);
	if (r == 0)
		c->tmp_made = false;
	return r;
}

/* ---- the command ---- */

static int work(struct create *c, struct stk_err *err)
{
	int r = prepare(c, err);

	progress_step("starting the monitor");
	if (r == 0)
		r = boot(c, err);
	progress_step("booting the guest");
	if (r == 0)
		r = session_init(&c->s, &c->m, err);
	if (r == 0)
		r = session_hello(&c->s, c->o.boot_timeout_ms, c->man.agent, sizeof(c->man.agent), err);
	progress_step("init phase");
	if (r == 0)
		r = init_phase(c, err);
	progress_step("giving back free memory");
	if (r == 0)
		r = trim(c, err);
	progress_step("writing the snapshot");
	if (r == 0)
		r = write_snapshot(c, err);
	if (r < 0 && r != -EINTR) {
		monitor_drain(&c->m);
		monitor_show_tail(&c->m);
	}
	monitor_end(&c->m);
	if (r == 0)
		r = measure(c, err);
	progress_step("trying a clone");
	if (r == 0)
		r = trial_run(c->vmm, c->tmp, c->man.mem_size_mib, c->m.deadline_ns, err);
	progress_step("publishing");
	if (r == 0)
		r = publish(c, err);
	progress_step(NULL);
	return r;
}

static void clean(struct create *c)
{
	struct stk_err err;

	session_fini(&c->s);
	monitor_end(&c->m);
	if (c->tmp_made && snap_catalog_remove(c->tmp, &err) < 0)
		fprintf(stderr, "stoker-snapshot: left behind: %s\n", err.text);
}

int cmd_create(int argc, char **argv)
{
	stk_autofree struct create *c = calloc(1, sizeof(*c));
	struct stk_err err = {0, ""};
	uint64_t begin = stk_now_ns();
	int r, status;

	if (!c) {
		stk_err_sys(&err, -ENOMEM, "create");
		return tool_fail(TOOL_SYSTEM, &err);
	}
	monitor_init(&c->m);
	r = create_options_parse(&c->o, argc, argv, &err);
	if (r == 0 && c->o.help) {
		create_options_fini(&c->o);
		return tool_usage(create_usage, NULL);
	}
	if (r == 0) {
		r = make_env(c, &err);
		r = r == -E2BIG ? -EINVAL : r;
	}
	if (r < 0) {
		create_options_fini(&c->o);
		return r == -EINVAL ? tool_usage(create_usage, err.text) : tool_fail(TOOL_SYSTEM, &err);
	}
	/* TERM, not KILL: the unfinished folder is to be removed. */
	if (c->o.parent && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != (pid_t)c->o.parent)) {
		stk_err_set(&err, -ESRCH, "--die-with-parent: process %u is gone already", c->o.parent);
		create_options_fini(&c->o);
		return tool_fail(TOOL_SYSTEM, &err);
	}
	c->m.deadline_ns = begin + c->o.time_limit_ms * STK_NS_PER_MS;
	r = work(c, &err);
	clean(c);
	status = TOOL_OK;
	if (r == 1) {
		puts(c->init_error);
		if (c->o.init_report)
			printf("{\"status\":\"%s\",\"durationUs\":%llu}\n", c->init_timed_out ? "timeout" : "error",
			       (unsigned long long)(c->init_end_ns - c->init_begin_ns) / 1000);
		status = TOOL_INIT_FAILED;
	} else if (r < 0) {
		status = tool_fail(TOOL_SYSTEM, &err);
	} else {
		printf("%s: %.1f MiB of %.1f MiB, init phase %.0f ms, made in %.1f s\n", c->out,
		       (double)c->man.memory_data_bytes / 1048576, (double)c->man.memory_total_bytes / 1048576,
		       (double)c->man.init_us / 1000, (double)(stk_now_ns() - begin) / STK_NS_PER_S);
	}
	free(c->init_error);
	create_options_fini(&c->o);
	return status;
}
