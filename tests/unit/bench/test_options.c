/* Options that decide each other. */
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench/options.h"

static struct options o;

static int parse(const char *line)
{
	static char copy[300];
	char *argv[20] = {"stoker-bench"};
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word && argc < 19; word = strtok(NULL, " "))
		argv[argc++] = word;
	options_fini(&o);
	memset(&o, 0, sizeof(o));
	optind = 0; /* glibc: start again */
	return options_parse(&o, argc, argv);
}

static int clear(void **state)
{
	options_fini(&o);
	return 0;
}

static void a_closed_loop_is_the_default(void **state)
{
	assert_int_equal(parse("hello"), 0);
	assert_false(o.open_loop);
	assert_int_equal(o.connections, 1);
	assert_int_equal(o.requests, 100);
	assert_int_equal(o.warmup, 1);
	assert_string_equal(o.event, "{}");
	assert_int_equal(parse("-c 7 -n 5 --event 1 hello"), 0);
	assert_int_equal(o.connections, 7);
	assert_int_equal(o.requests, 5);
	assert_string_equal(o.event, "1");
}

static void a_rate_or_arrivals_open_the_loop(void **state)
{
	assert_int_equal(parse("--rate 20 hello"), 0);
	assert_true(o.open_loop);
	assert_int_equal(o.arrivals.kind, ARRIVALS_CONSTANT);
	assert_int_equal(o.connections, 256);
	assert_int_equal(parse("--arrivals poisson --rate 20 --seed 5 hello"), 0);
	assert_int_equal(o.arrivals.kind, ARRIVALS_POISSON);
	assert_int_equal(o.arrivals.seed, 5);
	assert_int_equal(o.requests, 100);
	assert_int_equal(parse("--arrivals step:5@10 hello"), 0);
	assert_int_equal(o.requests, 0); /* it ends by itself */
	assert_int_equal(parse("--arrivals step:5@10 -n 3 hello"), 0);
	assert_int_equal(o.requests, 3);
	assert_int_equal(parse("--arrivals burst:5@10 hello"), 0);
	assert_int_equal(o.requests, 100);
}

static void a_search_has_steps_of_its_own(void **state)
{
	assert_int_equal(parse("--saturate hello"), 0);
	assert_false(o.open_loop);
	assert_int_equal(o.duration_s, 5);
	assert_int_equal(o.requests, 0);
	assert_int_equal(o.connections, 256);
	assert_int_equal(parse("--saturate --arrivals poisson --duration 9 -c 8 hello"), 0);
	assert_int_equal(o.arrivals.kind, ARRIVALS_POISSON);
	assert_int_equal(o.duration_s, 9);
	assert_int_equal(o.connections, 8);
}

static void what_does_not_fit_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "hello world", "no/name", "--rate 0 hello", "--rate -1 hello", "--rate nan hello", "--rate inf hello",
		"--rate 1e7 hello", "--rate 5x hello", "-n -1 hello", "-n 0 hello", "-n 0 --rate 5 hello",
		"-n 0 --arrivals burst:5@1 hello", "--arrivals poisson hello", "--arrivals step:5@1 --rate 5 hello",
		"--arrivals tide hello", "--saturate --rate 5 hello", "--saturate -n 5 hello",
		"--saturate --scenario warm,cold-boot hello", "--saturate --arrivals step:5@1 hello", "--seed x --rate 5 hello",
		"--compare a.json", "--compare a.json b.json c.json", "--no-such-option hello",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(parse(bad[i]) < 0);
	assert_int_equal(parse("--compare a.json b.json"), 0);
	assert_string_equal(o.compare_b, "b.json");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_closed_loop_is_the_default, clear),
		cmocka_unit_test_teardown(a_rate_or_arrivals_open_the_loop, clear),
		cmocka_unit_test_teardown(a_search_has_steps_of_its_own, clear),
		cmocka_unit_test_teardown(what_does_not_fit_is_refused, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
