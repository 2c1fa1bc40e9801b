/* Giving memory back: see giveback.h. */
#include "vmm/giveback.h"

#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE  4096u
#define STACK (96u * 1024) /* more than a start uses; far less than what lies between the stack and other mappings */

static void give_back(uv_timer_t *t)
{
	/* The frames of what is called from here lie within the next page. */
	uintptr_t in_use = ((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(PAGE - 1)) - PAGE;

	uv_close((uv_handle_t *)t, NULL);
	malloc_trim(0);
	/* Pages that were never there do not matter (ENOMEM). */
	(void)madvise((void *)(in_use - STACK), STACK, MADV_DONTNEED);
}

void giveback_later(uv_loop_t *loop, uv_timer_t *t)
{
	uv_timer_init(loop, t);
	uv_timer_start(t, give_back, GIVEBACK_AFTER_MS, 0);
	uv_unref((uv_handle_t *)t);
}
