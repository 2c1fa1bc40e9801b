/* stoker: the command line of a Stoker host. */
#include <errno.h>
#include <jansson.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/cli/cli.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

#define MAX_BODY  (64u << 20)
#define TOKEN_MAX 4096

static const struct {
	const char *name;
	int (*run)(struct cli *c);
	const char *help;
} commands[] = {
	{"deploy", cmd_deploy,
	 "deploy NAME --runtime R [--handler H] [--memory MIB] [--timeout S] [--ephemeral-storage MIB] [--layers L:N,...] [--env K=V]... [--secret K=V]... PATH"},
	{"layer", cmd_layer, "layer NAME PATH"},
	{"list", cmd_list, "list [--json]"},
	{"show", cmd_show, "show NAME"},
	{"delete", cmd_delete, "delete NAME"},
	{"invoke", cmd_invoke, "invoke NAME [--data TEXT|@FILE|-] [--times]"},
	{"logs", cmd_logs, "logs NAME[:QUALIFIER] [-f] [-n LINES] [--since TIME|AGO] [--request-id ID]"},
};

int cli_usage(const char *text)
{
	fprintf(stderr, "stoker: %s\n", text);
	return CLI_USAGE;
}

int cli_options(struct cli *c, struct cli_option *options, unsigned count,
		int (*repeated)(void *ctx, const char *name, const char *value), void *ctx)
{
	int left = 0;

	for (int i = 0; i < c->argc; i++) {
		char *arg = c->argv[i];
		const char *value;
		size_t len;
		bool found = false;

		if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
			c->argv[left++] = arg;
			continue;
		}
		len = strcspn(arg + 2, "=");
		for (unsigned k = 0; k < count && !found; k++) {
			const char *name = options[k].name;
			bool flag = name[0] == '!'; /* "!name": takes no value */
			bool many = name[0] == '*';

			name += flag || many;
			if (strlen(name) != len || strncmp(arg + 2, name, len) != 0)
				continue;
			found = true;
			if (flag) {
				options[k].value = "yes";
				break;
			}
			value = arg[2 + len] == '=' ? arg + 3 + len : i + 1 < c->argc ? c->argv[++i] : NULL;
			if (!value) {
				fprintf(stderr, "stoker: option --%s needs a value\n", name);
				return CLI_USAGE;
			}
			if (many) {
				if (repeated(ctx, name, value))
					return CLI_USAGE;
			} else {
				options[k].value = value;
			}
		}
		if (!found) {
			fprintf(stderr, "stoker: unknown option %s\n", arg);
			return CLI_USAGE;
		}
	}
	c->argc = left;
	return 0;
}

int cli_append(char **text, const char *more)
{
	size_t have = *text ? strlen(*text) : 0, n = strlen(more);
	char *grown = realloc(*text, have + n + 1);

	if (!grown)
		return -ENOMEM;
	memcpy(grown + have, more, n + 1);
	*text = grown;
	return 0;
}

int cli_append_encoded(char **text, const char *raw)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t have = *text ? strlen(*text) : 0;
	char *grown = realloc(*text, have + 3 * strlen(raw) + 1), *p;

	if (!grown)
		return -ENOMEM;
	*text = grown;
	p = grown + have;
	for (; *raw; raw++) {
		unsigned char ch = (unsigned char)*raw;

		if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
		    strchr("-_.~", ch)) {
			*p++ = (char)ch;
		} else {
			*p++ = '%';
			*p++ = hex[ch >> 4];
			*p++ = hex[ch & 15];
		}
	}
	*p = '\0';
	return 0;
}

/* Connects, and says who asks: *ret_headers (heap) are `headers` (or NULL) with the token. */
static int open_host(struct cli *c, const char *headers, unsigned timeout_ms, struct http_client **ret_client, char **ret_headers,
		     struct stk_err *err)
{
	if (asprintf(ret_headers, "%s%s%s%s", c->token ? "Authorization: Bearer " : "", c->token ? c->token : "",
		     c->token ? "\r\n" : "", headers ? headers : "") < 0) {
		*ret_headers = NULL;
		return -ENOMEM;
	}
	return http_client_connect(c->host, timeout_ms, ret_client, err);
}

/* Says why not. */
static int asked(const struct cli *c, int rc, const struct stk_err *err)
{
	if (rc == 0)
		return 0;
	fprintf(stderr, "stoker: %s: %s\n", c->host, err->text[0] ? err->text : strerror(-rc));
	return CLI_FAILED;
}

int cli_request(struct cli *c, const char *method, const char *path, const char *headers, const void *body,
		size_t len, unsigned timeout_ms, struct http_client_resp *ret)
{
	struct http_client *client = NULL;
	stk_autofree char *all = NULL;
	struct stk_err err = {0};
	int rc = open_host(c, headers, timeout_ms, &client, &all, &err);

	if (rc == 0)
		rc = http_client_request(client, method, path, all, body, len, MAX_BODY, ret, &err);
	http_client_free(client);
	return asked(c, rc, &err);
}

