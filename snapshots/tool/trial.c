/* The trial clone of a new snapshot: see trial.h. */
#include "snapshots/tool/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/guestwire.h"
#include "common/base/str.h"
#include "snapshots/memfile.h"
#include "snapshots/pagemap.h"
#include "snapshots/tool/monitor.h"
#include "snapshots/tool/session.h"
#include "snapshots/tool/tool.h"
#include "snapshots/workingset.h"

#define RESUME_MS 60000u
#define SEND_MS   10000u

static int resume(struct session *s, struct stk_err *err)
{
	struct gw_resume msg = {.wall_ns = stk_wall_ns(), .hostname = "trial", .hostname_len = 5,
		.how = GW_RESUME_WARM_UP};
	struct gw_error e;
	uint8_t frame[512];
	int n, r;

	if (getrandom(msg.entropy, GW_ENTROPY_LEN, 0) != (ssize_t)GW_ENTROPY_LEN)
		return stk_err_sys(err, -errno, "getrandom");
	n = gw_resume_encode(frame, sizeof(frame), &msg);
	if (n < 0)
		return stk_err_sys(err, n, "resume");
	r = session_send(s, frame, (size_t)n, SEND_MS, err);
	if (r == 0)
		r = session_wait(s, GW_RESUMED, RESUME_MS, NULL, &e, err);
	if (r == 1)
		r = stk_err_set(err, -EIO, "the guest agent failed: %.*s",
				e.body_len > 200 ? 200 : (int)e.body_len, e.body_len ? e.body : "");
	return r;
}

/* Where the process has mapped the start of the memory file; 0 when it has not. */
static uint64_t ram_address(pid_t pid, const char *memory)
{
	char name[64], line[PATH_MAX + 128], path[PATH_MAX];
	uint64_t found = 0, start, offset;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
	f = fopen(name, "re");
	if (!f)
		return 0;
	while (!found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64 " %*s %*u %4095[^\n]", &start, &offset, path) == 3 &&
		    offset == 0 && strcmp(path, memory) == 0)
			found = start;
	}
	fclose(f);
	return found;
}

static int written_pages(pid_t pid, uint64_t address, uint64_t pages, struct snap_workingset *ws, struct stk_err *err)
{
	uint64_t entry[PM_BATCH];
	char name[64];
	stk_autofd fd = -1;
	int r = 0;

	snprintf(name, sizeof(name), "/proc/%d/pagemap", (int)pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return stk_err_sys(err, -errno, "%s", name);
	for (uint64_t at = 0; r == 0 && at < pages;) {
		uint64_t n = pages - at < PM_BATCH ? pages - at : PM_BATCH;

		r = stk_pread_full(fd, entry, (size_t)n * 8, (off_t)((address / SNAP_PAGE + at) * 8));
		if (r < 0)
			return stk_err_sys(err, r, "%s", name);
		for (uint64_t i = 0; r == 0 && i < n; i++, at++)
			if ((entry[i] & PM_PRESENT_OR_SWAPPED) && !(entry[i] & PM_FILE))
				r = snap_page_list_add(&ws->written, (uint32_t)at);
	}
	return r == 0 || r == -ENOSPC ? 0 : stk_err_sys(err, r, "working set");
}

static int record(struct monitor *m, const char *memory, const char *out, uint64_t pages, struct stk_err *err)
{
	struct snap_workingset ws = {0};
	stk_autofree char *real = realpath(memory, NULL); /* as the kernel names it */
	uint64_t address = real ? ram_address(m->pid, real) : 0;
	int r = address ? written_pages(m->pid, address, pages, &ws, err)
			: stk_err_set(err, -EIO, "the trial clone's memory is not to be found");

	if (r < 0 && r != -ENOMEM) {
		/* It is only a hint: an empty one where this user may not look into the process. */
		fprintf(stderr, "stoker-snapshot: no working set: %s\n", err->text);
		snap_workingset_fini(&ws);
		r = 0;
	}
	if (r == 0)
		r = snap_workingset_write(out, &ws, err);
	snap_workingset_fini(&ws);
	return r;
}

int trial_run(const char *vmm, const char *dir, unsigned mem_size_mib, uint64_t deadline_ns, struct stk_err *err)
{
	char state[PATH_MAX], memory[PATH_MAX], out[PATH_MAX];
	struct session s = {0};
	struct monitor m;
	int r;

	if (stk_snprintf(state, sizeof(state), "%s/state", dir) < 0 ||
	    stk_snprintf(memory, sizeof(memory), "%s/memory", dir) < 0 ||
	    stk_snprintf(out, sizeof(out), "%s/working-set", dir) < 0)
		return stk_err_set(err, -ENAMETOOLONG, "%s: too long", dir);
	monitor_init(&m);
	r = monitor_start(&m, vmm, dir, deadline_ns, err);
	if (r == 0)
		r = session_init(&s, &m, err);
	if (r == 0)
		r = monitor_call(&m, "PUT", "/snapshot/load",
				 json_pack("{s:s, s:{s:s, s:s}, s:b}", "snapshot_path", state, "mem_backend",
					   "backend_type", "File", "backend_path", memory, "resume_vm", 1), err);
	if (r == 0)
		r = resume(&s, err);
	if (r == 0)
		r = record(&m, memory, out, ((uint64_t)mem_size_mib << 20) / SNAP_PAGE, err);
	session_fini(&s);
	monitor_end(&m);
	return r < 0 ? stk_err_prefix(err, "trial of the new snapshot") : r;
}
