/* stoker logs */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/cli/cli.h"

#define TIMEOUT_MS 30000
#define LINE_MAX_LEN 65536u

/* Lines are written whole and at once: who ends us in between has no half ones. */
struct output {
	char *buf; /* heap, LINE_MAX_LEN */
	size_t len;
};

static int write_lines(void *ctx, const void *data, size_t len)
{
	struct output *o = ctx;
	const char *p = data;
	int rc = 0;

	while (rc == 0 && len) {
		size_t room = LINE_MAX_LEN - o->len, n = len < room ? len : room, whole;
		const char *nl;

		memcpy(o->buf + o->len, p, n);
		o->len += n;
		p += n;
		len -= n;
		nl = memrchr(o->buf, '\n', o->len);
		whole = nl ? (size_t)(nl - o->buf) + 1 : o->len == LINE_MAX_LEN ? o->len : 0;
		rc = stk_write_full(STDOUT_FILENO, o->buf, whole);
		o->len -= whole;
		memmove(o->buf, o->buf + whole, o->len);
	}
	return rc;
}

/* Short names as they are known from tail. */
static void long_names(struct cli *c)
{
	static char follow[] = "--follow", lines[] = "--lines";

	for (int i = 0; i < c->argc; i++) {
		if (strcmp(c->argv[i], "-f") == 0)
			c->argv[i] = follow;
		else if (strcmp(c->argv[i], "-n") == 0)
			c->argv[i] = lines;
	}
}

static int append_option(char **path, const char *name, const char *value)
{
	int rc;

	if (!value)
		return 0;
	rc = cli_append(path, strchr(*path, '?') ? "&" : "?");
	rc = rc ? rc : cli_append(path, name);
	rc = rc ? rc : cli_append(path, "=");
	return rc ? rc : cli_append_encoded(path, value);
}

/* The host has ended what does not end by itself. */
static int say_why(struct cli *c, const char *name)
{
	struct http_client_resp r = {0};
	stk_autofree char *path = NULL;
	char bare[256];

	fprintf(stderr, "stoker: %s: the host has ended the log\n", name);
	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(name, ":"), name);
	if (cli_append(&path, "/v1/functions/") || cli_append_encoded(&path, bare))
		return CLI_FAILED;
	if (cli_request(c, "GET", path, NULL, NULL, 0, TIMEOUT_MS, &r))
		return CLI_FAILED; /* said: the host is not there */
	if (r.status == 404)
		fprintf(stderr, "stoker: %s was deleted\n", bare);
	else if (r.status != 200 && r.status != 503)
		cli_refused(&r); /* the key has gone, perhaps */
	else
		fprintf(stderr, "stoker: %s is shutting down\n", c->host);
	http_client_resp_fini(&r);
	return CLI_FAILED;
}

static int run(struct cli *c, const char *path, bool follow)
{
	struct output o = {.buf = malloc(LINE_MAX_LEN)};
	struct http_client_resp r = {0};
	int rc;

	if (!o.buf) {
		fprintf(stderr, "stoker: out of memory\n");
		return CLI_FAILED;
	}
	rc = cli_follow(c, path, TIMEOUT_MS, write_lines, &o, &r);
	if (stk_write_full(STDOUT_FILENO, o.buf, o.len))
		rc = CLI_FAILED;
	free(o.buf);
	if (rc == 0 && r.status != 200)
		rc = cli_refused(&r);
	else if (rc == 0 && follow)
		rc = say_why(c, c->argv[0]);
	http_client_resp_fini(&r);
	return rc;
}

int cmd_logs(struct cli *c)
{
	struct cli_option o[] = {{"!follow", NULL}, {"lines", NULL}, {"since", NULL}, {"request-id", NULL}};
	stk_autofree char *path = NULL;
	uint64_t lines;
	int rc;

	long_names(c);
	rc = cli_options(c, o, STK_ARRAY_LEN(o), NULL, NULL);
	if (rc)
		return rc;
	if (c->argc != 1)
		return cli_usage("logs needs exactly one NAME or NAME:QUALIFIER");
	if (!*c->argv[0] || strlen(c->argv[0]) > 200 || !stk_only(c->argv[0], "-_.:$"))
		return cli_usage("a function's name is 1 to 64 letters, digits, - or _");
	if (o[1].value && stk_parse_u64(o[1].value, 0, 100000, &lines))
		return cli_usage("--lines is a number from 0 to 100000");
	if (cli_append(&path, "/v1/functions/") || cli_append_encoded(&path, c->argv[0]) || cli_append(&path, "/logs") ||
	    append_option(&path, "follow", o[0].value) || append_option(&path, "lines", o[1].value) ||
	    append_option(&path, "since", o[2].value) || append_option(&path, "request-id", o[3].value)) {
		fprintf(stderr, "stoker: out of memory\n");
		return CLI_FAILED;
	}
	return run(c, path, o[0].value != NULL);
}
