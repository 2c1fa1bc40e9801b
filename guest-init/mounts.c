/* File systems and settings of the guest: see mounts.h. */
#include "guest-init/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/codeimage.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "guest-init/bootstrap.h"
#include "guest-init/power.h"

#define NEWROOT "/newroot"

/* ext4's superblock, of a file system with blocks of 4 KiB as ours: where it is, and what is looked at. */
#define EXT4_SUPER_AT  1024
#define EXT4_BLOCKS    4 /* u32 */
#define EXT4_MAGIC     56 /* u16 */
#define EXT4_SUPER_LEN 64
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t) /* in no header of libc's or the kernel's */

int mounts_write(const char *path, const char *text)
{
	stk_autofd fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return stk_write_full(fd, text, strlen(text));
}

static void need(const char *source, const char *target, const char *type, unsigned long flags,
		 const char *data)
{
	if (mount(source, target, type, flags, data) < 0)
		power_fail("mount of %s on %s: %s", type, target, strerror(errno));
}

/* Image of either kind; which, is found by trying. 0 or negative errno. */
static int mount_image(const char *device, const char *target, unsigned long flags)
{
	static const char *const types[] = {"erofs", "squashfs", "ext4"};
	int rc = -ENODEV;

	for (unsigned i = 0; i < STK_ARRAY_LEN(types); i++) {
		if (mount(device, target, types[i], MS_RDONLY | flags, NULL) == 0)
			return 0;
		if (errno != ENODEV && errno != EINVAL)
			return -errno;
		rc = -errno;
	}
	return rc;
}

static bool has_layers(const char *device)
{
	uint8_t super[CODEIMAGE_SUPER_LEN];
	stk_autofd fd = open(device, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && stk_pread_full(fd, super, sizeof(super), CODEIMAGE_SUPER_AT) == 0 &&
	       codeimage_has_layers(super);
}

/* The code, and what is in the function's layers, if it has any: folders of the same image. */
static void mount_code(void)
{
	int rc;

	if (access("/dev/vdb", F_OK) < 0)
		return;
	rc = mount_image("/dev/vdb", "/var/task", MS_NOSUID | MS_NODEV);
	if (rc < 0)
		power_fail("code image /dev/vdb on /var/task: %s", strerror(-rc));
	if (!has_layers("/dev/vdb"))
		return;
	need("/var/task/opt", "/opt", "", MS_BIND, NULL);
	need("/var/task/task", "/var/task", "", MS_BIND, NULL);
}

/* The file system was made for the smallest disk. One that is larger has zeros behind it, into which the file system
 * grows: here and now, so that it is in the snapshot. */
static int grow_scratch(void)
{
	stk_autofd disk = open(MOUNTS_SCRATCH, O_RDONLY | O_CLOEXEC), top = -1;
	uint8_t super[EXT4_SUPER_LEN];
	uint64_t bytes, blocks;
	uint16_t magic;
	uint32_t have;
	int rc;

	if (disk < 0 || ioctl(disk, BLKGETSIZE64, &bytes) < 0)
		return -errno;
	rc = stk_pread_full(disk, super, sizeof(super), EXT4_SUPER_AT);
	if (rc < 0)
		return rc;
	memcpy(&have, super + EXT4_BLOCKS, sizeof(have));
	memcpy(&magic, super + EXT4_MAGIC, sizeof(magic));
	blocks = bytes / 4096;
	if (magic != 0xef53 || blocks <= have)
		return 0;
	top = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top < 0 || ioctl(top, EXT4_IOC_RESIZE_FS, &blocks) < 0 ? -errno : 0;
}

static void mount_scratch(void)
{
	/* No barriers, no write-back while idle: the disk dies with the machine. No thread that reads block bitmaps
	 * a while after the mount: that would be in each clone. */
	static const char options[] = "nobarrier,errors=continue,noinit_itable,no_prefetch_block_bitmaps";
	int rc;

	if (access(MOUNTS_SCRATCH, F_OK) < 0) {
		need("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=50%");
		return;
	}
	if (mount(MOUNTS_SCRATCH, "/tmp", "ext4", MS_NOATIME | MS_NOSUID | MS_NODEV, options) < 0 &&
	    mount(MOUNTS_SCRATCH, "/tmp", "ext4", MS_NOATIME | MS_NOSUID | MS_NODEV, NULL) < 0)
		power_fail("mount of the scratch disk on /tmp: %s", strerror(errno));
	rc = grow_scratch();
	if (rc < 0)
		power_fail("growing the file system of the scratch disk: %s%s", strerror(-rc),
			   rc == -EOPNOTSUPP ? " (scratch.img is of an older release)" : "");
	if (chmod("/tmp", 01777) < 0)
		power_fail("mode of /tmp: %s", strerror(errno));
}

static void link_dev(void)
{
	static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"},
					       {"/proc/self/fd/0", "/dev/stdin"},
					       {"/proc/self/fd/1", "/dev/stdout"},
					       {"/proc/self/fd/2", "/dev/stderr"}};

	for (unsigned i = 0; i < STK_ARRAY_LEN(links); i++) {
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			stk_warn("link %s: %s", links[i][1], strerror(errno));
	}
}

