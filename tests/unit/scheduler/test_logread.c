/* Reading log files: which lines pass, in which order, and what becomes of a reader while files are rotated under it. */
#include "scheduler/logquery.h"
#include "scheduler/logread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "scheduler/fsx.h"
#include "tests/unit/unit.h"

#define ID1 "11111111-1111-4111-8111-111111111111"
#define ID2 "22222222-2222-4222-8222-222222222222"

static char dir[64], path[96], old_path[96];
static unsigned rotations;
static char got[1 << 20];

static int setup(void **state)
{
	unit_time_limit(60);
	strcpy(dir, "/tmp/test_logread.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f.log", dir);
	snprintf(old_path, sizeof(old_path), "%s/f.log.1", dir);
	rotations = 1;
	return 0;
}

static int teardown(void **state)
{
	fsx_remove_tree(dir);
	return 0;
}

/* As logs.c does it. */
static void add(const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(stk_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static void rotate(void)
{
	assert_int_equal(rename(path, old_path), 0);
	rotations++;
}

static struct logread *open_log(const struct logread_filter *f)
{
	struct logread *r = NULL;

	assert_int_equal(logread_open(dir, "f", &rotations, f, &r), 0);
	return r;
}

/* All there is for now. */
static const char *all(struct logread *r)
{
	static char buf[LOGREAD_PIECE];
	size_t len = 0;
	ssize_t n;

	while ((n = logread_next(r, buf, sizeof(buf))) > 0) {
		assert_true(len + (size_t)n < sizeof(got));
		memcpy(got + len, buf, (size_t)n);
		len += (size_t)n;
	}
	assert_int_equal(n, 0);
	got[len] = '\0';
	return got;
}

static const char *once(const struct logread_filter *f)
{
	struct logread *r = open_log(f);

	all(r);
	logread_close(r);
	return got;
}

static void the_last_lines(void **state)
{
	assert_string_equal(once(&(struct logread_filter){.lines = 5}), "");
	add("a\nb\nc\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 5}), "a\nb\nc\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 2}), "b\nc\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 0}), "");
	rotate();
	assert_string_equal(once(&(struct logread_filter){.lines = 2}), "b\nc\n");
	add("d\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 9}), "a\nb\nc\nd\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 2}), "c\nd\n");
	rotate();
	assert_string_equal(once(&(struct logread_filter){.lines = 9}), "d\n");
	assert_int_equal(unlink(old_path), 0);
	assert_string_equal(once(&(struct logread_filter){.lines = 9}), "");
}

/* Who does not follow gets what was there when it asked. */
static void a_reader_that_does_not_follow_comes_to_an_end(void **state)
{
	struct logread *r;

	add("a\nb\n");
	r = open_log(&(struct logread_filter){.lines = 9});
	add("c\n");
	assert_string_equal(all(r), "a\nb\n");
	add("d\n");
	assert_string_equal(all(r), "");
	logread_close(r);
}

static void followers_get_what_comes(void **state)
{
	struct logread *r = open_log(&(struct logread_filter){.lines = 9, .follow = true});

	assert_string_equal(all(r), "");
	add("a\n");
	assert_string_equal(all(r), "a\n");
	add("b\nhalf");
	assert_string_equal(all(r), "b\n"); /* lines are whole */
	add(" a line\nc\n");
	assert_string_equal(all(r), "half a line\nc\n");
	logread_close(r);
	r = open_log(&(struct logread_filter){.lines = 0, .follow = true});
	assert_string_equal(all(r), "");
	add("d\n");
	assert_string_equal(all(r), "d\n");
	logread_close(r);
}

static void rotation_is_followed(void **state)
{
	struct logread *r;

	add("a\n");
	r = open_log(&(struct logread_filter){.lines = 9, .follow = true});
	assert_string_equal(all(r), "a\n");
	add("b\n");
	rotate();
	assert_string_equal(all(r), "b\n");
	assert_string_equal(all(r), "");
	add("c\n");
	assert_string_equal(all(r), "c\n");
	/* All of the old file and the new one at once. */
	add("d\n");
	rotate();
	add("e\n");
	assert_string_equal(all(r), "d\ne\n");
	/* A file behind that is whole: NAME.log.1 is read by its name. */
	rotate();
	add("f\n");
	rotate();
	add("g\n");
	assert_string_equal(all(r), "f\ng\n");
	/* The rest of the file that it is in, which has no name any more, then what is left. */
	add("h\n");
	rotate();
	add("lost\n");
	rotate();
	add("i\n");
	rotate();
	add("j\n");
	assert_string_equal(all(r), "h\n[output is missing here: it was written faster than it was read]\ni\nj\n");
	logread_close(r);
}

