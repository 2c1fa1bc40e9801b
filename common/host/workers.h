/* Threads for what would make a loop wait: uv_queue_work with a queue of our own. libuv's loop, woken by the first half
 * of a thread's message, calls sched_yield until the second half is there; where the thread has to share a processor
 * with the loop, that takes up to a time slice for each piece of work, at any priority of the loop.
 *
 * One struct of workers for a loop, in the loop's data. Without it workers_queue is uv_queue_work. */
#ifndef COMMON_HOST_WORKERS_H
#define COMMON_HOST_WORKERS_H

#include <uv.h>

/* Starts the threads; they have all signals blocked. 0 or negative errno. */
int workers_start(uv_loop_t *loop, unsigned threads);
/* Before the loop's end, when no work is left: the loop may end. */
void workers_close(uv_loop_t *loop);
/* After the loop's end: the threads end. */
void workers_stop(uv_loop_t *loop);

/* As uv_queue_work; w cannot be cancelled. Keeps the loop alive until `after` was called, with status 0. Loop thread. */
int workers_queue(uv_loop_t *loop, uv_work_t *w, uv_work_cb work, uv_after_work_cb after);

/* Threads beside those, for work that may take long and must not keep the loop's own from theirs. Same rules. */
struct workers;
int workers_new(uv_loop_t *loop, unsigned threads, struct workers **ret_workers);
void workers_push(struct workers *p, uv_work_t *w, uv_work_cb work, uv_after_work_cb after);
void workers_close_more(struct workers *p); /* as workers_close; NULL is fine */
void workers_free(struct workers *p);       /* as workers_stop; NULL is fine */

#endif
