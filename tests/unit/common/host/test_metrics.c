/* Metrics as Prometheus reads them. */
#include "common/host/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static void test_text(void **state)
{
	struct metrics *m = metrics_new();
	struct metrics_series *a, *b, *g;
	char *text;
	size_t len;

	a = metrics_get(m, METRICS_COUNTER, "x_requests_total", "Requests \\ so far.", "code=\"200\"");
	b = metrics_get(m, METRICS_COUNTER, "x_requests_total", "Requests \\ so far.", "code=\"500\"");
	g = metrics_get(m, METRICS_GAUGE, "x_warm", "Warm VMs.", "");
	assert_ptr_equal(a, metrics_get(m, METRICS_COUNTER, "x_requests_total", "", "code=\"200\""));
	assert_true(a != b);
	metrics_add(a, 1);
	metrics_add(a, 12345678901.0);
	metrics_set(g, 5);
	metrics_add(g, -2.5);
	text = metrics_text(m, &len);
	assert_string_equal(text, "# HELP x_requests_total Requests \\\\ so far.\n"
				  "# TYPE x_requests_total counter\n"
				  "x_requests_total{code=\"200\"} 12345678902\n"
				  "x_requests_total{code=\"500\"} 0\n"
				  "# HELP x_warm Warm VMs.\n"
				  "# TYPE x_warm gauge\n"
				  "x_warm 2.5\n");
	assert_int_equal(len, strlen(text));
	free(text);
	metrics_free(m);
	metrics_free(NULL);
}

/* In pieces of any size the text is the same as in one. */
static void test_pieces(void **state)
{
	struct metrics *m = metrics_new();
	char labels[32], *whole;
	size_t len;

	for (unsigned i = 0; i < 300; i++) {
		snprintf(labels, sizeof(labels), "n=\"%u\"", i);
		metrics_add(metrics_get(m, METRICS_COUNTER, "x_total", "X.", labels), i);
		metrics_observe(metrics_get(m, METRICS_HISTOGRAM, "x_seconds", "S.", labels), i);
	}
	whole = metrics_text(m, &len);
	for (unsigned lines = 1; lines < 10000; lines = lines * 3 + 1) {
		struct metrics_walk walk = {0};
		char *text = NULL;
		size_t text_len = 0;
		FILE *out = open_memstream(&text, &text_len);
		unsigned pieces = 1;

		while (metrics_walk(m, &walk, lines, out))
			pieces++;
		fclose(out);
		assert_string_equal(text, whole);
		assert_true(lines > 7200 ? pieces == 1 : pieces > 1);
		free(text);
	}
	free(whole);
	metrics_free(m);
}

static void test_histogram(void **state)
{
	struct metrics *m = metrics_new();
	struct metrics_series *h = metrics_get(m, METRICS_HISTOGRAM, "x_seconds", "Time.", "f=\"a\"");
	char *text;
	size_t len;

	metrics_observe(h, 0);
	metrics_observe(h, 50e-6); /* a bound belongs to its bucket */
	metrics_observe(h, 0.0015);
	metrics_observe(h, 1000);
	text = metrics_text(m, &len);
	assert_non_null(strstr(text, "x_seconds_bucket{f=\"a\",le=\"5e-05\"} 2\n"));
	assert_non_null(strstr(text, "x_seconds_bucket{f=\"a\",le=\"0.001\"} 2\n"));
	assert_non_null(strstr(text, "x_seconds_bucket{f=\"a\",le=\"0.002\"} 3\n"));
	assert_non_null(strstr(text, "x_seconds_bucket{f=\"a\",le=\"60\"} 3\n"));
	assert_non_null(strstr(text, "x_seconds_bucket{f=\"a\",le=\"+Inf\"} 4\n"));
	assert_non_null(strstr(text, "x_seconds_sum{f=\"a\"} 1000.00155\n"));
	assert_non_null(strstr(text, "x_seconds_count{f=\"a\"} 4\n"));
	free(text);
	metrics_free(m);
}

static void test_escape(void **state)
{
	char out[16];

	metrics_escape("a\"b\\c\nd", out, sizeof(out));
	assert_string_equal(out, "a\\\"b\\\\c\\nd");
	metrics_escape("\"\"\"\"\"\"\"\"\"\"", out, 6); /* an escape is never cut in half */
	assert_string_equal(out, "\\\"\\\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_escape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
