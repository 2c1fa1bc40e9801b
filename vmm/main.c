/* stoker-vmm: the monitor of one microVM, from its command line to its exit status. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "vmm/advice.h"
#include "vmm/api/api_config.h"
#include "vmm/api/api_server.h"
#include "vmm/control.h"
#include "vmm/fill.h"
#include "vmm/giveback.h"
#include "vmm/options.h"
#include "vmm/preflight.h"
#include "vmm/stages.h"
#include "vmm/vm.h"

#ifdef __SANITIZE_ADDRESS__
/* LeakSanitizer stops the world with ptrace, which the filter of a confined process forbids: such a
 * process would hang at its exit. The unit tests look for leaks instead. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

struct program {
	struct options opts;
	uv_loop_t loop;
	struct vm *vm;
	struct api_server *api;
	struct control control;
	uv_signal_t term[2];
	uv_timer_t started;
	int status;
};

static int fail(struct program *p, int status, const struct stk_err *err)
{
	stk_error("%s", err->text);
	if (p->api)
		api_server_stop(p->api);
	control_say(&p->control, "error", err->text);
	return status;
}

/* ---- phases ---- */

static int preflight(void)
{
	struct stk_err err = {0};
	char advice[640];

	if (preflight_run(&err) < 0) {
		printf("kvm: %s\n", err.text);
		return OPTIONS_EXIT_ERROR;
	}
	advice_on_machine("", advice, sizeof(advice));
	printf("kvm: ok%s%s\n", advice[0] ? "; " : "", advice);
	return OPTIONS_EXIT_OK;
}

static int open_logs(const struct options *o, struct stk_err *err)
{
	int fd;

	stk_log_init("stoker-vmm", o->id);
	stk_log_set_level(o->log_level);
	if (!o->log_path)
		return 0;
	fd = open(o->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return stk_err_sys(err, -errno, "--log-path %s", o->log_path);
	stk_log_set_fd(fd);
	return 0;
}

static int die_with_parent(const struct options *o, struct stk_err *err)
{
	if (o->parent == 0)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return stk_err_sys(err, -errno, "--die-with-parent");
	/* It may have ended before that; the pid is given because getppid() cannot tell any more. */
	if (getppid() != o->parent)
		return stk_err_set(err, -ESRCH, "--die-with-parent: the parent is gone already");
	return 0;
}

static void on_stop(void *ctx, int code)
{
	struct program *p = ctx;

	if (code < 0)
		stk_error("the microVM ended with an error");
	else
		stk_info("the guest has reset the machine");
	p->status = code < 0 ? OPTIONS_EXIT_ERROR : OPTIONS_EXIT_OK;
	uv_stop(&p->loop);
}

/* A restore over the API has failed, or whoever resets this VM is gone: what is left of the process can only end. */
static void on_fatal(void *ctx)
{
	struct program *p = ctx;

	p->status = OPTIONS_EXIT_ERROR;
	uv_stop(&p->loop);
}

static void on_term(uv_signal_t *handle, int signum)
{
	struct program *p = handle->data;

	stk_info("signal %d", signum);
	p->status = 128 + signum;
	uv_stop(&p->loop);
}

/* The other side of --control-fd wants the VM as it was. */
static void on_reset_wanted(void *ctx)
{
	struct program *p = ctx;
	struct vm_reset_done done;
	struct stk_err err = {0};
	char text[48];

	if (vm_reset(p->vm, &done, &err) < 0) {
		p->status = fail(p, OPTIONS_EXIT_ERROR, &err);
		uv_stop(&p->loop);
		return;
	}
	snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)done.ns, (unsigned long long)done.lent_bytes);
	control_say(&p->control, "running", text);
}

