/* Advice on the machine: see advice.h. */
#include "vmm/advice.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"

static FILE *open_below(const char *root, const char *path)
{
	char full[PATH_MAX];
	int n = snprintf(full, sizeof(full), "%s%s", root, path);

	return n > 0 && (size_t)n < sizeof(full) ? fopen(full, "re") : NULL;
}

/* KVM moves a helper thread into the caller's cgroups when a VM is made. Unless the hierarchy is
 * mounted with favordynmods, that waits for an RCU grace period (about 10 ms each time). */
static bool cgroups_slow(const char *root)
{
	stk_autofile f = open_below(root, "/proc/self/mounts");
	char line[1024];
	bool slow = false;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strstr(line, " cgroup2 ") && !strstr(line, " cgroup "))
			continue;
		if (strstr(line, "favordynmods"))
			return false;
		slow = true;
	}
	return slow;
}

static bool file_begins(const char *root, const char *path, const char *with)
{
	stk_autofile f = open_below(root, path);
	char text[32] = "";

	return f && fgets(text, sizeof(text), f) && strncmp(text, with, strlen(with)) == 0;
}

/* Without the helper thread there is no waiting, and expedited grace periods are short ones. */
static bool wait_is_short(const char *root)
{
	return file_begins(root, "/sys/module/kvm/parameters/nx_huge_pages", "never") ||
	       file_begins(root, "/sys/kernel/rcu_expedited", "1");
}

/* KVM makes a folder with some 70 files for each VM, used or not. */
static bool debugfs_there(const char *root)
{
	stk_autofile f = open_below(root, "/proc/filesystems");
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "\tdebugfs\n"))
			return true;
	}
	return false;
}

void advice_on_machine(const char *root, char *text, size_t cap)
{
	text[0] = '\0';
	if (cgroups_slow(root) && !wait_is_short(root))
		snprintf(text, cap,
			 "advice: every VM start waits about 10 ms for an RCU grace period: mount -o remount,favordynmods /sys/fs/cgroup, or load the kvm module with nx_huge_pages=never, or echo 1 >/sys/kernel/rcu_expedited");
	if (debugfs_there(root)) {
		size_t n = strlen(text);

		snprintf(text + n, cap - n,
			 "%sadvice: every VM start makes, and its end removes, some 70 files in debugfs (5 %% of the start): boot with debugfs=off",
			 n ? "; " : "");
	}
}
