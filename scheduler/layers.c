/* Layers: see layers.h. */
#include "scheduler/layers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/fsx.h"
#include "scheduler/lambda/names.h"
#include "scheduler/lambda/text.h"
#include "scheduler/lambda/zipfile.h"
#include "scheduler/options.h"
#include "scheduler/region.h"

static int parse_arn(const char *text, const char *account, struct fn_layer *ret_layer, struct stk_err *err)
{
	struct lambda_layer_name n;
	struct lambda_err why;

	if (!account || lambda_layer_parse(text, true, "layers", &n, &why))
		return stk_err_set(err, -EINVAL, "layer: \"%.80s\" is not the ARN of a layer's version", text);
	if (strcmp(n.region, region_name()) != 0)
		return stk_err_set(err, -EINVAL, "layer: \"%.80s\" is of another region, this one is %s", text, region_name());
	if (strcmp(n.account, account) != 0)
		return stk_err_set(err, -EACCES, "layer: \"%.140s\" belongs to another account", text);
	if (n.version > LAYERS_VERSION_MAX || stk_strcpy(ret_layer->name, sizeof(ret_layer->name), n.name))
		return stk_err_set(err, -EINVAL, "layer: \"%.80s\" cannot be there", text);
	ret_layer->version = (unsigned)n.version;
	return 0;
}

static int parse_pair(const char *text, struct fn_layer *ret_layer, struct stk_err *err)
{
	const char *colon = strchr(text, ':');
	uint64_t number;

	if (!colon || (size_t)(colon - text) >= sizeof(ret_layer->name) ||
	    stk_parse_u64(colon + 1, 1, LAYERS_VERSION_MAX, &number))
		return stk_err_set(err, -EINVAL, "layer: expected NAME:VERSION, got \"%.80s\"", text);
	memcpy(ret_layer->name, text, (size_t)(colon - text));
	ret_layer->version = (unsigned)number;
	return 0;
}

int layers_parse(const char *text, const char *account, struct fn_layer *ret_layer, struct stk_err *err)
{
	struct fn_layer layer = {.size = 0};
	bool arn = strncmp(text, "arn:", 4) == 0 && strchr(text + 4, ':'); /* "arn:1" is a layer like any other */
	int rc = arn ? parse_arn(text, account, &layer, err) : parse_pair(text, &layer, err);

	if (rc)
		return rc;
	if (!fn_name_valid(layer.name))
		return stk_err_set(err, -EINVAL, "layer: a name is 1 to 64 letters, digits, - or _, not \"%.70s\"",
				   layer.name);
	*ret_layer = layer;
	return 0;
}

int layers_parse_list(const char *text, const char *account, struct fn_settings *s, struct stk_err *err)
{
	for (size_t len = 0;; text += len + 1) {
		struct fn_layer layer;
		char one[256];
		int rc;

		len = strcspn(text, ",");
		if (len >= sizeof(one))
			return stk_err_set(err, -EINVAL, "layer: a name is too long");
		memcpy(one, text, len);
		one[len] = '\0';
		rc = layers_parse(one, account, &layer, err);
		if (rc == 0)
			rc = fn_settings_add_layer(s, &layer, err);
		if (rc || text[len] == '\0')
			return rc;
	}
}

static int folder_of(const char *state_dir, const char *name, char *ret, size_t cap)
{
	return stk_snprintf(ret, cap, "%s/layers/%s", state_dir, name);
}

int layers_path(const char *state_dir, const struct fn_layer *layer, char *ret, size_t cap)
{
	return stk_snprintf(ret, cap, "%s/layers/%s/%u/layer.zip", state_dir, layer->name, layer->version);
}

int layers_check(const char *state_dir, const struct fn_layer *list, unsigned count, struct stk_err *err)
{
	for (unsigned i = 0; i < count; i++) {
		char path[PATH_CAP], name[FN_BARE_MAX + 1];

		if (layers_path(state_dir, &list[i], path, sizeof(path)))
			return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
		if (access(path, R_OK) == 0)
			continue;
		fn_bare_name(list[i].name, name);
		if (errno == ENOENT || errno == ENOTDIR)
			return stk_err_set(err, -EINVAL, "layer: there is no version %u of \"%s\"", list[i].version, name);
		return stk_err_sys(err, -errno, "%s", path);
	}
	return 0;
}

