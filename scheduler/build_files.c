/* The files of a build, on a worker thread: from the zip to folders, and from its own folder to the published one. */
#include "scheduler/build_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/daemon.h"
#include "scheduler/fsx.h"
#include "scheduler/layers.h"
#include "scheduler/zipread.h"

int build_path(const struct build *bd, const char *leaf, char *ret, size_t cap)
{
	return stk_snprintf(ret, cap, "%s/%s", bd->spec.dir, leaf);
}

/* --- unpack ------------------------------------------------------------------------------------ */

/* What can be said without running it. */
static int check_code(const struct build *bd, struct stk_err *err)
{
	const char *what = bd->spec.settings.layer_count ? "package or of a layer" : "package";
	char code[PATH_CAP], opt[PATH_CAP];
	struct stat st;

	if (strcmp(runtimes_image(bd->spec.settings.runtime), "provided") != 0)
		return 0;
	if (build_path(bd, "root/task/bootstrap", code, sizeof(code)) ||
	    build_path(bd, "root/opt/bootstrap", opt, sizeof(opt)))
		return -ENAMETOOLONG;
	if (stat(code, &st) && stat(opt, &st))
		return stk_err_set(err, -EINVAL,
				   "this runtime needs an executable file \"bootstrap\" at the top of the %s", what);
	if (!(st.st_mode & 0100) || !S_ISREG(st.st_mode))
		return stk_err_set(err, -EINVAL, "\"bootstrap\" in the %s is not executable", what);
	return 0;
}

/* A folder that gets into the image, with the mode it has there. */
static int make_folder(const struct build *bd, const char *leaf, char *ret, struct stk_err *err)
{
	if (build_path(bd, leaf, ret, PATH_CAP))
		return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
	return mkdir(ret, 0755) || chmod(ret, 0755) ? stk_err_sys(err, -errno, "folder %s", ret) : 0;
}

/* Layers go beside the code: see make_image(). */
static int unpack_layers(struct build *bd, struct zipread_limits *left, struct stk_err *err)
{
	const struct fn_settings *s = &bd->spec.settings;
	char opt[PATH_CAP], parts[PATH_CAP];
	int rc;

	if (!s->layer_count)
		return 0;
	rc = make_folder(bd, "root/opt", opt, err);
	rc = rc ? rc : make_folder(bd, "layers", parts, err);
	rc = rc ? rc : layers_take(bd->b->d->opt->state_dir, s->layers, s->layer_count, bd->spec.dir, err);
	layers_sizes(bd->spec.dir, s->layer_count, bd->result.layer_sizes);
	rc = rc ? rc : layers_unpack(bd->spec.dir, s->layers, s->layer_count, parts, opt, left, err);
	fsx_remove_tree(parts);
	return rc;
}

int build_unpack(struct build *bd, struct stk_err *err)
{
	struct zipread_limits left = ZIPREAD_LIMITS;
	char zip[PATH_CAP], root[PATH_CAP], code[PATH_CAP], env[PATH_CAP];
	stk_autofd fd = -1;
	int rc;

	if (build_path(bd, "code.zip", zip, sizeof(zip)) || build_path(bd, "env", env, sizeof(env)))
		return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
	/* Checked when it was deployed; but the images may be others by now, when it is made again. */
	rc = runtimes_check(&bd->b->d->runtimes, bd->spec.settings.runtime, err);
	if (rc)
		return rc;
	rc = make_folder(bd, "root", root, err);
	rc = rc ? rc : make_folder(bd, "root/task", code, err);
	if (rc)
		return rc;
	rc = build_log_open(bd);
	if (rc)
		return stk_err_sys(err, rc, "memory for the build's log");
	fd = open(env, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return stk_err_sys(err, -errno, "%s", env);
	rc = stk_write_full(fd, bd->spec.settings.env, bd->spec.settings.env_len);
	if (rc)
		return stk_err_sys(err, rc, "%s", env);
	rc = zipread_unpack(zip, code, &left, err);
	rc = rc ? rc : unpack_layers(bd, &left, err);
	return rc ? rc : check_code(bd, err);
}

/* --- publish --------------------------------------------------------------------------------- */

/* What the database has to know of the files. */
static int describe(struct build *bd)
{
	char leaf[PATH_CAP];
	struct stat st;
	int rc = build_path(bd, "code.zip", leaf, sizeof(leaf));

	if (rc == 0)
		rc = stat(leaf, &st) ? -errno : fsx_crc64(leaf, &bd->result.zip_crc);
	if (rc == 0)
		rc = fsx_sha256(leaf, bd->result.sha256);
	if (rc == 0)
		rc = build_path(bd, "code.img", leaf, sizeof(leaf));
	if (rc == 0)
		rc = fsx_crc64(leaf, &bd->result.img_crc);
	if (rc)
		return rc;
	bd->result.code_size = (uint64_t)st.st_size;
	bd->result.created_ms = (int64_t)(stk_wall_ns() / STK_NS_PER_MS);
	return 0;
}

int build_publish(struct build *bd, struct stk_err *err)
{
	char dest[PATH_CAP], folder[PATH_CAP], leaf[PATH_CAP];
	int rc;

	if (stk_snprintf(folder, sizeof(folder), "%s/functions/%s", bd->b->d->opt->state_dir, bd->spec.name) ||
	    stk_snprintf(dest, sizeof(dest), "%s/%u", folder, bd->spec.number))
		return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
	if (build_path(bd, "root", leaf, sizeof(leaf)) == 0)
		fsx_remove_tree(leaf);
	if (build_path(bd, "env", leaf, sizeof(leaf)) == 0)
		unlink(leaf);
	rc = describe(bd);
	if (rc == 0)
		rc = fsx_sync_tree(bd->spec.dir);
	if (rc == 0)
		rc = fsx_mkdirs(folder, 0750);
	if (rc)
		return stk_err_sys(err, rc, "publish version %u", bd->spec.number);
	if (bd->spec.replace) {
		if (renameat2(AT_FDCWD, bd->spec.dir, AT_FDCWD, dest, RENAME_EXCHANGE))
			return stk_err_sys(err, -errno, "replace %s", dest);
	} else {
		/* Left by an unfinished deploy of an earlier life. */
		fsx_remove_tree(dest);
		if (rename(bd->spec.dir, dest))
			return stk_err_sys(err, -errno, "publish %s", dest);
	}
	rc = stk_fsync_parent(dest);
	rc = rc ? rc : stk_fsync_parent(folder);
	return rc ? stk_err_sys(err, rc, "publish %s", dest) : 0;
}
