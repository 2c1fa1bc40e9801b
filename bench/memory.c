#include "bench/memory.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

/* Guest memory is the private mapping of a snapshot's file called "memory". */
static bool is_guest_mapping(const char *line, const char *function)
{
	const char *path = strchr(line, '/');
	size_t len = path ? strcspn(path, "\n") : 0;
	char wanted[96];

	if (len < 7 || strncmp(path + len - 7, "/memory", 7) != 0)
		return false;
	if (!function)
		return true;
	snprintf(wanted, sizeof(wanted), "/functions/%s/", function);
	return memmem(path, len, wanted, strlen(wanted)) != NULL;
}

/* The first line of a mapping is "from-to perms ..."; the others are "Name:  123 kB". */
static bool is_mapping_line(const char *line)
{
	size_t hex = strspn(line, "0123456789abcdef");

	return hex > 0 && line[hex] == '-';
}

/* "/file", "[stack]": others are memory without a file. */
static bool has_name(const char *line)
{
	return line[strcspn(line, "/[\n")] != '\n';
}

int memory_parse_smaps(const char *text, const char *function, struct memory_figures *f)
{
	struct memory_figures sum = {0};
	unsigned long from = 0, to = 0, ram_end = 0; /* of all that follows on the file's first mapping without a gap */
	bool guest = false, ours = false;

	for (const char *line = text; *line;) {
		unsigned long kib;
		const char *next = strchr(line, '\n');

		if (is_mapping_line(line)) {
			guest = is_guest_mapping(line, function);
			ours |= guest;
			if (sscanf(line, "%lx-%lx", &from, &to) == 2 && (guest || (ram_end && from == ram_end))) {
				guest |= !has_name(line); /* memory that was free in the snapshot */
				ram_end = to;
			}
		} else if (sscanf(line, "Pss: %lu", &kib) == 1) {
			sum.pss += (double)kib;
		} else if (sscanf(line, "Private_Clean: %lu", &kib) == 1 ||
			   sscanf(line, "Private_Dirty: %lu", &kib) == 1) {
			sum.private_all += (double)kib;
			*(guest ? &sum.private_guest : &sum.private_vmm) += (double)kib;
		} else if (guest && (sscanf(line, "Shared_Clean: %lu", &kib) == 1 ||
				     sscanf(line, "Shared_Dirty: %lu", &kib) == 1)) {
			sum.shared_guest += (double)kib;
		}
		if (!next)
			break;
		line = next + 1;
	}
	if (!ours || strstr(text, "/memfd:memory ")) /* one that records has a copy of its own: there is one at most */
		return 0;
	f->pss += sum.pss;
	f->private_all += sum.private_all;
	f->private_vmm += sum.private_vmm;
	f->private_guest += sum.private_guest;
	f->shared_guest += sum.shared_guest;
	return 1;
}

/* proc files have no size: read until the end. NULL when the process is gone. */
static char *read_proc(const char *pid, const char *name)
{
	char path[300];
	size_t cap = 1 << 16, len = 0;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	stk_autofile f = fopen(path, "re");
	char *text = f ? malloc(cap) : NULL;

	while (text) {
		size_t n = fread(text + len, 1, cap - len - 1, f);

		if (n == 0)
			break;
		len += n;
		if (cap - len < 2) {
			char *grown = realloc(text, cap * 2);

			if (!grown) {
				free(text);
				return NULL;
			}
			text = grown;
			cap *= 2;
		}
	}
	if (text)
		text[len] = '\0';
	return text;
}

static bool is_vm(const char *pid)
{
	stk_autofree char *comm = isdigit((unsigned char)pid[0]) ? read_proc(pid, "comm") : NULL;

	return comm && strncmp(comm, "stoker-vmm", 10) == 0;
}

int memory_measure(const char *function, struct memory_figures *ret_figures, struct stk_err *err)
{
	struct memory_figures f = {0};
	DIR *proc = opendir("/proc");

	if (!proc)
		return stk_err_sys(err, -errno, "/proc");
	for (struct dirent *e; (e = readdir(proc));) {
		if (!is_vm(e->d_name))
			continue;
		stk_autofree char *smaps = read_proc(e->d_name, "smaps");

		if (smaps && memory_parse_smaps(smaps, function, &f))
			f.vms++;
	}
	closedir(proc);
	if (f.vms) {
		double n = f.vms;

		f.pss /= n;
		f.private_all /= n;
		f.private_vmm /= n;
		f.private_guest /= n;
		f.shared_guest /= n;
	}
	*ret_figures = f;
	return 0;
}

uint64_t memory_parse_available(const char *text)
{
	const char *line = strstr(text, "MemAvailable:");
	unsigned long kib;

	return line && sscanf(line, "MemAvailable: %lu", &kib) == 1 ? kib : 0;
}

int memory_machine_now(struct memory_machine *ret_machine, struct stk_err *err)
{
	struct memory_machine m = {0};
	stk_autofree char *meminfo = read_proc(".", "meminfo");
	DIR *proc = opendir("/proc");

	if (!proc)
		return stk_err_sys(err, -errno, "/proc");
	for (struct dirent *e; (e = readdir(proc));)
		m.vms += is_vm(e->d_name);
	closedir(proc);
	m.available_kib = meminfo ? memory_parse_available(meminfo) : 0;
	if (!m.available_kib)
		return stk_err_set(err, -ENODATA, "/proc/meminfo: no MemAvailable");
	*ret_machine = m;
	return 0;
}

bool memory_per_vm(const struct memory_machine *a, const struct memory_machine *b, double *ret_kib)
{
	double vms = (double)b->vms - (double)a->vms;

	if (vms > -MEMORY_MIN_VMS && vms < MEMORY_MIN_VMS)
		return false;
	*ret_kib = ((double)a->available_kib - (double)b->available_kib) / vms;
	return true;
}
