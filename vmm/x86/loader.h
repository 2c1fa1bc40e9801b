/* Kernel and initrd into guest memory. The files are hostile: every number is checked. */
#ifndef VMM_X86_LOADER_H
#define VMM_X86_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "vmm/gmem.h"

struct loader_kernel {
	bool pvh;       /* entry is the PVH one (32-bit), else the 64-bit protocol's */
	uint64_t entry; /* guest physical */
	uint64_t end;   /* first byte behind the kernel's highest segment */
};

/* Loads the segments of an uncompressed x86_64 ELF kernel. Memory must be fresh (zero): what a
 * segment has beyond its bytes in the file is left as it is. Nothing but [1 MiB, end of low RAM)
 * is written. -ENOEXEC: not such a kernel. */
int loader_kernel_fd(int fd, const struct gmem *mem, struct loader_kernel *ret_kernel, struct stk_err *err);
int loader_kernel_file(const char *path, const struct gmem *mem, struct loader_kernel *ret_kernel,
		       struct stk_err *err);

/* Puts the file at the top of low RAM, page aligned, above `floor`. */
int loader_initrd_file(const char *path, const struct gmem *mem, uint64_t floor, uint64_t *ret_addr,
		       uint64_t *ret_size, struct stk_err *err);

#endif