static int make_vm(struct program *p, struct stk_err *err)
{
	const struct options *o = &p->opts;
	struct vm_host_opts host = {.serial_out_fd = STDOUT_FILENO, .seccomp = !o->no_seccomp};
	int r;

	if (o->serial_off) {
		host.serial_out_fd = -1;
	} else if (o->serial_path) {
		host.serial_out_fd = open(o->serial_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
		if (host.serial_out_fd < 0)
			return stk_err_sys(err, -errno, "--serial-path %s", o->serial_path);
	}
	host.port_fd_count = o->port_fd_count;
	for (unsigned i = 0; i < o->port_fd_count; i++) {
		host.port_fd[i].port = o->port_fd[i].port;
		host.port_fd[i].fd = o->port_fd[i].fd;
		r = stk_set_cloexec(o->port_fd[i].fd, 1);
		if (r < 0)
			return stk_err_sys(err, r, "--vsock-fd");
	}
	r = uv_loop_init(&p->loop);
	if (r < 0)
		return stk_err_sys(err, r, "event loop");
	return vm_new(&p->loop, &host, on_stop, p, &p->vm, err);
}

/* The machine is made already, and nothing can be opened any more: the message has all of it. */
static int fill_shell(struct program *p, struct fill *f, struct stk_err *err)
{
	struct vm_load_opts load = {
		.state = {"state", f->state_fd},
		.memory = {"memory", f->memory_fd},
		.working_set = {f->set_fd >= 0 ? "set" : NULL, f->set_fd},
		.record_fd = -1,
		.blocks_fd = f->blocks_fd,
		.block = f->block,
		.block_count = f->block_count,
		.drive_count = f->drive_count,
		.uds_path = "",
		.resume = true,
	};

	for (unsigned i = 0; i < f->drive_count; i++) {
		load.drive[i].drive_id = f->drive[i].drive_id;
		load.drive[i].fd = f->drive[i].fd;
	}
	for (unsigned i = 0; i < f->stream_count; i++)
		vm_lend_stream(p->vm, f->stream[i].port, f->stream[i].fd); /* there is room for as many as f can have */
	return vm_snapshot_load(p->vm, &load, err);
}

static void report_running(struct program *p);

static void on_fill(void *ctx)
{
	struct program *p = ctx;
	struct stk_err err = {0};
	struct fill f;
	int r;

	stages_begin();
	r = fill_receive(p->control.fd, &f, &err);
	stages_mark("message");
	if (r == -ESHUTDOWN) { /* never needed */
		uv_stop(&p->loop);
		return;
	}
	if (r == 0)
		r = fill_shell(p, &f, &err);
	if (r == 0) {
		report_running(p);
		return;
	}
	p->status = fail(p, OPTIONS_EXIT_ERROR, &err);
	uv_stop(&p->loop);
}

/* Boots or restores what the command line names; nothing when all comes later, over the API or for a shell. */
static int start_vm(struct program *p, struct stk_err *err)
{
	const struct options *o = &p->opts;

	if (o->shell_mib)
		return vm_make_shell(p->vm, o->shell_mib, 1, err);
	if (o->restore_state) {
		struct vm_load_opts load = {
			.state = {o->restore_state, -1},
			.memory = {o->restore_memory, -1},
			.working_set = {o->working_set, -1},
			.record_fd = o->record_fd,
			.blocks_fd = o->blocks_fd,
			.block = o->block,
			.block_count = o->block_count,
			.drive_count = o->drive_count,
			.uds_path = "", /* clones cannot all listen where the snapshot's VM did */
			.resume = true,
			.reusable = o->reusable,
		};

		for (unsigned i = 0; i < o->drive_count; i++) {
			load.drive[i].drive_id = o->drive[i].drive_id;
			load.drive[i].path = o->drive[i].path;
		}
		return vm_snapshot_load(p->vm, &load, err);
	}
	if (o->config_file) {
		struct vmconfig cfg;
		int r;

		vmconfig_init(&cfg);
		r = api_config_load_file(o->config_file, &cfg, err);
		if (r < 0) {
			p->status = OPTIONS_EXIT_BAD_CONFIG;
			return r;
		}
		return vm_boot(p->vm, &cfg, err);
	}
	return 0;
}

/* What must be open before the filter of this thread comes on with the start of the VM. */
static int open_control(struct program *p, struct stk_err *err)
{
	static const int signals[] = {SIGTERM, SIGINT};

	for (unsigned i = 0; i < STK_ARRAY_LEN(signals); i++) {
		int r = uv_signal_init(&p->loop, &p->term[i]);

		p->term[i].data = p;
		if (r == 0)
			r = uv_signal_start(&p->term[i], on_term, signals[i]);
		if (r < 0)
			return stk_err_sys(err, r, "signals");
	}
	if (p->opts.api_sock) {
		int r = api_server_start(&p->loop, p->opts.api_sock,
					 p->opts.id ? p->opts.id : "anonymous-instance", p->vm, &p->api, err);

		if (r < 0)
			return r;
		api_server_on_fatal(p->api, on_fatal, p);
	}
	if (p->opts.shell_mib)
		return control_await_fill(&p->control, &p->loop, on_fill, p, err);
	return p->opts.reusable ? control_listen(&p->control, &p->loop, on_reset_wanted, on_fatal, p, err) : 0;
}

static void report_running(struct program *p)
{
	char text[24];

	if (vm_get_state(p->vm) == VM_RUNNING) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)stages_running_ns());
		control_say(&p->control, "running", text);
		giveback_later(&p->loop, &p->started);
	}
	if (!p->opts.reusable)
		control_close(&p->control);
	stages_log();
}

int main(int argc, char **argv)
{
	static struct program p; /* the loop must not move */
	struct stk_err err = {0};
	int r;

	stages_begin();
	stk_log_init("stoker-vmm", NULL);
	signal(SIGPIPE, SIG_IGN);
	mallopt(M_ARENA_MAX, 1);
	control_init(&p.control, -1);
	p.opts.record_fd = -1;
	p.opts.blocks_fd = -1;

	/* options and log */
	if (options_parse(&p.opts, argc, argv, &err) < 0)
		return fail(&p, OPTIONS_EXIT_BAD_ARGS, &err);
	control_init(&p.control, p.opts.control_fd);
	if (p.opts.help)
		return fputs(options_help(), stdout) < 0;
	if (p.opts.version)
		return printf("stoker-vmm %s\n", PACKAGE_VERSION) < 0;
	if (p.opts.preflight)
		return preflight();
	if (open_logs(&p.opts, &err) < 0 || die_with_parent(&p.opts, &err) < 0)
		return fail(&p, OPTIONS_EXIT_ERROR, &err);

	/* build, then boot or restore: every thread is confined before it meets the guest */
	r = make_vm(&p, &err);
	if (r == 0)
		r = open_control(&p, &err);
	if (r == 0)
		r = start_vm(&p, &err);
	if (r < 0)
		return fail(&p, p.status ? p.status : OPTIONS_EXIT_ERROR, &err);

	/* say so, serve */
	if (p.opts.shell_mib)
		control_say(&p.control, "ready", "");
	else
		report_running(&p);
	uv_run(&p.loop, UV_RUN_DEFAULT);

	/* tear down: the API's socket and the vCPU threads; the kernel takes the rest */
	if (p.api)
		api_server_stop(p.api);
	control_stop(&p.control);
	vm_free(p.vm);
	uv_run(&p.loop, UV_RUN_NOWAIT);
	return p.status;
}
