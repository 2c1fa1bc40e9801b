/* manifest.json: see manifest.h. */
#include "snapshots/manifest.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"

const char *const snap_manifest_input_name[SNAP_INPUT_COUNT] = {
	[SNAP_INPUT_KERNEL] = "kernel", [SNAP_INPUT_INITRD] = "initrd", [SNAP_INPUT_ROOTFS] = "rootfs",
	[SNAP_INPUT_CODE] = "code",     [SNAP_INPUT_SCRATCH] = "scratch",
};

static void decref(json_t **j)
{
	json_decref(*j);
}

#define auto_json __attribute__((cleanup(decref))) json_t

int snap_manifest_file_stat(const char *path, struct snap_manifest_file *ret_file, struct stk_err *err)
{
	stk_autofree char *full = realpath(path, NULL);
	struct snap_manifest_file f;
	struct stat st;

	if (!full || stat(full, &st) < 0)
		return stk_err_sys(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return stk_err_set(err, -EINVAL, "%s: not a regular file", path);
	if (stk_strcpy(f.path, sizeof(f.path), full) < 0)
		return stk_err_set(err, -ENAMETOOLONG, "%s: path is longer than %u bytes", path,
				   SNAP_MANIFEST_PATH_MAX - 1);
	f.size = (uint64_t)st.st_size;
	snprintf(f.key, sizeof(f.key), "mtime:%lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	*ret_file = f;
	return 0;
}

void snap_manifest_host(struct snap_manifest *m)
{
	stk_autofile f = fopen("/proc/cpuinfo", "re");
	struct utsname u;
	char line[512];

	strcpy(m->host_cpu, "unknown");
	strcpy(m->host_kernel, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		snprintf(m->host_cpu, sizeof(m->host_cpu), "%.*s", (int)strcspn(colon, "\n"), colon);
		break;
	}
	if (uname(&u) == 0)
		snprintf(m->host_kernel, sizeof(m->host_kernel), "%s", u.release);
}

/* ---- writing ---- */

static json_t *encode_inputs(const struct snap_manifest *m)
{
	json_t *files = json_object();

	for (unsigned i = 0; files && i < SNAP_INPUT_COUNT; i++) {
		const struct snap_manifest_file *f = &m->input[i];
		json_t *one;

		if (!f->path[0])
			continue;
		one = json_pack("{s:s, s:I, s:s}", "path", f->path, "size", (json_int_t)f->size, "key", f->key);
		if (json_object_set_new(files, snap_manifest_input_name[i], one) < 0) {
			json_decref(files);
			return NULL;
		}
	}
	return files;
}

int snap_manifest_encode(const struct snap_manifest *m, char **ret_text, size_t *ret_len, struct stk_err *err)
{
	time_t seconds = (time_t)(m->created_ms / 1000);
	stk_autofree char *text = NULL;
	auto_json *root = NULL;
	char created[40], *grown;
	struct tm tm;
	size_t len;

	if (!gmtime_r(&seconds, &tm) || !strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return stk_err_set(err, -EINVAL, "manifest: bad time");
	root = json_pack("{s:i, s:s, s:I, s:{s:s, s:s, s:s, s:s}, s:{s:i, s:i, s:i, s:s}, s:o, s:s, s:s, s:{s:s, s:s}, "
			 "s:I, s:{s:I, s:I, s:I}}",
			 "format", (int)SNAP_MANIFEST_FORMAT, "created", created, "created_ms",
			 (json_int_t)m->created_ms, "function", "name", m->function, "version", m->version,
			 "handler", m->handler, "runtime", m->runtime, "machine", "vcpu_count",
			 (int)m->vcpu_count, "mem_size_mib", (int)m->mem_size_mib, "scratch_mib", (int)m->scratch_mib,
			 "boot_args", m->boot_args, "files", encode_inputs(m), "stoker", m->stoker, "agent", m->agent, "host", "cpu",
			 m->host_cpu, "kernel", m->host_kernel, "init_us", (json_int_t)m->init_us, "memory",
			 "data_bytes", (json_int_t)m->memory_data_bytes, "total_bytes",
			 (json_int_t)m->memory_total_bytes, "guest_used_bytes",
			 (json_int_t)m->guest_used_bytes);
	text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	if (!text)
		return stk_err_set(err, -EINVAL, "manifest: a name or path is not UTF-8");
	len = strlen(text);
	grown = realloc(text, len + 2);
	if (!grown)
		return stk_err_sys(err, -ENOMEM, "manifest");
	text = grown;
	strcpy(text + len, "\n");
	if (len + 1 > SNAP_MANIFEST_MAX)
		return stk_err_set(err, -EFBIG, "manifest: larger than %u bytes", SNAP_MANIFEST_MAX);
	*ret_text = stk_take_ptr(&text);
	*ret_len = len + 1;
	return 0;
}

/* ---- reading ---- */

/* Carries the first failure, so that a list of fields needs no test behind each. */
struct reader {
	struct stk_err *err;
	int rc;
};

static const json_t *get(struct reader *r, const json_t *obj, const char *key, json_type type, const char *what)
{
	const json_t *v = json_object_get(obj, key);

	if (r->rc == 0 && (!v || (json_typeof(v) != type)))
		r->rc = stk_err_set(r->err, -EINVAL, "manifest.json: \"%s\" is %s", key, v ? what : "missing");
	return r->rc == 0 ? v : NULL;
}

static void get_text(struct reader *r, const json_t *obj, const char *key, char *buf, size_t cap)
{
	const json_t *v = get(r, obj, key, JSON_STRING, "no text");

	if (v && (strlen(json_string_value(v)) != json_string_length(v) ||
		  stk_strcpy(buf, cap, json_string_value(v)) < 0))
		r->rc = stk_err_set(r->err, -EINVAL, "manifest.json: \"%s\" is longer than %zu bytes", key, cap - 1);
}

static uint64_t get_u64(struct reader *r, const json_t *obj, const char *key, uint64_t min, uint64_t max)
{
	const json_t *v = get(r, obj, key, JSON_INTEGER, "no whole number");

	if (!v)
		return 0;
	if (json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) < min ||
	    (uint64_t)json_integer_value(v) > max) {
		r->rc = stk_err_set(r->err, -EINVAL, "manifest.json: \"%s\" is outside %llu to %llu", key,
				    (unsigned long long)min, (unsigned long long)max);
		return 0;
	}
	return (uint64_t)json_integer_value(v);
}

static void decode_inputs(struct reader *r, const json_t *files, struct snap_manifest *m)
{
	for (unsigned i = 0; r->rc == 0 && i < SNAP_INPUT_COUNT; i++) {
		struct snap_manifest_file *f = &m->input[i];
		const json_t *one;

		if (!json_object_get(files, snap_manifest_input_name[i]))
			continue;
		one = get(r, files, snap_manifest_input_name[i], JSON_OBJECT, "no object");
		get_text(r, one, "path", f->path, sizeof(f->path));
		f->size = get_u64(r, one, "size", 0, INT64_MAX);
		get_text(r, one, "key", f->key, sizeof(f->key));
	}
}

int snap_manifest_decode(const char *text, size_t len, struct snap_manifest *ret_m, struct stk_err *err)
{
	stk_autofree struct snap_manifest *m = calloc(1, sizeof(*m));
	struct reader r = {err, 0};
	const json_t *part;
	auto_json *root = NULL;
	json_error_t je;

	if (!m)
		return stk_err_sys(err, -ENOMEM, "manifest.json");
	if (len > SNAP_MANIFEST_MAX)
		return stk_err_set(err, -EINVAL, "manifest.json: larger than %u bytes", SNAP_MANIFEST_MAX);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!root)
		return stk_err_set(err, -EINVAL, "manifest.json: line %d: %s", je.line, je.text);
	if (!json_is_object(root))
		return stk_err_set(err, -EINVAL, "manifest.json: no object");
	if (get_u64(&r, root, "format", 1, INT_MAX) > SNAP_MANIFEST_FORMAT)
		return stk_err_set(err, -ENOTSUP, "manifest.json: of a newer format than %u", SNAP_MANIFEST_FORMAT);
	m->created_ms = get_u64(&r, root, "created_ms", 0, INT64_MAX);
	part = get(&r, root, "function", JSON_OBJECT, "no object");
	get_text(&r, part, "name", m->function, sizeof(m->function));
	get_text(&r, part, "version", m->version, sizeof(m->version));
	get_text(&r, part, "handler", m->handler, sizeof(m->handler));
	get_text(&r, part, "runtime", m->runtime, sizeof(m->runtime));
	part = get(&r, root, "machine", JSON_OBJECT, "no object");
	m->vcpu_count = (unsigned)get_u64(&r, part, "vcpu_count", 1, 32);
	m->mem_size_mib = (unsigned)get_u64(&r, part, "mem_size_mib", 1, 1u << 20);
	get_text(&r, part, "boot_args", m->boot_args, sizeof(m->boot_args));
	decode_inputs(&r, get(&r, root, "files", JSON_OBJECT, "no object"), m);
	if (json_object_get(part, "scratch_mib"))
		m->scratch_mib = (unsigned)get_u64(&r, part, "scratch_mib", 0, 1u << 20);
	else /* made when the disk was always as large as its image */
		m->scratch_mib = (unsigned)(m->input[SNAP_INPUT_SCRATCH].size >> 20);
	get_text(&r, root, "stoker", m->stoker, sizeof(m->stoker));
	get_text(&r, root, "agent", m->agent, sizeof(m->agent));
	part = get(&r, root, "host", JSON_OBJECT, "no object");
	get_text(&r, part, "cpu", m->host_cpu, sizeof(m->host_cpu));
	get_text(&r, part, "kernel", m->host_kernel, sizeof(m->host_kernel));
	m->init_us = get_u64(&r, root, "init_us", 0, INT64_MAX);
	part = get(&r, root, "memory", JSON_OBJECT, "no object");
	m->memory_data_bytes = get_u64(&r, part, "data_bytes", 0, INT64_MAX);
	m->memory_total_bytes = get_u64(&r, part, "total_bytes", 0, INT64_MAX);
	m->guest_used_bytes = get_u64(&r, part, "guest_used_bytes", 0, INT64_MAX);
	if (r.rc < 0)
		return r.rc;
	*ret_m = *m;
	return 0;
}

int snap_manifest_read(const char *dir, struct snap_manifest *ret_m, struct stk_err *err)
{
	stk_autofree char *text = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	int r = stk_snprintf(path, sizeof(path), "%s/manifest.json", dir);

	if (r == 0)
		r = stk_read_file(path, SNAP_MANIFEST_MAX, &text, &len);
	if (r < 0)
		return stk_err_sys(err, r, "%s/manifest.json", dir);
	return snap_manifest_decode(text, len, ret_m, err);
}
