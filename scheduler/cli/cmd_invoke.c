/* stoker invoke */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/cli/cli.h"

#define MAX_EVENT  (6u * 1024 * 1024 + 100)
#define TIMEOUT_MS 960000 /* longer than any function may take */

static int read_stdin(char **ret, size_t *ret_len)
{
	char *buf = malloc(MAX_EVENT + 1);

	if (!buf) {
		fprintf(stderr, "stoker: out of memory\n");
		return CLI_FAILED;
	}
	*ret_len = fread(buf, 1, MAX_EVENT + 1, stdin);
	*ret = buf;
	if (*ret_len <= MAX_EVENT)
		return 0;
	fprintf(stderr, "stoker: the event is larger than 6 MB\n");
	return CLI_FAILED;
}

/* TEXT, @FILE or - for standard input. */
static int read_event(const char *data, char **ret, size_t *ret_len)
{
	int rc;

	if (strcmp(data, "-") == 0)
		return read_stdin(ret, ret_len);
	if (data[0] == '@') {
		rc = stk_read_file(data + 1, MAX_EVENT, ret, ret_len);
		if (rc == 0)
			return 0;
		fprintf(stderr, "stoker: %s: %s\n", data + 1, strerror(-rc));
		return CLI_FAILED;
	}
	*ret = strdup(data);
	*ret_len = strlen(data);
	return *ret ? 0 : CLI_FAILED;
}

int cmd_invoke(struct cli *c)
{
	struct cli_option o[] = {{"data", NULL}, {"!times", NULL}, {"start", NULL}};
	stk_autofree char *event = NULL;
	struct http_client_resp r = {0};
	char path[160], headers[160] = "Content-Type: application/json\r\n", value[512];
	size_t len = 0;
	int rc = cli_options(c, o, STK_ARRAY_LEN(o), NULL, NULL);

	if (rc)
		return rc;
	if (c->argc != 1 || !stk_name_valid(c->argv[0]))
		return cli_usage("invoke needs the name of a function");
	if (o[2].value && (strpbrk(o[2].value, "\r\n") ||
			   stk_snprintf(headers, sizeof(headers),
					"Content-Type: application/json\r\nX-Stoker-Start: %s\r\n", o[2].value)))
		return cli_usage("--start is warm, shell, cold-restore or cold-boot");
	rc = read_event(o[0].value ? o[0].value : "{}", &event, &len);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/v1/functions/%s/invoke", c->argv[0]);
	rc = cli_request(c, "POST", path, headers, event, len, TIMEOUT_MS, &r);
	if (rc)
		return rc;
	if (o[1].value && http_client_header(&r, "server-timing", value, sizeof(value)) == 0)
		fprintf(stderr, "%s\n", value);
	if (r.status == 200 || http_client_header(&r, "x-stoker-error", value, sizeof(value)) == 0) {
		fwrite(r.body, 1, r.body_len, stdout);
		if (r.body_len && r.body[r.body_len - 1] != '\n')
			putchar('\n');
		rc = r.status == 200 ? CLI_OK : CLI_FUNCTION_ERROR;
	} else {
		rc = cli_refused(&r);
	}
	http_client_resp_fini(&r);
	return rc;
}
