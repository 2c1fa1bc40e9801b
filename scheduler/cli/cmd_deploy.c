/* stoker deploy */
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/cli/cli.h"

#define DEPLOY_TIMEOUT_MS 600000

/* A line on stderr when it takes longer than two seconds, and every ten after that. */
struct progress {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over, running;
	const char *name;
};

static void *progress_main(void *arg)
{
	struct progress *p = arg;
	struct timespec until;
	unsigned seconds = 2;

	pthread_mutex_lock(&p->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 2;
	while (!p->over) {
		if (pthread_cond_timedwait(&p->cond, &p->lock, &until) == 0)
			continue;
		fprintf(stderr, "stoker: %s: building and taking the snapshot... %u s\n", p->name, seconds);
		until.tv_sec += 10;
		seconds += 10;
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void progress_begin(struct progress *p, const char *name)
{
	p->name = name;
	p->over = false;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->cond, NULL);
	p->running = pthread_create(&p->thread, NULL, progress_main, p) == 0;
}

static void progress_end(struct progress *p)
{
	pthread_mutex_lock(&p->lock);
	p->over = true;
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->lock);
	if (p->running)
		pthread_join(p->thread, NULL);
}

static int add_param(char **query, const char *name, const char *value)
{
	if (!value)
		return 0;
	if (cli_append(query, strchr(*query, '?') ? "&" : "?") || cli_append(query, name) ||
	    cli_append(query, "=") || cli_append_encoded(query, value)) {
		fprintf(stderr, "stoker: out of memory\n");
		return -1;
	}
	return 0;
}

/* --secret NAME=@FILE: other users of this machine can read a command line. */
static int add_from_file(char **query, const char *name, const char *value)
{
	stk_autofree char *data = NULL, *pair = NULL;
	const char *path = strchr(value, '=') + 2;
	size_t len;
	int rc = stk_read_file(path, 65536, &data, &len);

	if (rc) {
		fprintf(stderr, "stoker: %s: %s\n", path, strerror(-rc));
		return -1;
	}
	if (memchr(data, '\0', len)) {
		fprintf(stderr, "stoker: %s: a secret may not hold a zero byte\n", path);
		return -1;
	}
	if (asprintf(&pair, "%.*s=%.*s", (int)(path - 2 - value), value, (int)len, data) < 0)
		return -1;
	return add_param(query, name, pair);
}

static int add_pair(void *ctx, const char *name, const char *value)
{
	const char *eq = strchr(value, '=');

	if (!eq) {
		fprintf(stderr, "stoker: --%s needs NAME=VALUE\n", name);
		return -1;
	}
	if (eq[1] == '@' && strcmp(name, "secret") == 0)
		return add_from_file(ctx, name, value);
	return add_param(ctx, name, value);
}

static int say_done(const char *name, const struct http_client_resp *r)
{
	json_t *root = json_loadb((const char *)r->body, r->body_len, 0, NULL);

	printf("%s: version %lld is active\n", name,
	       (long long)json_integer_value(json_object_get(root, "version")));
	json_decref(root);
	return CLI_OK;
}

int cmd_deploy(struct cli *c)
{
	struct cli_option o[] = {{"runtime", NULL}, {"handler", NULL}, {"memory", NULL}, {"timeout", NULL},
				 {"reuse", NULL}, {"layers", NULL}, {"ephemeral-storage", NULL}, {"*env", NULL},
				 {"*secret", NULL}};
	static const char name_rule[] = "a function's name is 1 to 64 letters, digits, - or _";
	stk_autofree char *query = NULL, *path = NULL;
	stk_autofree void *zip = NULL;
	struct http_client_resp resp = {0};
	struct progress progress;
	struct stk_err err = {0};
	size_t len = 0;
	int rc;

	if (cli_append(&query, ""))
		return CLI_FAILED;
	rc = cli_options(c, o, STK_ARRAY_LEN(o), add_pair, &query);
	if (rc)
		return rc;
	if (c->argc != 2)
		return cli_usage("deploy needs a name and a folder or zip file");
	if (!stk_name_valid(c->argv[0]))
		return cli_usage(name_rule);
	if (!o[0].value)
		return cli_usage("deploy needs --runtime (python3, nodejs or provided)");
	for (unsigned i = 0; i < 7; i++) {
		if (add_param(&query, o[i].name, o[i].value))
			return CLI_FAILED;
	}
	if (cli_pack(c->argv[1], &zip, &len, &err)) {
		fprintf(stderr, "stoker: %s\n", err.text);
		return CLI_FAILED;
	}
	if (cli_append(&path, "/v1/functions/") || cli_append(&path, c->argv[0]) || cli_append(&path, query))
		return CLI_FAILED;
	progress_begin(&progress, c->argv[0]);
	rc = cli_request(c, "PUT", path, "Content-Type: application/zip\r\n", zip, len, DEPLOY_TIMEOUT_MS, &resp);
	progress_end(&progress);
	if (rc == 0)
		rc = resp.status == 200 || resp.status == 201 ? say_done(c->argv[0], &resp) : cli_refused(&resp);
	http_client_resp_fini(&resp);
	return rc;
}

int cmd_layer(struct cli *c)
{
	stk_autofree char *path = NULL;
	stk_autofree void *zip = NULL;
	struct http_client_resp resp = {0};
	struct stk_err err = {0};
	size_t len = 0;
	int rc = cli_options(c, NULL, 0, NULL, NULL);

	if (rc)
		return rc;
	if (c->argc != 2)
		return cli_usage("layer needs a name and a folder or zip file");
	if (!stk_name_valid(c->argv[0]))
		return cli_usage("a layer's name is 1 to 64 letters, digits, - or _");
	if (cli_pack(c->argv[1], &zip, &len, &err)) {
		fprintf(stderr, "stoker: %s\n", err.text);
		return CLI_FAILED;
	}
	if (cli_append(&path, "/v1/layers/") || cli_append(&path, c->argv[0]))
		return CLI_FAILED;
	rc = cli_request(c, "PUT", path, "Content-Type: application/zip\r\n", zip, len, DEPLOY_TIMEOUT_MS, &resp);
	if (rc == 0 && resp.status == 201) {
		json_t *made = json_loadb((const char *)resp.body, resp.body_len, 0, NULL);

		printf("%s:%lld\n", c->argv[0], (long long)json_integer_value(json_object_get(made, "version")));
		json_decref(made);
	} else if (rc == 0) {
		rc = cli_refused(&resp);
	}
	http_client_resp_fini(&resp);
	return rc;
}
