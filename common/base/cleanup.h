/* Scope-bound owners: a local declared with one of these is released when its scope ends.
 * Every owner is initialised at its declaration; stk_take_* hands the value on and empties it. */
#ifndef COMMON_BASE_CLEANUP_H
#define COMMON_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void stk_cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void stk_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void stk_cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define stk_autofd   __attribute__((cleanup(stk_cleanup_fd))) int
#define stk_autofree __attribute__((cleanup(stk_cleanup_free)))
#define stk_autofile __attribute__((cleanup(stk_cleanup_file))) FILE *

static inline int stk_take_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

static inline void *stk_take_ptr_(void *p)
{
	void *v = *(void **)p;

	*(void **)p = NULL;
	return v;
}
#define stk_take_ptr(p) ((__typeof__(*(p)))stk_take_ptr_(p))

#define STK_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
