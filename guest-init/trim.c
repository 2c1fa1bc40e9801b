/* Memory before the snapshot: see trim.h. */
#include "guest-init/trim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "guest-init/filecache.h"
#include "guest-init/mounts.h"

#define CHUNK  (4u << 20)
#define FILES_MAX (16u << 20)
#define MARGIN (1u << 20)   /* left to the kernel while the rest is taken */
#define SMALL  (256u << 20) /* of such a memory all is taken */
#define SETTLE_NS 120000000 /* the thread that frees memory naps for 100 ms before it sleeps */
#define MIN_FREE_KB "128"   /* the kernel's own reserve, lowered meanwhile */

static uint64_t free_bytes(void)
{
	struct sysinfo si;

	return sysinfo(&si) < 0 ? 0 : (uint64_t)si.freeram * si.mem_unit;
}

/* How much of what is free to take, so that next to all of it that was used before is among it. The kernel hands out last what
 * it has had in one piece since the start, so twice as much as there can be is enough for that. */
static uint64_t used_before(uint64_t given)
{
	struct sysinfo si;
	uint64_t total, used;

	if (sysinfo(&si) < 0)
		return 0;
	total = (uint64_t)si.totalram * si.mem_unit;
	used = total - (uint64_t)si.freeram * si.mem_unit;
	if (total <= SMALL || given == 0 || given >= total)
		return UINT64_MAX;
	return SMALL / 4 + 2 * (given > used ? given - used : 0);
}

/* The kernel zeroes the pages it hands out; they go back as they are when the process ends. */
static void take_free(uint64_t at_most)
{
	while (at_most) {
		uint64_t left = free_bytes();
		size_t want = at_most < CHUNK ? at_most & ~(size_t)4095 : CHUNK;

		if (left <= MARGIN)
			break;
		if (left - MARGIN < want)
			want = (left - MARGIN) & ~(size_t)4095;
		if (want == 0 || mmap(NULL, want, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
			break;
		at_most -= want;
	}
}

static void load_mapped_files(uint64_t at_most)
{
	uint64_t room = free_bytes() / 4;

	filecache_fill("/proc", room < at_most ? room : at_most);
}

/* In a child: its memory is gone afterwards, and it is the first to be killed should none be left. */
static void in_child(void (*work)(uint64_t at_most), uint64_t at_most)
{
	pid_t pid = fork();

	if (pid == 0) {
		mounts_write("/proc/self/oom_score_adj", "1000");
		work(at_most);
		_exit(0);
	}
	if (pid < 0) {
		stk_warn("memory not prepared for the snapshot: %s", strerror(errno));
		return;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* What became due meanwhile, above all the kernel's thread that frees memory, runs now: once, and not at the start of
 * each clone. */
static void let_due_work_run(void)
{
	struct timespec ts = {.tv_nsec = SETTLE_NS};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* A flush goes through the kernel's workers for block devices. The only one there is starts a second one when it has
 * work; some seconds after the last request it has. That thread shall be there before the snapshot, not be made in each
 * clone. */
static void use_block_worker(void)
{
	stk_autofd fd = open(MOUNTS_SCRATCH, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && fsync(fd) < 0)
		stk_warn("flush of " MOUNTS_SCRATCH ": %s", strerror(errno));
}

uint64_t trim_memory(uint64_t given)
{
	static const char min_free[] = "/proc/sys/vm/min_free_kbytes";
	char saved[24] = "";
	stk_autofd fd = open(min_free, O_RDONLY | O_CLOEXEC);
	struct sysinfo si;

	if (fd >= 0 && read(fd, saved, sizeof(saved) - 1) < 0)
		saved[0] = '\0';
	sync();
	mounts_write("/proc/sys/vm/compact_memory", "1");
	mounts_write(min_free, MIN_FREE_KB);
	in_child(take_free, used_before(given));
	if (saved[0])
		mounts_write(min_free, saved);
	/* File caches stay and get more: clones share these pages, and would otherwise each read again
	 * what their first call touches. Last, as taking all memory makes the kernel drop some. */
	in_child(load_mapped_files, FILES_MAX);
	use_block_worker();
	let_due_work_run();
	if (sysinfo(&si) < 0)
		return 0;
	return ((uint64_t)si.totalram - si.freeram) * si.mem_unit;
}
