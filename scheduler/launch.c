/* Starting stoker-vmm: see launch.h. */
#include "scheduler/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/guestwire.h"
#include "common/base/str.h"
#include "common/host/child.h"
#include "scheduler/blocks.h"
#include "scheduler/cpushare.h"
#include "scheduler/daemon.h"
#include "scheduler/pool.h"
#include "scheduler/region.h"
#include "snapshots/funcenv.h"

#define PATHS_MAX (OPTIONS_PATH_MAX + 128)

static json_t *drive(const char *id, const char *path, bool root)
{
	return json_pack("{s:s, s:s, s:b, s:b}", "drive_id", id, "path_on_host", path, "is_root_device", root,
			 "is_read_only", true);
}

static json_t *scratch_drive(const char *path, unsigned mib)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:i}", "drive_id", "scratch", "path_on_host", path, "is_root_device",
			 false, "copy_on_write", true, "size_mib", (int)mib);
}

/* The whole machine in Firecracker's configuration format, in anonymous memory. */
static int boot_config(const struct pool *p, int *ret_fd)
{
	const struct options *o = p->d->opt;
	char kernel[PATHS_MAX], initrd[PATHS_MAX], rootfs[PATHS_MAX], code[PATHS_MAX], scratch[PATHS_MAX];
	stk_autofree char *text = NULL;
	stk_autofd fd = -1;
	json_t *root;
	int rc;

	if (stk_snprintf(kernel, sizeof(kernel), "%s/vmlinux", o->images_dir) ||
	    stk_snprintf(initrd, sizeof(initrd), "%s/stoker-initrd.cpio", o->bin_dir) ||
	    stk_snprintf(rootfs, sizeof(rootfs), "%s/%s.img", o->images_dir,
			 runtimes_image(p->ver->settings.runtime)) ||
	    stk_snprintf(scratch, sizeof(scratch), "%s/scratch.img", o->images_dir) ||
	    daemon_version_path(p->d, p->ver, "code.img", code, sizeof(code)))
		return -ENAMETOOLONG;
	root = json_pack("{s:{s:i, s:i}, s:{s:s, s:s, s:s}, s:[o, o, o], s:{s:i}}", "machine-config",
			 "vcpu_count", 1, "mem_size_mib",
			 (int)(p->ver->settings.memory_mib + SNAP_GUEST_OVERHEAD_MIB), "boot-source",
			 "kernel_image_path", kernel, "initrd_path", initrd, "boot_args", SNAP_BOOT_ARGS, "drives",
			 drive("rootfs", rootfs, true), drive("code", code, false),
			 scratch_drive(scratch, p->ver->settings.storage_mib), "vsock", "guest_cid", 3);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	if (!text)
		return -ENOMEM;
	fd = memfd_create("stoker-boot", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = stk_write_full(fd, text, strlen(text));
	if (rc == 0)
		rc = lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
	if (rc == 0)
		*ret_fd = stk_take_fd(&fd);
	return rc;
}

static int make_ends(int child_fd[2], struct launch_ends *ret)
{
	int sv[2], cv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, cv)) {
		int rc = -errno;

		close(sv[0]);
		close(sv[1]);
		return rc;
	}
	stk_set_nonblock(sv[0]);
	stk_set_nonblock(cv[0]);
	ret->stream_fd = sv[0];
	ret->control_fd = cv[0];
	child_fd[0] = sv[1];
	child_fd[1] = cv[1];
	return 0;
}

#define BLOCKS_TEXT (12 * BLOCKS_EACH)

/* "GUEST=FILE,..." of at most BLOCKS_TEXT bytes. */
static void blocks_text(const struct pool *p, char *buf)
{
	size_t used = 0;

	for (unsigned i = 0; i < p->learn.block_count; i++)
		used += (size_t)sprintf(buf + used, "%s%u=%u", i ? "," : "", p->learn.block[i].guest,
					p->learn.block[i].store);
}

/* What a clone of the version is made from. */
struct clone_files {
	char state[PATHS_MAX], memory[PATHS_MAX], pages[PATHS_MAX], code[PATHS_MAX], rootfs[PATHS_MAX];
};

static int clone_files(const struct pool *p, struct clone_files *ret)
{
	const char *pages = p->learn.have_set ? "snapshot/learned-set" : "snapshot/working-set";

	if (daemon_version_path(p->d, p->ver, "snapshot/state", ret->state, sizeof(ret->state)) ||
	    daemon_version_path(p->d, p->ver, "snapshot/memory", ret->memory, sizeof(ret->memory)) ||
	    daemon_version_path(p->d, p->ver, pages, ret->pages, sizeof(ret->pages)) ||
	    daemon_version_path(p->d, p->ver, "code.img", ret->code, sizeof(ret->code)) ||
	    stk_snprintf(ret->rootfs, sizeof(ret->rootfs), "%s/%s.img", p->d->opt->images_dir,
			 runtimes_image(p->ver->settings.runtime)))
		return -ENAMETOOLONG;
	return 0;
}