void mounts_root(void)
{
	int rc;

	mkdir("/dev", 0755);
	mkdir(NEWROOT, 0755);
	need("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755");
	rc = mount_image("/dev/vda", NEWROOT, MS_NODEV);
	if (rc < 0)
		power_fail("root image /dev/vda: %s", strerror(-rc));
	need("/dev", NEWROOT "/dev", "", MS_MOVE, NULL);
	/* The program's own file in the initial RAM disk stays: its pages are mapped. */
	if (chdir(NEWROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		power_fail("change of root: %s", strerror(errno));
	need("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	need("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
	need("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=10%");
	if (mkdir("/dev/shm", 01777) < 0 && errno != EEXIST)
		power_fail("/dev/shm: %s", strerror(errno));
	need("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=50%");
	mkdir("/run/stoker", 0755);
	link_dev();
	mount_code();
	mount_scratch();
}

/* The function gets a memory group of its own, so that lack of memory ends the function and can be
 * told from other ends. Its limit is set when the function starts. */
static void make_group(void)
{
	if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return;
	if (mounts_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory") < 0 ||
	    mkdir(BOOTSTRAP_CGROUP, 0755) < 0)
		return;
	mounts_write(BOOTSTRAP_CGROUP "/memory.oom.group", "1");
}

static void loopback_up(void)
{
	struct ifreq req = {.ifr_name = "lo"};
	stk_autofd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &req) < 0)
		power_fail("loopback: %s", strerror(errno));
	req.ifr_flags = (short)(req.ifr_flags | IFF_UP);
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		power_fail("loopback up: %s", strerror(errno));
}

void mounts_settings(void)
{
	static const char *const settings[][2] = {
		/* An idle guest shall not wake: statistics, write-back, watchdogs. */
		{"/proc/sys/vm/stat_interval", "86400"},
		{"/proc/sys/vm/dirty_writeback_centisecs", "0"},
		{"/proc/sys/vm/dirty_expire_centisecs", "360000"},
		{"/proc/sys/vm/compaction_proactiveness", "0"},
		{"/proc/sys/net/ipv4/neigh/default/interval_probe_time_ms", "86400000"},
		{"/proc/sys/net/ipv4/neigh/default/base_reachable_time_ms", "86400000"},
		{"/proc/sys/kernel/watchdog", "0"},
		{"/proc/sys/kernel/hung_task_timeout_secs", "0"},
		/* No long report on the console when a function runs out of memory. */
		{"/proc/sys/vm/oom_dump_tasks", "0"},
		{"/proc/sys/kernel/dmesg_restrict", "1"},
		{"/proc/sys/kernel/kptr_restrict", "2"},
		{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "1"},
	};

	for (unsigned i = 0; i < STK_ARRAY_LEN(settings); i++)
		mounts_write(settings[i][0], settings[i][1]); /* absent in small kernels */
	mounts_write("/proc/self/oom_score_adj", "-1000");
	make_group();
	loopback_up();
}
