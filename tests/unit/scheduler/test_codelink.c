/* Links to stored code: good for what they were made for, for ten minutes. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "scheduler/codelink.h"

#define NOW 1700000000

static struct codelink keys;

/* The query of a link to "f.acme", 12, made at NOW. */
static char *made(void)
{
	static char link[CODELINK_MAX];
	const char *form = "/v1/code/f.acme/12?";

	assert_int_equal(codelink_make(&keys, "f.acme", 12, NOW, link), 0);
	if (strncmp(link, form, strlen(form)) != 0)
		fail_msg("%s", link);
	return link + strlen(form);
}

static bool good(const char *query)
{
	return codelink_good(&keys, "f.acme", 12, query, NOW);
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
	assert_false(codelink_good(&keys, "f", 12, query, NOW));
	assert_false(codelink_good(&keys, "f.bolt", 12, query, NOW));
	assert_false(codelink_good(&keys, "f.acme", 1, query, NOW));
	assert_false(codelink_good(&keys, "f.acme", 122, query, NOW));
	assert_int_equal(codelink_init(&other), 0);
	assert_false(codelink_good(&other, "f.acme", 12, query, NOW));
}

static void how_long(void **state)
{
	const char *query = made();

	assert_true(codelink_good(&keys, "f.acme", 12, query, NOW + CODELINK_LIFE_S - 1));
	assert_false(codelink_good(&keys, "f.acme", 12, query, NOW + CODELINK_LIFE_S));
	assert_false(codelink_good(&keys, "f.acme", 12, query, NOW + 86400));
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
	assert_int_not_equal(codelink_make(&keys, name, 1, NOW, link), 0);
	assert_false(codelink_good(&keys, name, 1, made(), NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_is_for), cmocka_unit_test(how_long), cmocka_unit_test(changed),
		cmocka_unit_test(names_that_are_too_long),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, setup, NULL);
}