int launch_vmm(struct pool *p, enum inv_start kind, int record_fd, bool reusable, void (*on_start)(void *ctx, int err),
	       void (*on_exit)(void *ctx, int status), void *ctx, struct launch_ends *ret_ends,
	       struct child **ret_child)
{
	const struct options *o = p->d->opt;
	struct clone_files f;
	char vmm[PATHS_MAX], code_arg[PATHS_MAX], rootfs_arg[PATHS_MAX], vsock_arg[32], parent[16];
	char blocks[8 + BLOCKS_TEXT];
	const char *argv[28];
	unsigned n = 0;
	int extra_fd = -1; /* 5 in the child */
	struct launch_ends ends = {-1, -1};
	int child_fd[2] = {-1, -1}, rc;
	stk_autofd config_fd = -1;
	struct child_spec spec = {.argv = argv};

	if (stk_snprintf(vmm, sizeof(vmm), "%s/stoker-vmm", o->bin_dir) ||
	    stk_snprintf(vsock_arg, sizeof(vsock_arg), "%u:3", GW_PORT))
		return -ENAMETOOLONG;
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	argv[n++] = vmm;
	if (kind == INV_COLD_BOOT) {
		rc = boot_config(p, &config_fd);
		if (rc)
			return rc;
		extra_fd = config_fd;
		argv[n++] = "--config-file";
		argv[n++] = "/proc/self/fd/5";
	} else {
		if (clone_files(p, &f) || stk_snprintf(code_arg, sizeof(code_arg), "code=%s", f.code) ||
		    stk_snprintf(rootfs_arg, sizeof(rootfs_arg), "rootfs=%s", f.rootfs))
			return -ENAMETOOLONG;
		argv[n++] = "--restore-state";
		argv[n++] = f.state;
		argv[n++] = "--restore-memory";
		argv[n++] = f.memory;
		argv[n++] = "--working-set";
		argv[n++] = f.pages;
		argv[n++] = "--drive";
		argv[n++] = rootfs_arg;
		if (record_fd >= 0) {
			extra_fd = record_fd;
			argv[n++] = "--record-fd";
			argv[n++] = "5";
		} else if (p->learn.block_count) {
			extra_fd = blocks_fd(p->d->blocks);
			blocks_text(p, stpcpy(blocks, "5:"));
			argv[n++] = "--blocks";
			argv[n++] = blocks;
		}
		argv[n++] = "--drive";
		argv[n++] = code_arg;
	}
	argv[n++] = "--vsock-fd";
	argv[n++] = vsock_arg;
	argv[n++] = "--control-fd";
	argv[n++] = "4";
	if (reusable)
		argv[n++] = "--reusable";
	argv[n++] = "--serial-off";
	argv[n++] = "--die-with-parent";
	argv[n++] = parent;
	argv[n++] = "--log-level";
	argv[n++] = o->log_level == STK_LOG_DEBUG ? "debug" : "warn";
	argv[n] = NULL;
	rc = make_ends(child_fd, &ends);
	if (rc)
		return rc;
	spec.fds[0].fd = child_fd[0], spec.fds[0].target = 3;
	spec.fds[1].fd = child_fd[1], spec.fds[1].target = 4;
	spec.fds[2].fd = 2, spec.fds[2].target = 2; /* what goes wrong in it is in our own log */
	spec.fd_count = 3;
	if (extra_fd >= 0) {
		spec.fds[3].fd = extra_fd, spec.fds[3].target = 5;
		spec.fd_count = 4;
	}
	/* The init phase of a cold boot is the tenant's, too. */
	spec.cgroup_fd = kind == INV_COLD_BOOT ? cpushare_fd(p->d->cpushare, &p->d->tenants, p->ver->fn->name)
					       : cpushare_starts_fd(p->d->cpushare, &p->d->tenants);
	rc = child_spawn(&p->d->loop, &spec, on_start, on_exit, ctx, ret_child);
	close(child_fd[0]);
	close(child_fd[1]);
	if (rc) {
		close(ends.stream_fd);
		close(ends.control_fd);
		return rc;
	}
	*ret_ends = ends;
	return 0;
}

