/* The ELF loader on arbitrary bytes. Segments must stay inside [1 MiB, end of RAM) and the entry
 * point inside them. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "vmm/x86/layout.h"
#include "vmm/x86/loader.h"

#define MEM_SIZE (24ULL << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct loader_kernel k;
	struct stk_err err = {0};
	struct gmem mem;

	if (fd < 0)
		fd = memfd_create("kernel", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || stk_pwrite_full(fd, data, size, 0) < 0)
		abort();
	if (gmem_init_anon(&mem, MEM_SIZE, NULL) < 0)
		abort();
	if (loader_kernel_fd(fd, &mem, &k, &err) == 0) {
		if (k.entry < LAYOUT_HIMEM || k.entry >= k.end || k.end > MEM_SIZE)
			abort();
	} else if (err.text[0] == '\0') {
		abort(); /* every refusal says why */
	}
	if (mem.base[0] || mem.base[LAYOUT_HIMEM - 1])
		abort();
	gmem_fini(&mem);
	return 0;
}
