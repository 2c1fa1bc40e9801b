/* Helpers for request bodies: see api_internal.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "vmm/api/api_internal.h"

int api_body_fields(json_t *body, const char *const *allowed, struct stk_err *err)
{
	const char *key;
	json_t *value;
	void *next;
	int r = json_get_only(body, allowed, err);

	if (r < 0)
		return r;
	json_object_foreach_safe(body, next, key, value) {
		if (json_is_null(value))
			json_object_del(body, key);
	}
	return 0;
}

int api_body_unsupported(const json_t *body, const char *key, struct stk_err *err)
{
	if (!json_object_get(body, key))
		return 0;
	return stk_err_set(err, -EOPNOTSUPP, "field `%s` is not supported by this version", key);
}

int api_body_only_false(const json_t *body, const char *key, struct stk_err *err)
{
	bool on = false;
	int r = json_get_bool(body, key, false, &on, err);

	if (r < 0)
		return r;
	if (on)
		return stk_err_set(err, -EOPNOTSUPP, "`%s`: true is not supported by this version", key);
	return 0;
}

int api_body_choice(const json_t *body, const char *key, bool required, const char *const *values,
		    unsigned supported, unsigned *ret_index, struct stk_err *err)
{
	const char *text = NULL;
	int r = json_get_str(body, key, required, 64, &text, err);

	if (r < 0 || !text)
		return r;
	for (unsigned i = 0; values[i]; i++) {
		if (strcmp(text, values[i]) != 0)
			continue;
		if (i >= supported)
			return stk_err_set(err, -EOPNOTSUPP, "`%s`: `%s` is not supported by this version", key,
					   text);
		*ret_index = i;
		return 0;
	}
	return stk_err_set(err, -EINVAL, "field `%s`: unknown value `%s`", key, text);
}

int api_body_path(const json_t *body, const char *key, bool required, char *buf, struct stk_err *err)
{
	const char *text = NULL;
	int r = json_get_str(body, key, required, VMCONFIG_PATH_MAX - 1, &text, err);

	if (r < 0 || !text)
		return r;
	if (!*text)
		return stk_err_set(err, -EINVAL, "field `%s` is empty", key);
	strcpy(buf, text);
	return 0;
}

int api_body_openable(const char *path, const char *what, bool writable, struct stk_err *err)
{
	/* Non-blocking, so that a FIFO cannot hold us up. */
	stk_autofd fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return stk_err_sys(err, -errno, "cannot open the %s `%.200s`", what, path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return stk_err_set(err, -EINVAL, "the %s `%.200s` is neither a file nor a block device", what,
				   path);
	return 0;
}

bool api_id_valid(const char *id)
{
	size_t n = strlen(id);

	return n >= 1 && n <= API_ID_MAX &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}
