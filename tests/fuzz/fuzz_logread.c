/* What a client asks of a log, and what a function has written into it: byte 0 is how many lines are wanted, and where the
 * second file begins; then three lines: since, request id, version; the rest is the log. What comes out must be whole lines of
 * what went in, in their order, no more than were asked for; and a follower must find the end. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/logquery.h"
#include "scheduler/logread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];

static void require(int ok)
{
	if (!ok)
		abort();
}

static void remove_all(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/f.log", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/f.log.1", dir);
	unlink(path);
	rmdir(dir);
}

static void write_file(const char *leaf, const char *data, size_t len)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, leaf);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	require(fd >= 0 && stk_write_full(fd, data, len) == 0);
	close(fd);
}

/* The line at *text is cut off and returned; *text goes behind it. */
static char *next_line(char **text)
{
	char *line = *text, *nl = strchr(line, '\n');

	*text = nl ? nl + 1 : line + strlen(line);
	if (nl)
		*nl = '\0';
	return line;
}

/* Lines of `part` come in this order in `whole`. */
static void check_lines(const char *part, size_t part_len, const char *whole, size_t whole_len)
{
	size_t at = 0;

	for (size_t i = 0, n; i < part_len; i += n) {
		const char *nl = memchr(part + i, '\n', part_len - i);

		n = nl ? (size_t)(nl - part) - i + 1 : part_len - i;
		for (;;) {
			const char *end = at < whole_len ? memchr(whole + at, '\n', whole_len - at) : NULL;
			size_t len = end ? (size_t)(end - whole) - at + 1 : whole_len - at;

			require(at < whole_len);
			at += len;
			if (len == n && memcmp(whole + at - len, part + i, n) == 0)
				break;
		}
	}
}

static void read_all(const struct logread_filter *f, const char *log, size_t len)
{
	static char buf[LOGREAD_PIECE];
	unsigned rotations = 1, lines = 0;
	struct logread *r;
	ssize_t n;

	require(logread_open(dir, "f", &rotations, f, &r) == 0);
	n = logread_next(r, buf, sizeof(buf));
	require(n >= 0 && (size_t)n <= len);
	check_lines(buf, (size_t)n, log, len);
	for (ssize_t i = 0; i < n; i++)
		lines += buf[i] == '\n';
	require(f->follow || lines <= f->lines);
	if (f->follow) {
		while ((n = logread_next(r, buf, sizeof(buf))) > 0)
			;
		require(n == 0);
	}
	logread_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct logread_filter f = {.lines = 0};
	char *text, *log, *line;
	size_t len, first;

	if (size < 2 || size > 16384)
		return 0;
	if (!dir[0]) {
		strcpy(dir, "/tmp/fuzz_logread.XXXXXX");
		require(mkdtemp(dir) != NULL);
		atexit(remove_all);
	}
	text = calloc(1, size);
	require(text != NULL);
	memcpy(text, data + 1, size - 1);
	for (size_t i = 0; i + 1 < size; i++) /* lines of the log end with lines of the query's kind: text */
		text[i] = text[i] ? text[i] : '\n';
	log = text;
	if (logquery_since(next_line(&log), 1767323045678, f.since))
		f.since[0] = '\0';
	require(!f.since[0] || strlen(f.since) == LOGREAD_TIME_LEN);
	if (logquery_id(next_line(&log), f.id))
		f.id[0] = '\0';
	line = next_line(&log);
	if (stk_strcpy(f.version[0], sizeof(f.version[0]), line))
		f.version[0][0] = '\0';
	f.lines = data[0] % 8;
	len = strlen(log);
	for (first = len * (data[0] / 32u) / 8; first && log[first - 1] != '\n';)
		first--;
	write_file("f.log.1", log, first);
	write_file("f.log", log + first, len - first);
	read_all(&f, log, len);
	f.follow = true;
	read_all(&f, log, len);
	free(text);
	return 0;
}
