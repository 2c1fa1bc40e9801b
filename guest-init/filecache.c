/* Mapped files into the page cache: see filecache.h. */
#include "guest-init/filecache.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"

#define CHUNK 65536u
#define PAGE  4096u

static uint64_t read_range(const char *path, uint64_t offset, uint64_t len)
{
	static char buf[CHUNK];
	/* O_NONBLOCK: what is called like a mapped file may be something else by now */
	stk_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint64_t done = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	while (done < len) {
		size_t want = len - done < CHUNK ? (size_t)(len - done) : CHUNK;
		ssize_t n = pread(fd, buf, want, (off_t)(offset + done));

		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	return done;
}

/* A look at a page enters it into the page table of the process, which this way has no fault there later. What may not
 * be looked at stays as it is. */
static void map_range(int mem_fd, uint64_t start, uint64_t end)
{
	char byte;

	for (uint64_t at = start; at < end; at += PAGE) {
		if (pread(mem_fd, &byte, 1, (off_t)at) != 1)
			break;
	}
}

/* proc_pid_maps(5), proc_pid_mem(5) */
static uint64_t fill_for(const char *dir, uint64_t limit)
{
	char line[PATH_MAX + 128], path[PATH_MAX], may[5], maps[300], mem[300];
	uint64_t start, end, offset, done = 0;
	stk_autofd mem_fd = -1;
	FILE *f;

	if (snprintf(maps, sizeof(maps), "%s/maps", dir) >= (int)sizeof(maps) ||
	    snprintf(mem, sizeof(mem), "%s/mem", dir) >= (int)sizeof(mem))
		return 0;
	f = fopen(maps, "re");
	if (!f)
		return 0;
	mem_fd = open(mem, O_RDONLY | O_CLOEXEC);
	while (done < limit && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*u %4095[^\n]", &start, &end, may,
			   &offset, path) != 5 ||
		    path[0] != '/' || end <= start)
			continue;
		done += read_range(path, offset, end - start < limit - done ? end - start : limit - done);
		/* What is written to will have a fault of its own anyway. */
		if (mem_fd >= 0 && may[0] == 'r' && may[1] == '-')
			map_range(mem_fd, start, end);
	}
	fclose(f);
	return done;
}

uint64_t filecache_fill(const char *proc, uint64_t limit)
{
	char dir[280];
	uint64_t done = 0;
	struct dirent *e;
	DIR *d = opendir(proc);

	if (!d)
		return 0;
	while (done < limit && (e = readdir(d))) {
		char *end;
		unsigned long pid = strtoul(e->d_name, &end, 10);

		if (*end || !isdigit((unsigned char)e->d_name[0]) || pid == (unsigned long)getpid() ||
		    snprintf(dir, sizeof(dir), "%s/%lu", proc, pid) >= (int)sizeof(dir))
			continue;
		done += fill_for(dir, limit - done);
	}
	closedir(d);
	return done;
}
