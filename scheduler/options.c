/* stokerd's options: see options.h. */
#include "scheduler/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/lambda/names.h"
#include "snapshots/funcenv.h"

#ifndef STOKER_DATADIR
#define STOKER_DATADIR "/usr/local/share/stoker"
#endif
#ifndef STOKER_STATEDIR
#define STOKER_STATEDIR "/var/lib/stoker"
#endif

void options_default(struct options *o)
{
	*o = (struct options){
		.listen_host = "127.0.0.1",
		.listen_port = 8080,
		.state_dir = STOKER_STATEDIR,
		.region = SNAP_REGION,
		.queue_limit = 1000,
		.queue_timeout_ms = 30000,
		.pool_floor = 1,
		.pool_ceiling = 16,
		.max_resets = 10000,
		.async_concurrency = 32,
		.async_events = 200000,
		.async_mib = 1024,
		.async_private = true,
		.shells = 2,
		.idle_s = 300,
		.pool_history = true,
		.max_connections = 4096,
		.drain_ms = 10000,
		.init_timeout_ms = 10000,
		.verify_ahead = true,
		.preflight = true,
		.log_level = STK_LOG_INFO,
	};
}

/* K_FLAG: a K_BOOL that on the command line needs no value. */
enum kind { K_LISTEN, K_PATH, K_U32, K_U64, K_BOOL, K_FLAG, K_LEVEL, K_REGION, K_DOMAIN };

struct option_row {
	const char *name;
	enum kind kind;
	size_t offset;
	uint64_t min, max;
};

#define OFF(member) offsetof(struct options, member)
static const struct option_row rows[] = {
	{"listen", K_LISTEN, 0, 0, 0},
	{"state", K_PATH, OFF(state_dir), 0, 0},
	{"images", K_PATH, OFF(images_dir), 0, 0},
	{"bin", K_PATH, OFF(bin_dir), 0, 0},
	{"keys", K_PATH, OFF(keys_file), 0, 0},
	{"region", K_REGION, OFF(region), 0, 0},
	{"url-domain", K_DOMAIN, OFF(url_domain), 0, 0},
	{"insecure-no-auth", K_FLAG, OFF(insecure_no_auth), 0, 0},
	{"memory-budget", K_U64, OFF(memory_budget_mib), 16, 1u << 30},
	{"max-restores", K_U32, OFF(max_restores), 1, 1024},
	{"queue", K_U32, OFF(queue_limit), 0, 1000000},
	{"queue-timeout", K_U32, OFF(queue_timeout_ms), 1, 900000},
	{"pool-floor", K_U32, OFF(pool_floor), 0, 10000},
	{"pool-ceiling", K_U32, OFF(pool_ceiling), 1, 10000},
	{"async-concurrency", K_U32, OFF(async_concurrency), 1, 10000},
	{"async-events", K_U32, OFF(async_events), 1, 100000000},
	{"async-queue", K_U64, OFF(async_mib), 1, 1u << 30},
	{"async-private", K_BOOL, OFF(async_private), 0, 0},
	{"shells", K_U32, OFF(shells), 0, 1000},
	{"max-resets", K_U32, OFF(max_resets), 1, 1000000000},
	{"pool-idle", K_U32, OFF(idle_s), 1, 86400},
	{"pool-history", K_BOOL, OFF(pool_history), 0, 0},
	{"max-connections", K_U32, OFF(max_connections), 1, 1000000},
	{"drain", K_U32, OFF(drain_ms), 0, 900000},
	{"init-timeout", K_U32, OFF(init_timeout_ms), 100, 900000},
	{"verify-ahead", K_BOOL, OFF(verify_ahead), 0, 0},
	{"preflight", K_BOOL, OFF(preflight), 0, 0},
	{"log-level", K_LEVEL, OFF(log_level), 0, 0},
};

