/* stoker-snapshot info: what a snapshot is, from its manifest and the table of its state file. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "snapshots/manifest.h"
#include "snapshots/snapfile.h"
#include "snapshots/tool/tool.h"

static const char usage[] = "usage: stoker-snapshot info DIR [--json]\n";

/* Text of a manifest may have been made by anybody: no control characters to the terminal. */
static void print_text(const char *label, const char *text)
{
	printf("%-10s ", label);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			printf("\\x%02x", *p);
		else
			putchar(*p);
	}
	putchar('\n');
}

/* "", " (changed since)" or " (gone)". */
static const char *input_state(const struct snap_manifest_file *f)
{
	struct snap_manifest_file now;

	if (snap_manifest_file_stat(f->path, &now, NULL) < 0)
		return " (gone)";
	return now.size != f->size || strcmp(now.key, f->key) != 0 ? " (changed since)" : "";
}

static void print_people(const struct snap_manifest *m, const struct snap_file *f)
{
	time_t seconds = (time_t)(m->created_ms / 1000);
	char text[2200];
	struct tm tm;

	snprintf(text, sizeof(text), "%.80s version %.80s, handler %.200s", m->function, m->version, m->handler);
	print_text("function", text);
	if (m->runtime[0])
		print_text("runtime", m->runtime);
	if (gmtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm))
		print_text("created", text);
	snprintf(text, sizeof(text), "%u vCPU, %u MiB, /tmp %u MiB", m->vcpu_count, m->mem_size_mib,
		 m->scratch_mib);
	print_text("machine", text);
	print_text("boot args", m->boot_args);
	snprintf(text, sizeof(text), "%.3f ms", (double)m->init_us / 1000);
	print_text("init phase", text);
	snprintf(text, sizeof(text), "%.1f MiB of data in %.1f MiB; %.1f MiB in use in the guest",
		 (double)m->memory_data_bytes / 1048576, (double)m->memory_total_bytes / 1048576,
		 (double)m->guest_used_bytes / 1048576);
	print_text("memory", text);
	for (unsigned i = 0; i < SNAP_INPUT_COUNT; i++) {
		const struct snap_manifest_file *in = &m->input[i];

		if (!in->path[0])
			continue;
		snprintf(text, sizeof(text), "%s, %" PRIu64 " bytes%s", in->path, in->size, input_state(in));
		print_text(snap_manifest_input_name[i], text);
	}
	snprintf(text, sizeof(text), "%.100s, guest agent %.100s", m->stoker, m->agent);
	print_text("made by", text);
	snprintf(text, sizeof(text), "%.200s, Linux %.200s", m->host_cpu, m->host_kernel);
	print_text("made on", text);
	snprintf(text, sizeof(text), "format %u, %" PRIu64 " bytes", f->version, f->file_len);
	print_text("state", text);
	for (unsigned i = 0; i < f->count; i++)
		printf("  %-8s %2" PRIu32 "  %8" PRIu64 " bytes\n", snap_section_name(f->section[i].type),
		       f->section[i].instance, f->section[i].length);
}

static int print_json(const struct snap_manifest *m, const struct snap_file *f)
{
	struct stk_err err = {0, ""};
	stk_autofree char *text = NULL, *out = NULL;
	json_t *root = NULL, *sections;
	size_t len;
	int r = snap_manifest_encode(m, &text, &len, &err);

	if (r < 0)
		return tool_fail(TOOL_SYSTEM, &err);
	root = json_loadb(text, len, 0, NULL);
	sections = json_array();
	for (unsigned i = 0; i < f->count; i++)
		json_array_append_new(sections, json_pack("{s:s, s:i, s:I}", "type",
							  snap_section_name(f->section[i].type), "instance",
							  (int)f->section[i].instance, "bytes",
							  (json_int_t)f->section[i].length));
	if (root && json_object_set_new(root, "state", json_pack("{s:i, s:I, s:o}", "version", (int)f->version,
								 "bytes", (json_int_t)f->file_len, "sections",
								 sections)) == 0)
		out = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	if (!out) {
		stk_err_set(&err, -ENOMEM, "info: out of memory");
		return tool_fail(TOOL_SYSTEM, &err);
	}
	puts(out);
	return TOOL_OK;
}

int cmd_info(int argc, char **argv)
{
	stk_autofree struct snap_manifest *m = calloc(1, sizeof(*m));
	stk_autofree struct snap_file *f = calloc(1, sizeof(*f));
	struct stk_err err = {0, ""};
	const char *dir = NULL;
	char path[PATH_MAX];
	bool json = false;
	int r, status = TOOL_OK;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return tool_usage(usage, NULL);
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (argv[i][0] == '-' || dir)
			return tool_usage(usage, "info: expected one folder");
		else
			dir = argv[i];
	}
	if (!dir)
		return tool_usage(usage, "info: expected a folder");
	r = m && f ? 0 : stk_err_sys(&err, -ENOMEM, "info");
	if (r == 0)
		r = snap_manifest_read(dir, m, &err);
	if (r == 0) {
		r = stk_snprintf(path, sizeof(path), "%s/state", dir);
		r = r < 0 ? stk_err_sys(&err, r, "%s", dir) : snap_snapfile_open(path, false, f, &err);
	}
	if (r < 0)
		return tool_fail(r == -EINVAL || r == -EBADMSG ? TOOL_DAMAGED : TOOL_SYSTEM, &err);
	if (json)
		status = print_json(m, f);
	else
		print_people(m, f);
	snap_snapfile_close(f);
	return status;
}
