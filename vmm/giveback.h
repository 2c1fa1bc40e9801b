/* Memory of the monitor itself that only its start needed: what is free of the heap, and the stack below what is in use.
 * One of a thousand waiting VMs keeps some 100 KiB less. */
#ifndef VMM_GIVEBACK_H
#define VMM_GIVEBACK_H

#include <uv.h>

/* Gives it back GIVEBACK_AFTER_MS from now, when a VM that was made for a call has ended already. Main thread, once; t is
 * the caller's, and stays. */
void giveback_later(uv_loop_t *loop, uv_timer_t *t);

#define GIVEBACK_AFTER_MS 100u

#endif