static int set_listen(struct options *o, const char *value, struct stk_err *err)
{
	const char *colon;
	uint64_t port = 0;
	size_t host_len;

	if (strncmp(value, "unix:", 5) == 0) {
		if (value[5] != '/' || strlen(value + 5) >= 108)
			return stk_err_set(err, -EINVAL,
					   "listen: a Unix socket needs an absolute path of at most 107 bytes");
		o->listen_unix = true;
		return stk_strcpy(o->listen_host, sizeof(o->listen_host), value + 5);
	}
	colon = strrchr(value, ':');
	if (!colon || stk_parse_u64(colon + 1, 0, 65535, &port))
		return stk_err_set(err, -EINVAL, "listen: expected HOST:PORT or unix:/PATH, got \"%s\"", value);
	host_len = (size_t)(colon - value);
	if (host_len >= 2 && value[0] == '[' && value[host_len - 1] == ']') {
		value++;
		host_len -= 2;
	}
	if (host_len == 0 || host_len >= sizeof(o->listen_host))
		return stk_err_set(err, -EINVAL, "listen: no usable host in \"%s\"", value);
	memcpy(o->listen_host, value, host_len);
	o->listen_host[host_len] = '\0';
	o->listen_port = (unsigned)port;
	o->listen_unix = false;
	return 0;
}

int options_set(struct options *o, const char *name, const char *value, struct stk_err *err)
{
	for (size_t i = 0; i < STK_ARRAY_LEN(rows); i++) {
		const struct option_row *row = &rows[i];
		char *field = (char *)o + row->offset;
		uint64_t v = 0;

		if (strcmp(row->name, name) != 0)
			continue;
		switch (row->kind) {
		case K_LISTEN:
			return set_listen(o, value, err);
		case K_PATH:
			if (!*value || stk_strcpy(field, OPTIONS_PATH_MAX, value))
				return stk_err_set(err, -EINVAL, "%s: empty or longer than %d bytes", name,
						   OPTIONS_PATH_MAX - 1);
			return 0;
		case K_U32:
		case K_U64:
			if (stk_parse_u64(value, row->min, row->max, &v))
				return stk_err_set(err, -EINVAL, "%s: expected a number from %llu to %llu, got \"%s\"",
						   name, (unsigned long long)row->min,
						   (unsigned long long)row->max, value);
			if (row->kind == K_U32)
				*(unsigned *)(void *)field = (unsigned)v;
			else
				*(uint64_t *)(void *)field = v;
			return 0;
		case K_BOOL:
		case K_FLAG:
			if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
				return stk_err_set(err, -EINVAL, "%s: expected yes or no, got \"%s\"", name,
						   value);
			*(bool *)(void *)field = value[0] == 'y';
			return 0;
		case K_REGION:
			if (!lambda_region_valid(value))
				return stk_err_set(err, -EINVAL, "region: expected a name like %s, got \"%.60s\"", SNAP_REGION,
						   value);
			return stk_strcpy(field, REGION_CAP, value);
		case K_DOMAIN:
			if (!furl_domain_valid(value))
				return stk_err_set(err, -EINVAL, "url-domain: expected HOST or HOST:PORT, got \"%.60s\"", value);
			return stk_strcpy(field, FURL_DOMAIN_MAX + 1, value);
		case K_LEVEL:
			if (stk_log_parse_level(value, &o->log_level))
				return stk_err_set(err, -EINVAL,
						   "log-level: expected error, warn, info or debug, got \"%s\"", value);
			return 0;
		}
	}
	return stk_err_set(err, -EINVAL, "unknown option \"%s\" (see stokerd --help)", name);
}

static char *trim(char *s)
{
	char *end;

	while (*s == ' ' || *s == '\t')
		s++;
	end = s + strlen(s);
	while (end > s && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		*--end = '\0';
	return s;
}

static int read_config(struct options *o, const char *path, struct stk_err *err)
{
	stk_autofree char *text = NULL;
	size_t len = 0;
	unsigned number = 0;
	int rc = stk_read_file(path, 65536, &text, &len);

	if (rc)
		return stk_err_sys(err, rc, "configuration file %s", path);
	if (strlen(text) != len)
		return stk_err_set(err, -EINVAL, "configuration file %s: not a text file", path);
	for (char *line = text, *next; line; line = next) {
		char *name, *eq;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		number++;
		name = trim(line);
		if (!*name || *name == '#')
			continue;
		eq = strchr(name, '=');
		if (!eq)
			return stk_err_set(err, -EINVAL, "%s line %u: expected \"name = value\"", path, number);
		*eq = '\0';
		rc = options_set(o, trim(name), trim(eq + 1), err);
		if (rc) {
			stk_err_prefix(err, "%s line %u", path, number);
			return rc;
		}
	}
	return 0;
}

static bool is_flag(const char *name)
{
	for (size_t i = 0; i < STK_ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].kind == K_FLAG;
	}
	return false;
}

