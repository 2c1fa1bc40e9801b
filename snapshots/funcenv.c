/* Environment of a runtime: see funcenv.h. */
#include "snapshots/funcenv.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/base/cleanup.h"

/* Set by the host. Those beginning with '_' or AWS_LAMBDA_ are covered by their prefix. Not PATH,
 * LANG, TZ and the like: a function may have its own. Not the AWS credentials either: the host has
 * none to give, and a function that needs some can only bring its own. */
static const char *const reserved[] = {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
				       "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"};

static bool is(const char *name, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(name, what, len) == 0;
}

bool snap_funcenv_reserved(const char *name, size_t len)
{
	static const char prefix[] = "AWS_LAMBDA_";

	if (len == 0 || name[0] == '_' || name[0] == '.')
		return true;
	if (is(name, len, "AWS_LAMBDA_EXEC_WRAPPER")) /* made to be set by functions */
		return false;
	if (len >= sizeof(prefix) - 1 && memcmp(name, prefix, sizeof(prefix) - 1) == 0)
		return true;
	for (size_t i = 0; i < STK_ARRAY_LEN(reserved); i++) {
		if (is(name, len, reserved[i]))
			return true;
	}
	return false;
}

static const char snap_start[] = "AWS_LAMBDA_INITIALIZATION_TYPE=snap-start";

bool snap_funcenv_choice(const char *pair)
{
	return strcmp(pair, snap_start) == 0 || strcmp(pair, "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand") == 0;
}

/* A letter, then at least one letter, digit or underscore. */
static bool name_ok(const char *name, size_t len)
{
	if (len < 2 || !isalpha((unsigned char)name[0]))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	}
	return true;
}

static int put(struct gw_kv *kv, unsigned *n, const struct gw_kv *pair, unsigned own_from, struct stk_err *err)
{
	for (unsigned i = 0; i < *n; i++) {
		if (kv[i].key_len != pair->key_len || memcmp(kv[i].key, pair->key, pair->key_len) != 0)
			continue;
		if (i >= own_from)
			return stk_err_set(err, -EINVAL, "environment: %.*s is given twice",
					   pair->key_len > 80 ? 80 : (int)pair->key_len, pair->key);
		kv[i].value = pair->value;
		kv[i].value_len = pair->value_len;
		return 0;
	}
	if (*n == GW_MAX_ENV)
		return stk_err_set(err, -E2BIG, "environment: more than %u variables with the host's own",
				   GW_MAX_ENV);
	kv[(*n)++] = *pair;
	return 0;
}

/* As snap_funcenv_choice, for text that may lack its NUL. */
static bool is_choice(const char *text, size_t len)
{
	char pair[sizeof(snap_start)];

	if (len >= sizeof(pair))
		return false;
	memcpy(pair, text, len);
	pair[len] = '\0';
	return snap_funcenv_choice(pair);
}

/* What the agent is told, when host and function have said what they want. */
static int add_snap_start(struct gw_kv *kv, unsigned *n, struct stk_err *err)
{
	static const char name[] = "AWS_LAMBDA_INITIALIZATION_TYPE", value[] = "snap-start";

	for (unsigned i = 0; i < *n; i++) {
		if (!is(kv[i].key, kv[i].key_len, name) || !is(kv[i].value, kv[i].value_len, value))
			continue;
		if (gw_kv_add(kv, GW_MAX_ENV, n, ".snapstart", "1") < 0)
			return stk_err_set(err, -E2BIG, "environment: too many variables");
		return 0;
	}
	return 0;
}

static int add_own(struct gw_kv *kv, unsigned *n, const struct snap_funcenv_spec *spec, struct stk_err *err)
{
	unsigned own_from = *n;
	size_t at = 0;

	if (spec->own_len > SNAP_FUNCENV_MAX)
		return stk_err_set(err, -E2BIG, "environment: larger than %u bytes", SNAP_FUNCENV_MAX);
	while (at < spec->own_len) {
		const char *text = spec->own + at;
		size_t len = strnlen(text, spec->own_len - at);
		const char *eq = memchr(text, '=', len);
		size_t key_len = eq ? (size_t)(eq - text) : len;
		int shown = key_len > 80 ? 80 : (int)key_len, r;
		struct gw_kv pair;

		if (!eq || !name_ok(text, key_len)) {
			if (eq && snap_funcenv_reserved(text, key_len) && key_len)
				return stk_err_set(err, -EINVAL, "environment: %.*s is set by the host", shown,
						   text);
			return stk_err_set(err, -EINVAL,
					   "environment: expected NAME=VALUE, the name a letter and then at least one letter, "
					   "digit or _");
		}
		if (snap_funcenv_reserved(text, key_len) && !is_choice(text, len))
			return stk_err_set(err, -EINVAL, "environment: %.*s is set by the host", shown, text);
		pair = (struct gw_kv){.key = text, .key_len = (uint16_t)key_len, .value = eq + 1,
				      .value_len = (uint32_t)(len - key_len - 1)};
		r = put(kv, n, &pair, own_from, err);
		if (r < 0)
			return r;
		at += len + 1;
	}
	return 0;
}

