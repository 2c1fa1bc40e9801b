/* Links to stored packages: good for what they were made for, for ten minutes. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "scheduler/codelink.h"

#define NOW  1700000000
#define PATH "/v1/code/f.acme/12"

static struct codelink keys;

/* The query of a link to PATH, made at NOW. */
static char *made(void)
{
	static char link[CODELINK_MAX];

	assert_int_equal(codelink_make(&keys, PATH, NOW, link), 0);
	if (strncmp(link, PATH "?", strlen(PATH "?")) != 0)
		fail_msg("%s", link);
	return link + strlen(PATH "?");
}

static bool good(const char *query)
{
	return codelink_good(&keys, PATH, query, NOW);
}

static void paths(void **state)
{
	char path[CODELINK_MAX];

	assert_int_equal(codelink_of_function("f.acme", 12, path), 0);
	assert_string_equal(path, PATH);
	assert_int_equal(codelink_of_layer("l.acme", 3, path), 0);
	assert_string_equal(path, "/v1/layers/l.acme/3/code");
}

static int setup(void **state)
{
	return codelink_init(&keys);
}

static void what_it_is_for(void **state)
{
	const char *query = made();
	struct codelink other;

	assert_true(good(query));
	assert_true(good(query));
	assert_false(codelink_good(&keys, "/v1/code/f/12", query, NOW));
	assert_false(codelink_good(&keys, "/v1/code/f.bolt/12", query, NOW));
	assert_false(codelink_good(&keys, "/v1/code/f.acme/1", query, NOW));
	assert_false(codelink_good(&keys, "/v1/code/f.acme/122", query, NOW));
	assert_false(codelink_good(&keys, "/v1/layers/f.acme/12/code", query, NOW));
	assert_int_equal(codelink_init(&other), 0);
	assert_false(codelink_good(&other, PATH, query, NOW));
}

static void how_long(void **state)
{
	const char *query = made();

	assert_true(codelink_good(&keys, PATH, query, NOW + CODELINK_LIFE_S - 1));
	assert_false(codelink_good(&keys, PATH, query, NOW + CODELINK_LIFE_S));
	assert_false(codelink_good(&keys, PATH, query, NOW + 86400));
}

static void changed(void **state)
{
	char *query = made(), more[CODELINK_MAX + 32];

	for (size_t i = 0; query[i]; i++) {
		char kept = query[i];

		query[i] = kept == '1' ? '2' : '1';
		if (good(query))
			fail_msg("%s", query);
		query[i] = '\0';
		if (good(query))
			fail_msg("%s", query);
		query[i] = kept;
	}
	snprintf(more, sizeof(more), "%s&expires=1800000000", query);
	assert_false(good(more));
	snprintf(more, sizeof(more), "%s0", query);
	assert_false(good(more));
	snprintf(more, sizeof(more), "%s&x=y", query);
	assert_false(good(more));
	assert_false(good("expires=99999999999999999999999&sig=0"));
	assert_false(good("expires=-1&sig="));
	assert_false(good("expires=%zz"));
	assert_true(good(query));
}

static void names_that_are_too_long(void **state)
{
	char name[CODELINK_MAX + 1], link[CODELINK_MAX];

	memset(name, 'x', CODELINK_MAX);
	name[CODELINK_MAX] = '\0';
	assert_int_not_equal(codelink_of_function(name, 1, link), 0);
	assert_int_not_equal(codelink_make(&keys, name, NOW, link), 0);
	assert_false(codelink_good(&keys, name, made(), NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths), cmocka_unit_test(what_it_is_for), cmocka_unit_test(how_long), cmocka_unit_test(changed),
		cmocka_unit_test(names_that_are_too_long),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, setup, NULL);
}
