/* Lists of a real stokerd, without KVM, page by page: each item once and in order, no more of them in a page than was asked
 * for, and a marker only where something follows that its receiver may see. */
#include "tests/unit/scheduler/host_fixture.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/store.h"
#include "tests/unit/unit.h"

#define FNS  "/2015-03-31/functions"
#define URLS "/2021-10-31/functions/f/urls"
#define PROV "/2019-09-30/functions/f/provisioned-concurrency?List=ALL"

static const struct host_who nobody;

static int setup(void **state)
{
	unit_time_limit(120);
	return host_make();
}

static int teardown(void **state)
{
	return host_remove();
}

/* $LATEST and so many published versions. */
static void add(const char *name, unsigned published)
{
	struct function fn = {.reserved = -1};
	struct store_tx *tx = store_tx_new();

	strcpy(fn.name, name);
	for (unsigned i = 0; i <= published; i++) {
		struct fn_version v = {.fn = &fn, .number = i + 1, .published = i, .state = FN_FAILED, .created_ms = 1};

		strcpy(v.settings.runtime, "python3");
		strcpy(v.settings.handler, "a.b");
		strcpy(v.revision, "00000000-0000-4000-8000-000000000001");
		v.settings.memory_mib = 128;
		v.settings.storage_mib = 512;
		v.settings.timeout_s = 3;
		store_tx_version(tx, &v);
	}
	store_tx_function(tx, &fn, 1, 0, published);
	host_commit(tx);
}

static json_t *get(const struct host_who *who, const char *path, int status)
{
	struct http_client_resp r;
	char header[128];
	json_t *o;

	if (who->id && strncmp(path, "/v1/", 4) == 0) {
		snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", who->token);
		assert_int_equal(host_request("GET", path, header, NULL, &r), 0);
	} else if (who->id) {
		assert_int_equal(host_request_signed("GET", path, who->id, who->secret, NULL, &r), 0);
	} else {
		assert_int_equal(host_request("GET", path, NULL, NULL, &r), 0);
	}
	o = json_loadb((char *)r.body, r.body_len, 0, NULL);
	if (r.status != status || !o)
		fail_msg("GET %s: %d, not %d: %s", path, r.status, status, (char *)r.body);
	http_client_resp_fini(&r);
	return o;
}

/* How an item is told from others. */
static void add_item(char *out, size_t cap, const json_t *item)
{
	static const char *const members[] = {"FunctionArn", "FunctionName", "name"};
	const char *text = NULL, *tail;
	size_t n = strlen(out);

	for (size_t i = 0; !text && i < STK_ARRAY_LEN(members); i++)
		text = json_string_value(json_object_get(item, members[i]));
	assert_non_null(text);
	tail = strstr(text, ":function:");
	snprintf(out + n, cap - n, "%s%s", n && out[n - 1] != '|' ? " " : "", tail ? tail + 10 : text);
}

/* All pages, from the first on, '|' between them. */
static const char *pages(const struct host_who *who, const char *path, const char *member, unsigned size)
{
	static char out[4096];
	bool plain = strncmp(path, "/v1/", 4) == 0;
	char query[1024], next[512] = "";

	*out = '\0';
	do {
		json_t *o, *array, *item;
		const char *marker;
		size_t i;

		snprintf(query, sizeof(query), "%s%c%s=%u%s%s", path, strchr(path, '?') ? '&' : '?', plain ? "limit" : "MaxItems",
			 size, !*next ? "" : plain ? "&after=" : "&Marker=", next);
		o = get(who, query, 200);
		array = json_object_get(o, member);
		assert_true(json_is_array(array));
		if (json_array_size(array) > size)
			fail_msg("%s: %zu items", query, json_array_size(array));
		if (*out)
			strcat(out, "|");
		json_array_foreach(array, i, item)
			add_item(out, sizeof(out), item);
		marker = json_string_value(json_object_get(o, plain ? "next" : "NextMarker"));
		snprintf(next, sizeof(next), "%s", marker ? marker : "");
		json_decref(o);
		assert_true(strlen(out) < sizeof(out) / 2);
	} while (*next);
	return out;
}

