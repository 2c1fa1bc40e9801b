/* Work on threads: all of it is done and given back on the loop, and the loop ends when there is no more. */
#include "common/host/workers.h"

#include <stdlib.h>
#include <string.h>

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
		cmocka_unit_test(without_workers_it_is_libuv),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
