/* stoker list, show, delete */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/cli/cli.h"

#define TIMEOUT_MS 30000

static void print_body(const struct http_client_resp *r)
{
	fwrite(r->body, 1, r->body_len, stdout);
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static void print_row(const json_t *f)
{
	const json_t *pool = json_object_get(f, "pool");

	printf("%-24s %7lld %-10s %-20s %6lld %6llds %-10s %4lld %4lld\n", text(f, "name"),
	       (long long)json_integer_value(json_object_get(f, "version")), text(f, "runtime"),
	       text(f, "handler"), (long long)json_integer_value(json_object_get(f, "memory")),
	       (long long)json_integer_value(json_object_get(f, "timeout")), text(f, "state"),
	       (long long)json_integer_value(json_object_get(pool, "warm")),
	       (long long)json_integer_value(json_object_get(pool, "busy")));
}

/* Adds one page to list. ret_next: the query of the page behind it, "" at the end. */
static int get_page(struct cli *c, json_t *list, char *next, size_t cap)
{
	struct http_client_resp r = {0};
	const char *name;
	json_t *root, *page;
	char path[256];
	int rc;

	snprintf(path, sizeof(path), "/v1/functions%s", next);
	rc = cli_request(c, "GET", path, NULL, NULL, 0, TIMEOUT_MS, &r);
	if (rc == 0 && r.status != 200)
		rc = cli_refused(&r);
	root = rc == 0 ? json_loadb((const char *)r.body, r.body_len, 0, NULL) : NULL;
	page = json_object_get(root, "functions");
	if (rc == 0 && (!json_is_array(page) || json_array_extend(list, page))) {
		fprintf(stderr, "stoker: the host's answer is not understood\n");
		rc = CLI_FAILED;
	}
	name = json_string_value(json_object_get(root, "next"));
	snprintf(next, cap, "%s%s", name ? "?after=" : "", name ? name : "");
	json_decref(root);
	http_client_resp_fini(&r);
	return rc;
}

int cmd_list(struct cli *c)
{
	struct cli_option o[] = {{"!json", NULL}};
	json_t *list = json_array(), *f, *all;
	char next[200] = "";
	size_t i;
	int rc = cli_options(c, o, 1, NULL, NULL);

	if (rc == 0 && c->argc != 0)
		rc = cli_usage("list takes no name (see stoker show)");
	if (rc == 0) {
		do
			rc = get_page(c, list, next, sizeof(next));
		while (rc == 0 && *next);
	}
	if (rc == 0 && o[0].value) {
		all = json_pack("{s:O}", "functions", list);
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(all);
	} else if (rc == 0) {
		printf("%-24s %7s %-10s %-20s %6s %7s %-10s %4s %4s\n", "NAME", "VERSION", "RUNTIME", "HANDLER", "MEMORY",
		       "TIMEOUT", "STATE", "WARM", "BUSY");
		json_array_foreach(list, i, f)
			print_row(f);
	}
	json_decref(list);
	return rc;
}

/* One request on /v1/functions/NAME<rest>; prints the body of a 200. */
static int on_function(struct cli *c, const char *method, const char *rest)
{
	struct http_client_resp r = {0};
	char path[256];
	int rc;

	if (c->argc != 1)
		return cli_usage("this command needs exactly one function name");
	if (!stk_name_valid(c->argv[0]))
		return cli_usage("a function's name is 1 to 64 letters, digits, - or _");
	if (stk_snprintf(path, sizeof(path), "/v1/functions/%s%s", c->argv[0], rest))
		return CLI_USAGE;
	rc = cli_request(c, method, path, NULL, NULL, 0, TIMEOUT_MS, &r);
	if (rc == 0 && r.status != 200 && r.status != 204)
		rc = cli_refused(&r);
	else if (rc == 0)
		print_body(&r);
	http_client_resp_fini(&r);
	return rc;
}

int cmd_show(struct cli *c)
{
	int rc = cli_options(c, NULL, 0, NULL, NULL);

	return rc ? rc : on_function(c, "GET", "");
}

int cmd_delete(struct cli *c)
{
	int rc = cli_options(c, NULL, 0, NULL, NULL);

	return rc ? rc : on_function(c, "DELETE", "");
}