/* Walks argv once; only_config: look for --config alone, so that the file comes first. */
static int walk(int argc, char *const *argv, struct options *o, bool only_config, struct stk_err *err)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value, *eq;
		char name[64];
		int rc;

		if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
			o->show_help = true;
			continue;
		}
		if (strcmp(arg, "--version") == 0) {
			o->show_version = true;
			continue;
		}
		if (strncmp(arg, "--", 2) != 0)
			return stk_err_set(err, -EINVAL, "unexpected argument \"%s\" (see stokerd --help)", arg);
		eq = strchr(arg, '=');
		if (stk_snprintf(name, sizeof(name), "%.*s", (int)(eq ? eq - arg - 2 : 63), arg + 2))
			return stk_err_set(err, -EINVAL, "unknown option \"%.80s\" (see stokerd --help)", arg);
		if (eq) {
			value = eq + 1;
		} else if (is_flag(name)) {
			value = "yes";
		} else {
			if (++i >= argc)
				return stk_err_set(err, -EINVAL, "option --%s needs a value", name);
			value = argv[i];
		}
		if (strcmp(name, "config") == 0) {
			rc = only_config ? read_config(o, value, err) : 0;
			if (rc)
				return rc;
		} else if (!only_config) {
			rc = options_set(o, name, value, err);
			if (rc)
				return rc;
		}
	}
	return 0;
}

/* Can only this machine reach the address? */
static bool is_loopback(const char *host)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int check_exposure(const struct options *o, struct stk_err *err)
{
	if (o->keys_file[0] && o->insecure_no_auth)
		return stk_err_set(err, -EINVAL, "insecure-no-auth and keys: one or the other");
	if (o->listen_unix || o->keys_file[0] || o->insecure_no_auth || is_loopback(o->listen_host))
		return 0;
	return stk_err_set(err, -EINVAL,
			   "listen: without keys everybody who reaches %s could deploy and call functions: "
			   "give --keys FILE, or --insecure-no-auth if you want that", o->listen_host);
}

int options_parse(int argc, char *const *argv, struct options *ret_options, struct stk_err *err)
{
	struct options o;
	int rc;

	options_default(&o);
	rc = walk(argc, argv, &o, true, err);
	if (rc == 0)
		rc = walk(argc, argv, &o, false, err);
	if (rc)
		return rc;
	if (o.pool_floor > o.pool_ceiling)
		return stk_err_set(err, -EINVAL, "pool-floor (%u) is above pool-ceiling (%u)", o.pool_floor,
				   o.pool_ceiling);
	rc = o.show_help || o.show_version ? 0 : check_exposure(&o, err);
	if (rc)
		return rc;
	*ret_options = o;
	return 0;
}

static int absolute(char *path, const char *what, const char *advice, struct stk_err *err)
{
	stk_autofree char *real = realpath(path, NULL);

	if (!real)
		return stk_err_sys(err, -errno, "%s folder %s%s", what, path, advice);
	if (stk_strcpy(path, OPTIONS_PATH_MAX, real))
		return stk_err_set(err, -ENAMETOOLONG, "%s folder: path longer than %d bytes", what,
				   OPTIONS_PATH_MAX - 1);
	return 0;
}

/* Where the helper programs are: beside stokerd, in a build tree and where it is installed (bindir has links only). */
static int find_bin_dir(struct options *o, struct stk_err *err)
{
	stk_autofree char *exe = realpath("/proc/self/exe", NULL);

	if (!exe)
		return stk_err_sys(err, -errno, "stokerd's own folder (name it with --bin)");
	strrchr(exe, '/')[1] = '\0';
	if (stk_strcpy(o->bin_dir, sizeof(o->bin_dir), exe))
		return stk_err_set(err, -ENAMETOOLONG, "bin folder: path too long");
	return 0;
}

