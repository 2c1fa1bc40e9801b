/* Layers on disk: numbers, what is refused, and how they are merged. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
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
#include "scheduler/layers.h"

static char state_dir[64], zip[96], work[96], own[96], dest[96];

static int set_up(void **state)
{
	strcpy(state_dir, "/tmp/test_layers.XXXXXX");
	if (!mkdtemp(state_dir))
		return -1;
	snprintf(zip, sizeof(zip), "%s/new.zip", state_dir);
	snprintf(work, sizeof(work), "%s/work", state_dir);
	snprintf(own, sizeof(own), "%s/own", state_dir);
	snprintf(dest, sizeof(dest), "%s/dest", state_dir);
	return mkdir(dest, 0755);
}

static int tear_down(void **state)
{
	return fsx_remove_tree(state_dir);
}

/* "name=text", "name->target" */
static void add(struct archive *ar, const char *what)
{
	struct archive_entry *e = archive_entry_new();
	const char *link = strstr(what, "->"), *text = strchr(what, '=');
	char name[128];

	snprintf(name, sizeof(name), "%.*s", (int)((link ? link : text) - what), what);
	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, link ? AE_IFLNK : AE_IFREG);
	archive_entry_set_perm(e, 0644);
	if (link)
		archive_entry_set_symlink(e, link + 2);
	else
		archive_entry_set_size(e, (la_int64_t)strlen(text + 1));
	assert_int_equal(archive_write_header(ar, e), ARCHIVE_OK);
	if (!link)
		archive_write_data(ar, text + 1, strlen(text + 1));
	archive_entry_free(e);
}

/* Publishes a layer with these files (NULL at the end); its version, or the error. */
static int publish(const char *name, struct stk_err *err, ...)
{
	struct archive *ar = archive_write_new();
	unsigned version;
	const char *what;
	va_list ap;
	int rc;

	archive_write_set_format_zip(ar);
	assert_int_equal(archive_write_open_filename(ar, zip), ARCHIVE_OK);
	va_start(ap, err);
	while ((what = va_arg(ap, const char *)))
		add(ar, what);
	va_end(ap);
	archive_write_close(ar);
	archive_write_free(ar);
	fsx_remove_tree(work);
	assert_int_equal(mkdir(work, 0755), 0);
	rc = layers_publish(state_dir, name, zip, work, NULL, &version, err);
	return rc ? rc : (int)version;
}

static int merge(unsigned count, const struct fn_layer *list, struct zipread_limits limits, struct stk_err *err)
{
	fsx_remove_tree(work);
	assert_int_equal(mkdir(work, 0755), 0);
	fsx_remove_tree(own);
	assert_int_equal(mkdir(own, 0755), 0);
	assert_int_equal(layers_take(state_dir, list, count, own, err), 0);
	return layers_unpack(own, list, count, work, dest, &limits, err);
}

static void holds(const char *leaf, const char *text)
{
	char path[256], got[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dest, leaf);
	f = fopen(path, "r");
	if (!f)
		fail_msg("no %s", leaf);
	assert_true(fgets(got, sizeof(got), f) || feof(f));
	fclose(f);
	assert_string_equal(got, text);
}

static const struct zipread_limits all = ZIPREAD_LIMITS;

static void names_and_arns_are_read(void **state)
{
	struct stk_err err;
	struct fn_layer l;

	assert_int_equal(layers_parse("tools:7", NULL, &l, &err), 0);
	assert_string_equal(l.name, "tools");
	assert_int_equal(l.version, 7);
	assert_int_equal(layers_parse("arn:7", NULL, &l, &err), 0);
	assert_string_equal(l.name, "arn");
	assert_int_equal(layers_parse("tools.acme:7", "000000000000", &l, &err), 0);
	assert_string_equal(l.name, "tools.acme");
	assert_int_equal(layers_parse("arn:aws:lambda:us-east-1:111122223333:layer:my-tools_2:12", "111122223333", &l, &err), 0);
	assert_string_equal(l.name, "my-tools_2");
	assert_int_equal(l.version, 12);
	assert_int_equal(layers_parse("arn:aws:lambda:us-east-1:111122223333:layer:my-tools_2:12", "000000000000", &l, &err),
			 -EACCES);
	assert_string_equal(err.text,
			    "layer: \"arn:aws:lambda:us-east-1:111122223333:layer:my-tools_2:12\" belongs to another account");
	assert_int_equal(layers_parse("arn:aws:lambda:us-east-1:111122223333:layer:my-tools_2:12", NULL, &l, &err), -EINVAL);

	static const char *const bad[] = {"", "tools", "tools:", "tools:0", "tools:x", ":1", "../x:1", "a/b:1", "tools:1:2",
					  "tools:-1", "tools:9999999999", "arn:aws:lambda:us-east-1:000000000000:layer:t:0",
					  "arn:aws:lambda:us-east-1:000000000000:layer:t:9999999999",
					  "arn:aws:lambda:eu-west-1:000000000000:layer:t:1",
					  "arn:aws:lambda:us-east-1:000000000000:layer:t.acme:1", "arn:layer:t:1",
					  "arn:aws:lambda:us-east-1:0:function:f:1",
					  "0123456789012345678901234567890123456789012345678901234567890123x:1"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (layers_parse(bad[i], "000000000000", &l, &err) != -EINVAL)
			fail_msg("\"%s\" is taken", bad[i]);
	}
}