/* YYYY/MM/DD/[VERSION] and 32 random digits. */
static int log_stream(char *buf, size_t cap, const char *version)
{
	uint8_t b[16];
	time_t now = time(NULL);
	struct tm tm;
	int n;

	if (getrandom(b, sizeof(b), 0) != sizeof(b) || !gmtime_r(&now, &tm))
		return -EIO;
	n = snprintf(buf, cap, "%04d/%02d/%02d/[%s]", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, version);
	if (n < 0 || (size_t)n + 33 > cap)
		return -ENOBUFS;
	for (unsigned i = 0; i < sizeof(b); i++)
		sprintf(buf + n + 2 * i, "%02x", b[i]);
	return 0;
}

int snap_funcenv_http(const char *handler, const char **ret_ready, struct stk_err *err)
{
	unsigned long port = 8080;
	char *end;

	if (!handler || strncmp(handler, "http", 4) != 0)
		return 0;
	end = (char *)(uintptr_t)handler + 4;
	if (*end && *end != ':' && *end != '/')
		return 0;
	if (*end == ':')
		port = strtoul(end + 1, &end, 10);
	if (port < 1 || port > 65535 || port == 9001 || (*end && *end != '/'))
		return stk_err_set(err, -EINVAL, "handler: http has a port from 1 to 65535, not 9001: http[:PORT][/READY]");
	*ret_ready = *end ? end : NULL;
	return (int)port;
}

int snap_funcenv_build(struct gw_kv *kv, unsigned *count, const struct snap_funcenv_spec *spec, char *buf,
		       size_t cap, struct stk_err *err)
{
	const char *region = spec->region ? spec->region : SNAP_REGION;
	bool managed = spec->runtime && spec->runtime[0] && strncmp(spec->runtime, "provided", 8) != 0;
	char *memory = buf, *group, *exec_env, *stream;
	const char *ready = NULL;
	char *port_text;
	unsigned n = 0;
	int a, b, c = 0, port;

	a = snprintf(memory, cap, "%u", spec->memory_mib);
	if (a < 0 || (size_t)a + 1 >= cap)
		return stk_err_set(err, -ENOBUFS, "environment: buffer too small");
	group = memory + a + 1;
	cap -= (size_t)a + 1;
	b = snprintf(group, cap, "/aws/lambda/%s", spec->name);
	if (b < 0 || (size_t)b + 1 >= cap)
		return stk_err_set(err, -E2BIG, "environment: the function's name is too long");
	exec_env = group + b + 1;
	cap -= (size_t)b + 1;
	if (managed)
		c = snprintf(exec_env, cap, "AWS_Lambda_%s", spec->runtime);
	if (c < 0 || (size_t)c >= cap)
		return stk_err_set(err, -E2BIG, "environment: the runtime's name is too long");

	stream = exec_env + c + 1;
	cap -= (size_t)c + 1;
	a = log_stream(stream, cap, spec->version);
	if (a < 0)
		return stk_err_set(err, a, "environment: no name for the log stream");

	port = snap_funcenv_http(spec->handler, &ready, err);
	if (port < 0)
		return port;
	port_text = stream + strlen(stream) + 1;
	if (cap < strlen(stream) + 1 + 8)
		return stk_err_set(err, -ENOBUFS, "environment: buffer too small");
	sprintf(port_text, "%d", port);

	const struct {
		const char *key, *value;
	} host[] = {
		{".memory_mib", memory},
		{".account", spec->account},
		{".http_port", port ? port_text : NULL},
		{".http_ready", port ? ready : NULL},
		{"PORT", port ? port_text : NULL},
		{"_HANDLER", spec->handler},
		{"AWS_REGION", region},
		{"AWS_DEFAULT_REGION", region},
		{"AWS_EXECUTION_ENV", managed ? exec_env : NULL},
		{"AWS_LAMBDA_FUNCTION_NAME", spec->name},
		{"AWS_LAMBDA_FUNCTION_VERSION", spec->version},
		{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory},
		{"AWS_LAMBDA_INITIALIZATION_TYPE", spec->snapstart ? "snap-start" : "on-demand"},
		{"AWS_LAMBDA_LOG_FORMAT", spec->log_level ? "JSON" : NULL},
		{"AWS_LAMBDA_LOG_LEVEL", spec->log_level},
		{"AWS_LAMBDA_LOG_GROUP_NAME", spec->log_group ? spec->log_group : group},
		{"AWS_LAMBDA_LOG_STREAM_NAME", stream},
		{"AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"},
		/* Nobody listens there: a tracing library sends to it without looking, or fails at once. */
		{"AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"},
		{"AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000"},
		{"_AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1"},
		{"_AWS_XRAY_DAEMON_PORT", "2000"},
		{"LAMBDA_TASK_ROOT", "/var/task"},
		{"LAMBDA_RUNTIME_DIR", "/var/runtime"},
		{"LANG", "en_US.UTF-8"},
		{"TZ", ":UTC"},
		{"PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"},
		{"LD_LIBRARY_PATH", "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:"
				    "/var/task/lib:/opt/lib"},
	};

	for (size_t i = 0; i < STK_ARRAY_LEN(host); i++) {
		if (host[i].value && gw_kv_add(kv, GW_MAX_ENV, &n, host[i].key, host[i].value) < 0)
			return stk_err_set(err, -E2BIG, "environment: too many variables");
	}
	a = add_own(kv, &n, spec, err);
	if (a == 0)
		a = add_snap_start(kv, &n, err);
	if (a < 0)
		return a;
	*count = n;
	return 0;
}