/* --- versions ------------------------------------------------------------------------------------ */

/* The folder of a deleted version stays, empty: its number is used up. */
int layers_newest(const char *state_dir, const char *name, unsigned *ret_version)
{
	char folder[PATH_CAP];
	struct dirent *e;
	int rc = folder_of(state_dir, name, folder, sizeof(folder));
	DIR *dir;

	*ret_version = 0;
	if (rc)
		return rc;
	dir = opendir(folder);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(dir))) {
		uint64_t number;

		if (stk_parse_u64(e->d_name, 1, LAYERS_VERSION_MAX, &number) == 0 && number > *ret_version)
			*ret_version = (unsigned)number;
	}
	closedir(dir);
	return 0;
}

static int sync_path(const char *path)
{
	stk_autofd fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) ? -errno : 0;
}

static int write_info(const char *zip, const char *folder, const json_t *info)
{
	char path[PATH_CAP], when[TEXT_TIME_LEN + 1], text[ZIPFILE_SHA256_TEXT + 1];
	uint8_t hash[FN_SHA256_LEN];
	stk_autofree char *data = NULL;
	struct stat st;
	json_t *o;
	int rc = fsx_sha256(zip, hash);

	if (rc == 0 && stat(zip, &st))
		rc = -errno;
	if (rc == 0)
		rc = stk_snprintf(path, sizeof(path), "%s/info.json", folder);
	if (rc)
		return rc;
	zipfile_sha256_text(hash, text);
	text_time((int64_t)(stk_wall_ns() / STK_NS_PER_MS), when);
	o = info ? json_deep_copy(info) : json_object();
	if (o && json_object_set_new(o, "CreatedDate", json_string(when)) == 0 &&
	    json_object_set_new(o, "Content", json_pack("{s:s, s:I}", "CodeSha256", text, "CodeSize",
							(json_int_t)st.st_size)) == 0)
		data = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(o);
	return data ? stk_write_file_atomic(path, data, strlen(data), 0640) : -ENOMEM;
}

int layers_info(const char *state_dir, const struct fn_layer *layer, json_t **ret_info)
{
	char path[PATH_CAP];
	stk_autofree char *data = NULL;
	size_t len;
	int rc = layers_path(state_dir, layer, path, sizeof(path));

	if (rc == 0 && access(path, F_OK))
		rc = errno == ENOTDIR ? -ENOENT : -errno;
	if (rc == 0)
		rc = stk_snprintf(path, sizeof(path), "%s/layers/%s/%u/info.json", state_dir, layer->name, layer->version);
	if (rc == 0)
		rc = stk_read_file(path, 65536, &data, &len);
	if (rc)
		return rc;
	*ret_info = json_loadb(data, len, 0, NULL);
	return *ret_info ? 0 : -EUCLEAN;
}