int cli_follow(struct cli *c, const char *path, unsigned timeout_ms, int (*sink)(void *ctx, const void *data, size_t len),
	       void *ctx, struct http_client_resp *ret)
{
	struct http_client *client = NULL;
	stk_autofree char *all = NULL;
	struct stk_err err = {0};
	int rc = open_host(c, NULL, timeout_ms, &client, &all, &err);

	if (rc == 0)
		rc = http_client_follow(client, path, all, MAX_BODY, sink, ctx, ret, &err);
	http_client_free(client);
	return asked(c, rc, &err);
}

int cli_refused(const struct http_client_resp *r)
{
	json_t *root = json_loadb((const char *)r->body, r->body_len, 0, NULL);
	json_t *error = json_object_get(root, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	json_t *trace = json_object_get(json_object_get(root, "init"), "stackTrace");
	json_t *line;
	size_t i;

	if (message)
		fprintf(stderr, "stoker: %s (HTTP %d)\n", message, r->status);
	else
		fprintf(stderr, "stoker: the host answered HTTP %d: %.300s\n", r->status,
			r->body ? (const char *)r->body : "");
	json_array_foreach(trace, i, line) {
		if (json_is_string(line))
			fprintf(stderr, "  %s\n", json_string_value(line));
	}
	json_decref(root);
	return CLI_FAILED;
}

/* @FILE is replaced by the file's first line, *ret_text, which is the caller's to free whatever is returned. */
static int read_token(const char **token, char **ret_text)
{
	char *text;
	size_t len;
	int rc = 0;

	if (*token && **token == '@') {
		rc = stk_read_file(*token + 1, TOKEN_MAX, &text, &len);
		if (rc) {
			fprintf(stderr, "stoker: %s: %s\n", *token + 1, strerror(-rc));
			return CLI_FAILED;
		}
		text[strcspn(text, "\r\n")] = '\0';
		*token = *ret_text = text;
	}
	if (*token && !**token)
		*token = NULL;
	/* A key file has no others; line breaks would be further headers. */
	if (*token && !stk_only(*token, "-._~+/="))
		return cli_usage("a token has letters, digits and - . _ ~ + / = only");
	return 0;
}

static void help(FILE *to)
{
	fputs("usage: stoker [--host URL] [--key TOKEN|@FILE] COMMAND\n", to);
	for (size_t i = 0; i < STK_ARRAY_LEN(commands); i++)
		fprintf(to, "  %s\n", commands[i].help);
	fputs("URL: http://HOST:PORT or unix:/PATH; default $STOKER_HOST, else http://127.0.0.1:8080\n"
	      "TOKEN: for a host with keys; default $STOKER_TOKEN\n", to);
}

/* argv[0] is the command. */
static int run(struct cli *c, int argc, char **argv)
{
	for (size_t k = 0; k < STK_ARRAY_LEN(commands); k++) {
		if (strcmp(argv[0], commands[k].name) != 0)
			continue;
		c->argc = argc - 1;
		c->argv = argv + 1;
		return commands[k].run(c);
	}
	fprintf(stderr, "stoker: unknown command \"%s\" (see stoker --help)\n", argv[0]);
	return CLI_USAGE;
}

int main(int argc, char **argv)
{
	struct cli c = {.host = getenv("STOKER_HOST"), .token = getenv("STOKER_TOKEN")};
	char *token_text = NULL;
	int i = 1, rc;

	setlocale(LC_CTYPE, "C.UTF-8");
	if (!c.host || !*c.host)
		c.host = "http://127.0.0.1:8080";
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			help(stdout);
			return CLI_OK;
		}
		if (strcmp(argv[i], "--version") == 0) {
			puts("stoker " PACKAGE_VERSION);
			return CLI_OK;
		}
		if (strncmp(argv[i], "--host=", 7) == 0)
			c.host = argv[i] + 7;
		else if (strcmp(argv[i], "--host") == 0 && i + 1 < argc)
			c.host = argv[++i];
		else if (strncmp(argv[i], "--key=", 6) == 0)
			c.token = argv[i] + 6;
		else if (strcmp(argv[i], "--key") == 0 && i + 1 < argc)
			c.token = argv[++i];
		else
			return cli_usage("unknown option before the command (see stoker --help)");
	}
	if (i >= argc) {
		help(stderr);
		return CLI_USAGE;
	}
	rc = read_token(&c.token, &token_text);
	if (rc == 0)
		rc = run(&c, argc - i, argv + i);
	free(token_text);
	return rc;
}