/* The files of an operator's tools, or of a disk that was full. */
static void others_change_the_files(void **state)
{
	struct logread *r;

	add("a\n");
	r = open_log(&(struct logread_filter){.lines = 9, .follow = true});
	assert_string_equal(all(r), "a\n");
	assert_int_equal(unlink(path), 0);
	assert_string_equal(all(r), "");
	add("b\n");
	assert_string_equal(all(r), "b\n");
	assert_int_equal(truncate(path, 0), 0);
	assert_string_equal(all(r), "");
	add("c\n");
	assert_string_equal(all(r), "c\n");
	add("torn");
	rotate();
	add("d\n");
	assert_string_equal(all(r), "tornd\n");
	rotate();
	assert_int_equal(unlink(old_path), 0);
	add("e\n");
	assert_string_equal(all(r), "e\n");
	logread_close(r);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(logread_open(dir, "f", &rotations, &(struct logread_filter){.lines = 9}, &r), -ELOOP);
}

static void large_files_come_in_pieces(void **state)
{
	struct logread *r = NULL;
	static char line[8001];
	size_t len = 0;

	memset(line, 'x', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	for (int i = 0; i < 100; i++)
		add(line);
	r = open_log(&(struct logread_filter){.lines = 1000});
	for (const char *p = all(r); *p; p += sizeof(line) - 1, len++)
		assert_memory_equal(p, line, sizeof(line) - 1);
	assert_int_equal(len, 100);
	logread_close(r);
	add("y\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 1}), "y\n");
}

/* --- filters ------------------------------------------------------------------------------------------ */

#define T1 "2026-01-02T03:04:05.000Z "
#define T2 "2026-01-02T03:04:06.000Z "
#define T3 "2026-01-02T03:04:07.123Z "

static void filters(void **state)
{
	static const char log[] = T1 "deploy building\n"
				  T1 ID1 " START RequestId: " ID1 " Version: $LATEST\n"
				  T1 ID2 " START RequestId: " ID2 " Version: 3\n"
				  T2 ID1 " one\n"
				  T2 ID2 " two\n"
				  T2 ID1 " END RequestId: " ID1 "\n"
				  T2 ID1 " REPORT RequestId: " ID1 "\tDuration: 1 ms\n"
				  T3 ID1 " behind the end\n"
				  T3 ID2 " three\n"
				  "no line of ours\n";

	add(log);
	assert_string_equal(once(&(struct logread_filter){.lines = 99}), log);
	assert_string_equal(once(&(struct logread_filter){.lines = 99, .id = ID2}),
			    T1 ID2 " START RequestId: " ID2 " Version: 3\n" T2 ID2 " two\n" T3 ID2 " three\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 1, .id = ID2}), T3 ID2 " three\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 99, .id = "deploy"}), T1 "deploy building\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 99, .since = "2026-01-02T03:04:07.000Z"}),
			    T3 ID1 " behind the end\n" T3 ID2 " three\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 99, .version = {"3", ""}}),
			    T1 ID2 " START RequestId: " ID2 " Version: 3\n" T2 ID2 " two\n" T3 ID2 " three\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 99, .version = {"$LATEST", ""}}),
			    T1 ID1 " START RequestId: " ID1 " Version: $LATEST\n" T2 ID1 " one\n"
			    T2 ID1 " END RequestId: " ID1 "\n" T2 ID1 " REPORT RequestId: " ID1 "\tDuration: 1 ms\n");
	/* An alias with two versions; both filters together. START is before the time that is wanted. */
	assert_string_equal(once(&(struct logread_filter){.lines = 99, .version = {"3", "$LATEST"},
							  .since = "2026-01-02T03:04:06.500Z"}), T3 ID2 " three\n");
	assert_string_equal(once(&(struct logread_filter){.lines = 99, .version = {"33", ""}}), "");
	assert_string_equal(once(&(struct logread_filter){.lines = 99, .version = {"$LATES", ""}}), "");
}

