/* Errors: functions return 0 or a negative errno; the text for a human goes into a caller-owned
 * fixed struct, filled at boundaries (options, REST bodies, files). No heap in error paths. */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

struct stk_err {
	int code;       /* negative errno, 0 when unset */
	char text[384]; /* one line, says what to do where it can */
};

/* Fills err (may be NULL) and returns code, so that `return stk_err_set(err, -EINVAL, ...)` works. */
int stk_err_set(struct stk_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As stk_err_set, with ": <strerror(-code)>" appended. */
int stk_err_sys(struct stk_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "<prefix>: " in front of the text already there; returns err->code (0 when err is NULL: return
 * the call's own result then, not this one). */
int stk_err_prefix(struct stk_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
