/* Work on threads: all of it is done and given back on the loop, and the loop ends when there is no more. */
#include "common/host/workers.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/unit/unit.h"

#define JOBS 5000

struct job {
	uv_work_t work;
	unsigned number, square;
};

static uv_loop_t loop;
static unsigned given_back, again;
static uv_thread_t loop_thread;

static void square(uv_work_t *w)
{
	struct job *j = w->data;
	uv_thread_t self = uv_thread_self();

	if (!uv_thread_equal(&self, &loop_thread))
		j->square = j->number * j->number;
}

static void squared(uv_work_t *w, int status)
{
	struct job *j = w->data;
	uv_thread_t self = uv_thread_self();

	assert_true(uv_thread_equal(&self, &loop_thread));
	assert_int_equal(status, 0);
	assert_int_equal(j->square, j->number * j->number);
	given_back++;
	if (again) { /* the struct is the caller's again, also for more work */
		again--;
		j->number++;
		assert_int_equal(workers_queue(&loop, w, square, squared), 0);
	}
}

static void run_jobs(void)
{
	static struct job job[JOBS];

	given_back = 0;
	again = 1000;
	for (unsigned i = 0; i < JOBS; i++) {
		job[i] = (struct job){.number = i + 1};
		job[i].work.data = &job[i];
		assert_int_equal(workers_queue(&loop, &job[i].work, square, squared), 0);
	}
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(given_back, JOBS + 1000);
}

static void all_work_comes_back(void **state)
{
	unsigned fds;

	loop_thread = uv_thread_self();
	assert_int_equal(uv_loop_init(&loop), 0); /* libuv keeps two descriptors from then on */
	assert_int_equal(uv_loop_close(&loop), 0);
	fds = unit_count_fds();
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(workers_start(&loop, 4), 0);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0); /* nothing to wait for */
	run_jobs();
	run_jobs();
	workers_close(&loop);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	workers_stop(&loop);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(unit_count_fds(), fds);
}

/* One thread beside the loop's: in order, while those are all busy. */
static struct workers *more;
static char order[16];

static void note(uv_work_t *w)
{
	struct job *j = w->data;

	order[strlen(order)] = (char)('a' + j->number);
}

static void noted(uv_work_t *w, int status)
{
	given_back++;
}

static void beside_the_loops_own(void **state)
{
	struct job job[5];

	given_back = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(workers_start(&loop, 1), 0);
	assert_int_equal(workers_new(&loop, 1, &more), 0);
	for (unsigned i = 0; i < 5; i++) {
		job[i].number = i;
		job[i].work.data = &job[i];
		workers_push(more, &job[i].work, note, noted);
	}
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(given_back, 5);
	assert_string_equal(order, "abcde");
	workers_close_more(more);
	workers_close(&loop);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	workers_free(more);
	workers_stop(&loop);
	assert_int_equal(uv_loop_close(&loop), 0);
	workers_close_more(NULL);
	workers_free(NULL);
}

static long waits_of_this_thread(void)
{
	struct rusage used;

	assert_int_equal(getrusage(RUSAGE_THREAD, &used), 0);
	return used.ru_nvcsw;
}

static void nothing(uv_work_t *w)
{
}

/* Of two threads one has worked and waits again, the other has been woken and has had no processor yet when there is more to
 * do: all on one processor, which is the loop's until it waits. */
static void the_loop_waits_for_no_thread(void **state)
{
	const struct sched_param none = {0};
	cpu_set_t before, one;
	uv_work_t w[3];
	unsigned waited = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &none), 0); /* who is woken waits */
	assert_int_equal(workers_start(&loop, 2), 0);                   /* likewise, and on this processor */
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
	for (unsigned round = 0; round < 100; round++) {
		long waits;

		workers_queue(&loop, &w[0], nothing, noted);
		assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
		waits = waits_of_this_thread();
		workers_queue(&loop, &w[1], nothing, noted);
		workers_queue(&loop, &w[2], nothing, noted);
		waited += waits_of_this_thread() != waits;
		assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	}
	assert_true(waited <= 3); /* a thread may have lost the processor, to others, with the lock in its hand */
	workers_close(&loop);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	workers_stop(&loop);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void without_workers_it_is_libuv(void **state)
{
	memset(&loop, 0, sizeof(loop));
	loop_thread = uv_thread_self();
	assert_int_equal(uv_loop_init(&loop), 0);
	run_jobs();
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_work_comes_back),
		cmocka_unit_test(beside_the_loops_own),
		cmocka_unit_test(the_loop_waits_for_no_thread),
		cmocka_unit_test(without_workers_it_is_libuv),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
