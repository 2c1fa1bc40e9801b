/* The stoker command: one file per subcommand. Exit codes: 0 done, 1 the host refused or failed,
 * 2 wrong usage, 3 the function reported an error. */
#ifndef SCHEDULER_CLI_CLI_H
#define SCHEDULER_CLI_CLI_H

#include <stddef.h>

#include "common/base/err.h"
#include "common/host/http_client.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_FUNCTION_ERROR = 3 };

struct cli {
	const char *host;
	const char *token; /* or NULL */
	int argc; /* of the subcommand: its own arguments only */
	char **argv;
};

struct cli_option {
	const char *name; /* without dashes */
	const char *value; /* set by cli_options; NULL when absent */
};

/* Takes "--name value" and "--name=value" out of the arguments. An option "!name" takes no value; one "*name" may come
 * several times: repeated(name, value) is called for each. What is left are positionals.
 * 0 or CLI_USAGE (said on stderr). */
int cli_options(struct cli *c, struct cli_option *options, unsigned count,
		int (*repeated)(void *ctx, const char *name, const char *value), void *ctx);
int cli_usage(const char *text);
/* One request; says on stderr why it could not be made. 0 or CLI_FAILED. */
int cli_request(struct cli *c, const char *method, const char *path, const char *headers, const void *body,
		size_t len, unsigned timeout_ms, struct http_client_resp *ret);
/* The same, for a GET whose answer goes to sink as it comes: see http_client_follow. */
int cli_follow(struct cli *c, const char *path, unsigned timeout_ms, int (*sink)(void *ctx, const void *data, size_t len),
	       void *ctx, struct http_client_resp *ret);
/* Says an error answer's message on stderr; returns CLI_FAILED. */
int cli_refused(const struct http_client_resp *r);
/* Percent-encodes into a growing string. 0 or -ENOMEM. */
int cli_append_encoded(char **text, const char *raw);
int cli_append(char **text, const char *more);

/* Zips a folder (or reads a .zip) into memory. Heap. 0 or negative errno with err. */
int cli_pack(const char *path, void **ret_data, size_t *ret_len, struct stk_err *err);

int cmd_deploy(struct cli *c);
int cmd_layer(struct cli *c);
int cmd_list(struct cli *c);
int cmd_show(struct cli *c);
int cmd_delete(struct cli *c);
int cmd_invoke(struct cli *c);
int cmd_logs(struct cli *c);

#endif