static void versions_are_counted_and_numbers_not_used_twice(void **state)
{
	struct fn_layer two = {"tools", 2, 0};
	struct stk_err err = {0};
	unsigned newest;

	assert_int_equal(layers_newest(state_dir, "tools", &newest), 0);
	assert_int_equal(newest, 0);
	assert_int_equal(publish("tools", &err, "a=1", NULL), 1);
	assert_int_equal(publish("tools", &err, "a=2", NULL), 2);
	assert_int_equal(publish("other", &err, "a=3", NULL), 1);
	assert_int_equal(access(zip, F_OK), -1); /* taken over */
	assert_int_equal(layers_check(state_dir, &two, 1, &err), 0);
	assert_int_equal(layers_delete(state_dir, &two, &err), 0);
	assert_int_equal(layers_delete(state_dir, &two, &err), -ENOENT);
	assert_int_equal(layers_check(state_dir, &two, 1, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no version 2 of \"tools\""));
	assert_int_equal(publish("tools", &err, "a=4", NULL), 3);
}

static void what_cannot_be_unpacked_is_not_published(void **state)
{
	struct stk_err err = {0};
	unsigned newest;

	assert_int_equal(publish("tools", &err, "../a=1", NULL), -EINVAL);
	assert_int_equal(publish("tools", &err, NULL), -EINVAL);
	assert_int_equal(publish("tools", &err, "a->/etc/passwd", NULL), -EINVAL);
	assert_int_equal(layers_newest(state_dir, "tools", &newest), 0);
	assert_int_equal(newest, 0);
}

static void later_layers_come_over_earlier_ones(void **state)
{
	static const struct fn_layer list[] = {{"one", 1, 0}, {"two", 1, 0}, {"three", 1, 0}};
	struct stk_err err = {0};

	assert_int_equal(publish("one", &err, "bin/tool=old", "lib/x/deep=1", "keep=1", "link->keep", NULL), 1);
	assert_int_equal(publish("two", &err, "bin/tool=new", "lib/x/more=2", "link=now a file", NULL), 1);
	assert_int_equal(publish("three", &err, "lib/y->x", "keep->bin/tool", NULL), 1);
	if (merge(3, list, all, &err))
		fail_msg("%s", err.text);
	holds("bin/tool", "new");
	holds("lib/x/deep", "1");
	holds("lib/x/more", "2");
	holds("link", "now a file");
	holds("lib/y/deep", "1");
	holds("keep", "new");
}

static void links_lead_no_layer_elsewhere(void **state)
{
	static const struct fn_layer list[] = {{"one", 1, 0}, {"two", 1, 0}}, turned[] = {{"two", 1, 0}, {"one", 1, 0}};
	struct stk_err err = {0};

	assert_int_equal(publish("one", &err, "real/a=1", "d->real", NULL), 1);
	assert_int_equal(publish("two", &err, "d/a=2", NULL), 1);
	assert_int_equal(merge(2, list, all, &err), -EINVAL);
	assert_non_null(strstr(err.text, "layer two:1: \"d\" is a folder in one layer and none in another"));
	holds("real/a", "1");
	fsx_remove_tree(dest);
	assert_int_equal(mkdir(dest, 0755), 0);
	assert_int_equal(merge(2, turned, all, &err), -EINVAL);
	assert_non_null(strstr(err.text, "layer one:1: \"d\""));
}

static void a_function_keeps_what_it_was_made_from(void **state)
{
	static const struct fn_layer list[] = {{"one", 1, 0}};
	struct stk_err err = {0};
	char again[128];

	assert_int_equal(publish("one", &err, "a=1", NULL), 1);
	assert_int_equal(merge(1, list, all, &err), 0);
	assert_int_equal(layers_delete(state_dir, &list[0], &err), 0);
	fsx_remove_tree(dest);
	assert_int_equal(mkdir(dest, 0755), 0);
	snprintf(again, sizeof(again), "%s/again", state_dir);
	assert_int_equal(mkdir(again, 0755), 0);
	assert_int_equal(layers_copy(own, again, 1), 0);
	assert_int_equal(layers_take(state_dir, list, 1, again, &err), 0);
	fsx_remove_tree(work);
	assert_int_equal(mkdir(work, 0755), 0);
	assert_int_equal(layers_unpack(again, list, 1, work, dest, &(struct zipread_limits)ZIPREAD_LIMITS, &err), 0);
	holds("a", "1");
	fsx_remove_tree(again);
	assert_int_equal(mkdir(again, 0755), 0);
	assert_int_equal(layers_take(state_dir, list, 1, again, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no version 1 of \"one\""));
}

static void all_of_them_have_one_limit(void **state)
{
	static const struct fn_layer list[] = {{"one", 1, 0}, {"two", 1, 0}};
	struct stk_err err = {0};

	assert_int_equal(publish("one", &err, "a=0123456789", NULL), 1);
	assert_int_equal(publish("two", &err, "b=0123456789", NULL), 1);
	assert_int_equal(merge(2, list, (struct zipread_limits){20, 2}, &err), 0);
	fsx_remove_tree(dest);
	assert_int_equal(mkdir(dest, 0755), 0);
	assert_int_equal(merge(2, list, (struct zipread_limits){19, 2}, &err), -EINVAL);
	assert_non_null(strstr(err.text, "layer two:1: "));
	fsx_remove_tree(dest);
	assert_int_equal(mkdir(dest, 0755), 0);
	assert_int_equal(merge(2, list, (struct zipread_limits){1000, 1}, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_and_arns_are_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(versions_are_counted_and_numbers_not_used_twice, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_unpacked_is_not_published, set_up, tear_down),
		cmocka_unit_test_setup_teardown(later_layers_come_over_earlier_ones, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_lead_no_layer_elsewhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_function_keeps_what_it_was_made_from, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_of_them_have_one_limit, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