#define J(time, type, id, more) "{\"time\":\"" time "\",\"type\":\"platform." type "\",\"record\":{\"requestId\":\"" id "\"" more

/* Versions of calls whose log is JSON; what a function has written is not taken for what the host writes. */
static void versions_of_json(void **state)
{
	static const char start[] = T1 ID1 " " J("2026-01-02T03:04:05.000Z", "start", ID1, ",\"version\":\"3\"}}\n"),
			  end[] = T2 ID1 " " J("2026-01-02T03:04:06.000Z", "report", ID1, ",\"status\":\"success\"}}\n");
	static const char log[] = T1 ID2 " " J("2026-01-02T03:04:05.000Z", "start", ID1, ",\"version\":\"3\"}}\n")
				  T1 ID2 " " J("2026-01-02T03:04:05.000Z", "start", ID2, ",\"version\":\"33\"}}\n")
				  T1 ID2 " {\"time\":\"\n" T1 ID2 " {\"version\":\"3\"}}\n";

	add(start);
	add(T2 ID1 " one\n");
	add(end);
	add(T3 ID1 " behind the end\n");
	add(log);
	assert_string_equal(once(&(struct logread_filter){.lines = 99, .version = {"33", ""}}), strstr(log, "\n") + 1);
	assert_memory_equal(once(&(struct logread_filter){.lines = 99, .version = {"3", ""}}), start, sizeof(start) - 1);
	assert_string_equal(once(&(struct logread_filter){.lines = 2, .version = {"3", ""}}) + strlen(T2 ID1 " one\n"), end);
}

static void since(const char *text, const char *want)
{
	char t[LOGREAD_TIME_LEN + 1];
	int rc = logquery_since(text, 1767323045678, t); /* 2026-01-02T03:04:05.678Z */

	if (want) {
		assert_int_equal(rc, 0);
		assert_string_equal(t, want);
	} else if (rc != -EINVAL) {
		fail_msg("\"%s\" is taken", text);
	}
}

static void times_are_read(void **state)
{
	static const char *const bad[] = {"", "s", "5", "5w", "-5s", "5 s", " 5s", "0x5s", "99999999999999999999d",
					  "yesterday", "Z",
					  "2026-01-02", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05.67Z",
					  "2026-01-02T03:04:05.678+00", "2026-01-0xT03:04:05Z", "2026-01-02T03:04:05.678Zx"};

	since("0s", "2026-01-02T03:04:05.678Z");
	since("5s", "2026-01-02T03:04:00.678Z");
	since("4m", "2026-01-02T03:00:05.678Z");
	since("3h", "2026-01-02T00:04:05.678Z");
	since("2d", "2025-12-31T03:04:05.678Z");
	since("99999999d", "1970-01-01T00:00:00.000Z");
	since("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z");
	since("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		since(bad[i], NULL);
}

static void ids_are_read(void **state)
{
	char id[LOGREAD_ID_MAX + 1];

	assert_int_equal(logquery_id(ID1, id), 0);
	assert_string_equal(id, ID1);
	assert_int_equal(logquery_id("deploy", id), 0);
	assert_int_equal(logquery_id("", id), -EINVAL);
	assert_int_equal(logquery_id("a b", id), -EINVAL);
	assert_int_equal(logquery_id("a\n", id), -EINVAL);
	assert_int_equal(logquery_id("01234567890123456789012345678901234567890123456789012345678901234", id), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_last_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_does_not_follow_comes_to_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(followers_get_what_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(rotation_is_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(others_change_the_files, setup, teardown),
		cmocka_unit_test_setup_teardown(large_files_come_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(filters, setup, teardown),
		cmocka_unit_test_setup_teardown(versions_of_json, setup, teardown),
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(ids_are_read),
	};
	unsigned fds = unit_count_fds();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	return failed || unit_count_fds() != fds;
}