static uint64_t mem_available_mib(void)
{
	stk_autofile f = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned long long kib = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			return kib / 1024;
	}
	return 1024;
}

int options_complete(struct options *o, struct stk_err *err)
{
	int rc = o->bin_dir[0] ? 0 : find_bin_dir(o, err);

	if (rc)
		return rc;
	if (!o->images_dir[0] && stk_strcpy(o->images_dir, sizeof(o->images_dir), STOKER_DATADIR "/images"))
		return stk_err_set(err, -ENAMETOOLONG, "images folder: path too long");
	rc = absolute(o->bin_dir, "bin", "", err);
	if (rc == 0)
		rc = absolute(o->images_dir, "images", " (" OPTIONS_IMAGES_ADVICE ")", err);
	if (rc == 0)
		rc = absolute(o->state_dir, "state", "", err);
	if (rc)
		return rc;
	if (!o->memory_budget_mib)
		o->memory_budget_mib = mem_available_mib() * 6 / 10;
	if (!o->max_restores) {
		long n = sysconf(_SC_NPROCESSORS_ONLN);

		o->max_restores = n > 0 ? (unsigned)n : 1;
	}
	return 0;
}

const char *options_usage(void)
{
	return "usage: stokerd [OPTION VALUE]...\n"
	       "  --listen HOST:PORT|unix:/PATH  address of the HTTP API (127.0.0.1:8080)\n"
	       "  --state DIR            functions, snapshots, logs (" STOKER_STATEDIR ")\n"
	       "  --images DIR           guest kernel and runtime images (" STOKER_DATADIR "/images)\n"
	       "  --bin DIR              stoker-vmm, stoker-snapshot and stoker-initrd.cpio (beside stokerd)\n"
	       "  --keys FILE            access keys and tokens: who may use the host (without: everybody)\n"
	       "  --region NAME          in ARNs and in the functions' environment (" SNAP_REGION ")\n"
	       "  --url-domain HOST[:PORT] function URLs are shown as http://ID.lambda-url.HOST[:PORT]/ (as paths)\n"
	       "  --insecure-no-auth     listen on an address that is not loopback without keys\n"
	       "  --memory-budget MIB    memory for all VMs together (60 % of what is available)\n"
	       "  --max-restores N       VMs being started at the same time (number of CPUs)\n"
	       "  --queue N              requests that may wait for a VM (1000)\n"
	       "  --queue-timeout MS     longest wait for a VM (30000)\n"
	       "  --pool-floor N         warm VMs kept per function (1)\n"
	       "  --pool-ceiling N       VMs per function (16)\n"
	       "  --async-concurrency N  asynchronous calls under way at the same time (32)\n"
	       "  --async-events N       asynchronous events that may be queued for one function (200000)\n"
	       "  --async-queue MIB      and for all functions together, on disk (1024)\n"
	       "  --async-private yes|no results may be sent to loopback and private addresses too (yes)\n"
	       "  --shells N             prepared VM processes that wait for any function (2)\n"
	       "  --max-resets N         a VM of a function with reuse = reset is replaced after so many (10000)\n"
	       "  --pool-idle S          shrink to the floor after this time without requests (300)\n"
	       "  --pool-history yes|no  learn from past pauses when warm VMs are needed (yes)\n"
	       "  --max-connections N    open client connections (4096)\n"
	       "  --init-timeout MS      limit of a function's init phase at deploy (10000)\n"
	       "  --drain MS             at SIGTERM, time for requests under way (10000)\n"
	       "  --verify-ahead yes|no  after the start, check all snapshots and not only those that are used (yes)\n"
	       "  --preflight yes|no     test KVM before anything else (yes)\n"
	       "  --log-level LEVEL      error, warn, info, debug (info)\n"
	       "  --config FILE          the same options as lines \"name = value\"\n"
	       "  --help, --version\n";
}
