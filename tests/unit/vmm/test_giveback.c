/* What a start used goes back to the machine, and what is in use stays. */
#include "tests/unit/unit.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pages.h"
#include "vmm/giveback.h"

#define HEAP_PAGES  256u
#define STACK_PAGES 16u
#define PAGE        4096u

__attribute__((noinline)) static void use_stack(void)
{
	volatile char space[STACK_PAGES * PAGE];

	for (size_t i = 0; i < sizeof(space); i += PAGE)
		space[i] = 1;
}

/* Where it was. */
static uintptr_t use_heap(void)
{
	char *large = malloc(HEAP_PAGES * PAGE);
	uintptr_t place = (uintptr_t)large;

	assert_non_null(large);
	memset(large, 1, HEAP_PAGES * PAGE);
	__asm__ volatile("" ::"r"(large) : "memory"); /* it is meant */
	free(large);
	return place;
}

static void tick(uv_timer_t *t)
{
	(void)t;
}

static void test_goes_back(void **state)
{
	char *kept = malloc(PAGE), local[PAGE];
	const char *stack = (const char *)__builtin_frame_address(0) - STACK_PAGES * PAGE;
	uintptr_t heap;
	uv_timer_t t, ticks;
	uv_loop_t loop;

	mallopt(M_MMAP_THRESHOLD, 4 * HEAP_PAGES * PAGE);
	mallopt(M_TRIM_THRESHOLD, 4 * HEAP_PAGES * PAGE);
	assert_non_null(kept);
	memset(kept, 'k', PAGE);
	memset(local, 'l', PAGE);
	uv_loop_init(&loop);
	heap = use_heap();
	use_stack();
	assert_int_equal(pages_there(stack, STACK_PAGES, 0), STACK_PAGES);
	giveback_later(&loop, &t);
	uv_timer_init(&loop, &ticks);
	uv_timer_start(&ticks, tick, 1, 1); /* unit_time_limit() ends it */
	while (!uv_is_closing((uv_handle_t *)&t))
		uv_run(&loop, UV_RUN_ONCE);
	assert_true(pages_there(stack, STACK_PAGES, 0) < STACK_PAGES / 2); /* the frames in use are there */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they have a heap of their own */
	assert_true(pages_there((const void *)(heap + PAGE), HEAP_PAGES, 0) < HEAP_PAGES / 4); /* the loop may use some of it */
#endif
	(void)heap;
	for (unsigned i = 0; i < PAGE; i++)
		assert_true(kept[i] == 'k' && local[i] == 'l');
	free(kept);
	uv_close((uv_handle_t *)&ticks, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* A VM that has ended meanwhile is not kept by it. */
static void test_keeps_nobody_waiting(void **state)
{
	uv_timer_t t;
	uv_loop_t loop;

	uv_loop_init(&loop);
	giveback_later(&loop, &t);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	uv_close((uv_handle_t *)&t, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_back), cmocka_unit_test(test_keeps_nobody_waiting),
	};

	unit_time_limit(20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
