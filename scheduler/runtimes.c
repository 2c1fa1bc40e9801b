/* Names of runtimes: see runtimes.h. */
#include "scheduler/runtimes.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/options.h"

#define NAMES_MAX 4

/* Names with a version are PREFIX VERSION or PREFIX VERSION SUFFIX; the last of them is the full one. */
static const struct family {
	const char *image;
	const char *names[NAMES_MAX]; /* without a version */
	const char *prefix, *suffix;
} families[RUNTIMES_FAMILIES] = {
	{.image = "provided", .names = {"provided", "provided.al2", "provided.al2023"}},
	{.image = "python3", .names = {"python3"}, .prefix = "python", .suffix = ""},
	{.image = "nodejs", .names = {"nodejs"}, .prefix = "nodejs", .suffix = ".x"},
};

/* Files in the images' folder in which nothing can run. */
static const char *const not_runtimes[] = {"scratch"};

static bool is_version(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]) && text[i] != '.')
			return false;
	}
	return len > 0 && len <= RUNTIMES_VERSION_MAX && isdigit((unsigned char)text[0]);
}

/* What stands between prefix and suffix, when that is a version; 0: nothing. */
static size_t version_in(const struct family *f, const char *name, const char **ret_version)
{
	size_t len;

	if (!f->prefix || strncmp(name, f->prefix, strlen(f->prefix)) != 0)
		return 0;
	name += strlen(f->prefix);
	len = strlen(name);
	if (f->suffix[0] && len > strlen(f->suffix) && strcmp(name + len - strlen(f->suffix), f->suffix) == 0)
		len -= strlen(f->suffix);
	*ret_version = name;
	return is_version(name, len) ? len : 0;
}

/* NULL: an image by its file's name. ret_version points into the name, "" when it carries none. */
static const struct family *family_of(const char *name, const char **ret_version, size_t *ret_len)
{
	for (size_t i = 0; i < RUNTIMES_FAMILIES; i++) {
		const struct family *f = &families[i];

		*ret_version = "";
		*ret_len = 0;
		for (size_t k = 0; k < NAMES_MAX && f->names[k]; k++) {
			if (strcmp(name, f->names[k]) == 0)
				return f;
		}
		*ret_len = version_in(f, name, ret_version);
		if (*ret_len)
			return f;
	}
	return NULL;
}

const char *runtimes_image(const char *name)
{
	const char *version;
	size_t len;
	const struct family *f = family_of(name, &version, &len);

	return f ? f->image : name;
}

static int image_path(const struct runtimes *r, const char *image, char *ret, size_t cap)
{
	return stk_snprintf(ret, cap, "%s/%s.img", r->dir, image);
}

static bool image_there(const struct runtimes *r, const char *image)
{
	char path[PATH_CAP];
	struct stat st;

	return image_path(r, image, path, sizeof(path)) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, R_OK) == 0;
}

void runtimes_load(struct runtimes *r, const char *images_dir)
{
	memset(r, 0, sizeof(*r));
	r->dir = images_dir;
	for (size_t i = 0; i < RUNTIMES_FAMILIES; i++) {
		char path[PATH_CAP], text[RUNTIMES_VERSION_MAX + 3] = "";
		stk_autofile f = NULL;

		if (!families[i].prefix ||
		    stk_snprintf(path, sizeof(path), "%s/%s.version", images_dir, families[i].image) ||
		    !(f = fopen(path, "re")) || !fgets(text, sizeof(text), f))
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (is_version(text, strlen(text)))
			stk_strcpy(r->version[i], sizeof(r->version[i]), text);
	}
}

/* --- texts --------------------------------------------------------------------------------------- */

/* Calls name for every name that a function may give now; stops at the first non-zero return. */
static int each_name(const struct runtimes *r, size_t i, int (*name)(void *ctx, const char *name), void *ctx)
{
	const struct family *f = &families[i];
	char text[64];
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < NAMES_MAX && f->names[k]; k++)
		rc = name(ctx, f->names[k]);
	if (rc || !r->version[i][0])
		return rc;
	snprintf(text, sizeof(text), "%s%s", f->prefix, r->version[i]);
	rc = name(ctx, text);
	if (rc || !f->suffix[0])
		return rc;
	snprintf(text, sizeof(text), "%s%s%s", f->prefix, r->version[i], f->suffix);
	return name(ctx, text);
}

struct list {
	char text[256];
};

static int list_name(void *ctx, const char *name)
{
	struct list *l = ctx;
	size_t len = strlen(l->text);

	snprintf(l->text + len, sizeof(l->text) - len, "%s%s", len ? ", " : "", name);
	return 0;
}

static int refuse_unknown(const struct runtimes *r, const char *name, struct stk_err *err)
{
	struct list l = {""};

	for (size_t i = 0; i < RUNTIMES_FAMILIES; i++) {
		if (image_there(r, families[i].image))
			each_name(r, i, list_name, &l);
	}
	return stk_err_set(err, -EINVAL, "runtime: \"%s\" does not exist on this host; it has %s", name,
			   l.text[0] ? l.text : "none");
}

int runtimes_check(const struct runtimes *r, const char *name, struct stk_err *err)
{
	const char *version, *image = runtimes_image(name);
	size_t len;
	const struct family *f = family_of(name, &version, &len);
	const char *have = f ? r->version[f - families] : "";

	for (size_t i = 0; i < STK_ARRAY_LEN(not_runtimes); i++) {
		if (strcmp(image, not_runtimes[i]) == 0)
			return refuse_unknown(r, name, err);
	}
	if (strchr(image, '/') || !image_there(r, image))
		return refuse_unknown(r, name, err);
	if (len == 0 || (strlen(have) == len && memcmp(have, version, len) == 0))
		return 0;
	if (!have[0])
		return stk_err_set(err, -EINVAL, "runtime: which version this host's %s has is not known; use \"%s\"",
				   f->image, f->names[0]);
	return stk_err_set(err, -EINVAL, "runtime: \"%s\" is not on this host, which has version %s; use \"%s%s%s\"", name,
			   have, f->prefix, have, f->suffix);
}

int runtimes_full_name(const struct runtimes *r, const char *name, char *ret, size_t cap)
{
	const char *version;
	size_t len;
	const struct family *f = family_of(name, &version, &len);
	const char *have = f ? r->version[f - families] : "";

	if (!have[0])
		return stk_strcpy(ret, cap, name);
	return stk_snprintf(ret, cap, "%s%s%s", f->prefix, have, f->suffix);
}

static int append_name(void *ctx, const char *name)
{
	return json_array_append_new(ctx, json_string(name));
}

json_t *runtimes_describe(const struct runtimes *r)
{
	json_t *all = json_array();

	for (size_t i = 0; all && i < RUNTIMES_FAMILIES; i++) {
		json_t *names = json_array(), *one;

		if (!image_there(r, families[i].image)) {
			json_decref(names);
			continue;
		}
		if (!names || each_name(r, i, append_name, names)) {
			json_decref(names);
			json_decref(all);
			return NULL;
		}
		one = json_pack("{s:s, s:o}", "image", families[i].image, "names", names);
		if (one && r->version[i][0])
			json_object_set_new(one, "version", json_string(r->version[i]));
		if (json_array_append_new(all, one)) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}