int launch_shell(struct daemon *d, unsigned mib, void (*on_start)(void *ctx, int err),
		 void (*on_exit)(void *ctx, int status), void *ctx, int *ret_control_fd, struct child **ret_child)
{
	char vmm[PATHS_MAX], size[16], parent[16];
	const char *const argv[] = {vmm, "--shell", size, "--control-fd", "3", "--serial-off", "--die-with-parent", parent,
				    "--log-level", d->opt->log_level == STK_LOG_DEBUG ? "debug" : "warn", NULL};
	struct child_spec spec = {.argv = argv, .fd_count = 2, .cgroup_fd = cpushare_starts_fd(d->cpushare, &d->tenants)};
	int cv[2], rc;

	if (stk_snprintf(vmm, sizeof(vmm), "%s/stoker-vmm", d->opt->bin_dir))
		return -ENAMETOOLONG;
	snprintf(size, sizeof(size), "%u", mib);
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, cv))
		return -errno;
	stk_set_nonblock(cv[0]);
	spec.fds[0].fd = cv[1], spec.fds[0].target = 3;
	spec.fds[1].fd = 2, spec.fds[1].target = 2;
	rc = child_spawn(&d->loop, &spec, on_start, on_exit, ctx, ret_child);
	close(cv[1]);
	if (rc)
		close(cv[0]);
	else
		*ret_control_fd = cv[0];
	return rc;
}

#define FILL_FDS 7u

/* The line and its descriptors in one message. */
static int send_fill(int control_fd, const char *line, const int *fd, unsigned count)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FILL_FDS * sizeof(int))];
	} control = {0};
	struct iovec iov = {(char *)(uintptr_t)line, strlen(line)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			     .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fd, count * sizeof(int));
	n = sendmsg(control_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)n == iov.iov_len ? 0 : -EIO;
}

/* See vmm/fill.h for the line. */
static int fill_from(const struct pool *p, const struct clone_files *f, int control_fd, int stream_fd)
{
	const char *const paths[] = {f->state, f->memory, f->rootfs, f->code, f->pages};
	char line[128 + BLOCKS_TEXT], *end;
	int fd[FILL_FDS], rc = 0;
	unsigned opened = 0, count;

	for (; opened < STK_ARRAY_LEN(paths); opened++) {
		fd[opened] = open(paths[opened], O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd[opened] < 0)
			break;
	}
	/* The last one is a hint, and may be missing. */
	if (opened < STK_ARRAY_LEN(paths) - 1 || (opened < STK_ARRAY_LEN(paths) && errno != ENOENT))
		rc = -errno;
	count = opened;
	end = line + sprintf(line, "fill state memory drive=rootfs drive=code%s stream=%u",
			     opened == STK_ARRAY_LEN(paths) ? " set" : "", GW_PORT);
	fd[count++] = stream_fd;
	if (p->learn.block_count) {
		fd[count++] = blocks_fd(p->d->blocks);
		blocks_text(p, stpcpy(end, " blocks="));
	}
	strcat(end, "\n");
	if (rc == 0)
		rc = send_fill(control_fd, line, fd, count);
	while (opened)
		close(fd[--opened]);
	return rc;
}

int launch_fill(const struct pool *p, int control_fd, int *ret_stream_fd)
{
	struct clone_files f;
	int sv[2], rc = clone_files(p, &f);

	if (rc)
		return rc;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return -errno;
	stk_set_nonblock(sv[0]);
	rc = fill_from(p, &f, control_fd, sv[1]);
	close(sv[1]);
	if (rc)
		close(sv[0]);
	else
		*ret_stream_fd = sv[0];
	return rc;
}

int launch_start_frame(const struct pool *p, uint8_t *buf, size_t cap)
{
	static struct gw_start start; /* large, and the loop is one thread */
	const struct fn_version *v = p->ver;
	char version[FN_VERSION_TEXT], name[FN_BARE_MAX + 1], runtime[FN_RUNTIME_MAX + 32], own[SNAP_FUNCENV_BUF];
	struct snap_funcenv_spec spec = {
		.name = name,
		.version = version,
		.handler = v->settings.handler,
		.runtime = runtime,
		.region = region_name(),
		.account = v->fn->tenant->account,
		.memory_mib = v->settings.memory_mib,
		.log_level = fn_app_log_level(&v->settings),
		.log_group = v->settings.logging.group,
		.snapstart = fn_is_snapstart(&v->settings, v->published),
		.own = v->settings.env,
		.own_len = v->settings.env_len,
	};
	struct stk_err err;
	int rc;

	fn_version_text(v->published, version);
	fn_bare_name(v->fn->name, name);
	memset(&start, 0, sizeof(start));
	start.wall_ns = stk_wall_ns();
	start.init_timeout_ms = p->d->opt->init_timeout_ms;
	rc = ids_random(start.entropy, sizeof(start.entropy));
	if (rc == 0)
		rc = runtimes_full_name(&p->d->runtimes, v->settings.runtime, runtime, sizeof(runtime));
	if (rc == 0)
		rc = snap_funcenv_build(start.kv, &start.kv_count, &spec, own, sizeof(own), &err);
	return rc ? rc : gw_start_encode(buf, cap, &start);
}
