/* Memory of the running microVMs, read from /proc/PID/smaps of every stoker-vmm on this machine. */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

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

/* One process's smaps text: added to *f (vms not touched). Returns 1 when it maps guest memory of
 * the function, else 0. For tests. */
int memory_parse_smaps(const char *text, const char *function, struct memory_figures *f);

#endif
