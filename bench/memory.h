/* Memory of the running microVMs, read from /proc/PID/smaps of every stoker-vmm on this machine. */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

struct memory_figures {
	unsigned vms;
	/* means per VM, KiB */
	double pss;            /* proportional: shared pages divided among those that share them */
	double private_all;    /* private, clean and dirty */
	double private_vmm;    /* of that, outside guest memory: the monitor itself */
	double private_guest;  /* of that, guest memory (mappings of a snapshot's memory file) */
	double shared_guest;   /* guest memory mapped and shared with another VM or the page cache */
};

/* Only VMs whose guest memory is a snapshot file of this function (path has /functions/NAME/);
 * function NULL: all. No VM found: figures of zero, not an error. */
int memory_measure(const char *function, struct memory_figures *ret_figures, struct stk_err *err);

/* What the kernel says about the whole machine: every process called stoker-vmm, and MemAvailable. The difference of
 * two such readings divided by the difference in VMs is what a VM costs, kernel memory included. */
struct memory_machine {
	unsigned vms;
	uint64_t available_kib;
};
#define MEMORY_MIN_VMS 4 /* difference below which MemAvailable's own noise decides */

int memory_machine_now(struct memory_machine *ret_machine, struct stk_err *err);
/* KiB for each further VM; negative when memory grew. false when the readings differ by too few VMs. */
bool memory_per_vm(const struct memory_machine *a, const struct memory_machine *b, double *ret_kib);
/* MemAvailable of a meminfo text, 0 when it is not there. For tests. */
uint64_t memory_parse_available(const char *text);

/* One process's smaps text: added to *f (vms not touched). Returns 1 when it maps guest memory of
 * the function, else 0. For tests. */
int memory_parse_smaps(const char *text, const char *function, struct memory_figures *f);

#endif