/* An item is a version there, and a page may end between two of a function. */
static void all_versions(void **state)
{
	static const char path[] = FNS "?FunctionVersion=ALL";
	char query[512], path_2[1024];
	json_t *o;

	add("f", 2);
	add("f-2", 0);
	add("g", 11);
	host_start(NULL);
	assert_string_equal(pages(&nobody, FNS, "Functions", 1), "f|f-2|g");
	assert_string_equal(pages(&nobody, FNS, "Functions", 3), "f f-2 g");
	assert_string_equal(pages(&nobody, path, "Functions", 1),
			    "f:$LATEST|f:1|f:2|f-2:$LATEST|g:$LATEST|g:1|g:2|g:3|g:4|g:5|g:6|g:7|g:8|g:9|g:10|g:11");
	assert_string_equal(pages(&nobody, path, "Functions", 4),
			    "f:$LATEST f:1 f:2 f-2:$LATEST|g:$LATEST g:1 g:2 g:3|g:4 g:5 g:6 g:7|g:8 g:9 g:10 g:11");
	assert_string_equal(pages(&nobody, path, "Functions", 50),
			    "f:$LATEST f:1 f:2 f-2:$LATEST g:$LATEST g:1 g:2 g:3 g:4 g:5 g:6 g:7 g:8 g:9 g:10 g:11");
	/* A marker stays good when what it names goes, and is for its own list only. */
	o = get(&nobody, FNS "?FunctionVersion=ALL&MaxItems=2", 200);
	snprintf(query, sizeof(query), "&Marker=%s", json_string_value(json_object_get(o, "NextMarker")));
	json_decref(o);
	snprintf(path_2, sizeof(path_2), FNS "?MaxItems=2%s", query);
	json_decref(get(&nobody, path_2, 400));
	snprintf(path_2, sizeof(path_2), FNS "?FunctionVersion=ALL&MaxItems=2%s", query);
	for (int i = 0; i < 2; i++) {
		struct http_client_resp r;
		char items[256] = "";
		json_t *item;
		size_t at;

		o = get(&nobody, path_2, 200);
		json_array_foreach(json_object_get(o, "Functions"), at, item)
			add_item(items, sizeof(items), item);
		json_decref(o);
		assert_string_equal(items, i ? "f-2:$LATEST g:$LATEST" : "f:2 f-2:$LATEST");
		assert_int_equal(host_request("DELETE", FNS "/f", NULL, NULL, &r), 0);
		assert_int_equal(r.status, i ? 404 : 204);
		http_client_resp_fini(&r);
	}
}

/* What belongs to others neither makes pages nor says that it is there. */
static void pages_of_tenants(void **state)
{
	add("a.bolt", 1);
	add("b.acme", 1);
	add("c", 0);
	add("c.acme", 0);
	add("c.bolt", 0);
	add("d.acme", 0);
	add("e.bolt", 2);
	host_start_tenants();
	assert_string_equal(pages(&host_acme, FNS, "Functions", 1), "b|c|d");
	assert_string_equal(pages(&host_acme, FNS, "Functions", 2), "b c|d");
	assert_string_equal(pages(&host_acme, FNS, "Functions", 3), "b c d");
	assert_string_equal(pages(&host_owner, FNS, "Functions", 1), "c");
	assert_string_equal(pages(&host_bolt, FNS, "Functions", 3), "a c e");
	assert_string_equal(pages(&host_acme, FNS "?FunctionVersion=ALL", "Functions", 2), "b:$LATEST b:1|c:$LATEST d:$LATEST");
	assert_string_equal(pages(&host_bolt, FNS "?FunctionVersion=ALL", "Functions", 5),
			    "a:$LATEST a:1 c:$LATEST e:$LATEST e:1|e:2");
	assert_string_equal(pages(&host_acme, "/v1/functions", "functions", 1), "b|c|d");
	assert_string_equal(pages(&host_acme, "/v1/functions", "functions", 3), "b c d");
	assert_string_equal(pages(&host_owner, "/v1/functions", "functions", 1), "c");
	assert_string_equal(pages(&host_bolt, "/v1/functions", "functions", 2), "a c|e");
}

/* Function URLs and provisioned concurrency, which are kept in the order in which they came. */
static void what_is_beside_functions(void **state)
{
	static const char *const aliases[] = {"green", "blue", "red"};
	struct store_tx *tx;

	add("f", 1);
	tx = store_tx_new();
	store_tx_note(tx, "f", "url", "", "{\"Iam\":true}");
	for (size_t i = 0; i < STK_ARRAY_LEN(aliases); i++) {
		struct fn_alias a = {.version = 0};

		strcpy(a.name, aliases[i]);
		strcpy(a.revision, "00000000-0000-4000-8000-000000000002");
		store_tx_alias(tx, "f", &a);
		store_tx_note(tx, "f", "url", aliases[i], "{\"Iam\":true}");
		store_tx_note(tx, "f", "provisioned", aliases[i], "{\"Requested\":1,\"ModifiedMs\":1}");
	}
	host_commit(tx);
	host_start(NULL);
	assert_string_equal(pages(&nobody, URLS, "FunctionUrlConfigs", 50), "f f:blue f:green f:red");
	assert_string_equal(pages(&nobody, URLS, "FunctionUrlConfigs", 2), "f f:blue|f:green f:red");
	assert_string_equal(pages(&nobody, URLS, "FunctionUrlConfigs", 1), "f|f:blue|f:green|f:red");
	assert_string_equal(pages(&nobody, PROV, "ProvisionedConcurrencyConfigs", 50), "f:blue f:green f:red");
	assert_string_equal(pages(&nobody, PROV, "ProvisionedConcurrencyConfigs", 3), "f:blue f:green f:red");
	assert_string_equal(pages(&nobody, PROV, "ProvisionedConcurrencyConfigs", 2), "f:blue f:green|f:red");
	json_decref(get(&nobody, URLS "?MaxItems=51", 400));
	json_decref(get(&nobody, URLS "?MaxItems=0", 400));
	json_decref(get(&nobody, URLS "?Marker=none", 400));
	json_decref(get(&nobody, PROV "&MaxItems=51", 400));
	json_decref(get(&nobody, PROV "&Marker=none", 400));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_versions, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_of_tenants, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_beside_functions, setup, teardown),
	};

	host_play(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
