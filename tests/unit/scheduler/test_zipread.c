/* Zips made here with libarchive, good ones and hostile ones. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "scheduler/fsx.h"
#include "scheduler/zipread.h"

static char outer[64], dest[96];
static uint8_t zip[1 << 20];
static size_t zip_len;
static struct archive *ar;

static int setup(void **state)
{
	strcpy(outer, "/tmp/stoker-zip-XXXXXX");
	if (!mkdtemp(outer))
		return -1;
	snprintf(dest, sizeof(dest), "%s/dest", outer);
	return mkdir(dest, 0755);
}

static int teardown(void **state)
{
	return fsx_remove_tree(outer);
}

static void zip_begin(void)
{
	ar = archive_write_new();
	archive_write_set_format_zip(ar);
	archive_write_set_bytes_in_last_block(ar, 1);
	assert_int_equal(archive_write_open_memory(ar, zip, sizeof(zip), &zip_len), ARCHIVE_OK);
}

static void zip_add(const char *name, unsigned type, mode_t perm, const char *data, size_t len)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, type);
	archive_entry_set_perm(e, perm);
	if (type == AE_IFLNK)
		archive_entry_set_symlink(e, data);
	else
		archive_entry_set_size(e, (la_int64_t)len);
	assert_int_equal(archive_write_header(ar, e), ARCHIVE_OK);
	if (type == AE_IFREG && len)
		assert_int_equal(archive_write_data(ar, data, len), (la_ssize_t)len);
	archive_entry_free(e);
}

static int zip_end(const struct zipread_limits *limits, struct stk_err *err)
{
	static const struct zipread_limits normal = {ZIPREAD_MAX_BYTES, ZIPREAD_MAX_ENTRIES};

	archive_write_close(ar);
	archive_write_free(ar);
	memset(err, 0, sizeof(*err));
	return zipread_unpack_memory(zip, zip_len, dest, limits ? limits : &normal, err);
}

static void nothing_escaped(void)
{
	DIR *d = opendir(outer);
	struct dirent *e;
	unsigned n = 0;

	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	assert_int_equal(n, 1);
}

static mode_t mode_of(const char *leaf)
{
	char path[160];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dest, leaf);
	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode;
}

static void good_package(void **state)
{
	struct stk_err err;

	zip_begin();
	zip_add("app.py", AE_IFREG, 0600, "x = 1\n", 6);
	zip_add("bin/", AE_IFDIR, 0700, NULL, 0);
	zip_add("./bin/tool", AE_IFREG, 04711, "#!", 2);
	zip_add("lib/a/b.py", AE_IFREG, 0644, "", 0);
	zip_add("lib/link", AE_IFLNK, 0777, "../bin/tool", 0);
	zip_add("\xc3\xa4.txt", AE_IFREG, 0644, "y", 1);
	assert_int_equal(zip_end(NULL, &err), 0);
	assert_int_equal(mode_of("app.py"), S_IFREG | 0644);
	assert_int_equal(mode_of("bin/tool"), S_IFREG | 0755); /* executable stays, setuid does not */
	assert_int_equal(mode_of("bin"), S_IFDIR | 0755);
	assert_true(S_ISLNK(mode_of("lib/link")));
	assert_true(S_ISREG(mode_of("\xc3\xa4.txt")));
}

static void hostile_packages(void **state)
{
	static const struct {
		const char *name, *target;
	} bad[] = {
		{"../evil", NULL},       {"a/../../evil", NULL}, {"/evil", NULL},      {"a/..", NULL},
		{"a\\..\\evil", NULL},   {"l", "/etc/passwd"},   {"l", "../evil"},     {"a/l", "../../evil"},
		{"a/b/l", "./../.././../x"}, {".", NULL},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct stk_err err;

		zip_begin();
		zip_add(bad[i].name, bad[i].target ? AE_IFLNK : AE_IFREG, 0644,
			bad[i].target ? bad[i].target : "x", 1);
		assert_int_equal(zip_end(NULL, &err), -EINVAL);
		assert_string_not_equal(err.text, "");
		nothing_escaped();
	}
}

static void no_way_through_links(void **state)
{
	struct stk_err err;

	zip_begin();
	zip_add("d", AE_IFLNK, 0777, "sub", 0);
	zip_add("d/x", AE_IFREG, 0644, "x", 1);
	assert_int_equal(zip_end(NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "link"));
}

static void the_same_file_twice(void **state)
{
	struct stk_err err;

	zip_begin();
	zip_add("a", AE_IFREG, 0644, "1", 1);
	zip_add("a", AE_IFREG, 0644, "2", 1);
	assert_int_equal(zip_end(NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "twice"));
}

static void bombs(void **state)
{
	struct zipread_limits few = {1000, 3};
	static char zeros[5000];
	struct stk_err err;

	zip_begin();
	zip_add("z", AE_IFREG, 0644, zeros, sizeof(zeros));
	assert_int_equal(zip_end(&few, &err), -EINVAL);
	assert_non_null(strstr(err.text, "unpacks to more"));
	zip_begin();
	for (char c = 'b'; c < 'g'; c++)
		zip_add((char[]){c, '\0'}, AE_IFREG, 0644, "", 0);
	assert_int_equal(zip_end(&few, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more than 3 entries"));
}

static void every_cut_is_survived(void **state)
{
	static const struct zipread_limits normal = {ZIPREAD_MAX_BYTES, ZIPREAD_MAX_ENTRIES};
	struct stk_err err;
	size_t full;

	zip_begin();
	zip_add("app.py", AE_IFREG, 0644, "some text some text some text", 29);
	assert_int_equal(zip_end(NULL, &err), 0);
	full = zip_len;
	for (size_t n = 0; n < full; n++) {
		fsx_remove_tree(dest);
		mkdir(dest, 0755);
		zipread_unpack_memory(zip, n, dest, &normal, &err); /* refused or what is there; no crash */
	}
	assert_int_equal(zipread_unpack_memory("hello", 5, dest, &normal, &err), -EINVAL);
	assert_int_equal(zipread_unpack_memory("", 0, dest, &normal, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_package, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_packages, setup, teardown),
		cmocka_unit_test_setup_teardown(no_way_through_links, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_file_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(bombs, setup, teardown),
		cmocka_unit_test_setup_teardown(every_cut_is_survived, setup, teardown),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
