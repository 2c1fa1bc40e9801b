/* Runs corpus files through a fuzz target without libFuzzer. With no argument: every file of
 * $STOKER_SRC/tests/fuzz/corpus/X when the program is called fuzz_X, and the empty input.
 * A crash or a sanitizer report is the failure; prints how many inputs went through. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long replayed;

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t len = 0, cap = 0;

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	for (;;) {
		if (len == cap) {
			uint8_t *grown = realloc(data, cap ? cap * 2 : 65536);

			if (!grown)
				abort();
			cap = cap ? cap * 2 : 65536;
			data = grown;
		}
		size_t n = fread(data + len, 1, cap - len, f);

		if (n == 0)
			break;
		len += n;
	}
	fclose(f);

	/* An exact-size copy, so that a sanitizer sees one byte too many. */
	uint8_t *exact = malloc(len ? len : 1);

	if (!exact)
		abort();
	memcpy(exact, data, len);
	free(data);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	replayed++;
	return 0;
}

static int replay_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);

	DIR *dir = opendir(path);
	int rc = 0;

	if (!dir)
		return -1;
	for (struct dirent *e; (e = readdir(dir));) {
		char child[PATH_MAX];

		if (e->d_name[0] == '.')
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path, e->d_name) >= (int)sizeof(child) ||
		    replay_path(child) < 0)
			rc = -1;
	}
	closedir(dir);
	return rc;
}

int main(int argc, char **argv)
{
	static const uint8_t nothing[1];
	int rc = 0;

	LLVMFuzzerTestOneInput(nothing, 0);
	for (int i = 1; i < argc; i++)
		if (replay_path(argv[i]) < 0)
			rc = 1;
	if (argc == 1) {
		const char *name = strrchr(argv[0], '/');
		const char *src = getenv("STOKER_SRC");
		char dir[PATH_MAX];

		name = name ? name + 1 : argv[0];
		if (strncmp(name, "fuzz_", 5) == 0)
			name += 5;
		snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", src ? src : ".", name);
		if (replay_path(dir) < 0 || replayed == 0) {
			fprintf(stderr, "%s: no corpus\n", dir);
			rc = 1;
		}
	}
	printf("%lu inputs replayed\n", replayed);
	return rc;
}
