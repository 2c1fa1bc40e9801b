/* Which names a function may give as its runtime, and what the others are told. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "scheduler/fsx.h"
#include "scheduler/runtimes.h"

static char dir[64];

static void put(const char *leaf, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, leaf);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	strcpy(dir, "/tmp/test_runtimes.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	return fsx_remove_tree(dir);
}

static void refused(const struct runtimes *r, const char *name, const char *hint)
{
	struct stk_err err = {0};

	assert_int_equal(runtimes_check(r, name, &err), -EINVAL);
	if (!strstr(err.text, hint))
		fail_msg("\"%s\" does not say \"%s\"", err.text, hint);
}

static void taken(const struct runtimes *r, const char *name, const char *image, const char *full)
{
	struct stk_err err = {0};
	char text[64];

	if (runtimes_check(r, name, &err))
		fail_msg("%s: %s", name, err.text);
	assert_string_equal(runtimes_image(name), image);
	assert_int_equal(runtimes_full_name(r, name, text, sizeof(text)), 0);
	assert_string_equal(text, full);
}

static void names_with_the_image_s_version_are_taken(void **state)
{
	struct runtimes r;

	put("provided.img", "");
	put("python3.img", "");
	put("python3.version", "3.11\n");
	put("nodejs.img", "");
	put("nodejs.version", "18\n");
	runtimes_load(&r, dir);
	taken(&r, "provided", "provided", "provided");
	taken(&r, "provided.al2", "provided", "provided.al2");
	taken(&r, "provided.al2023", "provided", "provided.al2023");
	taken(&r, "python3", "python3", "python3.11");
	taken(&r, "python3.11", "python3", "python3.11");
	taken(&r, "nodejs", "nodejs", "nodejs18.x");
	taken(&r, "nodejs18", "nodejs", "nodejs18.x");
	taken(&r, "nodejs18.x", "nodejs", "nodejs18.x");
}

static void other_versions_are_told_which_to_use(void **state)
{
	struct runtimes r;

	put("python3.img", "");
	put("python3.version", "3.11\n");
	put("nodejs.img", "");
	put("nodejs.version", "18\n");
	runtimes_load(&r, dir);
	refused(&r, "python3.12", "use \"python3.11\"");
	refused(&r, "python3.9", "use \"python3.11\"");
	refused(&r, "python3.1", "use \"python3.11\"");
	refused(&r, "python2.7", "use \"python3.11\"");
	refused(&r, "nodejs20.x", "use \"nodejs18.x\"");
	refused(&r, "nodejs20", "use \"nodejs18.x\"");
	refused(&r, "nodejs1", "use \"nodejs18.x\"");
}

static void what_is_not_there_is_refused_with_the_list(void **state)
{
	struct runtimes r;

	put("provided.img", "");
	put("python3.img", "");
	put("scratch.img", "");
	put("own-kind.img", "");
	runtimes_load(&r, dir);
	refused(&r, "java21", "it has provided, provided.al2, provided.al2023, python3");
	refused(&r, "nodejs", "does not exist on this host");
	refused(&r, "scratch", "does not exist on this host");
	refused(&r, "../provided", "does not exist on this host");
	refused(&r, "nodejs18.xx", "does not exist on this host");
	refused(&r, "python3.11", "use \"python3\""); /* no file that says which it is */
	taken(&r, "python3", "python3", "python3");
	taken(&r, "own-kind", "own-kind", "own-kind");
}

static void versions_that_are_none_are_not_read(void **state)
{
	struct runtimes r;

	put("python3.img", "");
	put("python3.version", "3.11; rm\n");
	put("nodejs.img", "");
	put("nodejs.version", "");
	runtimes_load(&r, dir);
	taken(&r, "python3", "python3", "python3");
	taken(&r, "nodejs", "nodejs", "nodejs");
	put("python3.version", "3.11.1234567890123456789\n");
	runtimes_load(&r, dir);
	taken(&r, "python3", "python3", "python3");
}

static void the_list_shows_what_is_there(void **state)
{
	struct runtimes r;
	json_t *all, *one;

	put("provided.img", "");
	put("nodejs.img", "");
	put("nodejs.version", "18\n");
	runtimes_load(&r, dir);
	all = runtimes_describe(&r);
	assert_int_equal(json_array_size(all), 2);
	one = json_array_get(all, 1);
	assert_string_equal(json_string_value(json_object_get(one, "version")), "18");
	one = json_object_get(one, "names");
	assert_int_equal(json_array_size(one), 3);
	assert_string_equal(json_string_value(json_array_get(one, 2)), "nodejs18.x");
	json_decref(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_with_the_image_s_version_are_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_versions_are_told_which_to_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_refused_with_the_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(versions_that_are_none_are_not_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_list_shows_what_is_there, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