int layers_publish(const char *state_dir, const char *name, const char *zip, const char *work, const json_t *info,
		   unsigned *ret_version, struct stk_err *err)
{
	char trial[PATH_CAP], ready[PATH_CAP], folder[PATH_CAP], dest[PATH_CAP], leaf[PATH_CAP];
	struct zipread_limits left = ZIPREAD_LIMITS;
	unsigned newest;
	int rc;

	if (stk_snprintf(trial, sizeof(trial), "%s/trial", work) || stk_snprintf(ready, sizeof(ready), "%s/ready", work) ||
	    stk_snprintf(leaf, sizeof(leaf), "%s/layer.zip", ready) || folder_of(state_dir, name, folder, sizeof(folder)))
		return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
	if (mkdir(trial, 0700) || mkdir(ready, 0750))
		return stk_err_sys(err, -errno, "folder in %s", work);
	rc = zipread_unpack(zip, trial, &left, err);
	fsx_remove_tree(trial);
	if (rc)
		return rc;
	rc = write_info(zip, ready, info);
	if (rc == 0)
		rc = rename(zip, leaf) ? -errno : sync_path(leaf);
	rc = rc ? rc : sync_path(ready);
	rc = rc ? rc : fsx_mkdirs(folder, 0750);
	rc = rc ? rc : layers_newest(state_dir, name, &newest);
	if (rc)
		return stk_err_sys(err, rc, "layer %s", name);
	do { /* somebody else may take the number at the same time */
		newest++;
		if (newest > LAYERS_VERSION_MAX || stk_snprintf(dest, sizeof(dest), "%s/%u", folder, newest))
			return stk_err_set(err, -ENAMETOOLONG, "layer %s: no number is left", name);
		rc = renameat2(AT_FDCWD, ready, AT_FDCWD, dest, RENAME_NOREPLACE) ? -errno : 0;
	} while (rc == -EEXIST);
	if (rc)
		return stk_err_sys(err, rc, "publish %s", dest);
	rc = stk_fsync_parent(dest);
	rc = rc ? rc : stk_fsync_parent(folder);
	if (rc)
		return stk_err_sys(err, rc, "publish %s", dest);
	*ret_version = newest;
	return 0;
}

int layers_delete(const char *state_dir, const struct fn_layer *layer, struct stk_err *err)
{
	char path[PATH_CAP];

	if (layers_path(state_dir, layer, path, sizeof(path)))
		return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
	if (unlink(path))
		return stk_err_sys(err, errno == ENOTDIR ? -ENOENT : -errno, "%s", path);
	return 0;
}

/* --- all of them --------------------------------------------------------------------------------- */

static int by_name(const struct dirent *e)
{
	return fn_name_valid(e->d_name);
}

static int by_number(const struct dirent *e)
{
	uint64_t number;

	return stk_parse_u64(e->d_name, 1, LAYERS_VERSION_MAX, &number) == 0;
}

static void free_list(struct dirent **list, int count)
{
	for (int i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

static int each_version(const char *state_dir, const char *name,
			int (*each)(void *ctx, const struct fn_layer *layer, uint64_t size), void *ctx)
{
	struct fn_layer layer;
	struct dirent **list;
	char folder[PATH_CAP];
	int rc = stk_strcpy(layer.name, sizeof(layer.name), name), n;

	rc = rc ? rc : folder_of(state_dir, name, folder, sizeof(folder));
	if (rc)
		return rc;
	n = scandir(folder, &list, by_number, versionsort);
	if (n < 0)
		return errno == ENOTDIR ? 0 : -errno;
	for (int i = 0; rc == 0 && i < n; i++) {
		char path[PATH_CAP];
		struct stat st;

		layer.version = (unsigned)strtoul(list[i]->d_name, NULL, 10);
		rc = layers_path(state_dir, &layer, path, sizeof(path));
		if (rc == 0 && stat(path, &st) == 0) /* else: deleted */
			rc = each(ctx, &layer, (uint64_t)st.st_size);
	}
	free_list(list, n);
	return rc;
}

int layers_each(const char *state_dir, int (*each)(void *ctx, const struct fn_layer *layer, uint64_t size), void *ctx)
{
	struct dirent **list;
	char folder[PATH_CAP];
	int rc = stk_snprintf(folder, sizeof(folder), "%s/layers", state_dir), n;

	if (rc)
		return rc;
	n = scandir(folder, &list, by_name, alphasort);
	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; rc == 0 && i < n; i++)
		rc = each_version(state_dir, list[i]->d_name, each, ctx);
	free_list(list, n);
	return rc;
}

/* --- merge --------------------------------------------------------------------------------------- */

struct merge {
	const struct fn_layer *layer;
	struct stk_err *err;
};

static int clash(const struct merge *m, const char *name)
{
	return stk_err_set(m->err, -EINVAL, "layer %s:%u: \"%.100s\" is a folder in one layer and none in another",
			   m->layer->name, m->layer->version, name);
}

static int merge_folder(const struct merge *m, int from, int to);

/* Links are never followed, neither here nor there. */
static int merge_entry(const struct merge *m, int from, int to, const char *name)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW))
		return stk_err_sys(m->err, -errno, "layer: %s", name);
	if (!S_ISDIR(st.st_mode)) {
		if (renameat(from, name, to, name) == 0)
			return 0;
		return errno == EISDIR ? clash(m, name) : stk_err_sys(m->err, -errno, "layer: %s", name);
	}
	if (renameat2(from, name, to, name, RENAME_NOREPLACE) == 0)
		return 0; /* as a whole */
	if (errno != EEXIST)
		return stk_err_sys(m->err, -errno, "layer: %s", name);

	stk_autofd sub_from = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	stk_autofd sub_to = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (sub_from < 0)
		return stk_err_sys(m->err, -errno, "layer: %s", name);
	if (sub_to < 0)
		return errno == ENOTDIR || errno == ELOOP ? clash(m, name) : stk_err_sys(m->err, -errno, "layer: %s", name);
	return merge_folder(m, sub_from, sub_to);
}

