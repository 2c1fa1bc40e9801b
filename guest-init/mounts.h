/* The guest's file systems and kernel settings. */
#ifndef GUEST_INIT_MOUNTS_H
#define GUEST_INIT_MOUNTS_H

#define MOUNTS_SCRATCH "/dev/vdc" /* not there: the function has none */

/* From the initial RAM disk to the runtime's root: /dev/vda read-only as /, function code
 * (/dev/vdb) on /var/task, scratch disk (/dev/vdc) on /tmp, proc, sysfs, devtmpfs, tmpfs. Does not
 * return on failure: without them there is no guest. */
void mounts_root(void);

/* Memory group of the function (where the kernel has them), loopback, settings that keep an idle
 * guest idle. Failures are logged at most: none of these is vital. */
void mounts_settings(void);

/* Writes text to a file of /proc or /sys. 0 or negative errno. */
int mounts_write(const char *path, const char *text);

#endif
