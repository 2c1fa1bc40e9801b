/* Options of `stoker-snapshot create`: see options.h. */
#include "snapshots/tool/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "snapshots/funcenv.h"

const char create_usage[] =
	"usage: stoker-snapshot create --out DIR --kernel FILE --initrd FILE --rootfs IMG\n"
	"                              --code IMG --scratch IMG [options]\n"
	"  --out DIR          folder to make; must not exist\n"
	"  --vmm PROGRAM      the monitor (default: stoker-vmm beside this program)\n"
	"  --kernel, --initrd, --rootfs, --code, --scratch   what the machine is made of\n"
	"  --memory MIB       128 to 10240 (default 128)\n"
	"  --scratch-size MIB size of /tmp, up to 10240 (default: of the image)\n"
	"  --handler H        (default bootstrap)\n"
	"  --name N           function (default function)   --version V (default 1)\n"
	"  --runtime R        for example python3 (informational)\n"
	"  --region R         what AWS_REGION says (default " SNAP_REGION ")\n"
	"  --account A        of the function's ARN, 12 digits (default 000000000000)\n"
	"  --log-level L      logs are JSON: what AWS_LAMBDA_LOG_LEVEL says (default: text)\n"
	"  --log-group G      what AWS_LAMBDA_LOG_GROUP_NAME says (default /aws/lambda/NAME)\n"
	"  --snap-start 1     what AWS_LAMBDA_INITIALIZATION_TYPE says: snap-start (default: on-demand)\n"
	"  --env NAME=VALUE   environment of the function, repeatable\n"
	"  --env-file FILE    NUL-separated NAME=VALUE, for what is not to be seen in a process list\n"
	"  --init-timeout MS  limit of the init phase (default 10000)\n"
	"  --boot-timeout MS  limit of the guest's start (default 60000)\n"
	"  --time-limit MS    limit of everything (default 300000)\n"
	"  --boot-args TEXT   kernel command line\n"
	"  --init-report 1    a second line of output when the init phase fails\n"
	"  --die-with-parent PID  clean up and end when process PID, which started this one, ends\n";

enum kind { TEXT, NUMBER };

static const struct {
	const char *name;
	enum kind kind;
	size_t offset;
	uint64_t min, max;
	bool required;
} rows[] = {
#define T(option, member, required) {option, TEXT, offsetof(struct create_options, member), 0, 0, required}
#define N(option, member, min, max) {option, NUMBER, offsetof(struct create_options, member), min, max, false}
	T("--out", out, true),
	T("--vmm", vmm, false),
	T("--kernel", kernel, true),
	T("--initrd", initrd, true),
	T("--rootfs", rootfs, true),
	T("--code", code, true),
	T("--scratch", scratch, true),
	T("--handler", handler, false),
	T("--name", name, false),
	T("--version", version, false),
	T("--runtime", runtime, false),
	T("--region", region, false),
	T("--account", account, false),
	T("--log-level", log_level, false),
	T("--log-group", log_group, false),
	T("--boot-args", boot_args, false),
	T("--env-file", env_file, false),
	N("--memory", memory_mib, 128, 10240),
	N("--scratch-size", scratch_mib, 1, 10240),
	N("--die-with-parent", parent, 1, INT32_MAX),
	N("--init-timeout", init_timeout_ms, 1, 900000),
	N("--init-report", init_report, 0, 1),
	N("--snap-start", snapstart, 0, 1),
	N("--boot-timeout", boot_timeout_ms, 1, 900000),
	N("--time-limit", time_limit_ms, 1, 3600000),
#undef T
#undef N
};

static int add_env(struct create_options *o, const char *data, size_t len, struct stk_err *err)
{
	char *grown;

	if (len > SNAP_FUNCENV_MAX + 1 || o->env_len + len > SNAP_FUNCENV_MAX + 1)
		return stk_err_set(err, -EINVAL, "create: the environment is larger than %u bytes",
				   SNAP_FUNCENV_MAX);
	grown = realloc(o->env, o->env_len + len + 1);
	if (!grown)
		return stk_err_sys(err, -ENOMEM, "create");
	o->env = grown;
	memcpy(o->env + o->env_len, data, len);
	o->env_len += len;
	if (len && o->env[o->env_len - 1])
		o->env[o->env_len++] = '\0';
	return 0;
}

