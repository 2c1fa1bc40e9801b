/* Threads for blocking work: see workers.h. */
#include "common/host/workers.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Work in a queue; linked by uv_work_t's reserved fields, which belong to libuv only while it has the request. */
struct queue {
	uv_work_t *first, *last;
};

struct workers {
	uv_poll_t poll; /* on event_fd */
	int event_fd;   /* readable: done is not empty */
	unsigned out;   /* queued and not yet given back; loop thread */
	pthread_mutex_t lock;
	/* One for each piece in todo. A condition variable will not do: to signal one waits, after some signals, until
	 * a thread that was woken earlier has had the processor (glibc bug 13165 and its mend). */
	sem_t more;
	struct queue todo, done;
	unsigned count;
	pthread_t thread[];
};

static void push(struct queue *q, uv_work_t *w)
{
	w->reserved[0] = NULL;
	if (q->first)
		q->last->reserved[0] = w;
	else
		q->first = w;
	q->last = w;
}

static uv_work_t *pop(struct queue *q)
{
	uv_work_t *w = q->first;

	if (w)
		q->first = w->reserved[0];
	return w;
}

static void *run(void *arg)
{
	struct workers *p = arg;
	const uint64_t one = 1;

	for (;;) {
		uv_work_t *w;
		bool first;

		while (sem_wait(&p->more))
			;
		pthread_mutex_lock(&p->lock);
		w = pop(&p->todo);
		pthread_mutex_unlock(&p->lock);
		if (!w)
			return NULL; /* woken for the end */
		w->work_cb(w);
		pthread_mutex_lock(&p->lock);
		first = !p->done.first;
		push(&p->done, w);
		pthread_mutex_unlock(&p->lock);
		/* Only now, so that the loop, which may take the processor at once, never waits for the lock. */
		if (first && write(p->event_fd, &one, sizeof(one)) != sizeof(one))
			abort(); /* a counter that is read before it can be full */
	}
}

static void on_done(uv_poll_t *poll, int status, int events)
{
	struct workers *p = poll->data;
	struct queue done;
	uint64_t value;
	uv_work_t *w;

	if (read(p->event_fd, &value, sizeof(value)) < 0)
		return; /* woken for what an earlier round has taken */
	pthread_mutex_lock(&p->lock);
	done = p->done;
	p->done.first = NULL;
	pthread_mutex_unlock(&p->lock);
	while ((w = pop(&done))) {
		if (--p->out == 0)
			uv_unref((uv_handle_t *)&p->poll);
		w->after_work_cb(w, 0);
	}
}

void workers_free(struct workers *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->count; i++)
		sem_post(&p->more);
	for (unsigned i = 0; i < p->count; i++)
		pthread_join(p->thread[i], NULL);
	sem_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	close(p->event_fd);
	free(p);
}

static int start_threads(struct workers *p, unsigned threads)
{
	sigset_t all, before;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (rc == 0 && p->count < threads) {
		rc = pthread_create(&p->thread[p->count], NULL, run, p);
		p->count += rc == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int workers_new(uv_loop_t *loop, unsigned threads, struct workers **ret_workers)
{
	struct workers *p = calloc(1, sizeof(*p) + threads * sizeof(pthread_t));
	int rc;

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	sem_init(&p->more, 0, 0);
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = p->event_fd < 0 ? -errno : start_threads(p, threads);
	if (rc == 0)
		rc = uv_poll_init(loop, &p->poll, p->event_fd);
	if (rc) {
		workers_free(p);
		return rc;
	}
	p->poll.data = p;
	uv_unref((uv_handle_t *)&p->poll);
	rc = uv_poll_start(&p->poll, UV_READABLE, on_done); /* cannot fail on a fresh handle */
	*ret_workers = p;
	return rc;
}

void workers_close_more(struct workers *p)
{
	if (p)
		uv_close((uv_handle_t *)&p->poll, NULL);
}

void workers_push(struct workers *p, uv_work_t *w, uv_work_cb work, uv_after_work_cb after)
{
	w->work_cb = work;
	w->after_work_cb = after;
	if (p->out++ == 0)
		uv_ref((uv_handle_t *)&p->poll);
	pthread_mutex_lock(&p->lock);
	push(&p->todo, w);
	pthread_mutex_unlock(&p->lock);
	sem_post(&p->more);
}

int workers_start(uv_loop_t *loop, unsigned threads)
{
	struct workers *p = NULL;
	int rc = workers_new(loop, threads, &p);

	if (p)
		loop->data = p;
	return rc;
}

void workers_close(uv_loop_t *loop)
{
	workers_close_more(loop->data);
}

void workers_stop(uv_loop_t *loop)
{
	workers_free(loop->data);
	loop->data = NULL;
}

int workers_queue(uv_loop_t *loop, uv_work_t *w, uv_work_cb work, uv_after_work_cb after)
{
	if (!loop->data)
		return uv_queue_work(loop, w, work, after);
	workers_push(loop->data, w, work, after);
	return 0;
}
