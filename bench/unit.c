/* The unit of doc/PERFORMANCE.md: what fork, exec and wait of the smallest static program cost, from a small static
 * program. usage: unit PROGRAM [N [ARGUMENT...]]; prints the median in ns. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX 10000

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	static uint64_t ns[MAX];
	int n = argc > 2 ? atoi(argv[2]) : 100, status;
	char **args = argc > 2 ? argv + 2 : argv + 1; /* of the program: its name takes the place of N */

	if (argc < 2 || n < 1 || n > MAX)
		return fprintf(stderr, "usage: unit PROGRAM [N [ARGUMENT...]]\n"), 2;
	args[0] = argv[1];
	for (int i = 0; i < n; i++) {
		uint64_t start = now_ns();
		pid_t pid = fork();

		if (pid == 0) {
			execv(args[0], args);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			return fprintf(stderr, "unit: %s does not run\n", argv[1]), 1;
		ns[i] = now_ns() - start;
	}
	qsort(ns, (size_t)n, sizeof(ns[0]), ascending);
	printf("%llu\n", (unsigned long long)ns[n / 2]);
	return 0;
}
