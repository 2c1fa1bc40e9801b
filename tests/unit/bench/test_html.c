#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/html.h"
#include "bench/svg.h"

static struct report r;

static char *page(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	html_print(f, &r);
	fclose(f);
	assert_int_equal(strlen(text), len);
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

static int clear(void **state)
{
	for (unsigned i = 0; i < r.count; i++)
		result_fini(&r.scenarios[i].result);
	memset(&r, 0, sizeof(r));
	r.function = "hello";
	r.mode = "closed loop";
	return 0;
}

static void add(struct report_scenario *s, const char *start, uint64_t at_ns, uint64_t ns, const char *timing)
{
	struct result_check check = {0};
	struct client_result a = {.status = 200, .done_ns = at_ns + ns, .body = ""};

	strcpy(a.start, start);
	strcpy(a.server_timing, timing);
	result_add(&s->result, &check, &a, at_ns, 0);
}

static void text_cannot_leave_its_place(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	svg_text(f, "<a href=\"x\" id='y'>&amp;\n\xc3\xa9</a>");
	fclose(f);
	assert_string_equal(text, "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;???&lt;/a&gt;");
	free(text);
}

/* Every text that can come from outside. */
static void hostile_texts_stay_texts(void **state)
{
	static const char evil[] = "\"'><script>alert(1)</script>";
	struct result *res = &r.scenarios[0].result;
	char timing[80];
	char *text;

	r.count = 1;
	r.mode = r.function = evil;
	strcpy(r.scenarios[0].name, evil);
	snprintf(timing, sizeof(timing), "<script>;dur=1, \"'><img/>;dur=2");
	add(&r.scenarios[0], "warm", 1, 1000000, timing);
	assert_int_equal(res->stages.count, 2);
	strcpy(res->first_error, evil);
	strcpy(res->failures[0].name, evil);
	res->failure_count = 1;
	text = page();
	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, "<img"));
	assert_null(strstr(text, "'><"));
	assert_int_equal(count(text, "alert(1)"), 6); /* title, heading, mode, scenario, failure, error */
	assert_int_equal(count(text, "&lt;script&gt;"), 7);
	free(text);
}

static void nothing_is_fetched(void **state)
{
	char *text;

	r.count = 1;
	strcpy(r.scenarios[0].name, "warm");
	add(&r.scenarios[0], "warm", 1, 1000000, "total;dur=1");
	text = page();
	assert_null(strstr(text, "http:"));
	assert_null(strstr(text, "https:"));
	assert_null(strstr(text, "src="));
	assert_null(strstr(text, "url("));
	assert_non_null(strstr(text, "default-src 'none'"));
	free(text);
}

/* Numbers that spoil a diagram: none, one, all the same, zero, very far apart. */
static void diagrams_have_finite_numbers(void **state)
{
	static const uint64_t sets[][3] = {{0, 0, 0}, {5, 5, 5}, {1, 1000, UINT64_C(1) << 50}, {0, 1, 7}};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct report_scenario *s = &r.scenarios[i];

		strcpy(s->name, "any");
		s->open_loop = true;
		for (unsigned k = 0; k < 3; k++)
			add(s, k ? "warm" : "cold-boot", k * 1000000000, sets[i][k], k ? "total;dur=0" : "start;dur=5");
	}
	strcpy(r.scenarios[4].name, "none");
	strcpy(r.scenarios[5].name, "failures only");
	result_unsent(&r.scenarios[5].result, 5, 0);
	r.count = 6;
	char *text = page();

	assert_null(strstr(text, "nan"));
	assert_null(strstr(text, "inf\""));
	assert_null(strstr(text, "inf,"));
	assert_int_equal(count(text, "<svg"), 4 * 3 + 1);
	assert_int_equal(count(text, "</svg>"), 4 * 3 + 1);
	assert_int_equal(count(text, "<h2>"), 6);
	assert_int_equal(count(text, ">cold-boot</text>"), 4);
	assert_int_equal(count(text, "1 failed</title>"), 1);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text_cannot_leave_its_place, clear, clear),
		cmocka_unit_test_setup_teardown(hostile_texts_stay_texts, clear, clear),
		cmocka_unit_test_setup_teardown(nothing_is_fetched, clear, clear),
		cmocka_unit_test_setup_teardown(diagrams_have_finite_numbers, clear, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