/* At most ZIPREAD_MAX_DEPTH deep. */
static int merge_folder(const struct merge *m, int from, int to)
{
	int fd = fcntl(from, F_DUPFD_CLOEXEC, 0), rc = 0;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!dir) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return stk_err_sys(m->err, rc, "layer");
	}
	rewinddir(dir);
	while (rc == 0 && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = merge_entry(m, from, to, e->d_name);
	}
	closedir(dir);
	return rc;
}

static int unpack_one(const struct merge *m, const char *zip, const char *part, const char *dest,
		      struct zipread_limits *left)
{
	int rc;

	if (mkdir(part, 0755))
		return stk_err_sys(m->err, -errno, "folder %s", part);
	rc = zipread_unpack(zip, part, left, m->err);
	if (rc) {
		stk_err_prefix(m->err, "layer %s:%u", m->layer->name, m->layer->version);
		return rc;
	}

	stk_autofd from = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stk_autofd to = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (from < 0 || to < 0)
		return stk_err_sys(m->err, -errno, "folder %s", dest);
	return merge_folder(m, from, to);
}

static int own_path(const char *own, unsigned i, char *ret, size_t cap)
{
	return stk_snprintf(ret, cap, "%s/layer-%u.zip", own, i);
}

int layers_take(const char *state_dir, const struct fn_layer *list, unsigned count, const char *own, struct stk_err *err)
{
	for (unsigned i = 0; i < count; i++) {
		char from[PATH_CAP], to[PATH_CAP];

		if (layers_path(state_dir, &list[i], from, sizeof(from)) || own_path(own, i, to, sizeof(to)))
			return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
		if (access(to, F_OK) == 0 || link(from, to) == 0)
			continue;
		if (errno == ENOENT || errno == ENOTDIR)
			return layers_check(state_dir, &list[i], 1, err);
		return stk_err_sys(err, -errno, "link %s", to);
	}
	return 0;
}

int layers_copy(const char *from, const char *to, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char a[PATH_CAP], b[PATH_CAP];

		if (own_path(from, i, a, sizeof(a)) || own_path(to, i, b, sizeof(b)))
			return -ENAMETOOLONG;
		if (link(a, b) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

void layers_sizes(const char *own, unsigned count, uint64_t ret_sizes[FN_LAYERS_MAX])
{
	for (unsigned i = 0; i < count; i++) {
		char path[PATH_CAP];
		struct stat st;

		ret_sizes[i] = own_path(own, i, path, sizeof(path)) || stat(path, &st) ? 0 : (uint64_t)st.st_size;
	}
}

int layers_unpack(const char *own, const struct fn_layer *list, unsigned count, const char *work, const char *dest,
		  struct zipread_limits *left, struct stk_err *err)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < count; i++) {
		struct merge m = {.layer = &list[i], .err = err};
		char zip[PATH_CAP], part[PATH_CAP];

		if (own_path(own, i, zip, sizeof(zip)) || stk_snprintf(part, sizeof(part), "%s/%u", work, i))
			return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
		rc = unpack_one(&m, zip, part, dest, left);
	}
	return rc;
}