static int take(struct create_options *o, unsigned row, const char *value, struct stk_err *err)
{
	char *at = (char *)o + rows[row].offset;
	uint64_t v;

	if (rows[row].kind == TEXT) {
		memcpy(at, &value, sizeof(value));
		return 0;
	}
	if (stk_parse_u64(value, rows[row].min, rows[row].max, &v) < 0)
		return stk_err_set(err, -EINVAL, "create: %s: expected a number from %llu to %llu, found \"%.40s\"",
				   rows[row].name, (unsigned long long)rows[row].min,
				   (unsigned long long)rows[row].max, value);
	memcpy(at, &(unsigned){(unsigned)v}, sizeof(unsigned));
	return 0;
}

static int parse_args(struct create_options *o, int argc, char **argv, struct stk_err *err)
{
	for (int i = 1; i < argc; i++) {
		unsigned row = 0;
		int r;

		if (strcmp(argv[i], "--help") == 0) {
			o->help = 1;
			return 0;
		}
		while (row < STK_ARRAY_LEN(rows) && strcmp(rows[row].name, argv[i]) != 0)
			row++;
		if (row == STK_ARRAY_LEN(rows) && strcmp(argv[i], "--env") != 0)
			return stk_err_set(err, -EINVAL, "create: unknown option %.80s", argv[i]);
		if (i + 1 == argc)
			return stk_err_set(err, -EINVAL, "create: %s needs a value", argv[i]);
		i++;
		if (row == STK_ARRAY_LEN(rows))
			continue; /* --env: behind the file's, below */
		r = take(o, row, argv[i], err);
		if (r < 0)
			return r;
	}
	for (unsigned row = 0; row < STK_ARRAY_LEN(rows); row++) {
		const char *value;

		if (!rows[row].required)
			continue;
		memcpy(&value, (char *)o + rows[row].offset, sizeof(value));
		if (!value || !value[0])
			return stk_err_set(err, -EINVAL, "create: %s is missing", rows[row].name);
	}
	return 0;
}

static int read_env(struct create_options *o, int argc, char **argv, struct stk_err *err)
{
	stk_autofree char *data = NULL;
	size_t len = 0;
	int r = 0;

	if (o->env_file) {
		r = stk_read_file(o->env_file, SNAP_FUNCENV_MAX + 1, &data, &len);
		if (r < 0)
			return stk_err_sys(err, r == -EINVAL ? -EIO : r, "--env-file %s", o->env_file);
		r = add_env(o, data, len, err);
	}
	for (int i = 1; r == 0 && i + 1 < argc; i += 2) { /* each option has a value */
		if (strcmp(argv[i], "--env") == 0)
			r = add_env(o, argv[i + 1], strlen(argv[i + 1]), err);
	}
	return r;
}

int create_options_parse(struct create_options *o, int argc, char **argv, struct stk_err *err)
{
	int r;

	*o = (struct create_options){
		.handler = "bootstrap", .name = "function", .version = "1", .runtime = "", .region = SNAP_REGION,
		.boot_args = SNAP_BOOT_ARGS,
		.memory_mib = 128, .init_timeout_ms = 10000, .boot_timeout_ms = 60000, .time_limit_ms = 300000,
	};
	r = parse_args(o, argc, argv, err);
	if (r < 0 || o->help)
		return r;
	if (!stk_name_valid(o->name))
		return stk_err_set(err, -EINVAL, "create: --name: expected 1 to 64 letters, digits, - or _");
	if (strlen(o->version) < 1 || strlen(o->version) > 128 || strlen(o->handler) < 1 || strlen(o->handler) > 128 ||
	    strlen(o->runtime) > 64 || strlen(o->region) < 1 || strlen(o->region) > 64)
		return stk_err_set(err, -EINVAL, "create: --version and --handler have 1 to 128 bytes, --region 1 to 64, "
				   "--runtime up to 64");
	if (o->account && (strlen(o->account) != 12 || strspn(o->account, "0123456789") != 12))
		return stk_err_set(err, -EINVAL, "create: --account: expected 12 digits");
	if ((o->log_level && (strlen(o->log_level) < 1 || strlen(o->log_level) > 16)) ||
	    (o->log_group && (strlen(o->log_group) < 1 || strlen(o->log_group) > 512)))
		return stk_err_set(err, -EINVAL, "create: --log-level has 1 to 16 bytes, --log-group 1 to 512");
	return read_env(o, argc, argv, err);
}

void create_options_fini(struct create_options *o)
{
	free(o->env);
	o->env = NULL;
}
